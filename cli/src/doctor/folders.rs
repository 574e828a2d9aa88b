//! What a source holds: its folders by account and region, and the newest object of each.
//!
//! Owns the listings that this takes and their bounds. Goes the shortest way there, not the agent's: nothing is remembered.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{FuturesUnordered, StreamExt as _};
use orgtrail_cloud::object_store::{ListRequest, ObjectMeta};
use orgtrail_cloud::{Error, ErrorKind, ObjectStore};
use orgtrail_event::key::{Folder, Kind, ObjectKey, classify};

use super::Context;

/// Levels of prefixes above `AWSLogs`, as the agent's.
const ABOVE_MAX: usize = 4;
/// Prefixes that are looked into.
const PREFIXES_MAX: usize = 20_000;
/// Pages of a day's listing; with more the newest of these counts.
const PAGES_MAX: usize = 50;

/// The folders of a source.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By account and region.
    pub(super) folders: BTreeMap<(String, String), Vec<Folder>>,
    /// How keys are laid out, for people.
    pub(super) layouts: BTreeSet<String>,
    /// There are more prefixes than were looked into.
    pub(super) cut_short: bool,
}

/// Lists prefixes down to the regions. A prefix above `AWSLogs` that may not be listed is passed over, as the agent does.
pub(super) async fn find(
    store: &dyn ObjectStore,
    takes: impl Fn(&Folder) -> bool,
    context: &Context,
) -> Result<Found, Error> {
    let mut found = Found::default();
    let mut denied = None;
    let mut looked = 0;
    let mut waiting = vec!["AWSLogs/".to_owned(), String::new()];
    let mut running = FuturesUnordered::new();
    loop {
        while let Some(prefix) = waiting.pop() {
            looked += 1;
            if looked > PREFIXES_MAX {
                found.cut_short = true;
                break;
            }
            running.push(async move { (children(store, &prefix, context).await, prefix) });
        }
        let Some((listed, prefix)) = running.next().await else { break };
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) if *error.kind() == ErrorKind::Denied && !prefix.contains("AWSLogs/") => {
                denied = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        for child in listed {
            // The one in the root is looked into by its name.
            if prefix.is_empty() && child == "AWSLogs/" {
                continue;
            }
            if let Some(folder) = Folder::parse(&child) {
                if takes(&folder) {
                    found.layouts.insert(folder.layout().to_string());
                    found.folders.entry((folder.account.clone(), folder.region.clone())).or_default().push(folder);
                }
            } else if leads_to_folders(&child) {
                waiting.push(child);
            }
        }
    }
    match denied {
        Some(error) if found.folders.is_empty() => Err(error),
        _ => Ok(found),
    }
}

/// Whether folders can lie below a prefix that is none.
fn leads_to_folders(prefix: &str) -> bool {
    let parts: Vec<&str> = prefix.trim_end_matches('/').split('/').collect();
    let is_account = |part: &str| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_digit());
    match parts.iter().rposition(|part| *part == "AWSLogs") {
        None => parts.len() <= ABOVE_MAX,
        Some(at) => match parts[at + 1..] {
            [] => true,
            [one] => one.starts_with("o-") || is_account(one),
            [one, two] if one.starts_with("o-") => is_account(two),
            [one, two] => is_account(one) && Kind::from_folder(two).is_some(),
            [one, two, three] => one.starts_with("o-") && is_account(two) && Kind::from_folder(three).is_some(),
            _ => false,
        },
    }
}

/// The newest object of a folder; none where it holds none under CloudTrail's names.
pub(super) async fn newest(
    store: &dyn ObjectStore,
    folder: &Folder,
    context: &Context,
) -> Result<Option<ObjectMeta>, Error> {
    let mut day = folder.path();
    for _ in ["year", "month", "day"] {
        let names = children(store, &day, context).await?;
        let dated = |name: &&String| name[day.len()..].trim_end_matches('/').bytes().all(|byte| byte.is_ascii_digit());
        match names.iter().rfind(dated) {
            Some(last) => day.clone_from(last),
            None => return Ok(None),
        }
    }
    let mut request = ListRequest { prefix: day, ..ListRequest::default() };
    let mut newest = None;
    for _ in 0..PAGES_MAX {
        let page = context.call("list", &request.prefix, store.list(&request)).await?;
        let named = page.objects.into_iter().filter_map(|meta| Some((stamp(&meta.key)?, meta)));
        newest = named.chain(newest).max_by_key(|(stamp, _)| *stamp);
        match page.next {
            Some(next) => request.continuation = Some(next),
            None => break,
        }
    }
    Ok(newest.map(|(_, meta)| meta))
}

/// Unix seconds of the stamp in a key.
fn stamp(key: &str) -> Option<i64> {
    match classify(key) {
        ObjectKey::Log(log) | ObjectKey::Insight(log) => Some(log.stamp.unix_seconds()),
        ObjectKey::Digest(digest) => Some(digest.end.unix_seconds()),
        // Signed for another time than its name says first.
        ObjectKey::BackfillDigest(_) | ObjectKey::Foreign => None,
    }
}

/// The prefixes right below one, in byte order.
async fn children(store: &dyn ObjectStore, prefix: &str, context: &Context) -> Result<Vec<String>, Error> {
    let mut request = ListRequest { prefix: prefix.to_owned(), delimiter: Some('/'), ..ListRequest::default() };
    let mut children = Vec::new();
    loop {
        let page = context.call("list", &store.location().object(prefix), store.list(&request)).await?;
        children.extend(page.common_prefixes);
        match page.next {
            Some(next) if children.len() < PREFIXES_MAX => request.continuation = Some(next),
            _ => return Ok(children),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_hold_folders_is_looked_into() {
        for yes in [
            "AWSLogs/",
            "a/b/",
            "a/AWSLogs/",
            "AWSLogs/111122223333/",
            "AWSLogs/o-exampleorg1/",
            "AWSLogs/o-exampleorg1/111122223333/",
            "AWSLogs/111122223333/CloudTrail/",
            "o-exampleorg1/AWSLogs/o-exampleorg1/111122223333/CloudTrail-Digest/",
        ] {
            assert!(leads_to_folders(yes), "{yes}");
        }
        for no in
            ["a/b/c/d/e/", "AWSLogs/Config/", "AWSLogs/111122223333/elasticloadbalancing/", "AWSLogs/o-exampleorg1/x/"]
        {
            assert!(!leads_to_folders(no), "{no}");
        }
    }
}
