//! A folder of exported logs as a bucket: records in files of any names and forms, presented in CloudTrail's own layout.
//!
//! An [`ObjectStore`] over the folder: every file is read once to see which accounts, regions and days it has records of,
//! and each of these parts is one object, whose bytes are put together when it is fetched, out of the records' own bytes
//! (I5). Owns looking for files, what of them is no record (to the quarantine, I10) and what is no log at all (counted and
//! named). `file` reads one file, `index` knows the objects.
//!
//! A file is read when it has not been written to for [`SETTLED`], and again when it changes: its objects then have other
//! keys, and what was delivered of it is found to be a duplicate. **On a crash** the list of what was seen is the one that
//! was written last, or gone: files are read again, and give the same objects.

mod file;
mod index;
mod scan;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use orgtrail_cloud::object_store::{ListPage, ListRequest, Object, ObjectMeta, PAGE_MAX, PutOptions};
use orgtrail_cloud::{Error, ErrorKind, Location, ObjectStore};
use orgtrail_event::digest::sha256_hex;
use orgtrail_event::gzip::Deflater;
use orgtrail_event::log_file::Writer;
use orgtrail_service::clock::Clock;
use orgtrail_service::quarantine::Quarantine;
use tokio::time::Instant;

use self::file::{Item, Span};
use self::index::{Index, Part};
use crate::status;

/// A file that was written to within this time may not be whole.
const SETTLED: Duration = Duration::from_secs(10);
/// How long what was seen of the folder is taken as it is.
const FRESH: Duration = Duration::from_secs(5);
/// gzip's own default.
const LEVEL: u8 = 6;
/// Files that are no logs and are named in status.
const NAMED_MAX: usize = 20;

/// A folder of exported logs that stands for a bucket.
#[derive(Debug)]
pub(crate) struct ExportStore {
    shared: Arc<Shared>,
    /// When the folder was looked at last. One look at a time.
    looked: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Shared {
    location: Location,
    root: PathBuf,
    /// The list of what was seen.
    list: PathBuf,
    quarantine: Arc<Quarantine>,
    clock: Arc<dyn Clock>,
    index: Mutex<Index>,
    tally: Tally,
    /// The process is ending.
    stop: AtomicBool,
}

/// What was found in the folder; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<status::ExportedLogs>>);

impl Tally {
    pub(crate) fn get(&self, source: &str) -> status::ExportedLogs {
        let tally = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        status::ExportedLogs { source: source.to_owned(), ..tally }
    }

    /// Counts what the index has; `pending` files wait to settle.
    fn count(&self, index: &Index, pending: u64) {
        let mut tally = status::ExportedLogs { pending, ..status::ExportedLogs::default() };
        for (name, seen) in index.files() {
            tally.files += 1;
            tally.records += seen.records;
            if seen.records == 0 {
                tally.foreign += 1;
                if tally.foreign_files.len() < NAMED_MAX {
                    tally.foreign_files.push(name.clone());
                }
            } else {
                tally.bad_stretches += seen.bad;
            }
        }
        tally.objects = index.objects_len() as u64;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = tally;
    }
}

impl ExportStore {
    /// The folder as a source. `lists` is the folder for lists of what was seen. Reads no logs yet.
    pub(crate) fn new(
        location: &Location,
        quarantine: Arc<Quarantine>,
        clock: Arc<dyn Clock>,
        lists: &Path,
    ) -> anyhow::Result<Self> {
        let Location::File { root } = location else { anyhow::bail!("{location} is no folder") };
        let list = lists.join(format!("{}.json", &sha256_hex(location.to_string().as_bytes())[..32]));
        let shared = Shared {
            location: location.clone(),
            root: root.clone(),
            index: Mutex::new(Index::of(scan::load(&list))),
            list,
            quarantine,
            clock,
            tally: Tally::default(),
            stop: AtomicBool::new(false),
        };
        shared.tally.count(&shared.index(), 0);
        Ok(Self { shared: Arc::new(shared), looked: tokio::sync::Mutex::new(None) })
    }

    /// What was found so far.
    pub(crate) fn tally(&self) -> Tally {
        self.shared.tally.clone()
    }

    /// Looks for files that are new, changed or gone.
    async fn look(&self) -> Result<(), Error> {
        let mut looked = self.looked.lock().await;
        if looked.is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || shared.scan()).await;
        done.map_err(|panicked| self.shared.error(ErrorKind::Other, "list", "").source(panicked))??;
        *looked = Some(Instant::now());
        Ok(())
    }
}

