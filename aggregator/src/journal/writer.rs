//! The one task that appends: decides what is a duplicate and writes payload, seen-keys and the list of records to leave
//! out in one atomic, fsynced, group-committed write (I2, I3).
//!
//! While one group is being fsynced the next one gathers in the queue, so the group grows with the load and no timer is
//! needed. A group is cut where deduplication has touched as much as its memory. Crash: an object is on disk with all that
//! belongs to it or not at all, and nobody was told before. A failed write ends the process.

use std::collections::HashMap;
use std::sync::Arc;

use orgtrail_event::key::classify;
use orgtrail_event::record::Identity;
use ring::digest::{SHA256, digest};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::head::Head;
use super::ledger::{Ingested, Place};
use super::origins::Origins;
use super::seen::{BucketKey, Seen, Verdict, account_code};
use super::store::{Batch, Expiry, Known};
use super::usage::Brought;
use super::{Appended, Error, Prepared, Scanned, Seq, Shared, lock};
use crate::usage::{Count, Names, Table, day_number};

/// Objects that are to be appended together, and whom to tell.
pub(super) struct Append {
    pub(super) objects: Vec<Prepared>,
    pub(super) reply: oneshot::Sender<Vec<Appended>>,
}

/// See the module's description.
pub struct Writer {
    pub(super) requests: mpsc::Receiver<Append>,
    pub(super) core: Core,
    pub(super) commit_bytes: u64,
}

/// What a commit works on; moves to a blocking thread and back.
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) seen: Seen,
    pub(super) origins: Origins,
    pub(super) next_seq: Seq,
}

impl Writer {
    /// Appends until cancelled. What waits in the queue then was never acknowledged.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), Error> {
        loop {
            // Cancel-safe: recv loses nothing when its future is dropped.
            let first = tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(()),
                request = self.requests.recv() => request,
            };
            let Some(first) = first else { return Ok(()) };
            let group = self.gather(first);
            let mut core = self.core;
            let committed = tokio::task::spawn_blocking(move || {
                let result = core.commit(group);
                (core, result)
            });
            let (core, result) = committed.await.map_err(|panic| Error::Stopped(panic.to_string()))?;
            self.core = core;
            result?;
        }
    }

    fn gather(&mut self, first: Append) -> Vec<Append> {
        let size = |append: &Append| append.objects.iter().map(|object| object.gzip.len() as u64).sum::<u64>();
        let mut bytes = size(&first);
        let mut group = vec![first];
        while bytes < self.commit_bytes {
            let Ok(next) = self.requests.try_recv() else { break };
            bytes += size(&next);
            group.push(next);
        }
        group
    }
}

/// One group on its way: what the ledger will say, and objects that are known only once it is committed.
struct Group<'a> {
    batch: Batch<'a>,
    ledger: HashMap<Place, Ingested>,
    known: HashMap<[u8; 16], Known>,
    usage: Brought,
    /// Whether a digest named a trail that nobody knew of.
    has_trail: bool,
    kept: u64,
    payload_bytes: u64,
    id_conflicts: Vec<String>,
}

impl<'a> Group<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            batch: shared.store.batch(),
            ledger: HashMap::new(),
            known: HashMap::new(),
            usage: Brought::default(),
            has_trail: false,
            kept: 0,
            payload_bytes: 0,
            id_conflicts: Vec::new(),
        }
    }
}

