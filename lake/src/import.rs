//! The importer of an event data store: a trail's delivered objects become rows, each object exactly once.
//!
//! Owns the order of an import's steps and what follows a crash between any two of them:
//! 1. objects are read, and their rows written into files that no commit names yet;
//! 2. the account of the objects is committed to the table of objects, as import N, with the names of those files;
//! 3. the files are committed to the event data store, as import N.
//!
//! After a crash before 2 nothing happened but files that the vacuum takes away. After one between 2 and 3, whoever opens the
//! tables next finds the second one import behind and carries out step 3 as it was written down. Both commits name N, and
//! of two commits that name it only one is taken: importers may run at the same time, and one of them then looks again.
//!
//! Does not own listings ([`discover`]), reading an object ([`decode`]) or files ([`crate::write`]).

mod decode;
mod discover;
mod objects;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deltalake_core::kernel::Add;
use futures::StreamExt as _;
use jiff::civil::Date;
use orgtrail_cloud::ObjectStore;
use orgtrail_event::gzip::Inflater;
use orgtrail_service::clock::Clock;
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::shape::{Bytes, duration};
use serde::Deserialize;

use self::decode::{Account, decode};
pub(crate) use self::decode::{Taking, days_since_epoch};
pub(crate) use self::discover::Reach;
use self::discover::{Found, Trail};
use self::objects::Seen;
pub(crate) use self::objects::{FOLDER as OBJECTS_FOLDER, PARTITION as OBJECTS_PARTITION, schema as objects_schema};
use crate::error::Error;
use crate::rows::Rows;
use crate::table::Table;
use crate::write::{write, write_plain};

/// The key of a commit's metadata that holds the files of a prepared import.
const PREPARED: &str = "orgtrail.files";
/// Commits that are looked through for it: a prepared import is the last one or has a few compactions behind it.
const HISTORY: usize = 100;
/// New objects that are listed before they are imported in the order of their days; some 25 MB.
const LISTED_MAX: usize = 64 << 10;
/// Objects of one import.
const OBJECTS_MAX: usize = 8192;
/// Objects fetched at a time.
const FETCHES: usize = 16;
/// What a record takes while it becomes a row, times its compressed size: its JSON, its row, and the sorted row.
const MEMORY_RATIO: u64 = 24;

/// `[import]`: how trails are looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often the open days are listed. Default: 1 minute.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// How often everything is listed, for objects that came under an older day: late ones, and those of a backfill.
    /// Default: 6 hours.
    #[serde(with = "duration")]
    pub sweep_interval: Duration,
    /// Days before today that are open. Default: 2.
    pub open_days: u32,
    /// Memory for objects on their way to files. Default: 512 MiB.
    pub memory: Bytes,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            sweep_interval: Duration::from_secs(6 * 3600),
            open_days: 2,
            memory: Bytes::mib(512),
        }
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        if self.interval.is_zero() || self.sweep_interval < self.interval {
            problems.push("sweep_interval", "must not be shorter than `interval`, nor either of them zero");
        }
        if self.memory < Bytes::mib(64) {
            problems.push("memory", "too little to import anything; give at least 64 MiB");
        }
    }
}

/// What an importer did so far. Read while it runs.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    objects: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
    unreadable: AtomicU64,
    bad: AtomicU64,
}

/// [`Imported`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ImportedNow {
    /// Objects, those included that could not be read.
    pub objects: u64,
    /// Rows that came of them.
    pub rows: u64,
    /// Bytes of the objects, compressed.
    pub bytes: u64,
    /// Objects that could not be read.
    pub unreadable: u64,
    /// Bad stretches in objects that could be read.
    pub bad: u64,
}

impl Imported {
    /// The figures now.
    pub(crate) fn now(&self) -> ImportedNow {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ImportedNow {
            objects: of(&self.objects),
            rows: of(&self.rows),
            bytes: of(&self.bytes),
            unreadable: of(&self.unreadable),
            bad: of(&self.bad),
        }
    }

    fn add(&self, objects: &[(Found, Account)]) {
        let add = |count: &AtomicU64, of: &dyn Fn(&(Found, Account)) -> u64| {
            count.fetch_add(objects.iter().map(of).sum(), Ordering::Relaxed);
        };
        add(&self.objects, &|_| 1);
        add(&self.rows, &|(_, account)| account.kept);
        add(&self.bytes, &|(found, _)| found.size);
        add(&self.unreadable, &|(_, account)| u64::from(account.is_unreadable));
        add(&self.bad, &|(_, account)| account.bad);
    }
}

