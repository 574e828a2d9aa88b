//! What the stages hand on: where objects come from, one object on its way, one that was fetched.
//!
//! Owns the state that the stages share about a folder: whether it is in trouble. A claim travels inside the object, so
//! an object that is dropped anywhere on its way, also by a panic, is handed out again by the next listing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::Date;
use orgtrail_cloud::{Location, ObjectStore};
use orgtrail_event::key::{Folder, Kind, ObjectKey, classify};
use orgtrail_proto::{Backfill, VerifiedDigest};
use orgtrail_service::health::Health;

use crate::checkpoint::{Claim, Detached, FolderId, Listed, Statement, Verdict};
use crate::config::Start;
use crate::discover::{Wake, Wakes};
use crate::fetch::Held;
use crate::intake::FlowKey;
use crate::keyring::Keyring;
use crate::kind::Notes;
use crate::limits::Limits;

/// A place that CloudTrail delivers to.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// The location as text: the source's identity in checkpoint, quarantine and on the wire.
    pub(crate) location: String,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) accounts: Accounts,
    /// Empty for all.
    pub(crate) regions: Vec<String>,
    /// The keys of its digests; without, digests are skipped.
    pub(crate) keyring: Option<Keyring>,
    /// Where the listings of new folders begin.
    pub(crate) start: Start,
    /// A queue tells of its objects; listings look for what it missed.
    pub(crate) notified: bool,
    /// Its accounts' and regions' share, beside those of other sources.
    pub(crate) weight: u32,
    /// Objects of any day can still come, however old the day is.
    pub(crate) days_stay_open: bool,
    /// What its kind has to say beside its objects.
    pub(crate) notes: Notes,
    /// How hard it is asked.
    pub(crate) limits: Arc<Limits>,
}

impl Source {
    pub(crate) fn new(config: &crate::config::Source, location: &Location, store: Arc<dyn ObjectStore>) -> Self {
        Self {
            name: config.name(),
            location: location.to_string(),
            store,
            accounts: Accounts::new(&config.accounts),
            regions: config.regions.clone(),
            keyring: config.digest_keys.as_ref().map(|keys| Keyring::new(keys, &config.connection)),
            start: config.start,
            notified: config.notifications.is_some(),
            weight: config.weight,
            days_stay_open: false,
            notes: Notes::default(),
            limits: Arc::new(Limits::new(config)),
        }
    }

    /// The name of the source in health.
    pub(crate) fn part(&self) -> String {
        format!("source {}", self.name)
    }
}

/// The accounts that are taken of a source; clones share them. They can change where an organization says which.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accounts(Arc<RwLock<Option<BTreeSet<String>>>>);

impl Accounts {
    /// These; all for an empty list.
    pub(crate) fn new(accounts: &[String]) -> Self {
        let listed = (!accounts.is_empty()).then(|| accounts.iter().cloned().collect());
        Self(Arc::new(RwLock::new(listed)))
    }

    pub(crate) fn takes(&self, account: &str) -> bool {
        let accounts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        accounts.as_ref().is_none_or(|accounts| accounts.contains(account))
    }

    /// From now on these.
    pub(crate) fn set(&self, accounts: BTreeSet<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(accounts);
    }

    /// How many there are, where not all are taken.
    pub(crate) fn listed(&self) -> Option<usize> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(BTreeSet::len)
    }
}

/// One account × kind × region of a source, listed by itself.
#[derive(Debug)]
pub(crate) struct SourceFolder {
    pub(crate) source: Arc<Source>,
    pub(crate) folder: Folder,
    /// Key prefix of the folder, with a slash at its end.
    pub(crate) path: String,
    pub(crate) id: FolderId,
    /// Whose share its objects take.
    pub(crate) flow: FlowKey,
    trouble: Trouble,
    /// Unix seconds; 0 for never.
    last_listed: AtomicI64,
    wakes: Wakes,
}

/// A round begins with a listing and lasts until the next.
#[derive(Debug, Default)]
struct Trouble {
    /// Failures since the round began.
    failures: AtomicU32,
    /// Failed rounds in a row.
    rounds: AtomicU32,
    /// Digests of this round whose key is not there yet, and of the round before.
    waiting: AtomicU32,
    waited: AtomicU32,
    /// The last failure was that the public keys could not be asked for.
    lacks_keys: AtomicBool,
}

