//! Moving a destination's cursor: in one atomic write with the ledger, and with what digests and notifications need to know
//! of the files that were put.

use std::collections::HashMap;

use orgtrail_event::digest::SourceFile;
use serde::{Deserialize, Serialize};

use super::digests::files_key;
use super::ledger::{Delivered, Place};
use super::store::{Batch, Space};
use super::{Books, Cursor, Destination, Error, Journal, Seq, lock};

/// What a destination has confirmed.
#[derive(Debug, Default)]
pub(crate) struct Advance {
    /// Everything below is there.
    pub(crate) to: Seq,
    /// What was put, by account and region. How many records were delivered, filtered and replayed is taken from the
    /// journal's heads; `diverted` ones are not counted as delivered.
    pub(crate) rows: HashMap<Place, Delivered>,
    /// The objects that were put.
    pub(crate) files: Vec<DeliveredFile>,
}

/// An object that was put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeliveredFile {
    /// Account and region.
    pub(crate) place: Place,
    /// The stamp in its name, Unix seconds.
    pub(crate) stamp: i64,
    /// Its key below the trail's location.
    pub(crate) key: String,
    /// Hex SHA-256 of its inflated bytes.
    pub(crate) sha256: String,
    /// Oldest and newest eventTime, Unix seconds.
    pub(crate) event_times: Option<(i64, i64)>,
    /// The objects whose records it holds.
    pub(crate) sources: Vec<SourceFile>,
    /// It was there before this delivery, with these bytes: after a crash, or by a replay. A digest may list it already.
    #[serde(default)]
    pub(crate) found: bool,
}

impl Journal {
    /// Moves a destination's cursor after the destination confirmed everything below `to` (I4): the plan is done, the
    /// ledger says what was delivered, and what no destination needs any more is trimmed.
    pub(crate) fn advance(&self, destination: &str, advance: Advance) -> Result<(), Error> {
        let Advance { to, mut rows, files } = advance;
        let shared = &self.shared;
        let done = self.count_range(destination, to, &mut rows)?;
        let mut batch = shared.store.batch();
        let mut changed = Vec::with_capacity(rows.len());
        for (place, counts) in rows {
            let mut row = shared.delivered_row(destination, &place);
            row.add(&counts);
            batch.put_meta(&format!("delivered/{destination}/{}/{}", place.0, place.1), &row);
            changed.push((place, row));
        }
        batch.put_meta(&format!("cursor/{destination}"), &to);
        batch.remove_meta(&format!("plan/{destination}"));
        let announced = self.keep_files(&mut batch, destination, &files);
        batch.commit()?;
        shared.outbox.committed(announced);
        let slowest = {
            let Books { ledger, cursors, .. } = &mut *lock(&shared.books);
            ledger.delivered.entry(destination.to_owned()).or_default().extend(changed);
            let cursor = cursors.get_mut(destination).expect("destinations are named when the journal is opened");
            *cursor = Cursor { seq: to, pending: cursor.pending - done, ..*cursor };
            cursors.values().map(|cursor| cursor.seq).min().expect("there is at least this one")
        };
        self.trim(slowest)?;
        shared.delivered.send_if_modified(|seq| std::mem::replace(seq, slowest.max(*seq)) < slowest);
        Ok(())
    }

    /// Counts the records of the range into the rows; what of them the ledger had as pending.
    fn count_range(&self, destination: &str, to: Seq, rows: &mut HashMap<Place, Delivered>) -> Result<u64, Error> {
        let mut done = 0;
        let mut from = self.cursor(destination).seq;
        while from < to {
            let heads = self.shared.store.heads(from, 1000)?;
            let Some((last, _)) = heads.last() else { break };
            from = last + 1;
            for (_, head) in heads.iter().filter(|(seq, head)| *seq < to && head.kept > 0) {
                let Some(key) = head.log_key() else { continue };
                let row = rows.entry((key.folder.account, key.folder.region)).or_default();
                let selected = head.selected(destination);
                if head.replay_to.is_some() {
                    row.replayed += selected.kept;
                } else {
                    row.delivered += selected.kept;
                    row.filtered += selected.passed_over;
                    done += head.kept;
                }
            }
        }
        for row in rows.values_mut() {
            let diverted: u64 = row.diverted.values().sum();
            // Replayed records are diverted as well; they were not counted as delivered.
            row.delivered = row.delivered.saturating_sub(diverted);
        }
        Ok(done)
    }

    /// Keeps what digests and notifications are to be made of; how many notifications that are.
    fn keep_files(&self, batch: &mut Batch<'_>, destination: &str, files: &[DeliveredFile]) -> u64 {
        let Some(Destination { digests, announces, .. }) =
            self.shared.destinations.iter().find(|one| one.name == destination)
        else {
            return 0;
        };
        if *digests {
            for file in files {
                batch.put_row(Space::Files, &files_key(destination, file), file);
            }
        }
        if !announces {
            return 0;
        }
        let keys: Vec<_> = files.iter().map(|file| file.key.clone()).collect();
        self.shared.outbox.put(batch, destination, &keys)
    }
}
