//! When a message goes, what it does before, and that no message loops or is lost without a word.

mod foreign;
mod sources;

use std::path::Path;

use bytes::Bytes;
use orgtrail_cloud::object_store::FakeStore;
use orgtrail_cloud::queue::FakeQueue;
use orgtrail_cloud::{ErrorKind, Location, ObjectStore};
use orgtrail_service::clock::Manual;
use orgtrail_service::health::Health;
use orgtrail_service::quarantine::{Entry, Filter, Quarantine};
use orgtrail_service::telemetry;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::checkpoint::{Checkpoint, Outcome, Settled};
use crate::discover::Folders;
use crate::intake;
use crate::object::{ObjectRef, Source};

const LONG: Duration = Duration::from_secs(600);
const NOW: &str = "2026-03-01T12:00:00Z";
const ACCOUNT: &str = "111122223333";

/// A consumer on a queue in memory, with its checkpoint and where its objects go to.
struct Bench {
    _dir: tempfile::TempDir,
    queue: FakeQueue,
    store: Arc<FakeStore>,
    context: Arc<Context>,
    quarantine: Arc<Quarantine>,
    objects: intake::Receiver,
    config: Config,
    face: Face,
    cancel: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
    seq: u64,
}

fn key(account: &str, region: &str, minute: u32) -> String {
    format!(
        "AWSLogs/{account}/CloudTrail/{region}/2026/03/01/{account}_CloudTrail_{region}_20260301T11{minute:02}Z_Abcdef0123456789.json.gz"
    )
}

