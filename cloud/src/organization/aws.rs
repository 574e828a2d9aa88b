//! AWS Organizations.
//!
//! Owns: the requests and their pages, and patience with a service that throttles early. Does not own: how often the
//! accounts are asked for.
//!
//! Needs `organizations:ListAccounts`, for tags `ListTagsForResource`, for parents
//! `ListParents`, in the management account or in a member that is a delegated administrator of any service. Requests go
//! out one after the other.

use super::{Account, AccountStatus, Organization, Wanted, ou_path};
use crate::error::classify;
use crate::{Connection, Error, ErrorKind, credentials};
use async_trait::async_trait;
use aws_sdk_organizations::Client;
use aws_sdk_organizations::types;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// Accounts on a page: Organizations API reference, ListAccounts (`MaxResults`).
const PAGE_ACCOUNTS: i32 = 20;
/// Most pages of a listing, empty ones included: 20 times the accounts that any quota allows (10,000).
const PAGES_MAX: usize = 10_000;
/// Most levels above an account. Organizations allows five of organizational units below the root.
const LEVELS_MAX: usize = 32;
/// How often a throttled request is made, the SDK's own attempts within each aside.
const ATTEMPTS_MAX: u32 = 7;
/// How long the first wait is; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(20);

const SUBJECT: &str = "accounts of the organization";

/// The organization that the connection's account belongs to.
#[derive(Debug)]
pub struct AwsOrganization {
    client: Client,
    page_accounts: i32,
    first_wait: Duration,
}

impl AwsOrganization {
    /// Organizations as this connection reaches it. Calls nothing yet.
    pub async fn open(connection: &Connection) -> Self {
        let client = Client::new(&credentials::global_config(connection).await);
        Self { client, page_accounts: PAGE_ACCOUNTS, first_wait: FIRST_WAIT }
    }

    /// The same with smaller pages.
    #[cfg(any(test, feature = "fake"))]
    #[must_use]
    pub fn with_page_accounts(mut self, page_accounts: i32) -> Self {
        self.page_accounts = page_accounts;
        self
    }

    #[cfg(test)]
    fn with_first_wait(mut self, first_wait: Duration) -> Self {
        self.first_wait = first_wait;
        self
    }

    /// Makes a call until it is not throttled any more.
    async fn patiently<T, F>(&self, call: impl Fn() -> F + Send) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let mut wait = self.first_wait;
        for _ in 1..ATTEMPTS_MAX {
            match call().await {
                Err(error) if *error.kind() == ErrorKind::Throttled => {
                    tracing::debug!(error.message = %error, "organizations throttles: waiting");
                    tokio::time::sleep(wait.mul_f64(rand::random_range(0.75..1.25))).await;
                    wait = (wait * 2).min(WAIT_MAX);
                }
                other => return other,
            }
        }
        call().await
    }

    /// Every account as the listing has it, with the path where the listing holds one.
    async fn listed(&self) -> Result<BTreeMap<String, Account>, Error> {
        let (mut accounts, mut token) = (BTreeMap::new(), None);
        for _ in 0..PAGES_MAX {
            let page = self
                .patiently(|| {
                    let list = self.client.list_accounts().max_results(self.page_accounts);
                    let page = list.set_next_token(token.clone()).send();
                    let action = "organizations:ListAccounts";
                    async move { page.await.map_err(|error| advised(classify::sdk("list", SUBJECT, error), action)) }
                })
                .await?;
            for account in page.accounts.unwrap_or_default() {
                let account = read(account).ok_or_else(|| unusable("an account without an id"))?;
                accounts.insert(account.id.clone(), account);
            }
            // A page can be empty and have a next one.
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(accounts);
            }
        }
        Err(unusable("more than 10,000 pages"))
    }

    /// The tags of an account.
    async fn tags(&self, account: &str) -> Result<BTreeMap<String, String>, Error> {
        let subject = &|| format!("tags of account {account}");
        let (mut tags, mut token) = (BTreeMap::new(), None);
        for _ in 0..PAGES_MAX {
            let page = self
                .patiently(|| {
                    let list = self.client.list_tags_for_resource().resource_id(account);
                    let page = list.set_next_token(token.clone()).send();
                    let action = "organizations:ListTagsForResource";
                    async move { page.await.map_err(|error| advised(classify::sdk("list", subject(), error), action)) }
                })
                .await?;
            tags.extend(page.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)));
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(tags);
            }
        }
        Err(unusable("more than 10,000 pages of tags"))
    }

    /// What stands right above an account or an organizational unit.
    async fn parent(&self, child: &str) -> Result<String, Error> {
        let subject = &|| format!("parents of {child}");
        let answer = self
            .patiently(|| {
                let answer = self.client.list_parents().child_id(child).send();
                let action = "organizations:ListParents";
                async move { answer.await.map_err(|error| advised(classify::sdk("list", subject(), error), action)) }
            })
            .await?;
        // Exactly one, by the API reference.
        let parent = answer.parents.unwrap_or_default().into_iter().next().and_then(|parent| parent.id);
        parent.ok_or_else(|| Error::new(ErrorKind::Other, "list", subject()).detail("the answer names no parent"))
    }

    /// The path above an account, by asking upwards. What is learned of organizational units is kept in `above`.
    async fn path(&self, account: &str, above: &mut HashMap<String, String>) -> Result<Vec<String>, Error> {
        let mut path = vec![self.parent(account).await?];
        while let Some(top) = path.last().filter(|top| !top.starts_with("r-")).cloned() {
            let parent = match above.get(&top) {
                Some(parent) => parent.clone(),
                None => self.parent(&top).await?,
            };
            above.insert(top, parent.clone());
            path.push(parent);
            if path.len() > LEVELS_MAX {
                return Err(unusable("an organizational unit that has no root above it"));
            }
        }
        path.reverse();
        Ok(path)
    }
}

