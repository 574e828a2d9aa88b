//! The event history of an account as a bucket: a source for accounts without any trail.
//!
//! An [`ObjectStore`] in CloudTrail's own layout, computed and not stored: each quarter of an hour of an account and region
//! is one object, whose bytes are looked up when it is fetched. So checkpoint, watermark, budget and ledger are those of a
//! bucket. Owns what is listed and the mapping of keys to windows; `window` cuts time, `read` makes the calls, `regions`
//! says which regions answer.
//!
//! Listing windows costs no request. Windows without events are log files without records, which the aggregator takes and
//! delivers nothing of. Nothing here survives a crash or has to.

mod read;
mod regions;
mod window;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use orgtrail_cloud::object_store::{ListPage, ListRequest, Object, ObjectMeta, PAGE_MAX, PutOptions};
use orgtrail_cloud::{Connection, Error, ErrorKind, Location, ObjectStore};
use orgtrail_event::gzip::Deflater;
use orgtrail_service::clock::Clock;
use tokio::sync::OnceCell;

use self::read::History;
pub(crate) use self::regions::Skipped;
use self::window::{Window, Windows};
use crate::outside::Outside;

/// gzip's own default: windows are small.
const LEVEL: u8 = 6;

/// An account's event history that stands for a bucket.
#[derive(Debug)]
pub(crate) struct LookupStore {
    location: Location,
    /// The one account, as configured or as STS says.
    account: OnceCell<String>,
    /// Empty for those that are enabled.
    regions: Vec<String>,
    connection: Connection,
    outside: Arc<dyn Outside>,
    clock: Arc<dyn Clock>,
    skipped: Skipped,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    histories: HashMap<String, Arc<History>>,
    /// Regions that have answered.
    open: BTreeSet<String>,
}

impl LookupStore {
    /// The event history that a checked source of this kind describes. Calls nothing yet.
    pub(crate) fn new(
        config: &crate::config::Source,
        location: &Location,
        outside: Arc<dyn Outside>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let account = config.accounts.first().cloned();
        Self {
            location: location.clone(),
            account: OnceCell::new_with(account),
            regions: config.regions.clone(),
            connection: config.connection.clone(),
            outside,
            clock,
            skipped: Skipped::default(),
            state: Mutex::default(),
        }
    }

    /// The regions that are left out.
    pub(crate) fn skipped(&self) -> Skipped {
        self.skipped.clone()
    }

    async fn account(&self) -> Result<&str, Error> {
        let asked = self.account.get_or_try_init(|| async {
            self.outside.caller_identity(&self.connection).await.map(|identity| identity.account)
        });
        asked.await.map(String::as_str)
    }

    async fn history(&self, region: &str) -> Result<Arc<History>, Error> {
        if let Some(history) = self.lock().histories.get(region) {
            return Ok(Arc::clone(history));
        }
        let lookup = self.outside.open_lookup(region, &self.connection).await?;
        // Another may have been as fast: there is one pace a region.
        let mut state = self.lock();
        let history = state.histories.entry(region.to_owned()).or_insert_with(|| Arc::new(History::new(lookup)));
        Ok(Arc::clone(history))
    }

    fn is_known_open(&self, region: &str) -> bool {
        self.lock().open.contains(region)
    }

    fn note_open(&self, region: &str) {
        self.lock().open.insert(region.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, kind: ErrorKind, verb: &'static str, key: &str) -> Error {
        Error::new(kind, verb, self.location.object(key))
    }

    /// The prefixes right below one: how the source's folders are found.
    async fn prefixes(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let account = self.account().await?;
        let logs = format!("AWSLogs/{account}/CloudTrail/");
        if prefix == logs {
            let regions = self.open_regions(account).await?;
            return Ok(regions.into_iter().map(|region| format!("{logs}{region}/")).collect());
        }
        // One way down until there.
        let below = logs.strip_prefix(prefix).and_then(|rest| rest.split_inclusive('/').next());
        Ok(below.map(|name| format!("{prefix}{name}")).into_iter().collect())
    }

    /// The region whose folder a prefix is in.
    fn region<'a>(account: &str, prefix: &'a str) -> Option<&'a str> {
        let rest = prefix.strip_prefix("AWSLogs/")?.strip_prefix(account)?.strip_prefix("/CloudTrail/")?;
        rest.split_once('/').map(|(region, _)| region).filter(|region| !region.is_empty())
    }

    async fn window(&self, verb: &'static str, key: &str) -> Result<(Window, ObjectMeta), Error> {
        let account = self.account().await?;
        let window = Window::of_key(key).filter(|window| window.account() == account);
        let found = window.and_then(|window| window.meta(self.clock.now()).map(|meta| (window, meta)));
        found.ok_or_else(|| self.error(ErrorKind::NotFound, verb, key))
    }
}

#[tonic::async_trait]
impl ObjectStore for LookupStore {
    fn location(&self) -> &Location {
        &self.location
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, Error> {
        if request.delimiter.is_some() {
            let common_prefixes = self.prefixes(&request.prefix).await?;
            return Ok(ListPage { common_prefixes, ..ListPage::default() });
        }
        let account = self.account().await?;
        let Some(region) = Self::region(account, &request.prefix) else { return Ok(ListPage::default()) };
        let windows = Windows::new(account, region, self.clock.now());
        debug_assert!(request.prefix.starts_with(&windows.path()), "a prefix lies in its region's folder");
        let after = request.continuation.as_deref().or(request.start_after.as_deref());
        let (objects, more) = windows.page(&request.prefix, after, PAGE_MAX);
        let next = objects.last().filter(|_| more).map(|last| last.key.clone());
        Ok(ListPage { objects, next, ..ListPage::default() })
    }

    async fn get(&self, key: &str, bytes_max: u64) -> Result<Object, Error> {
        let (window, mut meta) = self.window("get", key).await?;
        let file = self.history(window.region()).await?.read(&window).await?;
        let gzip = tokio::task::spawn_blocking(move || Deflater::new(LEVEL).deflate(&file)).await;
        let gzip = gzip.map_err(|panicked| self.error(ErrorKind::Other, "get", key).source(panicked))?;
        if gzip.len() as u64 > bytes_max {
            return Err(self.error(ErrorKind::TooLarge { bytes_max }, "get", key));
        }
        meta.size = gzip.len() as u64;
        Ok(Object { meta, bytes: Bytes::from(gzip), metadata: BTreeMap::new() })
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        self.window("head", key).await.map(|(_, meta)| meta)
    }

    async fn put(&self, key: &str, _: Bytes, _: &PutOptions) -> Result<(), Error> {
        Err(self.error(ErrorKind::Invalid, "put", key).detail("an event history can only be read"))
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        Err(self.error(ErrorKind::Invalid, "delete", key).detail("an event history can only be read"))
    }
}

#[cfg(test)]
mod tests;
