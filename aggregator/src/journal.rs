//! The journal: the one durable hand-off between what comes in and all destinations.
//!
//! Owns what was taken and not yet delivered, the seen-keys of deduplication, the destinations' cursors and plans, and the
//! record ledger; all of it changes in atomic writes. Does not own what a destination does with an entry.
//!
//! Entries are objects, numbered by `seq` in the order of their commits. A destination reads from its cursor on and moves the
//! cursor only after its destination confirmed (I4); what lies below every cursor is trimmed. The epoch is drawn
//! anew whenever the journal is opened: an agent that sees another one offers again what it doesn't know to be delivered (I11).
//! What is in the journal is recognised; what was lost with a disk, or with an old copy of one put back, is taken again.

mod advance;
mod copy;
pub mod digests;
pub mod head;
pub mod ledger;
mod open;
mod origins;
pub(crate) mod outbox;
pub mod runs;
mod seen;
mod store;
mod usage;
mod writer;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use orgtrail_event::digest::SourceDigest;
use orgtrail_event::record::Identity;
use orgtrail_proto::ObjectRef;
use orgtrail_service::clock::Clock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};

use crate::seal::{self, Seal};
use crate::usage::Names;
pub(crate) use advance::{Advance, DeliveredFile};
pub(crate) use copy::{Copied, copy};
use head::{Head, Lane};
use ledger::{Delivered, Ingested, Ledger, Place};
use store::Store;
pub use writer::Writer;
pub(crate) use writer::record_account;

/// Place of an object in the journal.
pub type Seq = u64;

/// Why the journal can't.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The storage engine failed.
    #[error("{action}")]
    Engine {
        /// What was attempted.
        action: String,
        /// Why it failed.
        source: fjall::Error,
    },
    /// Something on disk isn't what was written.
    #[error(
        "journal is damaged: {0}; move its folder aside and start again: the agents send again what wasn't delivered"
    )]
    Corrupt(String),
    /// Too much waits for delivery.
    #[error("journal is full: {used} of {capacity} bytes wait for delivery")]
    Full {
        /// Bytes that wait.
        used: u64,
        /// `journal.capacity`.
        capacity: u64,
    },
    /// The key that seals the journal may not be used now.
    #[error("{0}")]
    Refused(String),
    /// A value can't be sealed or opened.
    #[error(transparent)]
    Seal(#[from] seal::Error),
    /// The writer is gone: the process is stopping.
    #[error("journal writer has stopped: {0}")]
    Stopped(String),
}

impl Error {
    fn engine(action: &'static str) -> impl Fn(fjall::Error) -> Self {
        move |source| Self::Engine { action: action.to_owned(), source }
    }
}

/// What the journal is opened with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder; made when absent.
    pub dir: PathBuf,
    /// Most payload bytes that may wait for delivery.
    pub capacity: u64,
    /// How long a record is remembered after it was taken.
    pub dedup_window: Duration,
    /// Memory for the hot part of what is remembered, bytes.
    pub dedup_memory: u64,
    /// A commit stops gathering beyond this many payload bytes.
    pub commit_bytes: u64,
    /// Those that read.
    pub destinations: Vec<Destination>,
    /// Names of the trails, in the order of the bits of [`Scanned::passed_by`].
    pub trails: Vec<String>,
    /// Seals what is kept on disk.
    pub seal: Seal,
}

/// One that reads the journal from a cursor of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// A trail's name, or that and what else of the trail it is.
    pub name: String,
    /// Its files are listed in digests: the journal keeps each until one does.
    pub digests: bool,
    /// Its files are announced: the journal keeps each until it was.
    pub announces: bool,
}

