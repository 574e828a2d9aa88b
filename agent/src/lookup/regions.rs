//! Which regions of an account have an event history that can be read, and which are left out and why.
//!
//! Owns telling a region that is closed to the account (not enabled, or denied by a service control policy) from one that
//! fails: a closed one is skipped and said, and asked again at the next walk; a failing one is a folder in trouble like
//! any other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, StreamExt, TryStreamExt};
use orgtrail_cloud::Error;
use orgtrail_cloud::regions::Closed;

use super::LookupStore;
use crate::status;

/// Regions asked at once.
const PROBES: usize = 8;

/// Regions that are left out, by account and region, with the reason; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Skipped(Arc<Mutex<BTreeMap<(String, String), String>>>);

impl Skipped {
    fn replace(&self, account: &str, skipped: BTreeMap<String, String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (region, reason) in &skipped {
            if all.get(&(account.to_owned(), region.clone())) != Some(reason) {
                tracing::info!(account.id = account, region, reason, "region skipped");
            }
        }
        all.retain(|(of, _), _| of != account);
        all.extend(skipped.into_iter().map(|(region, reason)| ((account.to_owned(), region), reason)));
    }

    pub(crate) fn list(&self, source: &str) -> Vec<status::SkippedRegion> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = all.iter().map(|((account, region), reason)| status::SkippedRegion {
            source: source.to_owned(),
            account: account.clone(),
            region: region.clone(),
            reason: reason.clone(),
        });
        skipped.collect()
    }
}

impl LookupStore {
    /// The regions that answer, in the order of names.
    pub(super) async fn open_regions(&self, account: &str) -> Result<Vec<String>, Error> {
        let mut skipped = BTreeMap::new();
        let candidates = if self.regions.is_empty() {
            let listed = self.outside.open_regions(&self.connection).await.list(None).await?;
            let (usable, closed): (Vec<_>, Vec<_>) = listed.into_iter().partition(|region| region.status.is_usable());
            skipped.extend(closed.into_iter().map(|region| (region.name, format!("region is {}", region.status))));
            usable.into_iter().map(|region| region.name).collect()
        } else {
            self.regions.clone()
        };
        let probed: Vec<(String, Option<String>)> = stream::iter(candidates)
            .map(|region| async move { Ok::<_, Error>((region.clone(), self.closed(&region).await?)) })
            .buffer_unordered(PROBES)
            .try_collect()
            .await?;
        let mut open = Vec::new();
        for (region, closed) in probed {
            match closed {
                Some(reason) => drop(skipped.insert(region, reason)),
                None => open.push(region),
            }
        }
        open.sort_unstable();
        self.skipped.replace(account, skipped);
        Ok(open)
    }

    /// Why the region is closed to the account; `None` where it isn't, or where that can't be told now.
    async fn closed(&self, region: &str) -> Result<Option<String>, Error> {
        let history = self.history(region).await?;
        if self.is_known_open(region) {
            return Ok(None);
        }
        let closed = match history.probe(self.clock.now()).await {
            Ok(()) => None,
            Err(error) => Closed::of(&error).map(|closed| (closed, error)),
        };
        match closed {
            Some((Closed::NotKnownThere, error)) => {
                // Are they known anywhere? An error is the credentials' own.
                self.outside.caller_identity(&self.connection).await?;
                Ok(Some(format!("{}: {error}", Closed::NotKnownThere.as_str())))
            }
            Some((closed, error)) => Ok(Some(format!("{}: {error}", closed.as_str()))),
            None => {
                self.note_open(region);
                Ok(None)
            }
        }
    }
}
