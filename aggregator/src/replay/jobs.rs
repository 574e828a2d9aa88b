//! The folder that replays are asked for in, and remembered in: `<state_dir>/replays`, a file each.
//!
//! A command writes a job's file once, and an empty `<id>.cancel` to stop it; from then on only the aggregator changes the
//! file. Files are whole or absent (`durable`), so a job survives a crash of either side as it was last written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use orgtrail_service::durable;

use super::job::Job;

/// Finished jobs that are remembered; older ones are forgotten.
pub const FINISHED_MAX: usize = 100;

/// Jobs that may wait.
pub const WAITING_MAX: usize = 100;

/// What can go wrong with the folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("{verb} {}: {source}; the aggregator's user must own the folder", .path.display())]
    Io {
        /// What was attempted.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file doesn't hold a job.
    #[error("read {}: {source}; if it was edited by hand, put it back or remove it", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// There are enough.
    #[error("{WAITING_MAX} replays wait already: let them finish, or cancel some")]
    TooMany,
    /// No such job.
    #[error("no replay has the id {0}: see `orgtrail replay --list`")]
    NotFound(String),
    /// The job is over.
    #[error("replay {0} is over")]
    Over(String),
}

impl Error {
    fn io(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { verb, path, source }
    }
}

/// The jobs of one aggregator.
#[derive(Debug, Clone)]
pub struct Jobs {
    dir: PathBuf,
}

