//! The model: what CloudTrail has delivered, and what must come of it.
//!
//! - A record that the present version of an object holds *must* be at every trail whose selectors take it, exactly once,
//!   unless the object appeared when its day may have been closed already: then it *may*.
//! - A record that only an earlier version held may be there: the version may have been replaced before anybody saw it.
//! - Nothing else may be there.
//! - An object that is damaged as a whole must be in the agent's quarantine; a bad stretch in the aggregator's.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use orgtrail_event::digest::sha256_hex;
use orgtrail_event::gzip::Deflater;
use orgtrail_event::key::{Folder, Kind, LogKey, Stamp};
use rand::Rng;
use rand::rngs::StdRng;

use crate::digests::{Digests, Fate};
use crate::operations::Place;
use crate::settings::{ACCOUNTS, LATENESS_HOURS, REGIONS};

/// A record: its bytes, and whether it is a management event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    pub(crate) text: String,
    pub(crate) management: bool,
}

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// It is cut off.
    Truncated,
    /// It is no gzip.
    NotGzip,
    /// It has no bytes.
    Empty,
    /// One of its records can't be read; the others can.
    BadStretch,
}

impl Damage {
    pub(crate) const ALL: [Self; 4] = [Self::Truncated, Self::NotGzip, Self::Empty, Self::BadStretch];

    fn spoils_all(self) -> bool {
        self != Self::BadStretch
    }
}

/// What an object holds at a time.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) records: Vec<Record>,
    pub(crate) damage: Option<Damage>,
    /// Hex SHA-256 of its text, as it was before it was damaged on its way.
    pub(crate) hash: String,
    /// It was there before its day could be closed.
    pub(crate) in_time: bool,
}

impl Version {
    /// It holds nothing damaged, and was there in time.
    pub(crate) fn is_sound(&self) -> bool {
        self.damage.is_none() && self.in_time
    }

    /// It is damaged as a whole.
    pub(crate) fn is_spoilt(&self) -> bool {
        self.damage.is_some_and(Damage::spoils_all)
    }

    /// The texts of the records that each trail takes of it.
    pub(crate) fn at_trails(&self) -> [Vec<String>; 2] {
        let of = |management_only: bool| {
            let taken = self.delivered().iter().filter(|record| !management_only || record.management);
            taken.map(|record| record.text.clone()).collect()
        };
        [of(false), of(true)]
    }

    fn delivered(&self) -> &[Record] {
        if self.is_spoilt() { &[] } else { &self.records }
    }
}

/// An object of a source, with everything it has ever been.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) source: usize,
    pub(crate) account: usize,
    pub(crate) region: usize,
    pub(crate) key: String,
    pub(crate) day: Date,
    pub(crate) versions: Vec<Version>,
    /// It was ever at its source.
    pub(crate) put: bool,
    /// It is there, if it ever was.
    pub(crate) present: bool,
    /// It was missing at a time.
    pub(crate) was_missing: bool,
}

impl Object {
    /// One that is there.
    pub(crate) fn new(place: Place, key: String, day: Date, version: Version) -> Self {
        let Place { source, account, region } = place;
        let (put, present, was_missing) = (true, true, false);
        Self { source, account, region, key, day, versions: vec![version], put, present, was_missing }
    }
}

/// Source and key of objects.
type Keys<'a> = BTreeSet<(usize, &'a str)>;

/// How often a record may be at a trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Must,
    May,
}

/// See the module's description.
pub(crate) struct Model {
    pub(crate) objects: Vec<Object>,
    pub(crate) digests: Digests,
    /// Objects that messages named and that were never there, by source and key.
    pub(crate) ghosts: BTreeSet<(usize, String)>,
    random: StdRng,
    deflater: Deflater,
    records: u64,
}

impl Model {
    pub(crate) fn new(random: StdRng, digests: Digests) -> Self {
        let (objects, ghosts, deflater) = (Vec::new(), BTreeSet::new(), Deflater::new(6));
        Self { objects, digests, ghosts, random, deflater, records: 0 }
    }

    /// So many records that nobody has seen yet.
    pub(crate) fn fresh(
        &mut self,
        count: usize,
        account: usize,
        region: usize,
        at: Timestamp,
        fat: bool,
    ) -> Vec<Record> {
        (0..count).map(|_| self.record(account, region, at, fat)).collect()
    }

    fn record(&mut self, account: usize, region: usize, at: Timestamp, fat: bool) -> Record {
        self.records += 1;
        let management = self.random.random_ratio(2, 3);
        let category = if management { "Management" } else { "Data" };
        let padding: String = match fat {
            // Hardly to be compressed, so that the object is larger than a message.
            true => (0..1_300_000)
                .map(|_| char::from(self.random.random_range(b'0'..=b'z')).to_string().replace('\\', "/"))
                .collect(),
            false => "x".repeat(self.random.random_range(0..200)),
        };
        let text = format!(
            r#"{{"eventVersion":"1.11","eventTime":"{}","eventSource":"s3.amazonaws.com","eventName":"Call{}","awsRegion":"{}","eventID":"{:08x}-0000-4000-8000-{:012x}","readOnly":false,"eventType":"AwsApiCall","managementEvent":{management},"recipientAccountId":"{}","eventCategory":"{category}","requestParameters":{{"p":"{padding}"}}}}"#,
            at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            self.records % 7,
            REGIONS[region],
            self.random.random::<u32>(),
            self.records,
            ACCOUNTS[account],
        );
        Record { text, management }
    }

