//! A key service in memory, for tests: it hides nothing, and it can be told to fail.

use super::{DataKey, EncryptionContext, KeyService, Plaintext};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};

/// A service with one key. Clones share it. A ciphertext is an index into what it gave out.
#[derive(Clone, Debug)]
pub struct FakeKeyService {
    key_id: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    given: Vec<(Vec<u8>, EncryptionContext)>,
    failing: Option<ErrorKind>,
}

impl FakeKeyService {
    /// A service that holds this key only.
    pub fn new(key_id: impl Into<String>) -> Self {
        Self { key_id: key_id.into(), state: Arc::default() }
    }

    /// Every call fails like this until told otherwise.
    pub fn set_failing(&self, kind: Option<ErrorKind>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failing = kind;
    }

    fn enter(&self, verb: &'static str) -> Result<std::sync::MutexGuard<'_, State>, Error> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.failing {
            Some(kind) => Err(Error::new(kind.clone(), verb, "a data key").detail("as the test asked")),
            None => Ok(state),
        }
    }
}

#[async_trait]
impl KeyService for FakeKeyService {
    async fn generate_data_key(&self, key_id: &str, context: &EncryptionContext) -> Result<DataKey, Error> {
        let mut state = self.enter("generate")?;
        if key_id != self.key_id {
            return Err(Error::new(ErrorKind::ContainerMissing, "generate a data key under", format!("key {key_id}")));
        }
        let number = state.given.len() as u64;
        let secret: Vec<u8> = number.to_be_bytes().repeat(4);
        state.given.push((secret.clone(), context.clone()));
        Ok(DataKey { plaintext: Plaintext::new(secret), ciphertext: format!("fake-{number}").into_bytes() })
    }

    async fn decrypt(&self, ciphertext: &[u8], context: &EncryptionContext) -> Result<Plaintext, Error> {
        let state = self.enter("decrypt")?;
        let number = ciphertext.strip_prefix(b"fake-").and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
        let given = number.and_then(|number: usize| state.given.get(number));
        match given {
            Some((secret, bound)) if bound == context => Ok(Plaintext::new(secret.clone())),
            _ => Err(Error::new(ErrorKind::Malformed, "decrypt", "a data key")),
        }
    }
}
