//! Sealing at rest (I9): what the journal and the quarantine keep on disk is encrypted when `[seal]` is configured.
//!
//! Owns: the data keys, the form of a sealed value, whether the key may be used at this moment, and `seal.json`. Does not
//! own: which values there are (the journal's store seals everything it inserts), nor the key itself (the key service).
//!
//! A sealed value is
//!
//! ```text
//! 1 byte    1, the version of this form
//! 4 bytes   id of the data key, big endian
//! 12 bytes  nonce
//! n bytes   AES-256-GCM ciphertext
//! 16 bytes  tag
//! ```
//! The first five bytes, the keyspace's name and the entry's key are authenticated with it, so a value opens only in its own
//! place: nobody who can write to the disk can swap two of them.
//!
//! Every process draws data keys of its own and never seals with one that it found, so a key's uses are counted exactly,
//! whatever crashed and whichever copy of the folder was put back. Nonces are random: after [`USES_MAX`] = 2^24 uses the
//! chance that two of them were alike is below 2^-49, where NIST SP 800-38D (8.3) asks for 2^-32. A counter would do on one
//! machine, but a resumed snapshot of it would count the same numbers again.
//!
//! Crash: a data key's ciphertext stands durably in `seal.json` before the first value is sealed with it.

mod keeper;
mod payload;
mod reseal;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use orgtrail_cloud::key_service::Plaintext;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{Notify, watch};

pub(crate) use keeper::Keeper;
pub use keeper::encryption_context;
pub use payload::{open_payload, sealed_under};
pub use reseal::{Progress, Report, reseal};
use stored::{Stored, StoredKey};

/// Values that one data key seals; see the module's description.
const USES_MAX: u64 = 1 << 24;

/// Data keys that `seal.json` lists at the most: 27 years of daily rotation without a restart, 4 MB.
const KEYS_MAX: usize = 10_000;

/// More data keys than this are looked through at a start for those that no value needs any more.
const KEYS_KEPT: usize = 64;

const VERSION: u8 = 1;
const HEADER_LEN: usize = 1 + 4;
const BODY_AT: usize = HEADER_LEN + NONCE_LEN;

