//! The folder a process keeps its state in: created, locked so that one process owns it, and read by commands.
//!
//! It owns the lock and the two ways to keep a small JSON file. A crash releases the lock (the kernel does) and
//! leaves every file whole (`durable` does). A command never takes the lock: it reads, and learns from the lock
//! whether the owner runs.

mod status;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::status::{Head, StatusFile, StatusSnapshot, read_status};
use crate::durable;

const LOCK_FILE: &str = "lock";

/// A command that asks whether the owner runs holds the lock for an instant; that must not stop a start.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// What can go wrong with a state folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process owns the folder.
    #[error(
        "lock {}: in use by {holder}; stop that process, or give this one a `state_dir` of its own", .path.display()
    )]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Name and process id of the owner, as far as known.
        holder: String,
    },
    /// The file system refused.
    #[error("{verb} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("read {}: {source}; if it was edited by hand, put it back or move it away", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
}

impl Error {
    fn io(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { verb, path, source }
    }
}

/// A locked state folder. The lock is held until it is dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Creates the folder if needed and takes its lock for `process` (a name such as `orgtrail-agent`).
    ///
    /// Waits up to half a second for a lock to be released; call it before the runtime is busy.
    ///
    /// # Errors
    /// [`Error::Locked`] names the process that owns the folder.
    pub fn open(path: &Path, process: &str) -> Result<Self, Error> {
        durable::create_dir(path).map_err(Error::io("create", path))?;
        let lock_path = path.join(LOCK_FILE);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(Error::io("open", &lock_path))?;
        take_lock(&lock, path, &lock_path)?;
        let holder = format!("{process} (pid {})\n", std::process::id());
        lock.set_len(0)
            .and_then(|()| lock.seek(SeekFrom::Start(0)))
            .and_then(|_| lock.write_all(holder.as_bytes()))
            .map_err(Error::io("write", &lock_path))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file `name` by `value` as JSON; whole and durable when it returns.
    ///
    /// # Errors
    /// The file system refused; the old content is still there.
    pub fn write_json_atomic(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        write_json(&self.path.join(name), value)
    }

    /// Reads the file `name`; `None` if it was never written.
    ///
    /// # Errors
    /// It cannot be read, or does not hold a `T`.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        read_json(&self.path.join(name))
    }
}

fn take_lock(lock: &File, path: &Path, lock_path: &Path) -> Result<(), Error> {
    for attempt in 1.. {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", lock_path)(source)),
            Err(TryLockError::WouldBlock) if attempt < LOCK_ATTEMPTS => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { path: path.to_owned(), holder: holder(lock_path) });
            }
        }
    }
    Ok(())
}

/// Who wrote the lock file last. Only for the eye: the lock itself is the kernel's.
fn holder(lock_path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(lock_path).and_then(|file| file.take(200).read_to_string(&mut text));
    match (read, text.trim()) {
        (Ok(_), holder) if !holder.is_empty() => holder.to_owned(),
        _ => "another process".to_owned(),
    }
}

/// Whether a process owns the state folder `dir` right now. Takes the lock for an instant, shared, to find out.
///
/// # Errors
/// The lock file is there and cannot be opened.
pub fn is_running(dir: &Path) -> Result<bool, Error> {
    let lock_path = dir.join(LOCK_FILE);
    let lock = match File::open(&lock_path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("open", &lock_path)(error)),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(Error::io("lock", &lock_path)(source)),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|source| Error::Json { path: path.to_owned(), source })?;
    text.push(b'\n');
    durable::write(path, &text).map_err(Error::io("write", path))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Json { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_owns_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/agent");
        let first = StateDir::open(&path, "orgtrail-agent").unwrap();
        assert!(is_running(&path).unwrap());
        let error = StateDir::open(&path, "orgtrail-agent").unwrap_err().to_string();
        let pid = std::process::id();
        assert!(error.contains(&format!("in use by orgtrail-agent (pid {pid}); stop that process")), "{error}");
        drop(first);
        assert!(!is_running(&path).unwrap());
        StateDir::open(&path, "orgtrail-agent").unwrap();
    }

    #[test]
    fn a_command_that_looks_does_not_stop_a_start() {
        let dir = tempfile::tempdir().unwrap();
        drop(StateDir::open(dir.path(), "p").unwrap());
        let looking = File::open(dir.path().join(LOCK_FILE)).unwrap();
        looking.try_lock_shared().unwrap();
        let looker = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(120));
            drop(looking);
        });
        StateDir::open(dir.path(), "p").unwrap();
        looker.join().unwrap();
    }

    #[test]
    fn json_is_read_back_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path(), "p").unwrap();
        assert_eq!(state.read_json::<Vec<u32>>("list.json").unwrap(), None);
        state.write_json_atomic("list.json", &vec![1, 2]).unwrap();
        assert_eq!(state.read_json::<Vec<u32>>("list.json").unwrap(), Some(vec![1, 2]));
        std::fs::write(dir.path().join("list.json"), "[1,").unwrap();
        let error = state.read_json::<Vec<u32>>("list.json").unwrap_err().to_string();
        assert!(error.contains("list.json"), "{error}");
        assert!(error.contains("move it away"), "{error}");
    }

    #[test]
    fn a_folder_that_was_never_used_is_not_running() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_running(&dir.path().join("none")).unwrap());
    }
}
