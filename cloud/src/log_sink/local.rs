//! A folder as log sink: GROUP/STREAM/000000000001.ndjson and so on, one event a line, in the order in which they came.
//!
//! Owns: the files' names and lines, and how many are kept: a file that is full is closed and the next number begun, and
//! the oldest go. Events of any age are stored. Does not own: what becomes of a file that was closed; a log shipper reads
//! the folder with a pattern such as `*.ndjson`.
//!
//! On a crash in the middle of a put the last line can be cut off; the next put to that file removes it first. What was
//! acknowledged is synced.

use super::{LogEvent, LogSink, PutOutcome, check, subject};
use crate::durable::{create_folder, sync_folder};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const EXTENSION: &str = ".ndjson";

/// One line of a file.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    timestamp: i64,
    message: std::borrow::Cow<'a, str>,
}

/// How much of a stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes of a file; a put that would take it further begins the next one. One put is never split.
    pub file_bytes_max: u64,
    /// Files of a stream, the one that is written to included. At least 1.
    pub files_max: usize,
}

/// A folder that stands for CloudWatch Logs.
#[derive(Clone, Debug)]
pub struct LocalSink {
    root: PathBuf,
    rotation: Rotation,
    /// One put at a time: lines of two puts must not mix.
    writing: Arc<Mutex<()>>,
}

impl LocalSink {
    /// The sink in this folder. `ensure` creates it.
    pub fn new(root: impl Into<PathBuf>, rotation: Rotation) -> Self {
        Self { root: root.into(), rotation, writing: Arc::default() }
    }

    /// The folder of a stream.
    fn folder(&self, group: &str, stream: &str) -> PathBuf {
        self.root.join(file_name(group)).join(file_name(stream))
    }

    /// Runs file access off the async threads, one at a time.
    async fn blocking<T: Send + 'static>(
        &self,
        verb: &'static str,
        subject: String,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let writing = self.writing.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _one = writing.lock().unwrap_or_else(PoisonError::into_inner);
            work()
        });
        match done.await {
            Ok(result) => result.map_err(|error| Error::io(verb, subject, error)),
            Err(stopped) => Err(Error::new(ErrorKind::Other, verb, subject).source(stopped)),
        }
    }
}

#[async_trait]
impl LogSink for LocalSink {
    async fn ensure(&self, group: &str, stream: &str) -> Result<(), Error> {
        let folder = self.folder(group, stream);
        self.blocking("create", subject(group, stream), move || create_folder(&folder)).await
    }

    async fn put(&self, group: &str, stream: &str, events: &[LogEvent]) -> Result<PutOutcome, Error> {
        check(group, stream, events)?;
        let folder = self.folder(group, stream);
        let mut lines = Vec::new();
        for event in events {
            let line = Line { timestamp: event.timestamp_ms, message: event.message.as_str().into() };
            serde_json::to_writer(&mut lines, &line).expect("a number and a text are always JSON");
            lines.push(b'\n');
        }
        let rotation = self.rotation;
        let written = self.blocking("put to", subject(group, stream), move || append(&folder, rotation, &lines));
        match written.await {
            Ok(()) => Ok(PutOutcome::default()),
            Err(error) if *error.kind() == ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::ContainerMissing, "put to", subject(group, stream)).source(error))
            }
            Err(error) => Err(error),
        }
    }
}

fn append(folder: &Path, rotation: Rotation, lines: &[u8]) -> io::Result<()> {
    let numbers = numbers(folder)?;
    let newest = numbers.last().copied().unwrap_or(1);
    let mut file = open(folder, newest)?;
    let whole = whole_lines(&mut file)?;
    if whole < file.metadata()?.len() {
        file.set_len(whole)?;
    }
    let is_full = whole > 0 && whole + lines.len() as u64 > rotation.file_bytes_max;
    if is_full {
        // Before the new one is there: if they can't go, nothing was written that a repetition would write again.
        remove_oldest(folder, &numbers, rotation.files_max)?;
        file = open(folder, newest + 1)?;
    }
    file.write_all(lines)?;
    file.sync_data()?;
    if is_full || numbers.is_empty() {
        sync_folder(folder)?;
    }
    Ok(())
}

fn open(folder: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(folder.join(numbered(number)))
}

