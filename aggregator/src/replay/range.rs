//! Which of a trail's objects a replay takes: those of its own layout whose names carry a time of the range.

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use orgtrail_cloud::Error;
use orgtrail_cloud::object_store::{ListPage, ListRequest, ObjectMeta, ObjectStore};
use orgtrail_event::key::{Folder, Kind, LogKey, classify};

/// Listings at once in search of folders.
const LISTINGS: usize = 16;

/// Times, from the first to before the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    from: i64,
    to: i64,
    /// First day folder that is listed.
    first: Date,
    /// Last one. Names and day folders nearly always agree; a day more on both sides costs a page.
    last: Date,
}

/// A key of a day folder of the range.
#[derive(Debug)]
pub(super) enum Found {
    /// A log file of the range.
    Log(ObjectMeta, LogKey),
    /// No log file.
    Other(ObjectMeta),
}

impl Found {
    pub(super) fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Log(meta, _) | Self::Other(meta) => meta,
        }
    }
}

impl Range {
    pub(super) fn new(from: Timestamp, to: Timestamp) -> Self {
        let day = |time: Timestamp| Offset::UTC.to_datetime(time).date();
        let first = day(from).checked_sub(1.day()).unwrap_or(Date::MIN);
        let last = day(to).checked_add(1.day()).unwrap_or(Date::MAX);
        Self { from: from.as_second(), to: to.as_second(), first, last }
    }

    /// Day folders of one account, kind and region that are looked into.
    pub(super) fn days(&self) -> u64 {
        whole_days(self.first, self.last) + 1
    }

    /// Of those, the ones before a day.
    pub(super) fn days_before(&self, day: Date) -> u64 {
        whole_days(self.first, day).min(whole_days(self.first, self.last))
    }

    /// Where the listing of a folder begins, after what was gone through up to `position`. None: it was gone through.
    pub(super) fn begin(&self, folder: &Folder, position: Option<&str>) -> Option<String> {
        let path = folder.path();
        let first = folder.day_path(self.first);
        match position {
            Some(position) if position.starts_with(&path) => Some(first.max(position.to_owned())),
            Some(position) if *path < *position => None,
            _ => Some(first),
        }
    }

    /// A key after everything of the range in a folder.
    pub(super) fn end(&self, folder: &Folder) -> String {
        let after = self.last.checked_add(1.day()).unwrap_or(Date::MAX);
        folder.day_path(after)
    }

    /// What of a page is to be looked at, in order, and whether the folder has more.
    pub(super) fn choose(&self, folder: &Folder, page: ListPage) -> (Vec<Found>, Option<String>) {
        let end = self.end(folder);
        let over = page.objects.last().is_none_or(|last| last.key >= end);
        let found = page.objects.into_iter().take_while(|meta| meta.key < end).filter_map(|meta| {
            match classify(&meta.key).into_log() {
                Some(key) if (self.from..self.to).contains(&key.stamp.unix_seconds()) => Some(Found::Log(meta, key)),
                Some(_) => None,
                None => Some(Found::Other(meta)),
            }
        });
        (found.collect(), page.next.filter(|_| !over))
    }
}

fn whole_days(from: Date, to: Date) -> u64 {
    from.until(to).ok().and_then(|span| u64::try_from(span.get_days()).ok()).unwrap_or(0)
}

/// The folders of a trail's log files, in the order of their keys. Digests are the destination's own business.
pub(super) async fn folders(store: &dyn ObjectStore, organization_id: Option<&str>) -> Result<Vec<Folder>, Error> {
    let root = organization_id.map_or_else(|| "AWSLogs/".to_owned(), |id| format!("AWSLogs/{id}/"));
    let mut level = vec![root];
    // Accounts, kinds, regions.
    for _ in 0..3 {
        let listings: Vec<_> = level.into_iter().map(|prefix| children(store, prefix)).collect();
        let below: Vec<_> = stream::iter(listings).buffered(LISTINGS).try_collect().await?;
        level = below.into_iter().flatten().filter(|prefix| !prefix.contains(Kind::Digest.folder())).collect();
    }
    let mut folders: Vec<_> = level.iter().filter_map(|path| Folder::parse(path)).collect();
    folders.sort_unstable_by_key(Folder::path);
    Ok(folders)
}

