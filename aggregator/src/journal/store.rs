//! The journal on disk: fjall keyspaces, their keys and values, and nothing of what they mean.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `heads` | seq | [`Head`] |
//! | `payloads` | seq | the object's gzip bytes; values separated from keys |
//! | `seen` | hour, account, seq | packed identities that the object was the first to bring, and its origin |
//! | `known` | hash of source, key and etag | seq, damage: an object that was taken already |
//! | `expiry` | seq | when it was taken, and what `seen` and `known` hold because of it |
//! | `files` | trail, account, region, stamp, key | a delivered file that no digest lists yet |
//! | `custody` | trail, account, region, seq | a verified source digest that no digest of the trail names yet |
//! | `outbox` | trail, number | a notification that was not published yet |
//! | `usage` | day, hash of names | a row of the usage ledger |
//! | `usage_log` | number | counts that are in no row yet |
//! | `meta` | words | next seq, cursors, plans, the ledger, digest chains, origins |
//!
//! With a [`Seal`], every value is sealed as it is inserted and opened as it is read (I9), each in one place of this file; what
//! is told in the clear are the keys of this table: accounts, regions, hours, names of trails and objects, and hashes.
//!
//! Crash: a fjall batch is atomic over keyspaces; what isn't fsynced was never acknowledged (I2). A failed write poisons the
//! database, and with it the process.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, OwnedWriteBatch, PersistMode};
use orgtrail_event::record::Identity;
use orgtrail_service::disk::durably;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::head::Head;
use super::origins::UNKNOWN;
use super::seen::BucketKey;
use super::{Error, Seq};
use crate::seal::{self, Seal};

/// Bytes of one packed identity.
const IDENTITY_BYTES: usize = 24;

/// Memory for fjall's block cache. Reads are of recent data, which the page cache holds as well.
const CACHE_BYTES: u64 = 16 << 20;

/// fjall's own write-ahead log, on disk.
const LOG_BYTES: u64 = 128 << 20;

/// Memory of one memtable of payloads; the small keyspaces get an eighth.
const MEMTABLE_BYTES: u64 = 16 << 20;

/// An open journal.
#[derive(Clone)]
pub(crate) struct Store {
    dir: Arc<Path>,
    seal: Seal,
    db: Database,
    heads: Keyspace,
    payloads: Keyspace,
    seen: Keyspace,
    known: Keyspace,
    expiry: Keyspace,
    files: Keyspace,
    custody: Keyspace,
    outbox: Keyspace,
    usage: Keyspace,
    usage_log: Keyspace,
    meta: Keyspace,
}

/// The keyspaces that hold what others than the destinations work with, mostly under keys that begin with a trail's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// Delivered files that no digest lists yet.
    Files,
    /// Verified source digests that no digest names yet.
    Custody,
    /// Notifications that were not published yet.
    Outbox,
    /// Rows of the usage ledger, under keys that begin with their day.
    Usage,
    /// Counts that are in no row yet.
    UsageLog,
}

/// What an object left behind for deduplication, to be removed when the window has passed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Expiry {
    /// When the object was taken, Unix seconds.
    pub(crate) taken_at: i64,
    /// Its key in `known`.
    pub(crate) known: [u8; 16],
    /// Its buckets in `seen`: hour, account.
    pub(crate) buckets: Vec<(u32, u64)>,
}

/// An object that was taken already.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Known {
    /// Its place in the journal.
    pub(crate) seq: Seq,
    /// What was said of it then.
    pub(crate) damage: Option<String>,
}

