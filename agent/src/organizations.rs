//! Sources out of organizations: one for each account, or one for all, as the accounts come and go.
//!
//! Owns when an organization's accounts are listed, what becomes a source and what stops being one, and what is told about
//! it. Does not own where the list comes from (the cloud crate), which accounts are wanted (`accounts`), what their sources
//! look like (`template`), nor how sources are walked and let go (`discover`).
//!
//! The accounts are kept in `<state_dir>/organizations/<name>.json`, so that a start that cannot list them goes on with the
//! last list. That file is written before a change is told: after a crash the same changes are told again.

mod accounts;
mod preview;
pub(crate) mod template;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use futures::future::BoxFuture;
use orgtrail_cloud::organization::Organization as List;
use orgtrail_cloud::partition::Partition;
use orgtrail_service::clock::Clock;
use orgtrail_service::health::Health;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::accounts::{Accounts, Standing};
pub use self::preview::{Preview, preview};
use self::template::{Account, Template};
use crate::checkpoint::Checkpoint;
use crate::config;
use crate::discover::{Change, Folders};
use crate::object::Source;
use crate::status;

/// Pause before the second attempt to list accounts for the first time; doubles up to the refresh interval.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// Accounts that a reason or the status names one by one.
const NAMED_MAX: usize = 20;
/// How long a start may take until what an account holds is known.
const SETTLING: Duration = Duration::from_secs(10 * 60);

/// Makes a source that can be read out of what the configuration would say of it.
pub(crate) type Open = Arc<dyn Fn(config::Source) -> BoxFuture<'static, anyhow::Result<Arc<Source>>> + Send + Sync>;

/// What organizations say of themselves in the status, by name; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Arc<Mutex<BTreeMap<String, status::Organization>>>);

impl Board {
    pub(crate) fn read(&self) -> Vec<status::Organization> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn write(&self, organization: status::Organization) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(organization.name.clone(), organization);
    }
}

/// What every organization uses.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) checkpoint: Arc<Checkpoint>,
    pub(crate) folders: Folders,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: Health,
    pub(crate) changes: mpsc::Sender<Change>,
    pub(crate) board: Board,
    pub(crate) open: Open,
    pub(crate) taken: Taken,
}

/// The locations that are a source already, of the configuration or of an organization; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken(Arc<Mutex<BTreeSet<String>>>);

impl Taken {
    pub(crate) fn new(locations: impl Iterator<Item = String>) -> Self {
        Self(Arc::new(Mutex::new(locations.collect())))
    }

    /// False where it is taken.
    fn take(&self, location: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(location.to_owned())
    }

    fn give_back(&self, location: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(location);
    }
}

/// Follows one organization until cancelled.
pub(crate) struct Stage {
    config: config::Organization,
    template: Template,
    list: Arc<dyn List>,
    shared: Shared,
    file: PathBuf,
    accounts: Accounts,
    /// The accounts that are read, with the locations of their sources.
    told: BTreeMap<String, String>,
    /// Accounts that are not read any more, until they are settled.
    leaving: BTreeMap<String, String>,
    /// The one source of all accounts, where they share it.
    shared_source: Option<Arc<Source>>,
    /// Accounts whose sources cannot be made, and why.
    refused: Vec<String>,
    began: Instant,
    was_listed: bool,
}

impl Stage {
    pub(crate) fn new(
        config: config::Organization,
        list: Arc<dyn List>,
        shared: Shared,
        state_dir: &std::path::Path,
    ) -> anyhow::Result<Self> {
        let template = Template::new(&config).map_err(|(key, message)| anyhow::anyhow!("{key}: {message}"))?;
        let file = state_dir.join("organizations").join(format!("{}.json", config.name));
        Ok(Self {
            config,
            template,
            list,
            shared,
            file,
            accounts: Accounts::default(),
            told: BTreeMap::new(),
            leaving: BTreeMap::new(),
            shared_source: None,
            refused: Vec::new(),
            began: Instant::now(),
            was_listed: false,
        })
    }

