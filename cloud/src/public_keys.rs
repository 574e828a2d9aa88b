//! The public key seam: the keys that digests were signed with, by the time in which they were valid.
//!
//! Owns: the trait and a key as it is listed. Does not own: what a signature is verified over. Keys from a file are read
//! by whoever verifies; they need no outside world.

pub(crate) mod cloudtrail;
#[cfg(any(test, feature = "fake"))]
pub(crate) mod fake;

pub use cloudtrail::CloudTrailKeys;
#[cfg(any(test, feature = "fake"))]
pub use fake::FakePublicKeys;

use crate::Error;
use async_trait::async_trait;
use jiff::Timestamp;
use std::fmt::Debug;

/// A public key and when it was valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    /// PKCS#1 `RSAPublicKey` in DER, as it was served.
    pub der: Vec<u8>,
    /// 32 lower-case hex digits: what a digest names its key by.
    pub fingerprint: String,
    /// When it began to be valid.
    pub valid_from: Timestamp,
    /// When it ceased to be.
    pub valid_until: Timestamp,
}

/// A place that lists the public keys of one region.
#[async_trait]
pub trait PublicKeySource: Send + Sync + Debug {
    /// Every key that was valid at some time from `start` to `end`.
    async fn list(&self, start: Timestamp, end: Timestamp) -> Result<Vec<ListedKey>, Error>;
}
