//! One listing of one folder, from its watermark on.
//!
//! Owns what a key means, the order *claim, hand on, note how far the listing came*, and that a page is asked for only
//! when the intake has room for the folder's objects. Objects that are not handed on lose their claims and come again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::civil::Date;
use orgtrail_cloud::object_store::{ListRequest, ObjectMeta};

use super::Context;
use super::rhythm::Found;
use crate::checkpoint::{Claimed, Listed, ListedTo, Verdict};
use crate::object::{Named, ObjectRef, SourceFolder};

/// How long a notification may be under way. What a listing finds sooner, in a source that has them, it only found first.
const NOTIFIED_WITHIN: Duration = Duration::from_secs(10 * 60);

/// How a listing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Polled {
    /// It reached the end of the folder.
    Complete(Found),
    /// A request failed, or objects of the folder cannot be fetched.
    Failed,
    /// Nobody takes objects any more: the process is ending.
    Closed,
}

pub(super) async fn poll(context: Arc<Context>, folder: Arc<SourceFolder>) -> anyhow::Result<Polled> {
    folder.begin_round();
    let began = context.clock.now();
    let mut request = ListRequest { prefix: folder.path.clone(), ..ListRequest::default() };
    let closed = context.checkpoint.closed_through(folder.id);
    request.start_after = closed.and_then(|closed| key_before(&folder, closed));
    let (mut news, mut handed, mut empty) = (false, false, true);
    // Where no open day holds anything, nothing has come since the last closed one.
    let mut newest = closed.and_then(end_of);
    loop {
        let page = context.list(&folder.source, Some(&folder), &request).await;
        let Ok((page, Some(places))) = page else { return Ok(Polled::Closed) };
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                folder.failed(&context.health, &error.to_string());
                return Ok(Polled::Failed);
            }
        };
        empty &= page.objects.is_empty();
        newest = page.objects.iter().map(|object| object.last_modified).chain(newest).max();
        let (claimed, seen_to) = claim(&context, &folder, page.objects).await?;
        news |= is_news(&folder, &claimed, began);
        request.continuation = page.next;
        let objects: Vec<_> =
            claimed.taken.into_iter().filter_map(|(listed, claim)| ObjectRef::listed(&folder, listed, claim)).collect();
        // Before the page is handed on: what is let go meanwhile comes with the next listing.
        let others = if request.continuation.is_none() && !folder.is_failing() {
            unnamed(&context, &folder).await?
        } else {
            Vec::new()
        };
        handed |= !objects.is_empty() || !others.is_empty();
        if !objects.is_empty() && folder.is_failing() {
            return Ok(Polled::Failed);
        }
        if places.put(objects).is_err() {
            return Ok(Polled::Closed);
        }
        for object in others {
            if context.out.pass(object).await.is_err() {
                return Ok(Polled::Closed);
            }
        }
        let to = if request.continuation.is_none() { Some(ListedTo::End) } else { seen_to.map(ListedTo::Before) };
        if let Some(to) = to {
            let (context, id) = (Arc::clone(&context), folder.id);
            let noted = tokio::task::spawn_blocking(move || context.checkpoint.listed(id, began, to));
            noted.await.context("note a listing")??;
        }
        if request.continuation.is_none() {
            folder.was_listed(began);
            if !handed {
                folder.succeeded(&context.health);
            }
            let silence =
                newest.map_or(Duration::MAX, |at| Duration::try_from(began.duration_since(at)).unwrap_or_default());
            return Ok(Polled::Complete(Found { news, handed, empty, silence }));
        }
    }
}

/// Whether the folder should be listed more often for what a page brought.
fn is_news(folder: &SourceFolder, claimed: &Claimed, began: Timestamp) -> bool {
    if !folder.source.notified {
        return claimed.new > 0;
    }
    let missed = began.checked_sub(NOTIFIED_WITHIN).unwrap_or(began);
    claimed.new > 0 && claimed.taken.iter().any(|(listed, _)| listed.last_modified < missed)
}

/// Claims a page; answers also the day that the page ends in.
async fn claim(
    context: &Arc<Context>,
    folder: &Arc<SourceFolder>,
    objects: Vec<ObjectMeta>,
) -> anyhow::Result<(Claimed, Option<Date>)> {
    let (context, folder) = (Arc::clone(context), Arc::clone(folder));
    let claimed = tokio::task::spawn_blocking(move || {
        let page: Vec<_> = objects.into_iter().filter_map(|object| listed(&folder, object)).collect();
        // Keys come in byte order, so the days before the last one are complete.
        let day = page.last().map(|listed| listed.day);
        context.checkpoint.claim(folder.id, page).map(|claimed| (claimed, day))
    });
    Ok(claimed.await.context("claim a page")??)
}

/// Objects that were claimed and that the folder does not hold any more: the fetch finds out what became of them.
async fn unnamed(context: &Arc<Context>, folder: &Arc<SourceFolder>) -> anyhow::Result<Vec<ObjectRef>> {
    let (checkpoint, id) = (Arc::clone(&context.checkpoint), folder.id);
    let unnamed = tokio::task::spawn_blocking(move || checkpoint.unnamed(id)).await.context("look for claims")??;
    Ok(unnamed.into_iter().filter_map(|detached| ObjectRef::detached(Arc::clone(folder), detached)).collect())
}

/// What an object is to the agent. `None` for what lies beside the day folders, which is nothing that CloudTrail delivered.
pub(crate) fn listed(folder: &SourceFolder, object: ObjectMeta) -> Option<Listed> {
    let day = day(object.key.strip_prefix(&folder.path)?)?;
    let verdict = match Named::read(&object.key) {
        Some(named) if named.is_digest() && folder.source.keyring.is_none() => Verdict::Skip("digest"),
        Some(named) => Verdict::Take { stamp: named.stamp },
        None => Verdict::Skip("foreign"),
    };
    let ObjectMeta { key, size, etag, last_modified } = object;
    let last_modified: Timestamp = last_modified;
    Some(Listed { key, day, size, etag, last_modified, verdict })
}

/// `YYYY/MM/DD/…`
fn day(rest: &str) -> Option<Date> {
    let mut parts = rest.splitn(4, '/');
    let mut number = |digits: usize| {
        let text = parts.next()?;
        (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(())?;
        text.parse::<i16>().ok()
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    parts.next()?;
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// Midnight after the day, UTC.
fn end_of(day: Date) -> Option<Timestamp> {
    day.tomorrow().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// A key before all of the days after `closed`, and after all of those up to it.
pub(crate) fn key_before(folder: &SourceFolder, closed: Date) -> Option<String> {
    let next = folder.folder.day_path(closed.tomorrow().ok()?);
    Some(next.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn days_are_read_from_keys_of_day_folders_only() {
        assert_eq!(day("2024/02/29/x.json.gz"), Some(date(2024, 2, 29)));
        assert_eq!(day("2024/02/29/"), Some(date(2024, 2, 29)), "the console's folder marker");
        for beside in ["", "x.json.gz", "2023/02/29/x", "2024/2/29/x", "2024/02/29", "2024/02/+1/x"] {
            assert_eq!(day(beside), None, "{beside}");
        }
    }
}
