//! What the journal knows of one object without touching its payload: enough to plan a delivery.
//!
//! Stored as JSON beside the payload, so that an operator with a key-value browser can read it.

use orgtrail_event::key::LogKey;
use orgtrail_proto::ObjectRef;
use serde::{Deserialize, Serialize};

/// One journaled object, without its bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Location of the source.
    pub source: String,
    /// Key below the source location; it says account, region and day.
    pub key: String,
    /// The source's entity tag.
    pub etag: String,
    /// Hex SHA-256 of the inflated source file: the name that the source's digests know it by.
    pub sha256: String,
    /// Records that are to be delivered: read, less duplicates and bad ones.
    pub kept: u64,
    /// JSON bytes of those records.
    pub kept_bytes: u64,
    /// Length of the payload. Zero when nothing is to be delivered: then no payload is stored.
    pub gzip_bytes: u64,
    /// Length of the inflated payload.
    pub inflated_bytes: u64,
    /// Ordinals (among the readable records of the file) of those that are left out, ascending.
    pub omit: Vec<u32>,
    /// Whether the payload may be delivered byte for byte: nothing left out, nothing damaged, one gzip member.
    pub verbatim: bool,
}

impl Head {
    /// A head with nothing decided yet.
    pub fn new(reference: &ObjectRef) -> Self {
        Self {
            source: reference.source.clone(),
            key: reference.key.clone(),
            etag: reference.etag.clone(),
            sha256: hex(&reference.sha256),
            kept: 0,
            kept_bytes: 0,
            gzip_bytes: 0,
            inflated_bytes: reference.inflated_bytes,
            omit: Vec::new(),
            verbatim: false,
        }
    }

    /// The parsed key. Only objects whose key is a log file's get into the journal.
    pub fn log_key(&self) -> Option<LogKey> {
        match orgtrail_event::key::classify(&self.key) {
            orgtrail_event::key::ObjectKey::Log(key) => Some(key),
            _ => None,
        }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
