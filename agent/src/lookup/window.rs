//! Windows of an event history, and the objects they stand for.
//!
//! Owns how time is cut into windows, a window's key, and when it is read again: pure functions of account, region and
//! time. A window's key never changes; its entity tag does with each *generation*, because events can come late.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use orgtrail_cloud::lookup::HISTORY;
use orgtrail_cloud::object_store::ObjectMeta;
use orgtrail_event::key::{Folder, Kind, LogKey, Stamp, classify};
use xxhash_rust::xxh3::xxh3_128;

/// How much time one object covers. Divides an hour, so that no window lies in two days.
pub(super) const WINDOW: SignedDuration = SignedDuration::from_mins(15);
/// How long after a window's end it is read, and read again: CloudTrail delivers an event within 5 minutes on average,
/// most within 15, and promises nothing (user guide, "How CloudTrail works").
pub(super) const GENERATIONS: [SignedDuration; 3] =
    [SignedDuration::from_mins(15), SignedDuration::from_hours(2), SignedDuration::from_hours(24)];
/// What a window counts as before it is read. Most are smaller.
const SIZE: u64 = 256 << 10;
/// The letters and digits of a unique part, in byte order.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// One window of one account and region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    folder: Folder,
    /// Inclusive.
    pub(super) start: Timestamp,
}

impl Window {
    /// The window that a key names; `None` where it names none.
    pub(super) fn of_key(key: &str) -> Option<Self> {
        let log = classify(key).into_log()?;
        let start = Timestamp::from_second(log.stamp.unix_seconds()).ok()?;
        let window = Self { folder: log.folder, start };
        (window.key() == key).then_some(window)
    }

    pub(super) fn account(&self) -> &str {
        &self.folder.account
    }

    pub(super) fn region(&self) -> &str {
        &self.folder.region
    }

    /// Exclusive.
    pub(super) fn end(&self) -> Timestamp {
        self.start.saturating_add(WINDOW).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn key(&self) -> String {
        let time = self.utc();
        LogKey::new(self.folder.clone(), time.date(), Stamp::new(time), self.unique()).to_string()
    }

    /// Sixteen letters and digits, always the same ones.
    fn unique(&self) -> String {
        let named = format!("{}/{}/{}", self.account(), self.region(), self.start.as_second());
        let mut rest = xxh3_128(named.as_bytes());
        let letter = |_| {
            let letter = ALPHABET[(rest % 62) as usize];
            rest /= 62;
            char::from(letter)
        };
        (0..16).map(letter).collect()
    }

    fn utc(&self) -> DateTime {
        self.start.to_zoned(TimeZone::UTC).datetime()
    }

    /// How often it has been due to be read by now; 0 while it has not settled.
    pub(super) fn generation(&self, now: Timestamp) -> usize {
        let age = now.duration_since(self.end());
        GENERATIONS.iter().filter(|delay| age >= **delay).count()
    }

    /// What a listing tells of it; `None` while it has not settled.
    pub(super) fn meta(&self, now: Timestamp) -> Option<ObjectMeta> {
        let generation = self.generation(now);
        let delay = GENERATIONS.get(generation.checked_sub(1)?)?;
        Some(ObjectMeta {
            key: self.key(),
            size: SIZE,
            etag: format!("reading-{generation}"),
            last_modified: self.end().saturating_add(*delay).unwrap_or(Timestamp::MAX),
        })
    }
}

/// The windows of one account and region that have settled, oldest first; their keys are in byte order.
#[derive(Debug, Clone)]
pub(super) struct Windows {
    folder: Folder,
    first: i64,
    len: usize,
    now: Timestamp,
}

impl Windows {
    /// All that the event history still has whole.
    pub(super) fn new(account: &str, region: &str, now: Timestamp) -> Self {
        let folder = Folder {
            prefix: String::new(),
            organization_id: None,
            account: account.to_owned(),
            kind: Kind::Log,
            region: region.to_owned(),
        };
        let step = WINDOW.as_secs();
        let oldest = now.as_second() - seconds(HISTORY);
        let first = oldest.div_euclid(step) + i64::from(oldest.rem_euclid(step) > 0);
        let settled = now.as_second() - GENERATIONS[0].as_secs();
        let end = settled.div_euclid(step);
        Self { folder, first, len: usize::try_from(end - first).unwrap_or_default(), now }
    }

