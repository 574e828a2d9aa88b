//! A folder as an object store: a key is a path below it.
//!
//! Owns: writing objects so that they are whole or absent, and their user metadata in files beside them. Does not own:
//! listing order (`local_walk`).
//!
//! On a crash: an object is written under a hidden name, synced and renamed, so a cut-off put leaves the old state and at
//! most one hidden file, which listings pass over and nothing else reads. Metadata is written before its object (after it
//! with `if_absent`); a crash between the two leaves metadata without an object, the old object with the new metadata, or
//! with `if_absent` an object without metadata, until the put is repeated: it still says that the object is there, and
//! gives it what the first one left out.
//! Calls that are dropped half-way still run to their end on their own thread.
//!
//! What a bucket can and a folder can't: keys with empty, `.` or `..` parts, or a key that is also the folder of another,
//! are refused as malformed; content type and encoding are not kept; encryption is refused.

use super::local_walk::{self, HIDDEN};
use super::{ListPage, ListRequest, Object, ObjectMeta, ObjectStore, PAGE_MAX, PutOptions};
use crate::durable::{create_folder, sync_folder};
use crate::{Error, ErrorKind, Location};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// S3's bound on a key, in bytes (S3 user guide, "Naming Amazon S3 objects").
const KEY_BYTES_MAX: usize = 1024;

/// S3's bound on user metadata is 2 KB; more in a file beside an object was not written by us.
const METADATA_BYTES_MAX: u64 = 64 * 1024;

/// Parts up to this size are read where they are asked for: that takes less than waking another thread up.
const HERE_BYTES_MAX: u64 = 1024 * 1024;

/// A folder that stands for a bucket.
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: PathBuf,
    location: Location,
}

