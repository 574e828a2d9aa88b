//! The object store seam: list, get, head, put and delete objects below a location.
//!
//! Owns: the trait, its promises, and the choice of implementation by location. Does not own: what keys mean.
//!
//! Promises of every implementation, judged by `conformance::object_store`:
//! - keys are relative to the location's prefix and listed in byte order, at most 1000 objects and prefixes a page;
//! - an object is whole or absent: a put that fails or is cut off leaves the old state;
//! - bytes come back exactly as stored: nothing is decompressed on the way;
//! - a `get` is bounded by the caller and is retried as one, request and body together;
//! - deleting what isn't there succeeds.

#[cfg(any(test, feature = "fake"))]
pub(crate) mod fake;
pub(crate) mod local;
pub(crate) mod local_walk;
pub(crate) mod s3;

#[cfg(any(test, feature = "fake"))]
pub use fake::{FakeStore, Fault};
pub use local::LocalStore;
pub use s3::S3Store;

use crate::{Connection, Error, ErrorKind, Location};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Objects and common prefixes on a page of a listing. S3 gives the same number.
pub const PAGE_MAX: usize = 1000;

/// What a listing tells about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The key, relative to the location.
    pub key: String,
    /// Size in bytes, as stored.
    pub size: u64,
    /// Changes when the object is overwritten. Opaque, without quotes.
    pub etag: String,
    /// When it was last written, to the second at least.
    pub last_modified: Timestamp,
}

/// What to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Only keys that start with this. Empty for all.
    pub prefix: String,
    /// Only keys after this one in byte order. It need not exist.
    pub start_after: Option<String>,
    /// Roll keys up to the first of these after the prefix into common prefixes. `/`, or another one that the store says it
    /// [takes](ObjectStore::delimits).
    pub delimiter: Option<char>,
    /// The page to go on with: `next` of the page before, with the other fields as they were.
    pub continuation: Option<String>,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Objects in byte order of their keys.
    pub objects: Vec<ObjectMeta>,
    /// With `delimiter`: the rolled-up prefixes, each with the delimiter at its end, in byte order.
    pub common_prefixes: Vec<String>,
    /// Where the next page starts; `None` on the last. Opaque, and of use to the same store only.
    pub next: Option<String>,
}

/// An object with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What a listing would tell.
    pub meta: ObjectMeta,
    /// The bytes exactly as stored.
    pub bytes: Bytes,
    /// User metadata: lower-case names without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
}

/// How to store an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// `Content-Type`. A folder does not keep it.
    pub content_type: Option<&'static str>,
    /// `Content-Encoding`. A folder does not keep it.
    pub content_encoding: Option<&'static str>,
    /// User metadata: lower-case names without `x-amz-meta-`, 2 KB in all (S3 user guide, "Working with object metadata").
    pub metadata: BTreeMap<String, String>,
    /// Encrypt with this KMS key. `None` leaves it to the bucket's default. A folder refuses it.
    pub encryption: Option<KmsEncryption>,
    /// Give the bucket's owner full control, as CloudTrail does for buckets of other accounts.
    pub bucket_owner_full_control: bool,
    /// Fail with `AlreadyExists` where the key is taken, atomically.
    pub if_absent: bool,
}

/// Server-side encryption with a KMS key (SSE-KMS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsEncryption {
    /// ARN, id or alias of a key in the bucket's region.
    pub key_id: String,
    /// The encryption context. S3 adds the object's or the bucket's ARN itself.
    pub context: BTreeMap<String, String>,
    /// Use an S3 Bucket Key: fewer KMS requests, and the bucket's ARN as context instead of the object's.
    pub bucket_key: bool,
}

/// A place that holds objects. See the module for what every implementation promises.
#[async_trait]
pub trait ObjectStore: Send + Sync + Debug {
    /// The place.
    fn location(&self) -> &Location;

    /// How often the store has asked to slow down so far, also where that was repeated without anybody's noticing.
    fn refusals(&self) -> u64 {
        0
    }

    /// Whether listings can roll keys up by this character.
    fn delimits(&self, delimiter: char) -> bool {
        delimiter == '/'
    }

    /// One page of the objects under a prefix.
    async fn list(&self, request: &ListRequest) -> Result<ListPage, Error>;

    /// An object with its bytes. `TooLarge` where it has more than `bytes_max`, without reading it all.
    async fn get(&self, key: &str, bytes_max: u64) -> Result<Object, Error>;

    /// The bytes of several objects and nothing else of them, in the order of their keys here. Each is bounded as by `get`.
    /// Cheaper than as many calls of `get` where a call costs more than the reading: in a folder.
    async fn read_each(&self, keys: &[String], bytes_max: u64) -> Vec<Result<Bytes, Error>> {
        let mut objects = Vec::with_capacity(keys.len());
        for key in keys {
            objects.push(self.get(key, bytes_max).await.map(|object| object.bytes));
        }
        objects
    }

    /// The bytes of a part of an object; fewer where the object ends before the part does. `start` lies inside the object.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        let bytes = self.get(key, u64::MAX).await?.bytes;
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes.slice(at(range.start)..at(range.end).max(at(range.start))))
    }

    /// What a listing would tell about one object.
    async fn head(&self, key: &str) -> Result<ObjectMeta, Error>;

    /// Stores an object, whole or not at all, durable when this returns.
    async fn put(&self, key: &str, bytes: Bytes, options: &PutOptions) -> Result<(), Error>;

    /// Stores a file's content like `put`, without holding it all in memory where the store can. At most 5 GiB, which is S3's
    /// bound on one put ("Uploading objects" in the S3 user guide).
    async fn put_file(&self, key: &str, file: &Path, options: &PutOptions) -> Result<(), Error> {
        let bytes =
            tokio::fs::read(file).await.map_err(|error| Error::io("read", file.display().to_string(), error))?;
        self.put(key, bytes.into(), options).await
    }

    /// Removes an object. Succeeds where there is none.
    async fn delete(&self, key: &str) -> Result<(), Error>;
}

/// The store of a location. Calls nothing: a bucket that can't be reached yet fails its first operations instead, so
/// that a process starts, shows the error and goes on when the bucket is there.
pub async fn open_store(location: &Location, connection: &Connection) -> Result<Arc<dyn ObjectStore>, Error> {
    Ok(match location {
        Location::S3 { bucket, prefix } => Arc::new(S3Store::new(bucket, prefix, connection)),
        Location::File { root } => Arc::new(LocalStore::new(root)),
        Location::EventHistory { .. } => {
            let error = Error::new(ErrorKind::Invalid, "open", location.to_string());
            return Err(error.detail("an event history is no store: write s3://bucket/prefix or file:///absolute/path"));
        }
    })
}

/// The region in which a bucket is found, whatever the connection's own; none for a folder. Fails as the store's first call
/// would: there is no such bucket, or no credentials.
pub async fn bucket_region(location: &Location, connection: &Connection) -> Result<Option<String>, Error> {
    match location {
        Location::S3 { bucket, prefix } => S3Store::new(bucket, prefix, connection).region().await,
        Location::File { .. } | Location::EventHistory { .. } => Ok(None),
    }
}
