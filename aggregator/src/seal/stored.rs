//! `seal.json`: which key the state folder is sealed under, and its data keys as only the key service can read them.
//!
//! It holds no secret, and without it nothing that is sealed can be read. A journal's copy is of use only with its copy.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use orgtrail_cloud::key_service::EncryptionContext;
use orgtrail_service::durable;
use serde::{Deserialize, Serialize};

use super::Error;

const FILE: &str = "seal.json";
const VERSION: u32 = 1;

/// The file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    version: u32,
    /// As the configuration named it when the first data key was made.
    pub(super) key_id: String,
    /// Ids are never given twice.
    next_id: u32,
    /// Ascending by id.
    pub(super) data_keys: Vec<StoredKey>,
}

/// One data key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredKey {
    /// As sealed values name it.
    pub(super) id: u32,
    /// When it was made.
    pub(super) created_at: Timestamp,
    /// What it was bound to. Kept, so that a trail that is added or a folder that is moved later changes nothing.
    pub(super) context: EncryptionContext,
    /// Only the key service can read it.
    #[serde(with = "base64_text")]
    pub(super) ciphertext: Vec<u8>,
}

impl Stored {
    /// Without data keys yet.
    pub(super) fn new(key_id: &str) -> Self {
        Self { version: VERSION, key_id: key_id.to_owned(), next_id: 1, data_keys: Vec::new() }
    }

    /// Without data keys yet, for a journal that is written anew: ids go on from those before.
    pub(super) fn after(before: Option<&Self>, key_id: &str) -> Self {
        Self { next_id: before.map_or(1, |before| before.next_id), ..Self::new(key_id) }
    }

    /// None: the folder isn't sealed.
    pub(super) fn load(dir: &Path) -> Result<Option<Self>, Error> {
        let path = path(dir);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let stored: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Json { path: path.clone(), why: error.to_string() })?;
        if stored.version != VERSION {
            return Err(Error::Json { path, why: format!("version {}, expected {VERSION}", stored.version) });
        }
        Ok(Some(stored))
    }

    /// Durable when it returns.
    pub(super) fn save(&self, dir: &Path) -> Result<(), Error> {
        let mut text = serde_json::to_vec_pretty(self).expect("strings, numbers and times are always JSON");
        text.push(b'\n');
        let path = path(dir);
        durable::write(&path, &text).map_err(Error::io("write", &path))
    }

    /// The id for the next data key.
    pub(super) fn next_id(&self) -> u32 {
        self.next_id
    }

    pub(super) fn add(&mut self, key: StoredKey) {
        self.next_id = key.id + 1;
        self.data_keys.push(key);
    }
}

/// Where the file is.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Bytes as base64 text.
pub(super) mod base64_text {
    use super::{BASE64, Deserialize, Serialize};
    use base64::Engine as _;

    pub(in super::super) fn serialize<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        BASE64.encode(bytes).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text).map_err(serde::de::Error::custom)
    }
}

/// The same for a field of a quarantine entry.
pub(super) fn to_text(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The bytes behind [`to_text`].
pub(super) fn from_text(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}
