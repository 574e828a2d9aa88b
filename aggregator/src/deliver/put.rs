//! Hop 13 for object stores: puts one object, for as long as it takes.
//!
//! An object is only ever created, never overwritten. After a crash the same plan puts the same bytes under the same key and
//! finds them there; other bytes under the key (a source that changed a file, a restored state folder) keep their place, and
//! ours go beside them under a name made from their content.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use orgtrail_cloud::ErrorKind;
use orgtrail_cloud::object_store::{KmsEncryption, ObjectStore, PutOptions};
use orgtrail_event::key::classify;
use orgtrail_service::health::Health;
use ring::digest::{SHA256, digest};
use tokio_util::sync::CancellationToken;

use super::plan::base62;
use crate::metrics::Metrics;
use crate::trail::Trail;

const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_LAST: Duration = Duration::from_secs(30);

/// A trail's bucket.
pub(crate) struct Destination {
    pub(crate) trail: Trail,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) kms_key_id: Option<String>,
    pub(crate) bucket_key: bool,
    pub(crate) health: Health,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) cancel: CancellationToken,
}

/// The process is stopping; the plan stays written down.
#[derive(Debug)]
pub(crate) struct Cancelled;

/// What is under the key now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// Exactly these bytes, created now.
    Created,
    /// Exactly these bytes, and they were there before.
    Found,
    /// Others, which keep their place.
    Taken,
}

impl Destination {
    /// Puts a log file; returns the key it lies under once the store has confirmed it (I4), and whether it was there before.
    pub(crate) async fn put(&self, key: &str, gzip: Bytes) -> Result<(String, bool), Cancelled> {
        let put = self.create(key, &gzip, BTreeMap::new()).await?;
        if put != Put::Taken {
            return Ok((key.to_owned(), put == Put::Found));
        }
        let beside = key_beside(key, &gzip);
        tracing::warn!(
            destination.name = self.trail.name,
            object.key = key,
            "an object of this name with other bytes is there: delivered beside it as {beside}"
        );
        let put = self.create(&beside, &gzip, BTreeMap::new()).await?;
        Ok((beside, put == Put::Found))
    }

    /// Creates the object, for as long as it takes.
    pub(crate) async fn create(
        &self,
        key: &str,
        gzip: &Bytes,
        metadata: BTreeMap<String, String>,
    ) -> Result<Put, Cancelled> {
        let options = self.options(metadata);
        let mut backoff = BACKOFF_FIRST;
        loop {
            let error = match self.store.put(key, gzip.clone(), &options).await {
                Ok(()) => break self.healthy(Put::Created),
                Err(error) if *error.kind() == ErrorKind::AlreadyExists => match self.store.get(key, u64::MAX).await {
                    Ok(there) if there.bytes == *gzip => break self.healthy(Put::Found),
                    Ok(_) => break self.healthy(Put::Taken),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            // Whatever it is, giving up would lose records: an operator has to mend it.
            self.metrics.put_failed(&self.trail.name);
            self.health.set_degraded(&self.part(), error.to_string());
            tracing::warn!(destination.name = self.trail.name, object.key = key, error = %error, "put failed, trying again");
            tokio::select! {
                () = self.cancel.cancelled() => return Err(Cancelled),
                () = tokio::time::sleep(backoff) => {}
            }
            backoff = (backoff * 2).min(BACKOFF_LAST);
        }
    }

    fn healthy(&self, outcome: Put) -> Result<Put, Cancelled> {
        self.health.set_ok(&self.part());
        Ok(outcome)
    }

    fn part(&self) -> String {
        format!("trail {}", self.trail.name)
    }

    fn options(&self, metadata: BTreeMap<String, String>) -> PutOptions {
        PutOptions {
            content_type: Some("application/json"),
            content_encoding: Some("gzip"),
            metadata,
            encryption: self.kms_key_id.as_ref().map(|key_id| KmsEncryption {
                key_id: key_id.clone(),
                // What CloudTrail gives KMS (CloudTrail user guide, "How CloudTrail uses AWS KMS"); S3 adds aws:s3:arn.
                context: BTreeMap::from([("aws:cloudtrail:arn".to_owned(), self.trail.arn.clone())]),
                bucket_key: self.bucket_key,
            }),
            bucket_owner_full_control: true,
            if_absent: true,
        }
    }
}

/// A name beside `key` that only these bytes get.
fn key_beside(key: &str, gzip: &[u8]) -> String {
    let unique = base62(digest(&SHA256, gzip).as_ref());
    match classify(key).into_log() {
        Some(mut log) => {
            log.unique = unique;
            log.to_string()
        }
        None => format!("{key}.{unique}"),
    }
}
