//! One object's line in the checkpoint: under which key it stands in the tree, what it says, and its bytes.
//!
//! Owns the encoding only; which state follows which is `checkpoint`'s.

use jiff::civil::Date;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Number of a folder in this checkpoint; given once, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FolderId(pub(super) u32);

/// Names one object: its folder, its day, and a 128-bit hash of its key. Sorts by folder, then day, so that a day's
/// entries lie together in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EntryKey([u8; EntryKey::LEN]);

impl EntryKey {
    pub(super) const LEN: usize = 24;

    pub(super) fn new(folder: FolderId, day: Date, key: &str) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&day_prefix(folder, day));
        bytes[8..].copy_from_slice(&xxh3_128(key.as_bytes()).to_be_bytes());
        Self(bytes)
    }

    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    pub(super) fn folder(&self) -> FolderId {
        FolderId(u32::from_be_bytes(self.0[..4].try_into().expect("four bytes")))
    }

    pub(super) fn day(&self) -> Option<Date> {
        unpack(u32::from_be_bytes(self.0[4..8].try_into().expect("four bytes")))
    }
}

/// The start of the keys of one day's entries.
pub(super) fn day_prefix(folder: FolderId, day: Date) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&folder.0.to_be_bytes());
    bytes[4..].copy_from_slice(&pack(day).to_be_bytes());
    bytes
}

/// `YYYYMMDD` as a number: sorts as the dates do. Years before 0 do not occur in keys.
pub(super) fn pack(day: Date) -> u32 {
    let year = u32::try_from(day.year()).unwrap_or(0);
    year * 10_000 + u32::from(day.month().unsigned_abs()) * 100 + u32::from(day.day().unsigned_abs())
}

fn unpack(packed: u32) -> Option<Date> {
    let part = |value: u32| i8::try_from(value).ok();
    let year = i16::try_from(packed / 10_000).ok()?;
    Date::new(year, part(packed / 100 % 100)?, part(packed % 100)?).ok()
}

/// What an entity tag is compared by.
pub(super) fn etag_hash(etag: &str) -> u64 {
    xxh3_64(etag.as_bytes())
}

/// How far an object has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// On its way: claimed, not answered (I1).
    Claimed,
    /// In the aggregator's journal at `seq`, not yet at every destination (I11).
    Acked { seq: u64 },
    /// At every destination.
    Delivered,
    /// In quarantine. `seq` where the aggregator took the readable records of it and has not delivered them yet.
    Quarantined { reason: Box<str>, seq: Option<u64> },
    /// Not a log file to ship.
    Skipped { reason: Box<str> },
}

impl State {
    /// Whether something still has to happen before the object's day may be closed.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Claimed | Self::Acked { .. } | Self::Quarantined { seq: Some(_), .. })
    }

    /// The place in the aggregator's journal that the object waits for.
    pub(super) fn awaited_seq(&self) -> Option<u64> {
        match self {
            Self::Acked { seq } => Some(*seq),
            Self::Quarantined { seq, .. } => *seq,
            Self::Claimed | Self::Delivered | Self::Skipped { .. } => None,
        }
    }
}

/// What the checkpoint knows of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) state: State,
    /// Hash of the entity tag that the state is about.
    pub(super) etag: u64,
    /// Size at the source, gzip bytes.
    pub(super) size: u64,
    /// SHA-256 of the inflated bytes that were answered for, as digests name it.
    pub(super) sha256: Option<[u8; 32]>,
    /// What a verified digest says that hash is.
    pub(super) expected: Option<[u8; 32]>,
    /// The object's own key, kept while something has to happen to the object: no listing need name it again.
    pub(super) key: Option<Box<str>>,
}

const CLAIMED: u8 = 1;
const ACKED: u8 = 2;
const DELIVERED: u8 = 3;
const QUARANTINED: u8 = 4;
const QUARANTINED_ACKED: u8 = 5;
const SKIPPED: u8 = 6;

/// What follows the size: a hash, that it is the expected one too, an expected one that differs.
const SHA256: u8 = 1;
const VOUCHED: u8 = 2;
const EXPECTED: u8 = 4;

