//! A folder as log sink: GROUP/STREAM/YYYY-MM-DD.ndjson, one event a line, a file for each UTC day of the events.
//!
//! Owns: the files' names and lines. Does not own: their removal; old days are whole files, so any clean-up by age works.
//! Events of any age are stored.
//!
//! On a crash in the middle of a put the last line can be cut off; the next put to that file removes it first. What was
//! acknowledged is synced.

use super::{LogEvent, LogSink, PutOutcome, check, subject};
use crate::durable::{create_folder, sync_folder};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
#[cfg(any(test, feature = "fake"))]
use std::fs;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// One line of a file.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    timestamp: i64,
    message: std::borrow::Cow<'a, str>,
}

/// A folder that stands for CloudWatch Logs.
#[derive(Clone, Debug)]
pub struct LocalSink {
    root: PathBuf,
    /// One put at a time: lines of two puts must not mix.
    writing: Arc<Mutex<()>>,
}

impl LocalSink {
    /// The sink in this folder. `ensure` creates it.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), writing: Arc::default() }
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
        let mut days: Vec<(String, Vec<u8>)> = Vec::new();
        for event in events {
            let day = day_of(event.timestamp_ms);
            if days.last().is_none_or(|(last, _)| *last != day) {
                days.push((day, Vec::new()));
            }
            if let Some((_, lines)) = days.last_mut() {
                let line = Line { timestamp: event.timestamp_ms, message: event.message.as_str().into() };
                serde_json::to_writer(&mut *lines, &line).expect("a number and a text are always JSON");
                lines.push(b'\n');
            }
        }
        let written = self.blocking("put to", subject(group, stream), move || {
            days.iter().try_for_each(|(day, lines)| append(&folder, &format!("{day}.ndjson"), lines))
        });
        match written.await {
            Ok(()) => Ok(PutOutcome::default()),
            Err(error) if *error.kind() == ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::ContainerMissing, "put to", subject(group, stream)).source(error))
            }
            Err(error) => Err(error),
        }
    }
}

fn append(folder: &Path, name: &str, lines: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    let is_new = !path.exists();
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
    let whole = whole_lines(&mut file)?;
    if whole < file.metadata()?.len() {
        file.set_len(whole)?;
    }
    file.write_all(lines)?;
    file.sync_data()?;
    if is_new {
        sync_folder(folder)?;
    }
    Ok(())
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

/// The UTC day, `undated` outside the calendar.
fn day_of(timestamp_ms: i64) -> String {
    let day = Timestamp::from_millisecond(timestamp_ms).map(|at| at.to_zoned(TimeZone::UTC).date().to_string());
    day.unwrap_or_else(|_| "undated".to_owned())
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
    /// The events of a stream, oldest day first.
    pub fn events(&self, group: &str, stream: &str) -> io::Result<Vec<LogEvent>> {
        let mut files: Vec<_> =
            fs::read_dir(self.folder(group, stream))?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
        files.sort();
        let mut events = Vec::new();
        for path in files {
            for line in fs::read_to_string(path)?.lines() {
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

    #[test]
    fn names_become_single_plain_file_names() {
        assert_eq!(file_name("aws/trail"), "aws%2Ftrail");
        assert_eq!(file_name(".."), "%2E.");
        assert_ne!(file_name("a%2Fb"), file_name("a/b"));
    }

    #[tokio::test]
    async fn a_line_cut_off_by_a_crash_is_removed_by_the_next_put() {
        let dir = tempfile::tempdir().unwrap();
        let sink = LocalSink::new(dir.path());
        let event = |message: &str| LogEvent { timestamp_ms: 1_700_000_000_000, message: message.into() };
        sink.ensure("g", "s").await.unwrap();
        sink.put("g", "s", &[event("one")]).await.unwrap();
        let file = dir.path().join("g/s/2023-11-14.ndjson");
        OpenOptions::new().append(true).open(&file).unwrap().write_all(b"{\"timestamp\":17").unwrap();
        sink.put("g", "s", &[event("two")]).await.unwrap();
        assert_eq!(sink.events("g", "s").unwrap(), [event("one"), event("two")]);
    }
}
