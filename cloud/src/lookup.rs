//! The event history seam: an account's events of the last 90 days in one region, a page at a time.
//!
//! Owns: the trait, its bounds, and an event as it is listed. Does not own: the rate of calls (2 a second in each account
//! and region, whoever makes them), nor what windows are asked for.

pub(crate) mod cloudtrail;
#[cfg(any(test, feature = "fake"))]
pub(crate) mod fake;

pub use cloudtrail::CloudTrailLookup;
#[cfg(any(test, feature = "fake"))]
pub use fake::FakeLookup;

use crate::{Connection, Error};
use async_trait::async_trait;
use jiff::Timestamp;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// Most events on a page. Source of this and the following: CloudTrail API reference, LookupEvents.
pub const PAGE_EVENTS_MAX: usize = 50;
/// How far back events are kept.
pub const HISTORY: Duration = Duration::from_secs(90 * 24 * 3600);
/// Most calls a second in an account and region; more are throttled.
pub const CALLS_PER_SECOND: u32 = 2;

/// Which events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Category {
    /// Management events.
    #[default]
    Management,
    /// Insights events of the account's trails.
    Insight,
}

/// What to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRequest {
    /// The earliest event time, inclusive, to the second.
    pub start: Timestamp,
    /// The latest event time, inclusive, to the second.
    pub end: Timestamp,
    /// Which events.
    pub category: Category,
    /// The page to go on with: `next` of the page before, with the other fields as they were.
    pub continuation: Option<String>,
}

/// An event as it is listed. Any member may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryEvent {
    /// The event's id.
    pub id: Option<String>,
    /// When it happened, to the second.
    pub time: Option<Timestamp>,
    /// The whole record as JSON text, byte for byte as it was served.
    pub record: Option<String>,
}

/// A page of events, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookupPage {
    /// At most `PAGE_EVENTS_MAX`.
    pub events: Vec<HistoryEvent>,
    /// Where the next page starts; `None` on the last. A page can be empty and have a next one.
    pub next: Option<String>,
}

/// The event history of one account in one region.
#[async_trait]
pub trait Lookup: Send + Sync + Debug {
    /// One page. An error can mean that the region is closed to the account: [`crate::regions::Closed::of`] tells.
    async fn page(&self, request: &LookupRequest) -> Result<LookupPage, Error>;
}

/// The event history of a region, whatever the connection's own is. Calls nothing yet.
pub async fn open_lookup(region: &str, connection: &Connection) -> Result<Arc<dyn Lookup>, Error> {
    Ok(Arc::new(CloudTrailLookup::open(region, connection).await?))
}
