//! What digests in the bucket list already, so that no file is listed twice: asked for files alone that were in the bucket before
//! they were delivered, which a replay and a crash bring about.
//!
//! A digest counts when its signature holds, by the keys that this aggregator signed with, and when it lists the file with
//! its hash. Owns that question. Does not own what becomes of the answer.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use jiff::tz::Offset;
use orgtrail_cloud::object_store::ListRequest;
use orgtrail_cloud::{Disposition, Error, ErrorKind};
use orgtrail_event::digest::{Content, DigestRead, PublicKeys, verify_digest};
use orgtrail_event::key::{Kind, ObjectKey, classify};

use super::build::Span;
use super::{Digests, Outcome, Stop};
use crate::journal::DeliveredFile;
use crate::journal::ledger::Place;

/// Largest digest that is read, gzip bytes: far above one of `cut::FILES_MAX` files.
const DIGEST_BYTES_MAX: u64 = 64 << 20;

impl Digests {
    /// Rows of those files that a digest of their hour lists.
    pub(super) async fn listed_already(
        &self,
        place: &Place,
        span: Span,
        files: &[(String, DeliveredFile)],
    ) -> Outcome<Vec<String>> {
        let trail = &self.destination.trail;
        let found = files.iter().filter(|(_, file)| file.found);
        let mut wanted: HashMap<_, _> =
            found.map(|(row, file)| ((trail.object(&file.key), file.sha256.clone()), row.clone())).collect();
        let mut rows = Vec::new();
        if wanted.is_empty() {
            return Ok(rows);
        }
        let keys = self.key_list.read().map_err(Stop::Fatal)?;
        for key in self.digests_of(place, span).await? {
            if wanted.is_empty() {
                break;
            }
            for listed in self.log_files(&key, &keys).await? {
                rows.extend(wanted.remove(&listed));
            }
        }
        Ok(rows)
    }

    /// Keys of the digests that may list files of the span, below the trail's location.
    async fn digests_of(&self, place: &Place, span: Span) -> Outcome<Vec<String>> {
        let folder = self.destination.trail.folder_of(&place.0, &place.1, Kind::Digest);
        // A further backfill digest of an hour ends a little after it.
        let (first, last) = (span.start, self.interval().end(span.end));
        let day = |second| Offset::UTC.to_datetime(Timestamp::from_second(second).unwrap_or_default()).date();
        let days: HashSet<_> = [day(first), day(last)].into();
        let mut keys = Vec::new();
        for day in days {
            let mut request = ListRequest { prefix: folder.day_path(day), ..ListRequest::default() };
            loop {
                let page = match self.destination.store.list(&request).await {
                    Ok(page) => page,
                    Err(error) => {
                        self.bear(error)?;
                        break;
                    }
                };
                keys.extend(page.objects.into_iter().map(|meta| meta.key).filter(|key| match classify(key) {
                    ObjectKey::Digest(digest) | ObjectKey::BackfillDigest(digest) => {
                        (first..=last).contains(&digest.end.unix_seconds())
                    }
                    _ => false,
                }));
                request.continuation = page.next;
                if request.continuation.is_none() {
                    break;
                }
            }
        }
        Ok(keys)
    }

    /// Keys, as the bucket knows them, and hashes of the log files that a digest lists; none where it doesn't verify.
    async fn log_files(&self, key: &str, keys: &PublicKeys) -> Outcome<Vec<(String, String)>> {
        let object = match self.destination.store.get(key, DIGEST_BYTES_MAX).await {
            Ok(object) => object,
            Err(error) => return self.bear(error).map(|()| Vec::new()),
        };
        let trail = &self.destination.trail;
        let (key, bucket, home_region) = (trail.object(key), trail.bucket.clone(), trail.home_region.clone());
        let keys = keys.clone();
        let verified = tokio::task::spawn_blocking(move || {
            let read = DigestRead {
                bucket: &bucket,
                key: &key,
                gz: &object.bytes,
                signature: None,
                signature_algorithm: None,
                backfill_timestamp: None,
                home_region: &home_region,
                moved: false,
            };
            let read = read.with_metadata(|name| object.metadata.get(name).map(String::as_str));
            verify_digest(&read, &keys, &mut Content::new())
        });
        let verified = verified.await.map_err(|panic| Stop::Fatal(panic.into()))?;
        let files = verified.map(|(digest, _)| digest.log_files).unwrap_or_default();
        Ok(files.into_iter().map(|file| (file.s3_object, file.hash_value)).collect())
    }

    /// What may pass is tried again later. Where nothing may be listed or read, a file that is listed twice does less harm
    /// than one that no digest lists.
    fn bear(&self, error: Error) -> Outcome<()> {
        if error.disposition() == Disposition::Retry && *error.kind() != ErrorKind::Denied {
            return Err(Stop::Later(error.to_string()));
        }
        tracing::warn!(
            destination.name = self.trail(),
            error = %error,
            "whether digests list what was delivered again can't be seen: it is listed again"
        );
        Ok(())
    }
}
