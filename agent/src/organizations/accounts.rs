//! Which accounts of an organization are read: those that are wanted and open, and for a while those that were.
//!
//! Owns the selection by id, unit and tag, the life of an account here (read, draining, gone), and the file that keeps it
//! all, so that a restart that cannot ask goes on with what was known, and a drain is not begun again. Pure but for that
//! file, which is whole or absent.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use orgtrail_cloud::organization::{Account, Wanted};
use orgtrail_service::durable;
use serde::{Deserialize, Serialize};

use crate::config::Selection;

/// What is known of an organization's accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Accounts {
    /// When the list was last had; `None` before the first time.
    pub(super) listed_at: Option<Timestamp>,
    pub(super) known: BTreeMap<String, Known>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) name: String,
    /// AWS's word for its state; `REMOVED` where the organization does not list it any more.
    pub(super) status: String,
    /// `arn:aws:organizations::…`; names the partition.
    pub(super) arn: String,
    /// When it was first listed and wanted.
    pub(super) since: Timestamp,
    pub(super) standing: Standing,
}

/// What becomes of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Standing {
    Read,
    /// It was closed, suspended or removed: read for a while.
    Draining {
        since: Timestamp,
    },
    /// What was known of it is settled.
    Gone,
    /// Not selected.
    Excluded,
}

impl Known {
    /// Whether it is read at this moment.
    pub(super) fn is_read(&self, now: Timestamp, drain: Duration) -> bool {
        match self.standing {
            Standing::Read => true,
            Standing::Draining { since } => {
                now.duration_since(since) < jiff::SignedDuration::try_from(drain).unwrap_or(jiff::SignedDuration::MAX)
            }
            Standing::Gone | Standing::Excluded => false,
        }
    }
}

/// What no listing names any more.
const REMOVED: &str = "REMOVED";

impl Accounts {
    pub(super) fn load(path: &Path) -> anyhow::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Durable when it returns.
    pub(super) fn keep(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        Ok(durable::write(path, &serde_json::to_vec_pretty(self)?)?)
    }

    /// Takes a whole list in.
    pub(super) fn listed(&mut self, list: Vec<Account>, include: &Selection, exclude: &Selection, now: Timestamp) {
        self.listed_at = Some(now);
        let mut before = std::mem::take(&mut self.known);
        for account in list {
            let wanted = includes(include, &account).unwrap_or(true) && !includes(exclude, &account).unwrap_or(false);
            let old = before.remove(&account.id);
            let standing = match old.as_ref().map(|old| old.standing) {
                _ if !wanted => Standing::Excluded,
                _ if account.status.is_open() => Standing::Read,
                Some(standing @ (Standing::Draining { .. } | Standing::Gone)) => standing,
                _ => Standing::Draining { since: now },
            };
            let since = old.filter(|old| old.standing != Standing::Excluded).map_or(now, |old| old.since);
            let Account { id, arn, name, status, .. } = account;
            self.known.insert(id, Known { name, status: status.as_str().to_owned(), arn, since, standing });
        }
        for (id, mut removed) in before {
            REMOVED.clone_into(&mut removed.status);
            match removed.standing {
                Standing::Read => removed.standing = Standing::Draining { since: now },
                Standing::Draining { .. } => {}
                // Nothing is left to remember.
                Standing::Gone | Standing::Excluded => continue,
            }
            self.known.insert(id, removed);
        }
    }
}

/// What has to be asked for to know who is selected.
pub(super) fn wanted(include: &Selection, exclude: &Selection) -> Wanted {
    let any = |what: fn(&Selection) -> &Vec<String>| [include, exclude].into_iter().any(|list| !what(list).is_empty());
    Wanted { tags: any(|selection| &selection.tags), parents: any(|selection| &selection.units) }
}

/// Whether one of the selection's names fits the account; `None` for a selection without any.
fn includes(selection: &Selection, account: &Account) -> Option<bool> {
    let Selection { accounts, units, tags } = selection;
    if accounts.is_empty() && units.is_empty() && tags.is_empty() {
        return None;
    }
    let unit = |unit: &String| {
        let id = unit.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        account.ou_path.iter().any(|above| above == id)
    };
    let tag = |tag: &String| match tag.split_once('=') {
        Some((key, value)) => account.tags.get(key).is_some_and(|found| found == value),
        None => account.tags.contains_key(tag),
    };
    Some(accounts.contains(&account.id) || units.iter().any(unit) || tags.iter().any(tag))
}

#[cfg(test)]
mod tests {
    use orgtrail_cloud::organization::AccountStatus;

    use super::*;