impl Core {
    fn commit(&mut self, group: Vec<Append>) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let mut writing = Group::new(&shared);
        let mut replies = Vec::with_capacity(group.len());
        for append in group {
            let mut appended = Vec::with_capacity(append.objects.len());
            for object in append.objects {
                appended.push(self.append(&mut writing, object)?);
                // Tiny files of many accounts and hours, as a backfill brings them, touch more buckets than memory may hold.
                if self.seen.has_outgrown() {
                    self.write(std::mem::replace(&mut writing, Group::new(&shared)))?;
                }
            }
            replies.push((append.reply, appended));
        }
        self.write(writing)?;
        for (reply, appended) in replies {
            // Whoever asked may be gone; the objects are in the journal all the same and will be recognised.
            drop(reply.send(appended));
        }
        self.expire()
    }

    /// Writes what was gathered; it is on disk when this returns.
    fn write(&mut self, group: Group<'_>) -> Result<(), Error> {
        let shared = &self.shared;
        let Group { mut batch, ledger, usage, has_trail, kept, payload_bytes, id_conflicts, .. } = group;
        let today = day_number(shared.clock.now().as_second());
        let usage = shared.usage.put(&mut batch, usage, today);
        batch.put_meta("next_seq", &self.next_seq);
        for (place, row) in &ledger {
            batch.put_meta(&format!("ingested/{}/{}", place.0, place.1), row);
        }
        batch.commit()?;
        shared.usage.committed(usage, &shared.store, today)?;
        if has_trail {
            *lock(&shared.origin_trails) = self.origins.trails();
        }
        shared.committed(self.next_seq, ledger, kept, payload_bytes);
        self.seen.shrink();
        shared.seen_bytes.store(self.seen.bytes(), std::sync::atomic::Ordering::Relaxed);
        shared.seen_loads.store(self.seen.loads, std::sync::atomic::Ordering::Relaxed);
        for subject in id_conflicts {
            tracing::warn!(object.key = subject, "an eventID came again over other bytes: both records are kept");
        }
        Ok(())
    }

    fn append(&mut self, group: &mut Group<'_>, object: Prepared) -> Result<Appended, Error> {
        let shared = Arc::clone(&self.shared);
        let row = group.ledger.entry(object.place.clone()).or_insert_with_key(|place| shared.ingested(place));
        let known_key = known_key(&object);
        let known = match group.known.get(&known_key) {
            Some(known) => Some(known.clone()),
            None => shared.store.known(&known_key)?,
        };
        if let Some(known) = known {
            row.objects_again += 1;
            return Ok(Appended { seq: known.seq, damage: known.damage });
        }

        let seq = self.next_seq;
        self.next_seq += 1;
        let mut head = Head::new(&object.reference);
        let origin = self.origins.number(&mut group.batch, &object.origin);
        let mut choice = Choice::new(&mut self.seen, &shared, origin, object.names.len());
        for (ordinal, record) in object.records.iter().enumerate() {
            let ordinal = u32::try_from(ordinal).expect("a file holds fewer than 2^32 records");
            choice.take(&mut head, ordinal, record, object.replay_to.is_none())?;
        }
        let Choice { mut fresh, conflicts, counts, copies, .. } = choice;
        if conflicts > 0 {
            group.id_conflicts.push(format!("{}/{}", head.source, head.key));
        }
        head.verbatim = head.omit.is_empty() && object.bad_records == 0 && object.members == 1 && head.kept > 0;
        head.event_times = object.event_times;
        head.replay_to.clone_from(&object.replay_to);
        head.lane = object.lane;
        if object.replay_to.is_none() {
            count(row, &object, &head, conflicts);
            tell(&mut group.usage, &object, &counts, &copies, &self.origins);
        }

        let mut expiry = Expiry { taken_at: shared.clock.now().as_second(), known: known_key, buckets: Vec::new() };
        for (bucket, identities) in &mut fresh {
            group.batch.put_seen(*bucket, seq, origin, identities);
            expiry.buckets.push((bucket.hour, bucket.account));
        }
        if head.kept > 0 {
            head.gzip_bytes = object.gzip.len() as u64;
            group.payload_bytes += head.gzip_bytes;
            group.batch.put_payload(seq, object.gzip);
        }
        group.kept += head.pending();
        group.batch.put_head(seq, &head);
        if let Some(digest) = &object.source_digest {
            shared.put_custody(&mut group.batch, &object.place, seq, digest);
            if let Some(key) = classify(&digest.key).into_digest() {
                group.has_trail |= self.origins.delivers(&mut group.batch, origin, &key.trail);
            }
        }
        let known = Known { seq, damage: object.damage.clone() };
        group.batch.put_known(&known_key, &known);
        group.batch.put_expiry(seq, &expiry);
        group.known.insert(known_key, known);
        Ok(Appended { seq, damage: object.damage })
    }

    /// Forgets a bounded number of objects that were taken before the window.
    fn expire(&mut self) -> Result<(), Error> {
        let taken_before = self.shared.clock.now().as_second() - self.shared.dedup_window_seconds;
        // What some destination waits for may still be offered again, however old it is.
        let delivered = *self.shared.delivered.borrow();
        let mut expired = self.shared.store.expired(taken_before, 1000)?;
        expired.retain(|(seq, _)| *seq < delivered);
        if expired.is_empty() {
            return Ok(());
        }
        let mut batch = self.shared.store.batch();
        for (seq, expiry) in &expired {
            batch.expire(*seq, expiry);
        }
        batch.commit()?;
        for (_, expiry) in expired {
            for (hour, account) in expiry.buckets {
                self.seen.forget(BucketKey { hour, account });
            }
        }
        Ok(())
    }
}