impl Jobs {
    /// Those in an aggregator's state folder. Makes nothing.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("replays") }
    }

    /// Asks for a replay; it is on disk when this returns.
    ///
    /// # Errors
    /// [`Error::TooMany`], or the file system refused.
    pub fn submit(&self, job: &Job) -> Result<(), Error> {
        self.make()?;
        let waiting = self.list()?.into_iter().flatten().filter(|job| !job.state.is_over()).count();
        if waiting >= WAITING_MAX {
            return Err(Error::TooMany);
        }
        self.write(job)
    }

    /// Makes the folder.
    ///
    /// # Errors
    /// The file system refused.
    pub(super) fn make(&self) -> Result<(), Error> {
        durable::create_dir(&self.dir).map_err(Error::io("create", &self.dir))
    }

    /// The job with this id.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn read(&self, id: &str) -> Result<Job, Error> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::NotFound(id.to_owned()));
        }
        let path = self.path(id, "json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| Error::Json { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NotFound(id.to_owned())),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// All jobs, oldest first; damaged files as errors at the end.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn list(&self) -> Result<Vec<Result<Job, Error>>, Error> {
        let (mut jobs, mut damaged) = (Vec::new(), Vec::new());
        for id in self.ids()? {
            match self.read(&id) {
                Ok(job) => jobs.push(job),
                // Forgotten meanwhile.
                Err(Error::NotFound(_)) => {}
                Err(error) => damaged.push(Err(error)),
            }
        }
        jobs.sort_by(|a, b| (a.requested_at, &a.id).cmp(&(b.requested_at, &b.id)));
        Ok(jobs.into_iter().map(Ok).chain(damaged).collect())
    }

    /// The ids of all jobs, in no order.
    pub(super) fn ids(&self) -> Result<Vec<String>, Error> {
        let listing = match fs::read_dir(&self.dir) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("list", &self.dir)(error)),
        };
        let mut ids = Vec::new();
        for file in listing {
            let name = file.map_err(Error::io("list", &self.dir))?.file_name();
            ids.extend(name.to_str().and_then(|name| name.strip_suffix(".json")).map(str::to_owned));
        }
        Ok(ids)
    }

    /// Asks for the end of a job.
    ///
    /// # Errors
    /// There is none, it is over, or the file system refused.
    pub fn cancel(&self, id: &str) -> Result<(), Error> {
        if self.read(id)?.state.is_over() {
            return Err(Error::Over(id.to_owned()));
        }
        let path = self.path(id, "cancel");
        durable::write(&path, b"").map_err(Error::io("write", &path))
    }

    /// Whether the end of a job was asked for.
    pub(super) fn is_cancelled(&self, id: &str) -> bool {
        self.path(id, "cancel").exists()
    }

    /// Replaces a job's file; durable when it returns.
    pub(super) fn write(&self, job: &Job) -> Result<(), Error> {
        let path = self.path(&job.id, "json");
        let mut text = serde_json::to_vec_pretty(job).map_err(|source| Error::Json { path: path.clone(), source })?;
        text.push(b'\n');
        durable::write(&path, &text).map_err(Error::io("write", &path))
    }

    /// Writes a job that is over, and forgets those that ended long before it.
    pub(super) fn finish(&self, job: &Job) -> Result<(), Error> {
        self.write(job)?;
        self.remove(&self.path(&job.id, "cancel"))?;
        let mut over: Vec<_> =
            self.list()?.into_iter().flatten().filter_map(|job| Some((job.finished_at?, job.id))).collect();
        over.sort_unstable();
        let forgotten = over.len().saturating_sub(FINISHED_MAX);
        for (_, id) in &over[..forgotten] {
            self.remove(&self.path(id, "json"))?;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        match fs::remove_file(path) {
            // Not synced: what comes back after a crash is removed by the next one that ends.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
            _ => Ok(()),
        }
    }

    fn path(&self, id: &str, suffix: &str) -> PathBuf {
        self.dir.join(format!("{id}.{suffix}"))
    }
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, ToSpan};

    use super::*;
    use crate::replay::job::State;

    fn job(second: i64) -> Job {
        let now = Timestamp::from_second(second).expect("a time");
        Job::new("a", "b", (now, now), now).expect("random numbers")
    }

    #[test]
    fn jobs_come_back_oldest_first_and_damage_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let jobs = Jobs::of(dir.path());
        assert!(jobs.list().expect("no folder is no job").is_empty());
        for second in [30, 10, 20] {
            jobs.submit(&job(second)).expect("written");
        }
        fs::write(dir.path().join("replays/abcd.json"), "{").expect("written");
        let (found, damaged): (Vec<_>, Vec<_>) = jobs.list().expect("read").into_iter().partition(Result::is_ok);
        let seconds = found.into_iter().flatten().map(|job| job.requested_at.as_second());
        assert_eq!(seconds.collect::<Vec<_>>(), [10, 20, 30]);
        assert!(damaged[0].as_ref().expect_err("damaged").to_string().contains("abcd.json"));
    }

    #[test]
    fn an_end_is_asked_for_beside_the_file_and_only_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let jobs = Jobs::of(dir.path());
        let mut job = job(1);
        jobs.submit(&job).expect("written");
        jobs.cancel(&job.id).expect("asked");
        assert!(jobs.is_cancelled(&job.id));
        job.end(State::Cancelled, None, job.requested_at);
        jobs.finish(&job).expect("written");
        assert!(!jobs.is_cancelled(&job.id));
        assert!(matches!(jobs.cancel(&job.id), Err(Error::Over(_))));
        for id in ["", "../status", "ffff"] {
            assert!(matches!(jobs.cancel(id), Err(Error::NotFound(_))), "{id}");
        }
    }

    #[test]
    fn the_newest_finished_jobs_are_remembered_and_waiting_ones_are_bounded() {
        let dir = tempfile::tempdir().expect("a folder");
        let jobs = Jobs::of(dir.path());
        jobs.make().expect("made");
        for second in 0..FINISHED_MAX as i64 + 3 {
            let mut job = Job { id: format!("{second:08x}"), ..job(second) };
            job.end(State::Done, None, job.requested_at + 1.second());
            jobs.finish(&job).expect("written");
        }
        let first = jobs.list().expect("read").into_iter().flatten().next().expect("there are some");
        assert_eq!((first.requested_at.as_second(), jobs.ids().expect("read").len()), (3, FINISHED_MAX));
        for second in 0..WAITING_MAX as i64 {
            jobs.submit(&Job { id: format!("f{second:07x}"), ..job(second) }).expect("written");
        }
        assert!(matches!(jobs.submit(&job(9)), Err(Error::TooMany)));
    }
}
