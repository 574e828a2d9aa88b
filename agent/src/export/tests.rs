//! What becomes of files of every form: records as they were, and every stretch that is none told.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use orgtrail_event::gzip::Inflater;
use orgtrail_service::clock;
use orgtrail_service::quarantine::Filter;

use super::*;

const EU: &str = "AWSLogs/111122223333/CloudTrail/eu-west-1/";

fn record(id: &str, account: &str, region: &str, time: &str) -> String {
    format!(
        "{{ \"eventVersion\":\"1.08\",\"eventID\":\"{id}\", \"eventTime\":\"{time}\",\"awsRegion\":\"{region}\",\
         \"recipientAccountId\":\"{account}\",\"note\":\"\\u003c\" }}"
    )
}

fn eu(id: &str) -> String {
    record(id, "111122223333", "eu-west-1", "2024-05-01T10:20:30Z")
}

struct Setup {
    dir: tempfile::TempDir,
    quarantine: Arc<Quarantine>,
}

impl Setup {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("exports")).unwrap();
        let quarantine = Quarantine::open(&dir.path().join("quarantine"), 1000, clock::system()).unwrap();
        Self { dir, quarantine: Arc::new(quarantine) }
    }

    /// A file that has settled.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join("exports").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(content.as_ref()).unwrap();
        #[allow(clippy::disallowed_methods, reason = "files carry the wall clock's time")]
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
        path
    }

    fn store(&self) -> ExportStore {
        let location = Location::try_from(self.dir.path().join("exports").as_path()).unwrap();
        let lists = self.dir.path().join("lists");
        ExportStore::new(&location, Arc::clone(&self.quarantine), clock::system(), &lists).unwrap()
    }

    /// Every object with the ids of its records.
    async fn all(&self, store: &ExportStore) -> Vec<(String, Vec<String>)> {
        let page = store.list(&ListRequest::default()).await.unwrap();
        let mut all = Vec::new();
        for meta in page.objects {
            let text = content(store, &meta.key).await;
            all.push((meta.key, ids(&text)));
        }
        all
    }
}

async fn content(store: &ExportStore, key: &str) -> String {
    let object = store.get(key, 1 << 20).await.unwrap();
    let mut content = Vec::new();
    Inflater::default().inflate(&object.bytes, 1 << 24, &mut content).unwrap();
    String::from_utf8(content).unwrap()
}

fn ids(content: &str) -> Vec<String> {
    let file: serde_json::Value = serde_json::from_str(content).unwrap();
    let records = file["Records"].as_array().unwrap();
    records.iter().map(|record| record["eventID"].as_str().unwrap().to_owned()).collect()
}

async fn prefixes(store: &ExportStore, prefix: &str) -> Vec<String> {
    let request = ListRequest { prefix: prefix.into(), delimiter: Some('/'), ..ListRequest::default() };
    store.list(&request).await.unwrap().common_prefixes
}

