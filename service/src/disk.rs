//! The seam at every durable write: where a simulation ends a process between any two of them, or lets one fail.
//!
//! Whoever writes durably does so inside [`durably`], which only runs the write; without the feature `sim` there is nothing
//! else. With it, an observer that was registered for a folder is asked before and told after each write below it. Owns no
//! write and no promise: `durable` and the stores do.

use std::io;
use std::path::Path;

#[cfg(feature = "sim")]
pub use observed::{Observed, Observer, observe};

/// Runs one durable write of the state folder that `path` lies in. `step` says what it is, for people.
///
/// # Errors
/// Those of the write; or what the observer of a simulation wants to happen.
#[inline]
pub fn durably<T, E: From<io::Error>>(
    path: &Path,
    step: &'static str,
    write: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    #[cfg(feature = "sim")]
    if let Some(observer) = observed::of(path) {
        observer.before(path, step)?;
        let done = write();
        observer.after(path, step)?;
        return done;
    }
    #[cfg(not(feature = "sim"))]
    let _ = (path, step);
    write()
}

#[cfg(feature = "sim")]
mod observed {
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, PoisonError, RwLock};

    /// Watches the durable writes of one state folder. An error stands for the disk's own, or for the end of the process.
    pub trait Observer: Send + Sync {
        /// The write has not begun.
        fn before(&self, path: &Path, step: &'static str) -> io::Result<()>;
        /// The write is over: on disk, or failed.
        fn after(&self, path: &Path, step: &'static str) -> io::Result<()>;
    }

    type Registered = Vec<(PathBuf, Arc<dyn Observer>)>;

    static OBSERVERS: RwLock<Registered> = RwLock::new(Registered::new());

    /// Registers an observer for all durable writes below `dir`, until what is returned is dropped.
    pub fn observe(dir: &Path, observer: Arc<dyn Observer>) -> Observed {
        OBSERVERS.write().unwrap_or_else(PoisonError::into_inner).push((dir.to_owned(), observer));
        Observed(dir.to_owned())
    }

    /// Ends the observation when it is dropped.
    #[derive(Debug)]
    pub struct Observed(PathBuf);

    impl Drop for Observed {
        fn drop(&mut self) {
            OBSERVERS.write().unwrap_or_else(PoisonError::into_inner).retain(|(dir, _)| *dir != self.0);
        }
    }

    pub(super) fn of(path: &Path) -> Option<Arc<dyn Observer>> {
        let observers = OBSERVERS.read().unwrap_or_else(PoisonError::into_inner);
        observers.iter().find(|(dir, _)| path.starts_with(dir)).map(|(_, observer)| Arc::clone(observer))
    }

    #[cfg(test)]
    mod tests {
        use std::sync::Mutex;

        use super::*;
        use crate::disk::durably;

        #[derive(Default)]
        struct Notes(Mutex<Vec<String>>);

        impl Observer for Notes {
            fn before(&self, _: &Path, step: &'static str) -> io::Result<()> {
                self.0.lock().unwrap().push(format!("before {step}"));
                if step == "full" { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            }

            fn after(&self, _: &Path, step: &'static str) -> io::Result<()> {
                self.0.lock().unwrap().push(format!("after {step}"));
                Ok(())
            }
        }

        #[test]
        fn only_writes_below_the_folder_are_observed_and_one_may_be_refused() {
            let notes = Arc::new(Notes::default());
            let observed = observe(Path::new("/sim/a"), Arc::clone(&notes) as Arc<dyn Observer>);
            let write = |path: &str, step| durably(Path::new(path), step, || Ok::<_, io::Error>(7));
            assert_eq!(write("/sim/a/x/y", "one").unwrap(), 7);
            assert_eq!(write("/sim/ab", "other").unwrap(), 7);
            assert_eq!(write("/sim/a", "full").unwrap_err().kind(), io::ErrorKind::StorageFull);
            drop(observed);
            write("/sim/a", "late").unwrap();
            assert_eq!(*notes.0.lock().unwrap(), ["before one", "after one", "before full"]);
        }
    }
}
