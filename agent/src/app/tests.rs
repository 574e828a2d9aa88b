//! A whole agent over a folder, against an aggregator that does as told.

mod digests;
mod sources;

use std::path::Path;
use std::sync::Mutex;

use orgtrail_event::gzip::Deflater;
use orgtrail_proto::{Disposition, ToAgent, ToAggregator};
use orgtrail_service::run::Exit;
use orgtrail_service::state_dir::read_status;

use super::*;
use crate::testing::{FakeAggregator, keys, welcome};

const LONG: Duration = Duration::from_secs(60);

fn bucket(dir: &Path, objects: usize) {
    let folder = "AWSLogs/111122223333/CloudTrail/eu-west-1/2024/05/01";
    std::fs::create_dir_all(dir.join(folder)).unwrap();
    let mut deflater = Deflater::new(6);
    for n in 0..objects {
        let name = format!(
            "111122223333_CloudTrail_eu-west-1_20240501T{:02}{:02}Z_Abcdef{n:010}.json.gz",
            n / 60 % 24,
            n % 60
        );
        let gzip = deflater.deflate(format!("{{\"Records\":[{n}]}}").as_bytes());
        std::fs::write(dir.join(folder).join(name), gzip).unwrap();
    }
}

fn config(dir: &Path, endpoint: &str) -> Config {
    let text = format!(
        "name = \"acme\"\nstate_dir = \"{0}/state\"\ngrace_period = \"5s\"\n[aggregator]\nendpoint = \"{endpoint}\"\n\
         [[sources]]\nname = \"bucket\"\nlocation = \"file://{0}/bucket\"\n[ship]\nreconnect_min = \"10ms\"\n",
        dir.display()
    );
    orgtrail_service::config::parse(Path::new("agent.toml"), &text).unwrap()
}

async fn once(config: Config) -> Outcome {
    let options = Options { once: true, timeout: Some(LONG), ..Options::default() };
    let app = App::build(config, options).await.unwrap();
    app.run(CancellationToken::new()).await.unwrap()
}

/// Takes everything, and delivers when it is asked to.
#[derive(Default)]
struct Journal {
    keys: Vec<String>,
    epoch: u64,
}

impl Journal {
    fn answer(&mut self, message: &ToAggregator) -> Vec<Result<ToAgent, tonic::Status>> {
        match message {
            ToAggregator::Hello(_) => welcome(self.epoch),
            ToAggregator::Flush => vec![Ok(ToAgent::Delivered { seq_end: self.keys.len() as u64 })],
            ToAggregator::Batch(batch) => {
                let first = self.keys.len() as u64;
                self.keys.extend(keys(message));
                let accepted = |n| Disposition::Accepted { seq: first + n as u64, damage: None };
                let dispositions = (0..batch.objects.len()).map(accepted).collect();
                vec![Ok(ToAgent::Answer { batch_id: batch.id, dispositions })]
            }
            ToAggregator::Part(_) => panic!("small objects go whole"),
        }
    }
}

#[tokio::test]
async fn a_run_with_once_ends_when_everything_is_delivered_and_accounts_for_it() {
    let dir = tempfile::tempdir().unwrap();
    bucket(&dir.path().join("bucket"), 300);
    let bad = dir.path().join("bucket/AWSLogs/111122223333/CloudTrail/eu-west-1/2024/05/01");
    std::fs::write(bad.join("111122223333_CloudTrail_eu-west-1_20240501T0000Z_Bad.json.gz"), "<Error/>").unwrap();
    std::fs::write(bad.join("notes.txt"), "x").unwrap();
    let journal = Arc::new(Mutex::new(Journal::default()));
    let told = Arc::clone(&journal);
    let fake = FakeAggregator::start(move |_, message| told.lock().unwrap().answer(&message)).await;

    let outcome = once(config(dir.path(), &fake.endpoint())).await;
    assert!(outcome.complete);
    assert_eq!((outcome.objects.listed, outcome.objects.delivered), (302, 300));
    assert_eq!((outcome.quarantined_total, outcome.quarantined[0].reason.as_str()), (1, "not_gzip"));
    assert_eq!(outcome.objects.skipped.get("foreign"), Some(&1));
    assert!(outcome.objects.is_conserved());
    assert_eq!(outcome.exit(), Exit::Partial);
    assert_eq!(journal.lock().unwrap().keys.len(), 300);

    let snapshot = read_status(&dir.path().join("state")).unwrap().unwrap();
    assert!(!snapshot.running);
    let status: Status = serde_json::from_value(snapshot.value).unwrap();
    assert_eq!(status.objects, outcome.objects);
    let row = &status.rows[0];
    assert_eq!(
        (row.source.as_str(), row.account.as_str(), row.region.as_str()),
        ("bucket", "111122223333", "eu-west-1")
    );
    assert_eq!(row.newest_stamp, Some("2024-05-01T04:59:00Z".parse::<jiff::Timestamp>().unwrap().as_second()));

    let again = once(config(dir.path(), &fake.endpoint())).await;
    assert_eq!(again.objects, outcome.objects, "a second run finds nothing new");
    assert_eq!(journal.lock().unwrap().keys.len(), 300);
}

