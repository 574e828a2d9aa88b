//! An RSA public key, as CloudTrail's ListPublicKeys serves it.

use md5::{Digest as _, Md5};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

use super::hex::to_hex;

/// Tags of DER (ITU-T X.690) that a key is made of.
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// Content octets of the object identifier rsaEncryption, 1.2.840.113549.1.1.1 (RFC 8017), with tag and length.
const RSA_ENCRYPTION: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// Why bytes are no RSA public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no DER of a PKCS #1 RSAPublicKey, nor of a SubjectPublicKeyInfo around one")]
pub struct KeyError;

/// An RSA public key. Keeps the PKCS #1 DER, of which the fingerprint is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PublicKey {
    der: Vec<u8>,
    fingerprint: String,
}

impl PublicKey {
    /// Reads a key: DER of PKCS #1 `RSAPublicKey`, which is what CloudTrail serves, or of the `SubjectPublicKeyInfo` that
    /// KMS GetPublicKey gives, out of which the former is taken.
    ///
    /// # Errors
    /// What is neither, bytes behind the key included.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let pkcs1 =
            if is_pkcs1(der) { der } else { unwrap_spki(der).filter(|inner| is_pkcs1(inner)).ok_or(KeyError)? };
        Ok(Self { der: pkcs1.to_vec(), fingerprint: to_hex(&Md5::digest(pkcs1)) })
    }

    /// The key as DER of PKCS #1 `RSAPublicKey`; in base64 that is ListPublicKeys' `Value`.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// `digestPublicKeyFingerprint`: lower-case hex of the MD5 of [`PublicKey::der`].
    ///
    /// AWS doesn't say how it is made; all pairs in its documentation agree. It only finds a key, and protects nothing.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether `signature` is this key's over `message` by RSASSA-PKCS1-v1_5 with SHA-256. False for keys of less than
    /// 2048 or more than 8192 bits.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.der).verify(message, signature).is_ok()
    }
}

/// `SEQUENCE { INTEGER, INTEGER }`, and nothing behind it.
fn is_pkcs1(der: &[u8]) -> bool {
    let integers = |body| {
        let (_, rest) = take(body, INTEGER)?;
        take(rest, INTEGER).filter(|(_, rest)| rest.is_empty())
    };
    take(der, SEQUENCE).is_some_and(|(body, rest)| rest.is_empty() && integers(body).is_some())
}

/// `SEQUENCE { SEQUENCE { rsaEncryption, … }, BIT STRING }`: what the bit string holds (RFC 5280, 4.1).
fn unwrap_spki(der: &[u8]) -> Option<&[u8]> {
    let (body, rest) = take(der, SEQUENCE)?;
    let (algorithm, after) = take(body, SEQUENCE)?;
    let (bits, end) = take(after, BIT_STRING)?;
    let fits = rest.is_empty() && end.is_empty() && algorithm.starts_with(RSA_ENCRYPTION);
    // The first octet says how many bits of the last one are unused.
    bits.strip_prefix(&[0]).filter(|_| fits)
}

/// Takes an element with this tag off the start: its content, and what stands behind it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [first, len, rest @ ..] = der else { return None };
    if *first != tag {
        return None;
    }
    let (len, rest) = match usize::from(*len) {
        len @ 0..=0x7f => (len, rest),
        // Two octets of length are enough for keys of any use.
        0x81 => rest.split_first().map(|(len, rest)| (usize::from(*len), rest))?,
        0x82 => rest.split_first_chunk::<2>().map(|(len, rest)| (usize::from(u16::from_be_bytes(*len)), rest))?,
        _ => return None,
    };
    rest.split_at_checked(len)
}