impl LocalStore {
    /// The store in this folder. The first put creates it.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { location: Location::File { root: root.clone() }, root }
    }

    /// The file of a key.
    fn path(&self, verb: &'static str, key: &str) -> Result<PathBuf, Error> {
        let malformed = |why: &str| Error::new(ErrorKind::Malformed, verb, self.location.object(key)).detail(why);
        if key.is_empty() || key.len() > KEY_BYTES_MAX || key.contains('\0') {
            return Err(malformed("a key has 1 to 1024 bytes, none of them zero"));
        }
        let mut path = self.root.clone();
        for part in key.split('/') {
            if part.is_empty() || part == "." || part == ".." {
                return Err(malformed("a folder can't hold a key with an empty part, `.` or `..`"));
            }
            if part.starts_with(HIDDEN) {
                return Err(malformed("names that start with .orgtrail- are reserved"));
            }
            path.push(part);
        }
        Ok(path)
    }

    /// Reads an object, or the part that `part` reads, on this thread.
    fn read<T>(
        &self,
        key: &str,
        bytes_max: u64,
        part: impl FnOnce(&Path, u64) -> io::Result<Option<T>>,
    ) -> Result<T, Error> {
        let path = self.path("get", key)?;
        let read = part(&path, bytes_max);
        let read = read.map_err(|error| Error::io("get", self.location.object(key), error))?;
        read.ok_or_else(|| Error::new(ErrorKind::TooLarge { bytes_max }, "get", self.location.object(key)))
    }

    async fn put_content(&self, key: &str, content: Content, options: &PutOptions) -> Result<(), Error> {
        if options.encryption.is_some() {
            return Err(Error::new(ErrorKind::Invalid, "put", self.location.object(key))
                .detail("a folder can't encrypt with a KMS key: remove the key, or deliver to s3://"));
        }
        let (metadata, if_absent) = (options.metadata.clone(), options.if_absent);
        self.blocking("put", key, move |path, _| write_object(&path, &content, &metadata, if_absent)).await
    }

    /// The thread that read it is gone.
    fn stopped(&self, key: &str) -> Error {
        Error::new(ErrorKind::Other, "get", self.location.object(key))
    }

    /// Runs file access off the async threads.
    async fn blocking<T: Send + 'static>(
        &self,
        verb: &'static str,
        key: &str,
        work: impl FnOnce(PathBuf, String) -> Result<T, io::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let path = self.path(verb, key)?;
        let subject = self.location.object(key);
        let key = key.to_owned();
        match tokio::task::spawn_blocking(move || work(path, key)).await {
            Ok(result) => result.map_err(|error| Error::io(verb, subject, error)),
            Err(stopped) => Err(Error::new(ErrorKind::Other, verb, subject).source(stopped)),
        }
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    fn location(&self) -> &Location {
        &self.location
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, Error> {
        let (root, request) = (self.root.clone(), request.clone());
        let subject = self.location.object(&request.prefix);
        match tokio::task::spawn_blocking(move || local_walk::list(&root, &request, PAGE_MAX)).await {
            Ok(Ok(page)) => Ok(page),
            // Only the root itself is reported as absent; folders below may come and go.
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::ContainerMissing, "list", subject).detail("there is no such folder"))
            }
            Ok(Err(error)) => Err(Error::io("list", subject, error)),
            Err(stopped) => Err(Error::new(ErrorKind::Other, "list", subject).source(stopped)),
        }
    }

    async fn get(&self, key: &str, bytes_max: u64) -> Result<Object, Error> {
        let (store, wanted) = (self.clone(), key.to_owned());
        let read = move || store.read(&wanted, bytes_max, |path, max| read_object(path, wanted.clone(), max));
        let read = tokio::task::spawn_blocking(read).await;
        read.unwrap_or_else(|stopped| Err(self.stopped(key).source(stopped)))
    }

    async fn read_each(&self, keys: &[String], bytes_max: u64) -> Vec<Result<Bytes, Error>> {
        let store = self.clone();
        let wanted = keys.to_vec();
        let bytes_of = |path: &Path, max| Ok(read_file(path, max)?.map(|(_, bytes)| Bytes::from(bytes)));
        let read = move || wanted.iter().map(|key| store.read(key, bytes_max, bytes_of)).collect();
        let read: Result<Vec<_>, _> = tokio::task::spawn_blocking(read).await;
        read.unwrap_or_else(|stopped| {
            let why = stopped.to_string();
            keys.iter().map(|key| Err(self.stopped(key).detail(&why))).collect()
        })
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        if range.end.saturating_sub(range.start) <= HERE_BYTES_MAX {
            let path = self.path("get", key)?;
            return read_range(&path, &range).map_err(|error| Error::io("get", self.location.object(key), error));
        }
        self.blocking("get", key, move |path, _| read_range(&path, &range)).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        self.blocking("head", key, |path, key| local_walk::meta(key, &file_metadata(&path)?)).await
    }

    async fn put(&self, key: &str, bytes: Bytes, options: &PutOptions) -> Result<(), Error> {
        self.put_content(key, Content::Bytes(bytes), options).await
    }

    async fn put_file(&self, key: &str, file: &Path, options: &PutOptions) -> Result<(), Error> {
        self.put_content(key, Content::File(file.to_owned()), options).await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.blocking("delete", key, |path, _| {
            if absent_is_fine(fs::symlink_metadata(&path))?.is_some_and(|found| found.is_dir()) {
                return Ok(()); // a folder is no object
            }
            absent_is_fine(fs::remove_file(&path))?;
            absent_is_fine(fs::remove_file(metadata_path(&path)?))?;
            sync_folder(folder_of(&path)?).or_else(|error| absent_is_fine::<()>(Err(error)).map(|_| ()))
        })
        .await
    }
}

fn read_range(path: &Path, range: &Range<u64>) -> io::Result<Bytes> {
    let file = File::open(path)?;
    let there = file.metadata()?.len().saturating_sub(range.start);
    let wanted = range.end.saturating_sub(range.start).min(there);
    let mut bytes = vec![0; usize::try_from(wanted).unwrap_or_default()];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(Bytes::from(bytes))
}

/// Metadata of a file; a folder is no object.
fn file_metadata(path: &Path) -> io::Result<fs::Metadata> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(metadata),
        Ok(_) => Err(io::ErrorKind::NotFound.into()),
        // Below a file there is nothing.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(io::ErrorKind::NotFound.into()),
        Err(error) => Err(error),
    }
}

