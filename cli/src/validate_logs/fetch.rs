//! Reading one digest or one log file and judging it by itself.

use std::cell::RefCell;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use jiff::Timestamp;
use orgtrail_cloud::object_store::Object;
use orgtrail_cloud::{Error, ErrorKind};
use orgtrail_event::digest::{
    BACKFILL_TIMESTAMP_METADATA, Content, Digest, DigestFault, DigestRead, LogFault, PublicKeys, SIGNATURE_METADATA,
    verify_digest,
};
use orgtrail_service::workers::{Panicked, Workers};

use super::keys::Keys;
use super::place::{Address, Place, Relocation};
use super::time::hours;

/// A digest of more gzip bytes is not read.
const DIGEST_BYTES_MAX: u64 = 64 << 20;

/// A log file of more gzip bytes is not what CloudTrail wrote: its files have 50 MB before compression.
const LOG_BYTES_MAX: u64 = 64 << 20;

/// Up to this many gzip bytes are judged where they arrive: some hundred microseconds, about what it costs to wake a worker.
/// More would keep the thread from its requests.
const INLINE_BYTES_MAX: usize = 256 << 10;

thread_local! {
    /// A thread's tables and buffer.
    static CONTENT: RefCell<Content> = RefCell::new(Content::new());
}

/// A digest that is what its signer wrote.
#[derive(Debug)]
pub(super) struct Sound {
    pub(super) digest: Digest,
    /// Hex SHA-256 of its content.
    pub(super) hash: String,
    /// Hex, as its metadata has it.
    pub(super) signature: String,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) relocation: Option<Relocation>,
}

impl Sound {
    /// Where something that it names is now.
    pub(super) fn now(&self, bucket: &str, key: &str) -> Address {
        Relocation::now(self.relocation.as_ref(), bucket, key)
    }

    /// Where the digest before it is now.
    pub(super) fn previous(&self) -> Option<Address> {
        let (bucket, key) =
            (self.digest.previous_digest_s3_bucket.as_deref()?, self.digest.previous_digest_s3_object.as_deref()?);
        Some(self.now(bucket, key))
    }
}

/// What all chains share.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) place: Place,
    pub(super) keys: Keys,
    pub(super) workers: Arc<Workers>,
}

impl Reader {
    /// Reads and judges a digest. `region` is that of its log files.
    pub(super) async fn digest(
        &self,
        at: &Address,
        region: &str,
        home_region: &str,
        keys: Arc<PublicKeys>,
    ) -> anyhow::Result<Result<Sound, DigestFault>> {
        let object = match self.place.get(at, DIGEST_BYTES_MAX).await {
            Ok(object) => Arc::new(object),
            Err(error) if is_absent(&error) => return Ok(Err(DigestFault::NotFound)),
            Err(error) if is_too_large(&error) => return Ok(Err(DigestFault::InvalidFormat)),
            Err(error) => return Err(error.into()),
        };
        let judged = self.judge(at, &object, home_region, keys).await?;
        // A backfill digest is made later than the hours it is about, maybe with a key of that later time.
        let made = object.metadata.get(BACKFILL_TIMESTAMP_METADATA).and_then(|made| made.parse::<Timestamp>().ok());
        match (judged, made) {
            (Err(DigestFault::KeyNotFound { .. }), Some(made)) if self.keys.may_have_more() => {
                let keys = self.keys.of(region, made - hours(1), made + hours(1)).await?;
                self.judge(at, &object, home_region, keys).await
            }
            (judged, _) => Ok(judged),
        }
    }

    async fn judge(
        &self,
        at: &Address,
        object: &Arc<Object>,
        home_region: &str,
        keys: Arc<PublicKeys>,
    ) -> anyhow::Result<Result<Sound, DigestFault>> {
        let (at, object, moved, home_region) =
            (at.clone(), Arc::clone(object), self.place.moved, home_region.to_owned());
        let read_bytes = object.bytes.len();
        let job = move || {
            let empty = DigestRead {
                bucket: &at.bucket,
                key: &at.key,
                gz: &object.bytes,
                signature: None,
                signature_algorithm: None,
                backfill_timestamp: None,
                home_region: &home_region,
                moved,
            };
            let read = empty.with_metadata(|name| object.metadata.get(name).map(String::as_str));
            let (digest, hash) = CONTENT.with_borrow_mut(|content| verify_digest(&read, &keys, content))?;
            let time = |text: &str| text.parse().map_err(|_| DigestFault::InvalidFormat);
            Ok(Sound {
                start: time(&digest.digest_start_time)?,
                end: time(&digest.digest_end_time)?,
                relocation: Relocation::of(&digest, &at),
                signature: object.metadata.get(SIGNATURE_METADATA).cloned().unwrap_or_default(),
                hash,
                digest,
            })
        };
        self.run(read_bytes, job).await.context("verify a digest")
    }

    async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        if bytes <= INLINE_BYTES_MAX { Ok(job()) } else { self.workers.run(job).await }
    }

    /// Reads log files and compares each with what its digest says.
    pub(super) async fn logs(
        &self,
        at: &[Address],
        hash_values: Vec<String>,
    ) -> anyhow::Result<Vec<Result<(), LogFault>>> {
        let mut judged = Vec::with_capacity(at.len());
        if let Some(read) = self.place.read_each(at, LOG_BYTES_MAX).await {
            for (bytes, hash_value) in read.into_iter().zip(hash_values) {
                judged.push(self.judge_log(bytes, hash_value).await?);
            }
            return Ok(judged);
        }
        for (at, hash_value) in at.iter().zip(hash_values) {
            let bytes = self.place.get(at, LOG_BYTES_MAX).await.map(|object| object.bytes);
            judged.push(self.judge_log(bytes, hash_value).await?);
        }
        Ok(judged)
    }

    async fn judge_log(&self, read: Result<Bytes, Error>, hash_value: String) -> anyhow::Result<Result<(), LogFault>> {
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) if is_absent(&error) => return Ok(Err(LogFault::NotFound)),
            Err(error) if is_too_large(&error) => return Ok(Err(LogFault::HashMismatch)),
            Err(error) => return Err(error.into()),
        };
        let read_bytes = bytes.len();
        let job = move || CONTENT.with_borrow_mut(|content| content.verify_log(&bytes, &hash_value));
        self.run(read_bytes, job).await.context("verify a log file")
    }
}

fn is_absent(error: &Error) -> bool {
    // A folder can't hold every key that a digest may name.
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Malformed)
}

fn is_too_large(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::TooLarge { .. })
}
