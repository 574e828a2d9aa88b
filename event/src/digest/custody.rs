//! What orgtrail adds to a digest: where its log files came from.
//!
//! A log file of ours is made of objects that CloudTrail delivered elsewhere, and CloudTrail's own digests vouch for
//! those. [`Custody`] carries both into our digest, so that one signature covers the whole way. The AWS CLI passes over
//! members that it doesn't know.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::Digest;
use super::hex::from_hex;

/// The member `orgtrail` of a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Custody {
    /// [`Custody::VERSION`].
    pub version: u32,
    /// What each listed log file was made of. A log file that isn't here has no known source.
    #[serde(default)]
    pub log_files: Vec<Sources>,
    /// Source digests that were verified since the digest before this one. One that comes after our digest was written is
    /// carried by the next, so what it covers may stand in an earlier digest of ours.
    #[serde(default)]
    pub source_digests: Vec<SourceDigest>,
    /// Our backfill digests that were made since the digest before this one, so that the chain covers them too.
    #[serde(default)]
    pub backfill_digests: Vec<BackfillRef>,
}

/// The source objects of one of our log files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sources {
    /// The log file: `s3Object` of one in the digest's `logFiles`.
    #[serde(rename = "s3Object")]
    pub s3_object: String,
    /// The objects whose records it holds.
    pub sources: Vec<SourceFile>,
}

/// A log file at a source, as CloudTrail delivered it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceFile {
    /// The source's location, `s3://bucket[/prefix]` or `file:///folder`.
    pub location: String,
    /// Its key below the location.
    pub key: String,
    /// Hex SHA-256 of its uncompressed content, which a source digest lists too.
    pub hash_value: String,
}

/// A source's digest that the agent verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceDigest {
    /// The source's location.
    pub location: String,
    /// The digest's key below the location.
    pub key: String,
    /// Hex SHA-256 of its uncompressed content.
    pub hash_value: String,
    /// Its signature, in hex.
    pub signature: String,
    /// The key it was signed with.
    pub public_key_fingerprint: String,
    /// When the agent verified it, as `YYYY-MM-DDThh:mm:ssZ`.
    pub verified_at: String,
    /// The keys, below the location, of the source log files that it lists.
    pub log_files: Vec<String>,
}

/// A backfill digest of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackfillRef {
    /// Its bucket.
    #[serde(rename = "s3Bucket")]
    pub s3_bucket: String,
    /// Its key.
    #[serde(rename = "s3Object")]
    pub s3_object: String,
    /// Hex SHA-256 of its uncompressed content.
    pub hash_value: String,
    /// Its signature, in hex.
    pub signature: String,
}

/// What is wrong with a custody, of which [`Custody::check`] finds all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustodyFault {
    /// It was written by a later orgtrail.
    #[error("custody version {0} is not known")]
    Version(u32),
    /// It names a log file that the digest doesn't list.
    #[error("custody names a log file that the digest does not list: {0}")]
    NotListed(String),
    /// It names one thing twice.
    #[error("custody names twice: {0}")]
    Twice(String),
    /// A hash or a signature isn't one.
    #[error("custody has no hex hash or signature for {0}")]
    Malformed(String),
}

impl Custody {
    /// The version that is written and read here.
    pub const VERSION: u32 = 1;

    /// An empty custody.
    pub fn new() -> Self {
        Self { version: Self::VERSION, log_files: Vec::new(), source_digests: Vec::new(), backfill_digests: Vec::new() }
    }

    /// Checks the custody against the digest that it stands in: every log file is one of the digest's, nothing stands
    /// twice, hashes are hex of 32 bytes and signatures are hex.
    pub fn check(&self, digest: &Digest) -> Vec<CustodyFault> {
        if self.version != Self::VERSION {
            return vec![CustodyFault::Version(self.version)];
        }
        let mut faults = Vec::new();
        let listed: HashSet<&str> = digest.log_files.iter().map(|file| file.s3_object.as_str()).collect();
        let mut seen = HashSet::new();
        for file in &self.log_files {
            if !listed.contains(file.s3_object.as_str()) {
                faults.push(CustodyFault::NotListed(file.s3_object.clone()));
            }
            if !seen.insert(("log", "", file.s3_object.as_str())) {
                faults.push(CustodyFault::Twice(file.s3_object.clone()));
            }
            let malformed = file.sources.iter().filter(|source| !is_sha256(&source.hash_value));
            faults.extend(malformed.map(|source| CustodyFault::Malformed(source.key.clone())));
        }
        for digest in &self.source_digests {
            if !seen.insert(("source", digest.location.as_str(), digest.key.as_str())) {
                faults.push(CustodyFault::Twice(digest.key.clone()));
            }
            if !is_sha256(&digest.hash_value) || !is_signature(&digest.signature) {
                faults.push(CustodyFault::Malformed(digest.key.clone()));
            }
        }
        for digest in &self.backfill_digests {
            if !seen.insert(("backfill", digest.s3_bucket.as_str(), digest.s3_object.as_str())) {
                faults.push(CustodyFault::Twice(digest.s3_object.clone()));
            }
            if !is_sha256(&digest.hash_value) || !is_signature(&digest.signature) {
                faults.push(CustodyFault::Malformed(digest.s3_object.clone()));
            }
        }
        faults
    }
}

impl Default for Custody {
    fn default() -> Self {
        Self::new()
    }
}

fn is_sha256(text: &str) -> bool {
    from_hex(text).is_some_and(|bytes| bytes.len() == 32)
}

fn is_signature(text: &str) -> bool {
    from_hex(text).is_some_and(|bytes| !bytes.is_empty())
}
