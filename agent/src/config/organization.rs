//! The `[[organizations]]` tables: sources made out of a template, one for each account of an organization.
//!
//! Owns what can be written there and its check. Does not own which accounts there are nor what becomes of them
//! (`organizations`).

use std::time::Duration;

use orgtrail_cloud::Connection;
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::shape::duration;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::within;
use crate::organizations::template::{Account, Template};

/// One `[[organizations]]` table: which accounts, and how to read each.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Organization {
    /// What logs, metrics and status call it, and the file in the state folder that keeps its accounts. Letters, digits, `.`,
    /// `_` and `-`. Required.
    pub name: String,
    /// A list of accounts instead of AWS Organizations: `file:///path.json` with what `aws organizations list-accounts`
    /// prints. Read at every refresh. Default: AWS Organizations is asked.
    pub accounts_file: Option<String>,
    /// Take only accounts that one of these names. Default: all.
    pub include: Selection,
    /// Take none that one of these names; goes before `include`.
    pub exclude: Selection,
    /// Pause between two looks at the list. Default: 5 min. A new account is read within one.
    #[serde(with = "duration")]
    pub refresh_interval: Duration,
    /// How long an account that was closed, suspended or removed is still read. Then what is known of it is finished, and
    /// it goes. Default: 48 h, above the delays that CloudTrail shows in practice.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// How long after it appeared an account may deliver nothing before that is told. Default: 24 h.
    #[serde(with = "duration")]
    pub silent_after: Duration,
    /// A `[[sources]]` table with `{account}`, `{organization}` and `{partition}` in its texts, and `role_name`.
    pub source: Map<String, Value>,
    /// How to reach the organization's management account or a delegated administrator: `role_arn`, `external_id` and the
    /// rest of a connection.
    #[serde(flatten)]
    pub connection: Connection,
}

impl Default for Organization {
    fn default() -> Self {
        Self {
            name: String::new(),
            accounts_file: None,
            include: Selection::default(),
            exclude: Selection::default(),
            refresh_interval: Duration::from_secs(5 * 60),
            drain: Duration::from_secs(48 * 3600),
            silent_after: Duration::from_secs(24 * 3600),
            source: Map::new(),
            connection: Connection::default(),
        }
    }
}

/// Accounts of an organization, by any of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Ids, 12 digits each.
    pub accounts: Vec<String>,
    /// Organizational units (`ou-…`) or the root (`r-…`), by id or by a path of ids; units below count too.
    pub units: Vec<String>,
    /// Tags, `key=value`, or `key` for any value.
    pub tags: Vec<String>,
}

impl Organization {
    pub(super) const KEYS: &'static [&'static str] =
        &["accounts_file", "include", "exclude", "refresh_interval", "drain", "silent_after", "source"];
}

impl Check for Organization {
    fn check(&self, problems: &mut Problems) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !(1..=64).contains(&self.name.len()) || self.name.starts_with('.') || !self.name.bytes().all(plain) {
            problems.push("name", "missing or no name; write 1 to 64 of a-z A-Z 0-9 . _ -");
        }
        if let Some(file) = &self.accounts_file {
            if file.strip_prefix("file:///").is_none_or(str::is_empty) {
                problems.push("accounts_file", format!("`{file}` is no file: write file:///path/to/accounts.json"));
            }
            if self.connection != Connection::default() {
                problems.push("accounts_file", "is read instead of AWS Organizations: remove the connection's keys");
            }
        }
        let (minute, day) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));
        within("refresh_interval", self.refresh_interval, Duration::from_millis(100)..=day, problems);
        within("drain", self.drain, Duration::ZERO..=90 * day, problems);
        within("silent_after", self.silent_after, minute..=90 * day, problems);
        for (key, selection) in [("include", &self.include), ("exclude", &self.exclude)] {
            problems.within(key, |problems| selection.check(problems));
        }
        for (field, message) in self.connection.problems() {
            problems.push(field, message);
        }
        self.check_source(problems);
    }
}

impl Organization {
    /// The template is checked by what it makes of an account that could be.
    fn check_source(&self, problems: &mut Problems) {
        let template = match Template::new(self) {
            Ok(template) => template,
            Err((key, message)) => return problems.push(join("source", &key), message),
        };
        if let Err((key, message)) = template.notifications() {
            return problems.push(join("source", &key), message);
        }
        let account = Account::sample(template.partition());
        match template.source(&account) {
            Ok(source) => problems.within("source", |problems| source.check(problems)),
            Err((key, message)) => problems.push(join("source", &key), message),
        }
    }
}

fn join(table: &str, key: &str) -> String {
    if key.is_empty() { table.to_owned() } else { format!("{table}.{key}") }
}

impl Check for Selection {
    fn check(&self, problems: &mut Problems) {
        for (index, account) in self.accounts.iter().enumerate() {
            if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
                problems
                    .push(format!("accounts[{index}]"), format!("`{account}` is no account id: 12 digits in quotes"));
            }
        }
        for (index, unit) in self.units.iter().enumerate() {
            let last = unit.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            if !last.starts_with("ou-") && !last.starts_with("r-") {
                let message =
                    format!("`{unit}` is no organizational unit: write ou-ab12-3c4d5e6f, or r-ab12 for the root");
                problems.push(format!("units[{index}]"), message);
            }
        }
        for (index, tag) in self.tags.iter().enumerate() {
            if tag.is_empty() || tag.starts_with('=') {
                problems.push(format!("tags[{index}]"), format!("`{tag}` is no tag: write key=value, or key"));
            }
        }
    }
}
