//! Validates one chain: walks its digests, checks their log files, and tells what it finds in order.
//!
//! Owns the order of what is told and the bound on what is in work. Holds the log files of the digests in work, and for the
//! search for unlisted ones 8 bytes for each that was listed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use orgtrail_event::digest::{BackfillRef, DigestFault};
use orgtrail_event::key::{Folder, Kind, ObjectKey, classify};
use tokio::sync::mpsc::Sender;

use super::continuity::Continuity;
use super::fetch::{Reader, Sound};
use super::find::{Chain, Keys, day, each_key};
use super::finding::{Event, Finding, JudgedDigest, Source, Span, What};
use super::in_order::InOrder;
use super::place::Address;
use super::time::hours;
use super::walk::{Step, Walk};

/// Log files of a chain that are read at once.
const LOGS: usize = 32;

/// Files of a folder that are read in one step.
const TOGETHER: usize = 16;

/// Log files of a bucket that one task reads one after the other: the next request goes out on the connection and the
/// thread that the last answer came on, and nobody has to be woken.
const IN_A_ROW: usize = 4;

/// Results that are told at once.
const TOLD_TOGETHER: usize = 128;

/// How long a result waits for others that are told with it.
const TOLD_AFTER: Duration = Duration::from_millis(50);

/// Results of a chain that may wait for one before them.
const WAITING_MAX: usize = 4096;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) now: Timestamp,
}

/// Whoever listens has gone away.
#[derive(Debug, thiserror::Error)]
#[error("nobody listens any more")]
struct Unheard;

/// One chain at work.
pub(super) struct Validation {
    reader: Arc<Reader>,
    chain: Chain,
    range: Range,
    told: Sender<anyhow::Result<Vec<Event>>>,
    /// What is told next, and since when it is being gathered.
    telling: (Vec<Event>, Instant),
    work: InOrder<anyhow::Result<Vec<Event>>>,
    moved_told: bool,
    /// Hashes of the log files that valid digests list.
    listed: HashSet<u64>,
    hasher: RandomState,
    /// The times of valid digests, by start.
    validated: BTreeMap<Timestamp, Timestamp>,
    /// Backfill digests that valid digests name, and the digest that does.
    named: BTreeMap<Address, (BackfillRef, String)>,
    /// Valid backfill digests: hash and signature.
    backfills: HashMap<Address, (String, String)>,
}

impl Validation {
    pub(super) fn new(
        reader: Arc<Reader>,
        chain: Chain,
        range: Range,
        told: Sender<anyhow::Result<Vec<Event>>>,
    ) -> Self {
        Self {
            reader,
            chain,
            range,
            told,
            telling: (Vec::new(), Instant::now()),
            work: InOrder::new(),
            moved_told: false,
            listed: HashSet::new(),
            hasher: RandomState::new(),
            validated: BTreeMap::new(),
            named: BTreeMap::new(),
            backfills: HashMap::new(),
        }
    }

    /// Walks over normal digests, then over backfill digests, then looks at what nothing led to.
    pub(super) async fn run(mut self, keys: Keys) -> anyhow::Result<()> {
        let ended = self.validate(keys).await;
        self.flush().await?;
        ended
    }

    async fn validate(&mut self, keys: Keys) -> anyhow::Result<()> {
        self.push(Event::Listed(keys.normal.len() + keys.backfill.len())).await?;
        let range = self.range;
        let public_keys = match keys.normal.is_empty() && keys.backfill.is_empty() {
            true => Arc::default(),
            false => {
                let region = &self.chain.folder.region;
                self.reader.keys.of(region, range.start, range.end + hours(2)).await?
            }
        };
        let mut continuity = Continuity::new(range.start, range.end, range.now);
        for (listed, backfill) in [(keys.normal, false), (keys.backfill, true)] {
            let listed = listed.iter().map(|key| self.reader.place.address(key)).collect();
            let (reader, chain) = (Arc::clone(&self.reader), self.chain.clone());
            let times = (range.start, range.end);
            let mut walk = Walk::new(reader, chain, listed, backfill, Arc::clone(&public_keys), times);
            while let Some(step) = walk.next().await? {
                self.step(step, backfill, &mut continuity).await?;
            }
        }
        let folder = self.reader.place.name(&self.reader.place.address(&self.chain.folder.path()));
        if let Some(finding) = continuity.end(&folder) {
            self.push(Event::Finding(finding)).await?;
        }
        self.compare_backfills(&public_keys).await?;
        self.look_for_unlisted().await?;
        self.drain(0).await
    }

