//! A key file as key service, where there is no KMS: AES-256-GCM under 32 random bytes.
//!
//! Owns: the file's form and the ciphertext's. Does not own: keeping the file safe; whoever reads it reads everything
//! sealed under it, and without it nothing is ever read again.
//!
//! The file holds the base64 of 32 random bytes, as `openssl rand -base64 32` prints it, readable by its owner alone.
//! A ciphertext is `OTK1`, 8 bytes that name the key, a 12-byte nonce, and the sealed data key with its 16-byte tag; the
//! context is authenticated with it. Random nonces are good for 2^32 data keys under one file.

use super::{DataKey, EncryptionContext, KeyService, Plaintext};
use crate::key_file::{self, subject};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const MAGIC: &[u8; 4] = b"OTK1";
const NAME_LEN: usize = 8;
const KEY_LEN: usize = 32;

/// A key file in use. The key stays in memory as long as this lives.
pub struct LocalKeyService {
    path: PathBuf,
    name: [u8; NAME_LEN],
    key: LessSafeKey,
}

impl fmt::Debug for LocalKeyService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKeyService").field("path", &self.path).finish_non_exhaustive()
    }
}

impl LocalKeyService {
    /// Makes a key file that only its owner may read, durable when this returns. Never replaces one.
    pub fn create(path: &Path) -> Result<(), Error> {
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        fill_random(&mut secret[..], "create", || subject(path))?;
        key_file::create(path, Zeroizing::new(format!("{}\n", BASE64.encode(&secret[..]))).as_bytes())
    }

    /// Reads a key file. `Invalid` where it is absent, readable by others, or no key: a key file made in place of one
    /// that is merely not mounted would make everything sealed before unreadable, so none is made here.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let form = format!("make one with: (umask 077; openssl rand -base64 32 > {})", path.display());
        let text = key_file::read(path, &form)?;
        let secret = BASE64.decode(text.trim_ascii()).map(Zeroizing::new).unwrap_or_default();
        let key = UnboundKey::new(&AES_256_GCM, &secret)
            .map_err(|_| key_file::invalid(path, format!("no base64 of 32 bytes; {form}")))?;
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(b"orgtrail key name");
        hash.update(&secret);
        let mut name = [0; NAME_LEN];
        name.copy_from_slice(&hash.finish().as_ref()[..NAME_LEN]);
        Ok(Self { path: path.to_owned(), name, key: LessSafeKey::new(key) })
    }

    /// The id to give to `generate_data_key`.
    pub fn key_id(&self) -> String {
        format!("file://{}", self.path.display())
    }
}

#[async_trait]
impl KeyService for LocalKeyService {
    async fn generate_data_key(&self, key_id: &str, context: &EncryptionContext) -> Result<DataKey, Error> {
        const VERB: &str = "generate a data key under";
        let at = || subject(&self.path);
        if key_id != self.key_id() {
            return Err(Error::new(ErrorKind::ContainerMissing, VERB, format!("key {key_id}"))
                .detail(format!("only {} is open", self.key_id())));
        }
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        fill_random(&mut secret[..], VERB, at)?;
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce, VERB, at)?;
        let mut ciphertext = [&MAGIC[..], &self.name, &nonce].concat();
        let mut sealed = Zeroizing::new(secret.to_vec());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound(context)), &mut *sealed)
            .map_err(|_| Error::new(ErrorKind::Other, VERB, at()))?;
        ciphertext.extend_from_slice(&sealed);
        Ok(DataKey { plaintext: Plaintext::new(secret.to_vec()), ciphertext })
    }

    async fn decrypt(&self, ciphertext: &[u8], context: &EncryptionContext) -> Result<Plaintext, Error> {
        let malformed = |why: &str| Error::new(ErrorKind::Malformed, "decrypt", "a data key").detail(why);
        let sealed = ciphertext.strip_prefix(MAGIC).ok_or_else(|| malformed("not made under a key file"))?;
        let Some((name, sealed)) = sealed.split_at_checked(NAME_LEN) else { return Err(malformed("cut off")) };
        if name != self.name {
            return Err(malformed(&format!("made under another key file than {}", self.path.display())));
        }
        let Some((nonce, sealed)) = sealed.split_first_chunk::<NONCE_LEN>() else { return Err(malformed("cut off")) };
        let mut opened = Zeroizing::new(sealed.to_vec());
        let secret = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound(context)), &mut opened)
            .map_err(|_| malformed("damaged, or another context than it was made with"))?;
        Ok(Plaintext::new(secret.to_vec()))
    }
}

/// The context as bytes to authenticate. Lengths go before the texts, so that no two contexts give the same bytes.
fn bound(context: &EncryptionContext) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in context.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

fn fill_random(bytes: &mut [u8], verb: &'static str, subject: impl Fn() -> String) -> Result<(), Error> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| Error::new(ErrorKind::Unavailable, verb, subject()).detail("no random bytes from the system"))
}