/// Makes room for one more file.
fn remove_oldest(folder: &Path, numbers: &[u64], files_max: usize) -> io::Result<()> {
    let surplus = (numbers.len() + 1).saturating_sub(files_max.max(1));
    for number in numbers.iter().take(surplus) {
        let path = folder.join(numbered(*number));
        fs::remove_file(&path)?;
        tracing::info!(file.path = %path.display(), "the oldest log file of a full stream is removed");
    }
    Ok(())
}

/// As many digits as no stream outlives, so that names sort.
fn numbered(number: u64) -> String {
    format!("{number:012}{EXTENSION}")
}

/// The numbers of a stream's files, ascending. Other files are left alone.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(EXTENSION)) else { continue };
        numbers.extend(stem.parse::<u64>().ok().filter(|number| *numbered(*number) == *name));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The length up to the end of the last whole line.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// A name as file name: slashes, and what else a file system may refuse, as percent escapes.
fn file_name(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"_-".contains(&byte) || (byte == b'.' && index > 0);
        if plain {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
    }
    safe
}

/// What tests read back.
#[cfg(any(test, feature = "fake"))]
impl LocalSink {
    /// The events of a stream that are still kept, in the order in which they came.
    pub fn events(&self, group: &str, stream: &str) -> io::Result<Vec<LogEvent>> {
        let folder = self.folder(group, stream);
        let mut events = Vec::new();
        for number in numbers(&folder)? {
            for line in fs::read_to_string(folder.join(numbered(number)))?.lines() {
                let Line { timestamp, message } = serde_json::from_str(line)?;
                events.push(LogEvent { timestamp_ms: timestamp, message: message.into_owned() });
            }
        }
        Ok(events)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ROTATION: Rotation = Rotation { file_bytes_max: 200, files_max: 3 };

    fn event(message: &str) -> LogEvent {
        LogEvent { timestamp_ms: 1_700_000_000_000, message: message.into() }
    }

    #[test]
    fn names_become_single_plain_file_names() {
        assert_eq!(file_name("aws/trail"), "aws%2Ftrail");
        assert_eq!(file_name(".."), "%2E.");
        assert_ne!(file_name("a%2Fb"), file_name("a/b"));
    }

    #[tokio::test]
    async fn a_line_cut_off_by_a_crash_is_removed_by_the_next_put() {
        let dir = tempfile::tempdir().unwrap();
        let sink = LocalSink::new(dir.path(), ROTATION);
        sink.ensure("g", "s").await.unwrap();
        sink.put("g", "s", &[event("one")]).await.unwrap();
        let file = dir.path().join("g/s/000000000001.ndjson");
        OpenOptions::new().append(true).open(&file).unwrap().write_all(b"{\"timestamp\":17").unwrap();
        sink.put("g", "s", &[event("two")]).await.unwrap();
        assert_eq!(sink.events("g", "s").unwrap(), [event("one"), event("two")]);
    }

    #[tokio::test]
    async fn full_files_are_closed_and_only_the_newest_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let sink = LocalSink::new(dir.path(), ROTATION);
        sink.ensure("g", "s").await.unwrap();
        fs::write(dir.path().join("g/s/notes.txt"), "an operator's").unwrap();
        let mut puts = Vec::new();
        for n in 0..10 {
            let put = [event(&format!("{n} {}", "x".repeat(60))), event("short")];
            sink.put("g", "s", &put).await.unwrap();
            puts.extend(put);
        }
        let folder = dir.path().join("g/s");
        assert_eq!(numbers(&folder).unwrap(), [8, 9, 10]);
        for number in [8, 9, 10] {
            assert!(fs::metadata(folder.join(numbered(number))).unwrap().len() <= ROTATION.file_bytes_max);
        }
        assert_eq!(sink.events("g", "s").unwrap(), puts[14..]);
        assert!(folder.join("notes.txt").exists());
    }

    #[tokio::test]
    async fn a_new_start_goes_on_in_the_newest_file_and_a_put_larger_than_a_file_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let large = [event(&"y".repeat(300)), event("z")];
        for batch in [&[event("a")][..], &[event("b")], &large] {
            let sink = LocalSink::new(dir.path(), ROTATION);
            sink.ensure("g", "s").await.unwrap();
            sink.put("g", "s", batch).await.unwrap();
        }
        assert_eq!(numbers(&dir.path().join("g/s")).unwrap(), [1, 2]);
        let sink = LocalSink::new(dir.path(), Rotation { files_max: 1, ..ROTATION });
        sink.put("g", "s", &[event("c")]).await.unwrap();
        assert_eq!(sink.events("g", "s").unwrap(), [event("c")]);
    }
}
