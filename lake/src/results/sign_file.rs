//! `result_sign.json`: which files a query's results are, their hashes, and the signature over these.

use orgtrail_event::digest::{HASH_ALGORITHM, PublicKey, SIGNATURE_ALGORITHM, from_hex};
use serde::{Deserialize, Serialize};

/// The sign file's name.
pub const SIGN_FILE: &str = "result_sign.json";

/// The version that AWS writes.
const VERSION: &str = "1.0";

/// The sign file, with AWS's members in AWS's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignFile {
    /// `1.0`.
    #[serde(default)]
    pub version: String,
    /// The region whose public keys sign.
    #[serde(default)]
    pub region: String,
    /// The files, in the order in which their hashes are signed.
    pub files: Vec<SignedFile>,
    /// `SHA-256`.
    #[serde(default)]
    pub hash_algorithm: String,
    /// `SHA256withRSA`.
    #[serde(default)]
    pub signature_algorithm: String,
    /// When the query ended, as `2026-03-01T10:00:00Z`. Keys are looked up by it.
    pub query_complete_time: String,
    /// Lower-case hex of the signature over [`SignFile::string_to_sign`].
    pub hash_signature: String,
    /// The key's fingerprint, as digests have it.
    pub public_key_fingerprint: String,
}

/// A file of results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedFile {
    /// Hex SHA-256 of the file as it lies there, compressed.
    pub file_hash_value: String,
    /// Its name, below the sign file's folder.
    pub file_name: String,
}

impl SignFile {
    /// A sign file that lacks nothing but the signature.
    pub(super) fn unsigned(region: String, files: Vec<SignedFile>, complete: String, fingerprint: String) -> Self {
        Self {
            version: VERSION.to_owned(),
            region,
            files,
            hash_algorithm: HASH_ALGORITHM.to_owned(),
            signature_algorithm: SIGNATURE_ALGORITHM.to_owned(),
            query_complete_time: complete,
            hash_signature: String::new(),
            public_key_fingerprint: fingerprint,
        }
    }

    /// What is signed: the hashes with one space between them.
    pub fn string_to_sign(&self) -> String {
        self.files.iter().map(|file| file.file_hash_value.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// Whether the signature is this key's.
    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        from_hex(&self.hash_signature).is_some_and(|signature| key.verify(self.string_to_sign().as_bytes(), &signature))
    }
}
