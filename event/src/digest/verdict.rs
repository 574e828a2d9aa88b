//! Whether a digest is what its signer wrote, checked in the AWS CLI's order and told in its words.

use serde::de::IgnoredAny;

use super::content::Content;
use super::hex::{from_hex, sha256_hex};
use super::{BACKFILL_TIMESTAMP_METADATA, Digest, PublicKeys, SIGNATURE_ALGORITHM_METADATA, SIGNATURE_METADATA};
use crate::key::{ObjectKey, classify};

/// Why a digest is INVALID. Displays as the AWS CLI words it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DigestFault {
    /// There is no such object.
    #[error("not found")]
    NotFound,
    /// It is not gzip of JSON, a member is missing, or a backfill digest has no generation timestamp.
    #[error("invalid format")]
    InvalidFormat,
    /// It was changed, or has no signature.
    #[error("signature verification failed")]
    Signature,
    /// It says that it belongs elsewhere.
    #[error("has been moved from its original location")]
    Moved,
    /// Its key is not among those known.
    #[error("public key not found in region {region} for fingerprint {fingerprint}")]
    KeyNotFound {
        /// The trail's home region, where the AWS CLI says that it looked.
        region: String,
        /// The digest's.
        fingerprint: String,
    },
    /// What is listed under its fingerprint is no key.
    #[error("Unable to load PKCS #1 key with fingerprint {fingerprint}")]
    KeyUnloadable {
        /// The digest's.
        fingerprint: String,
    },
    /// The signature has an odd number of characters.
    #[error("Odd-length string")]
    SignatureOddLength,
    /// The signature is not hex.
    #[error("Non-hexadecimal digit found")]
    SignatureNotHex,
}

/// A digest object as it was read.
#[derive(Clone, Copy, Debug)]
pub struct DigestRead<'a> {
    /// The bucket it was read from.
    pub bucket: &'a str,
    /// The key it was read under, with the location's prefix.
    pub key: &'a str,
    /// Its bytes.
    pub gz: &'a [u8],
    /// Its user metadata `signature`.
    pub signature: Option<&'a str>,
    /// Its user metadata `signature-algorithm`, which only has to be there.
    pub signature_algorithm: Option<&'a str>,
    /// Its user metadata `backfill-generation-timestamp`, which a backfill digest must have.
    pub backfill_timestamp: Option<&'a str>,
    /// The trail's home region, for messages.
    pub home_region: &'a str,
    /// Accept a copy under another bucket and prefix, so long as the key is the same from `AWSLogs/` on. The signature is
    /// over the original place in any case.
    pub moved: bool,
}

impl<'a> DigestRead<'a> {
    /// Takes signature, algorithm and timestamp out of an object's user metadata with `get`.
    pub fn with_metadata(self, get: impl Fn(&str) -> Option<&'a str>) -> Self {
        Self {
            signature: get(SIGNATURE_METADATA),
            signature_algorithm: get(SIGNATURE_ALGORITHM_METADATA),
            backfill_timestamp: get(BACKFILL_TIMESTAMP_METADATA),
            ..self
        }
    }
}

/// Checks a digest: format, metadata, members, place, key, signature, in this order. Gives the digest and the hex SHA-256
/// of its content.
///
/// Like the AWS CLI it doesn't look at `awsAccountId`, `previousDigestHashValue` or the names of algorithms. Other than
/// the AWS CLI it takes public keys that are wrapped as `SubjectPublicKeyInfo` too.
///
/// # Errors
/// The first fault, as the AWS CLI would report it.
pub fn verify_digest(
    read: &DigestRead<'_>,
    keys: &PublicKeys,
    content: &mut Content,
) -> Result<(Digest, String), DigestFault> {
    let json = content.digest(read.gz).ok_or(DigestFault::InvalidFormat)?;
    let digest = Digest::from_json(json);
    if digest.as_ref().is_err_and(|_| serde_json::from_slice::<IgnoredAny>(json).is_err()) {
        return Err(DigestFault::InvalidFormat);
    }
    let (Some(signature), Some(_)) = (read.signature, read.signature_algorithm) else {
        return Err(DigestFault::Signature);
    };
    if read.key.ends_with("_backfill.json.gz") && read.backfill_timestamp.is_none() {
        return Err(DigestFault::InvalidFormat);
    }
    let digest = digest.map_err(|_| DigestFault::InvalidFormat)?;
    if !in_place(&digest, read) {
        return Err(DigestFault::Moved);
    }
    let fingerprint = &digest.digest_public_key_fingerprint;
    let Some(listed) = keys.get(fingerprint) else {
        let region = read.home_region.to_owned();
        return Err(DigestFault::KeyNotFound { region, fingerprint: fingerprint.clone() });
    };
    let unloadable = |_| DigestFault::KeyUnloadable { fingerprint: fingerprint.clone() };
    let key = listed.key().map_err(unloadable)?;
    let hash = sha256_hex(json);
    if signature.len() % 2 != 0 {
        return Err(DigestFault::SignatureOddLength);
    }
    let signature = from_hex(signature).ok_or(DigestFault::SignatureNotHex)?;
    if !key.verify(digest.string_to_sign(&hash).as_bytes(), &signature) {
        return Err(DigestFault::Signature);
    }
    Ok((digest, hash))
}

fn in_place(digest: &Digest, read: &DigestRead<'_>) -> bool {
    if digest.digest_s3_bucket == read.bucket && digest.digest_s3_object == read.key {
        return true;
    }
    read.moved && below_prefix(&digest.digest_s3_object).is_some_and(|tail| below_prefix(read.key) == Some(tail))
}

/// The part of a digest's key from `AWSLogs/` on.
fn below_prefix(key: &str) -> Option<&str> {
    let (ObjectKey::Digest(digest) | ObjectKey::BackfillDigest(digest)) = classify(key) else { return None };
    let tail = key.strip_prefix(digest.folder.prefix.as_str())?;
    Some(tail.strip_prefix('/').unwrap_or(tail))
}
