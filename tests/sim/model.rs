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
use orgtrail_event::gzip::Deflater;
use orgtrail_event::key::{Folder, Kind, LogKey, Stamp};
use rand::Rng;
use rand::rngs::StdRng;

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
    /// It was there before its day could be closed.
    pub(crate) in_time: bool,
}

impl Version {
    /// It holds nothing damaged, and was there in time.
    pub(crate) fn is_sound(&self) -> bool {
        self.damage.is_none() && self.in_time
    }

    fn delivered(&self) -> &[Record] {
        if self.damage.is_some_and(Damage::spoils_all) { &[] } else { &self.records }
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
    random: StdRng,
    deflater: Deflater,
    records: u64,
}

impl Model {
    pub(crate) fn new(random: StdRng) -> Self {
        Self { objects: Vec::new(), random, deflater: Deflater::new(6), records: 0 }
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

    /// The bytes of a file with these records and this damage.
    pub(crate) fn bytes(&mut self, records: &[Record], damage: Option<Damage>) -> Bytes {
        let mut texts: Vec<_> = records.iter().map(|record| record.text.as_str()).collect();
        if damage == Some(Damage::BadStretch) {
            texts.insert(records.len() / 2, r#"{"eventVersion":"1.11","eventID":nonsense}"#);
        }
        let json = format!("{{\"Records\":[{}]}}", texts.join(","));
        let mut gzip = self.deflater.deflate(json.as_bytes());
        match damage {
            Some(Damage::Truncated) => gzip.truncate(gzip.len() * 2 / 3),
            Some(Damage::NotGzip) => gzip = json.into_bytes(),
            Some(Damage::Empty) => gzip.clear(),
            Some(Damage::BadStretch) | None => {}
        }
        gzip.into()
    }

    /// Whether an object of this day that appears now is sure to be seen, where the agent has never thought it later than
    /// `latest`.
    pub(crate) fn is_in_time(day: Date, latest: Timestamp) -> bool {
        let end = day.tomorrow().unwrap().to_zoned(TimeZone::UTC).unwrap().timestamp();
        latest <= end + SignedDuration::from_hours(LATENESS_HOURS)
    }

    /// What must and may be at a trail, by the records' bytes.
    pub(crate) fn due(&self, management_only: bool) -> BTreeMap<&str, Due> {
        let mut due = BTreeMap::new();
        let takes = |record: &&Record| !management_only || record.management;
        for object in &self.objects {
            let (last, before) = object.versions.split_last().unwrap();
            for record in before.iter().flat_map(Version::delivered).filter(takes) {
                due.entry(record.text.as_str()).or_insert(Due::May);
            }
            for record in last.delivered().iter().filter(takes) {
                let now = if last.in_time { Due::Must } else { Due::May };
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
        let (mut must, mut may) = (BTreeSet::new(), BTreeSet::new());
        for object in &self.objects {
            let at = (object.source, object.key.as_str());
            let last = object.versions.last().unwrap();
            if last.in_time && last.damage.is_some() {
                must.insert(at);
            }
            if object.versions.iter().any(|version| version.damage.is_some()) {
                may.insert(at);
            }
        }
        (must, may)
    }
}
