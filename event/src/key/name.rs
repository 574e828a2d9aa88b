//! File names: what stands behind the last slash of a key.

use super::folder::{Folder, Kind, is_region};
use super::stamp::{DigestStamp, Stamp};

/// What a backfill digest's name has before `.json.gz`.
pub(super) const BACKFILL: &str = "_backfill";

pub(super) struct LogName {
    pub(super) head: Option<Box<str>>,
    pub(super) stamp: Stamp,
    pub(super) underscore: bool,
    pub(super) unique: String,
}

pub(super) struct DigestName {
    pub(super) trail: String,
    pub(super) home_region: String,
    pub(super) end: DigestStamp,
    pub(super) backfill: bool,
}

/// `<account>_<stem>_<region>`, the start of the names in a folder.
pub(super) fn expected_head(folder: &Folder) -> String {
    format!("{}_{}_{}", folder.account, folder.kind.stem(), folder.region)
}

/// Reads `<account>_<stem>_<region>_<YYYYMMDDTHHmmZ>[_]<unique>`.
///
/// Account, stem and region may differ from the folder's: AWS documents the folders of network activity and aggregated
/// events but not their file names, and says not to rely on the account in a key.
pub(super) fn parse_log(file: &str, folder: &Folder) -> Option<LogName> {
    let mut parts = file.splitn(4, '_');
    let (account, stem, region, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let stem = Kind::from_folder(stem).filter(|kind| *kind != Kind::Digest)?;
    if account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_alphanumeric()) || !is_region(region) {
        return None;
    }
    let (stamp, rest) = Stamp::take(rest)?;
    let (underscore, unique) = match rest.strip_prefix('_') {
        Some("") => return None,
        Some(unique) => (true, unique),
        None => (false, rest),
    };
    if !unique.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        return None;
    }
    let expected = account == folder.account && stem == folder.kind && region == folder.region;
    let head = (!expected).then(|| format!("{account}_{}_{region}", stem.stem()).into_boxed_str());
    Some(LogName { head, stamp, underscore, unique: unique.to_owned() })
}

/// Reads `<account>_CloudTrail-Digest_<region>_<trail>_<home region>_<YYYYMMDDTHHMMSSZ>[_backfill]`.
///
/// Strict about account and region: a digest signs its own key, so one that was renamed can't be verified anyway.
pub(super) fn parse_digest(file: &str, folder: &Folder) -> Option<DigestName> {
    let rest = file.strip_prefix(&expected_head(folder))?.strip_prefix('_')?;
    let (rest, backfill) = match rest.strip_suffix(BACKFILL) {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let (rest, end) = rest.rsplit_once('_')?;
    let (trail, home_region) = rest.rsplit_once('_')?;
    if !is_trail(trail) || !is_region(home_region) {
        return None;
    }
    let end = DigestStamp::parse(end)?;
    Some(DigestName { trail: trail.to_owned(), home_region: home_region.to_owned(), end, backfill })
}

/// Letters, digits, `.`, `_` and `-`, as CreateTrail has it; its length isn't ours to check.
fn is_trail(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}
