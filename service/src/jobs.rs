//! Work that operators ask of a running process: `<state_dir>/<kind>s`, a file for each job.
//!
//! A command writes a job's file once, and an empty `<id>.cancel` to stop it; from then on only the process changes the
//! file. Files are whole or absent (`durable`), so a job survives a crash of either side as it was last written. Owns the
//! folder and its bounds. Does not own what a job says, nor how it is worked on.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::durable;

/// A kind of job, as one JSON document each.
pub trait Job: Serialize + DeserializeOwned {
    /// What one is called, as in `orgtrail <kind> --list`.
    const KIND: &'static str;
    /// The process that works on it.
    const WORKER: &'static str;

    /// From [`new_id`].
    fn id(&self) -> &str;
    /// When it was asked for.
    fn requested_at(&self) -> Timestamp;
    /// When it ended; none while it has not.
    fn finished_at(&self) -> Option<Timestamp>;
}

/// An id for a job: 8 hexadecimal digits.
///
/// # Errors
/// The machine has no random numbers.
pub fn new_id() -> io::Result<String> {
    let mut bytes = [0; 4];
    let drawn = SystemRandom::new().fill(&mut bytes);
    drawn.map_err(|_| io::Error::other("no random numbers on this machine"))?;
    Ok(format!("{:08x}", u32::from_be_bytes(bytes)))
}

/// Finished jobs that are remembered; older ones are forgotten.
pub const FINISHED_MAX: usize = 100;

/// Jobs that may wait.
pub const WAITING_MAX: usize = 100;

/// What can go wrong with the folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("{verb} {}: {source}; the {worker}'s user must own the folder", .path.display())]
    Io {
        /// Whose folder it is.
        worker: &'static str,
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
    #[error("{WAITING_MAX} {kind}s wait already: let them finish, or cancel some")]
    TooMany {
        /// What there is enough of.
        kind: &'static str,
    },
    /// No such job.
    #[error("no {kind} has the id {id}: see `orgtrail {kind} --list`")]
    NotFound {
        /// What was looked for.
        kind: &'static str,
        /// As it was given.
        id: String,
    },
    /// The job is over.
    #[error("{kind} {id} is over")]
    Over {
        /// What it is.
        kind: &'static str,
        /// Its id.
        id: String,
    },
}

/// The jobs of one kind, of one process.
#[derive(Debug)]
pub struct Jobs<J> {
    dir: PathBuf,
    kind: PhantomData<fn() -> J>,
}

impl<J> Clone for Jobs<J> {
    fn clone(&self) -> Self {
        Self { dir: self.dir.clone(), kind: PhantomData }
    }
}

