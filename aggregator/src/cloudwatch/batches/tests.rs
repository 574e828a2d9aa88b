//! What the batcher promises, judged by the strict sink.

use orgtrail_cloud::LogSink as _;
use orgtrail_cloud::log_sink::FakeSink;
use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1_770_000_000_000;
const HOUR_MS: i64 = 3_600_000;

fn event(timestamp_ms: i64, message: String, object: usize) -> Event {
    Event { log: LogEvent { timestamp_ms, message }, origin: Origin::Record { object, pointer: None } }
}

fn sent(batches: &[Batch]) -> Vec<usize> {
    batches.iter().map(|batch| batch.events.len()).collect()
}

/// Everything is stored, and nothing of it rejected.
fn assert_taken(batches: &[Batch]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let sink = FakeSink::new(NOW_MS);
        sink.ensure("g", "s").await.expect("ensured");
        for batch in batches {
            assert_eq!(batch.events.len(), batch.origins.len());
            let outcome = sink.put("g", "s", &batch.events).await.expect("within every limit");
            assert_eq!(outcome.rejected, []);
        }
    });
}

/// Times around every limit, lengths around the record's and small ones.
fn any_record() -> impl Strategy<Value = (i64, usize, Category)> {
    let time = prop_oneof![
        4 => -15 * 24 * HOUR_MS..3 * HOUR_MS,
        1 => -14 * 24 * HOUR_MS - 2..-14 * 24 * HOUR_MS + 2,
        1 => 2 * HOUR_MS - 2..2 * HOUR_MS + 2,
        1 => Just(i64::MIN),
        1 => Just(i64::MAX),
    ];
    let bytes = prop_oneof![
        6 => 2_usize..2000,
        2 => RECORD_BYTES_MAX - 2..RECORD_BYTES_MAX + 2,
        1 => Just(2 * RECORD_BYTES_MAX),
    ];
    let category = prop_oneof![
        8 => Just(Category::Management),
        1 => Just(Category::NetworkActivity),
        1 => Just(Category::Insight),
    ];
    (time.prop_map(|offset: i64| NOW_MS.saturating_add(offset)), bytes, category)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_record_is_in_exactly_one_batch_or_diverted_and_every_batch_is_taken(
        records in proptest::collection::vec(any_record(), 0..120)
    ) {
        let mut events = Vec::new();
        let mut left_out = std::collections::BTreeSet::new();
        for (object, (time_ms, bytes, category)) in records.iter().enumerate() {
            match diverted(category, *time_ms, *bytes, NOW_MS, true) {
                Some(_) => prop_assert!(left_out.insert(object)),
                None => events.push(event(*time_ms, "x".repeat(*bytes), object)),
            }
        }
        let batches = batches(events);
        assert_taken(&batches);
        let mut seen = left_out;
        for batch in &batches {
            for origin in &batch.origins {
                let Origin::Record { object, .. } = origin else { panic!("no pointer was put in") };
                prop_assert!(seen.insert(*object), "record {object} twice");
            }
        }
        prop_assert_eq!(seen.len(), records.len());
    }
}

#[test]
fn a_batch_stops_at_its_bytes_with_26_for_each_event() {
    let half = BATCH_BYTES_MAX / 2 - EVENT_OVERHEAD;
    let exactly = vec![event(NOW_MS, "x".repeat(half), 0), event(NOW_MS, "y".repeat(half), 1)];
    assert_eq!(sent(&batches(exactly.clone())), [2]);
    let mut over = exactly;
    over[1].log.message.push('y');
    let over = batches(over);
    assert_eq!(sent(&over), [1, 1]);
    assert_taken(&over);
}

#[test]
fn bytes_are_counted_not_characters() {
    let letters = BATCH_BYTES_MAX / 2 / 2;
    let umlauts = batches((0..2).map(|n| event(NOW_MS, "ü".repeat(letters - EVENT_OVERHEAD / 2), n)).collect());
    assert_eq!(sent(&umlauts), [2]);
    assert_taken(&umlauts);
}

#[test]
fn a_batch_stops_at_10000_events() {
    let events = (0..25_001).map(|n| event(NOW_MS, "{}".into(), n)).collect();
    let batches = batches(events);
    assert_eq!(sent(&batches), [10_000, 10_000, 5_001]);
    assert_taken(&batches);
}

#[test]
fn a_batch_spans_24_hours_at_the_most() {
    let at = |hours: i64, more: i64| event(NOW_MS - hours * HOUR_MS + more, "{}".into(), 0);
    let batches = batches(vec![at(0, 0), at(24, 0), at(24, -1), at(25, 0)]);
    assert_eq!(sent(&batches), [3, 1], "25 to 24 hours ago, and now");
    assert_taken(&batches);
}

#[test]
fn events_are_sent_oldest_first_and_those_of_one_second_as_they_came() {
    let batches = batches(vec![
        event(NOW_MS, "c".into(), 0),
        event(NOW_MS - 1, "a".into(), 1),
        event(NOW_MS, "d".into(), 2),
        event(NOW_MS - 1, "b".into(), 3),
    ]);
    let messages: Vec<_> = batches[0].events.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(messages, ["a", "b", "c", "d"]);
}

#[test]
fn the_reasons_lie_exactly_at_the_documented_limits() {
    let management = |time_ms, bytes| diverted(&Category::Management, time_ms, bytes, NOW_MS, true);
    let (oldest, newest) = (NOW_MS - 14 * 24 * HOUR_MS, NOW_MS + 2 * HOUR_MS);
    assert_eq!(management(oldest, 262_144), None);
    assert_eq!(management(oldest, 262_145), Some(Reason::TooLarge));
    assert_eq!(management(oldest - 1, 262_145), Some(Reason::TooOld));
    assert_eq!((management(newest, 2), management(newest + 1, 2)), (None, Some(Reason::TooNew)));
    assert_eq!(diverted(&Category::Management, oldest - 1, 2, NOW_MS, false), None, "a folder takes any age");
    for category in [Category::NetworkActivity, Category::Aggregated] {
        assert_eq!(diverted(&category, NOW_MS, 2, NOW_MS, true), Some(Reason::NotSupported));
    }
    assert_eq!(diverted(&Category::Insight, NOW_MS, 2, NOW_MS, true), None);
}
