//! A key file as signer, where there is no KMS.
//!
//! Owns: the file's form. Does not own: keeping the file safe; whoever reads it can sign in orgtrail's name.
//!
//! The file holds an RSA private key of 2048 to 4096 bits as PEM, PKCS#8 (`BEGIN PRIVATE KEY`) or PKCS#1 (`BEGIN RSA
//! PRIVATE KEY`), without a passphrase, readable by its owner alone. ring signs; the rsa crate only makes new keys, which
//! ring can't.

use super::{Signer, check};
use crate::key_file::{self, subject};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use rsa::rand_core::OsRng;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use std::fmt;
use std::path::{Path, PathBuf};

/// The size of a new key, and that of CloudTrail's own.
const KEY_BITS: usize = 2048;

/// A key file in use. The key stays in memory as long as this lives.
pub struct LocalSigner {
    path: PathBuf,
    key: RsaKeyPair,
}

impl fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSigner").field("path", &self.path).finish_non_exhaustive()
    }
}

impl LocalSigner {
    /// Makes a key file with a new RSA key of 2048 bits as PKCS#8, durable when this returns. Never replaces one. Takes
    /// a second or so of the processor.
    pub fn create(path: &Path) -> Result<(), Error> {
        let failed = |why: String| Error::new(ErrorKind::Other, "create", subject(path)).detail(why);
        let key = RsaPrivateKey::new(&mut OsRng, KEY_BITS).map_err(|error| failed(error.to_string()))?;
        let text = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| failed(error.to_string()))?;
        key_file::create(path, text.as_bytes())
    }

    /// Reads a key file. `Invalid` where it is absent, readable by others, or no RSA key.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let form = format!("make one with: orgtrail keys create --signing {}", path.display());
        let text = key_file::read(path, &form)?;
        let key = key_pair(&text).map_err(|why| key_file::invalid(path, format!("{why}; {form}")))?;
        Ok(Self { path: path.to_owned(), key })
    }

    /// The id to write in a configuration.
    pub fn key_id(&self) -> String {
        format!("file://{}", self.path.display())
    }
}

#[async_trait]
impl Signer for LocalSigner {
    async fn public_key(&self) -> Result<Vec<u8>, Error> {
        Ok(public_key(&self.key))
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        sign(&self.key, &subject(&self.path), message)
    }
}

/// The key in a PEM text, or why there is none.
pub(super) fn key_pair(text: &[u8]) -> Result<RsaKeyPair, String> {
    let der = PrivateKeyDer::from_pem_slice(text).map_err(|error| format!("no private key as PEM: {error}"))?;
    let key = match &der {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err("it holds no RSA key".to_owned()),
    };
    key.map_err(|why| format!("no RSA key of 2048 to 4096 bits: {why}"))
}

/// The public half as PKCS#1 DER, which is ring's form too.
pub(super) fn public_key(key: &RsaKeyPair) -> Vec<u8> {
    key.public_key().as_ref().to_vec()
}

/// Half a millisecond for 2048 bits: short enough for the async threads.
pub(super) fn sign(key: &RsaKeyPair, subject: &str, message: &[u8]) -> Result<Vec<u8>, Error> {
    check(subject, message)?;
    let mut signature = vec![0; key.public().modulus_len()];
    // The random numbers blind the computation; the signature is the same each time.
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| Error::new(ErrorKind::Unavailable, "sign with", subject).detail("no random bytes"))?;
    Ok(signature)
}