#[tokio::test]
async fn an_aggregator_whose_disk_is_wiped_gets_everything_undelivered_again() {
    let dir = tempfile::tempdir().unwrap();
    bucket(&dir.path().join("bucket"), 200);
    let journals = Arc::new(Mutex::new(Journal::default()));
    let told = Arc::clone(&journals);
    let fake = FakeAggregator::start(move |_, message| {
        let mut journal = told.lock().unwrap();
        if matches!(message, ToAggregator::Flush) && journal.epoch == 0 {
            // It delivers the first fifty and burns down.
            *journal = Journal { keys: Vec::new(), epoch: 1 };
            return vec![Ok(ToAgent::Delivered { seq_end: 50 }), Err(tonic::Status::unavailable("fire"))];
        }
        journal.answer(&message)
    })
    .await;
    let outcome = once(config(dir.path(), &fake.endpoint())).await;
    assert!(outcome.complete);
    assert_eq!((outcome.objects.listed, outcome.objects.delivered, outcome.undelivered), (200, 200, 0));
    assert_eq!(journals.lock().unwrap().keys.len(), 150, "what was delivered is not sent again (I11)");
}

#[tokio::test]
async fn a_quarantined_object_that_was_mended_goes_through_on_request() {
    let dir = tempfile::tempdir().unwrap();
    bucket(&dir.path().join("bucket"), 3);
    let folder = dir.path().join("bucket/AWSLogs/111122223333/CloudTrail/eu-west-1/2024/05/01");
    let path = folder.join("111122223333_CloudTrail_eu-west-1_20240501T0000Z_Bad.json.gz");
    std::fs::write(&path, "").unwrap();
    let journal = Arc::new(Mutex::new(Journal::default()));
    let told = Arc::clone(&journal);
    let fake = FakeAggregator::start(move |_, message| told.lock().unwrap().answer(&message)).await;
    let config = config(dir.path(), &fake.endpoint());
    assert_eq!(once(config.clone()).await.quarantined_total, 1);

    let quarantine = orgtrail_service::quarantine::Folder::open(&dir.path().join("state/quarantine"), clock::system());
    assert_eq!(quarantine.request_retries(&Filter::default()).unwrap(), 1);
    let outcome = once(config.clone()).await;
    assert_eq!((outcome.quarantined_total, outcome.objects.listed), (1, 4), "still broken");

    std::fs::write(&path, Deflater::new(6).deflate(b"{\"Records\":[4]}")).unwrap();
    quarantine.request_retries(&Filter::default()).unwrap();
    let outcome = once(config).await;
    assert_eq!((outcome.quarantined_total, outcome.objects.delivered, outcome.exit()), (0, 4, Exit::Ok));
    assert!(outcome.objects.is_conserved());
}

#[tokio::test]
async fn a_run_that_reaches_nobody_ends_in_time_and_says_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    bucket(&dir.path().join("bucket"), 2);
    let options = Options { once: true, timeout: Some(Duration::from_millis(500)), ..Options::default() };
    let app = App::build(config(dir.path(), "http://127.0.0.1:1"), options).await.unwrap();
    let outcome = app.run(CancellationToken::new()).await.unwrap();
    assert_eq!((outcome.complete, outcome.objects.in_flight, outcome.exit()), (false, 2, Exit::Failed));
}

#[tokio::test]
async fn two_agents_do_not_share_a_state_folder() {
    let dir = tempfile::tempdir().unwrap();
    let build = || App::build(config(dir.path(), "http://127.0.0.1:1"), Options::default());
    let first = build().await.unwrap();
    let error = build().await.unwrap_err().to_string();
    assert!(error.contains("in use by orgtrail-agent"), "{error}");
    drop(first);
}

#[tokio::test]
async fn metrics_show_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    bucket(&dir.path().join("bucket"), 2);
    let journal = Arc::new(Mutex::new(Journal::default()));
    let fake = FakeAggregator::start(move |_, message| journal.lock().unwrap().answer(&message)).await;
    let app = App::build(config(dir.path(), &fake.endpoint()), Options { once: true, ..Options::default() });
    let app = app.await.unwrap();
    let registry = app.registry.clone();
    app.run(CancellationToken::new()).await.unwrap();
    let text = registry.encode();
    for line in [
        "orgtrail_agent_objects_listed_total 2",
        "orgtrail_agent_objects_total{outcome=\"done\",reason=\"\"} 2",
        "orgtrail_agent_objects_delivered_total 2",
        "orgtrail_agent_objects_in_flight 0",
        "orgtrail_agent_newest_object_timestamp_seconds{account=\"111122223333\",region=\"eu-west-1\"} 1714521660",
        "orgtrail_agent_source_requests_total{operation=\"get\",outcome=\"ok\"} 2",
        "orgtrail_agent_memory_in_use_bytes 0",
    ] {
        assert!(text.contains(line), "`{line}` in:\n{text}");
    }
}
