//! A signer in memory, for tests: always with the same key, and it can be told to fail.

use super::{Signer, local};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use ring::signature::RsaKeyPair;
use std::sync::{Arc, Mutex, PoisonError};

/// A signer with a key that everybody knows, so that a test sees the same signatures each time. Clones share it.
#[derive(Clone, Debug)]
pub struct FakeSigner {
    key: Arc<RsaKeyPair>,
    failing: Arc<Mutex<Option<ErrorKind>>>,
}

impl Default for FakeSigner {
    fn default() -> Self {
        let key = local::key_pair(include_bytes!("fake.pem")).expect("the file beside this one is an RSA key");
        Self { key: Arc::new(key), failing: Arc::default() }
    }
}

impl FakeSigner {
    /// Every call fails like this until told otherwise.
    pub fn set_failing(&self, kind: Option<ErrorKind>) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = kind;
    }

    fn enter(&self, verb: &'static str) -> Result<(), Error> {
        match &*self.failing.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(kind) => Err(Error::new(kind.clone(), verb, "the test's key").detail("as the test asked")),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Signer for FakeSigner {
    async fn public_key(&self) -> Result<Vec<u8>, Error> {
        self.enter("get the public key of")?;
        Ok(local::public_key(&self.key))
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.enter("sign with")?;
        local::sign(&self.key, "the test's key", message)
    }
}
