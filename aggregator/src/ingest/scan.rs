//! Looks into an object once: which records it holds, which stretches of it are bad. The one place of the aggregator where
//! what came in is parsed; pure but for its buffers.

use std::sync::Arc;

use jiff::Timestamp;
use orgtrail_event::digest::{Digest, SourceDigest, sha256_hex};
use orgtrail_event::gzip::Inflater;
use orgtrail_event::key::{DigestKey, Folder, LogKey, ObjectKey, classify};
use orgtrail_event::log_file::{self, Item, Limits};
use orgtrail_event::record::identity;
use orgtrail_event::selector::Selection;
use orgtrail_proto::{Object, VerifiedDigest};
use ring::digest::{SHA256, digest};

use super::naming::Naming;
use crate::deliver::encode::Times;
use crate::journal::{Prepared, Scanned, record_account};

/// Bytes of a bad stretch that go into its quarantine entry; the whole file stays at the source.
pub(crate) const BAD_BYTES_KEPT: usize = 64 << 10;

/// Size of the inflate buffer that is kept from object to object: most log files fit.
const BUFFER_KEPT: usize = 32 << 20;

/// Reused from object to object.
pub(crate) struct Scanner {
    inflater: Inflater,
    json: Vec<u8>,
    inflated_bytes_max: usize,
    limits: Limits,
    /// Of every trail, in the order of the bits of `Scanned::passed_by`.
    selections: Arc<[Selection]>,
}

/// What an object can be.
#[derive(Debug)]
pub(crate) enum Name {
    /// A file with records.
    Log(LogKey),
    /// A digest that the agent verified.
    Digest(DigestKey, VerifiedDigest),
}

impl Name {
    pub(crate) fn account(&self) -> &str {
        match self {
            Self::Log(key) => &key.folder.account,
            Self::Digest(key, _) => &key.folder.account,
        }
    }
}

/// What an object turned out to be.
#[derive(Debug)]
pub(crate) enum Scan {
    /// A log file or a digest; bad stretches are to be quarantined before it goes on.
    Object(Box<Prepared>, Vec<Bad>),
    /// Nothing that will ever be one.
    Reject(Rejection),
}

/// Why an object will never be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// A snake_case word.
    pub(crate) reason: &'static str,
    /// What exactly is wrong.
    pub(crate) detail: String,
}

/// A stretch of a file that holds no readable record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) offset: usize,
    pub(crate) len: usize,
    pub(crate) detail: String,
    /// Its first bytes.
    pub(crate) bytes: Vec<u8>,
}

/// What an object can be, by its key.
pub(crate) fn name(object: &Object) -> Result<Name, Rejection> {
    let rejection =
        |detail: &str| Err(Rejection { reason: "not_a_log_file", detail: format!("key is that of {detail}") });
    match (classify(&object.reference.key), &object.digest) {
        (ObjectKey::Log(key) | ObjectKey::Insight(key), _) => Ok(Name::Log(key)),
        (ObjectKey::Digest(key) | ObjectKey::BackfillDigest(key), Some(verified)) => {
            Ok(Name::Digest(key, verified.clone()))
        }
        (ObjectKey::Digest(_) | ObjectKey::BackfillDigest(_), None) => rejection("a digest, and nobody verified it"),
        (ObjectKey::Foreign, _) => rejection("no CloudTrail log file"),
    }
}

impl Scanner {
    pub(crate) fn new(inflated_bytes_max: usize, selections: Arc<[Selection]>) -> Self {
        let (inflater, limits) = (Inflater::new(), Limits::default());
        Self { inflater, json: Vec::new(), inflated_bytes_max, limits, selections }
    }

    pub(crate) fn scan(&mut self, object: Object, name: Name) -> Scan {
        let scan = match name {
            Name::Log(key) => self.look(object, &key),
            Name::Digest(key, verified) => self.look_at_digest(object, &key, verified),
        };
        self.tidy();
        scan
    }

    /// As [`Scanner::scan`] of a log file, for a reference that doesn't say yet what the object inflates to.
    pub(crate) fn scan_unhashed(&mut self, object: Object, key: &LogKey) -> Scan {
        let mut scan = self.look(object, key);
        if let Scan::Object(prepared, _) = &mut scan {
            let hash = digest(&SHA256, &self.json);
            prepared.reference.sha256 = hash.as_ref().try_into().expect("SHA-256 is 32 bytes");
            prepared.reference.inflated_bytes = self.json.len() as u64;
        }
        self.tidy();
        scan
    }

    /// One huge file must not keep its memory for ever.
    fn tidy(&mut self) {
        self.json.clear();
        self.json.shrink_to(BUFFER_KEPT);
    }

