//! The document that `aws cloudtrail list-public-keys` prints, both ways.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::public_key::{KeyError, PublicKey};

/// Why a document holds no list of public keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It is no JSON of this form.
    #[error("read public keys: not what `aws cloudtrail list-public-keys` prints: {0}")]
    Json(#[from] serde_json::Error),
    /// A time is neither seconds since 1970 nor RFC 3339.
    #[error("read public keys: `{0}` is neither seconds since 1970 nor a time such as 2026-03-01T10:00:00Z")]
    Time(String),
    /// A value isn't base64.
    #[error("read public keys: the value of key {0} is not base64")]
    Base64(String),
}

/// A key of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    /// The fingerprint that digests name it by.
    pub fingerprint: String,
    /// `Value`: normally DER of PKCS #1 `RSAPublicKey`.
    pub value: Vec<u8>,
    /// From when on it signs.
    pub validity_start: Timestamp,
    /// Until when it signs.
    pub validity_end: Timestamp,
    key: Result<PublicKey, KeyError>,
}

impl ListedKey {
    /// A key that signs in this time.
    pub fn new(key: PublicKey, validity_start: Timestamp, validity_end: Timestamp) -> Self {
        let (fingerprint, value) = (key.fingerprint().to_owned(), key.der().to_vec());
        Self { fingerprint, value, validity_start, validity_end, key: Ok(key) }
    }

    /// A key as ListPublicKeys serves it. A value that is no key is kept, as a digest may name it.
    pub fn served(fingerprint: String, value: Vec<u8>, validity_start: Timestamp, validity_end: Timestamp) -> Self {
        let key = PublicKey::from_der(&value);
        Self { fingerprint, value, validity_start, validity_end, key }
    }

    /// The key.
    ///
    /// # Errors
    /// The value is none.
    pub fn key(&self) -> Result<&PublicKey, KeyError> {
        self.key.as_ref().map_err(|error| *error)
    }

    /// Whether it signs at some moment from `start` to `end`, both included.
    pub fn overlaps(&self, start: Timestamp, end: Timestamp) -> bool {
        self.validity_start <= end && start <= self.validity_end
    }
}

/// A list of public keys: those that ever signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicKeys {
    keys: Vec<ListedKey>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    #[serde(rename = "PublicKeyList")]
    list: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    value: String,
    #[serde(default)]
    validity_start_time: Value,
    #[serde(default)]
    validity_end_time: Value,
    #[serde(default)]
    fingerprint: String,
}

impl PublicKeys {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the document. Times may be numbers, as the service writes them, or RFC 3339 text, as the AWS CLI does; one that
    /// is absent has no end. A fingerprint that is absent is computed.
    ///
    /// # Errors
    /// No such document. A value that is base64 of something else is no error: see [`ListedKey::key`].
    pub fn from_json(json: &[u8]) -> Result<Self, KeysError> {
        let document: Document = serde_json::from_slice(json)?;
        document.list.into_iter().map(read_item).collect::<Result<_, _>>().map(|keys| Self { keys })
    }

    /// The document, indented, with times as RFC 3339 text.
    pub fn to_json(&self) -> String {
        let list = self.keys.iter().map(|listed| Item {
            value: BASE64.encode(&listed.value),
            validity_start_time: Value::String(listed.validity_start.to_string()),
            validity_end_time: Value::String(listed.validity_end.to_string()),
            fingerprint: listed.fingerprint.clone(),
        });
        let document = Document { list: list.collect() };
        serde_json::to_string_pretty(&document).expect("texts and lists are always JSON") + "\n"
    }

    /// All keys, in the document's order.
    pub fn iter(&self) -> impl Iterator<Item = &ListedKey> {
        self.keys.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key that a digest names: by the fingerprint in the list or, as others may have written the list, by the key's own.
    pub fn get(&self, fingerprint: &str) -> Option<&ListedKey> {
        let own = |listed: &&ListedKey| listed.key().is_ok_and(|key| key.fingerprint() == fingerprint);
        self.keys.iter().find(|listed| listed.fingerprint == fingerprint).or_else(|| self.keys.iter().find(own))
    }

    /// Adds a key. One with the same fingerprint keeps its place and takes the wider time of both.
    pub fn add(&mut self, key: ListedKey) {
        match self.keys.iter_mut().find(|listed| listed.fingerprint == key.fingerprint) {
            Some(listed) => {
                listed.validity_start = listed.validity_start.min(key.validity_start);
                listed.validity_end = listed.validity_end.max(key.validity_end);
            }
            None => self.keys.push(key),
        }
    }

    /// The keys that sign at some moment from `start` to `end`, both included: what ListPublicKeys answers.
    pub fn overlapping(&self, start: Timestamp, end: Timestamp) -> Self {
        Self { keys: self.keys.iter().filter(|listed| listed.overlaps(start, end)).cloned().collect() }
    }
}

impl FromIterator<ListedKey> for PublicKeys {
    fn from_iter<I: IntoIterator<Item = ListedKey>>(keys: I) -> Self {
        let mut list = Self::new();
        keys.into_iter().for_each(|key| list.add(key));
        list
    }
}

fn read_item(item: Item) -> Result<ListedKey, KeysError> {
    let name = if item.fingerprint.is_empty() { "without a fingerprint" } else { &item.fingerprint };
    // Line ends come with values that were pasted from `openssl base64`.
    let text: String = item.value.split_ascii_whitespace().collect();
    let value = BASE64.decode(text).map_err(|_| KeysError::Base64(name.to_owned()))?;
    let start = read_time(&item.validity_start_time)?.unwrap_or(Timestamp::MIN);
    let end = read_time(&item.validity_end_time)?.unwrap_or(Timestamp::MAX);
    let mut listed = ListedKey::served(item.fingerprint, value, start, end);
    if listed.fingerprint.is_empty() {
        listed.fingerprint = listed.key().map(|key| key.fingerprint().to_owned()).unwrap_or_default();
    }
    Ok(listed)
}

/// Seconds since 1970, with or without a fraction, or RFC 3339 with any offset.
fn read_time(value: &Value) -> Result<Option<Timestamp>, KeysError> {
    let wrong = || KeysError::Time(value.to_string());
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => {
            let seconds = number.as_f64().ok_or_else(wrong)?;
            let since = SignedDuration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
            Timestamp::from_duration(since).map(Some).map_err(|_| wrong())
        }
        Value::String(text) => text.parse().map(Some).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}