/// The object, or `None` where it is larger than allowed.
fn read_object(path: &Path, key: String, bytes_max: u64) -> io::Result<Option<Object>> {
    let Some((metadata, bytes)) = read_file(path, bytes_max)? else { return Ok(None) };
    let meta = local_walk::meta(key, &metadata)?;
    Ok(Some(Object { meta, bytes: bytes.into(), metadata: read_metadata(path)? }))
}

/// The file, or `None` where it is larger than allowed.
fn read_file(path: &Path, bytes_max: u64) -> io::Result<Option<(fs::Metadata, Vec<u8>)>> {
    file_metadata(path)?;
    let file = File::open(path)?;
    // Of the opened file: another may have been renamed over the path meanwhile.
    let metadata = file.metadata()?;
    if metadata.len() > bytes_max {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= bytes_max).then_some((metadata, bytes)))
}

fn read_metadata(path: &Path) -> io::Result<BTreeMap<String, String>> {
    let Some(file) = absent_is_fine(File::open(metadata_path(path)?))? else { return Ok(BTreeMap::new()) };
    let mut text = Vec::new();
    file.take(METADATA_BYTES_MAX).read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(io::Error::from)
}

/// What an object is made of.
enum Content {
    Bytes(Bytes),
    File(PathBuf),
}

impl Content {
    fn write(&self, to: &mut File) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => to.write_all(bytes),
            Self::File(file) => io::copy(&mut File::open(file)?, to).map(drop),
        }
    }

    /// Whether the file that is there is this one.
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        match self {
            Self::Bytes(bytes) => Ok(read_file(path, bytes.len() as u64)?.is_some_and(|(_, there)| there == *bytes)),
            // Files are put without metadata, or over what is there.
            Self::File(_) => Ok(false),
        }
    }
}

fn write_object(
    path: &Path,
    content: &Content,
    metadata: &BTreeMap<String, String>,
    if_absent: bool,
) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let folder = folder_of(path)?;
    create_folder(folder)?;
    let beside = metadata_path(path)?;
    let place_metadata = || match metadata.is_empty() {
        true => Ok(()),
        false => {
            let metadata = Content::Bytes(serde_json::to_vec(metadata)?.into());
            fs::rename(write_unfinished(folder, &metadata)?, &beside)
        }
    };
    if if_absent && path.exists() {
        // A put of the same object that ended half-way: a digest without its signature would stay one for ever.
        if !metadata.is_empty() && !beside.exists() && content.is_at(path)? {
            place_metadata()?;
            sync_folder(folder)?;
        }
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let unfinished = write_unfinished(folder, content)?;
    if if_absent {
        // A link fails where the name is taken; a rename would replace it. Metadata waits until it is known who won.
        let linked = fs::hard_link(&unfinished, path);
        fs::remove_file(&unfinished)?;
        linked?;
        place_metadata()?;
    } else {
        place_metadata()
            .and_then(|()| fs::rename(&unfinished, path))
            .inspect_err(|_| drop(fs::remove_file(&unfinished)))?;
    }
    if metadata.is_empty() {
        absent_is_fine(fs::remove_file(beside))?;
    }
    sync_folder(folder)
}

/// Writes and syncs a file under a name of its own that no listing shows.
fn write_unfinished(folder: &Path, content: &Content) -> io::Result<PathBuf> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("{HIDDEN}put-{}-{number}", std::process::id()));
    let written = File::create(&path).and_then(|mut file| content.write(&mut file).and_then(|()| file.sync_all()));
    match written {
        Ok(()) => Ok(path),
        Err(error) => {
            drop(fs::remove_file(&path));
            Err(error)
        }
    }
}

fn folder_of(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::ErrorKind::InvalidFilename.into())
}

fn metadata_path(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut hidden = std::ffi::OsString::from(HIDDEN);
    hidden.push("meta-");
    hidden.push(name);
    Ok(path.with_file_name(hidden))
}

fn absent_is_fine<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
