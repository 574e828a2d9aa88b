//! A source of an agent: credentials, bucket, folders; then each account and region.

use std::collections::BTreeSet;

use orgtrail_agent::{DigestKeys, Source, SourceKind};
use orgtrail_cloud::ErrorKind;
use orgtrail_cloud::object_store::ListRequest;
use orgtrail_cloud::partition::Partition;
use orgtrail_event::digest::PublicKeys;
use orgtrail_event::key::Kind;

use super::check::{Advice, Chain, Check};
use super::folders::{self, Found};
use super::region::{Digests, Region, region};
use super::statement::Wanted;
use super::{Context, Job, credentials, history, store};

const FOLDERS: &str = "list";
const DIGEST_KEYS: &str = "digest keys";

/// Of exported logs, a file up to this size is read.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// A list of public keys is some hundred bytes a key; the agent's own bound.
const KEYS_BYTES_MAX: u64 = 4 << 20;

/// Walks one `[[sources]]` table.
pub(super) async fn source(config: &Source, context: &Context) -> Vec<Check> {
    if config.kind == SourceKind::LookupEvents {
        return history::history(config, context).await;
    }
    let mut chain = Chain::new(format!("source {}", config.name()));
    let Some(location) = &config.location else { return chain.end() };
    let connection = &config.connection;
    let roles = connection.roles();
    let mut named = vec![("region", connection.region.as_deref().map(Partition::of_region))];
    named.extend(roles.iter().map(|role| (role.role_arn.as_str(), Partition::of_arn(&role.role_arn))));
    if !credentials::one_partition(&named, &mut chain) {
        chain.skip_all(&["credentials", "bucket", FOLDERS, "newest", "get"]);
        return chain.end();
    }
    let keys = digest_keys(config, &mut chain);
    let Some(place) = store::reach(location, connection, &mut chain, context).await else {
        chain.skip_all(&[FOLDERS, "newest", "get"]);
        return chain.end();
    };
    if config.kind == SourceKind::ExportedLogs {
        any_file(&place, &mut chain, context).await;
        return chain.end();
    }
    let takes = |folder: &orgtrail_event::key::Folder| {
        (config.accounts.is_empty() || config.accounts.contains(&folder.account))
            && (config.regions.is_empty() || config.regions.contains(&folder.region))
    };
    let found = match folders::find(place.store.as_ref(), takes, context).await {
        Ok(found) => found,
        Err(error) => {
            chain.fail(FOLDERS, error.to_string(), place.advice(&error, Wanted::list));
            chain.skip_all(&["newest", "get"]);
            return chain.end();
        }
    };
    tell(config, &found, &mut chain);
    let regions = found.folders.into_iter().map(|((account, region), folders)| Region {
        subject: format!("source {} {account}/{region}", config.name()),
        account,
        region,
        folders,
    });
    let regions: Vec<Region> = regions.collect();
    let (place, keys) = (&place, &keys);
    let jobs = regions.iter().map(|one| Box::pin(region(one, place, keys, connection, context)) as Job<'_>);
    let mut checks = chain.end();
    checks.extend(context.all(jobs.collect()).await);
    checks
}

/// Exported logs are files of any names: is there one, and can it be read?
async fn any_file(place: &store::Place, chain: &mut Chain, context: &Context) {
    let page = context.call("list", "files", place.store.list(&ListRequest::default())).await;
    let first = match page {
        Ok(page) => page.objects.into_iter().next(),
        Err(error) => {
            chain.fail(FOLDERS, error.to_string(), place.advice(&error, Wanted::list));
            return chain.skip_all(&["get"]);
        }
    };
    let Some(first) = first else {
        return chain.warn(FOLDERS, "no file is here", vec![Advice::text("look at `location`")]);
    };
    chain.ok(FOLDERS, format!("there are files, the first is {}", first.key));
    match context.call("get", &first.key, place.store.get(&first.key, FILE_BYTES_MAX)).await {
        Ok(object) => chain.ok("get", format!("{} bytes", object.bytes.len())),
        Err(error) if matches!(error.kind(), ErrorKind::TooLarge { .. }) => {
            chain.ok("get", format!("{} bytes, too many to read them here", first.size));
        }
        Err(error) => chain.fail("get", error.to_string(), place.advice(&error, Wanted::read)),
    }
}

/// What was found, and whose logs are not there.
fn tell(config: &Source, found: &Found, chain: &mut Chain) {
    if found.folders.is_empty() {
        let text = "look at `location` (it must hold AWSLogs/, or up to four levels of prefixes above one), and at `accounts` and \
                    `regions`; a new trail delivers within about 15 minutes";
        chain.warn(FOLDERS, "no account and region is delivered here", vec![Advice::text(text)]);
        return;
    }
    let accounts: BTreeSet<&str> = found.folders.keys().map(|(account, _)| account.as_str()).collect();
    let layouts: Vec<&str> = found.layouts.iter().map(String::as_str).collect();
    let regions = found.folders.len();
    let detail = format!("accounts: {}, regions of all: {regions}, layout: {}", accounts.len(), layouts.join(", "));
    let silent: Vec<&str> =
        config.accounts.iter().map(String::as_str).filter(|account| !accounts.contains(account)).collect();
    if found.cut_short {
        let text = "point `location` closer to AWSLogs/";
        chain.warn(FOLDERS, format!("{detail}; not every prefix was looked into"), vec![Advice::text(text)]);
    } else if silent.is_empty() {
        chain.ok(FOLDERS, detail);
    } else {
        let text = "look at the number, and whether a trail of the account delivers here";
        chain.warn(FOLDERS, format!("{detail}; nothing of {}", silent.join(", ")), vec![Advice::text(text)]);
    }
}

/// How digests are to be verified, with a file's keys read.
fn digest_keys(config: &Source, chain: &mut Chain) -> Digests {
    let path = match &config.digest_keys {
        None => return Digests::Unverified,
        Some(DigestKeys::Api) => return Digests::Api,
        Some(DigestKeys::File(path)) => path,
    };
    let read = match std::fs::metadata(path) {
        Ok(file) if file.len() > KEYS_BYTES_MAX => Err("larger than a list of keys is".to_owned()),
        Ok(_) => std::fs::read(path).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let keys = read.and_then(|json| PublicKeys::from_json(&json).map_err(|error| error.to_string()));
    let make = || {
        let text = "write it anew: aws cloudtrail list-public-keys --start-time … --end-time … --region …, a file of all regions; or \
                    digest_keys = \"api\"";
        vec![Advice::text(text)]
    };
    match keys {
        Err(error) => {
            chain.fail(DIGEST_KEYS, format!("read {}: {error}", path.display()), make());
            Digests::Unreadable
        }
        Ok(keys) if keys.is_empty() => {
            chain.warn(DIGEST_KEYS, format!("{} holds no key", path.display()), make());
            Digests::Keys(keys)
        }
        Ok(keys) => {
            chain.ok(DIGEST_KEYS, format!("{} keys in {}", keys.iter().count(), path.display()));
            Digests::Keys(keys)
        }
    }
}

/// The kinds that hold log files, in the order in which one is looked for.
pub(super) const LOGS: [Kind; 4] = [Kind::Log, Kind::NetworkActivity, Kind::Aggregated, Kind::Insight];