    pub(super) fn path(&self) -> String {
        self.folder.path()
    }

    fn at(&self, index: usize) -> Window {
        let number = self.first + i64::try_from(index).unwrap_or(i64::MAX);
        let start = Timestamp::from_second(number * WINDOW.as_secs()).unwrap_or(Timestamp::MAX);
        Window { folder: self.folder.clone(), start }
    }

    /// Up to `max` windows after a key and below a prefix; and whether there are more.
    pub(super) fn page(&self, prefix: &str, after: Option<&str>, max: usize) -> (Vec<ObjectMeta>, bool) {
        let before = |key: &str| key < prefix || after.is_some_and(|after| key <= after);
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = usize::midpoint(low, high);
            if before(&self.at(middle).key()) { low = middle + 1 } else { high = middle }
        }
        let mut page = Vec::new();
        for index in low..self.len {
            let Some(meta) = self.at(index).meta(self.now).filter(|meta| meta.key.starts_with(prefix)) else { break };
            if page.len() == max {
                return (page, true);
            }
            page.push(meta);
        }
        (page, false)
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = "AWSLogs/111122223333/CloudTrail/eu-west-1/";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn windows(now: &str) -> Windows {
        Windows::new("111122223333", "eu-west-1", at(now))
    }

    fn all(windows: &Windows) -> Vec<ObjectMeta> {
        windows.page(FOLDER, None, usize::MAX).0
    }

    #[test]
    fn windows_have_keys_as_cloudtrail_has_them_in_byte_order_and_each_is_read_back() {
        let windows = windows("2024-05-01T00:31:00Z");
        assert_eq!(windows.path(), FOLDER);
        let all = all(&windows);
        assert!(all.is_sorted_by(|a, b| a.key < b.key));
        assert_eq!(all.len(), 90 * 96 - 2, "the oldest is not whole, and the newest has not settled");
        let newest = &all.last().unwrap().key;
        assert!(newest.starts_with(&format!("{FOLDER}2024/05/01/111122223333_CloudTrail_eu-west-1_20240501T0000Z_")));
        assert_eq!(
            newest.len(),
            format!("{FOLDER}2024/05/01/111122223333_CloudTrail_eu-west-1_20240501T0000Z_").len() + 24
        );
        for meta in &all {
            assert_eq!(Window::of_key(&meta.key).unwrap().key(), meta.key);
        }
        assert_eq!(Window::of_key(&newest.replace("T0000Z", "T0001Z")), None, "no window begins there");
    }

    #[test]
    fn a_window_is_there_when_it_has_settled_and_changes_when_it_is_due_again() {
        let window = Window::of_key(&all(&windows("2024-05-01T00:31:00Z")).pop().unwrap().key).unwrap();
        assert_eq!((window.start, window.end()), (at("2024-05-01T00:00:00Z"), at("2024-05-01T00:15:00Z")));
        assert_eq!(window.meta(at("2024-05-01T00:29:59Z")), None);
        let tag = |now: &str| window.meta(at(now)).unwrap().etag;
        assert_eq!(tag("2024-05-01T00:30:00Z"), "reading-1");
        assert_eq!(tag("2024-05-01T02:14:59Z"), "reading-1");
        assert_eq!(tag("2024-05-01T02:15:00Z"), "reading-2");
        assert_eq!(tag("2024-05-02T00:15:00Z"), "reading-3");
        assert_eq!(window.meta(at("2024-06-01T00:00:00Z")).unwrap().last_modified, at("2024-05-02T00:15:00Z"));
    }

    #[test]
    fn pages_and_prefixes_together_are_everything_once() {
        let windows = windows("2024-05-01T00:31:00Z");
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let (page, more) = windows.page(FOLDER, after.as_deref(), 1000);
            pages.extend(page);
            after = pages.last().map(|meta: &ObjectMeta| meta.key.clone());
            if !more {
                break;
            }
        }
        assert_eq!(pages, all(&windows));
        let (day, more) = windows.page(&format!("{FOLDER}2024/04/30/"), None, 1000);
        assert_eq!((day.len(), more), (96, false));
        let behind = windows.page(FOLDER, Some(&format!("{FOLDER}2024/04/30")), 1000).0;
        assert_eq!(behind.len(), 97, "a watermark is a key before its days");
    }
}
