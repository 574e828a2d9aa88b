//! Opens the seal of a state folder, and asks the key service again and again whether its key may still be used.
//!
//! Owns: what an answer of the key service means. Refused (disabled, deleted, denied): nothing is taken or delivered until it
//! is allowed again; agents hold what they have. Not reached or throttled: the process goes on for [`OUTAGE_MAX`].
//! Cancellation: between two questions.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use orgtrail_cloud::key_service::{EncryptionContext, KeyService, Plaintext};
use orgtrail_cloud::{Connection, ErrorKind};
use orgtrail_service::clock::Clock;
use orgtrail_service::health::Health;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::outside::Outside;

use super::stored::{Stored, StoredKey};
use super::{DataKey, Error, KEYS_MAX, Ring, Seal, USES_MAX, reseal};

/// How long after the last good answer the data keys are used while the key service can't be reached.
const OUTAGE_MAX: Duration = Duration::from_secs(3600);

/// How soon a question is repeated that had no good answer.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Data keys that are asked for at once at the start.
const CONCURRENCY: usize = 16;

/// The part of health that a refused key degrades.
const PART: &str = "seal";

/// Longest text of trails in the encryption context. KMS bounds the whole of it.
const TRAILS_TEXT_MAX: usize = 2048;

/// What the seal is opened with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `seal.key_id`.
    pub(crate) key_id: String,
    /// `seal.rotate_after`.
    pub(crate) rotate_after: Duration,
    /// `seal.recheck`.
    pub(crate) recheck: Duration,
    /// How long after the last good answer the data keys are used while the key service can't be asked.
    pub(crate) outage_max: Duration,
    /// Values that one data key seals at the most.
    pub(crate) uses_max: u64,
    /// How the key service is reached.
    pub(crate) connection: Connection,
    /// Names of the trails, for the encryption context.
    pub(crate) trails: Vec<String>,
}

impl Settings {
    /// What the configuration says. None: without `[seal]`.
    pub(crate) fn of(config: &crate::Config) -> Option<Self> {
        config.seal.as_ref().map(|seal| Self {
            key_id: seal.key_id.clone(),
            rotate_after: seal.rotate_after,
            recheck: seal.recheck,
            outage_max: OUTAGE_MAX,
            uses_max: USES_MAX,
            connection: seal.connection.clone(),
            trails: trail_names(config),
        })
    }
}

/// Where data keys come from.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) service: Arc<dyn KeyService>,
    pub(super) key_id: String,
    connection: Connection,
    outside: Arc<dyn Outside>,
}

impl Source {
    pub(super) async fn open(
        outside: &Arc<dyn Outside>,
        key_id: &str,
        connection: &Connection,
        dir: &Path,
    ) -> Result<Self, Error> {
        let opened = outside.open_key_service(key_id, connection).await;
        let service = opened.map_err(asking("open the key", dir))?;
        Ok(Self { service, key_id: key_id.to_owned(), connection: connection.clone(), outside: Arc::clone(outside) })
    }

    #[cfg(test)]
    pub(super) fn fake(service: orgtrail_cloud::key_service::FakeKeyService, key_id: &str) -> Self {
        Self {
            service: Arc::new(service),
            key_id: key_id.to_owned(),
            connection: Connection::default(),
            outside: crate::outside::world(),
        }
    }

    /// A data key that nobody has had yet, with its place in `seal.json`.
    pub(super) async fn draw(
        &self,
        id: u32,
        context: EncryptionContext,
        clock: &dyn Clock,
        dir: &Path,
    ) -> Result<(DataKey, StoredKey), Error> {
        let drawn = self.service.generate_data_key(&self.key_id, &context).await;
        let drawn = drawn.map_err(asking("make a data key", dir))?;
        let listed = StoredKey { id, created_at: clock.now(), context, ciphertext: drawn.ciphertext };
        Ok((DataKey::new(id, &drawn.plaintext)?, listed))
    }

    /// All data keys of `seal.json`, readable.
    pub(super) async fn open_all(&self, stored: &Stored, dir: &Path) -> Result<BTreeMap<u32, Arc<DataKey>>, Error> {
        let keys = stored.data_keys.iter().cloned().map(|key| async move {
            let plaintext = self.service.decrypt(&key.ciphertext, &key.context).await;
            let plaintext = plaintext.map_err(asking("open a data key", dir))?;
            Ok::<_, Error>((key.id, Arc::new(DataKey::new(key.id, &plaintext)?)))
        });
        stream::iter(keys).buffer_unordered(CONCURRENCY).try_collect().await
    }

