//! Finds the folders of a source by its prefixes, level by level.
//!
//! `[prefix/…]AWSLogs/[o-…/]account/kind/region/`, with at most [`ABOVE_MAX`] levels of prefixes above `AWSLogs`. What is
//! below an `AWSLogs` and is no CloudTrail folder (other services deliver there too) is passed over. So is a prefix above it
//! that may not be listed, as long as folders are found elsewhere: a role is often allowed to list `AWSLogs/*` alone.
//!
//! The first walk lists every prefix. Later ones list those that name accounts each time, and the accounts and kinds
//! below in rotation, as there are thousands of them and new regions are rare. A prefix that fails is listed again by the
//! next walk, the others are not. Owns the tree of prefixes, the requests and their bounds; nothing of it lasts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use orgtrail_cloud::object_store::ListRequest;
use orgtrail_cloud::{Error, ErrorKind};
use orgtrail_event::key::{Folder, Kind};
use tokio::time::Instant;

use super::rhythm::cut;
use super::{Config, Context};
use crate::object::Source;

/// Levels of prefixes above `AWSLogs`: `o-id/` for Control Tower's buckets, a few for an operator's own order.
const ABOVE_MAX: usize = 4;
/// Prefixes looked into in search of `AWSLogs`, so that a bucket full of other things does not cost a listing for each.
const PREFIXES_MAX: usize = 2000;
/// Failed listings after which the rest is left to the next walk.
const FAILURES_MAX: usize = 8;

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// All folders below the prefixes that were listed this time.
    pub(super) folders: Vec<Folder>,
    /// Not every prefix was looked into; the location should point closer to the logs.
    pub(super) cut_short: bool,
    /// The first failure; the prefixes that failed come again with the next walk.
    pub(super) failed: Option<Error>,
}

/// Where a prefix stands in a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// So many prefixes above `AWSLogs`.
    Above(usize),
    /// In `AWSLogs/`: organizations and accounts.
    Logs,
    /// In `AWSLogs/o-…/`: accounts.
    Organization,
    /// In an account: kinds.
    Account,
    /// In a kind: regions.
    Kind,
}

impl Level {
    /// Whether new accounts show here.
    fn names_accounts(self) -> bool {
        matches!(self, Self::Above(0) | Self::Logs | Self::Organization)
    }
}

/// The prefixes of a source that are known so far.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    /// Prefixes above `AWSLogs` that are looked into.
    above: usize,
    has_folders: bool,
    cut_short: bool,
}

#[derive(Debug)]
struct Node {
    level: Level,
    /// The account that it lies in.
    account: Option<Box<str>>,
    /// When it is listed next.
    due: Instant,
    /// Whether it was listed before.
    known: bool,
}

/// A prefix to list.
struct Step {
    prefix: String,
    level: Level,
    account: Option<Box<str>>,
}

impl Default for Tree {
    fn default() -> Self {
        let mut tree = Self { nodes: BTreeMap::new(), above: 0, has_folders: false, cut_short: false };
        // `AWSLogs/` by its name, because the root may be closed to us.
        tree.insert("AWSLogs/".to_owned(), Level::Logs, None);
        tree.insert(String::new(), Level::Above(0), None);
        tree
    }
}

impl Tree {
    fn insert(&mut self, prefix: String, level: Level, account: Option<Box<str>>) {
        self.nodes.insert(prefix, Node { level, account, due: Instant::now(), known: false });
    }

    /// How long until the next walk.
    pub(super) fn pause(&self, config: &Config) -> Duration {
        let next = self.nodes.values().map(|node| node.due).min();
        let until = next.map_or(config.refresh_interval, |due| due.saturating_duration_since(Instant::now()));
        until.max(config.refresh_interval)
    }

    /// Lists the prefixes that are due, and all that are found below them for the first time.
    pub(super) async fn walk(&mut self, source: &Source, config: &Config, context: &Context) -> Walked {
        let mut walked = Walked::default();
        let (mut failures, mut denied) = (0, None);
        let mut running = FuturesUnordered::new();
        let mut steps = self.due(source);
        loop {
            while running.len() < config.list_concurrency
                && failures < FAILURES_MAX
                && let Some(step) = steps.pop_front()
            {
                running.push(async move { (children(source, &step.prefix, context).await, step) });
            }
            let Some((children, step)) = running.next().await else { break };
            match children {
                Ok(children) => {
                    for child in children {
                        steps.extend(self.found(child, &step, source, &mut walked));
                    }
                }
                Err(error) if matches!(step.level, Level::Above(_)) && *error.kind() == ErrorKind::Denied => {
                    tracing::debug!(source.name = source.name, prefix = step.prefix, "may not be listed, passed over");
                    denied = Some(error);
                }
                Err(error) => {
                    failures += 1;
                    walked.failed.get_or_insert(error);
                    continue;
                }
            }
            self.rest(&step.prefix, source, config);
        }
        if !self.has_folders {
            walked.failed = walked.failed.or(denied);
        }
        walked.cut_short = self.cut_short;
        walked.folders.sort_unstable();
        walked
    }

