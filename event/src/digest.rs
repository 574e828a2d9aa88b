//! Digest files: the signed list of the log files of an hour, and what validation says of one.
//!
//! Owns the document ([`Digest`]), the text that is signed ([`string_to_sign`]), public keys ([`PublicKey`],
//! [`PublicKeys`]), our own member with the origin of each log file ([`Custody`]), and the verdicts that the AWS CLI's
//! `validate-logs` gives ([`verify_digest`], [`Content::verify_log`]). Does not own signing, listing, or the walk from one
//! digest to the one before.
//!
//! Source: CloudTrail user guide, "CloudTrail digest file structure" and "Custom implementations of CloudTrail log file
//! integrity validation"; the verdicts are those of awscli 1.46.2.

mod content;
mod custody;
mod hex;
mod public_key;
mod public_keys;
mod verdict;

use serde::{Deserialize, Deserializer, Serialize};

pub use self::content::{Content, LogFault};
pub use self::custody::{BackfillRef, Custody, CustodyFault, SourceDigest, SourceFile, Sources};
pub use self::hex::{from_hex, sha256_hex, to_hex};
pub use self::public_key::{KeyError, PublicKey};
pub use self::public_keys::{KeysError, ListedKey, PublicKeys};
pub use self::verdict::{DigestFault, DigestRead, verify_digest};

/// What `digestSignatureAlgorithm`, and the metadata `signature-algorithm`, say: RSASSA-PKCS1-v1_5 with SHA-256.
pub const SIGNATURE_ALGORITHM: &str = "SHA256withRSA";

/// What `hashAlgorithm` and `previousDigestHashAlgorithm` say.
pub const HASH_ALGORITHM: &str = "SHA-256";

/// The digest object's user metadata that holds the signature, in lower-case hex.
pub const SIGNATURE_METADATA: &str = "signature";

/// The digest object's user metadata that holds [`SIGNATURE_ALGORITHM`].
pub const SIGNATURE_ALGORITHM_METADATA: &str = "signature-algorithm";

/// The user metadata that only a backfill digest has: when it was made, as `2025-05-20T00:00:00.000Z`.
pub const BACKFILL_TIMESTAMP_METADATA: &str = "backfill-generation-timestamp";

/// A digest, with CloudTrail's members in CloudTrail's order. Times are text as CloudTrail writes it,
/// `YYYY-MM-DDThh:mm:ssZ`. Members that are not known are passed over when a digest is read; those that the AWS CLI
/// requires must be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    /// The account whose log files are listed.
    #[serde(default)]
    pub aws_account_id: String,
    /// Start of the hour; log files that were delivered from it on are listed.
    pub digest_start_time: String,
    /// End of the hour, which is the start of the next digest's.
    pub digest_end_time: String,
    /// The bucket that the digest itself lies in.
    #[serde(rename = "digestS3Bucket")]
    pub digest_s3_bucket: String,
    /// The digest's own key.
    #[serde(rename = "digestS3Object")]
    pub digest_s3_object: String,
    /// The key it was signed with: [`PublicKey::fingerprint`].
    pub digest_public_key_fingerprint: String,
    /// [`SIGNATURE_ALGORITHM`].
    #[serde(default)]
    pub digest_signature_algorithm: String,
    /// The newest event of all listed log files; `null` where none is listed.
    #[serde(default)]
    pub newest_event_time: Option<String>,
    /// The oldest event of all listed log files; `null` where none is listed.
    #[serde(default)]
    pub oldest_event_time: Option<String>,
    /// The bucket of the digest before this one; `null` where a chain starts, as are the next four.
    #[serde(default, rename = "previousDigestS3Bucket")]
    pub previous_digest_s3_bucket: Option<String>,
    /// The key of the digest before this one.
    #[serde(default, rename = "previousDigestS3Object")]
    pub previous_digest_s3_object: Option<String>,
    /// Hex SHA-256 of the uncompressed digest before this one.
    #[serde(default)]
    pub previous_digest_hash_value: Option<String>,
    /// [`HASH_ALGORITHM`].
    #[serde(default)]
    pub previous_digest_hash_algorithm: Option<String>,
    /// Hex signature of the digest before this one.
    #[serde(deserialize_with = "present")]
    pub previous_digest_signature: Option<String>,
    /// The log files; empty in an hour without any.
    pub log_files: Vec<LogFile>,
    /// Where the log files came from. Only orgtrail writes it; the AWS CLI passes over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orgtrail: Option<Custody>,
}

/// A log file as a digest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogFile {
    /// Its bucket.
    #[serde(rename = "s3Bucket")]
    pub s3_bucket: String,
    /// Its key.
    #[serde(rename = "s3Object")]
    pub s3_object: String,
    /// Hex SHA-256 of its uncompressed content.
    pub hash_value: String,
    /// [`HASH_ALGORITHM`].
    #[serde(default)]
    pub hash_algorithm: String,
    /// Its newest event; `null` where no record has a time.
    #[serde(default)]
    pub newest_event_time: Option<String>,
    /// Its oldest event.
    #[serde(default)]
    pub oldest_event_time: Option<String>,
}

/// A member that may be `null` but not absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

impl Digest {
    /// The digest as CloudTrail writes it: compact JSON. The digest file is this as gzip, one member; its SHA-256 is what
    /// is signed.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and lists are always JSON")
    }

    /// Reads a digest's uncompressed content.
    ///
    /// # Errors
    /// What is no JSON, and what lacks a member that the AWS CLI requires.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// What is signed: [`string_to_sign`] of this digest with the SHA-256 of its uncompressed content.
    pub fn string_to_sign(&self, sha256_hex: &str) -> String {
        string_to_sign(
            &self.digest_end_time,
            &self.digest_s3_bucket,
            &self.digest_s3_object,
            sha256_hex,
            self.previous_digest_signature.as_deref(),
        )
    }
}

/// What a digest's signature is made over: four lines, the last without an end; `null` for no previous signature.
///
/// The signature is RSASSA-PKCS1-v1_5 with SHA-256 over this text, as lower-case hex in the object's metadata
/// [`SIGNATURE_METADATA`].
pub fn string_to_sign(
    end_time: &str,
    bucket: &str,
    object: &str,
    sha256_hex: &str,
    previous_signature: Option<&str>,
) -> String {
    format!("{end_time}\n{bucket}/{object}\n{sha256_hex}\n{}", previous_signature.unwrap_or("null"))
}

#[cfg(test)]
mod tests;
