//! The log sink seam: events with a time and a message, appended to a stream of a group, as CloudWatch Logs has it.
//!
//! Owns: the trait, its promises, and CloudWatch Logs' documented limits. Does not own: how events are batched under
//! them, nor what a message holds.
//!
//! Promises of every implementation, judged by `conformance::log_sink`: a batch over a limit is `Malformed` and nothing
//! of it is stored; an absent group or stream is `ContainerMissing`; `ensure` creates both and may be repeated; events
//! out of the accepted age are named in the outcome, the others are stored.

pub(crate) mod cloudwatch;
#[cfg(any(test, feature = "fake"))]
pub(crate) mod fake;
mod group;
pub(crate) mod local;

pub use cloudwatch::CloudWatchSink;
#[cfg(any(test, feature = "fake"))]
pub use fake::FakeSink;
pub use group::{LogGroup, check_stream_name};
pub use local::{LocalSink, Rotation};

use crate::{Error, ErrorKind};
use async_trait::async_trait;
use std::fmt::Debug;
use std::ops::Range;
use std::time::Duration;

/// Most bytes in a batch: the messages' UTF-8 bytes and `EVENT_OVERHEAD` for each. Source of this and the following:
/// CloudWatch Logs API reference, PutLogEvents.
pub const BATCH_BYTES_MAX: usize = 1_048_576;
/// What each event counts beyond its message.
pub const EVENT_OVERHEAD: usize = 26;
/// Most events in a batch.
pub const BATCH_EVENTS_MAX: usize = 10_000;
/// Most bytes in one message. (A batch of one such event is over `BATCH_BYTES_MAX`.)
pub const MESSAGE_BYTES_MAX: usize = 1_048_576;
/// Most time between the first and the last event of a batch.
pub const BATCH_SPAN_MAX: Duration = Duration::from_secs(24 * 3600);
/// Older events are rejected, the batch's others are not.
pub const AGE_MAX: Duration = Duration::from_secs(14 * 24 * 3600);
/// Events further in the future are rejected, the batch's others are not.
pub const AHEAD_MAX: Duration = Duration::from_secs(2 * 3600);

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Any text but the empty one.
    pub message: String,
}

/// Why some events of an accepted batch were not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Older than `AGE_MAX`.
    TooOld,
    /// Older than the group keeps events.
    Expired,
    /// More than `AHEAD_MAX` in the future.
    TooNew,
}

/// What became of a batch that was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOutcome {
    /// The events that were not stored, as ranges of the batch's indexes, with the reason. Ranges may overlap.
    pub rejected: Vec<(Range<usize>, Rejection)>,
}

impl PutOutcome {
    /// Was this event of the batch stored?
    pub fn is_stored(&self, index: usize) -> bool {
        !self.rejected.iter().any(|(range, _)| range.contains(&index))
    }
}

/// A place that keeps streams of log events.
#[async_trait]
pub trait LogSink: Send + Sync + Debug {
    /// Creates the group and the stream where they are absent.
    async fn ensure(&self, group: &str, stream: &str) -> Result<(), Error>;

    /// Appends a batch of events, oldest first. At least once: after an error that is retried the same events can be
    /// stored twice.
    async fn put(&self, group: &str, stream: &str, events: &[LogEvent]) -> Result<PutOutcome, Error>;
}

/// Refuses what CloudWatch Logs would: every implementation asks here first, so that a batch good for one is good for all.
pub(crate) fn check(group: &str, stream: &str, events: &[LogEvent]) -> Result<(), Error> {
    let malformed = |why: String| Err(Error::new(ErrorKind::Malformed, "put to", subject(group, stream)).detail(why));
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return malformed("a batch has at least one event".into());
    };
    if events.len() > BATCH_EVENTS_MAX {
        return malformed(format!("{} events, at most {BATCH_EVENTS_MAX} go in a batch", events.len()));
    }
    let bytes: usize = events.iter().map(|event| event.message.len() + EVENT_OVERHEAD).sum();
    if bytes > BATCH_BYTES_MAX {
        return malformed(format!("{bytes} bytes with {EVENT_OVERHEAD} for each event, at most {BATCH_BYTES_MAX}"));
    }
    if let Some(index) = events.iter().position(|event| event.message.is_empty()) {
        return malformed(format!("event {index} has no message"));
    }
    if let Some(index) = events.windows(2).position(|pair| pair[0].timestamp_ms > pair[1].timestamp_ms) {
        return malformed(format!("event {} is older than the one before it", index + 1));
    }
    if last.timestamp_ms.abs_diff(first.timestamp_ms) as u128 > BATCH_SPAN_MAX.as_millis() {
        return malformed("more than 24 hours between the first and the last event".into());
    }
    Ok(())
}

/// A stream's name in messages.
pub(crate) fn subject(group: &str, stream: &str) -> String {
    format!("log stream {group}/{stream}")
}
