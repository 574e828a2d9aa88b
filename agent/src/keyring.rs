//! The public keys that a source's digests are verified with.
//!
//! Owns where they are got (`digest_keys`), what is remembered of them, and how often is asked: a key that is not there is
//! asked for again after a pause, and what cannot be asked is not asked by every digest that waits for it. Keeps nothing on
//! disk. Does not own the verification (`fetch`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use orgtrail_cloud::Connection;
use orgtrail_cloud::public_keys::{CloudTrailKeys, PublicKeySource};
use orgtrail_event::digest::{ListedKey, PublicKeys};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::DigestKeys;

/// A document of keys is some hundred bytes a key.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Keys remembered of a region. CloudTrail's live for weeks.
const KEYS_MAX: usize = 1024;
/// Regions that are asked; there are some forty.
const REGIONS_MAX: usize = 256;
/// Questions remembered with their answers.
const QUESTIONS_MAX: usize = 4096;
/// How long an answer without the key counts: keys are made long before they sign.
const ABSENT_PAUSE: Duration = Duration::from_secs(60);
/// The same for a file, which costs next to nothing to read.
const FILE_PAUSE: Duration = Duration::from_millis(500);
/// How long a failure counts for the whole region. The SDK has tried more than once by then.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
/// Hours before and after a digest in which its key is looked for; the AWS CLI looks 2 hours behind the time asked for.
const AROUND: SignedDuration = SignedDuration::from_hours(2);

/// Where keys come from.
#[derive(Debug)]
enum Origin {
    /// A list-public-keys document, for all regions.
    File(PathBuf),
    /// ListPublicKeys of each digest's region.
    Api(Box<Connection>),
}

/// A source's keys.
#[derive(Debug)]
pub(crate) struct Keyring {
    origin: Origin,
    /// By region; a file's stand under the empty name.
    known: RwLock<HashMap<String, Arc<PublicKeys>>>,
    /// One question at a time: those who wait find the answer there.
    asked: Mutex<Asked>,
}

/// What was asked a moment ago.
#[derive(Debug, Default)]
struct Asked {
    /// Until when the answer for a region and a day of digests counts.
    answered: HashMap<(String, Date), Instant>,
    /// Until when the failure of a region counts, and what it was.
    failed: HashMap<String, (Instant, String)>,
    /// Whom to ask, by region.
    sources: HashMap<String, Arc<dyn PublicKeySource>>,
}

impl Keyring {
    /// `connection` is the source's own.
    pub(crate) fn new(origin: &DigestKeys, connection: &Connection) -> Self {
        let origin = match origin {
            DigestKeys::File(path) => Origin::File(path.clone()),
            DigestKeys::Api => Origin::Api(Box::new(connection.clone())),
        };
        Self { origin, known: RwLock::default(), asked: Mutex::default() }
    }

    /// The keys known so far for digests of a region.
    pub(crate) fn known(&self, region: &str) -> Arc<PublicKeys> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(self.shelf(region)).cloned().unwrap_or_default()
    }

    /// Looks for a key that is not known, which signed in `region` at about `at`: the keys known afterwards, with or
    /// without it.
    ///
    /// # Errors
    /// Why nobody could be asked.
    pub(crate) async fn look_up(
        &self,
        region: &str,
        fingerprint: &str,
        at: Timestamp,
    ) -> Result<Arc<PublicKeys>, String> {
        let mut asked = self.asked.lock().await;
        let known = self.known(region);
        if known.get(fingerprint).is_some() {
            return Ok(known);
        }
        let shelf = self.shelf(region).to_owned();
        let now = Instant::now();
        asked.answered.retain(|_, until| *until > now);
        asked.failed.retain(|_, (until, _)| *until > now);
        if let Some((_, why)) = asked.failed.get(&shelf) {
            return Err(why.clone());
        }
        let question = (shelf.clone(), at.to_zoned(TimeZone::UTC).date());
        if asked.answered.contains_key(&question) {
            return Ok(known);
        }
        match self.ask(region, at, &mut asked.sources).await {
            Ok(keys) => {
                let pause = if matches!(self.origin, Origin::File(_)) { FILE_PAUSE } else { ABSENT_PAUSE };
                if asked.answered.len() >= QUESTIONS_MAX {
                    asked.answered.clear();
                }
                asked.answered.insert(question, Instant::now() + pause);
                Ok(self.learn(shelf, keys))
            }
            Err(why) => {
                asked.failed.insert(shelf, (Instant::now() + FAILED_PAUSE, why.clone()));
                Err(why)
            }
        }
    }

    /// The name under which a region's keys are kept.
    fn shelf<'a>(&self, region: &'a str) -> &'a str {
        match self.origin {
            Origin::File(_) => "",
            Origin::Api(_) => region,
        }
    }

    async fn ask(
        &self,
        region: &str,
        at: Timestamp,
        sources: &mut HashMap<String, Arc<dyn PublicKeySource>>,
    ) -> Result<PublicKeys, String> {
        match &self.origin {
            Origin::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read(&path)).await;
                read.map_err(|error| error.to_string())?
            }
            Origin::Api(connection) => {
                if sources.len() >= REGIONS_MAX {
                    sources.clear();
                }
                let source = match sources.entry(region.to_owned()) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => {
                        let keys = CloudTrailKeys::open(region, connection).await;
                        new.insert(Arc::new(keys.map_err(|error| error.to_string())?))
                    }
                };
                let from = at.checked_sub(AROUND).unwrap_or(Timestamp::MIN);
                let to = at.checked_add(AROUND).unwrap_or(Timestamp::MAX);
                let listed = source.list(from, to).await.map_err(|error| error.to_string())?;
                Ok(listed
                    .into_iter()
                    .map(|key| ListedKey::served(key.fingerprint, key.der, key.valid_from, key.valid_until))
                    .collect())
            }
        }
    }

    fn learn(&self, shelf: String, keys: PublicKeys) -> Arc<PublicKeys> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let shelf = known.entry(shelf).or_default();
        let mut all = match self.origin {
            // The file is the whole truth: a key that was taken out of it is trusted no more.
            Origin::File(_) => PublicKeys::new(),
            Origin::Api(_) => PublicKeys::clone(shelf),
        };
        if all.iter().count() >= KEYS_MAX {
            all = PublicKeys::new();
        }
        keys.iter().for_each(|key| all.add(key.clone()));
        *shelf = Arc::new(all);
        Arc::clone(shelf)
    }
}

fn read(path: &Path) -> Result<PublicKeys, String> {
    let failed = |error: &dyn std::fmt::Display| format!("read digest_keys {}: {error}", path.display());
    let bytes = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(failed(&format!("{bytes} bytes are more than a list of keys has")));
    }
    let json = std::fs::read(path).map_err(|error| failed(&error))?;
    PublicKeys::from_json(&json).map_err(|error| failed(&error))
}