    fn look_at_digest(&mut self, object: Object, key: &DigestKey, verified: VerifiedDigest) -> Scan {
        let inflated = match self.inflater.inflate(&object.gzip, self.inflated_bytes_max, &mut self.json) {
            Ok(inflated) => inflated,
            Err(error) => return Scan::Reject(Rejection { reason: "corrupt", detail: error.to_string() }),
        };
        let digest = match Digest::from_json(&self.json) {
            Ok(digest) => digest,
            Err(error) => return Scan::Reject(Rejection { reason: "digest_format", detail: error.to_string() }),
        };
        let source_digest = source_digest(&object, &digest, &self.json, verified);
        let origin = origin(&object.reference.source, &key.folder);
        let prepared = Prepared {
            place: (key.folder.account.clone(), key.folder.region.clone()),
            stamp: key.end.unix_seconds(),
            reference: object.reference,
            gzip: object.gzip,
            members: inflated.members,
            origin,
            names: Vec::new(),
            records: Vec::new(),
            bad_records: 0,
            damage: None,
            event_times: None,
            source_digest: Some(source_digest),
            replay_to: None,
            lane: object.backfill.into(),
        };
        Scan::Object(Box::new(prepared), Vec::new())
    }

    fn look(&mut self, object: Object, log_key: &LogKey) -> Scan {
        let inflated = match self.inflater.inflate(&object.gzip, self.inflated_bytes_max, &mut self.json) {
            Ok(inflated) => inflated,
            Err(error) => return Scan::Reject(Rejection { reason: "corrupt", detail: error.to_string() }),
        };
        let reader = match log_file::read(&self.json, &self.limits) {
            Ok(reader) => reader,
            Err(error) => {
                let reason = match error {
                    log_file::Error::NoRecords => "no_records",
                    _ => "not_json",
                };
                return Scan::Reject(Rejection { reason, detail: error.to_string() });
            }
        };
        let mut records = Vec::new();
        let mut bad = Vec::new();
        let mut times = Times::default();
        let mut naming = Naming::default();
        let (folder_account, region) = (&log_key.folder.account, &log_key.folder.region);
        for item in reader {
            match item {
                Item::Record(record) => {
                    let account = record.header.recipient_account_id.as_deref();
                    times.add(record.header.event_seconds());
                    let passes = |selection: &Selection| !selection.keeps(&record.header, folder_account, region);
                    let passed_by = self.selections.iter().enumerate();
                    let passed_by =
                        passed_by.filter(|(_, selection)| passes(selection)).fold(0, |bits, (bit, _)| bits | 1 << bit);
                    records.push(Scanned {
                        identity: identity(&record.header, record.raw),
                        hour: record.header.event_hour().0,
                        account: record_account(account, folder_account),
                        len: u32::try_from(record.raw.len()).unwrap_or(u32::MAX),
                        passed_by,
                        names: naming.place(&record.header, folder_account),
                    });
                }
                Item::Bad(stretch) => {
                    let end = stretch.offset + stretch.len.min(BAD_BYTES_KEPT);
                    bad.push(Bad {
                        offset: stretch.offset,
                        len: stretch.len,
                        detail: stretch.reason.to_string(),
                        bytes: self.json[stretch.offset..end].to_vec(),
                    });
                }
            }
        }
        let origin = origin(&object.reference.source, &log_key.folder);
        let prepared = Prepared {
            reference: object.reference,
            place: (folder_account.clone(), region.clone()),
            stamp: log_key.stamp.unix_seconds(),
            gzip: object.gzip,
            members: inflated.members,
            origin,
            names: naming.into_names(),
            records,
            bad_records: bad.len() as u64,
            damage: damage(&bad),
            event_times: times.0,
            source_digest: None,
            replay_to: None,
            lane: object.backfill.into(),
        };
        Scan::Object(Box::new(prepared), bad)
    }
}

/// Where a trail of the source delivers to: what stands above the accounts.
fn origin(source: &str, folder: &Folder) -> String {
    let path = folder.path();
    // The slash at its end, region, kind and account are the last four.
    let above = path.rsplitn(5, '/').nth(4).unwrap_or_default();
    format!("{}/{above}", source.trim_end_matches('/'))
}

/// What our digests carry of a source's.
fn source_digest(object: &Object, digest: &Digest, json: &[u8], verified: VerifiedDigest) -> SourceDigest {
    let reference = &object.reference;
    // A digest names files by their full keys; below the location they begin after its prefix.
    let prefix = digest.digest_s3_object.strip_suffix(reference.key.as_str()).unwrap_or_default();
    let below = |key: &str| key.strip_prefix(prefix).unwrap_or(key).to_owned();
    SourceDigest {
        location: reference.source.clone(),
        key: reference.key.clone(),
        hash_value: sha256_hex(json),
        signature: verified.signature,
        public_key_fingerprint: verified.public_key_fingerprint,
        verified_at: Timestamp::from_second(verified.verified_at).unwrap_or_default().to_string(),
        log_files: digest.log_files.iter().map(|file| below(&file.s3_object)).collect(),
    }
}

/// What the agent is told of a file with bad stretches.
fn damage(bad: &[Bad]) -> Option<String> {
    let first = bad.first()?;
    let more = if bad.len() > 1 { format!(", and {} more bad stretches", bad.len() - 1) } else { String::new() };
    Some(format!("at byte {}: {}{more}; the records before and after are taken", first.offset, first.detail))
}
