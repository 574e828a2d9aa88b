//! `orgtrail state reseal`: writes the whole state anew under the configured key, or in the clear when there is none.
//!
//! Owns: the order in which that becomes durable. Offline: the state folder's lock is held throughout.
//!
//! 1. Quarantine entries are written anew one by one; each says itself under which key it is sealed.
//! 2. The journal is copied into `journal.new`, which is worth nothing yet.
//! 3. `reseal.json` is written: from here on the copy counts. It holds the new `seal.json`.
//! 4. The folders change places, `seal.json` is replaced, the old folder and `reseal.json` are removed.
//!
//! A crash before 3 leaves the old journal whole, one after it the new one; a process that finds `reseal.json` refuses to
//! start, and the next `reseal` does step 4 again, every part of which may be done twice. Files are removed, not overwritten:
//! what a disk keeps of removed blocks is the disk's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use orgtrail_cloud::Connection;
use orgtrail_service::clock::Clock;
use orgtrail_service::durable;
use orgtrail_service::quarantine::{Entry, Folder};
use orgtrail_service::state_dir::StateDir;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::outside::world;

use super::keeper::{Settings, Source, context};
use super::payload::{Opener, sealed_under};
use super::stored::{self, Stored};
use super::{Error, Ring, Seal};
use crate::journal;

const MARKER: &str = "reseal.json";

/// How far the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Values that are copied.
    pub done: u64,
    /// Values that there are, roughly.
    pub total: u64,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The key that the state was sealed under.
    pub from: Option<String>,
    /// The key that it is sealed under now.
    pub to: Option<String>,
    /// Values of the journal that were written anew.
    pub values: u64,
    /// Their bytes, in the clear.
    pub bytes: u64,
    /// Quarantine entries whose payload was written anew.
    pub payloads: u64,
}

/// What counts from step 3 on.
#[derive(Serialize, Deserialize)]
struct Marker {
    /// The new `seal.json`; none: the copy is in the clear.
    seal: Option<Stored>,
}

/// Writes the state of a stopped aggregator anew, sealed as `config` says. `from_key` says what it is sealed under now: a key
/// that is found elsewhere than `seal.json` says, or `none`. `progress` is told from time to time.
///
/// # Errors
/// The folder is in use, a key can't be used, the disk is full, or the state isn't what `from_key` says. The state is then
/// as it was, or the next call finishes what this one began.
pub async fn reseal(
    config: &crate::Config,
    from_key: Option<&str>,
    clock: Arc<dyn Clock>,
    progress: impl FnMut(Progress) + Send + 'static,
) -> Result<Report, Error> {
    let lock = StateDir::open(&config.state_dir, "orgtrail state reseal")?;
    let dir = lock.path().to_owned();
    finish(&dir)?;
    clear_unfinished(&dir)?;
    let settings = Settings::of(config);
    let stored = Stored::load(&dir)?;
    expect_from(from_key, stored.as_ref(), &dir)?;
    let connection = settings.as_ref().map_or_else(Connection::default, |settings| settings.connection.clone());
    let from_key = from_key.filter(|key| *key != "none").map(str::to_owned);

    let from = match &stored {
        Some(stored) => {
            let key_id = from_key.as_deref().unwrap_or(&stored.key_id);
            let keys = Source::open(&world(), key_id, &connection, &dir).await?.open_all(stored, &dir).await?;
            Seal(Some(Arc::new(Ring::new(&dir, stored.clone(), keys)?)))
        }
        None => Seal::off(),
    };
    let mut target = Target { settings, ring: None, source: None, clock, dir: dir.clone() };
    target.draw(stored.as_ref()).await?;
    let report = Report {
        from: stored.map(|stored| stored.key_id),
        to: target.settings.as_ref().map(|settings| settings.key_id.clone()),
        values: 0,
        bytes: 0,
        payloads: 0,
    };
    let opener = Opener::new(connection, from_key);
    let runtime = Handle::current();
    let work = move || -> Result<Report, Error> {
        let payloads = rewrite_quarantine(&runtime, &target, opener)?;
        let copied = copy_journal(&runtime, &from, &mut target, progress)?;
        let marker = Marker { seal: target.ring.as_ref().map(|ring| ring.lock_stored().clone()) };
        write_marker(&dir, &marker)?;
        finish(&dir)?;
        drop(lock);
        Ok(Report { payloads, values: copied.values, bytes: copied.bytes, ..report })
    };
    tokio::task::spawn_blocking(work).await.map_err(|panic| Error::Stopped(panic.to_string()))?
}

/// What the state is to be sealed with.
struct Target {
    settings: Option<Settings>,
    ring: Option<Arc<Ring>>,
    source: Option<Source>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
}

impl Target {
    fn seal(&self) -> Seal {
        Seal(self.ring.clone())
    }

    /// The first data key. It is listed in no file before the copy is complete.
    async fn draw(&mut self, before: Option<&Stored>) -> Result<(), Error> {
        let Some(settings) = &self.settings else { return Ok(()) };
        let source = Source::open(&world(), &settings.key_id, &settings.connection, &self.dir).await?;
        let mut stored = Stored::after(before, &settings.key_id);
        let context = context(&self.dir, &settings.trails);
        let (data_key, listed) = source.draw(stored.next_id(), context, &*self.clock, &self.dir).await?;
        stored.add(listed);
        let keys = BTreeMap::from([(data_key.id, Arc::new(data_key))]);
        self.ring = Some(Arc::new(Ring::new(&self.dir, stored, keys)?));
        self.source = Some(source);
        Ok(())
    }

