//! The key service seam: data keys for sealing what orgtrail keeps on disk.
//!
//! Owns: the trait, its promises, the secret's type, and the choice of implementation by key id. Does not own: what is
//! sealed with a data key, nor SSE-KMS, which S3 does itself (`object_store::KmsEncryption`).
//!
//! Promises of every implementation, judged by `conformance::key_service`: each data key is new; it is decrypted only
//! with exactly the context it was made with; anything else is `Malformed`.

#[cfg(any(test, feature = "fake"))]
pub(crate) mod fake;
pub(crate) mod kms;
pub(crate) mod local;

#[cfg(any(test, feature = "fake"))]
pub use fake::FakeKeyService;
pub use kms::KmsKeyService;
pub use local::LocalKeyService;

use crate::{Connection, Error, ErrorKind};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a data key is bound to. Not secret; must be given again to decrypt.
pub type EncryptionContext = BTreeMap<String, String>;

/// A secret in the clear: zeroed when dropped, never shown.
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// Takes over a secret.
    pub fn new(secret: Vec<u8>) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// The secret's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(…)")
    }
}

/// A new 256-bit key, in the clear to be used now and encrypted to be stored.
#[derive(Debug)]
pub struct DataKey {
    /// 32 bytes to encrypt with.
    pub plaintext: Plaintext,
    /// The same key as only the key service can read it.
    pub ciphertext: Vec<u8>,
}

/// A service that holds keys nobody can read and makes data keys under them.
#[async_trait]
pub trait KeyService: Send + Sync + fmt::Debug {
    /// A new data key under this key, bound to the context. `ContainerMissing` where there is no such key.
    async fn generate_data_key(&self, key_id: &str, context: &EncryptionContext) -> Result<DataKey, Error>;

    /// The data key in the clear again. The ciphertext itself says under which key it was made.
    async fn decrypt(&self, ciphertext: &[u8], context: &EncryptionContext) -> Result<Plaintext, Error>;
}

/// The service that holds a key: `file:///path` for a key file, else KMS, in the region that the ARN names.
pub async fn open_key_service(key_id: &str, connection: &Connection) -> Result<Arc<dyn KeyService>, Error> {
    if let Some(path) = key_id.strip_prefix("file://") {
        return Ok(Arc::new(LocalKeyService::open(Path::new(path))?));
    }
    if let Some(other) = key_id.split_once("://") {
        return Err(Error::new(ErrorKind::Invalid, "open", format!("key {key_id}"))
            .detail(format!("`{}` holds no keys: write file:///path or a KMS key's ARN, id or alias", other.0)));
    }
    Ok(Arc::new(KmsKeyService::open(key_id, connection).await?))
}