#[tokio::test]
async fn every_form_and_compression_becomes_objects_in_cloudtrails_layout() {
    let setup = Setup::new();
    let wrapped =
        |id: &str| format!("{{\"EventId\":\"{id}\",\"CloudTrailEvent\":{}}}", serde_json::Value::from(eu(id)));
    setup.write("lines.jsonl", format!("{}\n{}\n", eu("l1"), eu("l2")));
    setup.write("deep/er/array.json", format!("[{}, {}]", eu("a1"), eu("a2")));
    setup.write("records", format!("{{\n  \"Records\": [\n{},\n{}\n  ]\n}}\n", eu("r1"), eu("r2")));
    setup.write("lookup.txt", format!("{{\"Events\":[{},{}]}}", wrapped("w1"), wrapped("w2")));
    setup.write("one.json", eu("o1").replace(", ", ",\n   "));
    let gzip = Deflater::new(6).deflate(format!("{}\n{}", eu("g1"), eu("g2")).as_bytes());
    setup.write("lines.jsonl.gz", gzip);
    setup.write(".hidden", "x");
    let store = setup.store();
    let mut all = setup.all(&store).await;
    assert_eq!(all.len(), 6);
    for (key, _) in &all {
        assert!(key.starts_with(&format!("{EU}2024/05/01/111122223333_CloudTrail_eu-west-1_20240501T1020Z_")), "{key}");
    }
    all.sort_by(|a, b| a.1.cmp(&b.1));
    let ids: Vec<_> = all.iter().flat_map(|(_, ids)| ids).cloned().collect();
    assert_eq!(ids, ["a1", "a2", "g1", "g2", "l1", "l2", "o1", "r1", "r2", "w1", "w2"]);
    let of_lines = &all.iter().find(|(_, ids)| ids[0] == "l1").unwrap().0;
    assert_eq!(content(&store, of_lines).await, format!("{{\"Records\":[{},{}]}}", eu("l1"), eu("l2")));
    assert_eq!(prefixes(&store, "").await, ["AWSLogs/"]);
    assert_eq!(prefixes(&store, "AWSLogs/111122223333/CloudTrail/").await, [EU]);
    let tally = store.tally().get("exports");
    assert_eq!((tally.files, tally.records, tally.objects, tally.foreign), (6, 11, 6, 0));
}

#[tokio::test]
async fn one_file_of_many_accounts_regions_and_days_is_an_object_for_each() {
    let setup = Setup::new();
    let mut text = String::from("{\"Records\":[");
    for n in 0..300 {
        let account = ["111122223333", "444455556666"][n % 2];
        let region = ["eu-west-1", "us-east-1", "ap-south-1"][n % 3];
        let time = format!("2024-05-{:02}T0{}:00:00Z", n % 5 + 1, n % 10);
        text.push_str(&record(&format!("n{n}"), account, region, &time));
        text.push(if n < 299 { ',' } else { ']' });
    }
    text.push('}');
    setup.write("big.json", &text);
    setup.write("big.json.gz", Deflater::new(1).deflate(text.replace("\"n", "\"z").as_bytes()));
    let insight = eu("insight").replace("\"note\"", "\"eventCategory\":\"Insight\",\"note\"");
    setup.write("insight.json", insight);
    let store = setup.store();
    let all = setup.all(&store).await;
    assert_eq!(all.len(), 2 * 30 + 1);
    let mut ids: Vec<_> = all.iter().flat_map(|(_, ids)| ids.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 601, "every record once");
    for (key, ids) in &all {
        let named = orgtrail_event::key::classify(key).into_log().unwrap();
        for id in ids.iter().filter(|id| *id != "insight") {
            let n: usize = id[1..].parse().unwrap();
            assert_eq!(named.date.day() as usize, n % 5 + 1, "{key} holds {id}");
        }
    }
    assert!(all.iter().any(|(key, ids)| key.contains("/CloudTrail-Insight/") && ids == &["insight"]));
    assert_eq!(prefixes(&store, "AWSLogs/").await.len(), 2);
}

