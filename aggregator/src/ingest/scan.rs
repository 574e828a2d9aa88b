//! Looks into an object once: which records it holds, which stretches of it are bad. The one place of the aggregator where
//! what came in is parsed; pure but for its buffers.

use orgtrail_event::gzip::Inflater;
use orgtrail_event::key::{LogKey, ObjectKey, classify};
use orgtrail_event::log_file::{self, Item, Limits};
use orgtrail_event::record::identity;
use orgtrail_proto::Object;

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
}

/// What an object turned out to be.
#[derive(Debug)]
pub(crate) enum Scan {
    /// A log file; its bad stretches are to be quarantined before it goes on.
    LogFile(Box<Prepared>, Vec<Bad>),
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

/// The key of an object that can be a log file.
pub(crate) fn log_key(key: &str) -> Result<LogKey, Rejection> {
    match classify(key) {
        ObjectKey::Log(key) => Ok(key),
        other => Err(Rejection {
            reason: "not_a_log_file",
            detail: format!(
                "key is that of {}",
                match other {
                    ObjectKey::Insight(_) => "an Insight file",
                    ObjectKey::Digest(_) | ObjectKey::BackfillDigest(_) => "a digest",
                    _ => "no CloudTrail log file",
                }
            ),
        }),
    }
}

impl Scanner {
    pub(crate) fn new(inflated_bytes_max: usize) -> Self {
        Self { inflater: Inflater::new(), json: Vec::new(), inflated_bytes_max, limits: Limits::default() }
    }

    pub(crate) fn scan(&mut self, object: Object, log_key: LogKey) -> Scan {
        let scan = self.look(object, log_key);
        // One huge file must not keep its memory for ever.
        self.json.clear();
        self.json.shrink_to(BUFFER_KEPT);
        scan
    }

    fn look(&mut self, object: Object, log_key: LogKey) -> Scan {
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
        let mut newest_event = 0;
        for item in reader {
            match item {
                Item::Record(record) => {
                    let account = record.header.recipient_account_id.as_deref();
                    newest_event = newest_event.max(record.header.event_seconds().unwrap_or(0));
                    records.push(Scanned {
                        identity: identity(&record.header, record.raw),
                        hour: record.header.event_hour().0,
                        account: record_account(account, &log_key.folder.account),
                        len: u32::try_from(record.raw.len()).unwrap_or(u32::MAX),
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
        let prepared = Prepared {
            reference: object.reference,
            log_key,
            gzip: object.gzip,
            members: inflated.members,
            records,
            bad_records: bad.len() as u64,
            damage: damage(&bad),
            newest_event,
        };
        Scan::LogFile(Box::new(prepared), bad)
    }
}

/// What the agent is told of a file with bad stretches.
fn damage(bad: &[Bad]) -> Option<String> {
    let first = bad.first()?;
    let more = if bad.len() > 1 { format!(", and {} more bad stretches", bad.len() - 1) } else { String::new() };
    Some(format!("at byte {}: {}{more}; the records before and after are taken", first.offset, first.detail))
}
