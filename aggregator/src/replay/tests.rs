//! What a replay promises, on a bucket in memory and a real journal. The destinations are moved by hand.

use std::path::Path;

use bytes::Bytes;
use orgtrail_cloud::ErrorKind;
use orgtrail_cloud::object_store::{FakeStore, Fault, PutOptions};
use orgtrail_event::gzip::Deflater;
use orgtrail_event::selector::Selection;
use orgtrail_service::clock::Manual;
use tokio::task::JoinHandle;

use super::*;
use crate::journal::{Advance, Destination, Settings};
use crate::seal::Seal;

const HOUR: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/111122223333_CloudTrail_us-east-1_20260301T10";

struct Running {
    store: FakeStore,
    journal: Journal,
    jobs: Jobs<Job>,
    board: Board,
    cancel: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    #[allow(clippy::disallowed_methods)]
    fn start(dir: &Path, store: &FakeStore, capacity: u64) -> Self {
        let clock: Arc<dyn Clock> = Manual::new("2026-03-09T12:00:00Z".parse().expect("a time"));
        let destination = |name: &str| Destination { name: name.to_owned(), digests: false, announces: false };
        let settings = Settings {
            dir: dir.join("journal"),
            capacity,
            dedup_window: Duration::from_secs(86_400),
            dedup_memory: 1 << 20,
            commit_bytes: 1 << 20,
            destinations: vec![destination("a"), destination("b")],
            trails: vec!["a".to_owned(), "b".to_owned()],
            seal: Seal::off(),
        };
        let (journal, writer) = Journal::open(&settings, Arc::clone(&clock)).expect("opened");
        let all = || Selection::compile(&orgtrail_event::selector::Selectors::All, &[], &Default::default());
        let selections = [all().expect("a selection"), all().expect("a selection")];
        let source =
            |name: &str| Source { name: name.to_owned(), organization_id: None, store: Arc::new(store.clone()) };
        let parts = Parts {
            journal: journal.clone(),
            sources: vec![source("a"), source("b")],
            scanners: Arc::new(Scanners::new(1 << 20, Arc::from(selections))),
            workers: Workers::start("test").expect("threads"),
            health: Health::new(Arc::clone(&clock)),
            clock,
            flush: watch::Sender::new(0),
            object_bytes_max: 1 << 20,
            state_dir: dir.to_owned(),
        };
        let (board, cancel) = (Board::default(), CancellationToken::new());
        let replays = Replays::new(parts, board.clone()).run(cancel.clone());
        let writing = writer.run(cancel.clone());
        let tasks = vec![
            tokio::spawn(async move { replays.await.expect("no error of the journal") }),
            tokio::spawn(async move { writing.await.expect("no error of the journal") }),
        ];
        Self { store: store.clone(), journal, jobs: Jobs::of(dir), board, cancel, tasks }
    }

    async fn stop(self) {
        self.cancel.cancel();
        for task in self.tasks {
            task.await.expect("no panic");
        }
    }

    async fn put(&self, minute: u8, content: &[u8]) -> String {
        let key = format!("{HOUR}{minute:02}Z_AbCdEf0123456789.json.gz");
        self.store.put(&key, Bytes::copy_from_slice(content), &PutOptions::default()).await.expect("put");
        key
    }

    fn ask(&self, destination: &str) -> Job {
        let time = |text: &str| text.parse().expect("a time");
        let range = (time("2026-03-01T00:00:00Z"), time("2026-03-02T00:00:00Z"));
        let job = Job::new("a", destination, range, time("2026-03-09T10:00:00Z")).expect("random numbers");
        self.jobs.submit(&job).expect("written");
        job
    }