impl Entry {
    /// Taken, and in no verified digest.
    pub(super) fn is_done_unlisted(&self) -> bool {
        matches!(self.state, State::Acked { .. } | State::Delivered) && self.expected.is_none()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(48);
        bytes.push(match &self.state {
            State::Claimed => CLAIMED,
            State::Acked { .. } => ACKED,
            State::Delivered => DELIVERED,
            State::Quarantined { seq: None, .. } => QUARANTINED,
            State::Quarantined { seq: Some(_), .. } => QUARANTINED_ACKED,
            State::Skipped { .. } => SKIPPED,
        });
        bytes.extend_from_slice(&self.etag.to_be_bytes());
        bytes.extend_from_slice(&self.size.to_be_bytes());
        let apart = self.expected.filter(|_| self.expected != self.sha256);
        let has = |bit: u8, set: bool| if set { bit } else { 0 };
        let vouched = self.expected.is_some() && apart.is_none();
        bytes.push(has(SHA256, self.sha256.is_some()) | has(VOUCHED, vouched) | has(EXPECTED, apart.is_some()));
        for hash in [self.sha256, apart].iter().flatten() {
            bytes.extend_from_slice(hash);
        }
        if let Some(seq) = self.state.awaited_seq() {
            bytes.extend_from_slice(&seq.to_be_bytes());
        }
        if let State::Quarantined { reason, .. } | State::Skipped { reason } = &self.state {
            bytes.push(u8::try_from(reason.len()).expect("reasons are cut to 255 bytes"));
            bytes.extend_from_slice(reason.as_bytes());
        }
        bytes.extend_from_slice(self.key.as_deref().unwrap_or_default().as_bytes());
        bytes
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let tag = take::<1>(&mut bytes)?[0];
        let etag = u64::from_be_bytes(take(&mut bytes)?);
        let size = u64::from_be_bytes(take(&mut bytes)?);
        let flags = take::<1>(&mut bytes)?[0];
        let sha256 = if flags & SHA256 != 0 { Some(take(&mut bytes)?) } else { None };
        let apart = if flags & EXPECTED != 0 { Some(take(&mut bytes)?) } else { None };
        let expected = if flags & VOUCHED != 0 { sha256 } else { apart };
        let state = match tag {
            CLAIMED => State::Claimed,
            ACKED => State::Acked { seq: u64::from_be_bytes(take(&mut bytes)?) },
            DELIVERED => State::Delivered,
            QUARANTINED => State::Quarantined { reason: reason(&mut bytes)?, seq: None },
            QUARANTINED_ACKED => {
                let seq = Some(u64::from_be_bytes(take(&mut bytes)?));
                State::Quarantined { reason: reason(&mut bytes)?, seq }
            }
            SKIPPED => State::Skipped { reason: reason(&mut bytes)? },
            _ => return None,
        };
        let key = (!bytes.is_empty()).then_some(std::str::from_utf8(bytes).ok()?).map(Box::from);
        Some(Self { state, etag, size, sha256, expected, key })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

fn reason(bytes: &mut &[u8]) -> Option<Box<str>> {
    let len = usize::from(take::<1>(bytes)?[0]);
    let (head, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(Box::from(std::str::from_utf8(head).ok()?))
}

/// A reason as it is kept: a word, cut where an aggregator sends an essay.
pub(super) fn cut_reason(reason: &str) -> Box<str> {
    let mut end = reason.len().min(64);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    Box::from(&reason[..end])
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn entries_survive_their_encoding() {
        let states = [
            State::Claimed,
            State::Acked { seq: u64::MAX },
            State::Delivered,
            State::Quarantined { reason: "not_gzip".into(), seq: None },
            State::Quarantined { reason: "damaged".into(), seq: Some(7) },
            State::Skipped { reason: "digest".into() },
        ];
        for state in states {
            let hashes = [None, Some([1; 32]), Some([2; 32])];
            for (sha256, expected) in hashes.iter().flat_map(|a| hashes.iter().map(move |b| (*a, *b))) {
                for key in [None, Some("AWSLogs/ü".into())] {
                    let entry = Entry { state: state.clone(), etag: 3, size: 4, sha256, expected, key };
                    assert_eq!(Entry::decode(&entry.encode()), Some(entry));
                }
            }
        }
        assert_eq!(Entry::decode(&[]), None);
        assert_eq!(Entry::decode(&[9; 17]), None);
    }

    #[test]
    fn keys_sort_by_folder_then_day() {
        let key = |folder, day, text| EntryKey::new(FolderId(folder), day, text);
        let keys = [
            key(0, date(2023, 12, 31), "z"),
            key(0, date(2024, 1, 1), "a"),
            key(0, date(2024, 2, 1), "a"),
            key(1, date(1999, 1, 1), "a"),
        ];
        assert!(keys.is_sorted());
        assert_eq!(keys[2].day(), Some(date(2024, 2, 1)));
        assert_eq!(keys[3].folder(), FolderId(1));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(cut_reason(&"ü".repeat(40)).len(), 64);
        assert_eq!(&*cut_reason("not_json"), "not_json");
    }
}