/// Imports into one event data store.
#[derive(Debug)]
pub(crate) struct Importer {
    pub(crate) events: Table,
    pub(crate) objects: Table,
    trails: Vec<Trail>,
    names: Vec<String>,
    seen: Seen,
    /// The commit that `seen` is of.
    seen_at: Option<u64>,
    taking: Taking,
    config: Config,
    clock: Arc<dyn Clock>,
    pub(crate) imported: Arc<Imported>,
}

/// Objects that became files, before any commit.
struct Built {
    objects: Vec<(Found, Account)>,
    files: Vec<Add>,
}

impl Importer {
    /// An importer for open tables. Carries out what a crash left prepared.
    pub(crate) async fn open(
        events: Table,
        objects: Table,
        trails: Vec<(String, Arc<dyn ObjectStore>)>,
        taking: Taking,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let names: Vec<_> = trails.iter().map(|(name, _)| name.clone()).collect();
        let kind = taking.kind;
        let trails = trails.into_iter().enumerate().map(|(index, (_, store))| Trail::new(index, kind, store)).collect();
        let seen = Seen::default();
        let imported = Arc::new(Imported::default());
        let mut importer =
            Self { events, objects, trails, names, seen, seen_at: None, taking, config, clock, imported };
        importer.catch_up().await?;
        Ok(importer)
    }

    /// Takes only records of this day and later from here on, counted in days since the Unix epoch.
    pub(crate) fn take_from(&mut self, day: Option<i32>) {
        self.taking.from_day = day;
    }

    /// Imports what is new.
    pub(crate) async fn round(&mut self, reach: Reach) -> Result<(), Error> {
        self.catch_up().await?;
        let today = jiff::tz::Offset::UTC.to_datetime(self.clock.now()).date();
        for index in 0..self.trails.len() {
            self.import_trail(index, reach, today).await?;
        }
        Ok(())
    }

    async fn import_trail(&mut self, index: usize, reach: Reach, today: Date) -> Result<(), Error> {
        let mut listing = self.trails[index].look(reach, today, self.config.open_days);
        let mut new = Vec::new();
        while let Some(page) = self.trails[index].next(&mut listing).await? {
            new.extend(page.into_iter().filter(|found| self.seen.is_new(found)));
            if new.len() >= LISTED_MAX {
                self.import_by_day(std::mem::take(&mut new)).await?;
            }
        }
        self.import_by_day(new).await
    }