/// A scanned object that may go into the journal.
#[derive(Debug)]
pub struct Prepared {
    /// Where it came from.
    pub reference: ObjectRef,
    /// Account and region, as its key says.
    pub place: Place,
    /// When CloudTrail cut the file, as its key says, Unix seconds.
    pub stamp: i64,
    /// Its bytes.
    pub gzip: Bytes,
    /// gzip members of those bytes.
    pub members: u32,
    /// Which trail of the source it was delivered by: location and folder.
    pub origin: String,
    /// The names of its records, each once.
    pub names: Vec<Names>,
    /// Its readable records, in file order.
    pub records: Vec<Scanned>,
    /// Bad stretches of the file; each is in quarantine already (I10).
    pub bad_records: u64,
    /// What the agent is told when only some records could be read.
    pub damage: Option<String>,
    /// Oldest and newest eventTime, Unix seconds; none where no record has a readable one.
    pub event_times: Option<(i64, i64)>,
    /// What a verified source digest says. It has no records.
    pub source_digest: Option<SourceDigest>,
    /// The one destination of an object that is delivered again by a replay: its records are neither counted nor compared
    /// with what was seen.
    pub replay_to: Option<String>,
    /// How it came.
    pub lane: Lane,
}

/// What the journal needs of a record.
#[derive(Debug, Clone, Copy)]
pub struct Scanned {
    /// Names the record.
    pub identity: Identity,
    /// Hour of its eventTime.
    pub hour: u32,
    /// Whose it is, see `record_account`.
    pub account: u64,
    /// Bytes of its text.
    pub len: u32,
    /// The trails whose selectors pass it over, a bit each.
    pub passed_by: u64,
    /// Place of its names in [`Prepared::names`].
    pub names: u32,
}

/// Answer to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Its place. An object that was taken before keeps its old one.
    pub seq: Seq,
    /// What was wrong with it, if only some of its records could be read.
    pub damage: Option<String>,
}

/// A cheap handle.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
    requests: mpsc::Sender<writer::Append>,
}

struct Shared {
    store: Store,
    clock: Arc<dyn Clock>,
    epoch: u64,
    capacity: u64,
    dedup_window_seconds: i64,
    /// The ledger and the cursors change together, so that nobody sees a ledger that doesn't balance.
    books: Mutex<Books>,
    /// First seq that is not committed yet.
    head: watch::Sender<Seq>,
    /// First seq that some destination does not hold yet.
    delivered: watch::Sender<Seq>,
    payload_bytes: AtomicU64,
    queued_bytes: AtomicU64,
    trimmed: Mutex<Seq>,
    seen_bytes: AtomicU64,
    seen_loads: AtomicU64,
    destinations: Vec<Destination>,
    trails: Vec<String>,
    outbox: outbox::Outbox,
    usage: usage::Usage,
    /// The trails of each origin, as far as digests name them.
    origin_trails: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

/// What was counted, and where the destinations stand, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Books {
    /// The counters.
    pub ledger: Ledger,
    /// By destination.
    pub cursors: HashMap<String, Cursor>,
    /// By trail.
    pub digests: HashMap<String, digests::DigestCount>,
}

/// Where a destination stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// First seq that it does not hold.
    pub seq: Seq,
    /// Records from there on.
    pub pending: u64,
    /// Records that were taken before the destination was configured.
    pub before: u64,
}

impl Journal {
    /// Opens or makes the journal. Run the returned writer; without it `append` waits for ever.
    pub fn open(settings: &Settings, clock: Arc<dyn Clock>) -> Result<(Self, Writer), Error> {
        let store = Store::open(&settings.dir, settings.seal.clone())?;
        store.prune_data_keys()?;
        let epoch = open::draw_epoch()?;
        let next_seq: Seq = store.meta("next_seq")?.unwrap_or(1);
        let ledger = open::load_ledger(&store)?;
        let cursors = open::load_cursors(&store, &settings.destinations, next_seq, &ledger)?;
        let first = store.heads(0, 1)?.first().map_or(next_seq, |(seq, _)| *seq);
        let mut payload_bytes = 0;
        open::for_each_head(&store, first, |_, head| payload_bytes += head.gzip_bytes)?;
        let outbox = outbox::Outbox::open(&store)?;
        let usage = usage::Usage::open(&store, &ledger.ingested_total(), usage::Limits::default())?;
        let origins = origins::Origins::open(&store)?;
        let digests = store.metas("digests/")?.into_iter().collect();
        let delivered = cursors.values().map(|cursor| cursor.seq).min().unwrap_or(next_seq);
        let shared = Arc::new(Shared {
            books: Mutex::new(Books { ledger, cursors, digests }),
            store,
            clock,
            epoch,
            capacity: settings.capacity,
            dedup_window_seconds: i64::try_from(settings.dedup_window.as_secs()).unwrap_or(i64::MAX),
            head: watch::Sender::new(next_seq),
            delivered: watch::Sender::new(delivered),
            payload_bytes: AtomicU64::new(payload_bytes),
            queued_bytes: AtomicU64::new(0),
            trimmed: Mutex::new(first),
            seen_bytes: AtomicU64::new(0),
            seen_loads: AtomicU64::new(0),
            destinations: settings.destinations.clone(),
            trails: settings.trails.clone(),
            outbox,
            usage,
            origin_trails: Mutex::new(origins.trails()),
        });
        // A few groups' worth: agents have their own windows, this only decouples scanning from fsync.
        let (sender, requests) = mpsc::channel(64);
        let seen = seen::Seen::new(settings.dedup_memory);
        let core = writer::Core { shared: Arc::clone(&shared), seen, origins, next_seq };
        let writer = Writer { requests, core, commit_bytes: settings.commit_bytes };
        let journal = Self { shared, requests: sender };
        // A crash behind a cursor's move, or a destination that is configured no more: a journal that is full of what nobody
        // needs would take nothing, and so deliver nothing, and never be trimmed.
        journal.trim(delivered)?;
        Ok((journal, writer))
    }