    /// Another data key when half of the current one's uses are gone.
    fn draw_when_due(&self, runtime: &Handle) -> Result<(), Error> {
        let (Some(settings), Some(ring), Some(source)) = (&self.settings, &self.ring, &self.source) else {
            return Ok(());
        };
        if ring.current().uses.load(Ordering::Relaxed) < ring.uses_max / 2 {
            return Ok(());
        }
        let id = ring.lock_stored().next_id();
        let context = context(&self.dir, &settings.trails);
        let (data_key, listed) = runtime.block_on(source.draw(id, context, &*self.clock, &self.dir))?;
        ring.lock_stored().add(listed);
        ring.set_current(data_key);
        Ok(())
    }
}

/// What the operator says must be so.
fn expect_from(from_key: Option<&str>, stored: Option<&Stored>, dir: &Path) -> Result<(), Error> {
    let dir = dir.display();
    match (from_key, stored) {
        (Some("none"), Some(stored)) => {
            Err(Error::Mismatch(format!("the state in {dir} is sealed under {}, not none", stored.key_id)))
        }
        (Some(key), None) if key != "none" => Err(Error::Mismatch(format!(
            "the state in {dir} is not sealed: seal.json is not there; say --from-key none"
        ))),
        _ => Ok(()),
    }
}

fn rewrite_quarantine(runtime: &Handle, target: &Target, mut opener: Opener) -> Result<u64, Error> {
    let seal = target.seal();
    let mut payloads = 0;
    let change = |entry: &mut Entry| -> Result<bool, Error> {
        if entry.payload.is_none() || (sealed_under(entry).is_none() && seal.0.is_none()) {
            return Ok(false);
        }
        runtime.block_on(opener.open(entry, &target.dir))?;
        seal.seal_payload(entry)?;
        payloads += 1;
        Ok(true)
    };
    Folder::open(&target.dir.join("quarantine"), Arc::clone(&target.clock)).rewrite(change)?;
    Ok(payloads)
}

fn copy_journal(
    runtime: &Handle,
    from: &Seal,
    target: &mut Target,
    mut progress: impl FnMut(Progress),
) -> Result<journal::Copied, Error> {
    let Folders { current, new, .. } = Folders::of(&target.dir);
    if !current.exists() {
        return Ok(journal::Copied::default());
    }
    let step = |done, total| {
        progress(Progress { done, total });
        target.draw_when_due(runtime)
    };
    let copied = journal::copy(&current, from, &new, &target.seal(), step).map_err(|error| match error {
        journal::Error::Seal(error) => error,
        error => Error::Journal(Box::new(error)),
    })?;
    durable::sync_dir(&new).map_err(Error::io("sync", &new))?;
    Ok(copied)
}

struct Folders {
    current: PathBuf,
    new: PathBuf,
    old: PathBuf,
}

impl Folders {
    fn of(dir: &Path) -> Self {
        Self { current: dir.join("journal"), new: dir.join("journal.new"), old: dir.join("journal.old") }
    }
}

/// Whether anything was kept in this folder before.
pub(super) fn holds_state(dir: &Path) -> bool {
    let quarantine = dir.join("quarantine");
    [Folders::of(dir).current, quarantine.join("entries"), quarantine.join("dropped.jsonl")]
        .iter()
        .any(|it| it.exists())
}

/// Removes a copy that counts for nothing. Refuses where a reseal is to be finished first.
pub(super) fn clear_unfinished(dir: &Path) -> Result<(), Error> {
    if dir.join(MARKER).exists() {
        return Err(Error::Mismatch(format!(
            "a reseal of the state in {} was interrupted: run `orgtrail state reseal --config DIR` again, which finishes it",
            dir.display()
        )));
    }
    remove_folder(&Folders::of(dir).new)
}

fn write_marker(dir: &Path, marker: &Marker) -> Result<(), Error> {
    let path = dir.join(MARKER);
    let text = serde_json::to_vec_pretty(marker).expect("strings, numbers and times are always JSON");
    durable::write(&path, &text).map_err(Error::io("write", &path))
}

/// Step 4, if step 3 was done. May be done again after a crash anywhere in it.
fn finish(dir: &Path) -> Result<(), Error> {
    let path = dir.join(MARKER);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let marker: Marker =
        serde_json::from_slice(&text).map_err(|error| Error::Json { path: path.clone(), why: error.to_string() })?;
    let Folders { current, new, old } = Folders::of(dir);
    if new.exists() {
        if current.exists() {
            rename(&current, &old)?;
        }
        rename(&new, &current)?;
    }
    match marker.seal {
        Some(stored) => stored.save(dir)?,
        None => remove_file(&stored::path(dir))?,
    }
    remove_folder(&old)?;
    remove_file(&path)
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(Error::io("rename", from))?;
    sync_parent(to)
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => sync_parent(path),
    }
}

fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => sync_parent(path),
    }
}

fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(path);
    durable::sync_dir(parent).map_err(Error::io("sync", parent))
}

#[cfg(test)]
mod tests;
