//! Finds the folders of a source by its prefixes, level by level.
//!
//! `[prefix/…]AWSLogs/[o-…/]account/kind/region/`, with at most [`ABOVE_MAX`] levels of prefixes above `AWSLogs`. What is
//! below an `AWSLogs` and is no CloudTrail folder (other services deliver there too) is passed over. So is a prefix above it
//! that may not be listed, as long as folders are found elsewhere: a role is often allowed to list `AWSLogs/*` alone. Owns
//! the requests and their bounds; keeps nothing.

use futures::stream::{self, StreamExt, TryStreamExt};
use orgtrail_cloud::object_store::ListRequest;
use orgtrail_cloud::{Error, ErrorKind};
use orgtrail_event::key::{Folder, Kind};

use crate::metrics::Metrics;
use crate::object::Source;

/// Levels of prefixes above `AWSLogs`: `o-id/` for Control Tower's buckets, a few for an operator's own order.
const ABOVE_MAX: usize = 4;
/// Prefixes looked into in search of `AWSLogs`, so that a bucket full of other things does not cost a listing for each.
const PREFIXES_MAX: usize = 2000;

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) folders: Vec<Folder>,
    /// Not every prefix was looked into; the location should point closer to the logs.
    pub(super) cut_short: bool,
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

pub(super) async fn walk(source: &Source, concurrency: usize, metrics: &Metrics) -> Result<Walked, Error> {
    let mut walked = Walked::default();
    let mut looked_above = 0;
    let mut denied = None;
    // `AWSLogs/` by its name, because the root may be closed to us.
    let mut level = vec![("AWSLogs/".to_owned(), Level::Logs), (String::new(), Level::Above(0))];
    while !level.is_empty() {
        let found: Vec<_> = stream::iter(level)
            .map(|(prefix, at)| async move {
                match (children(source, &prefix, metrics).await, at) {
                    (Err(error), Level::Above(_)) if *error.kind() == ErrorKind::Denied => Ok((Err(error), prefix, at)),
                    (found, _) => Ok::<_, Error>((Ok(found?), prefix, at)),
                }
            })
            .buffer_unordered(concurrency)
            .try_collect()
            .await?;
        level = Vec::new();
        for (children, prefix, at) in found {
            let children = children.unwrap_or_else(|error| {
                tracing::debug!(source.name = source.name, prefix, "may not be listed, passed over");
                denied = Some(error);
                Vec::new()
            });
            for child in children {
                let name = child.strip_prefix(&prefix).unwrap_or(&child).trim_end_matches('/');
                match below(source, at, name) {
                    Below::Look(Level::Above(_)) if looked_above >= PREFIXES_MAX => walked.cut_short = true,
                    Below::Look(next) => {
                        looked_above += usize::from(matches!(next, Level::Above(_)));
                        level.push((child, next));
                    }
                    Below::Folder => walked.folders.extend(Folder::parse(&child)),
                    Below::Pass => {}
                }
            }
        }
    }
    match denied {
        Some(error) if walked.folders.is_empty() => return Err(error),
        _ => {}
    }
    walked.folders.sort_unstable();
    Ok(walked)
}

/// What to do with a prefix.
enum Below {
    Look(Level),
    Folder,
    Pass,
}

fn below(source: &Source, at: Level, name: &str) -> Below {
    let wanted = |list: &[String]| list.is_empty() || list.iter().any(|item| item == name);
    let account = || {
        let is_account = name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit());
        if is_account && wanted(&source.accounts) { Below::Look(Level::Account) } else { Below::Pass }
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
        Level::Kind if wanted(&source.regions) => Below::Folder,
        Level::Account | Level::Kind => Below::Pass,
    }
}

/// The prefixes right below one.
async fn children(source: &Source, prefix: &str, metrics: &Metrics) -> Result<Vec<String>, Error> {
    let mut request = ListRequest { prefix: prefix.to_owned(), delimiter: true, ..ListRequest::default() };
    let mut children = Vec::new();
    loop {
        let page = source.store.list(&request).await;
        metrics.request("list", page.as_ref().map_or_else(|error| error.kind().as_str(), |_| "ok"));
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
