//! The digests that CloudTrail signs over what it delivers to the sources: a chain for each account and region of a source.
//!
//! Owns what each digest lists and whether it ever came. A digest ends when it is cut, not on the hour: a run is minutes long.

mod operation;

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use orgtrail_cloud::signer::FakeSigner;
use orgtrail_cloud::{Location, Signer as _};
use orgtrail_event::digest::{
    BACKFILL_TIMESTAMP_METADATA, Digest, HASH_ALGORITHM, ListedKey, LogFile, PublicKey, PublicKeys,
    SIGNATURE_ALGORITHM, SIGNATURE_ALGORITHM_METADATA, SIGNATURE_METADATA, sha256_hex, to_hex,
};
use orgtrail_event::gzip::Deflater;
use orgtrail_event::key::{DigestKey, DigestStamp, Folder, Kind};

pub(crate) use self::operation::{Comes, DigestOperation};
use crate::operations::Place;
use crate::settings::{ACCOUNTS, REGIONS};

/// The trail that the digests' names carry.
pub(crate) const TRAIL: &str = "acme";

/// Whether a digest is at its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    There,
    /// It was signed and did not come, or not yet.
    Held,
    /// It is there and does not verify.
    Invalid,
}

/// A digest that was cut.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    pub(crate) place: Place,
    pub(crate) key: String,
    /// Unix seconds.
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The key of the digest before it.
    pub(crate) previous: Option<String>,
    pub(crate) backfill: bool,
    /// Keys and hashes.
    pub(crate) files: Vec<(String, String)>,
    pub(crate) fate: Fate,
    /// It came when its successor was there already.
    pub(crate) late: bool,
    /// It came before its day could be closed.
    pub(crate) in_time: bool,
    pub(crate) gzip: Bytes,
    pub(crate) metadata: BTreeMap<String, String>,
    hash: String,
}

/// What a digest is to list.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) place: Place,
    pub(crate) now: Timestamp,
    /// A chain begins anew.
    pub(crate) restart: bool,
    /// The digest whose late files it lists, by its place in the list of all.
    pub(crate) backfill_of: Option<usize>,
    pub(crate) files: Vec<(String, String)>,
}

/// All digests of all chains, in the order in which they were cut.
pub(crate) struct Digests {
    pub(crate) cuts: Vec<Cut>,
    sources: Vec<Location>,
    signer: FakeSigner,
    deflater: Deflater,
}

impl std::fmt::Debug for Digests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.cuts.fmt(f)
    }
}

impl Digests {
    pub(crate) fn new(sources: Vec<Location>) -> Self {
        Self { cuts: Vec::new(), sources, signer: FakeSigner::default(), deflater: Deflater::new(6) }
    }

    /// The document of public keys that verifies them all.
    pub(crate) async fn public_keys(&self) -> String {
        let key = self.public_key().await;
        let far =
            |days: i64| "2026-03-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * days);
        PublicKeys::from_iter([ListedKey::new(key, far(-100), far(100))]).to_json()
    }

    async fn public_key(&self) -> PublicKey {
        PublicKey::from_der(&self.signer.public_key().await.unwrap()).unwrap()
    }

    /// The digests of a chain, oldest first.
    pub(crate) fn chain(&self, place: Place) -> impl Iterator<Item = &Cut> {
        self.cuts.iter().filter(move |cut| cut.place == place)
    }

    /// The hash that an object should have: what the digest says that lists it, where that is there and verifies.
    pub(crate) fn expected(&self, source: usize, key: &str) -> Option<&str> {
        let there = self.cuts.iter().filter(|cut| cut.place.source == source && cut.fate == Fate::There);
        there.flat_map(|cut| &cut.files).find(|(listed, _)| listed == key).map(|(_, hash)| hash.as_str())
    }

    /// The same where nobody can doubt that the agent has seen the digest, and compared it: one that came late may be of a day
    /// that is closed, and one that lists late files waits for a chain to stand beside.
    pub(crate) fn surely_expected(&self, source: usize, key: &str) -> Option<&str> {
        let in_chain = |place| self.chain(place).any(|cut| cut.fate == Fate::There && !cut.backfill && cut.in_time);
        let there = self.cuts.iter().filter(|cut| cut.place.source == source && cut.fate == Fate::There && cut.in_time);
        let mut files = there.filter(|cut| in_chain(cut.place)).flat_map(|cut| &cut.files);
        files.find(|(listed, _)| listed == key).map(|(_, hash)| hash.as_str())
    }