    /// What seals its values.
    pub(crate) fn seal(&self) -> &Seal {
        self.shared.store.seal()
    }

    /// Waits until what is kept on disk may be read: for ever while the key that seals it is refused. Cancel-safe.
    pub(crate) async fn usable(&self) {
        self.shared.store.seal().usable().await;
    }

    /// Names this opening of the journal.
    pub fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// Whether payloads of that size would be taken now. Cheap, so that a full journal costs no scanning.
    ///
    /// # Errors
    /// [`Error::Full`], or [`Error::Refused`].
    pub fn room_for(&self, bytes: u64) -> Result<(), Error> {
        if let Some(why) = self.shared.store.seal().refused() {
            return Err(Error::Refused(why));
        }
        let used = self.shared.payload_bytes.load(Ordering::Acquire) + self.shared.queued_bytes.load(Ordering::Acquire);
        // An empty journal takes anything: an object larger than the capacity must not wait for ever.
        if used > 0 && used + bytes > self.shared.capacity {
            return Err(Error::Full { used, capacity: self.shared.capacity });
        }
        Ok(())
    }

    /// Appends; returns when the objects are on disk (I2), one answer for each in their order.
    pub async fn append(&self, objects: Vec<Prepared>) -> Result<Vec<Appended>, Error> {
        let bytes = objects.iter().map(|object| object.gzip.len() as u64).sum();
        self.room_for(bytes)?;
        let _queued = Queued::new(&self.shared.queued_bytes, bytes);
        let (reply, answer) = oneshot::channel();
        let stopped = || Error::Stopped("the process is shutting down".to_owned());
        self.requests.send(writer::Append { objects, reply }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }

    /// Follows the first seq that isn't committed yet.
    pub fn watch_head(&self) -> watch::Receiver<Seq> {
        self.shared.head.subscribe()
    }

    /// Follows the first seq that some destination does not hold yet.
    pub fn watch_delivered(&self) -> watch::Receiver<Seq> {
        self.shared.delivered.subscribe()
    }

    /// Where a destination stands.
    pub fn cursor(&self, destination: &str) -> Cursor {
        let books = lock(&self.shared.books);
        *books.cursors.get(destination).expect("destinations are named when the journal is opened")
    }

    /// Heads from `from` on, at most `count` of them.
    pub fn heads(&self, from: Seq, count: usize) -> Result<Vec<(Seq, Head)>, Error> {
        self.shared.store.heads(from, count)
    }

    /// One object's head and bytes.
    pub fn entry(&self, seq: Seq) -> Result<(Head, Bytes), Error> {
        let head = self.shared.store.head(seq)?;
        let head = head.ok_or_else(|| Error::Corrupt(format!("head of seq {seq} is not there")))?;
        Ok((head, self.shared.store.payload(seq)?))
    }

    /// The plan that a destination has written down and not finished.
    pub fn plan<T: DeserializeOwned>(&self, destination: &str) -> Result<Option<T>, Error> {
        self.shared.store.meta(&format!("plan/{destination}"))
    }

    /// Writes a plan down; it is on disk when this returns (I7).
    pub fn store_plan(&self, destination: &str, plan: &impl Serialize) -> Result<(), Error> {
        let mut batch = self.shared.store.batch();
        batch.put_meta(&format!("plan/{destination}"), plan);
        batch.commit()
    }

    /// Removes all entries below `end`.
    fn trim(&self, end: Seq) -> Result<(), Error> {
        let mut trimmed = lock(&self.shared.trimmed);
        while *trimmed < end {
            let heads = self.shared.store.heads(*trimmed, 1000)?;
            let heads: Vec<_> = heads.into_iter().take_while(|(seq, _)| *seq < end).collect();
            let Some((last, _)) = heads.last() else { break };
            *trimmed = last + 1;
            let mut batch = self.shared.store.batch();
            let mut freed = 0;
            for (seq, head) in &heads {
                batch.remove_object(*seq, head.gzip_bytes > 0);
                freed += head.gzip_bytes;
            }
            batch.commit()?;
            self.shared.payload_bytes.fetch_sub(freed, Ordering::AcqRel);
        }
        Ok(())
    }

    /// A copy of all counters and cursors, as of one moment.
    pub fn books(&self) -> Books {
        lock(&self.shared.books).clone()
    }

    /// The trails that digests say deliver to an origin, where there are any.
    pub(crate) fn origin_trails(&self) -> BTreeMap<String, BTreeSet<String>> {
        lock(&self.shared.origin_trails).clone()
    }

    /// How the journal fares.
    pub fn usage(&self) -> Usage {
        Usage {
            payload_bytes: self.shared.payload_bytes.load(Ordering::Acquire),
            capacity: self.shared.capacity,
            disk_bytes: self.shared.store.disk_bytes(),
            head: *self.shared.head.borrow(),
            delivered: *self.shared.delivered.borrow(),
            seen_bytes: self.shared.seen_bytes.load(Ordering::Relaxed),
            seen_loads: self.shared.seen_loads.load(Ordering::Relaxed),
        }
    }
}

/// How the journal fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Payload bytes that wait for delivery.
    pub payload_bytes: u64,
    /// `journal.capacity`.
    pub capacity: u64,
    /// Bytes of its folder.
    pub disk_bytes: u64,
    /// First seq that isn't committed.
    pub head: Seq,
    /// First seq that some destination does not hold.
    pub delivered: Seq,
    /// Memory of the hot seen-keys, bytes.
    pub seen_bytes: u64,
    /// Buckets of seen-keys that were loaded from disk.
    pub seen_loads: u64,
}

