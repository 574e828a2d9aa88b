//! What every log sink promises.

use crate::ErrorKind;
use crate::log_sink::{
    AGE_MAX, AHEAD_MAX, BATCH_BYTES_MAX, BATCH_EVENTS_MAX, BATCH_SPAN_MAX, EVENT_OVERHEAD, LogEvent, LogSink,
};
use async_trait::async_trait;

/// Reading a stream back, which the product never does.
#[async_trait]
pub trait ReadBack: Send + Sync {
    /// Everything in a stream, oldest first.
    async fn events(&self, group: &str, stream: &str) -> Vec<LogEvent>;
}

/// Runs every case that holds for every sink. `now_ms` is the sink's idea of now.
pub async fn all(sink: &dyn LogSink, read: &dyn ReadBack, now_ms: i64) {
    events_are_stored_in_order(sink, read, now_ms).await;
    an_absent_stream_is_missing_until_ensured(sink, now_ms).await;
    batches_at_the_limits_are_taken(sink, read, now_ms).await;
    batches_over_a_limit_are_refused_whole(sink, read, now_ms).await;
}

fn event(timestamp_ms: i64, message: impl Into<String>) -> LogEvent {
    LogEvent { timestamp_ms, message: message.into() }
}

/// Over two puts, with the same time twice, and with text that needs escaping.
pub async fn events_are_stored_in_order(sink: &dyn LogSink, read: &dyn ReadBack, now_ms: i64) {
    let (group, stream) = ("orgtrail/order", "123456789012_CloudTrail_us-east-1");
    sink.ensure(group, stream).await.unwrap();
    sink.ensure(group, stream).await.unwrap();
    let first = [event(now_ms - 2, "{\"a\": \"\\n\"}"), event(now_ms - 1, "ü\n日本")];
    let second = [event(now_ms - 1, "same time"), event(now_ms, "{}")];
    for batch in [&first, &second] {
        assert_eq!(sink.put(group, stream, batch).await.unwrap().rejected, []);
    }
    assert_eq!(read.events(group, stream).await, [first, second].concat());
}

/// The group may be there already.
pub async fn an_absent_stream_is_missing_until_ensured(sink: &dyn LogSink, now_ms: i64) {
    let batch = [event(now_ms, "x")];
    for stream in ["one", "two"] {
        let error = sink.put("orgtrail/absent", stream, &batch).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::ContainerMissing, "{error}");
        sink.ensure("orgtrail/absent", stream).await.unwrap();
        sink.put("orgtrail/absent", stream, &batch).await.unwrap();
    }
}

fn largest(now_ms: i64) -> Vec<LogEvent> {
    // Two messages, as ü counts two bytes.
    let half = BATCH_BYTES_MAX / 2 - EVENT_OVERHEAD;
    vec![event(now_ms - 1, "ü".repeat(half / 2)), event(now_ms, "x".repeat(half))]
}

fn most(now_ms: i64) -> Vec<LogEvent> {
    (0..BATCH_EVENTS_MAX).map(|n| event(now_ms, n.to_string())).collect()
}

fn longest(now_ms: i64) -> Vec<LogEvent> {
    vec![event(now_ms - BATCH_SPAN_MAX.as_millis() as i64, "a"), event(now_ms, "b")]
}

/// Exactly the documented bytes, count and span.
pub async fn batches_at_the_limits_are_taken(sink: &dyn LogSink, read: &dyn ReadBack, now_ms: i64) {
    for (stream, batch) in [("bytes", largest(now_ms)), ("count", most(now_ms)), ("span", longest(now_ms))] {
        sink.ensure("orgtrail/at", stream).await.unwrap();
        assert_eq!(sink.put("orgtrail/at", stream, &batch).await.unwrap().rejected, []);
        assert_eq!(read.events("orgtrail/at", stream).await.len(), batch.len(), "{stream}");
    }
}