    async fn step(&mut self, step: Step, backfill: bool, continuity: &mut Continuity) -> anyhow::Result<()> {
        let name = self.reader.place.name(&step.at);
        let result = step.result.as_ref().map(|sound| span(sound)).map_err(DigestFault::clone);
        if let Ok(sound) = &step.result {
            self.remember(sound, &step.at, &name, backfill).await?;
        }
        self.push(Event::Digest(Box::new(JudgedDigest { name: name.clone(), backfill, result }))).await?;
        if let Ok(sound) = &step.result {
            for fault in sound.digest.orgtrail.iter().flat_map(|custody| custody.check(&sound.digest)) {
                let what = What::Custody(fault.to_string());
                self.push(Event::Finding(Finding { name: name.clone(), what })).await?;
            }
            self.logs(sound).await?;
            if let Some(from) = step.gap_from {
                self.push(Event::Gap { backfill, from, until: sound.start }).await?;
            }
        }
        if !backfill {
            for finding in continuity.step(&step, &name) {
                self.push(Event::Finding(finding)).await?;
            }
        }
        Ok(())
    }

    /// What the later checks need of a valid digest.
    async fn remember(&mut self, sound: &Sound, at: &Address, name: &str, backfill: bool) -> anyhow::Result<()> {
        if let (Some(moved), false) = (&sound.relocation, self.moved_told) {
            self.moved_told = true;
            let from = format!("s3://{}/{}", moved.from_bucket, moved.from_prefix);
            self.push(Event::Moved { from }).await?;
        }
        for file in &sound.digest.log_files {
            self.listed.insert(self.hasher.hash_one(sound.now(&file.s3_bucket, &file.s3_object)));
        }
        if backfill {
            self.backfills.insert(at.clone(), (sound.hash.clone(), sound.signature.clone()));
            return Ok(());
        }
        self.validated.insert(sound.start, sound.end);
        for named in sound.digest.orgtrail.iter().flat_map(|custody| &custody.backfill_digests) {
            let at = sound.now(&named.s3_bucket, &named.s3_object);
            self.named.insert(at, (named.clone(), name.to_owned()));
        }
        Ok(())
    }

    async fn logs(&mut self, sound: &Arc<Sound>) -> anyhow::Result<()> {
        let (together, tasks) =
            if self.reader.place.is_folder() { (TOGETHER, LOGS / TOGETHER) } else { (IN_A_ROW, LOGS) };
        for files in sound.digest.log_files.chunks(together) {
            while self.work.running() >= tasks {
                self.drain(self.work.len() - 1).await?;
            }
            let reader = Arc::clone(&self.reader);
            let at: Vec<_> = files.iter().map(|file| sound.now(&file.s3_bucket, &file.s3_object)).collect();
            let hash_values = files.iter().map(|file| file.hash_value.clone()).collect();
            self.work.spawn(async move {
                let results = reader.logs(&at, hash_values).await?;
                let event = |(at, result): (&Address, _)| Event::Log { name: reader.place.name(at), result };
                Ok(at.iter().zip(results).map(event).collect())
            });
        }
        Ok(())
    }

