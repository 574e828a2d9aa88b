//! Nothing missing, provably: does what the comparison of digests with what was taken asks for.
//!
//! Owns when rows are compared, and the doing: folders are listed again, objects that a digest names and no listing does are
//! fetched by their names, log files with other content than their digests say are put aside and told. Does not own what
//! follows from a digest (`checkpoint/proof`), nor fetching.
//!
//! Everything it goes by is in the checkpoint, so a crash repeats a comparison and loses none. On cancellation it stops
//! where it is: claims of objects that were not handed on go back.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use orgtrail_cloud::ErrorKind;
use orgtrail_event::key::Folder;
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::shape::duration;
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{Checkpoint, Differing, FolderId, Listed, Named as Claimed, RowId, Take, Verdict, Wanted};
use crate::config::within;
use crate::discover::{Context, Wake};
use crate::fetch::{HASH_DIFFERS, hash_differs};
use crate::object::{Named, ObjectRef, SourceFolder};
use crate::quarantine::Aside;
use crate::status::{Completeness, Proved};

/// How often rows are looked at in which something changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The same in a run with `once`, which waits for it.
const LOOK_INTERVAL_ONCE: Duration = Duration::from_millis(50);
/// Every so many looks, rows that wait for something are compared too.
const LOOKS_UNTIL_ALL: u32 = 30;
/// The part of health that gaps degrade, where they shall.
const PART: &str = "completeness";
/// A digest covers an hour.
const HOUR: i64 = 3600;

/// The `[completeness]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long after its hour a digest may come before it counts as overdue. Default: 3 h; CloudTrail delivers most within
    /// one.
    #[serde(with = "duration")]
    pub digest_overdue_after: Duration,
    /// Whether `/readyz` fails while something is missing, tampered with or overdue. Default: false; status, metrics and
    /// `orgtrail completeness` tell it in any case.
    pub unready_on_gaps: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { digest_overdue_after: Duration::from_secs(3 * 3600), unready_on_gaps: false }
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        let range = Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 3600);
        within("digest_overdue_after", self.digest_overdue_after, range, problems);
    }
}

/// Compares until cancelled.
#[derive(Debug)]
pub(crate) struct Stage {
    report: Report,
    once: bool,
    context: Arc<Context>,
    aside: Aside,
    rounds: watch::Sender<Rounds>,
}

/// What became of one round.
struct Round {
    /// Something was compared.
    compared: bool,
    /// Nothing is left to be done.
    quiet: bool,
}

/// Rounds over all rows that wait for something.
#[derive(Debug, Clone, Copy, Default)]
struct Rounds {
    count: u64,
    /// Whether the last one asked for nothing.
    quiet: bool,
}

/// The stage's face.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    rounds: watch::Receiver<Rounds>,
}

impl Handle {
    /// Waits for a round that began after this call; true where it found nothing to do.
    pub(crate) async fn pass(&mut self) -> bool {
        let seen = self.rounds.borrow_and_update().count;
        // The first to end may have begun before.
        self.rounds.wait_for(|rounds| rounds.count > seen + 1).await.is_ok_and(|rounds| rounds.quiet)
    }
}

/// Says how far every row is proved.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) config: Config,
    pub(crate) checkpoint: Arc<Checkpoint>,
}

impl Stage {
    pub(crate) fn new(report: Report, once: bool, context: Arc<Context>, aside: Aside) -> (Self, Handle) {
        let (rounds, face) = watch::channel(Rounds::default());
        (Self { report, once, context, aside, rounds }, Handle { rounds: face })
    }