/// One more of each, out of order, empty, and without a message.
pub async fn batches_over_a_limit_are_refused_whole(sink: &dyn LogSink, read: &dyn ReadBack, now_ms: i64) {
    let (group, stream) = ("orgtrail/over", "s");
    sink.ensure(group, stream).await.unwrap();
    let (mut bytes, mut count, mut span) = (largest(now_ms), most(now_ms), longest(now_ms));
    bytes[1].message.push('x');
    count.push(event(now_ms, "x"));
    span[0].timestamp_ms -= 1;
    let unordered = vec![event(now_ms, "a"), event(now_ms - 1, "b")];
    for batch in [bytes, count, span, unordered, vec![], vec![event(now_ms, "")]] {
        let error = sink.put(group, stream, &batch).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed, "{error}");
    }
    assert_eq!(read.events(group, stream).await, []);
}

/// The sink's clock and ours may differ by less than this.
const MARGIN_MS: i64 = 60_000;

/// For sinks that reject by age: the others of the batch are stored.
pub async fn events_too_old_are_rejected_alone(sink: &dyn LogSink, read: &dyn ReadBack, now_ms: i64) {
    let oldest = now_ms - AGE_MAX.as_millis() as i64;
    let batch = [event(oldest - 2 * MARGIN_MS, "too old"), event(oldest + MARGIN_MS, "still good")];
    stored(sink, read, "old", &batch, [false, true]).await;
}

/// The same at the other end.
pub async fn events_too_new_are_rejected_alone(sink: &dyn LogSink, read: &dyn ReadBack, now_ms: i64) {
    let latest = now_ms + AHEAD_MAX.as_millis() as i64;
    let batch = [event(latest - MARGIN_MS, "good"), event(latest + MARGIN_MS, "too new")];
    stored(sink, read, "new", &batch, [true, false]).await;
}

async fn stored(sink: &dyn LogSink, read: &dyn ReadBack, stream: &str, batch: &[LogEvent; 2], expected: [bool; 2]) {
    sink.ensure("orgtrail/age", stream).await.unwrap();
    let outcome = sink.put("orgtrail/age", stream, batch).await.unwrap();
    assert_eq!([0, 1].map(|index| outcome.is_stored(index)), expected, "{outcome:?}");
    let kept: Vec<LogEvent> =
        batch.iter().zip(expected).filter(|(_, kept)| *kept).map(|(event, _)| event.clone()).collect();
    assert_eq!(read.events("orgtrail/age", stream).await, kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_sink::{FakeSink, LocalSink, Rejection, Rotation};
    use std::time::Duration;

    const NOW_MS: i64 = 1_770_000_000_000;

    #[async_trait]
    impl ReadBack for FakeSink {
        async fn events(&self, group: &str, stream: &str) -> Vec<LogEvent> {
            self.events(group, stream)
        }
    }

    #[async_trait]
    impl ReadBack for LocalSink {
        async fn events(&self, group: &str, stream: &str) -> Vec<LogEvent> {
            self.events(group, stream).unwrap()
        }
    }

    #[tokio::test]
    async fn the_fake_conforms_and_rejects_by_age() {
        let sink = FakeSink::new(NOW_MS);
        all(&sink, &sink, NOW_MS).await;
        events_too_old_are_rejected_alone(&sink, &sink, NOW_MS).await;
        events_too_new_are_rejected_alone(&sink, &sink, NOW_MS).await;
    }

    #[tokio::test]
    async fn a_folder_conforms() {
        let dir = tempfile::tempdir().unwrap();
        let sink = LocalSink::new(dir.path(), Rotation { file_bytes_max: 4 << 20, files_max: 4 });
        all(&sink, &sink, NOW_MS).await;
    }

    #[tokio::test]
    async fn the_fake_rejects_what_the_group_would_not_keep() {
        let sink = FakeSink::new(NOW_MS);
        sink.ensure("g", "s").await.unwrap();
        sink.set_retention(Some(Duration::from_secs(3600)));
        let batch = [event(NOW_MS - 3_600_001, "expired"), event(NOW_MS, "kept")];
        let outcome = sink.put("g", "s", &batch).await.unwrap();
        assert_eq!(outcome.rejected, [(0..1, Rejection::Expired)]);
    }
}