    /// Backfill digests that the chain names must be there and be those.
    async fn compare_backfills(&mut self, keys: &Arc<orgtrail_event::digest::PublicKeys>) -> anyhow::Result<()> {
        for (at, (named, named_by)) in std::mem::take(&mut self.named) {
            let found = match self.backfills.remove(&at) {
                Some(found) => Some(found),
                None => {
                    let (region, home_region) = (&self.chain.folder.region, &self.chain.home_region);
                    match self.reader.digest(&at, region, home_region, Arc::clone(keys)).await? {
                        Ok(sound) => Some((sound.hash, sound.signature)),
                        Err(DigestFault::NotFound) => None,
                        Err(_) => Some(Default::default()),
                    }
                }
            };
            let what = match found {
                None => What::BackfillMissing { named_by },
                Some((hash, signature)) if hash == named.hash_value && signature == named.signature => continue,
                Some(_) => What::BackfillOther { named_by },
            };
            let name = self.reader.place.name(&at);
            self.push(Event::Finding(Finding { name, what })).await?;
        }
        Ok(())
    }

    /// Log files in validated hours that no digest lists. What was cut in the last of them may be in the next digest.
    async fn look_for_unlisted(&mut self) -> anyhow::Result<()> {
        let (Some((first, _)), Some(last)) = (self.validated.first_key_value(), self.validated.values().max()) else {
            return Ok(());
        };
        let (from, until) = (first.as_second(), (*last - hours(1)).as_second());
        let folder = Folder { kind: Kind::Log, ..self.chain.folder.clone() };
        let mut unlisted = Vec::new();
        each_key(self.reader.place.store().as_ref(), &folder, day(from), |key| {
            let ObjectKey::Log(log) = classify(key) else { return true };
            let stamp = log.stamp.unix_seconds();
            let at = self.reader.place.address(key);
            if (from..until).contains(&stamp) && self.is_validated(stamp) && !self.is_listed(&at) {
                unlisted.push(self.reader.place.name(&at));
            }
            log.date <= day(until) && unlisted.len() < WAITING_MAX
        })
        .await?;
        for name in unlisted {
            self.push(Event::Finding(Finding { name, what: What::Unlisted })).await?;
        }
        Ok(())
    }

    fn is_listed(&self, at: &Address) -> bool {
        self.listed.contains(&self.hasher.hash_one(at))
    }

    /// Whether a moment (Unix seconds) lies in a valid digest's time.
    fn is_validated(&self, seconds: i64) -> bool {
        let Ok(moment) = Timestamp::from_second(seconds) else { return false };
        self.validated.range(..=moment).next_back().is_some_and(|(_, end)| moment < *end)
    }

    async fn push(&mut self, event: Event) -> anyhow::Result<()> {
        self.work.push(Ok(vec![event]));
        // What is done is told at once; a slow log file may hold up so many results and no more.
        while let Some(done) = self.work.try_next() {
            self.tell(done?).await?;
        }
        self.drain(WAITING_MAX).await
    }

    /// Tells results until at most so many are left.
    async fn drain(&mut self, left: usize) -> anyhow::Result<()> {
        while self.work.len() > left {
            let Some(done) = self.work.next().await else { break };
            self.tell(done?).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, events: anyhow::Result<Vec<Event>>) -> anyhow::Result<()> {
        match events {
            Ok(events) => {
                let (telling, since) = &mut self.telling;
                if telling.is_empty() {
                    *since = Instant::now();
                }
                telling.extend(events);
                if telling.len() >= TOLD_TOGETHER || since.elapsed() > TOLD_AFTER { self.flush().await } else { Ok(()) }
            }
            Err(error) => {
                self.flush().await?;
                self.told.send(Err(error)).await.map_err(|_| Unheard.into())
            }
        }
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        let telling = std::mem::take(&mut self.telling.0);
        if telling.is_empty() {
            return Ok(());
        }
        self.told.send(Ok(telling)).await.map_err(|_| Unheard.into())
    }
}

fn span(sound: &Sound) -> Span {
    let custody = sound.digest.orgtrail.iter();
    let sources = custody.flat_map(|custody| &custody.source_digests).map(|source| Source {
        name: format!("{}/{}", source.location.trim_end_matches('/'), source.key),
        verified_at: source.verified_at.clone(),
        fingerprint: source.public_key_fingerprint.clone(),
        log_files: source.log_files.len(),
    });
    Span {
        start: sound.start,
        end: sound.end,
        fingerprint: sound.digest.digest_public_key_fingerprint.clone(),
        sources: sources.collect(),
    }
}
