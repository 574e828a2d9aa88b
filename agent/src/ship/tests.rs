//! The link against an aggregator that forgets, refuses, asks to wait and breaks off.

use std::sync::{Arc, Mutex};

use orgtrail_proto::{Disposition, ToAgent, ToAggregator};
use orgtrail_service::clock::Manual;
use orgtrail_service::quarantine::{Filter, Quarantine};
use orgtrail_service::telemetry;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::Status;

use super::*;
use crate::World;
use crate::checkpoint::{Checkpoint, Progress};
use crate::quarantine::Aside;
use crate::testing::{FakeAggregator, claimed, keys, welcome, with_bytes};

const LONG: Duration = Duration::from_secs(20);

struct Bench {
    _dir: tempfile::TempDir,
    checkpoint: Arc<Checkpoint>,
    quarantine: Arc<Quarantine>,
    health: Health,
    batches: mpsc::Sender<Vec<Fetched>>,
    handle: Handle,
    epochs: watch::Receiver<u64>,
    cancel: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "the stage alone, without its process")]
    fn start(fake: &FakeAggregator) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Manual::new("2024-05-01T12:05:00Z".parse().unwrap());
        let checkpoint = Arc::new(Checkpoint::open(&dir.path().join("c"), Duration::from_secs(93_600)).unwrap());
        let quarantine = Arc::new(Quarantine::open(&dir.path().join("q"), 100, clock.clone()).unwrap());
        let health = Health::new(clock.clone());
        let metrics = Metrics::register(&telemetry::Metrics::new("agent"));
        let aside = Aside::new(Arc::clone(&checkpoint), Arc::clone(&quarantine), clock.clone(), health.clone());
        let (answers, epochs) = Answers::new(Arc::clone(&checkpoint), aside, clock, metrics.clone());
        let aggregator = config::Aggregator { endpoint: fake.endpoint(), ..Default::default() };
        let config = Config { reconnect_min: Duration::from_millis(5), ..Config::default() };
        let (batches, received) = mpsc::channel(1);
        let route = Route::new(&aggregator, Arc::new(World)).unwrap();
        let (stage, handle) = Stage::new(config, "acme", route, answers, health.clone(), metrics, received);
        let cancel = CancellationToken::new();
        let running = tokio::spawn(stage.run(cancel.clone()));
        Self { _dir: dir, checkpoint, quarantine, health, batches, handle, epochs, cancel, running }
    }

    async fn send(&self, objects: &[(&str, usize)]) {
        let batch = objects.iter().map(|(key, size)| with_bytes(claimed(&self.checkpoint, key), *size)).collect();
        self.batches.send(batch).await.unwrap();
    }

    /// Waits for the sums to be as wanted.
    async fn until(&self, wanted: impl FnMut(&Progress) -> bool) -> Progress {
        let mut progress = self.checkpoint.progress();
        let waited = timeout(LONG, progress.wait_for(wanted)).await;
        *waited.unwrap_or_else(|_| panic!("still {:?}", *self.checkpoint.progress().borrow())).unwrap()
    }

    async fn until_ready(&self, wanted: bool) {
        let waited = async {
            while self.health.report().ready != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, waited).await.unwrap();
    }

    fn reasons(&self) -> Vec<String> {
        let listing = self.quarantine.folder().list(&Filter::default()).unwrap();
        listing.map(|entry| entry.unwrap()).map(|entry| format!("{}: {}", entry.reason, entry.detail)).collect()
    }

    /// No more batches come; the stage ends when everything is answered.
    async fn end(self) {
        drop(self.batches);
        timeout(LONG, self.running).await.unwrap().unwrap().unwrap();
    }
}

fn answer(message: &ToAggregator, disposition: impl Fn(usize) -> Disposition) -> Vec<Result<ToAgent, Status>> {
    let (batch_id, count) = match message {
        ToAggregator::Batch(batch) => (batch.id, batch.objects.len()),
        ToAggregator::Part(part) if part.is_last() => (part.id, 1),
        _ => return Vec::new(),
    };
    vec![Ok(ToAgent::Answer { batch_id, dispositions: (0..count).map(disposition).collect() })]
}

fn accept(message: &ToAggregator, first_seq: u64) -> Vec<Result<ToAgent, Status>> {
    answer(message, |n| Disposition::Accepted { seq: first_seq + n as u64, damage: None })
}