    /// Whether the key may still be used. A key file is read again each time: taking it away counts as an answer.
    async fn ask(&self, key: &StoredKey) -> Result<Plaintext, orgtrail_cloud::Error> {
        if self.key_id.starts_with("file://") {
            let again = self.outside.open_key_service(&self.key_id, &self.connection).await?;
            return again.decrypt(&key.ciphertext, &key.context).await;
        }
        self.service.decrypt(&key.ciphertext, &key.context).await
    }
}

fn asking(action: &'static str, dir: &Path) -> impl FnOnce(orgtrail_cloud::Error) -> Error {
    let dir = dir.to_owned();
    move |source| Error::KeyService { action, dir, source }
}

fn trail_names(config: &crate::Config) -> Vec<String> {
    config.trails.iter().map(|trail| trail.name.clone()).collect()
}

/// What the data keys of an aggregator with this configuration are bound to, for whoever wants to try its key.
pub fn encryption_context(config: &crate::Config) -> EncryptionContext {
    context(&config.state_dir, &trail_names(config))
}

/// What new data keys are bound to: stable texts that the key's policy and its trail of uses can name.
pub(super) fn context(dir: &Path, trails: &[String]) -> EncryptionContext {
    let mut names: Vec<&str> = trails.iter().map(String::as_str).collect();
    names.sort_unstable();
    let mut text = String::new();
    for name in names {
        if text.len() + name.len() > TRAILS_TEXT_MAX {
            break;
        }
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
    }
    let dir = dir.to_string_lossy().into_owned();
    EncryptionContext::from([("orgtrail:state-dir".to_owned(), dir), ("orgtrail:trails".to_owned(), text)])
}

impl Seal {
    /// Opens the seal of a state folder whose lock is held, before anything is read from it or written to it. Run the
    /// keeper that is returned. Fails while the key can't be used: nothing is lost, start again.
    pub(crate) async fn open(
        outside: &Arc<dyn Outside>,
        config: &crate::Config,
        dir: &Path,
        health: &Health,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Self, Option<Keeper>), Error> {
        reseal::clear_unfinished(dir)?;
        let settings = Settings::of(config);
        let stored = Stored::load(dir)?;
        compare(settings.as_ref().map(|settings| settings.key_id.as_str()), stored.as_ref(), dir)?;
        let Some(settings) = settings else { return Ok((Self::off(), None)) };
        let source = Source::open(outside, &settings.key_id, &settings.connection, dir).await?;
        Self::open_with(source, settings, stored, dir, health, clock).await
    }

    async fn open_with(
        source: Source,
        settings: Settings,
        stored: Option<Stored>,
        dir: &Path,
        health: &Health,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Self, Option<Keeper>), Error> {
        let stored = stored.unwrap_or_else(|| Stored::new(&settings.key_id));
        let mut keys = source.open_all(&stored, dir).await?;
        let (data_key, listed) = source.draw(stored.next_id(), context(dir, &settings.trails), &**clock, dir).await?;
        let mut stored = stored;
        stored.add(listed);
        stored.save(dir)?;
        keys.insert(data_key.id, Arc::new(data_key));
        let ring = Arc::new(Ring { uses_max: settings.uses_max, ..Ring::new(dir, stored, keys)? });
        let now = Instant::now();
        let keeper = Keeper {
            ring: Arc::clone(&ring),
            source,
            settings,
            health: health.clone(),
            clock: Arc::clone(clock),
            confirmed: now,
            drawn: now,
        };
        Ok((Self(Some(ring)), Some(keeper)))
    }
}

/// Another key, sealing turned on or turned off: the state has to be written anew first.
fn compare(configured: Option<&str>, stored: Option<&Stored>, dir: &Path) -> Result<(), Error> {
    let stored = stored.map(|stored| stored.key_id.as_str());
    let what = match (configured, stored) {
        (None, Some(key)) => format!("is sealed under {key} and the configuration has no [seal]: put it back"),
        (Some(new), Some(old)) if new != old => {
            format!("is sealed under {old} and the configuration's seal.key_id is {new}: put the old one back")
        }
        (Some(new), None) if reseal::holds_state(dir) => {
            format!("is not sealed and the configuration's seal.key_id is {new}: remove [seal]")
        }
        _ => return Ok(()),
    };
    Err(Error::Mismatch(format!(
        "the state in {} {what}, or have it written anew with `orgtrail state reseal --config DIR`",
        dir.display()
    )))
}

/// See the module's description.
pub(crate) struct Keeper {
    ring: Arc<Ring>,
    source: Source,
    settings: Settings,
    health: Health,
    clock: Arc<dyn Clock>,
    /// When the key service last said that the key may be used.
    confirmed: Instant,
    /// When the current data key was made.
    drawn: Instant,
}