    /// What is to be listed now; prefixes of accounts that are not taken any more are forgotten.
    fn due(&mut self, source: &Source) -> VecDeque<Step> {
        self.nodes.retain(|_, node| node.account.as_deref().is_none_or(|account| source.accounts.takes(account)));
        let now = Instant::now();
        let due = self.nodes.iter().filter(|(_, node)| node.due <= now);
        due.map(|(prefix, Node { level, account, .. })| Step {
            prefix: prefix.clone(),
            level: *level,
            account: account.clone(),
        })
        .collect()
    }

    /// Decides about one prefix; answers it where it has to be looked into for the first time.
    fn found(&mut self, child: String, parent: &Step, source: &Source, walked: &mut Walked) -> Option<Step> {
        let name = child.strip_prefix(&parent.prefix).unwrap_or(&child).trim_end_matches('/');
        let level = match below(source, parent.level, name) {
            Below::Look(level) => level,
            Below::Folder => {
                walked.folders.extend(Folder::parse(&child));
                self.has_folders = true;
                return None;
            }
            Below::Pass => return None,
        };
        let account = if level == Level::Account { Some(name.into()) } else { parent.account.clone() };
        if self.nodes.contains_key(&child) {
            return None;
        }
        if matches!(level, Level::Above(_)) {
            if self.above >= PREFIXES_MAX {
                self.cut_short = true;
                return None;
            }
            self.above += 1;
        }
        self.insert(child.clone(), level, account.clone());
        Some(Step { prefix: child, level, account })
    }

    /// A prefix was listed: says when it is listed again.
    fn rest(&mut self, prefix: &str, source: &Source, config: &Config) {
        let Some(level) = self.nodes.get(prefix).map(|node| node.level) else { return };
        let watched = level.names_accounts() && !(self.has_folders && self.knows_all(source));
        let Some(node) = self.nodes.get_mut(prefix) else { return };
        let pause = if watched {
            Duration::ZERO
        } else if std::mem::replace(&mut node.known, true) {
            cut(config.idle_interval_max, 0.9)
        } else {
            // The first time anywhere, so that the prefixes do not come in step ever after.
            cut(config.idle_interval_max, 0.1)
        };
        node.due = Instant::now() + pause;
    }

    /// Whether there is no account left that could appear.
    fn knows_all(&self, source: &Source) -> bool {
        let Some(wanted) = source.accounts.listed() else { return false };
        let known = self.nodes.values().filter(|node| node.level == Level::Account);
        known.filter_map(|node| node.account.as_deref()).collect::<BTreeSet<_>>().len() >= wanted
    }
}

/// What to do with a prefix.
enum Below {
    Look(Level),
    Folder,
    Pass,
}

fn below(source: &Source, at: Level, name: &str) -> Below {
    let account = || {
        let is_account = name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit());
        if is_account && source.accounts.takes(name) { Below::Look(Level::Account) } else { Below::Pass }
    };
    match at {
        // The one in the root is looked into by its name.
        Level::Above(0) if name == "AWSLogs" => Below::Pass,
        Level::Above(_) if name == "AWSLogs" => Below::Look(Level::Logs),
        Level::Above(depth) if depth < ABOVE_MAX => Below::Look(Level::Above(depth + 1)),
        Level::Above(_) => Below::Pass,
        Level::Logs if name.starts_with("o-") => Below::Look(Level::Organization),
        Level::Logs | Level::Organization => account(),
        Level::Account if Kind::from_folder(name).is_some() => Below::Look(Level::Kind),
        Level::Kind if source.regions.is_empty() || source.regions.iter().any(|region| region == name) => Below::Folder,
        Level::Account | Level::Kind => Below::Pass,
    }
}

/// The prefixes right below one.
async fn children(source: &Source, prefix: &str, context: &Context) -> Result<Vec<String>, Error> {
    let mut request = ListRequest { prefix: prefix.to_owned(), delimiter: Some('/'), ..ListRequest::default() };
    let mut children = Vec::new();
    loop {
        let Ok((page, _)) = context.list(source, None, &request).await else { return Ok(children) };
        let page = page?;
        children.extend(page.common_prefixes);
        match page.next {
            // A level with more prefixes than that holds no CloudTrail folders.
            Some(_) if children.len() >= 100 * PREFIXES_MAX => return Ok(children),
            Some(next) => request.continuation = Some(next),
            None => return Ok(children),
        }
    }
}