async fn children(store: &dyn ObjectStore, prefix: String) -> Result<Vec<String>, Error> {
    let mut request = ListRequest { prefix, delimiter: Some('/'), ..ListRequest::default() };
    let mut children = Vec::new();
    loop {
        let page = store.list(&request).await?;
        children.extend(page.common_prefixes);
        request.continuation = page.next;
        if request.continuation.is_none() {
            return Ok(children);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use orgtrail_cloud::object_store::{FakeStore, PutOptions};

    use super::*;

    fn range(from: &str, to: &str) -> Range {
        Range::new(from.parse().expect("a time"), to.parse().expect("a time"))
    }

    fn key(kind: &str, day: &str, stamp: &str) -> String {
        format!(
            "AWSLogs/o-a/111122223333/{kind}/us-east-1/2026/03/{day}/111122223333_{kind}_us-east-1_{stamp}Z_AbCdEf0123456789.json.gz"
        )
    }

    fn folder() -> Folder {
        Folder::parse("AWSLogs/o-a/111122223333/CloudTrail/us-east-1/").expect("a folder")
    }

    fn page(keys: &[String]) -> ListPage {
        let meta = |key: &String| ObjectMeta {
            key: key.clone(),
            size: 1,
            etag: String::new(),
            last_modified: Timestamp::UNIX_EPOCH,
        };
        ListPage { objects: keys.iter().map(meta).collect(), common_prefixes: Vec::new(), next: Some("more".into()) }
    }

    #[test]
    fn a_range_takes_its_first_minute_and_not_its_last() {
        let range = range("2026-03-02T10:00:00Z", "2026-03-03T00:00:00Z");
        let keys = [
            key("CloudTrail", "02", "20260302T0959"),
            key("CloudTrail", "02", "20260302T1000"),
            key("CloudTrail", "02", "20260302T2359"),
            key("CloudTrail", "03", "20260302T2358"),
            key("CloudTrail", "03", "20260303T0000"),
        ];
        let (found, next) = range.choose(&folder(), page(&keys));
        assert_eq!(found.iter().map(|found| &found.meta().key).collect::<Vec<_>>(), [&keys[1], &keys[2], &keys[3]]);
        assert!(next.is_some());
    }

    #[test]
    fn a_listing_ends_a_day_after_the_range() {
        let range = range("2026-03-02T00:00:00Z", "2026-03-02T12:00:00Z");
        let stray = "AWSLogs/o-a/111122223333/CloudTrail/us-east-1/2026/03/02/notes.txt".to_owned();
        let keys = [stray.clone(), key("CloudTrail", "04", "20260302T0100")];
        let (found, next) = range.choose(&folder(), page(&keys));
        assert!(matches!(&found[..], [Found::Other(meta)] if meta.key == stray), "{found:?}");
        assert_eq!(next, None);
        assert!(range.begin(&folder(), None).expect("to do").ends_with("/2026/03/01/"));
    }

    #[test]
    fn a_listing_goes_on_behind_what_was_gone_through() {
        let range = range("2026-03-02T00:00:00Z", "2026-03-02T12:00:00Z");
        let position = key("CloudTrail", "02", "20260302T0100");
        assert_eq!(range.begin(&folder(), Some(&position)), Some(position.clone()));
        let next = Folder { region: "us-west-2".into(), ..folder() };
        assert_eq!(range.begin(&next, Some(&position)), Some(next.day_path(range.first)));
        let before = Folder { region: "eu-west-1".into(), ..folder() };
        assert_eq!(range.begin(&before, Some(&position)), None);
        let end = range.end(&folder());
        assert_eq!(range.begin(&folder(), Some(&end)), Some(end.clone()));
    }

    #[test]
    fn days_are_counted_with_one_on_both_sides() {
        let range = range("2026-02-27T23:00:00Z", "2026-03-02T00:00:00Z");
        assert_eq!(range.days(), 6);
        assert_eq!(range.days_before(range.first), 0);
        assert_eq!(range.days_before(Date::constant(2026, 3, 1)), 3);
        assert_eq!(range.days_before(Date::constant(2000, 1, 1)), 0);
        assert_eq!(range.days_before(Date::constant(2030, 1, 1)), 5);
    }

    #[tokio::test]
    async fn folders_are_those_of_the_trails_own_layout_without_digests() {
        let store = FakeStore::new("s3://bucket".parse().expect("a location")).with_page_max(2);
        let foreign = [
            "AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/x.json.gz",
            "AWSLogs/o-a/111122223333/Config/us-east-1/x",
        ];
        let kinds = ["CloudTrail", "CloudTrail-Digest", "CloudTrail-Insight", "CloudTrail-NetworkActivity"];
        let own = kinds.map(|kind| key(kind, "01", "20260301T0000"));
        for key in own.iter().map(String::as_str).chain(foreign) {
            store.put(key, Bytes::new(), &PutOptions::default()).await.expect("put");
        }
        let found = folders(&store, Some("o-a")).await.expect("listed");
        let kinds: Vec<_> = found.iter().map(|folder| folder.kind).collect();
        assert_eq!(kinds, [Kind::Insight, Kind::NetworkActivity, Kind::Log]);
        assert_eq!(folders(&store, None).await.expect("listed").len(), 1);
    }
}