    fn account(id: u64, status: AccountStatus, above: &[&str], tags: &[(&str, &str)]) -> Account {
        Account {
            id: format!("{id:012}"),
            arn: format!("arn:aws:organizations::999999999999:account/o-abc1234567/{id:012}"),
            name: format!("account-{id}"),
            email: String::new(),
            status,
            joined: None,
            ou_path: above.iter().map(|&text| text.to_owned()).collect(),
            tags: tags.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }

    fn open(id: u64) -> Account {
        account(id, AccountStatus::Active, &[], &[])
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + hour * 3600).unwrap()
    }

    const DRAIN: Duration = Duration::from_secs(48 * 3600);

    fn read(accounts: &Accounts, hour: i64) -> Vec<u64> {
        let known = accounts.known.iter().filter(|(_, known)| known.is_read(at(hour), DRAIN));
        known.map(|(id, _)| id.parse().unwrap()).collect()
    }

    fn selection(accounts: &[&str], units: &[&str], tags: &[&str]) -> Selection {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Selection { accounts: texts(accounts), units: texts(units), tags: texts(tags) }
    }

    #[test]
    fn accounts_are_selected_by_id_unit_and_tag_and_excluding_goes_first() {
        let list = || {
            vec![
                account(1, AccountStatus::Active, &["r-ab12", "ou-ab12-11111111"], &[("env", "prod")]),
                account(
                    2,
                    AccountStatus::Active,
                    &["r-ab12", "ou-ab12-11111111", "ou-ab12-22222222"],
                    &[("env", "test")],
                ),
                account(3, AccountStatus::Active, &["r-ab12"], &[]),
                account(4, AccountStatus::Active, &["r-ab12"], &[("env", "prod"), ("audit", "")]),
            ]
        };
        let none = selection(&[], &[], &[]);
        for (include, exclude, expected) in [
            (none.clone(), none.clone(), vec![1, 2, 3, 4]),
            (selection(&[], &["ou-ab12-11111111"], &[]), none.clone(), vec![1, 2]),
            (selection(&[], &["o-abc1234567/r-ab12/ou-ab12-11111111/ou-ab12-22222222/"], &[]), none.clone(), vec![2]),
            (selection(&[], &["r-ab12"], &[]), none.clone(), vec![1, 2, 3, 4]),
            (selection(&["000000000003"], &[], &["env=prod"]), none.clone(), vec![1, 3, 4]),
            (none.clone(), selection(&[], &[], &["env=prod"]), vec![2, 3]),
            (selection(&[], &[], &["env"]), selection(&["000000000004"], &["ou-ab12-22222222"], &[]), vec![1]),
            (selection(&[], &[], &["audit"]), none.clone(), vec![4]),
        ] {
            let mut accounts = Accounts::default();
            accounts.listed(list(), &include, &exclude, at(0));
            assert_eq!(read(&accounts, 0), expected, "{include:?} without {exclude:?}");
            let asked = wanted(&include, &exclude);
            assert_eq!(asked.tags, !(include.tags.is_empty() && exclude.tags.is_empty()));
        }
    }

    #[test]
    fn closed_suspended_and_removed_accounts_are_drained_and_can_come_back() {
        let (all, mut accounts) = (Selection::default(), Accounts::default());
        accounts.listed(vec![open(1), open(2), open(3)], &all, &all, at(0));
        let suspended = account(2, AccountStatus::Suspended, &[], &[]);
        accounts.listed(vec![open(1), suspended.clone()], &all, &all, at(10));
        assert_eq!(read(&accounts, 57), [1, 2, 3], "one suspended, one removed");
        assert_eq!(accounts.known["000000000003"].status, "REMOVED");
        accounts.listed(vec![open(1), suspended.clone()], &all, &all, at(50));
        assert_eq!(read(&accounts, 59), [1], "a drain is not begun again by the next list");
        accounts.known.get_mut("000000000002").unwrap().standing = Standing::Gone;
        accounts.listed(vec![open(1), suspended], &all, &all, at(60));
        assert_eq!(accounts.known["000000000002"].standing, Standing::Gone);
        accounts.listed(vec![open(1), open(2), open(3)], &all, &all, at(61));
        assert_eq!(read(&accounts, 61), [1, 2, 3]);
        assert_eq!(accounts.known["000000000002"].since, at(0));
    }

    #[test]
    fn what_is_known_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("organizations/acme.json");
        assert_eq!(Accounts::load(&path).unwrap(), Accounts::default());
        let mut accounts = Accounts::default();
        let list = vec![open(1), account(2, AccountStatus::Suspended, &[], &[])];
        accounts.listed(list, &Selection::default(), &Selection::default(), at(0));
        accounts.keep(&path).unwrap();
        assert_eq!(Accounts::load(&path).unwrap(), accounts);
    }
}