    /// Runs until cancelled.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> anyhow::Result<()> {
        let file = self.file.clone();
        match tokio::task::spawn_blocking(move || Accounts::load(&file)).await.context("read accounts")? {
            Ok(accounts) => self.accounts = accounts,
            // Losing it costs when accounts came and closed, no event.
            Err(error) => {
                tracing::warn!(file = %self.file.display(), error = format!("{error:#}"), "kept accounts are lost")
            }
        }
        let mut failures = 0_u32;
        loop {
            // Cancel-safe: an answer that is dropped is asked for again by the next start.
            let pause = tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                pause = self.refresh(&mut failures) => pause?,
            };
            let Some(pause) = pause else { return Ok(()) };
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Lists the accounts and tells what has changed. Answers the pause until the next time; none when nobody listens.
    async fn refresh(&mut self, failures: &mut u32) -> anyhow::Result<Option<Duration>> {
        let config::Organization { include, exclude, .. } = &self.config;
        let (part, now) = (self.part(), self.shared.clock.now());
        let mut trouble = None;
        match self.list.accounts(accounts::wanted(include, exclude)).await {
            Ok(list) => {
                *failures = 0;
                self.accounts.listed(list, include, exclude, now);
                self.shared.health.set_ok(&part);
            }
            Err(error) => {
                *failures += 1;
                let kept = match self.accounts.listed_at {
                    Some(at) => format!("the list of {at:.0} is used"),
                    None => "no account of it is read".to_owned(),
                };
                trouble = Some(error.to_string());
                self.shared.health.set_degraded(&part, format!("{error}; {kept}"));
            }
        }
        self.note_gone();
        if self.accounts.listed_at.is_some() {
            let (accounts, file) = (self.accounts.clone(), self.file.clone());
            let kept = tokio::task::spawn_blocking(move || accounts.keep(&file)).await.context("keep accounts")?;
            kept.with_context(|| format!("write {}", self.file.display()))?;
            if self.tell().await.is_err() {
                return Ok(None);
            }
            self.report(trouble).await?;
        }
        let retry = RETRY_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16));
        Ok(Some(if *failures == 0 { self.config.refresh_interval } else { retry.min(self.config.refresh_interval) }))
    }

    fn part(&self) -> String {
        format!("organization {}", self.config.name)
    }

    /// The accounts to be read now. One whose drain is over is read a while in every process, for what may be unsettled.
    fn read(&self) -> BTreeSet<String> {
        let now = self.shared.clock.now();
        let starting = self.began.elapsed() < SETTLING.min(2 * self.config.refresh_interval);
        let read = |known: &accounts::Known| {
            known.is_read(now, self.config.drain) || starting && matches!(known.standing, Standing::Draining { .. })
        };
        self.accounts.known.iter().filter(|(_, known)| read(known)).map(|(id, _)| id.clone()).collect()
    }

    /// Tells discovery what has changed.
    async fn tell(&mut self) -> Result<(), SendError<Change>> {
        let read = self.read();
        self.refused.clear();
        if self.template.is_shared() {
            self.tell_shared(read).await?;
        } else {
            self.tell_each(read).await?;
        }
        if !std::mem::replace(&mut self.was_listed, true) {
            self.shared.changes.send(Change::Listed).await?;
        }
        Ok(())
    }

    async fn tell_each(&mut self, read: BTreeSet<String>) -> Result<(), SendError<Change>> {
        for id in &read {
            if self.told.contains_key(id) {
                continue;
            }
            match self.source(id).await {
                Ok(source) => {
                    tracing::info!(account.id = id, source.name = source.name, "an account is read");
                    self.told.insert(id.clone(), source.location.clone());
                    self.leaving.remove(id);
                    self.shared.changes.send(Change::Add(source)).await?;
                }
                Err(error) => self.refused.push(format!("{id}: {error:#}")),
            }
        }
        let gone: Vec<_> = self.told.keys().filter(|id| !read.contains(*id)).cloned().collect();
        for id in gone {
            if let Some(location) = self.leaves(id) {
                self.shared.taken.give_back(&location);
                self.shared.changes.send(Change::Leave(location)).await?;
            }
        }
        Ok(())
    }

    async fn tell_shared(&mut self, read: BTreeSet<String>) -> Result<(), SendError<Change>> {
        let source = match &self.shared_source {
            Some(source) => Arc::clone(source),
            None => {
                let Some(any) = read.first() else { return Ok(()) };
                match self.source(any).await {
                    Ok(source) => source,
                    Err(error) => {
                        self.refused.push(format!("{error:#}"));
                        return Ok(());
                    }
                }
            }
        };
        source.accounts.set(read.clone());
        for id in &read {
            self.told.insert(id.clone(), source.location.clone());
            self.leaving.remove(id);
        }
        let gone: Vec<_> = self.told.keys().filter(|id| !read.contains(*id)).cloned().collect();
        gone.into_iter().for_each(|id| drop(self.leaves(id)));
        let change = match self.shared_source.replace(Arc::clone(&source)) {
            None => Change::Add(source),
            Some(_) => Change::Accounts(source.location.clone()),
        };
        self.shared.changes.send(change).await
    }

    /// The account is not read any more.
    fn leaves(&mut self, id: String) -> Option<String> {
        tracing::info!(account.id = id, "an account is not read any more; what is known of it is finished");
        let location = self.told.remove(&id)?;
        self.leaving.insert(id, location.clone());
        Some(location)
    }

    /// The source of one account, or of all.
    async fn source(&self, id: &str) -> anyhow::Result<Arc<Source>> {
        let arn = self.accounts.known.get(id).map(|known| known.arn.as_str()).unwrap_or_default();
        let partition = Partition::of_arn(arn).or(self.template.partition()).unwrap_or(Partition::Aws);
        let account = Account { id: id.to_owned(), partition };
        let config = self.template.source(&account).map_err(|(key, message)| {
            if key.is_empty() { anyhow::anyhow!(message) } else { anyhow::anyhow!("{key} {message}") }
        })?;
        let source = (self.shared.open)(config).await?;
        if !self.shared.taken.take(&source.location) {
            anyhow::bail!("{} is a source of its own already, or another account's", source.location);
        }
        Ok(source)
    }

    /// Notes which of the accounts that drained are settled.
    fn note_gone(&mut self) {
        let folders = &self.shared.folders;
        let settled: Vec<_> = self
            .leaving
            .iter()
            .filter(|(id, location)| !folders.hold(location, id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in settled {
            self.leaving.remove(&id);
            if let Some(known) = self.accounts.known.get_mut(&id)
                && matches!(known.standing, Standing::Draining { .. })
            {
                known.standing = Standing::Gone;
            }
        }
    }

    /// Says in health and status how the organization does.
    async fn report(&self, trouble: Option<String>) -> anyhow::Result<()> {
        let silent = self.silent().await?;
        let named = |ids: &[String]| {
            let more = ids.len().saturating_sub(NAMED_MAX);
            let names = ids.iter().take(NAMED_MAX).map(|id| match self.accounts.known.get(id) {
                Some(known) if !known.name.is_empty() => format!("{id} ({})", known.name),
                _ => id.clone(),
            });
            let names = names.collect::<Vec<_>>().join(", ");
            if more > 0 { format!("{names} and {more} more") } else { names }
        };
        let (health, name) = (&self.shared.health, &self.config.name);
        for (part, ids, reason) in [
            ("silent", &silent, "accounts that deliver nothing: no log file of theirs was ever found"),
            ("refused", &self.refused, "accounts whose source cannot be made"),
        ] {
            let part = format!("organization {name} {part}");
            if ids.is_empty() {
                health.set_ok(&part)
            } else {
                health.set_degraded(&part, format!("{reason}: {}", named(ids)))
            }
        }
        let count = |which: fn(&Standing) -> bool| {
            self.accounts.known.values().filter(|known| which(&known.standing)).count() as u64
        };
        let draining =
            self.accounts.known.iter().filter(|(_, known)| matches!(known.standing, Standing::Draining { .. }));
        self.shared.board.write(status::Organization {
            name: name.clone(),
            listed_at: self.accounts.listed_at.map(jiff::Timestamp::as_second),
            trouble,
            read: count(|standing| matches!(standing, Standing::Read)),
            excluded: count(|standing| matches!(standing, Standing::Excluded)),
            gone: count(|standing| matches!(standing, Standing::Gone)),
            draining: draining.map(|(id, _)| id.clone()).collect(),
            silent,
            refused: self.refused.clone(),
        });
        Ok(())
    }

    /// The accounts of which no file was ever found, a good while after they appeared.
    async fn silent(&self) -> anyhow::Result<Vec<String>> {
        let (now, grace) = (self.shared.clock.now(), self.config.silent_after);
        if self.began.elapsed() < SETTLING.min(grace) {
            return Ok(Vec::new());
        }
        let checkpoint = Arc::clone(&self.shared.checkpoint);
        let rows = tokio::task::spawn_blocking(move || checkpoint.rows()).await.context("look at the ledger")?;
        let heard: HashSet<_> = rows
            .iter()
            .filter(|row| row.ledger.listed > 0)
            .map(|row| (row.key.location.as_str(), row.key.account.as_str()))
            .collect();
        let old = |since: jiff::Timestamp| Duration::try_from(now.duration_since(since)).is_ok_and(|age| age >= grace);
        let silent = self.told.iter().filter(|(id, location)| {
            let known = self.accounts.known.get(*id);
            known.is_some_and(|known| known.standing == Standing::Read && old(known.since))
                && !heard.contains(&(location.as_str(), id.as_str()))
        });
        Ok(silent.map(|(id, _)| id.clone()).collect())
    }
}

#[cfg(test)]
mod tests;
