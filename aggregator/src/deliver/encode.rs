//! Hop 12: the bytes of a planned object. A function of the plan and the journal's entries (I7); record bytes are copied, never
//! written anew (I5).

use bytes::Bytes;
use orgtrail_event::gzip::{Deflater, Inflater};
use orgtrail_event::log_file::{self, Item, Limits, Writer};

use super::plan::Output;
use crate::journal::{self, Journal, Seq};

/// An object of the destination, ready to be put.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    /// The gzip bytes, one member.
    pub(crate) gzip: Bytes,
    /// Records in it.
    pub(crate) records: u64,
}

/// Reads what the plan names and makes the object's bytes.
pub(crate) fn encode(journal: &Journal, output: &Output, level: u8) -> Result<Encoded, journal::Error> {
    match output {
        Output::Verbatim { seq, .. } => {
            let (head, gzip) = journal.entry(*seq)?;
            Ok(Encoded { gzip, records: head.kept })
        }
        Output::Merged { seqs, .. } => {
            let mut writer = Writer::new();
            for seq in seqs {
                copy_kept(journal, *seq, &mut writer)?;
            }
            let records = writer.records() as u64;
            Ok(Encoded { gzip: Deflater::new(level).deflate(&writer.finish()).into(), records })
        }
    }
}

fn copy_kept(journal: &Journal, seq: Seq, writer: &mut Writer) -> Result<(), journal::Error> {
    let (head, gzip) = journal.entry(seq)?;
    let damaged = |why: String| journal::Error::Corrupt(format!("payload of seq {seq} ({}): {why}", head.key));
    let mut json = Vec::new();
    // It was inflated within ingest's cap before it got here.
    Inflater::new().inflate(&gzip, usize::MAX, &mut json).map_err(|error| damaged(error.to_string()))?;
    let reader = log_file::read(&json, &Limits::default()).map_err(|error| damaged(error.to_string()))?;
    let mut omit = head.omit.iter().peekable();
    let records = reader.filter_map(|item| if let Item::Record(record) = item { Some(record) } else { None });
    let mut kept = 0;
    for (ordinal, record) in records.enumerate() {
        if omit.next_if(|omitted| **omitted as usize == ordinal).is_some() {
            continue;
        }
        writer.push(record.raw);
        kept += 1;
    }
    if kept != head.kept {
        return Err(damaged(format!("holds {kept} records to deliver, {} were journaled", head.kept)));
    }
    Ok(())
}
