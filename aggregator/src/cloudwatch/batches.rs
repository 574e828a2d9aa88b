//! Which records CloudWatch Logs takes, and in which batches. Pure: time is an argument.
//!
//! Limits come from the CloudWatch Logs API reference (PutLogEvents) and stand in `orgtrail_cloud::log_sink`; that of one
//! record is CloudTrail's own.

use orgtrail_cloud::log_sink::{
    AGE_MAX, AHEAD_MAX, BATCH_BYTES_MAX, BATCH_EVENTS_MAX, BATCH_SPAN_MAX, EVENT_OVERHEAD, LogEvent, Rejection,
};
use orgtrail_event::record::Category;

use super::pointer::Pointer;

/// Longest record: CloudTrail sends none over 256 KB to CloudWatch Logs (CloudTrail user guide, quotas).
pub(crate) const RECORD_BYTES_MAX: usize = 256 * 1024;

/// Why a record isn't sent. The trail's objects hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reason {
    /// CloudTrail doesn't send its category to CloudWatch Logs.
    NotSupported,
    /// Over [`RECORD_BYTES_MAX`].
    TooLarge,
    /// Older than 14 days.
    TooOld,
    /// More than 2 hours ahead.
    TooNew,
    /// Older than the log group keeps events.
    Expired,
    /// Brought by a backfill that isn't for log groups.
    Backfill,
}

impl Reason {
    /// The word in the ledger, in metrics and in pointer records.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotSupported => "not_supported",
            Self::TooLarge => "too_large",
            Self::TooOld => "too_old",
            Self::TooNew => "too_new",
            Self::Expired => "expired",
            Self::Backfill => "backfill",
        }
    }

    /// What an operator is told the first time.
    pub(crate) fn explanation(self) -> &'static str {
        match self {
            Self::NotSupported => {
                "network activity and aggregated events are not sent, as CloudTrail doesn't send them"
            }
            Self::TooLarge => "records over 256 KB are not sent, as CloudTrail doesn't send them",
            Self::TooOld => "CloudWatch Logs takes no events older than 14 days",
            Self::TooNew => "CloudWatch Logs takes no events more than 2 hours ahead; is this machine's clock right?",
            Self::Expired => "the log group keeps events for a shorter time than these are old",
            Self::Backfill => "a backfill leaves log groups alone unless it is begun with --log-groups",
        }
    }
}

impl From<Rejection> for Reason {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::TooOld => Self::TooOld,
            Rejection::Expired => Self::Expired,
            Rejection::TooNew => Self::TooNew,
        }
    }
}

/// Why a record of this category, time and length isn't sent now; None: it is.
///
/// `by_age` is false for a folder, which takes events of any age.
pub(crate) fn diverted(category: &Category, time_ms: i64, bytes: usize, now_ms: i64, by_age: bool) -> Option<Reason> {
    if matches!(category, Category::NetworkActivity | Category::Aggregated) {
        return Some(Reason::NotSupported);
    }
    // Before the size: the pointer of a large record carries the record's own time, which must be one that is taken.
    if by_age && time_ms < now_ms.saturating_sub(millis(AGE_MAX)) {
        return Some(Reason::TooOld);
    }
    if by_age && time_ms > now_ms.saturating_add(millis(AHEAD_MAX)) {
        return Some(Reason::TooNew);
    }
    (bytes > RECORD_BYTES_MAX).then_some(Reason::TooLarge)
}

/// What is sent, with where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) log: LogEvent,
    pub(crate) origin: Origin,
}

impl Event {
    /// A short record in place of one of this object.
    pub(crate) fn pointer(object: usize, pointer: &Pointer, reason: Reason, timestamp_ms: i64) -> Self {
        let log = LogEvent { timestamp_ms, message: pointer.message(reason) };
        Self { log, origin: Origin::Pointer { object } }
    }
}

/// Where an event comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A record.
    Record {
        /// Index of its object in the range that is read.
        object: usize,
        /// What is sent in its place if it is rejected after all; None where no pointers are sent.
        pointer: Option<Box<Pointer>>,
    },
    /// A short record in place of another, which was counted.
    Pointer {
        /// As above.
        object: usize,
    },
}

impl Origin {
    /// Index of the object in the range that is read.
    pub(crate) fn object(&self) -> usize {
        match self {
            Self::Record { object, .. } | Self::Pointer { object } => *object,
        }
    }
}

/// Events that go in one call, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) events: Vec<LogEvent>,
    /// For each event where it comes from.
    pub(crate) origins: Vec<Origin>,
}

/// Sorts events by time and cuts them into batches that are within every limit. Of the same time, the order stays.
pub(crate) fn batches(mut events: Vec<Event>) -> Vec<Batch> {
    events.sort_by_key(|event| event.log.timestamp_ms);
    let mut batches: Vec<Batch> = Vec::new();
    let mut bytes = 0;
    for Event { log, origin } in events {
        let len = log.message.len() + EVENT_OVERHEAD;
        let fits = batches.last().is_some_and(|batch| {
            batch.events.len() < BATCH_EVENTS_MAX
                && bytes + len <= BATCH_BYTES_MAX
                && log.timestamp_ms.abs_diff(batch.events[0].timestamp_ms) <= millis(BATCH_SPAN_MAX).unsigned_abs()
        });
        if !fits {
            batches.push(Batch::default());
            bytes = 0;
        }
        bytes += len;
        let batch = batches.last_mut().expect("one was just made");
        batch.events.push(log);
        batch.origins.push(origin);
    }
    batches
}

fn millis(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