impl Store {
    pub(crate) fn open(dir: &Path, seal: Seal) -> Result<Self, Error> {
        let open = move || {
            let db = Database::builder(dir)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(LOG_BYTES)
                .worker_threads(1)
                .open()?;
            let small = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES / 8);
            let payloads = || {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(MEMTABLE_BYTES)
                    .with_kv_separation(Some(KvSeparationOptions::default()))
            };
            Ok(Self {
                heads: db.keyspace("heads", small)?,
                payloads: db.keyspace("payloads", payloads)?,
                seen: db.keyspace("seen", small)?,
                known: db.keyspace("known", small)?,
                expiry: db.keyspace("expiry", small)?,
                files: db.keyspace("files", small)?,
                custody: db.keyspace("custody", small)?,
                outbox: db.keyspace("outbox", small)?,
                usage: db.keyspace("usage", small)?,
                usage_log: db.keyspace("usage_log", small)?,
                meta: db.keyspace("meta", small)?,
                db,
                dir: dir.into(),
                seal,
            })
        };
        open().map_err(|source| Error::Engine { action: format!("open the journal in {}", dir.display()), source })
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch { store: self, inner: self.db.batch().durability(Some(PersistMode::SyncAll)), failed: None }
    }

    /// Heads from `from` on, at most `count` of them.
    pub(crate) fn heads(&self, from: Seq, count: usize) -> Result<Vec<(Seq, Head)>, Error> {
        let mut heads = Vec::new();
        for guard in self.heads.range(from.to_be_bytes()..).take(count) {
            let (key, value) = self.opened(&self.heads, guard, "read heads")?;
            heads.push((seq_of(&key)?, decode(&value, "a head")?));
        }
        Ok(heads)
    }

    pub(crate) fn head(&self, seq: Seq) -> Result<Option<Head>, Error> {
        let value = self.get(&self.heads, &seq.to_be_bytes(), "read a head")?;
        value.map(|value| decode(&value, "a head")).transpose()
    }

    pub(crate) fn payload(&self, seq: Seq) -> Result<Bytes, Error> {
        let value = self.get(&self.payloads, &seq.to_be_bytes(), "read a payload")?;
        value.ok_or_else(|| Error::Corrupt(format!("payload of seq {seq} is not there")))
    }

    /// What is remembered of a bucket, with the number of where it came from.
    pub(crate) fn seen(&self, bucket: BucketKey) -> Result<Vec<(Identity, u16)>, Error> {
        let mut identities = Vec::new();
        for guard in self.seen.prefix(bucket_prefix(bucket)) {
            let (_, value) = self.opened(&self.seen, guard, "read seen records")?;
            let packed = value.chunks_exact(IDENTITY_BYTES);
            // Absent from what was written before origins were kept.
            let origin = packed.remainder().try_into().map_or(UNKNOWN, u16::from_be_bytes);
            for packed in packed {
                let (id, content) = packed.split_at(16);
                let id = id.try_into().expect("16 bytes");
                let content = u64::from_be_bytes(content.try_into().expect("8 bytes"));
                identities.push((Identity { id, content }, origin));
            }
        }
        Ok(identities)
    }

    pub(crate) fn known(&self, key: &[u8; 16]) -> Result<Option<Known>, Error> {
        let value = self.get(&self.known, key, "look an object up")?;
        value.map(|value| decode(&value, "a known object")).transpose()
    }

    /// What was taken before `taken_before`, oldest first, at most `count` of it.
    pub(crate) fn expired(&self, taken_before: i64, count: usize) -> Result<Vec<(Seq, Expiry)>, Error> {
        let mut expired = Vec::new();
        for guard in self.expiry.iter().take(count) {
            let (key, value) = self.opened(&self.expiry, guard, "read expiries")?;
            let expiry: Expiry = decode(&value, "an expiry")?;
            if expiry.taken_at >= taken_before {
                break;
            }
            expired.push((seq_of(&key)?, expiry));
        }
        Ok(expired)
    }

    pub(crate) fn meta<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let value = self.get(&self.meta, name.as_bytes(), "read meta data")?;
        value.map(|value| decode(&value, name)).transpose()
    }

    /// Every meta entry whose name begins with `prefix`, by the rest of its name.
    pub(crate) fn metas<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<(String, T)>, Error> {
        let mut entries = Vec::new();
        for guard in self.meta.prefix(prefix) {
            let (key, value) = self.opened(&self.meta, guard, "read meta data")?;
            let name = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
            entries.push((name, decode(&value, prefix)?));
        }
        Ok(entries)
    }

    /// Rows whose keys begin with `prefix` and come after `after`, at most `count` of them, in the order of their keys.
    pub(crate) fn rows<T: DeserializeOwned>(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        count: usize,
    ) -> Result<Vec<(Vec<u8>, T)>, Error> {
        let from = after.map_or_else(|| Bound::Included(prefix.to_vec()), |after| Bound::Excluded(after.to_vec()));
        let mut rows = Vec::new();
        let keyspace = self.space(space);
        for guard in keyspace.range((from, Bound::Unbounded)).take(count) {
            let (key, value) = self.opened(keyspace, guard, "read rows")?;
            if !key.starts_with(prefix) {
                break;
            }
            rows.push((key.to_vec(), decode(&value, "a row")?));
        }
        Ok(rows)
    }

    /// One row.
    pub(crate) fn row<T: DeserializeOwned>(&self, space: Space, key: &[u8]) -> Result<Option<T>, Error> {
        let value = self.get(self.space(space), key, "read a row")?;
        value.map(|value| decode(&value, "a row")).transpose()
    }

    /// The days that rows are of, where keys begin with one.
    pub(crate) fn days(&self, space: Space) -> Result<BTreeSet<u32>, Error> {
        let mut days = BTreeSet::new();
        let mut from = Bound::Unbounded;
        while let Some(guard) = self.space(space).range((from, Bound::Unbounded)).next() {
            let key = guard.key().map_err(Error::engine("read rows"))?;
            let Some(day) = key.first_chunk().map(|day| u32::from_be_bytes(*day)) else { break };
            days.insert(day);
            from = Bound::Included((day + 1).to_be_bytes().to_vec());
        }
        Ok(days)
    }

    fn space(&self, space: Space) -> &Keyspace {
        match space {
            Space::Files => &self.files,
            Space::Custody => &self.custody,
            Space::Outbox => &self.outbox,
            Space::Usage => &self.usage,
            Space::UsageLog => &self.usage_log,
        }
    }

    /// Every value as it was inserted, one keyspace after the other.
    pub(super) fn for_each_value(
        &self,
        mut visit: impl FnMut(&str, Bytes, Bytes) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for keyspace in self.keyspaces() {
            for guard in keyspace.iter() {
                let (key, value) = self.opened(keyspace, guard, "read the journal")?;
                visit(keyspace.name(), key, value)?;
            }
        }
        Ok(())
    }

    /// How many values there are, roughly.
    pub(super) fn values(&self) -> u64 {
        self.keyspaces().iter().map(|keyspace| keyspace.approximate_len() as u64).sum()
    }

    /// Drops the data keys of the seal that no value needs any more, where they have become many. Payloads aren't looked
    /// at: each was written together with its head.
    pub(super) fn prune_data_keys(&self) -> Result<(), Error> {
        if !self.seal.wants_pruning() {
            return Ok(());
        }
        let spaces = self.keyspaces().into_iter().filter(|keyspace| keyspace.name() != self.payloads.name());
        let mut failed = None;
        let sealed = spaces.flat_map(Keyspace::iter).map_while(|guard| match guard.value() {
            Ok(value) => Some(value.into()),
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        let needed = seal::data_keys_of(sealed)?;
        failed.map_or(Ok(()), Err).map_err(Error::engine("read the journal"))?;
        Ok(self.seal.keep_only(needed)?)
    }

    fn keyspaces(&self) -> [&Keyspace; 11] {
        let Self { heads, payloads, seen, known, expiry, files, custody, outbox, usage, usage_log, meta, .. } = self;
        [meta, heads, payloads, seen, known, expiry, files, custody, outbox, usage, usage_log]
    }

    fn get(&self, keyspace: &Keyspace, key: &[u8], action: &'static str) -> Result<Option<Bytes>, Error> {
        let value = keyspace.get(key).map_err(Error::engine(action))?;
        Ok(value.map(|value| self.seal.unseal(keyspace.name(), key, value.into())).transpose()?)
    }

    fn opened(&self, keyspace: &Keyspace, guard: Guard, action: &'static str) -> Result<(Bytes, Bytes), Error> {
        let (key, value) = guard.into_inner().map_err(Error::engine(action))?;
        let value = self.seal.unseal(keyspace.name(), &key, value.into())?;
        Ok((key.into(), value))
    }

    pub(crate) fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Bytes on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.db.disk_space().unwrap_or(0)
    }
}

