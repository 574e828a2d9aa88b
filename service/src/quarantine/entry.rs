//! One thing that was put aside, and the id it is known by.
//!
//! It owns the JSON an entry is kept as; a field more is no problem for an older reader.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Error;

/// The id of an entry: 16 bytes, written as 32 hexadecimal digits. A function of what is put aside, so that putting the
/// same thing aside twice makes one entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; 16]);

impl Id {
    /// The id of the thing that `parts` name, such as a location, a key and an offset: the first half of a SHA-256 over
    /// them, each with its length in front, so that no two lists of parts read the same.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&context.finish().as_ref()[..16]);
        Self(id)
    }

    /// An id that the owner made itself.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Id {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = if is_id { u128::from_str_radix(text, 16).ok() } else { None };
        number.map(|number| Self(number.to_be_bytes())).ok_or_else(|| Error::NotAnId(text.to_owned()))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// One thing that was put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is known by.
    pub id: Id,
    /// Why, as one word in snake_case: it is a metric label too, so there are few.
    pub reason: String,
    /// What, for people: `s3://bucket/key`, or `s3://bucket/key#offset` for a record.
    pub subject: String,
    /// What exactly is wrong with it.
    pub detail: String,
    /// When it was first put aside.
    pub quarantined_at: Timestamp,
    /// How often it was tried; 1 for a new entry.
    pub attempts: u32,
    /// What the owner needs to try it again, and what helps a person.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// The thing itself where it is small enough to keep, as base64. The owner caps its size.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "base64_text")]
    pub payload: Option<Vec<u8>>,
}

impl Entry {
    /// A first attempt at `subject`, without fields or payload.
    #[must_use]
    pub fn new(
        id: Id,
        reason: impl Into<String>,
        subject: impl Into<String>,
        detail: impl Into<String>,
        quarantined_at: Timestamp,
    ) -> Self {
        Self {
            id,
            reason: reason.into(),
            subject: subject.into(),
            detail: detail.into(),
            quarantined_at,
            attempts: 1,
            fields: BTreeMap::new(),
            payload: None,
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn with_field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// Adds the thing itself.
    #[must_use]
    pub fn with_payload(mut self, payload: Vec<u8>) -> Self {
        self.payload = Some(payload);
        self
    }
}

mod base64_text {
    use super::{Deserialize, Deserializer, Engine, STANDARD, Serializer, de};

    #[expect(clippy::ref_option, reason = "serde asks for this signature")]
    pub(super) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => serializer.serialize_some(&STANDARD.encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| STANDARD.decode(text).map_err(de::Error::custom)).transpose()
    }
}
