//! From the newest digest to the oldest, as the AWS CLI goes: by each digest's pointer to the one before, and where that
//! leads nowhere, to the next older one that was listed.
//!
//! Owns the way and reading ahead on it. Does not own what it means (`continuity`).

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use orgtrail_event::digest::{DigestFault, PublicKeys};
use orgtrail_event::key::{ObjectKey, classify};

use super::fetch::{Reader, Sound};
use super::find::{Chain, Wanted, chains};
use super::in_order::InOrder;
use super::place::Address;

/// Digests that are read before it is their turn.
const AHEAD: usize = 16;

/// One step of the way: a digest, and the gap behind it that its missing pointer leaves.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) at: Address,
    pub(super) result: Result<Arc<Sound>, DigestFault>,
    /// The end of the next older digest, where this one is the first of its chain.
    pub(super) gap_from: Option<Timestamp>,
}

type Judged = anyhow::Result<Result<Sound, DigestFault>>;

/// Where the way is.
pub(super) struct Walk {
    reader: Arc<Reader>,
    chain: Chain,
    backfill: bool,
    keys: Arc<PublicKeys>,
    start: Timestamp,
    /// Keys that were listed and not passed, in byte order.
    listed: Vec<Address>,
    next: Option<Address>,
    last_start: Timestamp,
    ahead: InOrder<(Address, Judged)>,
    /// What is being read ahead, newest first.
    reading: VecDeque<Address>,
}

impl Walk {
    /// The way from the newest of the listed keys.
    pub(super) fn new(
        reader: Arc<Reader>,
        chain: Chain,
        listed: Vec<Address>,
        backfill: bool,
        keys: Arc<PublicKeys>,
        (start, end): (Timestamp, Timestamp),
    ) -> Self {
        let (ahead, reading) = (InOrder::new(), VecDeque::new());
        let mut walk =
            Self { reader, chain, backfill, keys, start, listed, next: None, last_start: end, ahead, reading };
        walk.next = walk.listed.pop();
        walk.last_start = walk.next.as_ref().and_then(|at| ends_at(&at.key)).unwrap_or(end);
        walk
    }

    /// The next digest. `None` at the end.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Step>> {
        if self.last_start < self.start {
            return Ok(None);
        }
        let Some(at) = self.next.take() else { return Ok(None) };
        let sound = match self.read(&at).await? {
            Ok(sound) => Arc::new(sound),
            Err(fault) => {
                self.next = self.older_listed(&at.key);
                return Ok(Some(Step { at, result: Err(fault), gap_from: None }));
            }
        };
        self.last_start = sound.start;
        let mut gap_from = None;
        match sound.previous() {
            None => {
                self.next = self.older_listed(&at.key);
                gap_from = self.next.as_ref().and_then(|older| ends_at(&older.key));
            }
            Some(previous) => {
                if previous.bucket != at.bucket {
                    self.list_again(&previous, sound.end).await?;
                }
                self.next = Some(previous);
            }
        }
        Ok(Some(Step { at, result: Ok(sound), gap_from }))
    }

    /// The newest listed key whose digest ends before this one.
    fn older_listed(&mut self, key: &str) -> Option<Address> {
        let before = ends_at(key);
        while let Some(at) = self.listed.pop() {
            if ends_at(&at.key) < before {
                return Some(at);
            }
        }
        None
    }

    /// The chain goes on in another bucket.
    async fn list_again(&mut self, previous: &Address, end: Timestamp) -> anyhow::Result<()> {
        let (ObjectKey::Digest(key) | ObjectKey::BackfillDigest(key)) = classify(&previous.key) else {
            return Ok(());
        };
        let Ok(store) = self.reader.place.other(&previous.bucket, previous).await else { return Ok(()) };
        let wanted = Wanted { trail: Some(key.trail), home_region: Some(key.home_region), ..Wanted::default() };
        let found = chains(store.as_ref(), &key.folder, &wanted, self.start, end).await?;
        let keys = found.into_values().flat_map(|keys| if self.backfill { keys.backfill } else { keys.normal });
        self.listed = keys.map(|key| Address { bucket: previous.bucket.clone(), key }).collect();
        (self.ahead, self.reading) = (InOrder::new(), VecDeque::new());
        Ok(())
    }

    /// Reads a digest, and has those that probably follow read meanwhile.
    async fn read(&mut self, at: &Address) -> Judged {
        // What was read ahead and is newer than this was passed over.
        while self.reading.front().is_some_and(|front| front > at) {
            self.reading.pop_front();
            drop(self.ahead.next().await);
        }
        let from = match self.reading.back() {
            Some(last) => self.listed.partition_point(|listed| listed < last),
            None => self.listed.partition_point(|listed| listed < at),
        };
        let room = AHEAD - self.reading.len().min(AHEAD);
        let is_ahead = self.reading.front() == Some(at);
        let mut wanted: Vec<Address> = self.listed[..from].iter().rev().take(room).cloned().collect();
        if !is_ahead && self.reading.is_empty() {
            wanted.insert(0, at.clone());
        }
        for at in wanted {
            self.reading.push_back(at.clone());
            let job = self.judge(at.clone());
            self.ahead.spawn(async move { (at, job.await) });
        }
        if self.reading.front() == Some(at) {
            self.reading.pop_front();
            if let Some(judged) = self.ahead.next().await {
                return judged?.1;
            }
        }
        self.judge(at.clone()).await
    }

    fn judge(&self, at: Address) -> impl Future<Output = Judged> + Send + 'static {
        let (reader, keys, chain) = (Arc::clone(&self.reader), Arc::clone(&self.keys), self.chain.clone());
        async move { reader.digest(&at, &chain.folder.region, &chain.home_region, keys).await }
    }
}

/// The end of a digest's time, by its key.
pub(super) fn ends_at(key: &str) -> Option<Timestamp> {
    let (ObjectKey::Digest(digest) | ObjectKey::BackfillDigest(digest)) = classify(key) else { return None };
    Timestamp::from_second(digest.end.unix_seconds()).ok()
}