impl Keeper {
    /// Runs until cancelled. An error means that `seal.json` can't be written: the process must stop.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> Result<(), Error> {
        let mut fine = true;
        loop {
            let wait = if fine { self.settings.recheck } else { self.settings.recheck.min(ASK_AGAIN) };
            // Cancel-safe: nothing is taken out of anything.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
                // Every value that is sealed asks for it: after a failure, time alone decides.
                () = self.ring.rotate.notified(), if fine => {}
            }
            fine = self.turn().await?;
        }
    }

    /// Asks, replaces the data key when it is time, and tells everybody. Whether all was well.
    async fn turn(&mut self) -> Result<bool, Error> {
        let asked = self.source.ask(&self.ring.current_stored()).await;
        let mut outcome = asked.map(drop).map_err(|error| (is_refusal(error.kind()), error.to_string()));
        if outcome.is_ok() {
            self.confirmed = Instant::now();
            if self.rotation_due() {
                outcome = self.rotate().await?;
            }
        }
        match outcome {
            Ok(()) => {
                self.ring.refused.send_if_modified(|refused| refused.take().is_some());
                self.health.set_ok(PART);
                Ok(true)
            }
            Err((refused, why)) => {
                self.not_confirmed(refused, &why);
                Ok(false)
            }
        }
    }

    fn not_confirmed(&self, refused: bool, why: &str) {
        let key = &self.settings.key_id;
        let silent = self.confirmed.elapsed() >= self.settings.recheck + self.settings.outage_max;
        let used_up = self.uses() >= self.ring.uses_max;
        if !(refused || silent || used_up || self.ring.refused.borrow().is_some()) {
            tracing::warn!(seal.key = key, error = why, "the key service can't be asked; going on for now");
            let left = self.settings.outage_max.as_secs() / 60;
            let reason = format!(
                "the key service can't be asked about key {key}: {why}; going on with the data keys at hand, for {left} min at \
                 most since its last answer"
            );
            self.health.set_degraded(PART, reason);
            return;
        }
        let reason = format!(
            "nothing is taken or delivered, agents hold what they have: key {key} may not be used: {why}; enable the key or \
             give the permissions back, and it goes on by itself"
        );
        self.health.set_degraded(PART, reason.clone());
        self.ring.refused.send_replace(Some(reason));
    }

    fn uses(&self) -> u64 {
        self.ring.current().uses.load(Ordering::Relaxed)
    }

    /// Ahead of need: at nine tenths of the time, or half of the uses.
    fn rotation_due(&self) -> bool {
        self.drawn.elapsed() >= self.settings.rotate_after.mul_f64(0.9) || self.uses() >= self.ring.uses_max / 2
    }

    async fn rotate(&mut self) -> Result<Result<(), (bool, String)>, Error> {
        let (id, count) = {
            let stored = self.ring.lock_stored();
            (stored.next_id(), stored.data_keys.len())
        };
        if count >= KEYS_MAX && self.uses() < self.ring.uses_max / 2 {
            tracing::warn!(
                "{KEYS_MAX} data keys are listed: restart the aggregator, which drops those that nothing needs"
            );
            return Ok(Ok(()));
        }
        let context = context(&self.ring.dir, &self.settings.trails);
        let (data_key, listed) = match self.source.draw(id, context, &*self.clock, &self.ring.dir).await {
            Ok(drawn) => drawn,
            Err(Error::KeyService { source, .. }) => {
                // The current data key is still good for a while: only the bounds on its use make this a refusal.
                let overdue = self.drawn.elapsed() >= self.settings.rotate_after + self.settings.outage_max;
                return Ok(Err((overdue, source.to_string())));
            }
            Err(error) => return Err(error),
        };
        let ring = Arc::clone(&self.ring);
        let installed = tokio::task::spawn_blocking(move || ring.install(data_key, listed)).await;
        installed.map_err(|panic| Error::Stopped(panic.to_string()))??;
        self.drawn = Instant::now();
        tracing::info!(seal.key = self.settings.key_id, seal.data_key = id, "a new data key is in use");
        Ok(Ok(()))
    }
}

/// Whether an answer says that the key may not be used, rather than that the key service couldn't be asked.
fn is_refusal(kind: &ErrorKind) -> bool {
    match kind {
        ErrorKind::Denied
        | ErrorKind::ContainerMissing
        | ErrorKind::NotFound
        | ErrorKind::Malformed
        | ErrorKind::Invalid
        | ErrorKind::WrongRegion { .. } => true,
        ErrorKind::ExpiredCredentials
        | ErrorKind::Throttled
        | ErrorKind::Unavailable
        | ErrorKind::AlreadyExists
        | ErrorKind::TooLarge { .. }
        | ErrorKind::Other => false,
    }
}

#[cfg(test)]
mod tests;
