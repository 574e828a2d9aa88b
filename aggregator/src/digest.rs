//! Digests: for each account and region of a trail, hour by hour, a signed list of the files that were delivered.
//!
//! A file belongs to the hour of the stamp in its name. A digest is written some time after its hour, empty ones too; what
//! comes later is listed in a backfill digest of that hour, and the next hourly digest names that one, so that the chain
//! covers both. Owns when that happens, the signature and the chain. Does not own what was delivered (`deliver`) nor how an
//! object gets into the bucket (`deliver::put`).
//!
//! Crash: a signed digest is written down before it is put, and its chain moves on after it is there, in one write with what
//! it lists. So every hour has one digest. An hour in which the process did not run gets its digest from the next start.

mod build;
mod cut;
mod keys;
mod listed;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use orgtrail_cloud::Signer;
use orgtrail_event::digest::{
    BACKFILL_TIMESTAMP_METADATA, PublicKey, SIGNATURE_ALGORITHM, SIGNATURE_ALGORITHM_METADATA, SIGNATURE_METADATA,
    to_hex,
};
use orgtrail_event::gzip::Deflater;
use orgtrail_service::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::deliver::put::{Cancelled, Destination, Put};
use crate::journal::Journal;
use crate::journal::digests::{Chain, PlannedDigest};
use crate::journal::ledger::Place;
use build::Span;
use cut::Interval;
pub(crate) use keys::KeyList;
pub use keys::{NO_END, PUBLIC_KEYS_FILE};

/// Accounts and regions whose digests are made together: one write to the journal for each step of all of them.
const PLACES_AT_ONCE: usize = 64;
/// Digests signed, and put, at once.
const AT_ONCE: usize = 16;
/// Longest sleep: a machine's clock may be set, and sleeps don't notice.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(60);

/// Writes the digests of one trail.
pub(crate) struct Digests {
    pub(crate) journal: Journal,
    pub(crate) destination: Arc<Destination>,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) key_list: Arc<KeyList>,
    pub(crate) settings: config::Digests,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Why a round of digests ended early.
#[derive(Debug)]
enum Stop {
    Cancelled,
    /// The journal: the process must stop.
    Fatal(anyhow::Error),
    /// Anything else: to be tried again.
    Later(String),
}

type Outcome<T> = Result<T, Stop>;