    async fn until(&self, job: &Job, there: impl Fn(&Job) -> bool) -> Job {
        for _ in 0..400 {
            let job = self.jobs.read(&job.id).expect("it is there");
            if there(&job) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never came about: {:?}", self.jobs.read(&job.id));
    }

    fn deliver(&self, destination: &str) {
        let to = *self.journal.watch_head().borrow();
        self.journal.advance(destination, Advance { to, ..Advance::default() }).expect("advanced");
    }
}

fn fake() -> FakeStore {
    FakeStore::new("s3://bucket".parse().expect("a location"))
}

fn file(name: u8) -> Vec<u8> {
    let record = format!(
        r#"{{"Records":[{{"eventVersion":"1.08","eventTime":"2026-03-01T10:00:00Z","eventID":"id-{name}"}}]}}"#
    );
    Deflater::new(6).deflate(record.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_read_is_delivered_again_and_the_rest_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let running = Running::start(dir.path(), &fake(), 1 << 20);
    for minute in 0..3 {
        running.put(minute, &file(minute)).await;
    }
    let corrupt = running.put(3, b"no gzip").await;
    let denied = running.put(4, &file(4)).await;
    let fault = |key: &str, kind, times| Fault { verb: "get", key_contains: key.to_owned(), kind, times };
    running.store.fail(fault(&denied, ErrorKind::Denied, 100));
    running.store.fail(fault("T1001Z", ErrorKind::Throttled, 2));

    let job = running.ask("b");
    let job = running.until(&job, |job| job.state == State::Delivering).await;
    assert_eq!(running.board.jobs()[0].id, job.id);
    let heads = running.journal.heads(0, 10).expect("read");
    assert!(heads.iter().all(|(_, head)| head.replay_to.as_deref() == Some("b") && head.verbatim), "{heads:?}");
    assert_eq!(heads.len(), 3);
    running.deliver("b");
    let job = running.until(&job, |job| job.state.is_over()).await;
    assert_eq!((job.state, &job.error), (State::Done, &None));
    let progress = &job.progress;
    assert_eq!((progress.listed, progress.taken, progress.records, progress.failed), (5, 3, 3, 2));
    assert_eq!(progress.failures.iter().map(|failure| &failure.key).collect::<Vec<_>>(), [&corrupt, &denied]);
    assert!(running.board.jobs().is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_cut_off_anywhere_puts_nothing_into_the_journal_twice() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = fake();
    let running = Running::start(dir.path(), &store, 1 << 20);
    for minute in 0..3 {
        running.put(minute, &file(minute)).await;
    }
    let job = running.ask("b");
    let job = running.until(&job, |job| job.state == State::Delivering).await;
    running.stop().await;

    // As a crash between the append and the job's file leaves it.
    let before = Job {
        state: State::Running,
        progress: job::Progress { days: 2, last_seq: Some(1), ..Default::default() },
        ..job.clone()
    };
    Jobs::of(dir.path()).write(&before).expect("written");
    let running = Running::start(dir.path(), &store, 1 << 20);
    let again = running.until(&job, |job| job.state == State::Delivering).await;
    assert_eq!((again.progress.taken, again.progress.last_seq), (3, job.progress.last_seq));
    assert_eq!(running.journal.heads(0, 10).expect("read").len(), 3);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_whose_journal_is_gone_begins_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = fake();
    let running = Running::start(dir.path(), &store, 1 << 20);
    running.put(0, &file(0)).await;
    let job = running.ask("b");
    running.until(&job, |job| job.state == State::Delivering).await;
    running.stop().await;
    std::fs::remove_dir_all(dir.path().join("journal")).expect("removed");
    let running = Running::start(dir.path(), &store, 1 << 20);
    for _ in 0..100 {
        if running.journal.heads(0, 10).expect("read").len() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.deliver("b");
    let job = running.until(&job, |job| job.state.is_over()).await;
    assert_eq!((job.state, job.progress.taken), (State::Done, 1));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_leaves_half_of_the_journal_and_ends_when_an_operator_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let running = Running::start(dir.path(), &fake(), 400);
    // A page of more than one chunk.
    for minute in 0..60 {
        running.put(minute, &file(minute)).await;
    }
    for extra in 0..10 {
        let key = format!("{HOUR}59Z_ZZ{extra:014}.json.gz");
        running.store.put(&key, Bytes::from(file(extra)), &PutOptions::default()).await.expect("put");
    }
    let job = running.ask("b");
    let waiting = running.until(&job, |job| job.progress.waits_for.is_some() && job.progress.taken > 0).await;
    assert_eq!(waiting.progress.taken, 64, "the first chunk, into an empty journal");
    assert!(waiting.progress.waits_for.is_some_and(|what| what.contains("room")));
    running.jobs.cancel(&job.id).expect("asked");
    let job = running.until(&job, |job| job.state.is_over()).await;
    assert_eq!((job.state, job.progress.taken), (State::Cancelled, 64));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_configured_any_more_fails_with_the_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    let running = Running::start(dir.path(), &fake(), 1 << 20);
    for (destination, why) in [("c", "destination c is not configured"), ("a", "own objects are what is read")] {
        let job = running.ask(destination);
        let job = running.until(&job, |job| job.state.is_over()).await;
        assert_eq!(job.state, State::Failed);
        assert!(job.error.as_ref().is_some_and(|error| error.contains(why)), "{:?}", job.error);
    }
    running.stop().await;
}