/// Goes through an object's records: which are duplicates, which a trail passes over.
struct Choice<'a> {
    seen: &'a mut Seen,
    shared: &'a Shared,
    fresh: HashMap<BucketKey, Vec<Identity>>,
    conflicts: u64,
    origin: u16,
    /// By the records' names.
    counts: Vec<Count>,
    /// Duplicates by where the first copy came from, and their names.
    copies: HashMap<(u16, u32), Count>,
}

impl<'a> Choice<'a> {
    fn new(seen: &'a mut Seen, shared: &'a Shared, origin: u16, names: usize) -> Self {
        let (fresh, copies, counts) = (HashMap::new(), HashMap::new(), vec![Count::default(); names]);
        Self { seen, shared, fresh, conflicts: 0, origin, counts, copies }
    }

    fn take(&mut self, head: &mut Head, ordinal: u32, record: &Scanned, compare: bool) -> Result<(), Error> {
        let bucket = BucketKey { hour: record.hour, account: record.account };
        if compare {
            let count = &mut self.counts[record.names as usize];
            let len = u64::from(record.len);
            (count.events, count.bytes) = (count.events + 1, count.bytes + len);
            let load = |bucket| self.shared.store.seen(bucket);
            match self.seen.insert(bucket, &record.identity, self.origin, load)? {
                Verdict::Duplicate(first) => {
                    (count.duplicates, count.duplicate_bytes) = (count.duplicates + 1, count.duplicate_bytes + len);
                    let copy = self.copies.entry((first, record.names)).or_default();
                    (copy.events, copy.bytes) = (copy.events + 1, copy.bytes + len);
                    head.omit.push(ordinal);
                    return Ok(());
                }
                Verdict::SameIdOtherBytes => self.conflicts += 1,
                Verdict::New => {}
            }
            self.fresh.entry(bucket).or_default().push(record.identity);
        }
        head.kept += 1;
        head.kept_bytes += u64::from(record.len);
        let mut passed_by = record.passed_by;
        while passed_by != 0 {
            let trail = &self.shared.trails[passed_by.trailing_zeros() as usize];
            passed_by &= passed_by - 1;
            let passed = match head.passed_over.get_mut(trail) {
                Some(passed) => passed,
                None => head.passed_over.entry(trail.clone()).or_default(),
            };
            passed.records += 1;
            passed.bytes += u64::from(record.len);
            passed.ordinals.push(ordinal);
        }
        Ok(())
    }
}

fn count(row: &mut Ingested, object: &Prepared, head: &Head, conflicts: u64) {
    row.source_digests += u64::from(object.source_digest.is_some());
    row.objects += u64::from(object.source_digest.is_none());
    row.read += object.records.len() as u64 + object.bad_records;
    row.duplicate += head.omit.len();
    row.quarantined += object.bad_records;
    row.id_conflicts += conflicts;
    row.json_bytes += object.reference.inflated_bytes;
    row.newest_event = row.newest_event.max(object.event_times.map_or(0, |(_, newest)| newest));
    // A digest's would hide that log files have stopped.
    if object.source_digest.is_none() {
        row.newest_stamp = row.newest_stamp.max(object.stamp);
    }
}

/// The same for the usage ledger.
fn tell(
    usage: &mut Brought,
    object: &Prepared,
    counts: &[Count],
    copies: &HashMap<(u16, u32), Count>,
    origins: &Origins,
) {
    for (names, count) in object.names.iter().zip(counts) {
        usage.add(object.stamp, names, count);
    }
    if object.bad_records > 0 {
        let count = Count { events: object.bad_records, ..Count::default() };
        usage.add(object.stamp, &Names::unreadable(&object.place.0), &count);
    }
    for ((first, names), count) in copies {
        let Names { account, class, .. } = &object.names[*names as usize];
        let names = Names {
            table: Table::Copies,
            account: account.clone(),
            source: origins.root(*first).to_owned(),
            name: object.origin.clone(),
            class: *class,
        };
        usage.add(object.stamp, &names, count);
    }
}

/// Source, key and etag name an object; the same object offered again is recognised by it. A replay is another offer.
fn known_key(object: &Prepared) -> [u8; 16] {
    let reference = &object.reference;
    let replay = object.replay_to.iter().map(|to| format!("\nreplay {to}")).collect::<String>();
    let text = format!("{}\n{}\n{}{replay}", reference.source, reference.key, reference.etag);
    digest(&SHA256, text.as_bytes()).as_ref()[..16].try_into().expect("SHA-256 is 32 bytes")
}

/// The account that a record counts for: its own, or that of the folder it was found in.
pub(crate) fn record_account(own: Option<&str>, folder: &str) -> u64 {
    account_code(own.unwrap_or(folder))
}