/// Changes that become durable together or not at all.
pub(crate) struct Batch<'a> {
    store: &'a Store,
    inner: OwnedWriteBatch,
    /// The first value that couldn't be sealed: told by the commit, so that nothing of the batch is written.
    failed: Option<seal::Error>,
}

impl<'a> Batch<'a> {
    fn insert(&mut self, keyspace: &'a Keyspace, key: &[u8], value: impl Into<Bytes>) {
        match self.store.seal.seal(keyspace.name(), key, value.into()) {
            Ok(sealed) => self.inner.insert(keyspace, key, sealed),
            Err(error) => self.failed = self.failed.take().or(Some(error)),
        }
    }

    /// A value that another journal's `for_each_value` gave.
    pub(super) fn put_value(&mut self, space: &str, key: &[u8], value: Bytes) {
        let keyspaces = self.store.keyspaces();
        let keyspace = keyspaces.into_iter().find(|keyspace| &**keyspace.name() == space);
        self.insert(keyspace.expect("all journals have the same keyspaces"), key, value);
    }

    pub(crate) fn put_head(&mut self, seq: Seq, head: &Head) {
        self.insert(&self.store.heads, &seq.to_be_bytes(), encode(head));
    }

    pub(crate) fn put_payload(&mut self, seq: Seq, gzip: Bytes) {
        self.insert(&self.store.payloads, &seq.to_be_bytes(), gzip);
    }

