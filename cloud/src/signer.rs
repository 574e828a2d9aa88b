//! The signer seam: RSA signatures of what orgtrail vouches for, as CloudTrail signs its digests.
//!
//! Owns: the trait, its promises, and the choice of implementation by key id. Does not own: what is signed, nor when a
//! public key was valid.
//!
//! Promises of every implementation, judged by `conformance::signer`: a signature is RSASSA-PKCS1-v1_5 with SHA-256 over
//! the message, made with the private half of `public_key`; the same message always has the same signature; a message
//! that is empty or over `MESSAGE_BYTES_MAX` is `Malformed`.

#[cfg(any(test, feature = "fake"))]
pub(crate) mod fake;
pub(crate) mod kms;
pub(crate) mod local;

#[cfg(any(test, feature = "fake"))]
pub use fake::FakeSigner;
pub use kms::KmsSigner;
pub use local::LocalSigner;

use crate::{Connection, Error, ErrorKind};
use async_trait::async_trait;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

/// Most bytes of a message. Source: KMS API reference, Sign, with MessageType RAW.
pub const MESSAGE_BYTES_MAX: usize = 4096;

/// A private key that nobody reads and that signs.
#[async_trait]
pub trait Signer: Send + Sync + Debug {
    /// The public key as PKCS#1 `RSAPublicKey` in DER, which is what CloudTrail's ListPublicKeys serves. Asked for once,
    /// then remembered: it stays the same as long as this lives.
    async fn public_key(&self) -> Result<Vec<u8>, Error>;

    /// The signature of a message of 1 to `MESSAGE_BYTES_MAX` bytes, which is hashed here. As long as the key: 256 bytes
    /// for 2048 bits.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error>;
}

/// The signer of a key: `file:///path.pem` for a key file, else KMS, in the region that the ARN names. A key file is read
/// now; KMS is not called before the first use, so that a process starts, shows the error and goes on when the key can
/// be used.
pub async fn open_signer(key_id: &str, connection: &Connection) -> Result<Arc<dyn Signer>, Error> {
    if let Some(path) = key_id.strip_prefix("file://") {
        return Ok(Arc::new(LocalSigner::open(Path::new(path))?));
    }
    if let Some((scheme, _)) = key_id.split_once("://") {
        return Err(Error::new(ErrorKind::Invalid, "open", format!("key {key_id}"))
            .detail(format!("`{scheme}` holds no keys: write file:///path.pem or a KMS key's ARN, id or alias")));
    }
    Ok(Arc::new(KmsSigner::open(key_id, connection).await?))
}

/// Refuses what KMS would: every implementation asks here first, so that a message good for one is good for all.
pub(crate) fn check(subject: &str, message: &[u8]) -> Result<(), Error> {
    if message.is_empty() || message.len() > MESSAGE_BYTES_MAX {
        let why = format!("{} bytes, a message has 1 to {MESSAGE_BYTES_MAX}", message.len());
        return Err(Error::new(ErrorKind::Malformed, "sign with", subject).detail(why));
    }
    Ok(())
}
