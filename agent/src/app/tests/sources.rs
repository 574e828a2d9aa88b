//! Sources that are no bucket, through a whole agent.

use std::collections::BTreeMap;

use orgtrail_cloud::lookup::{FakeLookup, HistoryEvent};
use orgtrail_cloud::{Connection, Error, Lookup};
use orgtrail_event::gzip::Inflater;

use super::*;

/// The records that an aggregator got, by the key of their object; the last version of each.
type Got = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

async fn aggregator(got: &Got) -> FakeAggregator {
    let (got, mut journal) = (Arc::clone(got), Journal::default());
    FakeAggregator::start(move |_, message| {
        if let ToAggregator::Batch(batch) = &message {
            for object in &batch.objects {
                let mut content = Vec::new();
                Inflater::default().inflate(&object.gzip, 1 << 24, &mut content).unwrap();
                let file: serde_json::Value = serde_json::from_slice(&content).unwrap();
                let records = file["Records"].as_array().unwrap();
                let ids = records.iter().map(|record| record["eventID"].as_str().unwrap().to_owned()).collect();
                got.lock().unwrap().insert(object.reference.key.clone(), ids);
            }
        }
        journal.answer(&message)
    })
    .await
}

fn config_of(dir: &Path, endpoint: &str, source: &str) -> Config {
    let text = format!(
        "name = \"acme\"\nstate_dir = \"{0}/state\"\ngrace_period = \"5s\"\n[aggregator]\nendpoint = \"{endpoint}\"\n\
         [[sources]]\n{source}\n[ship]\nreconnect_min = \"10ms\"\n",
        dir.display()
    );
    orgtrail_service::config::parse(Path::new("agent.toml"), &text).unwrap()
}

fn record(id: &str, region: &str, time: &str) -> String {
    format!(
        "{{\"eventVersion\":\"1.08\",\"eventID\":\"{id}\",\"eventTime\":\"{time}\",\"awsRegion\":\"{region}\",\
         \"recipientAccountId\":\"111122223333\"}}"
    )
}

/// Files that have settled.
fn write(path: &Path, text: &str) {
    let mut file = std::fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    #[allow(clippy::disallowed_methods, reason = "files carry the wall clock's time")]
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
}

#[tokio::test]
async fn exported_logs_of_any_day_are_taken_whenever_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let exports = dir.path().join("exports");
    std::fs::create_dir(&exports).unwrap();
    let got = Got::default();
    let fake = aggregator(&got).await;
    let source = format!("name = \"exports\"\nkind = \"exported_logs\"\nlocation = \"file://{}\"", exports.display());
    let config = config_of(dir.path(), &fake.endpoint(), &source);
    let new = [record("a", "eu-west-1", "2024-05-01T10:00:00Z"), record("b", "us-east-1", "2024-05-02T10:00:00Z")];
    write(&exports.join("new.jsonl"), &new.join("\n"));
    write(&exports.join("notes.txt"), "nothing");
    let outcome = once(config.clone()).await;
    assert!(outcome.complete);
    assert_eq!((outcome.objects.listed, outcome.objects.delivered), (2, 2));

    write(&exports.join("old.jsonl"), &record("c", "eu-west-1", "2019-01-01T10:00:00Z"));
    let outcome = once(config).await;
    assert_eq!((outcome.objects.listed, outcome.objects.delivered), (3, 3), "years before what was taken already");
    assert!(outcome.objects.is_conserved());
    let mut ids: Vec<_> = got.lock().unwrap().values().flatten().cloned().collect();
    ids.sort_unstable();
    assert_eq!(ids, ["a", "b", "c"]);
    let status: Status =
        serde_json::from_value(read_status(&dir.path().join("state")).unwrap().unwrap().value).unwrap();
    let told = &status.exported_logs[0];
    assert_eq!((told.source.as_str(), told.files, told.records), ("exports", 3, 3));
    assert_eq!(told.foreign_files, ["notes.txt"]);
}

/// One account's event history; what else is outside is the real thing.
#[derive(Debug, Clone)]
struct History(FakeLookup);

#[tonic::async_trait]
impl Outside for History {
    async fn open_lookup(&self, _: &str, _: &Connection) -> Result<Arc<dyn Lookup>, Error> {
        Ok(Arc::new(self.0.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_history_is_taken_window_by_window_and_late_events_with_the_next_reading() {
    let dir = tempfile::tempdir().unwrap();
    let got = Got::default();
    let fake = aggregator(&got).await;
    let lookup = FakeLookup::new();
    let put = |id: &str, time: &str| {
        let at = Some(time.parse().unwrap());
        lookup.put(HistoryEvent { id: Some(id.into()), time: at, record: Some(record(id, "eu-west-1", time)) });
    };
    put("a", "2024-05-01T12:01:00Z");
    put("b", "2024-05-01T12:16:00Z");
    put("too-new", "2024-05-01T12:46:00Z");
    let source =
        "kind = \"lookup_events\"\naccounts = [\"111122223333\"]\nregions = [\"eu-west-1\"]\nstart = \"2024-05-01\"";
    let config = config_of(dir.path(), &fake.endpoint(), source);
    let run = async |now: &str| {
        let clock = clock::Manual::new(now.parse().unwrap());
        let outside = Arc::new(History(lookup.clone()));
        let options = Options { once: true, timeout: None, clock, outside };
        App::build(config.clone(), options).await.unwrap().run(CancellationToken::new()).await.unwrap()
    };
    let ids = || {
        let got = got.lock().unwrap();
        let ids = got.iter().filter(|(_, ids)| !ids.is_empty()).map(|(key, ids)| (key.clone(), ids.clone()));
        ids.collect::<Vec<_>>()
    };
    let outcome = run("2024-05-01T13:00:00Z").await;
    assert!(outcome.complete && outcome.objects.is_conserved());
    assert_eq!(outcome.objects.delivered, 51, "a quarter of an hour each, until a quarter of an hour ago");
    let first = ids();
    assert_eq!(first.iter().map(|(_, ids)| ids.join("+")).collect::<Vec<_>>(), ["a", "b"]);

    put("late", "2024-05-01T12:02:00Z");
    let outcome = run("2024-05-01T14:20:00Z").await;
    assert!(outcome.objects.is_conserved());
    let second = ids();
    assert_eq!(second.iter().map(|(_, ids)| ids.join("+")).collect::<Vec<_>>(), ["a+late", "b", "too-new"]);
    assert_eq!(second[0].0, first[0].0, "under the same key");
}