impl Drop for ExportStore {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, kind: ErrorKind, verb: &'static str, key: &str) -> Error {
        Error::new(kind, verb, self.location.object(key))
    }

    /// The bytes of an object, not compressed.
    fn read(&self, key: &str) -> Result<(ObjectMeta, Vec<u8>), Error> {
        let found = {
            let index = self.index();
            let meta = index.meta(key);
            index.part(key).map(|(name, stamp, part)| (name.to_owned(), stamp, part.clone())).zip(meta)
        };
        let gone = |detail: &str| self.error(ErrorKind::NotFound, "get", key).detail(detail);
        let Some(((name, stamp, part), meta)) = found else {
            return Err(gone("its file went away, or has changed and has other objects now"));
        };
        let path = self.root.join(&name);
        let failed = |error: io::Error| {
            let kind =
                if error.kind() == io::ErrorKind::NotFound { ErrorKind::NotFound } else { ErrorKind::Unavailable };
            self.error(kind, "get", key).detail(format!("read {}: {error}", path.display()))
        };
        if scan::stamp(&path).map_err(failed)? != stamp {
            return Err(gone(&format!("{} has changed: it is read again", path.display())));
        }
        // A part can be read from its first record on; where that gives other records, as brackets before it are missed,
        // from the file's beginning.
        for span in [part.span(), Span { from: 0, to: part.to }] {
            let (records, file) = self.collect(&path, span, &part).map_err(failed)?;
            if records == part.records {
                return Ok((meta, file));
            }
        }
        let changed = scan::stamp(&path).map_err(failed)? != stamp;
        let detail = if changed { "it changed while it was read" } else { "it gave other records than before" };
        Err(self.error(ErrorKind::Unavailable, "get", key).detail(format!("read {}: {detail}", path.display())))
    }

    fn collect(&self, path: &Path, span: Span, part: &Part) -> io::Result<(u64, Vec<u8>)> {
        let (mut records, mut file) = (0, Writer::new());
        file::read(path, span, &self.stop, |item| {
            if let Item::Record { offset, raw, group, .. } = item
                && offset >= part.from
                && offset < part.to
                && group == part.group
            {
                records += 1;
                file.push(raw);
            }
            Ok(())
        })?;
        Ok((records, file.finish()))
    }
}

#[tonic::async_trait]
impl ObjectStore for ExportStore {
    fn location(&self) -> &Location {
        &self.shared.location
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, Error> {
        self.look().await?;
        let index = self.shared.index();
        if request.delimiter.is_some() {
            return Ok(ListPage { common_prefixes: index.prefixes(&request.prefix), ..ListPage::default() });
        }
        let after = request.continuation.as_deref().or(request.start_after.as_deref());
        let (objects, more) = index.page(&request.prefix, after, PAGE_MAX);
        let next = objects.last().filter(|_| more).map(|last| last.key.clone());
        Ok(ListPage { objects, next, ..ListPage::default() })
    }

    async fn get(&self, key: &str, bytes_max: u64) -> Result<Object, Error> {
        let (shared, wanted) = (Arc::clone(&self.shared), key.to_owned());
        let read = tokio::task::spawn_blocking(move || {
            shared.read(&wanted).map(|(meta, file)| (meta, Deflater::new(LEVEL).deflate(&file)))
        });
        let read = read.await.map_err(|panicked| self.shared.error(ErrorKind::Other, "get", key).source(panicked))?;
        let (mut meta, gzip) = read?;
        if gzip.len() as u64 > bytes_max {
            return Err(self.shared.error(ErrorKind::TooLarge { bytes_max }, "get", key));
        }
        meta.size = gzip.len() as u64;
        Ok(Object { meta, bytes: Bytes::from(gzip), metadata: BTreeMap::new() })
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        self.shared.index().meta(key).ok_or_else(|| self.shared.error(ErrorKind::NotFound, "head", key))
    }

    async fn put(&self, key: &str, _: Bytes, _: &PutOptions) -> Result<(), Error> {
        Err(self.shared.error(ErrorKind::Invalid, "put", key).detail("exported logs can only be read"))
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        Err(self.shared.error(ErrorKind::Invalid, "delete", key).detail("exported logs can only be read"))
    }
}

#[cfg(test)]
mod tests;
