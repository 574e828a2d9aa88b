//! The make-up of a generated organization: its accounts, the buckets they deliver into, and how each bucket's keys are
//! laid out. Keys are composed here from the documented grammar, on purpose not with the crate that reads them: what the
//! generator writes is what tests hold that crate against.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cast::Account;
use super::random::{Alphabet, Random};
use super::{Plan, time};

/// One bucket that accounts deliver into, a folder of its own below the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The bucket's folder, relative to the output.
    pub bucket: String,
    /// What stands before `AWSLogs` in the bucket's keys, without a trailing slash; empty when nothing does.
    pub prefix: String,
    /// The organization id between `AWSLogs` and the account, where the layout has one.
    pub organization_id: Option<String>,
    /// The accounts that deliver here, twelve digits each.
    pub accounts: Vec<String>,
}

impl Source {
    /// The folder that holds `AWSLogs`: what an agent's source location points at.
    pub fn folder(&self, out: &Path) -> PathBuf {
        if self.prefix.is_empty() { out.join(&self.bucket) } else { out.join(&self.bucket).join(&self.prefix) }
    }

    /// The file behind `key`, which is relative to the bucket.
    pub fn path(&self, out: &Path, key: &str) -> PathBuf {
        out.join(&self.bucket).join(key)
    }

    /// The folder of one account's files of `kind` (`CloudTrail`, `CloudTrail-Insight`, …) in one region, as a key with a
    /// trailing slash.
    pub(super) fn region_folder(&self, account: &str, kind: &str, region: &str) -> String {
        let slash = |part: &str| if part.is_empty() { String::new() } else { format!("{part}/") };
        let organization = slash(self.organization_id.as_deref().unwrap_or_default());
        format!("{}AWSLogs/{organization}{account}/{kind}/{region}/", slash(&self.prefix))
    }

    /// A fresh key for a log or Insight file of this stamp (Unix seconds).
    pub(super) fn file_key(&self, account: &str, kind: &str, region: &str, stamp: i64, random: &mut Random) -> String {
        format!(
            "{}{}/{account}_{kind}_{region}_{}_{}.json.gz",
            self.region_folder(account, kind, region),
            time::day_folder(stamp),
            time::stamp(stamp),
            random.string(Alphabet::Alphanumeric, 16)
        )
    }
}

/// Accounts and sources of a plan.
pub(super) struct Organization {
    pub accounts: Vec<Account>,
    pub sources: Vec<Source>,
    /// For every account its place in `sources`.
    pub home: Vec<usize>,
}

/// Account numbers as AWS's own documentation invents them, one with leading zeros: an account is text, not a number.
const ACCOUNTS: [&str; 8] = [
    "111122223333",
    "001122334455",
    "444455556666",
    "123456789012",
    "777788889999",
    "555566667777",
    "210987654321",
    "999900001111",
];

impl Organization {
    pub(super) fn new(plan: &Plan) -> Self {
        let ids: Vec<String> = (0..plan.accounts as usize).map(account_id).collect();
        let mut sources = vec![
            Source { bucket: "acme-trails".to_owned(), prefix: String::new(), organization_id: None, accounts: vec![] },
            Source {
                bucket: "acme-payments-audit".to_owned(),
                prefix: "prod/audit".to_owned(),
                organization_id: None,
                accounts: vec![],
            },
        ];
        // Control Tower's landing zone puts the organization's id before AWSLogs and behind it.
        sources.extend(plan.organization_id.iter().map(|id| Source {
            bucket: "aws-controltower-logs-888877776666-us-east-1".to_owned(),
            prefix: id.clone(),
            organization_id: Some(id.clone()),
            accounts: vec![],
        }));
        let home: Vec<usize> = (0..ids.len()).map(|index| home_of(index, ids.len(), sources.len())).collect();
        for (id, source) in ids.iter().zip(&home) {
            sources[*source].accounts.push(id.clone());
        }
        let accounts = ids.iter().map(|id| Account::new(id, plan.seed, plan.first_stamp())).collect();
        Self { accounts, sources, home }
    }

    pub(super) fn source(&self, account: usize) -> &Source {
        &self.sources[self.home[account]]
    }
}

fn account_id(index: usize) -> String {
    match ACCOUNTS.get(index) {
        Some(id) => (*id).to_owned(),
        None => format!("{:012}", 300_000_000_000 + index as u64 * 1_000_100_001),
    }
}

/// The second account has a bucket of its own, the last quarter (at least one) is Control Tower's, the others share one.
fn home_of(index: usize, accounts: usize, sources: usize) -> usize {
    let tower = if sources > 2 && accounts > 2 { (accounts / 4).max(1) } else { 0 };
    match index {
        1 => 1,
        _ if index + tower >= accounts && index > 0 => 2,
        _ => 0,
    }
}