    pub(crate) fn remove_object(&mut self, seq: Seq, has_payload: bool) {
        self.inner.remove(&self.store.heads, seq.to_be_bytes());
        if has_payload {
            self.inner.remove(&self.store.payloads, seq.to_be_bytes());
        }
    }

    /// `identities` are what the object `seq`, which came from `origin`, was the first to bring into `bucket`.
    pub(crate) fn put_seen(&mut self, bucket: BucketKey, seq: Seq, origin: u16, identities: &mut [Identity]) {
        identities.sort_unstable_by_key(|identity| identity.id);
        let mut packed = Vec::with_capacity(identities.len() * IDENTITY_BYTES + 2);
        for identity in identities.iter() {
            packed.extend_from_slice(&identity.id);
            packed.extend_from_slice(&identity.content.to_be_bytes());
        }
        packed.extend_from_slice(&origin.to_be_bytes());
        self.insert(&self.store.seen, &seen_key(bucket, seq), packed);
    }

    pub(crate) fn put_known(&mut self, key: &[u8; 16], known: &Known) {
        self.insert(&self.store.known, key, encode(known));
    }

    pub(crate) fn put_expiry(&mut self, seq: Seq, expiry: &Expiry) {
        self.insert(&self.store.expiry, &seq.to_be_bytes(), encode(expiry));
    }

    /// Removes what deduplication holds of one object.
    pub(crate) fn expire(&mut self, seq: Seq, expiry: &Expiry) {
        for &(hour, account) in &expiry.buckets {
            self.inner.remove(&self.store.seen, seen_key(BucketKey { hour, account }, seq));
        }
        self.inner.remove(&self.store.known, &expiry.known[..]);
        self.inner.remove(&self.store.expiry, seq.to_be_bytes());
    }

    pub(crate) fn put_row(&mut self, space: Space, key: &[u8], value: &impl Serialize) {
        self.insert(self.store.space(space), key, encode(value));
    }

    pub(crate) fn remove_row(&mut self, space: Space, key: &[u8]) {
        self.inner.remove(self.store.space(space), key);
    }

    pub(crate) fn put_meta(&mut self, name: &str, value: &impl Serialize) {
        self.insert(&self.store.meta, name.as_bytes(), encode(value));
    }

    pub(crate) fn remove_meta(&mut self, name: &str) {
        self.inner.remove(&self.store.meta, name);
    }

    /// Returns when everything is on disk (I2).
    pub(crate) fn commit(self) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error.into());
        }
        durably(&self.store.dir, "commit to the journal", || self.inner.commit())
            .map_err(Error::engine("write to the journal"))
    }
}

fn seq_of(key: &[u8]) -> Result<Seq, Error> {
    let bytes = key.try_into().map_err(|_| Error::Corrupt(format!("key of {} bytes, expected 8", key.len())))?;
    Ok(u64::from_be_bytes(bytes))
}

fn bucket_prefix(bucket: BucketKey) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&bucket.hour.to_be_bytes());
    key[4..].copy_from_slice(&bucket.account.to_be_bytes());
    key
}

fn seen_key(bucket: BucketKey, seq: Seq) -> [u8; 20] {
    let mut key = [0; 20];
    key[..12].copy_from_slice(&bucket_prefix(bucket));
    key[12..].copy_from_slice(&seq.to_be_bytes());
    key
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs of strings and numbers serialise")
}

fn decode<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Corrupt(format!("{what} can't be read: {error}")))
}
