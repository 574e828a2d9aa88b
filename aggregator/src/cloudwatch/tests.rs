//! The task over a journal on disk and a log group in memory that is as strict as CloudWatch Logs.

use std::time::Instant;

use jiff::Timestamp;
use orgtrail_cloud::ErrorKind;
use orgtrail_cloud::log_sink::FakeSink;
use orgtrail_event::gzip::Deflater;
use orgtrail_event::key::classify;
use orgtrail_event::log_file::{Item, Limits, read};
use orgtrail_event::record::identity;
use orgtrail_proto::ObjectRef;
use orgtrail_service::clock::Manual;
use orgtrail_service::telemetry;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::cloudwatch::target::Names;
use crate::cloudwatch::window::Rules;
use crate::journal::head::Lane;
use crate::journal::{Prepared, Scanned};
use crate::seal::Seal;
use crate::trail::Trail;

const NOW: &str = "2026-03-01T12:00:00Z";
const STREAM: &str = "111122223333_CloudTrail_us-east-1";

/// A journal with one destination, and where that sends to.
struct Bench {
    dir: tempfile::TempDir,
    clock: Arc<Manual>,
    sink: FakeSink,
    health: Health,
    pointers: bool,
    streams_max: usize,
}

/// A running task over an open journal.
struct Running {
    journal: Journal,
    cancel: CancellationToken,
    writer: JoinHandle<Result<(), journal::Error>>,
    delivery: JoinHandle<Result<(), journal::Error>>,
}

impl Bench {
    fn new() -> Self {
        let clock = Manual::new(NOW.parse().expect("a time"));
        let sink = FakeSink::new(clock.now().as_millisecond());
        let health = Health::new(Arc::clone(&clock) as Arc<dyn Clock>);
        Self { dir: tempfile::tempdir().expect("a folder"), clock, sink, health, pointers: false, streams_max: 1 }
    }

    #[allow(clippy::disallowed_methods)]
    fn start(&self) -> Running {
        let destination = |name: &str| journal::Destination { name: name.to_owned(), digests: false, announces: false };
        let settings = journal::Settings {
            dir: self.dir.path().to_owned(),
            capacity: 1 << 30,
            dedup_window: Duration::from_secs(7 * 86_400),
            dedup_memory: 1 << 20,
            commit_bytes: 1 << 20,
            destinations: vec![destination("org-trail/cloudwatch")],
            trails: vec!["org-trail".to_owned()],
            seal: Seal::off(),
        };
        let (journal, writer) = Journal::open(&settings, Arc::clone(&self.clock) as Arc<dyn Clock>).expect("opened");
        let cancel = CancellationToken::new();
        let writer = tokio::spawn(writer.run(cancel.clone()));
        let trail = Trail {
            name: "org-trail".into(),
            organization_id: None,
            account: "111122223333".into(),
            home_region: "us-east-1".into(),
            arn: String::new(),
            bucket: "org-trail".into(),
            prefix: "audit".into(),
        };
        let arn = Some("arn:aws:logs:us-east-1:111122223333:log-group:g".into());
        let target = Target {
            trail,
            names: Names { group: "g".into(), stream: STREAM.into(), arn },
            sink: Arc::new(self.sink.clone()),
            streams_max: self.streams_max,
            rules: Rules { by_age: true, pointers: self.pointers },
        };
        let parts = Parts {
            journal: journal.clone(),
            workers: Workers::start("test").expect("threads"),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            health: self.health.clone(),
            metrics: Arc::new(Metrics::new(&telemetry::Metrics::new("aggregator"))),
            cancel: cancel.clone(),
        };
        let delivery = tokio::spawn(Delivery::new(target, parts).run());
        Running { journal, cancel, writer, delivery }
    }

    /// What is wrong, as health says it.
    fn degraded(&self) -> String {
        self.health.report().degraded.iter().map(|part| format!("{}: {}", part.part, part.reason)).collect()
    }

