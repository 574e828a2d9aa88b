//! The objects of a stretch of days in one folder, page by page.
//!
//! Owns what is asked for, and that a source that refuses is asked again and again. A page's turn is kept until the next is
//! asked for, so there are never more pages in memory than listings at once.

use std::time::Duration;

use jiff::civil::Date;
use orgtrail_cloud::object_store::ListRequest;
use tokio::sync::SemaphorePermit;
use tokio::time::sleep;

use super::{PART, Stage, Stop, Work};
use crate::checkpoint::Listed;
use crate::discover::{key_before, listed};
use crate::object::SourceFolder;

const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_LAST: Duration = Duration::from_secs(60);

/// A listing under way.
pub(super) struct Pages<'a> {
    stage: &'a Stage,
    folder: &'a SourceFolder,
    first: Date,
    last: Date,
    /// None when the end was reached.
    request: Option<ListRequest>,
    turn: Option<SemaphorePermit<'a>>,
    /// Requests so far.
    pub(super) requests: u64,
}

impl Work {
    /// Both days inclusive.
    pub(super) fn pages<'a>(&'a self, folder: &'a SourceFolder, (first, last): (Date, Date)) -> Pages<'a> {
        let start_after = first.yesterday().ok().and_then(|before| key_before(folder, before));
        let request = Some(ListRequest { prefix: folder.path.clone(), start_after, ..ListRequest::default() });
        Pages { stage: &self.stage, folder, first, last, request, turn: None, requests: 0 }
    }
}

impl Pages<'_> {
    /// The next page; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Listed>>, Stop> {
        let context = &self.stage.context;
        let mut backoff = BACKOFF_FIRST;
        self.turn = None;
        let Some(mut request) = self.request.take() else { return Ok(None) };
        let page = loop {
            let turn = self.stage.listings.acquire().await.map_err(|_| Stop::Stopping)?;
            self.requests += 1;
            match context.list(&self.folder.source, None, &request).await?.0 {
                Ok(page) => {
                    self.turn = Some(turn);
                    break page;
                }
                Err(error) => {
                    drop(turn);
                    let SourceFolder { source, path, .. } = self.folder;
                    tracing::warn!(source.name = source.name, folder.path = path, error = %error, "a backfill cannot list, trying again");
                    context.health.set_degraded(PART, error.to_string());
                    sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_LAST);
                }
            }
        };
        context.health.set_ok(PART);
        let found: Vec<_> = page.objects.into_iter().filter_map(|object| listed(self.folder, object)).collect();
        let over = found.last().is_some_and(|listed| listed.day > self.last);
        if let Some(next) = page.next.filter(|_| !over) {
            request.continuation = Some(next);
            self.request = Some(request);
        }
        let wanted = |listed: &Listed| self.first <= listed.day && listed.day <= self.last;
        Ok(Some(found.into_iter().filter(wanted).collect()))
    }
}
