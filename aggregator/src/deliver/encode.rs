//! Hop 12: the bytes of a planned object. A function of the plan and the journal's entries (I7); record bytes are copied, never
//! written anew (I5).

use bytes::Bytes;
use orgtrail_event::digest::{SourceFile, sha256_hex};
use orgtrail_event::gzip::{Deflater, Inflater};
use orgtrail_event::log_file::{self, Item, Limits, RawRecord, Writer};

use super::plan::Output;
use crate::journal::head::Head;
use crate::journal::{self, Journal, Seq};

/// An object of the destination, ready to be put, and what a digest says of it.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    /// The gzip bytes, one member.
    pub(crate) gzip: Bytes,
    /// Hex SHA-256 of the inflated bytes.
    pub(crate) sha256: String,
    /// Oldest and newest eventTime, Unix seconds.
    pub(crate) event_times: Option<(i64, i64)>,
    /// What it was made of.
    pub(crate) sources: Vec<SourceFile>,
}

/// Reads what the plan names and makes the object's bytes.
pub(crate) fn encode(
    journal: &Journal,
    destination: &str,
    output: &Output,
    level: u8,
) -> Result<Encoded, journal::Error> {
    match output {
        Output::Verbatim { seq, .. } => {
            let (head, gzip) = journal.entry(*seq)?;
            let (sources, event_times) = (vec![source(&head)], head.event_times);
            Ok(Encoded { gzip, sha256: head.sha256, event_times, sources })
        }
        Output::Merged { seqs, .. } => {
            let mut writer = Writer::new();
            let mut sources = Vec::with_capacity(seqs.len());
            let mut times = Times::default();
            for seq in seqs {
                let head = for_each_kept(journal, destination, *seq, |record| {
                    times.add(record.header.event_seconds());
                    writer.push(record.raw);
                })?;
                sources.push(source(&head));
            }
            let json = writer.finish();
            let gzip = Deflater::new(level).deflate(&json).into();
            Ok(Encoded { gzip, sha256: sha256_hex(&json), event_times: times.0, sources })
        }
    }
}

fn source(head: &Head) -> SourceFile {
    SourceFile { location: head.source.clone(), key: head.key.clone(), hash_value: head.sha256.clone() }
}

/// Oldest and newest.
#[derive(Debug, Default)]
pub(crate) struct Times(pub(crate) Option<(i64, i64)>);

impl Times {
    pub(crate) fn add(&mut self, second: Option<i64>) {
        if let Some(second) = second {
            let (oldest, newest) = self.0.unwrap_or((second, second));
            self.0 = Some((oldest.min(second), newest.max(second)));
        }
    }
}

/// Shows the records of one journaled object that the destination takes, in file order; its head.
pub(crate) fn for_each_kept(
    journal: &Journal,
    destination: &str,
    seq: Seq,
    mut show: impl FnMut(&RawRecord<'_>),
) -> Result<Head, journal::Error> {
    let (head, gzip) = journal.entry(seq)?;
    let damaged = |why: String| journal::Error::Corrupt(format!("payload of seq {seq} ({}): {why}", head.key));
    let mut json = Vec::new();
    // It was inflated within ingest's cap before it got here.
    Inflater::new().inflate(&gzip, usize::MAX, &mut json).map_err(|error| damaged(error.to_string()))?;
    let reader = log_file::read(&json, &Limits::default()).map_err(|error| damaged(error.to_string()))?;
    let selected = head.selected(destination);
    let records = reader.filter_map(|item| if let Item::Record(record) = item { Some(record) } else { None });
    let mut kept = 0;
    for (ordinal, record) in (0..).zip(records) {
        if selected.takes(ordinal) {
            show(&record);
            kept += 1;
        }
    }
    if kept != selected.kept {
        return Err(damaged(format!("holds {kept} records to deliver, {} were journaled", selected.kept)));
    }
    Ok(head)
}
