//! What became of the records of a range, for the ledger.

use std::collections::HashMap;

use super::batches::{Batch, Event, Origin, Reason};
use super::send::Sent;
use super::window::Object;
use crate::journal::ledger::{Delivered, Place};

/// Counts by account and region. The journal counts the range's records itself: what isn't diverted here was delivered.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rows: HashMap<Place, Delivered>,
}

impl Tally {
    /// A record of this object was not stored.
    pub(super) fn divert(&mut self, object: &Object, reason: Reason) {
        // Counted when it first came; a replay's records aren't part of the equation.
        if !object.is_replayed {
            self.divert_all(object, reason, 1);
        }
    }

    /// So many records of this object, which no replay brought, were not stored.
    pub(super) fn divert_all(&mut self, object: &Object, reason: Reason, records: u64) {
        *self.row(object).diverted.entry(reason.as_str().to_owned()).or_default() += records;
    }

    /// A batch was taken. Returns what CloudWatch Logs rejected of it.
    pub(super) fn sent<'s>(&mut self, objects: &[Object], sent: &'s Sent) -> Vec<(&'s Origin, Reason)> {
        let mut rejected = Vec::new();
        for (origin, bytes, reason) in sent.events() {
            let object = &objects[origin.object()];
            match (reason, origin) {
                (Some(reason), Origin::Record { .. }) => {
                    self.divert(object, reason);
                    rejected.push((origin, reason));
                }
                // What it stands for was counted already.
                (Some(_), Origin::Pointer { .. }) => {}
                (None, _) => {
                    let row = self.row(object);
                    row.bytes += bytes as u64;
                    row.newest_stamp = row.newest_stamp.max(object.stamp);
                }
            }
        }
        if let Some(first) = sent.batch.origins.first() {
            // A batch holds records of many places; it is counted with its first record's.
            self.row(&objects[first.object()]).objects += 1;
        }
        rejected
    }

    pub(super) fn into_rows(self) -> HashMap<Place, Delivered> {
        self.rows
    }

    fn row(&mut self, object: &Object) -> &mut Delivered {
        self.rows.entry(object.place.clone()).or_default()
    }
}

/// Pointers in place of what was rejected, as of now.
pub(super) fn pointers(rejected: &[(&Origin, Reason)], now_ms: i64) -> Vec<Batch> {
    let events = rejected.iter().filter_map(|(origin, reason)| match origin {
        Origin::Record { object, pointer: Some(pointer) } => Some(Event::pointer(*object, pointer, *reason, now_ms)),
        _ => None,
    });
    super::batches::batches(events.collect())
}