    /// Messages in all streams.
    fn messages(&self) -> Vec<Value> {
        let streams = self.sink.streams("g");
        let events = streams.iter().flat_map(|stream| self.sink.events("g", stream));
        events.map(|event| serde_json::from_str(&event.message).expect("JSON")).collect()
    }

    fn ids(&self) -> Vec<String> {
        let mut ids: Vec<_> =
            self.messages().iter().map(|one| one["eventID"].as_str().expect("an id").into()).collect();
        ids.sort_unstable();
        ids
    }
}

impl Running {
    async fn append(&self, name: u32, records: &[Value]) {
        self.journal.append(vec![object(name, records)]).await.expect("appended");
    }

    /// Waits until everything is sent or diverted; the ledger then.
    async fn drained(&self) -> CloudWatchStatus {
        until("nothing is pending", || self.status().pending == 0).await;
        let status = self.status();
        assert!(status.balanced, "{status:?}");
        status
    }

    fn status(&self) -> CloudWatchStatus {
        CloudWatchStatus::of(&self.journal.books(), "org-trail").expect("the destination is there")
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.delivery.await.expect("no panic").expect("no error");
        self.writer.await.expect("no panic").expect("no error");
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn record(id: &str, time: &str) -> Value {
    json!({"eventVersion": "1.11", "eventTime": time, "eventName": "GetObject", "eventID": id})
}

/// A log file of these records.
fn object(name: u32, records: &[Value]) -> Prepared {
    let key = format!(
        "AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/111122223333_CloudTrail_us-east-1_20260301T1155Z_{name:016}.json.gz"
    );
    let log_key = classify(&key).into_log().expect("a log file's key");
    let json = json!({"Records": records}).to_string().into_bytes();
    let scanned = read(&json, &Limits::default()).expect("a log file").map(|item| {
        let Item::Record(record) = item else { panic!("{item:?}") };
        Scanned {
            identity: identity(&record.header, record.raw),
            hour: record.header.event_hour().0,
            account: 111_122_223_333,
            len: u32::try_from(record.raw.len()).expect("short"),
            passed_by: 0,
            names: 0,
        }
    });
    Prepared {
        reference: ObjectRef {
            source: "s3://acme".into(),
            key,
            etag: "e".into(),
            sha256: [0; 32],
            inflated_bytes: json.len() as u64,
            last_modified: 0,
        },
        place: (log_key.folder.account.clone(), log_key.folder.region.clone()),
        stamp: log_key.stamp.unix_seconds(),
        origin: String::new(),
        names: vec![crate::usage::Names::unreadable("111122223333")],
        records: scanned.collect(),
        gzip: Deflater::new(1).deflate(&json).into(),
        members: 1,
        bad_records: 0,
        damage: None,
        event_times: None,
        source_digest: None,
        replay_to: None,
        lane: Lane::Live,
    }
}

/// One of each kind: two that are sent, one a reason that is not.
fn mixed() -> Vec<Value> {
    let mut large = record("large", "2026-03-01T11:00:00Z");
    large["requestParameters"] = json!({"padding": "x".repeat(256 * 1024)});
    let mut network = record("network", "2026-03-01T11:00:00Z");
    network["eventCategory"] = "NetworkActivity".into();
    let undated = json!({"eventID": "undated"});
    let (old, new) = (record("old", "2026-02-15T11:59:59Z"), record("new", "2026-03-01T14:00:01Z"));
    vec![record("fine", "2026-03-01T11:00:00Z"), large, network, undated, old, new]
}

#[tokio::test]
async fn every_record_is_sent_or_counted_by_why_it_is_not() {
    let bench = Bench::new();
    let running = bench.start();
    running.append(1, &mixed()).await;
    let status = running.drained().await;
    assert_eq!(bench.ids(), ["fine", "undated"]);
    let reasons = ["not_supported", "too_large", "too_new", "too_old"].map(|reason| (reason.to_owned(), 1));
    assert_eq!(status.diverted, reasons.into());
    assert_eq!((status.delivered, status.batches), (2, 1));
    let times: Vec<_> = bench.sink.events("g", STREAM).iter().map(|event| event.timestamp_ms).collect();
    let expected =
        ["2026-03-01T11:00:00Z", "2026-03-01T11:55:00Z"].map(|time| time.parse::<Timestamp>().expect("a time"));
    assert_eq!(times, expected.map(Timestamp::as_millisecond), "without a time of its own, a record has its file's");
    running.stop().await;
}

#[tokio::test]
async fn pointers_stand_in_for_what_is_not_sent() {
    let bench = Bench { pointers: true, ..Bench::new() };
    let running = bench.start();
    running.append(1, &mixed()).await;
    let status = running.drained().await;
    assert_eq!(status.delivered, 2, "pointers are not counted as records");
    let messages = bench.messages();
    let pointers: Vec<_> = messages.iter().map(|one| &one["orgtrail"]).filter(|pointer| pointer.is_object()).collect();
    let mut reasons: Vec<_> = pointers.iter().map(|pointer| pointer["diverted"].as_str().expect("a reason")).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["too_large", "too_new", "too_old"]);
    let large = pointers.iter().find(|pointer| pointer["diverted"] == "too_large").expect("it is there");
    assert_eq!((&large["eventID"], &large["s3Bucket"]), (&"large".into(), &"org-trail".into()));
    assert_eq!(large["s3Prefix"], "audit/AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/");
    assert!(large["sourceObject"].as_str().expect("a place").starts_with("s3://acme/AWSLogs/111122223333/"));
    running.stop().await;
}

#[tokio::test]
async fn what_the_group_rejects_is_counted_and_pointed_to() {
    let bench = Bench { pointers: true, ..Bench::new() };
    bench.sink.set_retention(Some(Duration::from_secs(3600)));
    let running = bench.start();
    running.append(1, &[record("expired", "2026-03-01T10:00:00Z"), record("kept", "2026-03-01T11:30:00Z")]).await;
    let status = running.drained().await;
    assert_eq!((status.delivered, status.diverted), (1, [("expired".to_owned(), 1)].into()));
    let messages = bench.messages();
    assert_eq!(messages[0]["eventID"], "kept");
    assert_eq!(messages[1]["orgtrail"]["eventID"], "expired");
    running.stop().await;
}

#[tokio::test]
async fn an_absent_group_is_made_also_when_it_is_deleted_later() {
    let bench = Bench::new();
    let running = bench.start();
    running.append(1, &[record("a", NOW)]).await;
    running.drained().await;
    bench.sink.delete_group("g");
    running.append(2, &[record("b", NOW)]).await;
    running.drained().await;
    assert_eq!(bench.ids(), ["b"]);
    assert_eq!(bench.degraded(), "");
    running.stop().await;
}

#[tokio::test]
async fn throttling_is_waited_for_and_spreads_over_streams_up_to_the_limit() {
    let bench = Bench { streams_max: 2, ..Bench::new() };
    for _ in 0..3 {
        bench.sink.fail_next(ErrorKind::Throttled);
    }
    let running = bench.start();
    // Days apart, so that each is a batch of its own.
    let days: Vec<_> = (1..=6).map(|day| record(&format!("d{day}"), &format!("2026-02-2{day}T00:00:00Z"))).collect();
    running.append(1, &[&days[..3]].concat()).await;
    running.drained().await;
    running.append(2, &[&days[3..]].concat()).await;
    running.drained().await;
    assert_eq!(bench.sink.streams("g"), [STREAM.to_owned(), format!("{STREAM}_1")]);
    assert_eq!(bench.ids(), ["d1", "d2", "d3", "d4", "d5", "d6"]);
    assert_eq!(bench.degraded(), "", "a few throttled calls are normal");
    running.stop().await;
}

#[tokio::test]
async fn an_outage_holds_the_cursor_until_it_is_over() {
    let bench = Bench::new();
    bench.sink.set_down(Some(ErrorKind::Unavailable));
    let running = bench.start();
    running.append(1, &[record("a", NOW)]).await;
    until("health says so", || bench.degraded().contains("trail org-trail cloudwatch: put to log stream g/")).await;
    let status = running.status();
    assert_eq!((status.pending, status.delivered), (1, 0), "the cursor stays");
    running.stop().await;

    let running = bench.start();
    running.append(2, &[record("b", NOW)]).await;
    bench.sink.set_down(None);
    let status = running.drained().await;
    assert_eq!((status.delivered, bench.degraded().as_str()), (2, ""));
    assert_eq!(bench.ids(), ["a", "b"]);
    running.stop().await;
}

#[tokio::test]
async fn a_refusal_names_the_permission_that_is_missing() {
    let bench = Bench::new();
    bench.sink.set_down(Some(ErrorKind::Denied));
    let running = bench.start();
    running.append(1, &[record("a", NOW)]).await;
    until("health names it", || bench.degraded().contains("\"logs:PutLogEvents\"")).await;
    running.stop().await;
}

#[tokio::test]
async fn an_object_larger_than_a_window_is_sent_whole() {
    let bench = Bench::new();
    let running = bench.start();
    let padded = |n: usize| {
        let mut record = record(&format!("r{n:03}"), NOW);
        record["requestParameters"] = json!({"padding": "x".repeat(200_000)});
        record
    };
    let records: Vec<_> = (0..100).map(padded).collect();
    const { assert!(100 * 200_000 > 2 * WINDOW_BYTES) };
    running.append(1, &records).await;
    running.append(2, &[record("behind", NOW)]).await;
    let status = running.drained().await;
    assert_eq!((status.delivered, status.pending), (101, 0));
    let expected: Vec<_> = std::iter::once("behind".to_owned()).chain((0..100).map(|n| format!("r{n:03}"))).collect();
    assert_eq!(bench.ids(), expected, "none lost at a window's edge, none twice");
    running.stop().await;
}

#[tokio::test]
async fn what_selectors_pass_over_is_not_sent() {
    let bench = Bench::new();
    let running = bench.start();
    let mut object = object(1, &[record("taken", NOW), record("passed", NOW)]);
    object.records[1].passed_by = 1;
    running.journal.append(vec![object]).await.expect("appended");
    let status = running.drained().await;
    assert_eq!((bench.ids(), status.delivered, status.filtered), (vec!["taken".to_owned()], 1, 1));
    running.stop().await;
}

#[tokio::test]
async fn what_a_backfill_brings_is_counted_and_sent_only_if_it_says_so() {
    let bench = Bench { pointers: true, ..Bench::new() };
    let running = bench.start();
    let brought = |name: u32, id: &str, lane| Prepared {
        lane,
        ..object(name, &[record(id, NOW), record(&format!("{id}2"), NOW)])
    };
    let mut replayed = brought(4, "replayed", Lane::Live);
    replayed.replay_to = Some("org-trail/cloudwatch".into());
    let objects = vec![
        brought(1, "live", Lane::Live),
        brought(2, "quiet", Lane::Backfill),
        brought(3, "told", Lane::BackfillForLogGroups),
        replayed,
    ];
    running.journal.append(objects).await.expect("appended");
    let status = running.drained().await;
    assert_eq!(bench.ids(), ["live", "live2", "replayed", "replayed2", "told", "told2"], "and no pointers");
    assert_eq!((status.delivered, status.diverted), (4, [("backfill".to_owned(), 2)].into()));
    running.stop().await;

    // The head remembers it over a restart, too.
    bench.sink.set_down(Some(ErrorKind::Unavailable));
    let running = bench.start();
    running.append(5, &[record("held", NOW)]).await;
    running.journal.append(vec![brought(6, "later", Lane::Backfill)]).await.expect("appended");
    until("health says so", || !bench.degraded().is_empty()).await;
    running.stop().await;
    bench.sink.set_down(None);
    let running = bench.start();
    assert_eq!(running.drained().await.diverted, [("backfill".to_owned(), 4)].into());
    running.stop().await;
}
