//! Reads records out of the journal as events, a bounded number of bytes at a time.
//!
//! A window covers whole objects while they are small; the records of an object that is larger than a window come in
//! several. Runs on a worker: it inflates and copies.

use std::sync::Arc;

use orgtrail_cloud::log_sink::LogEvent;
use orgtrail_event::log_file::RawRecord;

use super::batches::{Batch, Event, Origin, Reason, batches, diverted};
use super::pointer::Pointer;
use crate::deliver::encode::for_each_kept;
use crate::journal::head::Head;
use crate::journal::ledger::Place;
use crate::journal::{self, Journal, Seq};
use crate::trail::Trail;

/// Bytes of messages that are read, and sent, together: what a crash sends a second time at the most.
pub(super) const WINDOW_BYTES: usize = 8 << 20;

/// What is asked of records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Whether the age decides, too. It does not for a folder, which takes events of any age.
    pub(super) by_age: bool,
    /// Whether pointers are sent.
    pub(super) pointers: bool,
}

/// One object of the range that is sent.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) seq: Seq,
    pub(super) place: Place,
    /// The stamp in its name, Unix seconds: the time of records that don't say theirs.
    pub(super) stamp: i64,
    /// Whether it is delivered again by a replay.
    pub(super) is_replayed: bool,
    /// What pointers to its records have in common.
    pub(super) pointer: Pointer,
}

impl Object {
    /// As the journal knows it; None where the destination takes nothing of it.
    pub(super) fn new(seq: Seq, head: &Head, trail: &Trail, destination: &str) -> Option<Self> {
        if head.selected(destination).kept == 0 {
            return None;
        }
        let key = head.log_key()?;
        let folder = trail.object(&trail.folder(&key).day_path(key.date));
        let source = format!("{}/{}", head.source.trim_end_matches('/'), head.key);
        let pointer = Pointer::into_object(&trail.bucket, folder, source);
        let stamp = key.stamp.unix_seconds();
        let place = (key.folder.account, key.folder.region);
        Some(Self { seq, place, stamp, is_replayed: head.replay_to.is_some(), pointer })
    }
}

/// Objects, and how far they were read.
pub(super) struct Reading {
    journal: Journal,
    destination: String,
    objects: Arc<Vec<Object>>,
    rules: Rules,
    /// Index of the next object.
    object: usize,
    /// Records of it that were read.
    records: u64,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) batches: Vec<Batch>,
    /// Records that aren't sent: index of the object, reason.
    pub(super) diverted: Vec<(usize, Reason)>,
}

impl Reading {
    /// From the beginning. `destination` is the name in the journal.
    pub(super) fn new(journal: &Journal, destination: &str, objects: Arc<Vec<Object>>, rules: Rules) -> Self {
        let (journal, destination) = (journal.clone(), destination.to_owned());
        Self { journal, destination, objects, rules, object: 0, records: 0 }
    }

    /// Whether everything was read.
    pub(super) fn is_done(&self) -> bool {
        self.object == self.objects.len()
    }

    /// Reads on until a window is full or nothing is left.
    pub(super) fn window(&mut self, now_ms: i64) -> Result<Window, journal::Error> {
        let mut gathered = Gathered { now_ms, rules: self.rules, bytes: 0, events: Vec::new(), diverted: Vec::new() };
        while gathered.bytes < WINDOW_BYTES && !self.is_done() {
            let object = &self.objects[self.object];
            let (index, skipped) = (self.object, self.records);
            let mut read = 0;
            let mut is_full = false;
            for_each_kept(&self.journal, &self.destination, object.seq, |record| {
                is_full |= gathered.bytes >= WINDOW_BYTES;
                if is_full {
                    return;
                }
                if read >= skipped {
                    gathered.take(record, index, object);
                }
                read += 1;
            })?;
            (self.object, self.records) = if is_full { (index, read) } else { (index + 1, 0) };
        }
        Ok(Window { batches: batches(gathered.events), diverted: gathered.diverted })
    }
}

#[derive(Debug)]
struct Gathered {
    now_ms: i64,
    rules: Rules,
    bytes: usize,
    events: Vec<Event>,
    diverted: Vec<(usize, Reason)>,
}

impl Gathered {
    fn take(&mut self, record: &RawRecord<'_>, index: usize, object: &Object) {
        let (header, len) = (&record.header, record.raw.len());
        let time_ms = header.event_seconds().unwrap_or(object.stamp).saturating_mul(1000);
        let pointer = || Box::new(object.pointer.to(header, len));
        let event = match diverted(&header.category(), time_ms, len, self.now_ms, self.rules.by_age) {
            None => Event {
                log: LogEvent { timestamp_ms: time_ms, message: String::from_utf8_lossy(record.raw).into_owned() },
                origin: Origin::Record { object: index, pointer: self.rules.pointers.then(pointer) },
            },
            Some(reason) => {
                self.diverted.push((index, reason));
                if !self.rules.pointers || reason == Reason::NotSupported {
                    return;
                }
                let timestamp_ms = if reason == Reason::TooLarge { time_ms } else { self.now_ms };
                Event::pointer(index, &pointer(), reason, timestamp_ms)
            }
        };
        self.bytes += event.log.message.len();
        self.events.push(event);
    }
}