    /// Whether any digest lists an object, there or not.
    pub(crate) fn lists(&self, source: usize, key: &str) -> bool {
        let all = self.cuts.iter().filter(|cut| cut.place.source == source);
        all.flat_map(|cut| &cut.files).any(|(listed, _)| listed == key)
    }

    /// Signs a digest; none where no second has passed since the one before. It is [`Fate::Held`].
    pub(crate) async fn cut(&mut self, request: Request) -> Option<&mut Cut> {
        let Request { place, now, restart, backfill_of, files } = request;
        let before = self.cuts.iter().rfind(|cut| cut.place == place && !cut.backfill);
        let (start, end, previous) = match backfill_of.map(|at| &self.cuts[at]) {
            Some(of) => (of.start, of.end, None),
            None => {
                let start = before.map_or(now.as_second() - 3600, |before| before.end + i64::from(restart));
                (start, now.as_second(), before.filter(|_| !restart))
            }
        };
        if start >= end {
            return None;
        }
        let (bucket, prefix) = match &self.sources[place.source] {
            Location::S3 { bucket, prefix } if prefix.is_empty() => (bucket.clone(), String::new()),
            Location::S3 { bucket, prefix } => (bucket.clone(), format!("{prefix}/")),
            other => unreachable!("{other} is no bucket"),
        };
        let key = name(place, end, backfill_of.is_some());
        let file = |(key, hash): &(String, String)| LogFile {
            s3_bucket: bucket.clone(),
            s3_object: format!("{prefix}{key}"),
            hash_value: hash.clone(),
            hash_algorithm: HASH_ALGORITHM.to_owned(),
            newest_event_time: None,
            oldest_event_time: None,
        };
        let digest = Digest {
            aws_account_id: ACCOUNTS[place.account].to_owned(),
            digest_start_time: iso(start),
            digest_end_time: iso(end),
            digest_s3_bucket: bucket.clone(),
            digest_s3_object: format!("{prefix}{key}"),
            digest_public_key_fingerprint: self.public_key().await.fingerprint().to_owned(),
            digest_signature_algorithm: SIGNATURE_ALGORITHM.to_owned(),
            newest_event_time: None,
            oldest_event_time: None,
            previous_digest_s3_bucket: previous.map(|_| bucket.clone()),
            previous_digest_s3_object: previous.map(|before| format!("{prefix}{}", before.key)),
            previous_digest_hash_value: previous.map(|before| before.hash.clone()),
            previous_digest_hash_algorithm: previous.map(|_| HASH_ALGORITHM.to_owned()),
            previous_digest_signature: previous.and_then(|before| before.metadata.get(SIGNATURE_METADATA).cloned()),
            log_files: files.iter().map(file).collect(),
            orgtrail: None,
        };
        let previous = previous.map(|before| before.key.clone());
        let (json, backfill) = (digest.to_json(), backfill_of.is_some());
        let hash = sha256_hex(&json);
        let signature = self.signer.sign(digest.string_to_sign(&hash).as_bytes()).await.unwrap();
        let mut metadata = BTreeMap::from([
            (SIGNATURE_METADATA.to_owned(), to_hex(&signature)),
            (SIGNATURE_ALGORITHM_METADATA.to_owned(), SIGNATURE_ALGORITHM.to_owned()),
        ]);
        if backfill {
            let made = now.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
            metadata.insert(BACKFILL_TIMESTAMP_METADATA.to_owned(), made);
        }
        let gzip = self.deflater.deflate(&json).into();
        let (fate, late, in_time) = (Fate::Held, false, true);
        self.cuts.push(Cut {
            place,
            key,
            start,
            end,
            previous,
            backfill,
            files,
            fate,
            late,
            in_time,
            gzip,
            metadata,
            hash,
        });
        self.cuts.last_mut()
    }
}

fn name(place: Place, end: i64, backfill: bool) -> String {
    let folder = Folder {
        prefix: String::new(),
        organization_id: (place.source == 1).then(|| "o-source12345".to_owned()),
        account: ACCOUNTS[place.account].to_owned(),
        kind: Kind::Digest,
        region: REGIONS[place.region].to_owned(),
    };
    let end = Timestamp::from_second(end).unwrap().to_zoned(TimeZone::UTC).datetime();
    DigestKey::new(folder, DigestStamp::new(end), TRAIL, REGIONS[0], backfill).to_string()
}

fn iso(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
