//! A file as topic, where there is no SNS: one message a line, the newest last, for whoever follows it.
//!
//! Owns: the file, and how much of it is kept: a full file is renamed to `NAME.1`, which replaces the one before, and a
//! new one is begun. Does not own: who reads it. Messages are not synced: what they tell stands in the bucket too.
//!
//! A line that a full disk or a crash cut off is ended by the next message, and so damages no other.

use super::{Topic, check, subject};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes of a file. A message that would take it further begins the next one.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A file that stands for a topic.
#[derive(Clone, Debug)]
pub struct LocalTopic {
    path: PathBuf,
    file_bytes_max: u64,
    /// One message at a time: two must not share a line.
    writing: Arc<Mutex<()>>,
}

impl LocalTopic {
    /// The topic in this file. The first message creates it; its folder must be there. `Invalid` where the path is not
    /// absolute.
    pub fn new(path: &Path) -> Result<Self, Error> {
        if !path.is_absolute() || path.file_name().is_none() {
            let id = format!("file://{}", path.display());
            return Err(Error::new(ErrorKind::Invalid, "open", subject(&id))
                .detail("write file:///absolute/path.ndjson, with three slashes"));
        }
        Ok(Self { path: path.to_owned(), file_bytes_max: FILE_BYTES_MAX, writing: Arc::default() })
    }

    fn id(&self) -> String {
        format!("file://{}", self.path.display())
    }
}

#[async_trait]
impl Topic for LocalTopic {
    async fn publish(&self, message: &str) -> Result<(), Error> {
        let id = self.id();
        check(&id, message)?;
        let (topic, line) = (self.clone(), format!("{message}\n"));
        let written = tokio::task::spawn_blocking(move || {
            let _one = topic.writing.lock().unwrap_or_else(PoisonError::into_inner);
            append(&topic.path, topic.file_bytes_max, line.as_bytes())
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            // Only the folder can be absent: somebody can still create it.
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::io("publish to", subject(&id), error).with_kind(ErrorKind::ContainerMissing))
            }
            Ok(Err(error)) => Err(Error::io("publish to", subject(&id), error)),
            Err(stopped) => Err(Error::new(ErrorKind::Other, "publish to", subject(&id)).source(stopped)),
        }
    }
}

fn append(path: &Path, file_bytes_max: u64, line: &[u8]) -> io::Result<()> {
    let open = || OpenOptions::new().read(true).append(true).create(true).open(path);
    let mut file = open()?;
    let length = file.metadata()?.len();
    if length > 0 && length + line.len() as u64 > file_bytes_max {
        let mut full = path.as_os_str().to_owned();
        full.push(".1");
        fs::rename(path, full)?;
        file = open()?;
    } else if length > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    file.write_all(line)
}

/// What tests read back.
#[cfg(any(test, feature = "fake"))]
impl LocalTopic {
    /// The messages in the newest file, oldest first.
    pub fn messages(&self) -> io::Result<Vec<String>> {
        Ok(fs::read_to_string(&self.path)?.lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_file_is_put_aside_once_and_a_new_one_begun() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.ndjson");
        let topic = LocalTopic { file_bytes_max: 8, ..LocalTopic::new(&path).unwrap() };
        for message in ["one", "two", "six", "ten", "larger than a file"] {
            topic.publish(message).await.unwrap();
        }
        assert_eq!(topic.messages().unwrap(), ["larger than a file"]);
        assert_eq!(fs::read_to_string(dir.path().join("t.ndjson.1")).unwrap(), "six\nten\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[tokio::test]
    async fn a_line_that_was_cut_off_damages_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.ndjson");
        let topic = LocalTopic::new(&path).unwrap();
        fs::write(&path, "one\ntw").unwrap();
        topic.publish("three").await.unwrap();
        assert_eq!(topic.messages().unwrap(), ["one", "tw", "three"]);
    }

    #[tokio::test]
    async fn an_absent_folder_is_missing_until_somebody_makes_it() {
        let dir = tempfile::tempdir().unwrap();
        let topic = LocalTopic::new(&dir.path().join("folder/t.ndjson")).unwrap();
        let error = topic.publish("x").await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::ContainerMissing, "{error}");
        fs::create_dir(dir.path().join("folder")).unwrap();
        topic.publish("x").await.unwrap();
    }
}