/// Failed rounds after which a run with `once` leaves digests whose keys cannot be had.
const KEYS_ROUNDS_MAX: u32 = 3;

impl SourceFolder {
    /// `wakes` hears of failures.
    pub(crate) fn new(source: Arc<Source>, folder: Folder, id: FolderId, wakes: Wakes) -> Self {
        let path = folder.path();
        let flow = FlowKey::new(&source.location, &folder.account, &folder.region);
        Self { source, folder, path, id, flow, trouble: Trouble::default(), last_listed: AtomicI64::new(0), wakes }
    }

    /// The name of the folder in health: the kinds of one account and region fail separately.
    fn part(&self) -> String {
        let Folder { account, region, kind, .. } = &self.folder;
        format!("source {} {account}/{region} {kind}", self.source.name)
    }

    /// A listing that began at `began` has reached the end.
    pub(crate) fn was_listed(&self, began: Timestamp) {
        self.last_listed.store(began.as_second(), Ordering::Relaxed);
    }

    /// When the last whole listing began, Unix seconds; none since the process started if absent.
    pub(crate) fn last_listed(&self) -> Option<i64> {
        Some(self.last_listed.load(Ordering::Relaxed)).filter(|at| *at != 0)
    }

    /// A listing begins.
    pub(crate) fn begin_round(&self) {
        self.trouble.waited.store(self.trouble.waiting.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        if self.trouble.failures.swap(0, Ordering::Relaxed) > 0 {
            self.trouble.rounds.fetch_add(1, Ordering::Relaxed);
        } else {
            self.trouble.rounds.store(0, Ordering::Relaxed);
        }
    }

    /// Whether something failed in this round: no use in trying more of the folder before the next.
    pub(crate) fn is_failing(&self) -> bool {
        self.trouble.failures.load(Ordering::Relaxed) > 0
    }

    /// How many rounds in a row have failed, this one included.
    pub(crate) fn failed_rounds(&self) -> u32 {
        self.trouble.rounds.load(Ordering::Relaxed) + u32::from(self.is_failing())
    }

    /// Something of the folder could not be read.
    pub(crate) fn failed(&self, health: &Health, reason: &str) {
        if self.trouble.failures.fetch_add(1, Ordering::Relaxed) == 0 {
            self.wakes.wake(self.id, Wake::Trouble);
        }
        self.trouble.lacks_keys.store(false, Ordering::Relaxed);
        health.set_degraded(&self.part(), reason);
    }

    /// The public keys of the folder's digests could not be asked for.
    pub(crate) fn failed_for_keys(&self, health: &Health, reason: &str) {
        self.failed(health, reason);
        self.trouble.lacks_keys.store(true, Ordering::Relaxed);
    }

    /// Whether its digests are left as they are by a run that has to end.
    pub(crate) fn is_left_for_keys(&self) -> bool {
        self.trouble.lacks_keys.load(Ordering::Relaxed) && self.failed_rounds() >= KEYS_ROUNDS_MAX
    }

    /// One of its digests waits for its key; the others go on.
    pub(crate) fn waits_for_key(&self, health: &Health, reason: &str) {
        self.trouble.waiting.fetch_add(1, Ordering::Relaxed);
        if !self.is_failing() {
            health.set_degraded(&self.part(), reason);
        }
    }

    /// The folder is not watched any more: its trouble is over.
    pub(crate) fn forget(&self, health: &Health) {
        health.set_ok(&self.part());
    }

    /// Something of the folder was read. Trouble is over when a round passes without a failure, so that one bad object
    /// among good ones does not make health flicker.
    pub(crate) fn succeeded(&self, health: &Health) {
        let Trouble { waiting, waited, .. } = &self.trouble;
        if !self.is_failing() && waiting.load(Ordering::Relaxed) + waited.load(Ordering::Relaxed) == 0 {
            self.trouble.lacks_keys.store(false, Ordering::Relaxed);
            health.set_ok(&self.part());
        }
    }
}

/// What the key of an object says that can be shipped: a log file, an Insight file, a digest.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) folder: Folder,
    pub(crate) date: Date,
    /// Unix seconds of the stamp; of a digest, its end.
    pub(crate) stamp: i64,
}

