//! The lists of public keys that aggregators keep, read again when they change.
//!
//! Owns the files' content in memory: one list for each file that a trail names. A file that can't be read degrades health
//! and leaves what was read before; nothing is kept over a restart.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use orgtrail_event::digest::PublicKeys;
use orgtrail_service::health::Health;
use tokio_util::sync::CancellationToken;

/// A key takes about 500 bytes, so this is years of keys. Anything larger is another file.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// How often the files are looked at when nobody asks, so that health is up to date.
const INTERVAL: Duration = Duration::from_secs(10);

/// The public keys of all trails; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct KeyFiles {
    files: Arc<[KeyFile]>,
    health: Health,
}

#[derive(Debug)]
struct KeyFile {
    path: PathBuf,
    /// Its part of health.
    part: String,
    known: Mutex<Known>,
}

/// What was last read.
#[derive(Debug, Default)]
struct Known {
    version: Option<(SystemTime, u64)>,
    keys: Option<PublicKeys>,
}

impl KeyFiles {
    /// Nothing is read yet.
    pub(crate) fn new(paths: impl IntoIterator<Item = PathBuf>, health: Health) -> Self {
        let mut files: Vec<KeyFile> = Vec::new();
        for path in paths {
            if !files.iter().any(|file| file.path == path) {
                files.push(KeyFile { part: format!("public keys {}", path.display()), path, known: Mutex::default() });
            }
        }
        Self { files: files.into(), health }
    }

    /// All keys as the files have them now. Blocks on the disk.
    ///
    /// # Errors
    /// A file can't be read and never could. One that isn't there holds no keys: an aggregator makes it with its first.
    pub(crate) fn read(&self) -> Result<PublicKeys, String> {
        let mut all = PublicKeys::new();
        for file in self.files.iter() {
            for key in self.read_file(file)?.iter() {
                all.add(key.clone());
            }
        }
        Ok(all)
    }

    fn read_file(&self, file: &KeyFile) -> Result<PublicKeys, String> {
        let mut known = file.known.lock().unwrap_or_else(PoisonError::into_inner);
        match refresh(file, &mut known) {
            Ok(()) => self.health.set_ok(&file.part),
            Err(problem) => {
                self.health.set_degraded(&file.part, problem.to_string());
                if known.keys.is_none() && !matches!(problem, Problem::Absent) {
                    return Err(format!("{}: {problem}", file.path.display()));
                }
            }
        }
        Ok(known.keys.clone().unwrap_or_default())
    }

    /// Keeps health up to date until cancelled. A task for [`orgtrail_service::tasks::Tasks::spawn`].
    pub(crate) async fn run(self, cancel: CancellationToken) -> anyhow::Result<()> {
        loop {
            let files = self.clone();
            // What can't be read stands in health, and is said to whoever asks.
            drop(tokio::task::spawn_blocking(move || files.read()).await?);
            // Cancel-safe: neither arm holds anything.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }
}

/// Why a file gave no keys.
#[derive(Debug)]
enum Problem {
    Absent,
    Other(String),
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("is not there: the aggregator writes it with its first signing key"),
            Self::Other(problem) => f.write_str(problem),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Absent,
            _ => Self::Other(format!("cannot be read: {error}")),
        }
    }
}

/// Reads the file if it is another one than before: the aggregator replaces it whole.
fn refresh(file: &KeyFile, known: &mut Known) -> Result<(), Problem> {
    let meta = fs::metadata(&file.path)?;
    let version = (meta.modified()?, meta.len());
    if known.version == Some(version) {
        return Ok(());
    }
    if meta.len() > FILE_BYTES_MAX {
        return Err(Problem::Other(format!("is larger than {FILE_BYTES_MAX} bytes, so it is no list of public keys")));
    }
    let json = fs::read(&file.path)?;
    let keys = PublicKeys::from_json(&json).map_err(|error| Problem::Other(error.to_string()))?;
    tracing::info!(file.path = %file.path.display(), keys.count = keys.iter().count(), "public keys read");
    *known = Known { version: Some(version), keys: Some(keys) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use orgtrail_service::clock::Manual;

    use super::*;

    const ONE: &str =
        r#"{"PublicKeyList":[{"Value":"AAAA","ValidityStartTime":0,"ValidityEndTime":10,"Fingerprint":"f1"}]}"#;

    fn fingerprints(files: &KeyFiles) -> Result<Vec<String>, String> {
        files.read().map(|keys| keys.iter().map(|key| key.fingerprint.clone()).collect())
    }

    #[test]
    fn a_file_is_read_again_when_it_changes_and_its_loss_loses_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("public-keys.json");
        let health = Health::new(Manual::new(Timestamp::UNIX_EPOCH));
        let files = KeyFiles::new([path.clone(), path.clone()], health.clone());
        assert_eq!(fingerprints(&files), Ok(Vec::new()));
        assert!(health.report().degraded[0].reason.contains("is not there"));

        fs::write(&path, ONE).unwrap();
        assert_eq!(fingerprints(&files), Ok(vec!["f1".to_owned()]));
        assert!(health.report().ready);

        let two = ONE.replace("}]}", r#"},{"Value":"AAAB","Fingerprint":"f2"}]}"#);
        fs::write(&path, two).unwrap();
        assert_eq!(fingerprints(&files), Ok(vec!["f1".to_owned(), "f2".to_owned()]));

        fs::write(&path, "{").unwrap();
        assert_eq!(fingerprints(&files).unwrap().len(), 2);
        assert!(!health.report().ready);
        fs::remove_file(&path).unwrap();
        assert_eq!(fingerprints(&files).unwrap().len(), 2);
    }

    #[test]
    fn a_file_that_never_could_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("public-keys.json");
        fs::write(&path, "[]").unwrap();
        let files = KeyFiles::new([path.clone()], Health::new(Manual::new(Timestamp::UNIX_EPOCH)));
        let problem = files.read().unwrap_err();
        assert!(problem.contains("public-keys.json: read public keys"), "{problem}");
        fs::write(&path, vec![b' '; usize::try_from(FILE_BYTES_MAX).unwrap() + 1]).unwrap();
        assert!(files.read().unwrap_err().contains("no list of public keys"));
    }

    #[test]
    fn the_lists_of_several_files_are_one() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["a.json", "b.json"].map(|name| dir.path().join(name));
        fs::write(&paths[0], ONE).unwrap();
        fs::write(&paths[1], ONE.replace("f1", "f2")).unwrap();
        let files = KeyFiles::new(paths, Health::new(Manual::new(Timestamp::UNIX_EPOCH)));
        assert_eq!(fingerprints(&files).unwrap(), ["f1", "f2"]);
    }
}