/// Why something can't be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key service refused or wasn't reached.
    #[error("{action} for the sealed state in {}", .dir.display())]
    KeyService {
        /// What was asked for.
        action: &'static str,
        /// The state folder.
        dir: PathBuf,
        /// The answer.
        source: orgtrail_cloud::Error,
    },
    /// The state folder and the configuration say different things.
    #[error("{0}")]
    Mismatch(String),
    /// A value isn't what was sealed.
    #[error(
        "a sealed value of `{space}` can't be opened: {why}; if the disk was tampered with or damaged, move the state folder \
         aside and start again: the agents send again what wasn't delivered"
    )]
    Damaged {
        /// Where it stands.
        space: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file of the state folder can't be read or written.
    #[error("{verb} {}", .path.display())]
    Io {
        /// What was attempted.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// `seal.json` doesn't hold what it should.
    #[error("read {}: {why}; put it back from a copy: without it nothing that is sealed can be read", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The quarantine can't be read or written.
    #[error(transparent)]
    Quarantine(#[from] orgtrail_service::quarantine::Error),
    /// The state folder can't be locked.
    #[error(transparent)]
    StateDir(#[from] orgtrail_service::state_dir::Error),
    /// The journal can't be read or written.
    #[error("reseal the journal")]
    Journal(#[source] Box<crate::journal::Error>),
    /// Something that this machine can't do now.
    #[error("{0}")]
    Stopped(String),
}

impl Error {
    fn io(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { verb, path, source }
    }

    fn damaged(space: &str, why: &'static str) -> Self {
        Self::Damaged { space: space.to_owned(), why }
    }
}

/// A data key in use.
struct DataKey {
    id: u32,
    aead: LessSafeKey,
    uses: AtomicU64,
}

impl DataKey {
    fn new(id: u32, plaintext: &Plaintext) -> Result<Self, Error> {
        let unbound = UnboundKey::new(&AES_256_GCM, plaintext.bytes())
            .map_err(|_| Error::Stopped("the key service gave a data key that isn't 256 bits long".to_owned()))?;
        Ok(Self { id, aead: LessSafeKey::new(unbound), uses: AtomicU64::new(0) })
    }

    fn seal(&self, space: &str, key: &[u8], value: &[u8]) -> Result<Vec<u8>, Error> {
        self.uses.fetch_add(1, Ordering::Relaxed);
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| Error::Stopped("no random numbers on this machine".to_owned()))?;
        let header = header(self.id);
        let mut sealed = Vec::with_capacity(BODY_AT + value.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let tag = self
            .aead
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bound(&header, space, key)),
                &mut sealed[BODY_AT..],
            )
            .map_err(|_| Error::Stopped(format!("a value of {} bytes can't be sealed", value.len())))?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    fn open(&self, space: &str, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let cut_off = || Error::damaged(space, "it is cut off");
        let (header, rest) = sealed.split_at_checked(HEADER_LEN).ok_or_else(cut_off)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(cut_off)?;
        let mut opened = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let len = self
            .aead
            .open_in_place(nonce, Aad::from(bound(header, space, key)), &mut opened)
            .map_err(|_| Error::damaged(space, "it was changed, or belongs to another entry"))?
            .len();
        opened.truncate(len);
        Ok(opened)
    }
}

fn header(id: u32) -> [u8; HEADER_LEN] {
    let mut header = [VERSION; HEADER_LEN];
    header[1..].copy_from_slice(&id.to_be_bytes());
    header
}

/// The data key that a value names.
fn key_id_of(space: &str, sealed: &[u8]) -> Result<u32, Error> {
    let (version, rest) = sealed.split_first().ok_or_else(|| Error::damaged(space, "it is empty"))?;
    if *version != VERSION {
        return Err(Error::damaged(space, "it isn't sealed, or by a newer version"));
    }
    let (id, _) = rest.split_first_chunk().ok_or_else(|| Error::damaged(space, "it is cut off"))?;
    Ok(u32::from_be_bytes(*id))
}

/// What is authenticated beside the value. No keyspace's name holds a zero byte, so no two places give the same bytes.
fn bound(header: &[u8], space: &str, key: &[u8]) -> Vec<u8> {
    [header, space.as_bytes(), &[0], key].concat()
}

/// Seals and opens values; a cheap handle. Without `[seal]`, values are as they are.
#[derive(Clone, Default)]
pub struct Seal(Option<Arc<Ring>>);

/// The data keys of a state folder.
struct Ring {
    /// The state folder.
    dir: PathBuf,
    keys: RwLock<Keys>,
    /// What stands in `seal.json`.
    stored: Mutex<Stored>,
    /// Why nothing may be taken or delivered now; none while the key may be used.
    refused: watch::Sender<Option<String>>,
    /// The current data key should be replaced ahead of its time.
    rotate: Notify,
    /// Values that one data key seals.
    uses_max: u64,
}

struct Keys {
    current: Arc<DataKey>,
    all: BTreeMap<u32, Arc<DataKey>>,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seal").field(&self.0.as_ref().map(|ring| ring.lock_stored().key_id.clone())).finish()
    }
}

impl Seal {
    /// Seals nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether anything is sealed.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The value as it goes to disk.
    pub(crate) fn seal(&self, space: &str, key: &[u8], value: Bytes) -> Result<Bytes, Error> {
        let Some(ring) = &self.0 else { return Ok(value) };
        let current = ring.current();
        let sealed = current.seal(space, key, &value)?;
        if current.uses.load(Ordering::Relaxed) >= ring.uses_max / 2 {
            ring.rotate.notify_one();
        }
        Ok(sealed.into())
    }

    /// The value as it was before it was sealed.
    pub(crate) fn unseal(&self, space: &str, key: &[u8], value: Bytes) -> Result<Bytes, Error> {
        let Some(ring) = &self.0 else { return Ok(value) };
        let id = key_id_of(space, &value)?;
        let data_key = ring.key(id).ok_or_else(|| Error::damaged(space, "seal.json doesn't list its data key"))?;
        Ok(data_key.open(space, key, &value)?.into())
    }

    /// Why nothing may be taken or delivered at this moment; none while the key may be used.
    pub(crate) fn refused(&self) -> Option<String> {
        self.0.as_ref().and_then(|ring| ring.refused.borrow().clone())
    }

    /// Waits until the key may be used. Cancel-safe.
    pub(crate) async fn usable(&self) {
        let Some(ring) = &self.0 else { return };
        // The sender lives in the ring, so this can't fail while it is borrowed.
        drop(ring.refused.subscribe().wait_for(Option::is_none).await);
    }

    /// Whether so many data keys are listed that it is worth finding out which of them are still needed.
    pub(crate) fn wants_pruning(&self) -> bool {
        self.0.as_ref().is_some_and(|ring| ring.lock_stored().data_keys.len() > KEYS_KEPT)
    }

    /// Drops all data keys but the current one and these. Nothing may be sealed or opened meanwhile.
    pub(crate) fn keep_only(&self, mut needed: BTreeSet<u32>) -> Result<(), Error> {
        let Some(ring) = &self.0 else { return Ok(()) };
        needed.insert(ring.current().id);
        ring.keep_only(&needed)
    }
}

/// The data keys that these sealed values name.
pub(crate) fn data_keys_of(sealed: impl Iterator<Item = Bytes>) -> Result<BTreeSet<u32>, Error> {
    sealed.map(|value| key_id_of("the journal", &value)).collect()
}

impl Ring {
    fn new(dir: &Path, stored: Stored, keys: BTreeMap<u32, Arc<DataKey>>) -> Result<Self, Error> {
        let (_, newest) = keys
            .last_key_value()
            .ok_or_else(|| Error::Json { path: stored::path(dir), why: "it lists no data key".to_owned() })?;
        Ok(Self {
            dir: dir.to_owned(),
            keys: RwLock::new(Keys { current: Arc::clone(newest), all: keys }),
            stored: Mutex::new(stored),
            refused: watch::Sender::new(None),
            rotate: Notify::new(),
            uses_max: USES_MAX,
        })
    }

    fn current(&self) -> Arc<DataKey> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner).current)
    }

    fn lock_stored(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current data key, as the key service reads it.
    fn current_stored(&self) -> StoredKey {
        let id = self.current().id;
        let stored = self.lock_stored();
        stored.data_keys.iter().find(|key| key.id == id).cloned().expect("the current data key is listed")
    }

    fn key(&self, id: u32) -> Option<Arc<DataKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).all.get(&id).cloned()
    }

    /// Lists a new data key durably, and only then seals with it.
    fn install(&self, data_key: DataKey, listed: StoredKey) -> Result<(), Error> {
        let mut stored = self.lock_stored();
        let mut next = stored.clone();
        next.add(listed);
        next.save(&self.dir)?;
        *stored = next;
        self.set_current(data_key);
        Ok(())
    }

    fn set_current(&self, data_key: DataKey) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let data_key = Arc::new(data_key);
        keys.all.insert(data_key.id, Arc::clone(&data_key));
        keys.current = data_key;
    }

    fn keep_only(&self, needed: &BTreeSet<u32>) -> Result<(), Error> {
        let mut stored = self.lock_stored();
        let mut next = stored.clone();
        next.data_keys.retain(|key| needed.contains(&key.id));
        if next.data_keys.len() < stored.data_keys.len() {
            tracing::info!(
                seal.kept = next.data_keys.len(),
                seal.dropped = stored.data_keys.len() - next.data_keys.len(),
                "data keys that nothing is sealed with any more are dropped"
            );
            next.save(&self.dir)?;
            *stored = next;
            self.keys.write().unwrap_or_else(PoisonError::into_inner).all.retain(|id, _| needed.contains(id));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