fn s3(bucket: &str, key: &str) -> String {
    json!({"Records": [{"eventVersion": "2.1", "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1, "eTag": "fake-1"}}}]})
    .to_string()
}

fn cloudtrail(keys: &[&str]) -> String {
    json!({"s3Bucket": "bucket", "s3ObjectKey": keys}).to_string()
}

impl Bench {
    async fn start() -> Self {
        Self::with(Config::default(), crate::config::Source::default()).await
    }

    async fn with(config: Config, source: crate::config::Source) -> Self {
        let bench = Self::of(config, source).await;
        bench.context.folders.are_known();
        bench
    }

    /// One whose organizations' accounts were not listed yet.
    async fn unready() -> Self {
        Self::of(Config::default(), crate::config::Source::default()).await
    }

    async fn of(config: Config, source: crate::config::Source) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Manual::new(NOW.parse().unwrap());
        let checkpoint = Checkpoint::open(&dir.path().join("checkpoint"), Duration::from_secs(26 * 3600)).unwrap();
        let quarantine = Arc::new(Quarantine::open(&dir.path().join("quarantine"), 100, clock.clone()).unwrap());
        let location: Location = "s3://bucket/logs".parse().unwrap();
        let store = Arc::new(FakeStore::new(location.clone()));
        let source = crate::config::Source { location: Some(location.clone()), ..source };
        let source = Source::new(&source, &location, store.clone());
        let (out, objects) = intake::channel(intake::Bounds { objects: 1000, objects_per_key: 1000 });
        let context = Arc::new(Context {
            checkpoint: Arc::new(checkpoint),
            folders: Folders::default(),
            clock: clock.clone(),
            health: Health::new(clock),
            metrics: crate::metrics::Metrics::register(&telemetry::Metrics::new("agent")),
            lists: Semaphore::new(1),
            out,
        });
        context.folders.add_source(&Arc::new(source));
        let queue = FakeQueue::default();
        queue.set_now(NOW.parse().unwrap());
        let (face, cancel, running) = run(&queue, &config, &context, &quarantine);
        Self { _dir: dir, queue, store, context, quarantine, objects, config, face, cancel, running, seq: 0 }
    }

    /// Ends the process without a word and starts the next one, which has the same checkpoint and quarantine.
    fn kill_and_start(&mut self) {
        self.running.abort();
        let started = run(&self.queue, &self.config, &self.context, &self.quarantine);
        (self.face, self.cancel, self.running) = started;
    }

    async fn put(&self, key: &str) {
        self.store.put(key, Bytes::from_static(b"x"), &Default::default()).await.unwrap();
    }

    async fn next(&mut self) -> ObjectRef {
        timeout(LONG, self.objects.recv()).await.expect("an object is handed on").unwrap()
    }

    fn acknowledge(&mut self, object: ObjectRef) {
        let outcome = Outcome::Acked { seq: self.seq };
        self.seq += 1;
        self.settle(object, outcome);
    }

    fn settle(&self, object: ObjectRef, outcome: Outcome) {
        let ObjectRef { claim, etag, stamp, .. } = object;
        let settled = Settled { claim, etag, sha256: None, statement: None, stamp: Some(stamp), outcome };
        self.context.checkpoint.settle(&[settled]).unwrap();
    }

    /// Some seconds, in which everything that is due happens.
    async fn pass(&self) {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }

    /// Waits until the queue holds nothing.
    async fn emptied(&self) {
        let empty = async {
            while !self.queue.bodies().is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(LONG, empty).await.expect("the queue is emptied");
    }

    fn count(&self, outcome: &str) -> u64 {
        self.face.status().messages.get(outcome).copied().unwrap_or_default()
    }

    fn parked(&self) -> Vec<Entry> {
        self.quarantine.folder().list(&Filter::default()).unwrap().map(Result::unwrap).collect()
    }

    async fn end(self) {
        self.cancel.cancel();
        timeout(LONG, self.running).await.unwrap().unwrap().unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "the stage alone, without its process")]
fn run(
    queue: &FakeQueue,
    config: &Config,
    context: &Arc<Context>,
    quarantine: &Arc<Quarantine>,
) -> (Face, CancellationToken, JoinHandle<anyhow::Result<()>>) {
    let opened = Opened { queue: Arc::new(queue.clone()), config: config.clone(), sources: vec!["bucket".into()] };
    let parking = Parking::new(Arc::clone(quarantine), Arc::clone(&context.clock), context.health.clone());
    let metrics = Metrics::register(&telemetry::Metrics::new("agent"));
    let (mut consumers, mut faces) = consumers(&[opened], context, &parking, &metrics);
    let cancel = CancellationToken::new();
    let running = tokio::spawn(consumers.remove(0).run(cancel.clone()));
    (faces.remove(0), cancel, running)
}

#[tokio::test(start_paused = true)]
async fn a_message_is_deleted_when_its_object_is_acknowledged_and_not_before() {
    let mut bench = Bench::start().await;
    let key = key(ACCOUNT, "eu-west-1", 1);
    bench.queue.send(&s3("bucket", &format!("logs/{key}")));
    let object = bench.next().await;
    assert_eq!((&object.key, object.size, &object.etag[..]), (&key, 1, "fake-1"));
    bench.pass().await;
    assert_eq!((bench.queue.bodies().len(), bench.face.status().in_work), (1, 1));
    bench.acknowledge(object);
    bench.emptied().await;
    assert_eq!((bench.count("taken"), bench.face.status().in_work), (1, 0));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_of_many_objects_waits_for_the_last_and_sizes_are_asked_for_where_it_says_none() {
    let mut bench = Bench::start().await;
    let keys: Vec<_> = (0..3).map(|minute| key(ACCOUNT, "eu-west-1", minute)).collect();
    for key in &keys {
        bench.put(key).await;
    }
    let named: Vec<_> = keys.iter().map(|key| format!("logs/{key}")).collect();
    bench.queue.send(&cloudtrail(&named.iter().map(String::as_str).collect::<Vec<_>>()));
    for left in (0..3).rev() {
        let object = bench.next().await;
        assert_eq!(object.size, 1);
        assert_eq!(bench.queue.bodies().len(), 1, "{left} more");
        match left {
            // What is quarantined is accounted for.
            1 => bench.settle(object, Outcome::Quarantined { reason: "corrupt".into(), seq: None }),
            _ => bench.acknowledge(object),
        }
        bench.pass().await;
    }
    bench.emptied().await;
    assert_eq!(bench.store.calls("head"), 3);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_can_wait_until_its_objects_are_delivered() {
    let config = Config { delete_when: DeleteWhen::Delivered, ..Config::default() };
    let mut bench = Bench::with(config, crate::config::Source::default()).await;
    bench.queue.send(&s3("bucket", &format!("logs/{}", key(ACCOUNT, "eu-west-1", 1))));
    let object = bench.next().await;
    bench.acknowledge(object);
    bench.pass().await;
    assert_eq!(bench.queue.bodies().len(), 1);
    bench.context.checkpoint.delivered(1).unwrap();
    bench.emptied().await;
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_kill_between_hand_over_and_answer_brings_the_message_again_and_the_object_once() {
    let mut bench = Bench::start().await;
    bench.queue.send(&s3("bucket", &format!("logs/{}", key(ACCOUNT, "eu-west-1", 1))));
    let object = bench.next().await;
    bench.kill_and_start();
    tokio::time::sleep(2 * Config::default().visibility_timeout).await;
    assert!(bench.objects.try_recv().is_none(), "somebody works on it");
    assert_eq!(bench.face.status().in_work, 1, "it came again");
    bench.acknowledge(object);
    bench.emptied().await;

    // And once more after the answer: whoever deleted it was killed before.
    bench.queue.send(&s3("bucket", &format!("logs/{}", key(ACCOUNT, "eu-west-1", 1))));
    bench.emptied().await;
    assert!(bench.objects.try_recv().is_none());
    assert_eq!(bench.context.checkpoint.progress().borrow().listed, 1);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_process_had_claimed_is_handed_on_again() {
    let mut bench = Bench::start().await;
    bench.queue.send(&s3("bucket", &format!("logs/{}", key(ACCOUNT, "eu-west-1", 1))));
    drop(bench.next().await);
    bench.kill_and_start();
    let object = bench.next().await;
    bench.acknowledge(object);
    bench.emptied().await;
    assert_eq!(bench.context.checkpoint.progress().borrow().listed, 1);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_let_go_on_its_way_is_claimed_again_while_its_message_is_held() {
    let mut bench = Bench::start().await;
    bench.queue.send(&s3("bucket", &format!("logs/{}", key(ACCOUNT, "eu-west-1", 1))));
    drop(bench.next().await);
    let object = bench.next().await;
    bench.acknowledge(object);
    bench.emptied().await;
    assert_eq!(bench.queue.calls("extend"), 0, "long before a third of its time");
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_is_hidden_as_long_as_work_goes_on() {
    let mut bench = Bench::start().await;
    bench.queue.send(&s3("bucket", &format!("logs/{}", key(ACCOUNT, "eu-west-1", 1))));
    let object = bench.next().await;
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    // Every 100 s, and the half second until the table is looked at.
    let extended = bench.queue.calls("extend");
    assert!((71..=72).contains(&extended), "{extended}");
    assert!(bench.objects.try_recv().is_none(), "nobody else got it");
    bench.acknowledge(object);
    bench.emptied().await;
    assert_eq!(bench.count("returned"), 0);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_in_work_for_half_a_day_is_given_back_and_begun_again() {
    let mut bench = Bench::start().await;
    bench.queue.send(&s3("bucket", &format!("logs/{}", key(ACCOUNT, "eu-west-1", 1))));
    let object = bench.next().await;
    tokio::time::sleep(Duration::from_secs(12 * 3600 + 60)).await;
    assert_eq!((bench.count("returned"), bench.face.status().in_work), (1, 1));
    bench.acknowledge(object);
    bench.emptied().await;
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_can_not_be_read_is_named_and_asked_again() {
    let mut bench = Bench::start().await;
    bench.pass().await;
    bench.queue.fail("receive", ErrorKind::Denied, 3);
    tokio::time::sleep(Duration::from_secs(21)).await;
    let report = bench.context.health.report();
    assert_eq!(report.degraded[0].part, "queue of the test receive");
    assert!(report.degraded[0].reason.contains("sqs:ReceiveMessage"), "{}", report.degraded[0].reason);
    assert!(bench.face.status().trouble.is_some());
    bench.queue.send(&s3("bucket", &format!("logs/{}", key(ACCOUNT, "eu-west-1", 1))));
    let object = bench.next().await;
    bench.acknowledge(object);
    bench.emptied().await;
    assert!(bench.context.health.report().ready);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn deletions_that_fail_are_repeated() {
    let mut bench = Bench::start().await;
    bench.queue.fail("delete", ErrorKind::Unavailable, 2);
    bench.queue.send(&s3("bucket", &format!("logs/{}", key(ACCOUNT, "eu-west-1", 1))));
    let object = bench.next().await;
    bench.acknowledge(object);
    bench.emptied().await;
    assert_eq!((bench.count("taken"), bench.queue.calls("delete")), (1, 3));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_is_open_is_given_back_at_once_and_what_is_settled_is_deleted() {
    let mut bench = Bench::start().await;
    for minute in 1..=2 {
        bench.queue.send(&s3("bucket", &format!("logs/{}", key(ACCOUNT, "eu-west-1", minute))));
    }
    let (one, _other) = (bench.next().await, bench.next().await);
    bench.acknowledge(one);
    let queue = bench.queue.clone();
    bench.end().await;
    assert_eq!(queue.bodies().len(), 1);
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.waiting, depth.in_work), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn more_messages_than_may_be_in_work_wait_in_the_queue() {
    let config = Config { messages_max: 15, ..Config::default() };
    let mut bench = Bench::with(config, crate::config::Source::default()).await;
    for minute in 0..40 {
        bench.queue.send(&s3("bucket", &format!("logs/{}", key(ACCOUNT, "eu-west-1", minute))));
    }
    bench.pass().await;
    assert_eq!(bench.face.status().in_work, 15);
    for _ in 0..40 {
        let object = bench.next().await;
        bench.acknowledge(object);
    }
    bench.emptied().await;
    assert_eq!(bench.count("taken"), 40);
    // Ten a request, or those of two seconds.
    assert!(bench.queue.calls("delete") <= 6, "{}", bench.queue.calls("delete"));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_no_walk_has_found_is_watched_from_its_first_message_on() {
    let mut bench = Bench::start().await;
    bench.queue.send(&s3("bucket", &format!("logs/{}", key("444455556666", "ap-south-1", 1))));
    let object = bench.next().await;
    assert!(bench.context.folders.get(object.folder.id).is_some());
    assert_eq!(object.folder.path, "AWSLogs/444455556666/CloudTrail/ap-south-1/");
    bench.acknowledge(object);
    bench.emptied().await;
    bench.end().await;
}