#[tokio::test]
async fn an_object_is_done_when_answered_and_delivered_when_said_so() {
    let fake = FakeAggregator::start(|_, message| match &message {
        ToAggregator::Hello(hello) => {
            assert_eq!(hello.agent, "acme");
            welcome(1)
        }
        ToAggregator::Flush => vec![Ok(ToAgent::Delivered { seq_end: 2 })],
        other => accept(other, 0),
    })
    .await;
    let bench = Bench::start(&fake);
    bench.send(&[("a", 10), ("b", 10)]).await;
    let sums = bench.until(|sums| sums.done == 2).await;
    assert_eq!((sums.in_flight, sums.undelivered, sums.delivered), (0, 2, 0));
    assert!(bench.handle.state().connected);
    bench.handle.flush();
    bench.until(|sums| sums.delivered == 2).await;
    bench.end().await;
}

#[tokio::test]
async fn lost_answers_are_made_good_on_the_next_link() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let fake = FakeAggregator::start(move |stream, message| {
        if let ToAggregator::Hello(_) = message {
            return welcome(1);
        }
        log.lock().unwrap().push((stream, keys(&message)));
        match (stream, keys(&message)[0].as_str()) {
            (0, "a") => accept(&message, 0),
            (0, "b") => Vec::new(),
            (0, _) => vec![Err(Status::unavailable("going down"))],
            (_, key) => accept(&message, if key == "b" { 1 } else { 2 }),
        }
    })
    .await;
    let bench = Bench::start(&fake);
    for key in ["a", "b", "c"] {
        bench.send(&[(key, 10)]).await;
        if key == "a" {
            bench.until(|sums| sums.done == 1).await;
        }
    }
    let sums = bench.until(|sums| sums.done == 3).await;
    assert_eq!((sums.listed, sums.in_flight), (3, 0));
    bench.end().await;
    let again: Vec<_> =
        seen.lock().unwrap().iter().filter(|(stream, _)| *stream > 0).flat_map(|(_, keys)| keys.clone()).collect();
    assert_eq!(again, ["b", "c"], "in order, and nothing that was answered");
}

#[tokio::test]
async fn an_aggregator_that_asks_to_wait_gets_it_again_later() {
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let fake = FakeAggregator::start(move |_, message| match &message {
        ToAggregator::Hello(_) => welcome(1),
        batch => {
            let mut count = count.lock().unwrap();
            *count += 1;
            let full = Disposition::Retry { after: Duration::from_millis(300), detail: "journal full".into() };
            if *count == 1 { answer(batch, |_| full.clone()) } else { accept(batch, 5) }
        }
    })
    .await;
    let bench = Bench::start(&fake);
    bench.send(&[("a", 10)]).await;
    bench.until_ready(false).await;
    let report = bench.health.report();
    assert_eq!(
        (report.degraded[0].part.as_str(), report.degraded[0].reason.as_str()),
        ("aggregator", "asks to wait: journal full")
    );
    bench.until(|sums| sums.done == 1).await;
    bench.until_ready(true).await;
    assert_eq!(*asked.lock().unwrap(), 2);
    bench.end().await;
}

#[tokio::test]
async fn refused_and_damaged_objects_are_quarantined_with_the_reason() {
    let fake = FakeAggregator::start(|_, message| match &message {
        ToAggregator::Hello(_) => welcome(1),
        ToAggregator::Flush => vec![Ok(ToAgent::Delivered { seq_end: 100 })],
        batch => answer(batch, |n| match n {
            0 => Disposition::Accepted { seq: 7, damage: None },
            1 => Disposition::Reject { reason: "not_json".into(), detail: "at byte 0".into() },
            _ => Disposition::Accepted { seq: 8, damage: Some("1 record of 2".into()) },
        }),
    })
    .await;
    let bench = Bench::start(&fake);
    bench.send(&[("a", 10), ("b", 10), ("c", 10)]).await;
    let sums = bench.until(|sums| sums.in_flight == 0).await;
    assert_eq!(
        (sums.done, sums.quarantined, sums.undelivered),
        (1, 2, 2),
        "the readable records of c are on their way"
    );
    let mut reasons = bench.reasons();
    reasons.sort();
    assert_eq!(reasons, ["damaged: 1 record of 2", "not_json: at byte 0"]);
    bench.handle.flush();
    let sums = bench.until(|sums| sums.undelivered == 0).await;
    assert_eq!((sums.delivered, sums.quarantined), (1, 2));
    bench.end().await;
}

