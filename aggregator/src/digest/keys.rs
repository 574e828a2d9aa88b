//! `public-keys.json` in the state folder: every key that ever signed, as `aws cloudtrail list-public-keys` prints it.
//!
//! Auditors, `validate-logs` and the console read it. Losing it loses nothing that can't be had again: the signing key gives
//! its public half away.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use orgtrail_event::digest::{ListedKey, PublicKey, PublicKeys};
use orgtrail_service::durable;

/// The file's name.
pub const PUBLIC_KEYS_FILE: &str = "public-keys.json";

/// Until when a key is listed that has not been replaced.
pub const NO_END: &str = "2099-12-31T23:59:59Z";

/// The list of a state folder.
#[derive(Debug)]
pub(crate) struct KeyList {
    path: PathBuf,
    /// Those of all trails.
    in_use: Mutex<Vec<PublicKey>>,
    /// A key also signs the hours before its first use that are made up for.
    catch_up_max: Duration,
}

impl KeyList {
    pub(crate) fn new(state_dir: &Path, catch_up_max: Duration) -> Self {
        Self { path: state_dir.join(PUBLIC_KEYS_FILE), in_use: Mutex::default(), catch_up_max }
    }

    /// Lists a key that signs from now on; those that no trail uses end an hour from now. Durable when this returns.
    pub(crate) fn uses(&self, key: &PublicKey, now: Timestamp) -> anyhow::Result<()> {
        let mut keys = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.contains(key) {
            keys.push(key.clone());
        }
        let before = match std::fs::read(&self.path) {
            Ok(json) => PublicKeys::from_json(&json).with_context(|| {
                format!("read {}; move it away and start again: the keys in use are listed anew", self.path.display())
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => PublicKeys::new(),
            Err(error) => return Err(error).with_context(|| format!("read {}", self.path.display())),
        };
        let no_end: Timestamp = NO_END.parse().expect("a time");
        let mut list = PublicKeys::new();
        for listed in before.iter() {
            let mut listed = listed.clone();
            let is_used = keys.iter().any(|key| key.fingerprint() == listed.fingerprint);
            let end = if is_used { no_end } else { now + SignedDuration::from_hours(1) };
            listed.validity_end = if is_used { end } else { listed.validity_end.min(end) };
            list.add(listed);
        }
        // Whatever is validated, the first keys may have signed it.
        let start = if before.is_empty() { Timestamp::UNIX_EPOCH } else { self.earliest(now) };
        for key in keys.iter().filter(|key| before.get(key.fingerprint()).is_none()) {
            list.add(ListedKey::new(key.clone(), start, no_end));
        }
        if list != before {
            durable::write(&self.path, list.to_json().as_bytes())
                .with_context(|| format!("write {}", self.path.display()))?;
        }
        Ok(())
    }

    /// Every key that ever signed, as of the last time that one was listed.
    pub(crate) fn read(&self) -> anyhow::Result<PublicKeys> {
        let json = std::fs::read(&self.path).with_context(|| format!("read {}", self.path.display()))?;
        PublicKeys::from_json(&json).with_context(|| format!("read {}", self.path.display()))
    }

    fn earliest(&self, now: Timestamp) -> Timestamp {
        let span = SignedDuration::try_from(self.catch_up_max).unwrap_or(SignedDuration::from_hours(24 * 90));
        now - span - SignedDuration::from_hours(24)
    }
}
