//! Where digests and log files are read: one location, and the other buckets that its digests name.
//!
//! Owns the step from what a digest says (bucket and whole key) to what a store takes (key below its location), for copies
//! that were moved too. Does not own what the bytes mean.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use orgtrail_cloud::object_store::Object;
use orgtrail_cloud::{Connection, Error, ErrorKind, Location, ObjectStore, open_store};
use orgtrail_event::digest::Digest;
use orgtrail_event::key::{ObjectKey, classify};
use tokio::sync::Semaphore;

/// Requests at once, over everything that is validated.
const REQUESTS: usize = 64;

/// An object as digests name it: a bucket, and a key with the location's prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) bucket: String,
    pub(super) key: String,
}

/// What a location is called in digests: the bucket, or the last part of the folder's path.
pub(super) fn bucket_of(location: &Location) -> String {
    match location {
        Location::S3 { bucket, .. } => bucket.clone(),
        Location::File { root } => root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        Location::EventHistory { .. } => String::new(),
    }
}

/// A location, and the buckets beside it.
#[derive(Debug)]
pub(super) struct Place {
    store: Arc<dyn ObjectStore>,
    bucket: String,
    connection: Connection,
    others: Mutex<BTreeMap<String, Arc<dyn ObjectStore>>>,
    requests: Semaphore,
    /// Accept copies that stand elsewhere than their digests say.
    pub(super) moved: bool,
}

impl Place {
    pub(super) async fn open(location: &Location, connection: Connection, moved: bool) -> Result<Self, Error> {
        let store = open_store(location, &connection).await?;
        let (bucket, others) = (bucket_of(location), Mutex::default());
        Ok(Self { store, bucket, connection, others, requests: Semaphore::new(REQUESTS), moved })
    }

    /// The store, whose keys are relative to the location.
    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The address of a key below the location.
    pub(super) fn address(&self, key: &str) -> Address {
        let prefix = self.store.location().prefix();
        let key = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}/{key}") };
        Address { bucket: self.bucket.clone(), key }
    }

    /// The key below the location, for an object that lies there.
    pub(super) fn relative<'a>(&self, at: &'a Address) -> Option<&'a str> {
        if at.bucket != self.bucket {
            return None;
        }
        match self.store.location().prefix() {
            "" => Some(&at.key),
            prefix => at.key.strip_prefix(prefix)?.strip_prefix('/'),
        }
    }

    /// What a person calls it: `s3://bucket/key`, or a file's path as `file:///…`.
    pub(super) fn name(&self, at: &Address) -> String {
        match (self.relative(at), self.store.location()) {
            (Some(key), Location::File { .. }) => self.store.location().object(key),
            _ => format!("s3://{}/{}", at.bucket, at.key),
        }
    }

    /// Reads an object. `NotFound` where it isn't.
    pub(super) async fn get(&self, at: &Address, bytes_max: u64) -> Result<Object, Error> {
        let _one = self.requests.acquire().await.expect("the semaphore is never closed");
        match self.relative(at) {
            Some(key) => self.store.get(key, bytes_max).await,
            None => self.other(&at.bucket, at).await?.get(&at.key, bytes_max).await,
        }
    }

    /// Whether it is a folder, where reading several files is one step.
    pub(super) fn is_folder(&self) -> bool {
        matches!(self.store.location(), Location::File { .. })
    }

    /// Reads files of a folder in one step, in their order. `None`: they have to be read one by one.
    pub(super) async fn read_each(&self, at: &[Address], bytes_max: u64) -> Option<Vec<Result<Bytes, Error>>> {
        if !self.is_folder() {
            return None;
        }
        let there: Option<Vec<_>> = at.iter().map(|at| self.relative(at).map(str::to_owned)).collect();
        Some(self.store.read_each(&there?, bytes_max).await)
    }

    /// The store of a whole bucket. Folders stand for one bucket only.
    pub(super) async fn other(&self, bucket: &str, at: &Address) -> Result<Arc<dyn ObjectStore>, Error> {
        if self.is_folder() {
            return Err(Error::new(ErrorKind::NotFound, "get", self.name(at)).detail("it lies in another bucket"));
        }
        let known = self.others.lock().unwrap_or_else(PoisonError::into_inner).get(bucket).cloned();
        if let Some(store) = known {
            return Ok(store);
        }
        let location = Location::S3 { bucket: bucket.to_owned(), prefix: String::new() };
        let store = open_store(&location, &self.connection).await?;
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(others.entry(bucket.to_owned()).or_insert(store)))
    }
}

/// From where to where a digest was moved; what it names was moved with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relocation {
    pub(super) from_bucket: String,
    pub(super) from_prefix: String,
    to_bucket: String,
    to_prefix: String,
}

impl Relocation {
    /// `None`: the digest lies where it says.
    pub(super) fn of(digest: &Digest, read: &Address) -> Option<Self> {
        if digest.digest_s3_bucket == read.bucket && digest.digest_s3_object == read.key {
            return None;
        }
        Some(Self {
            from_bucket: digest.digest_s3_bucket.clone(),
            from_prefix: prefix_of(&digest.digest_s3_object),
            to_bucket: read.bucket.clone(),
            to_prefix: prefix_of(&read.key),
        })
    }

    /// Where an object that a digest names is now. What the digest has in another bucket or prefix wasn't moved.
    pub(super) fn now(relocation: Option<&Self>, bucket: &str, key: &str) -> Address {
        let stays = || Address { bucket: bucket.to_owned(), key: key.to_owned() };
        let Some(moved) = relocation.filter(|moved| moved.from_bucket == bucket) else { return stays() };
        match key.strip_prefix(&moved.from_prefix) {
            Some(tail) => Address { bucket: moved.to_bucket.clone(), key: format!("{}{tail}", moved.to_prefix) },
            None => stays(),
        }
    }
}

/// What stands before `AWSLogs/`, with its slash.
fn prefix_of(key: &str) -> String {
    let (ObjectKey::Digest(digest) | ObjectKey::BackfillDigest(digest)) = classify(key) else { return String::new() };
    if digest.folder.prefix.is_empty() { String::new() } else { digest.folder.prefix + "/" }
}