    /// Runs until cancelled.
    pub(crate) async fn run(self, cancel: CancellationToken) -> anyhow::Result<()> {
        let mut look = tokio::time::interval(if self.once { LOOK_INTERVAL_ONCE } else { LOOK_INTERVAL });
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks = 0u32;
        loop {
            // Cancel-safe: what was due stays so until it is compared, also in the next run.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                _ = look.tick() => {}
            }
            let all = self.once || looks.is_multiple_of(LOOKS_UNTIL_ALL);
            looks = looks.wrapping_add(1);
            let Round { compared, quiet } = self.round(all).await?;
            if all {
                self.rounds.send_modify(|rounds| *rounds = Rounds { count: rounds.count + 1, quiet });
            }
            if all || compared {
                self.tell_health().await?;
            }
        }
    }

    /// Compares what is due.
    async fn round(&self, all: bool) -> anyhow::Result<Round> {
        let checkpoint = Arc::clone(&self.report.checkpoint);
        let due = blocking(move || Ok(checkpoint.due(all))).await?;
        let mut round = Round { compared: !due.is_empty(), quiet: true };
        for row in due {
            let wanted = self.compare(row).await?;
            round.quiet &= wanted.is_nothing();
            for folder in wanted.list {
                if let Some(folder) = self.watched(folder).await? {
                    self.context.folders.wakes().wake(folder.id, Wake::News);
                }
            }
            for differing in wanted.differing {
                self.put_aside(differing).await?;
            }
            for take in wanted.take {
                self.take(take).await?;
            }
        }
        Ok(round)
    }

    async fn compare(&self, row: RowId) -> anyhow::Result<Wanted> {
        let checkpoint = Arc::clone(&self.report.checkpoint);
        blocking(move || Ok(checkpoint.compare(row)?)).await
    }

    /// Hands on an object that a digest names.
    async fn take(&self, take: Take) -> anyhow::Result<()> {
        // Its source is gone from the configuration.
        let Some(digests) = self.watched(take.named_in).await? else { return Ok(()) };
        let Some(named) = Named::read(&take.key) else { return Ok(()) };
        let folder = self.folder(&digests, &named).await?;
        let head = folder.source.store.head(&take.key).await;
        self.context.metrics.request("head", head.as_ref().map_or_else(|error| error.kind().as_str(), |_| "ok"));
        let (size, last_modified) = match head {
            Ok(meta) => (meta.size, meta.last_modified),
            // The fetch finds it missing too, and puts it aside.
            Err(error) if *error.kind() == ErrorKind::NotFound => (0, Timestamp::UNIX_EPOCH),
            Err(error) => {
                folder.failed(&self.context.health, &error.to_string());
                return Ok(());
            }
        };
        let object = Listed {
            key: take.key,
            day: named.date,
            size,
            etag: String::new(),
            last_modified,
            verdict: Verdict::Take { stamp: named.stamp },
        };
        let (checkpoint, id, expected) = (Arc::clone(&self.report.checkpoint), folder.id, take.expected);
        let claimed = blocking(move || Ok(checkpoint.claim_named(id, object, expected)?)).await?;
        if let Claimed::Taken(Listed { key, size, etag, last_modified, .. }, claim) = claimed {
            tracing::info!(object.key = key, "a digest names an object that no listing has named; fetching it");
            let (stamp, lane) = (named.stamp, claim.lane);
            let object = ObjectRef { folder, key, size, etag, last_modified, stamp, lane, claim };
            // When nobody takes it, the process is ending, and the claim goes back.
            if self.context.out.pass(object).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A folder that the checkpoint knows, watched from now on: where everything in it is gone, no walk finds it. None where
    /// its source is not read any more.
    async fn watched(&self, id: FolderId) -> anyhow::Result<Option<Arc<SourceFolder>>> {
        if let Some(known) = self.context.folders.get(id) {
            return Ok(Some(known));
        }
        let context = Arc::clone(&self.context);
        blocking(move || {
            let (location, path) = context.checkpoint.place_of(id);
            let source = context.folders.sources().into_iter().find(|source| source.location == location);
            let Some((source, folder)) = source.zip(Folder::parse(&path)) else { return Ok(None) };
            if !source.accounts.takes(&folder.account) {
                return Ok(None);
            }
            Ok(Some(context.announce(&source, folder)?))
        })
        .await
    }

    /// The folder of an object that lies beside the digest's.
    async fn folder(&self, digests: &SourceFolder, named: &Named) -> anyhow::Result<Arc<SourceFolder>> {
        let (context, source, folder) = (Arc::clone(&self.context), Arc::clone(&digests.source), named.folder.clone());
        blocking(move || Ok(context.announce(&source, folder)?)).await
    }

    /// Quarantine first, checkpoint second (I10).
    async fn put_aside(&self, differing: Differing) -> anyhow::Result<()> {
        let Some(folder) = self.context.folders.get(differing.folder) else { return Ok(()) };
        let (checkpoint, aside) = (Arc::clone(&self.report.checkpoint), self.aside.clone());
        blocking(move || {
            let detail = format!(
                "{}, {}; its records are delivered already",
                hash_differs(&differing.expected, &differing.found),
                differing.digest
            );
            if aside.put_named(&folder, &differing.key, differing.size, HASH_DIFFERS, &detail) {
                let account = &folder.folder.account;
                tracing::error!(
                    object.key = differing.key,
                    account.id = account,
                    detail,
                    "a log file was tampered with"
                );
                checkpoint.differs(&differing)?;
            }
            Ok(())
        })
        .await
    }

    async fn tell_health(&self) -> anyhow::Result<()> {
        if !self.report.config.unready_on_gaps {
            return Ok(());
        }
        let (report, now) = (self.report.clone(), self.context.clock.now());
        let trouble = blocking(move || Ok(trouble(&report.rows(now)))).await?;
        match trouble {
            Some(trouble) => self.context.health.set_degraded(PART, trouble),
            None => self.context.health.set_ok(PART),
        }
        Ok(())
    }
}

/// What is not proved and should be, in one line.
fn trouble(rows: &[Completeness]) -> Option<String> {
    let bad: Vec<_> = rows.iter().filter(|row| matches!(row.proved, Proved::Incomplete | Proved::Overdue)).collect();
    let first = bad.iter().find(|row| row.proved == Proved::Incomplete).or(bad.first())?;
    let Completeness { account, region, .. } = first;
    let what = first.gaps.first().map_or("a digest is overdue", |gap| gap.kind.as_str());
    Some(format!("{} of {} rows, {account}/{region} first: {what}; see orgtrail completeness", bad.len(), rows.len()))
}

impl Report {
    /// How far every account and region of every source is proved, by trail. `source` is a location.
    pub(crate) fn rows(&self, now: Timestamp) -> Vec<Completeness> {
        let mut rows = Vec::new();
        for proof in self.checkpoint.proofs() {
            let row = Completeness {
                source: proof.location.clone(),
                account: proof.account.clone(),
                region: proof.region.clone(),
                unlisted: proof.unlisted,
                ..Completeness::default()
            };
            if proof.chains.is_empty() {
                rows.push(row);
                continue;
            }
            for chain in proof.chains.clone() {
                let overdue = self.config.digest_overdue_after.as_secs().cast_signed() + HOUR;
                let proved = match now.as_second() - chain.until {
                    _ if !chain.gaps.is_empty() || chain.gaps_more > 0 => Proved::Incomplete,
                    age if age > overdue => Proved::Overdue,
                    _ => Proved::Complete,
                };
                rows.push(Completeness {
                    proved,
                    since: Some(chain.since),
                    complete_until: Some(proof.complete_until(&chain)),
                    verified_until: Some(chain.until),
                    digests: chain.digests,
                    log_files: chain.log_files,
                    gaps_total: chain.gaps.len() as u64 + chain.gaps_more,
                    gaps: chain.gaps,
                    trail: Some(chain.trail),
                    ..row.clone()
                });
            }
        }
        rows
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("compare digests")?
}
