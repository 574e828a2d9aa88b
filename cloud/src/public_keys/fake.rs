//! Public keys in memory, for tests. It can be told to fail.

use super::{ListedKey, PublicKeySource};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use jiff::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};

/// Keys that were handed over. Clones share what they are told.
#[derive(Clone, Debug)]
pub struct FakePublicKeys {
    keys: Vec<ListedKey>,
    failing: Arc<Mutex<Option<ErrorKind>>>,
}

impl FakePublicKeys {
    /// A source of these keys.
    pub fn new(keys: Vec<ListedKey>) -> Self {
        Self { keys, failing: Arc::default() }
    }

    /// Every call fails like this until told otherwise.
    pub fn set_failing(&self, kind: Option<ErrorKind>) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = kind;
    }
}

#[async_trait]
impl PublicKeySource for FakePublicKeys {
    async fn list(&self, start: Timestamp, end: Timestamp) -> Result<Vec<ListedKey>, Error> {
        if let Some(kind) = &*self.failing.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(Error::new(kind.clone(), "list", "public keys of the test").detail("as the test asked"));
        }
        let overlaps = |key: &&ListedKey| key.valid_from <= end && key.valid_until >= start;
        Ok(self.keys.iter().filter(overlaps).cloned().collect())
    }
}
