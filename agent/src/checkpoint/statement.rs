//! What a verified digest says, as far as it takes to know that nothing is missing.
//!
//! Owns the text that is kept of a digest until everything it lists is accounted for, and its place in the tree. Keys are
//! those below the source's location, whatever bucket and prefix the digest was signed for: a source may be a copy.

use orgtrail_event::digest::{Digest, from_hex};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::entry::FolderId;

/// A verified digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Statement {
    /// The digest's own key.
    pub(crate) key: String,
    /// The trail that its name carries.
    pub(crate) trail: String,
    /// Unix seconds.
    pub(crate) start: i64,
    /// Unix seconds.
    pub(crate) end: i64,
    /// Lists what missed its hour's digest; stands in no chain.
    pub(crate) backfill: bool,
    /// Hex.
    pub(crate) signature: String,
    /// The digest before it; none where a chain begins.
    pub(crate) previous: Option<Previous>,
    /// What is not accounted for yet.
    pub(crate) files: Vec<StatedFile>,
    /// When it was read, Unix milliseconds.
    pub(crate) read_at: i64,
    /// It has its place in the chain.
    pub(crate) placed: bool,
}

/// The digest that another one names as the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Previous {
    pub(crate) key: String,
    /// Hex.
    pub(crate) signature: String,
}

/// A log file that a digest lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatedFile {
    pub(crate) key: String,
    /// Hex SHA-256 of its inflated bytes.
    pub(crate) sha256: String,
}

impl StatedFile {
    /// None where the digest says something that is no SHA-256: no file agrees with that.
    pub(crate) fn hash(&self) -> Option<[u8; 32]> {
        from_hex(&self.sha256)?.try_into().ok()
    }
}

/// What the digest's name says beside its document.
#[derive(Debug, Clone)]
pub(crate) struct Named<'a> {
    /// The key under which it was read.
    pub(crate) key: &'a str,
    pub(crate) trail: &'a str,
    pub(crate) backfill: bool,
    /// Hex.
    pub(crate) signature: &'a str,
}

impl Statement {
    /// None where the digest's times are none.
    pub(crate) fn new(named: &Named<'_>, digest: &Digest, read_at: i64) -> Option<Self> {
        let time = |text: &str| text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
        let here = |key: &str| moved(&digest.digest_s3_object, named.key, key);
        let previous = digest.previous_digest_signature.as_ref().zip(digest.previous_digest_s3_object.as_ref());
        let file = |file: &orgtrail_event::digest::LogFile| StatedFile {
            key: here(&file.s3_object),
            sha256: file.hash_value.clone(),
        };
        Some(Self {
            key: named.key.to_owned(),
            trail: named.trail.to_owned(),
            start: time(&digest.digest_start_time)?,
            end: time(&digest.digest_end_time)?,
            backfill: named.backfill,
            signature: named.signature.to_owned(),
            previous: previous.map(|(signature, key)| Previous { key: here(key), signature: signature.clone() }),
            files: digest.log_files.iter().map(file).collect(),
            read_at,
            placed: false,
        })
    }

    /// Under which it is kept: digest folder, trail, end. Backfill digests of one hour are told apart by their keys.
    pub(super) fn line(&self, folder: FolderId) -> Vec<u8> {
        let key = xxh3_64(self.key.as_bytes()).to_be_bytes();
        [&lines_from(folder, &self.trail, self.end)[..], &key].concat()
    }
}

/// The start of the lines of one trail in one digest folder.
pub(super) fn trail_lines(folder: FolderId, trail: &str) -> Vec<u8> {
    [&lines(folder)[..], &xxh3_64(trail.as_bytes()).to_be_bytes()].concat()
}

/// Before the lines of the trail's digests that end then or later, Unix seconds, and behind all others.
pub(super) fn lines_from(folder: FolderId, trail: &str, end: i64) -> Vec<u8> {
    [&trail_lines(folder, trail)[..], &u64::try_from(end).unwrap_or(0).to_be_bytes()].concat()
}

/// The start of the lines of one digest folder.
pub(super) fn lines(folder: FolderId) -> Vec<u8> {
    [b"d", &folder.0.to_be_bytes()[..]].concat()
}

/// Where an object lies that was signed as `key`, when the digest that was signed as `signed` lies under `found`.
fn moved(signed: &str, found: &str, key: &str) -> String {
    let (above_signed, above_found) = (above(signed), above(found));
    match key.strip_prefix(above_signed) {
        Some(rest) => format!("{above_found}{rest}"),
        None => key.to_owned(),
    }
}

/// What stands before the last `AWSLogs/`.
fn above(key: &str) -> &str {
    key.rfind("AWSLogs/").map_or("", |at| &key[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_over_to_where_the_digest_lies() {
        let signed = "o-1/AWSLogs/o-1/111122223333/CloudTrail-Digest/r/2024/05/01/d.json.gz";
        let log = "o-1/AWSLogs/o-1/111122223333/CloudTrail/r/2024/05/01/l.json.gz";
        let copied = "copy/AWSLogs/o-1/111122223333/CloudTrail-Digest/r/2024/05/01/d.json.gz";
        assert_eq!(moved(signed, signed, log), log);
        assert_eq!(moved(signed, copied, log), "copy/AWSLogs/o-1/111122223333/CloudTrail/r/2024/05/01/l.json.gz");
        assert_eq!(moved(signed, &signed[4..], log), &log[4..], "a location with a prefix");
        assert_eq!(moved(signed, copied, "elsewhere/x"), "elsewhere/x");
    }
}