impl Digests {
    /// Writes digests until cancelled. An error is the journal's: the process must stop.
    pub(crate) async fn run(self: Arc<Self>, cancel: CancellationToken) -> anyhow::Result<()> {
        let mut retry = RETRY_FIRST;
        loop {
            let now = self.clock.now().as_second();
            let delay = i64::try_from(self.settings.delay.as_secs()).unwrap_or(i64::MAX);
            // Of everything up to here, digests are due.
            let due = self.interval().start(now - delay);
            let pause = match self.write_up_to(due).await {
                Ok(()) => {
                    retry = RETRY_FIRST;
                    Duration::from_secs(u64::try_from(self.interval().end(due) + delay - now).unwrap_or(1).max(1))
                }
                Err(Stop::Cancelled) => return Ok(()),
                Err(Stop::Fatal(error)) => return Err(error),
                Err(Stop::Later(why)) => {
                    tracing::warn!(destination.name = self.trail(), error = why, "no digests now, trying again");
                    self.destination.health.set_degraded(&self.part(), why);
                    retry = (retry * 2).min(RETRY_LAST);
                    retry
                }
            };
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause.min(LOOK_INTERVAL)) => {}
            }
        }
    }

    /// Writes a digest of the unfinished hour, once nothing is delivered any more.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        match self.write_up_to(self.clock.now().as_second()).await {
            Ok(()) | Err(Stop::Cancelled) => Ok(()),
            Err(Stop::Fatal(error)) => Err(error),
            Err(Stop::Later(why)) => {
                tracing::warn!(
                    destination.name = self.trail(),
                    error = why,
                    "no digest of the last hour: the next start writes it"
                );
                Ok(())
            }
        }
    }

    async fn write_up_to(&self, end: i64) -> Outcome<()> {
        self.put_planned().await?;
        let chains = self.chains_at(end).await?;
        let files = self.journal(|journal, trail| journal.places_with_files(trail)).await?;
        let with_files: BTreeSet<Place> = files.into_iter().collect();
        let due = |(place, chain): &(Place, Chain)| with_files.contains(place) || chain.next_start < end;
        let due: Vec<_> = chains.into_iter().filter(due).collect();
        if !due.is_empty() {
            let key = self.public_key().await?;
            for chains in due.chunks(PLACES_AT_ONCE) {
                self.write_places(chains.iter().cloned().collect(), end, &key).await?;
            }
        }
        self.destination.health.set_ok(&self.part());
        Ok(())
    }

    /// All chains; those that begin now, or anew, are written down.
    async fn chains_at(&self, end: i64) -> Outcome<BTreeMap<Place, Chain>> {
        let catch_up_max = i64::try_from(self.settings.catch_up_max.as_secs()).unwrap_or(i64::MAX);
        let mut chains = self.journal(|journal, trail| journal.chains(trail)).await?;
        let mut begun = Vec::new();
        for place in self.journal(|journal, trail| journal.places_with_files(trail)).await? {
            chains.entry(place).or_insert_with_key(|place| {
                let chain = self.interval().begin(end);
                begun.push((place.clone(), chain.clone()));
                chain
            });
        }
        for (place, chain) in &mut chains {
            if end - chain.next_start > catch_up_max {
                let (account, region) = place;
                tracing::warn!(
                    destination.name = self.trail(),
                    account.id = account,
                    region,
                    "digests.catch_up_max is over: the chain of digests begins anew"
                );
                *chain = Chain { backfills: std::mem::take(&mut chain.backfills), ..self.interval().begin(end) };
                begun.push((place.clone(), chain.clone()));
            }
        }
        if !begun.is_empty() {
            self.journal(move |journal, trail| journal.begin_chains(trail, &begun)).await?;
        }
        Ok(chains)
    }

    /// Digest after digest of a few places, until everything up to `end` is covered.
    async fn write_places(&self, mut open: HashMap<Place, Chain>, end: i64, key: &PublicKey) -> Outcome<()> {
        let mut taken: HashMap<Place, i64> = HashMap::new();
        while !open.is_empty() {
            let mut planned = Vec::with_capacity(open.len());
            let making: Vec<_> = open
                .iter()
                .map(|(place, chain)| {
                    let taken = taken.get(place).copied().unwrap_or(0);
                    self.next_digest(place.clone(), chain.clone(), end, taken, key)
                })
                .collect();
            let mut making = stream::iter(making).buffer_unordered(AT_ONCE);
            let mut covered = Vec::new();
            while let Some((place, next)) = making.try_next().await? {
                match next {
                    Some(digest) => planned.push(digest),
                    None => covered.push(place),
                }
            }
            drop(making);
            covered.iter().for_each(|place| drop(open.remove(place)));
            let stored = planned.clone();
            self.journal(move |journal, trail| journal.store_digests(trail, &stored)).await?;
            let (put, conflicts) = self.put(planned).await?;
            for digest in put {
                taken.remove(&digest.place);
                open.insert(digest.place, digest.chain);
            }
            for place in conflicts {
                *taken.entry(place).or_default() += 1;
            }
        }
        Ok(())
    }

    /// The next digest of a place, signed; none when everything up to `end` is covered.
    async fn next_digest(
        &self,
        place: Place,
        chain: Chain,
        end: i64,
        taken: i64,
        key: &PublicKey,
    ) -> Outcome<(Place, Option<PlannedDigest>)> {
        let (span, files) = loop {
            let of = place.clone();
            let oldest = self.journal(move |journal, trail| journal.unlisted_files(trail, &of, i64::MAX, 1)).await?;
            let oldest = oldest.first().map(|(_, file)| file.stamp);
            let Some(span) = self.interval().next(&chain, oldest, end, taken) else { return Ok((place, None)) };
            let (of, before) = (place.clone(), self.interval().files_before(&chain, span));
            let files =
                self.journal(move |journal, trail| journal.unlisted_files(trail, &of, before, cut::FILES_MAX)).await?;
            // What is listed already is off the list for good, and the place is looked at anew without it.
            let listed = self.listed_already(&place, span, &files).await?;
            if listed.is_empty() {
                break (span, files);
            }
            self.journal(move |journal, _| journal.forget_files(&listed)).await?;
        };
        let custody = if span.backfill {
            Vec::new()
        } else {
            let of = place.clone();
            self.journal(move |journal, trail| journal.unnamed_source_digests(trail, &of, cut::SOURCE_DIGESTS_MAX))
                .await?
        };
        let digest = self.sign(&place, &chain, span, files, custody, key).await?;
        Ok((place, Some(digest)))
    }

    async fn sign(
        &self,
        place: &Place,
        chain: &Chain,
        span: Span,
        files: Vec<(String, crate::journal::DeliveredFile)>,
        custody: Vec<(String, orgtrail_event::digest::SourceDigest)>,
        key: &PublicKey,
    ) -> Outcome<PlannedDigest> {
        let trail = &self.destination.trail;
        let (file_rows, files): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        let (custody_rows, custody) = custody.into_iter().unzip();
        let draft = build::draft(trail, place, span, key.fingerprint(), chain, &files, custody);
        let signature = self.signer.sign(draft.string_to_sign.as_bytes()).await;
        let signature = to_hex(&signature.map_err(|error| Stop::Later(error.to_string()))?);
        let made_at = self.clock.now();
        Ok(PlannedDigest {
            place: place.clone(),
            chain: build::after(chain, trail, &draft, &signature),
            key: draft.key,
            json: draft.json,
            signature,
            backfill_timestamp: span.backfill.then(|| format!("{}", made_at.strftime("%Y-%m-%dT%H:%M:%S.000Z"))),
            files: file_rows,
            custody: custody_rows,
        })
    }

    /// Digests that a crash left between being written down and being in the bucket.
    async fn put_planned(&self) -> Outcome<()> {
        let planned = self.journal(|journal, trail| journal.planned_digests(trail)).await?;
        let mut planned = planned.into_iter();
        loop {
            let some: Vec<_> = planned.by_ref().take(PLACES_AT_ONCE).collect();
            if some.is_empty() {
                return Ok(());
            }
            self.put(some).await?;
        }
    }

    /// Puts digests and moves their chains on. A digest whose name is taken by another is dropped: its place comes back.
    async fn put(&self, planned: Vec<PlannedDigest>) -> Outcome<(Vec<PlannedDigest>, Vec<Place>)> {
        let putting: Vec<_> = planned.into_iter().map(|digest| self.put_one(digest)).collect();
        let outcomes: Vec<_> = stream::iter(putting).buffer_unordered(AT_ONCE).collect().await;
        let (mut put, mut conflicts) = (Vec::new(), Vec::new());
        for (digest, outcome) in outcomes {
            match outcome {
                Ok(Put::Created | Put::Found) => put.push(digest),
                Ok(Put::Taken) => conflicts.push(digest.place),
                Err(Cancelled) => return Err(Stop::Cancelled),
            }
        }
        let (done, dropped) = (put.clone(), conflicts.clone());
        self.journal(move |journal, trail| {
            dropped.iter().try_for_each(|place| journal.drop_digest(trail, place))?;
            journal.digests_put(trail, &done)
        })
        .await?;
        self.destination.metrics.digests_put(self.trail(), put.len() as u64);
        Ok((put, conflicts))
    }

    async fn put_one(&self, digest: PlannedDigest) -> (PlannedDigest, Result<Put, Cancelled>) {
        let gzip: Bytes = Deflater::new(6).deflate(digest.json.as_bytes()).into();
        let mut metadata = BTreeMap::from([
            (SIGNATURE_METADATA.to_owned(), digest.signature.clone()),
            (SIGNATURE_ALGORITHM_METADATA.to_owned(), SIGNATURE_ALGORITHM.to_owned()),
        ]);
        if let Some(at) = &digest.backfill_timestamp {
            metadata.insert(BACKFILL_TIMESTAMP_METADATA.to_owned(), at.clone());
        }
        let put = self.destination.create(&digest.key, &gzip, metadata).await;
        (digest, put)
    }

    /// The key that signs now, which is in the list from here on.
    async fn public_key(&self) -> Outcome<PublicKey> {
        let der = self.signer.public_key().await.map_err(|error| Stop::Later(error.to_string()))?;
        let key = PublicKey::from_der(&der).map_err(|error| Stop::Later(error.to_string()))?;
        let (list, used, now) = (Arc::clone(&self.key_list), key.clone(), self.clock.now());
        let listed = tokio::task::spawn_blocking(move || list.uses(&used, now)).await;
        listed.context("list the signing key").and_then(|listed| listed).map_err(Stop::Fatal)?;
        Ok(key)
    }

    /// Storage stays off the async threads.
    async fn journal<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Journal, &str) -> Result<T, crate::journal::Error> + Send + 'static,
    ) -> Outcome<T> {
        let (journal, trail) = (self.journal.clone(), self.trail().to_owned());
        let done = tokio::task::spawn_blocking(move || work(&journal, &trail)).await;
        done.context("use the journal").and_then(|done| Ok(done?)).map_err(Stop::Fatal)
    }

    fn interval(&self) -> Interval {
        Interval(i64::try_from(self.settings.interval.as_secs()).unwrap_or(3600))
    }

    fn trail(&self) -> &str {
        &self.destination.trail.name
    }

    fn part(&self) -> String {
        format!("trail {} digests", self.trail())
    }
}

#[cfg(test)]
mod tests;
