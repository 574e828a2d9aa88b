//! Finding digests: which accounts and regions a location has them for, and the keys of a time range.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use orgtrail_cloud::object_store::{ListPage, ListRequest};
use orgtrail_cloud::{Error, ErrorKind, ObjectStore};
use orgtrail_event::identifier::{is_account, is_organization_id};
use orgtrail_event::key::{DigestKey, Folder, Kind, ObjectKey, classify};

use super::time::hours;

/// How deep below the location `AWSLogs/` is looked for. Control Tower's stands one folder down.
const DEPTH_MAX: usize = 3;

/// How many folders are looked through for `AWSLogs/`; a bucket with more is not one of CloudTrail's.
const FOLDERS_MAX: usize = 1000;

/// Which digests are wanted. Empty lists stand for all.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) accounts: Vec<String>,
    pub(super) regions: Vec<String>,
    pub(super) trail: Option<String>,
    pub(super) home_region: Option<String>,
    /// `AWSLogs/` stands right below the location and not deeper.
    pub(super) at_root: bool,
}

/// The digests of one trail for one account and region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Chain {
    pub(super) folder: Folder,
    pub(super) trail: String,
    pub(super) home_region: String,
}

/// The keys of a chain in a time range, in byte order and below the location.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) normal: Vec<String>,
    pub(super) backfill: Vec<String>,
}

/// The folders of digests that are wanted, in order. With one account and region given, their folder is there even where
/// it has no objects, so that their absence is told.
pub(super) async fn folders(store: &dyn ObjectStore, wanted: &Wanted) -> Result<Vec<Folder>, Error> {
    let mut folders = Vec::new();
    for root in roots(store, wanted.at_root).await? {
        for above in above_accounts(store, &root).await? {
            let accounts = match wanted.accounts.as_slice() {
                [] => below(store, &above).await?.into_iter().filter(|name| is_account(name)).collect(),
                given => given.to_vec(),
            };
            for account in accounts {
                let digests = format!("{above}{account}/{}/", Kind::Digest.folder());
                let mut regions = below(store, &digests).await?;
                regions.retain(|region| wanted.regions.is_empty() || wanted.regions.contains(region));
                folders.extend(regions.iter().filter_map(|region| Folder::parse(&format!("{digests}{region}"))));
            }
        }
    }
    for (account, region) in wanted.accounts.iter().flat_map(|a| wanted.regions.iter().map(move |r| (a, r))) {
        if !folders.iter().any(|folder| folder.account == *account && folder.region == *region) {
            let path = format!("AWSLogs/{account}/{}/{region}", Kind::Digest.folder());
            folders.extend(Folder::parse(&path));
        }
    }
    folders.sort();
    Ok(folders)
}

/// The chains of a folder with their keys whose digests end from `start` to an hour after `end`.
pub(super) async fn chains(
    store: &dyn ObjectStore,
    folder: &Folder,
    wanted: &Wanted,
    start: Timestamp,
    end: Timestamp,
) -> Result<BTreeMap<Chain, Keys>, Error> {
    let mut chains: BTreeMap<Chain, Keys> = BTreeMap::new();
    let (start, end) = (start.as_second(), (end + hours(1)).as_second());
    let days = day(start)..=day(end);
    each_key(store, folder, *days.start(), |key| {
        let (digest, backfill) = match classify(key) {
            ObjectKey::Digest(digest) => (digest, false),
            ObjectKey::BackfillDigest(digest) => (digest, true),
            ObjectKey::Log(_) | ObjectKey::Insight(_) | ObjectKey::Foreign => return true,
        };
        if wanted.has(&digest) && (start..=end).contains(&digest.end.unix_seconds()) {
            let chain = Chain { folder: digest.folder.clone(), trail: digest.trail, home_region: digest.home_region };
            let keys = chains.entry(chain).or_default();
            if backfill { &mut keys.backfill } else { &mut keys.normal }.push(key.to_owned());
        }
        digest.date <= *days.end()
    })
    .await?;
    Ok(chains)
}

/// Hands on the keys of a folder from this day on, in order, until `take` says that it has enough.
pub(super) async fn each_key(
    store: &dyn ObjectStore,
    folder: &Folder,
    from: Date,
    mut take: impl FnMut(&str) -> bool,
) -> Result<(), Error> {
    let mut request = ListRequest {
        prefix: folder.path(),
        // The slash that ends the day's path sorts before every file in it.
        start_after: Some(folder.day_path(from)),
        ..ListRequest::default()
    };
    loop {
        let page = list(store, &request).await?;
        if !page.objects.iter().all(|object| take(&object.key)) || page.next.is_none() {
            return Ok(());
        }
        request.continuation = page.next;
    }
}

impl Wanted {
    fn has(&self, digest: &DigestKey) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        is(&self.trail, &digest.trail) && is(&self.home_region, &digest.home_region)
    }
}

/// The paths that end in `AWSLogs/`.
async fn roots(store: &dyn ObjectStore, at_root: bool) -> Result<Vec<String>, Error> {
    let (mut level, mut roots, mut looked_at) = (vec![String::new()], Vec::new(), 0);
    if at_root {
        return Ok(vec!["AWSLogs/".to_owned()]);
    }
    for _ in 0..DEPTH_MAX {
        let mut deeper = Vec::new();
        for path in level {
            looked_at += 1;
            if looked_at > FOLDERS_MAX {
                return Ok(roots);
            }
            for name in below(store, &path).await? {
                match name.as_str() {
                    "AWSLogs" => roots.push(format!("{path}AWSLogs/")),
                    _ => deeper.push(format!("{path}{name}/")),
                }
            }
        }
        level = deeper;
    }
    Ok(roots)
}

/// `AWSLogs/` itself, and the organizations in it.
async fn above_accounts(store: &dyn ObjectStore, root: &str) -> Result<Vec<String>, Error> {
    let mut above = vec![root.to_owned()];
    let names = below(store, root).await?.into_iter().filter(|name| is_organization_id(name));
    above.extend(names.map(|id| format!("{root}{id}/")));
    Ok(above)
}

/// The names right below a path that are paths themselves.
async fn below(store: &dyn ObjectStore, path: &str) -> Result<Vec<String>, Error> {
    let mut request = ListRequest { prefix: path.to_owned(), delimiter: Some('/'), ..ListRequest::default() };
    let mut names = Vec::new();
    loop {
        let page = list(store, &request).await?;
        let found = page.common_prefixes.iter().filter_map(|below| below.strip_prefix(path)?.strip_suffix('/'));
        names.extend(found.map(str::to_owned));
        match page.next {
            Some(next) => request.continuation = Some(next),
            None => return Ok(names),
        }
    }
}

/// A folder that isn't there yet has no keys.
async fn list(store: &dyn ObjectStore, request: &ListRequest) -> Result<ListPage, Error> {
    match store.list(request).await {
        Err(error) if *error.kind() == ErrorKind::NotFound => Ok(ListPage::default()),
        listed => listed,
    }
}

/// The day that a moment (Unix seconds) lies in; the last one where no calendar reaches.
pub(super) fn day(seconds: i64) -> Date {
    Timestamp::from_second(seconds).map_or(Date::MAX, |moment| Offset::UTC.to_datetime(moment).date())
}