#[tokio::test]
async fn what_is_no_record_is_quarantined_with_file_and_offset_and_what_is_no_log_is_named() {
    let setup = Setup::new();
    let nobody = eu("x").replace("111122223333", "XXXX");
    let never = eu("y").replace("2024-05-01T10:20:30Z", "soon");
    let placeless = eu("z").replace("eu-west-1", "Moon Base");
    let text = format!("{}\nnot json\n{nobody}\n{never}\n{placeless}\n{}\n", eu("a"), eu("b"));
    setup.write("mixed.jsonl", &text);
    setup.write("report.csv", "Event name,User\nx,y\n");
    setup.write("empty", "");
    let caller =
        eu("c").replace("\"recipientAccountId\":\"111122223333\"", "\"userIdentity\":{\"accountId\":\"111122223333\"}");
    setup.write("caller.json", caller);
    let mut cut = Deflater::new(6).deflate(format!("{}\n", eu("d")).repeat(50).as_bytes());
    cut.truncate(cut.len() - 4);
    setup.write("cut.gz", cut);
    let store = setup.store();
    let all = setup.all(&store).await;
    assert!(all.iter().any(|(_, ids)| ids == &["a", "b"]), "{all:?}");
    assert!(all.iter().any(|(_, ids)| ids == &["c"]), "{all:?}");
    let entries: Vec<_> = setup.quarantine.folder().list(&Filter::default()).unwrap().map(Result::unwrap).collect();
    let mut reasons: Vec<_> = entries.iter().map(|entry| entry.reason.as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["invalid_json", "no_account", "no_region", "no_time", "unreadable"]);
    let entry = entries.iter().find(|entry| entry.reason == "no_account").unwrap();
    assert!(entry.subject.ends_with("mixed.jsonl"), "{}", entry.subject);
    assert_eq!(entry.fields["offset"], text.find(&nobody).unwrap().to_string());
    let tally = store.tally().get("exports");
    assert_eq!((tally.foreign, tally.foreign_files), (2, vec!["empty".to_owned(), "report.csv".to_owned()]));
    assert_eq!(tally.bad_stretches, 5);
}

#[tokio::test]
async fn files_keep_their_objects_over_a_restart_and_get_others_when_they_change() {
    let setup = Setup::new();
    let path = setup.write("a.json", eu("a"));
    setup.write("b.json", eu("b"));
    let before = setup.all(&setup.store()).await;
    let again = setup.store();
    assert_eq!(again.tally().get("x").records, 2, "what was seen is remembered");
    assert_eq!(setup.all(&again).await, before);
    fs::remove_dir_all(setup.dir.path().join("lists")).unwrap();
    assert_eq!(setup.all(&setup.store()).await, before, "and found again where that is lost");

    setup.write("a.json", format!("{}\n{}", eu("a"), eu("a2")));
    fs::remove_file(setup.dir.path().join("exports/b.json")).unwrap();
    let key = before.iter().find(|(_, ids)| ids == &["a"]).unwrap().0.clone();
    assert_eq!(again.get(&key, 1 << 20).await.unwrap_err().kind(), &ErrorKind::NotFound, "it has changed");
    let changed = setup.all(&setup.store()).await;
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].1, ["a", "a2"]);
    assert!(!before.contains(&changed[0]));

    fs::File::options().append(true).open(path).unwrap().write_all(b"\n{").unwrap();
    let store = setup.store();
    store.list(&ListRequest::default()).await.unwrap();
    assert_eq!(store.tally().get("x").pending, 1, "a file that is being written waits");
}

#[tokio::test]
async fn pages_continue_where_they_ended() {
    let setup = Setup::new();
    let lines: Vec<_> = (0..2500)
        .map(|n| {
            record(
                &format!("n{n}"),
                "111122223333",
                "eu-west-1",
                &format!("{}-{:02}-{:02}T00:00:00Z", 1000 + n / 300, n % 12 + 1, n / 12 % 25 + 1),
            )
        })
        .collect();
    setup.write("years.jsonl", lines.join("\n"));
    let store = setup.store();
    let (mut keys, mut request) = (Vec::new(), ListRequest { prefix: EU.into(), ..ListRequest::default() });
    loop {
        let page = store.list(&request).await.unwrap();
        keys.extend(page.objects.into_iter().map(|meta| meta.key));
        request.continuation = page.next;
        if request.continuation.is_none() {
            break;
        }
    }
    assert_eq!(keys.len(), 2500);
    assert!(keys.is_sorted_by(|a, b| a < b));
    let request = ListRequest { prefix: EU.into(), start_after: Some(keys[2000].clone()), ..ListRequest::default() };
    assert_eq!(store.list(&request).await.unwrap().objects.len(), 499);
}
