//! An organization in memory, for tests. Accounts come, go and change their state; it can be told to fail.

use super::{Account, Organization, Wanted};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Accounts that were handed over. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct FakeOrganization {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    accounts: BTreeMap<String, Account>,
    failing: Option<ErrorKind>,
    calls: u64,
}

impl FakeOrganization {
    /// Adds an account, or changes the one of this id.
    pub fn put(&self, account: Account) {
        self.lock().accounts.insert(account.id.clone(), account);
    }

    /// Takes an account out.
    pub fn remove(&self, id: &str) {
        self.lock().accounts.remove(id);
    }

    /// Every call fails like this until told otherwise.
    pub fn set_failing(&self, kind: Option<ErrorKind>) {
        self.lock().failing = kind;
    }

    /// How often the accounts were asked for, failures included.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(kind: &ErrorKind) -> Error {
    Error::new(kind.clone(), "list", "accounts of the test").detail("as the test asked")
}

#[async_trait]
impl Organization for FakeOrganization {
    async fn accounts(&self, wanted: Wanted) -> Result<Vec<Account>, Error> {
        let mut state = self.lock();
        state.calls += 1;
        if let Some(kind) = &state.failing {
            return Err(failed(kind));
        }
        let mut accounts: Vec<Account> = state.accounts.values().cloned().collect();
        for account in &mut accounts {
            if !wanted.tags {
                account.tags.clear();
            }
            if !wanted.parents {
                account.ou_path.clear();
            }
        }
        Ok(accounts)
    }
}