impl Named {
    /// None for a key that CloudTrail would not deliver under.
    pub(crate) fn read(key: &str) -> Option<Self> {
        Some(match classify(key) {
            ObjectKey::Log(log) | ObjectKey::Insight(log) => {
                Self { stamp: log.stamp.unix_seconds(), folder: log.folder, date: log.date }
            }
            ObjectKey::Digest(digest) | ObjectKey::BackfillDigest(digest) => {
                Self { stamp: digest.end.unix_seconds(), folder: digest.folder, date: digest.date }
            }
            ObjectKey::Foreign => return None,
        })
    }

    pub(crate) fn is_digest(&self) -> bool {
        self.folder.kind == Kind::Digest
    }
}

/// Which objects go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// What CloudTrail delivers now.
    Live,
    /// What an operator asked for of the past. Goes behind everything live.
    Backfill {
        /// Log groups are to get the records too.
        log_groups: bool,
    },
}

impl Lane {
    pub(crate) fn is_backfill(self) -> bool {
        matches!(self, Self::Backfill { .. })
    }

    /// What the aggregator is told of it.
    pub(crate) fn backfill(self) -> Option<Backfill> {
        match self {
            Self::Live => None,
            Self::Backfill { log_groups } => Some(Backfill { log_groups }),
        }
    }
}

/// What an object is charged at least, in memory and in its account's share: its reference, its task and its request cost
/// too.
const CHARGE_MIN: u64 = 32 << 10;

/// An object to take: claimed, not fetched.
#[derive(Debug)]
pub(crate) struct ObjectRef {
    pub(crate) folder: Arc<SourceFolder>,
    /// Key below the source's location.
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) last_modified: Timestamp,
    /// Unix seconds of the stamp in the key.
    pub(crate) stamp: i64,
    pub(crate) lane: Lane,
    pub(crate) claim: Claim,
}

impl ObjectRef {
    /// An object that a listing named; none where it is not to be taken.
    pub(crate) fn listed(folder: &Arc<SourceFolder>, listed: Listed, claim: Claim) -> Option<Self> {
        let Verdict::Take { stamp } = listed.verdict else { return None };
        let Listed { key, size, etag, last_modified, .. } = listed;
        let lane = claim.lane;
        Some(Self { folder: Arc::clone(folder), key, size, etag, last_modified, stamp, lane, claim })
    }

    /// An object that the checkpoint hands out by its key.
    pub(crate) fn detached(folder: Arc<SourceFolder>, detached: Detached) -> Option<Self> {
        let Detached { key, size, claim, .. } = detached;
        let stamp = Named::read(&key)?.stamp;
        // The fetch brings the real one.
        let last_modified = Timestamp::from_second(stamp).unwrap_or_default();
        let lane = claim.lane;
        Some(Self { folder, key, size, etag: String::new(), last_modified, stamp, lane, claim })
    }

    /// What it counts as, in bytes.
    pub(crate) fn charge(&self) -> u64 {
        self.size.max(CHARGE_MIN)
    }

    /// The stamp that says how far CloudTrail's deliveries have come: a log file's. Digests and Insight files come at other
    /// times, and would hide that log files have stopped.
    pub(crate) fn freshness(&self) -> Option<i64> {
        (!matches!(self.folder.folder.kind, Kind::Digest | Kind::Insight)).then_some(self.stamp)
    }

    /// The object's name for people.
    pub(crate) fn subject(&self) -> String {
        self.folder.source.store.location().object(&self.key)
    }
}

/// A fetched object whose gzip is sound.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) object: ObjectRef,
    /// Of the inflated bytes, as digests name it.
    pub(crate) sha256: [u8; 32],
    pub(crate) inflated_bytes: u64,
    pub(crate) gzip: Bytes,
    /// Set for digests: for the aggregator, and for the checkpoint.
    pub(crate) digest: Option<VerifiedDigest>,
    pub(crate) statement: Option<Box<Statement>>,
    /// The right to hold the bytes; goes when the object is answered for.
    pub(crate) _held: Held,
}

impl Fetched {
    /// What the object takes in a message: its bytes and a generous bound on its reference.
    pub(crate) fn wire_bytes(&self) -> usize {
        let ObjectRef { key, etag, folder, .. } = &self.object;
        let digest = self.digest.as_ref().map_or(0, |digest| digest.signature.len() + 64);
        self.gzip.len() + key.len() + etag.len() + folder.source.location.len() + digest + 128
    }
}