impl Shared {
    fn ingested(&self, place: &Place) -> Ingested {
        lock(&self.books).ledger.ingested.get(place).cloned().unwrap_or_default()
    }

    fn delivered_row(&self, destination: &str, place: &Place) -> Delivered {
        let ledger = &lock(&self.books).ledger;
        ledger.delivered.get(destination).and_then(|rows| rows.get(place)).cloned().unwrap_or_default()
    }

    /// A group is on disk: says so to everybody.
    fn committed(&self, next_seq: Seq, rows: HashMap<Place, Ingested>, kept: u64, payload_bytes: u64) {
        {
            let mut books = lock(&self.books);
            books.ledger.ingested.extend(rows);
            for cursor in books.cursors.values_mut() {
                cursor.pending += kept;
            }
        }
        self.payload_bytes.fetch_add(payload_bytes, Ordering::AcqRel);
        self.head.send_if_modified(|seq| std::mem::replace(seq, next_seq) != next_seq);
    }
}

/// Bytes that were promised a place and are not counted as payload yet. Given back on drop: whoever appends may go away.
struct Queued<'a> {
    total: &'a AtomicU64,
    bytes: u64,
}

impl<'a> Queued<'a> {
    fn new(total: &'a AtomicU64, bytes: u64) -> Self {
        total.fetch_add(bytes, Ordering::AcqRel);
        Self { total, bytes }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// The mutexes guard plain data that is never left half changed, so a panic elsewhere doesn't taint it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
