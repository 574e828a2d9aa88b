//! Regions in memory, for tests. It can be told to fail.

use super::{Region, Regions};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Regions by account. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct FakeRegions {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    own: Vec<Region>,
    of: BTreeMap<String, Vec<Region>>,
    failing: Option<ErrorKind>,
}

impl FakeRegions {
    /// The regions of the connection's own account, and of every account that has none of its own here.
    pub fn new(own: Vec<Region>) -> Self {
        let fake = Self::default();
        fake.lock().own = own;
        fake
    }

    /// The regions of one account from now on.
    pub fn put(&self, account: &str, regions: Vec<Region>) {
        self.lock().of.insert(account.to_owned(), regions);
    }

    /// Every call fails like this until told otherwise.
    pub fn set_failing(&self, kind: Option<ErrorKind>) {
        self.lock().failing = kind;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Regions for FakeRegions {
    async fn list(&self, account: Option<&str>) -> Result<Vec<Region>, Error> {
        let state = self.lock();
        if let Some(kind) = &state.failing {
            return Err(Error::new(kind.clone(), "list", "regions of the test").detail("as the test asked"));
        }
        Ok(account.and_then(|account| state.of.get(account)).unwrap_or(&state.own).clone())
    }
}