#[tokio::test]
async fn an_object_over_the_aggregators_bound_goes_in_parts() {
    let whole = Arc::new(Mutex::new(Vec::new()));
    let bytes = Arc::clone(&whole);
    let fake = FakeAggregator::start(move |_, message| match &message {
        ToAggregator::Hello(_) => vec![Ok(ToAgent::Welcome { epoch: 1, message_bytes_max: 64 << 10 })],
        ToAggregator::Part(part) => {
            assert!(part.slice.len() < 64 << 10);
            bytes.lock().unwrap().extend_from_slice(&part.slice);
            accept(&message, 0)
        }
        other => accept(other, 1),
    })
    .await;
    let bench = Bench::start(&fake);
    bench.send(&[("small", 10), ("large", 300_000)]).await;
    bench.until(|sums| sums.done == 2).await;
    bench.end().await;
    assert_eq!(*whole.lock().unwrap(), (0..300_000).map(|n| (n % 251) as u8).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_aggregator_that_lost_its_journal_gets_the_undelivered_again() {
    let fake = FakeAggregator::start(|stream, message| match &message {
        ToAggregator::Hello(_) => welcome(stream as u64 + 1),
        ToAggregator::Flush => vec![Err(Status::unavailable("disk on fire"))],
        batch if stream == 0 => {
            let mut said = accept(batch, 0);
            said.push(Ok(ToAgent::Delivered { seq_end: 1 }));
            said
        }
        batch => accept(batch, 0),
    })
    .await;
    let mut bench = Bench::start(&fake);
    bench.send(&[("a", 10), ("b", 10)]).await;
    bench.until(|sums| sums.delivered == 1).await;
    bench.handle.flush();
    timeout(LONG, bench.epochs.changed()).await.unwrap().unwrap();
    let sums = bench.until(|sums| sums.in_flight == 1).await;
    assert_eq!(
        (sums.done, sums.delivered, sums.undelivered),
        (1, 1, 0),
        "a is delivered, b is to be fetched again (I11)"
    );
    assert_eq!(claimed(&bench.checkpoint, "b").key, "b");
}

#[tokio::test]
async fn answers_that_break_the_protocol_break_the_link_and_lose_nothing() {
    let fake = FakeAggregator::start(|stream, message| match (stream, &message) {
        (_, ToAggregator::Hello(_)) => welcome(1),
        (0, _) => vec![Ok(ToAgent::Answer { batch_id: 999, dispositions: Vec::new() })],
        (1, ToAggregator::Batch(batch)) => vec![Ok(ToAgent::Answer { batch_id: batch.id, dispositions: Vec::new() })],
        (_, other) => accept(other, 0),
    })
    .await;
    let bench = Bench::start(&fake);
    bench.send(&[("a", 10)]).await;
    bench.until(|sums| sums.done == 1).await;
    bench.end().await;
}

#[tokio::test]
async fn a_refused_link_is_told_with_its_reason_and_tried_again() {
    let fake = FakeAggregator::start(|stream, message| match (stream, &message) {
        (0, _) => vec![Err(Status::permission_denied("no agent of that name is registered"))],
        (_, ToAggregator::Hello(_)) => welcome(1),
        (_, other) => accept(other, 0),
    })
    .await;
    let bench = Bench::start(&fake);
    let refused = async {
        while bench.handle.state().trouble.is_none() {
            tokio::task::yield_now().await;
        }
        bench.handle.state().trouble.unwrap()
    };
    let trouble = timeout(LONG, refused).await.unwrap();
    assert!(trouble.contains("no agent of that name is registered"), "{trouble}");
    bench.send(&[("a", 10)]).await;
    bench.until(|sums| sums.done == 1).await;
    assert!(bench.health.report().ready);
    bench.end().await;
}

#[tokio::test]
async fn without_a_link_a_shutdown_waits_for_nothing() {
    let fake = FakeAggregator::start(|_, _| vec![Err(Status::unavailable("never"))]).await;
    let bench = Bench::start(&fake);
    bench.send(&[("a", 10)]).await;
    bench.cancel.cancel();
    timeout(LONG, bench.running).await.unwrap().unwrap().unwrap();
    assert_eq!(bench.checkpoint.progress().borrow().in_flight, 1, "claimed, for the next start");
}