#[async_trait]
impl Organization for AwsOrganization {
    async fn accounts(&self, wanted: Wanted) -> Result<Vec<Account>, Error> {
        let mut accounts = self.listed().await?;
        let (mut above, mut gone) = (HashMap::new(), BTreeSet::new());
        for account in accounts.values_mut() {
            let detailed: Result<(), Error> = async {
                if wanted.tags {
                    account.tags = self.tags(&account.id).await?;
                }
                if !wanted.parents {
                    account.ou_path.clear();
                } else if account.ou_path.is_empty() {
                    account.ou_path = self.path(&account.id, &mut above).await?;
                }
                Ok(())
            }
            .await;
            match detailed {
                // It left between the two requests.
                Err(error) if *error.kind() == ErrorKind::NotFound => gone.insert(account.id.clone()),
                other => other.map(|()| false)?,
            };
        }
        Ok(accounts.into_values().filter(|account| !gone.contains(&account.id)).collect())
    }
}

/// What to do about a refusal.
fn advised(error: Error, action: &str) -> Error {
    match error.kind() {
        ErrorKind::Denied => error.advice(format!(
            "only the management account and delegated administrators may ask; the principal needs {action}"
        )),
        ErrorKind::ContainerMissing => error.advice(
            "this account is in no organization: connect as the management account or a delegated administrator",
        ),
        _ => error,
    }
}

fn unusable(why: &str) -> Error {
    Error::new(ErrorKind::Other, "list", SUBJECT).detail(format!("the answer has {why}"))
}

fn read(account: types::Account) -> Option<Account> {
    let word = account.state.as_ref().map(types::AccountState::as_str);
    let word = word.or_else(|| account.status.as_ref().map(types::AccountStatus::as_str)).unwrap_or("UNKNOWN");
    let status = AccountStatus::parse(word);
    let joined = account.joined_timestamp.and_then(|at| Timestamp::from_second(at.secs()).ok());
    // Several paths are for accounts in several trees; the first is the organization's own.
    let paths = account.paths.unwrap_or_default();
    Some(Account {
        id: account.id?,
        arn: account.arn.unwrap_or_default(),
        name: account.name.unwrap_or_default(),
        email: account.email.unwrap_or_default(),
        status,
        joined,
        ou_path: paths.first().map(|path| ou_path(path)).unwrap_or_default(),
        tags: BTreeMap::new(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
