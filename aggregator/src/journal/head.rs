//! What the journal knows of one object without touching its payload: enough to plan a delivery.
//!
//! Stored as JSON beside the payload, so that an operator with a key-value browser can read it.

use std::collections::BTreeMap;

use orgtrail_event::key::LogKey;
use orgtrail_proto::{Backfill, ObjectRef};
use serde::{Deserialize, Serialize};

use super::runs::Runs;
use crate::trail::trail_of;

/// One journaled object, without its bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Location of the source.
    pub source: String,
    /// Key below the source location; it says account, region and day.
    pub key: String,
    /// The source's entity tag.
    pub etag: String,
    /// Hex SHA-256 of the inflated source file: the name that the source's digests know it by.
    pub sha256: String,
    /// Records that are new: read, less duplicates and bad ones. A trail delivers them, or passes them over.
    pub kept: u64,
    /// JSON bytes of those records.
    pub kept_bytes: u64,
    /// Length of the payload. Zero when nothing is to be delivered: then no payload is stored.
    pub gzip_bytes: u64,
    /// Length of the inflated payload.
    pub inflated_bytes: u64,
    /// Oldest and newest eventTime of the readable records, Unix seconds; none where no record has a readable one.
    pub event_times: Option<(i64, i64)>,
    /// Ordinals (among the readable records of the file) of the duplicates.
    pub omit: Runs,
    /// Whether the payload may be delivered byte for byte: nothing left out, nothing damaged, one gzip member.
    pub verbatim: bool,
    /// What trails' selectors pass over, by trail; one that takes everything isn't there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub passed_over: BTreeMap<String, PassedOver>,
    /// The one destination of an object that is delivered again by an operator's replay; the others don't see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_to: Option<String>,
    /// How it came.
    #[serde(default, skip_serializing_if = "Lane::is_live")]
    pub lane: Lane,
}

/// How an object came, which decides whether log groups get its records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Found when it was delivered, or offered again by a replay.
    #[default]
    Live,
    /// Brought by a backfill, for objects only: log groups pass it over.
    Backfill,
    /// Brought by a backfill that log groups are to get too.
    BackfillForLogGroups,
}

impl Lane {
    fn is_live(&self) -> bool {
        *self == Self::Live
    }
}

impl From<Option<Backfill>> for Lane {
    fn from(backfill: Option<Backfill>) -> Self {
        match backfill {
            None => Self::Live,
            Some(Backfill { log_groups: false }) => Self::Backfill,
            Some(Backfill { log_groups: true }) => Self::BackfillForLogGroups,
        }
    }
}

/// The records of an object that one trail's selectors pass over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PassedOver {
    /// How many.
    pub records: u64,
    /// Their JSON bytes.
    pub bytes: u64,
    /// Their ordinals among the readable records of the file.
    pub ordinals: Runs,
}

/// What one destination takes of an object.
#[derive(Debug, Clone, Copy)]
pub struct Selected<'a> {
    /// Records to deliver.
    pub kept: u64,
    /// Their JSON bytes.
    pub kept_bytes: u64,
    /// Records that the trail's selectors pass over.
    pub passed_over: u64,
    /// Whether the payload may be delivered byte for byte.
    pub verbatim: bool,
    omit: &'a Runs,
    passed: Option<&'a Runs>,
}

impl Selected<'_> {
    /// Whether the record with this ordinal among the readable ones of the file is to be delivered.
    pub fn takes(&self, ordinal: u32) -> bool {
        !self.omit.contains(ordinal) && !self.passed.is_some_and(|passed| passed.contains(ordinal))
    }

    /// The ordinals that are left out, for a name made out of what an object holds.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = (u32, u32)> {
        self.omit.iter().chain(self.passed.into_iter().flat_map(Runs::iter))
    }
}

impl Head {
    /// A head with nothing decided yet.
    pub fn new(reference: &ObjectRef) -> Self {
        Self {
            source: reference.source.clone(),
            key: reference.key.clone(),
            etag: reference.etag.clone(),
            sha256: hex(&reference.sha256),
            kept: 0,
            kept_bytes: 0,
            gzip_bytes: 0,
            inflated_bytes: reference.inflated_bytes,
            event_times: None,
            omit: Runs::default(),
            verbatim: false,
            passed_over: BTreeMap::new(),
            replay_to: None,
            lane: Lane::Live,
        }
    }

    /// What a destination takes of the object.
    pub fn selected(&self, destination: &str) -> Selected<'_> {
        let passed = self.passed_over.get(trail_of(destination));
        let (records, bytes) = passed.map_or((0, 0), |passed| (passed.records, passed.bytes));
        let mut selected = Selected {
            kept: self.kept - records,
            kept_bytes: self.kept_bytes - bytes,
            passed_over: records,
            verbatim: self.verbatim && records == 0,
            omit: &self.omit,
            passed: passed.map(|passed| &passed.ordinals),
        };
        if !self.is_for(destination) {
            selected = Selected { kept: 0, kept_bytes: 0, passed_over: 0, verbatim: false, ..selected };
        }
        selected
    }

    /// Records that the ledger's equation counts: none of a replay's, which were counted when they first came.
    pub fn pending(&self) -> u64 {
        if self.replay_to.is_some() { 0 } else { self.kept }
    }

    /// Whether the destination is to see the object at all.
    pub fn is_for(&self, destination: &str) -> bool {
        self.replay_to.as_deref().is_none_or(|only| only == destination)
    }

    /// The parsed key; none for a digest, which has nothing to deliver.
    pub fn log_key(&self) -> Option<LogKey> {
        orgtrail_event::key::classify(&self.key).into_log()
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