    /// Imports objects day after day, in whatever order they were listed: an import has files of as few days as can be.
    async fn import_by_day(&mut self, mut objects: Vec<Found>) -> Result<(), Error> {
        objects.sort_by_key(|found| found.date);
        let bytes_max = self.config.memory.as_u64() / MEMORY_RATIO;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for found in objects {
            if !batch.is_empty() && (bytes + found.size > bytes_max || batch.len() >= OBJECTS_MAX) {
                self.import(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += found.size;
            batch.push(found);
        }
        self.import(batch).await
    }

    /// Imports objects; if somebody else did meanwhile, those of them that are still new.
    async fn import(&mut self, mut batch: Vec<Found>) -> Result<(), Error> {
        loop {
            // Others may have been found out to have imported them since they were listed.
            batch.retain(|found| self.seen.is_new(found));
            if batch.is_empty() {
                return Ok(());
            }
            let built = self.build(batch).await?;
            match self.commit(&built).await {
                Err(Error::Conflict { .. }) => {
                    self.catch_up().await?;
                    batch = built.objects.into_iter().map(|(found, _)| found).collect();
                }
                done => return done,
            }
        }
    }

    /// Step 1: reads objects and writes their rows into files.
    async fn build(&self, batch: Vec<Found>) -> Result<Built, Error> {
        let store = Arc::clone(&self.trails[batch[0].trail].store);
        let fetches = batch.into_iter().map(|found| {
            let store = Arc::clone(&store);
            async move { (store.get(&found.key, found.size.max(1)).await, found) }
        });
        let mut fetched = futures::stream::iter(fetches).buffered(FETCHES);
        let mut gathering = Gathering::new(self.taking.clone());
        while let Some((object, found)) = fetched.next().await {
            let bytes = object?.bytes;
            gathering = gathering.add(found, bytes).await;
        }
        let Gathering { mut rows, objects, .. } = gathering;
        let failed = |source| Error::Rows { table: self.events.name().to_owned(), source };
        let files = match rows.len() {
            0 => Vec::new(),
            _ => write(&self.events, self.taking.kind, &rows.finish().map_err(failed)?).await?,
        };
        Ok(Built { objects, files })
    }

    /// Steps 2 and 3.
    async fn commit(&mut self, built: &Built) -> Result<(), Error> {
        let number = self.objects.last_import().await? + 1;
        let failed = |source| Error::Rows { table: self.objects.name().to_owned(), source };
        let rows = objects::rows(&self.names, &built.objects, number).map_err(failed)?;
        let account = write_plain(&self.objects, rows).await?;
        let files = serde_json::to_value(&built.files).unwrap_or_default();
        self.objects.commit_import(number, account, HashMap::from([(PREPARED.to_owned(), files)])).await?;
        self.finish(number, built.files.clone()).await?;
        // With commits of others before ours there is more to know than our own.
        self.seen_at = self.seen_at.map(|version| version + 1);
        for (found, account) in &built.objects {
            self.seen.insert(found, account);
            if let Some(problem) = &account.problem {
                let (name, unreadable) = (&self.names[found.trail], account.is_unreadable);
                tracing::warn!(trail.name = name, object.key = found.key, unreadable, bad = account.bad, "{problem}");
            }
        }
        self.imported.add(&built.objects);
        Ok(())
    }

    /// Step 3. Somebody else may have done it for us.
    async fn finish(&mut self, number: i64, files: Vec<Add>) -> Result<(), Error> {
        match self.events.commit_import(number, files, HashMap::new()).await {
            Err(Error::Conflict { table }) => {
                self.events.refresh().await?;
                if self.events.last_import().await? >= number { Ok(()) } else { Err(Error::Conflict { table }) }
            }
            done => done,
        }
    }

    /// Looks what others did, and carries out what is prepared and not done.
    pub(crate) async fn catch_up(&mut self) -> Result<(), Error> {
        // In this order: what is prepared by others in between is done by them too, and not taken for left behind.
        self.objects.refresh().await?;
        let prepared = self.objects.last_import().await?;
        self.events.refresh().await?;
        let done = self.events.last_import().await?;
        if prepared > done {
            if prepared > done + 1 {
                let what = format!(
                    "import {prepared} is prepared and import {done} is the last one done: one of the event data store's two \
                     tables is from another time than the other; restore both from one copy, or remove both and import anew"
                );
                return Err(Error::Foreign { table: self.events.name().to_owned(), what });
            }
            let files = self.prepared(prepared).await?;
            tracing::info!(
                event_data_store = self.events.name(),
                import = prepared,
                "an import that was interrupted is completed"
            );
            self.finish(prepared, files).await?;
        }
        if self.seen_at != Some(self.objects.version()) {
            self.seen = Seen::load(&self.objects, &self.names).await?;
            self.seen_at = Some(self.objects.version());
        }
        Ok(())
    }

    /// The files of a prepared import.
    async fn prepared(&self, number: i64) -> Result<Vec<Add>, Error> {
        let mut commits = self.objects.delta().history(Some(HISTORY));
        while let Some(commit) = commits.next().await {
            let commit = commit.map_err(|error| Error::table("read", self.objects.name(), error))?;
            if let Some(files) = commit.info.get(PREPARED) {
                return serde_json::from_value(files.clone()).map_err(|error| Error::Foreign {
                    table: self.objects.name().to_owned(),
                    what: format!("import {number} is prepared, and its list of files can't be read: {error}"),
                });
            }
        }
        let what = format!("import {number} is prepared, and its list of files is not in the last {HISTORY} commits");
        Err(Error::Foreign { table: self.objects.name().to_owned(), what })
    }
}

/// Rows of several objects, gathered off the async threads.
struct Gathering {
    taking: Taking,
    inflater: Inflater,
    rows: Rows,
    objects: Vec<(Found, Account)>,
}

impl Gathering {
    fn new(taking: Taking) -> Self {
        let rows = Rows::new(taking.kind);
        Self { taking, inflater: Inflater::new(), rows, objects: Vec::new() }
    }

    async fn add(mut self, found: Found, bytes: bytes::Bytes) -> Self {
        let work = move || {
            let account = decode(&found, &bytes, &self.taking, &mut self.inflater, &mut self.rows);
            self.objects.push((found, account));
            self
        };
        tokio::task::spawn_blocking(work).await.expect("reading an object doesn't panic")
    }
}