impl<J: Job> Jobs<J> {
    /// Those in a process's state folder. Makes nothing.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self { dir: state_dir.join(format!("{}s", J::KIND)), kind: PhantomData }
    }

    /// Asks for a job; it is on disk when this returns.
    ///
    /// # Errors
    /// [`Error::TooMany`], or the file system refused.
    pub fn submit(&self, job: &J) -> Result<(), Error> {
        self.make()?;
        let waiting = self.list()?.into_iter().flatten().filter(|job| job.finished_at().is_none()).count();
        if waiting >= WAITING_MAX {
            return Err(Error::TooMany { kind: J::KIND });
        }
        self.write(job)
    }

    /// Makes the folder.
    ///
    /// # Errors
    /// The file system refused.
    pub fn make(&self) -> Result<(), Error> {
        durable::create_dir(&self.dir).map_err(Self::io("create", &self.dir))
    }

    /// The job with this id.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn read(&self, id: &str) -> Result<J, Error> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Self::not_found(id));
        }
        let path = self.path(id, "json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| Error::Json { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Self::not_found(id)),
            Err(error) => Err(Self::io("read", &path)(error)),
        }
    }

    /// All jobs, oldest first; damaged files as errors at the end.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn list(&self) -> Result<Vec<Result<J, Error>>, Error> {
        let (mut jobs, mut damaged) = (Vec::new(), Vec::new());
        for id in self.ids()? {
            match self.read(&id) {
                Ok(job) => jobs.push(job),
                // Forgotten meanwhile.
                Err(Error::NotFound { .. }) => {}
                Err(error) => damaged.push(Err(error)),
            }
        }
        jobs.sort_by(|a, b| (a.requested_at(), a.id()).cmp(&(b.requested_at(), b.id())));
        Ok(jobs.into_iter().map(Ok).chain(damaged).collect())
    }

    /// The jobs that are not over, oldest first. `over` remembers those that are, so that their files are not read again;
    /// a file that holds no job is told once and passed over.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn waiting(&self, over: &mut HashSet<String>) -> Result<Vec<J>, Error> {
        let ids = self.ids()?;
        over.retain(|id| ids.contains(id));
        let mut waiting = Vec::new();
        for id in ids {
            if over.contains(&id) {
                continue;
            }
            match self.read(&id) {
                Ok(job) if job.finished_at().is_none() => waiting.push(job),
                Ok(_) => drop(over.insert(id)),
                Err(Error::NotFound { .. }) => {}
                Err(error) => {
                    tracing::warn!(job.kind = J::KIND, job.id = id, error = %error, "a job's file is passed over");
                    over.insert(id);
                }
            }
        }
        waiting.sort_by(|a: &J, b| (a.requested_at(), a.id()).cmp(&(b.requested_at(), b.id())));
        Ok(waiting)
    }

    /// The ids of all jobs, in no order.
    fn ids(&self) -> Result<Vec<String>, Error> {
        let listing = match fs::read_dir(&self.dir) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Self::io("list", &self.dir)(error)),
        };
        let mut ids = Vec::new();
        for file in listing {
            let name = file.map_err(Self::io("list", &self.dir))?.file_name();
            ids.extend(name.to_str().and_then(|name| name.strip_suffix(".json")).map(str::to_owned));
        }
        Ok(ids)
    }

    /// Asks for the end of a job.
    ///
    /// # Errors
    /// There is none, it is over, or the file system refused.
    pub fn cancel(&self, id: &str) -> Result<(), Error> {
        if self.read(id)?.finished_at().is_some() {
            return Err(Error::Over { kind: J::KIND, id: id.to_owned() });
        }
        let path = self.path(id, "cancel");
        durable::write(&path, b"").map_err(Self::io("write", &path))
    }

    /// Whether the end of a job was asked for.
    pub fn is_cancelled(&self, id: &str) -> bool {
        self.path(id, "cancel").exists()
    }

    /// Replaces a job's file; durable when it returns.
    ///
    /// # Errors
    /// The file system refused.
    pub fn write(&self, job: &J) -> Result<(), Error> {
        let path = self.path(job.id(), "json");
        let mut text = serde_json::to_vec_pretty(job).map_err(|source| Error::Json { path: path.clone(), source })?;
        text.push(b'\n');
        durable::write(&path, &text).map_err(Self::io("write", &path))
    }

    /// Writes a job that is over, and forgets those that ended long before it.
    ///
    /// # Errors
    /// The file system refused.
    pub fn finish(&self, job: &J) -> Result<(), Error> {
        self.write(job)?;
        self.remove(&self.path(job.id(), "cancel"))?;
        let mut over: Vec<_> = self
            .list()?
            .into_iter()
            .flatten()
            .filter_map(|job| Some((job.finished_at()?, job.id().to_owned())))
            .collect();
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
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Self::io("remove", path)(error)),
            _ => Ok(()),
        }
    }

    fn not_found(id: &str) -> Error {
        Error::NotFound { kind: J::KIND, id: id.to_owned() }
    }

    fn io(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { worker: J::WORKER, verb, path, source }
    }

    fn path(&self, id: &str, suffix: &str) -> PathBuf {
        self.dir.join(format!("{id}.{suffix}"))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Errand {
        id: String,
        requested: i64,
        finished: Option<i64>,
    }

    impl Job for Errand {
        const KIND: &'static str = "errand";
        const WORKER: &'static str = "servant";

        fn id(&self) -> &str {
            &self.id
        }

        fn requested_at(&self) -> Timestamp {
            Timestamp::from_second(self.requested).expect("a time")
        }

        fn finished_at(&self) -> Option<Timestamp> {
            self.finished.map(|second| Timestamp::from_second(second).expect("a time"))
        }
    }

    fn job(second: i64) -> Errand {
        Errand { id: new_id().expect("random numbers"), requested: second, finished: None }
    }

    #[test]
    fn jobs_come_back_oldest_first_and_damage_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let jobs = Jobs::<Errand>::of(dir.path());
        assert!(jobs.list().expect("no folder is no job").is_empty());
        for second in [30, 10, 20] {
            jobs.submit(&job(second)).expect("written");
        }
        fs::write(dir.path().join("errands/abcd.json"), "{").expect("written");
        let (found, damaged): (Vec<_>, Vec<_>) = jobs.list().expect("read").into_iter().partition(Result::is_ok);
        let seconds = found.into_iter().flatten().map(|job| job.requested);
        assert_eq!(seconds.collect::<Vec<_>>(), [10, 20, 30]);
        assert!(damaged[0].as_ref().expect_err("damaged").to_string().contains("abcd.json"));
        let mut over = HashSet::new();
        let waiting = jobs.waiting(&mut over).expect("read");
        assert_eq!(waiting.iter().map(|job| job.requested).collect::<Vec<_>>(), [10, 20, 30]);
        assert_eq!(over, HashSet::from(["abcd".to_owned()]), "it is told once");
    }

    #[test]
    fn an_end_is_asked_for_beside_the_file_and_only_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let jobs = Jobs::<Errand>::of(dir.path());
        let mut job = job(1);
        jobs.submit(&job).expect("written");
        jobs.cancel(&job.id).expect("asked");
        assert!(jobs.is_cancelled(&job.id));
        job.finished = Some(2);
        jobs.finish(&job).expect("written");
        assert!(!jobs.is_cancelled(&job.id));
        assert!(matches!(jobs.cancel(&job.id), Err(Error::Over { .. })));
        for id in ["", "../status", "ffff"] {
            assert!(matches!(jobs.cancel(id), Err(Error::NotFound { .. })), "{id}");
        }
    }

    #[test]
    fn the_newest_finished_jobs_are_remembered_and_waiting_ones_are_bounded() {
        let dir = tempfile::tempdir().expect("a folder");
        let jobs = Jobs::<Errand>::of(dir.path());
        jobs.make().expect("made");
        for second in 0..FINISHED_MAX as i64 + 3 {
            let mut job = Errand { id: format!("{second:08x}"), ..job(second) };
            job.finished = Some(second + 1);
            jobs.finish(&job).expect("written");
        }
        let first = jobs.list().expect("read").into_iter().flatten().next().expect("there are some");
        assert_eq!((first.requested, jobs.ids().expect("read").len()), (3, FINISHED_MAX));
        for second in 0..WAITING_MAX as i64 {
            jobs.submit(&Errand { id: format!("f{second:07x}"), ..job(second) }).expect("written");
        }
        assert!(matches!(jobs.submit(&job(9)), Err(Error::TooMany { .. })));
    }
}