    /// A key that CloudTrail would give to a file that it cuts at `at`.
    pub(crate) fn key(&mut self, source: usize, account: usize, region: usize, at: Timestamp) -> (String, Date) {
        let folder = Folder {
            prefix: String::new(),
            organization_id: (source == 1).then(|| "o-source12345".to_owned()),
            account: ACCOUNTS[account].to_owned(),
            kind: Kind::Log,
            region: REGIONS[region].to_owned(),
        };
        let stamp = Stamp::new(at.to_zoned(TimeZone::UTC).datetime());
        let unique: String = (0..16)
            .map(|_| {
                char::from(
                    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"[self.random.random_range(0..62)],
                )
            })
            .collect();
        (LogKey::new(folder, stamp.date(), stamp, unique).to_string(), stamp.date())
    }

    /// A file with these records and this damage.
    pub(crate) fn version(&mut self, records: Vec<Record>, damage: Option<Damage>) -> (Bytes, Version) {
        let (bytes, hash) = self.bytes(&records, damage);
        (bytes, Version { records, damage, hash, in_time: true })
    }

    /// Its bytes, and the hash of its text.
    fn bytes(&mut self, records: &[Record], damage: Option<Damage>) -> (Bytes, String) {
        let mut texts: Vec<_> = records.iter().map(|record| record.text.as_str()).collect();
        if damage == Some(Damage::BadStretch) {
            texts.insert(records.len() / 2, r#"{"eventVersion":"1.11","eventID":nonsense}"#);
        }
        let json = format!("{{\"Records\":[{}]}}", texts.join(","));
        let hash = sha256_hex(json.as_bytes());
        let mut gzip = self.deflater.deflate(json.as_bytes());
        match damage {
            Some(Damage::Truncated) => gzip.truncate(gzip.len() * 2 / 3),
            Some(Damage::NotGzip) => gzip = json.into_bytes(),
            Some(Damage::Empty) => gzip.clear(),
            Some(Damage::BadStretch) | None => {}
        }
        (gzip.into(), hash)
    }

    /// Whether an object of this day that appears now is sure to be seen, where the agent has never thought it later than
    /// `latest`.
    pub(crate) fn is_in_time(day: Date, latest: Timestamp) -> bool {
        let end = day.tomorrow().unwrap().to_zoned(TimeZone::UTC).unwrap().timestamp();
        latest <= end + SignedDuration::from_hours(LATENESS_HOURS)
    }

    /// Whether the object is there, and what its digest says, where one does. Otherwise it is a matter of when it was
    /// looked at what is delivered of it.
    pub(crate) fn is_as_signed(&self, object: &Object) -> bool {
        let signed = self.digests.expected(object.source, &object.key);
        object.present && signed.is_none_or(|hash| object.versions.last().unwrap().hash == hash)
    }

    /// What must and may be at a trail, by the records' bytes.
    pub(crate) fn due(&self, management_only: bool) -> BTreeMap<&str, Due> {
        let mut due = BTreeMap::new();
        let takes = |record: &&Record| !management_only || record.management;
        for object in self.objects.iter().filter(|object| object.put) {
            let (last, before) = object.versions.split_last().unwrap();
            for record in before.iter().flat_map(Version::delivered).filter(takes) {
                due.entry(record.text.as_str()).or_insert(Due::May);
            }
            for record in last.delivered().iter().filter(takes) {
                let now = if last.in_time && self.is_as_signed(object) { Due::Must } else { Due::May };
                let known = due.entry(record.text.as_str()).or_insert(now);
                if now == Due::Must {
                    *known = Due::Must;
                }
            }
        }
        due
    }

    /// Keys of objects that must be in the agent's quarantine, and of those that may.
    pub(crate) fn quarantined(&self) -> (Keys<'_>, Keys<'_>) {
        let ghosts = self.ghosts.iter().map(|(source, key)| (*source, key.as_str()));
        let (mut must, mut may): (Keys<'_>, Keys<'_>) = (BTreeSet::new(), ghosts.collect());
        for object in &self.objects {
            let at = (object.source, object.key.as_str());
            let last = object.versions.last().unwrap();
            let signed = self.digests.expected(object.source, &object.key);
            let surely = self.digests.surely_expected(object.source, &object.key);
            let differs_now = surely.is_some_and(|hash| last.hash != hash);
            if object.present && last.in_time && (last.damage.is_some() || differs_now) {
                must.insert(at);
            }
            let differs = |version: &Version| signed.is_some_and(|hash| version.hash != hash);
            let spoilt = |version: &Version| version.damage.is_some() || differs(version);
            if object.versions.iter().any(spoilt) || object.was_missing {
                may.insert(at);
            }
        }
        for cut in &self.digests.cuts {
            let at = (cut.place.source, cut.key.as_str());
            if cut.fate == Fate::Invalid && cut.in_time {
                must.insert(at);
            }
            if cut.fate != Fate::There || !cut.in_time {
                may.insert(at);
            }
        }
        (must, may)
    }
}
