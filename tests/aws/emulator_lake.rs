//! The lake in a bucket: two writers at one table, whose commits S3's conditional puts keep apart; results put into a
//! bucket; Athena's statements over what lies in one.

use std::path::Path;

use orgtrail_cloud::object_store::PutOptions;
use orgtrail_event::gzip::Deflater;
use orgtrail_tests::emulator::{Account, Emulator};
use orgtrail_tests::process::{Process, run, run_with};
use orgtrail_tests::site::Site;
use serde_json::json;

use crate::{new_bucket_in, store};

const FILES: u32 = 24;
const ROWS: u32 = 20;
const OWNER: &str = "111122223333";

/// A lake in a bucket, over a trail in the same.
struct Lake<'a> {
    emulator: &'a Emulator,
    account: Account,
    bucket: String,
    folder: Site,
}

impl<'a> Lake<'a> {
    async fn new(emulator: &'a Emulator) -> Self {
        let account = emulator.account();
        let bucket = new_bucket_in(&emulator.connection(&account)).await;
        let lake = Self { emulator, account, bucket, folder: Site::new() };
        let (bucket, url) = (&lake.bucket, emulator.url());
        let key = lake.config().join("signing.pem");
        assert_eq!(run("orgtrail", &["keys", "create", "--signing", key.to_str().unwrap()]).unwrap().0, 0);
        let place = |path: &str| {
            format!("location = \"s3://{bucket}/{path}\"\nregion = \"us-east-1\"\nendpoint_url = \"{url}\"\n")
        };
        let text = format!(
            "[[trails]]\nname = \"org-trail\"\n{}\n[[event_data_stores]]\nname = \"events\"\n{}\n[import]\nmemory = \"64MiB\"\n\
             interval = \"1s\"\nsweep_interval = \"1s\"\n[maintain]\ninterval = \"1s\"\n[query.results]\n{}signing_key_id = \"file://{}\"\n",
            place("audit"),
            place("lake/events"),
            place("results"),
            key.display(),
        );
        std::fs::write(key.with_file_name("lake.toml"), text).unwrap();
        lake
    }

    fn config(&self) -> &Path {
        self.folder.root()
    }

    /// Delivers log files `from..to`.
    async fn deliver(&self, files: std::ops::Range<u32>) {
        let trail = store(&self.bucket, "audit", &self.emulator.connection(&self.account)).await;
        for file in files {
            let records: Vec<_> = (0..ROWS)
                .map(|row| {
                    json!({
                        "eventVersion": "1.11", "eventTime": format!("2026-03-01T10:{file:02}:{row:02}Z"), "eventSource": "s3.amazonaws.com",
                        "eventName": "PutObject", "awsRegion": "us-east-1", "eventID": format!("{file}-{row}"), "recipientAccountId": OWNER,
                    })
                })
                .collect();
            let json = json!({ "Records": records }).to_string();
            let name = format!("{OWNER}_CloudTrail_us-east-1_20260301T10{file:02}Z_{file:016}.json.gz");
            let key = format!("AWSLogs/{OWNER}/CloudTrail/us-east-1/2026/03/01/{name}");
            trail.put(&key, Deflater::new(6).deflate(json.as_bytes()).into(), &PutOptions::default()).await.unwrap();
        }
    }

    fn start(&self, verb: &[&str]) -> Process {
        let env: Vec<_> =
            self.emulator.child_env(&self.account).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Process::start("orgtrail", &self.arguments(verb), &env, self.config()).unwrap()
    }

    fn said(&self, verb: &[&str]) -> String {
        let env = self.emulator.child_env(&self.account);
        let (code, output, errors) = run_with("orgtrail", &self.arguments(verb), &env).unwrap();
        assert_eq!(code, 0, "{verb:?}: {output}{errors}");
        output
    }

    fn arguments<'b>(&'b self, verb: &[&'b str]) -> Vec<&'b str> {
        let (name, more) = verb.split_at(verb.iter().take_while(|word| !word.starts_with('-')).count().min(2));
        [name, &["--config", self.config().to_str().unwrap()], more].concat()
    }

    fn ask(&self, statement: &str) -> String {
        self.said(&["query", "--output", "csv", statement])
    }
}

/// Two importers at one table in a bucket, beside compaction: every object once, and no row lost to the other's commit.
async fn two_writers(emulator: &Emulator) {
    let lake = Lake::new(emulator).await;
    lake.deliver(0..FILES / 2).await;
    let mut writers = [lake.start(&["lake"]), lake.start(&["lake"])];
    lake.deliver(FILES / 2..FILES).await;
    for writer in &mut writers {
        writer.wait_for("lake is up").unwrap();
    }
    let began = std::time::Instant::now();
    let rows = FILES * ROWS;
    let count = "SELECT count(*) AS n, count(DISTINCT eventid) AS d FROM events";
    while lake.ask(count) != format!("n,d\n{rows},{rows}\n") {
        assert!(began.elapsed().as_secs() < 120, "{}", lake.ask(count));
    }
    for writer in &mut writers {
        assert!(writer.stop().unwrap().success(), "{}", writer.output());
    }
    lake.said(&["lake", "--once"]);
    assert_eq!(lake.ask(count), format!("n,d\n{rows},{rows}\n"), "nothing came twice afterwards");
    let account = lake.ask("SELECT count(*) AS n, count(DISTINCT key) AS d, sum(kept) AS k FROM \"events$objects\"");
    assert_eq!(account, format!("n,d,k\n{FILES},{FILES},{rows}\n"));
}

#[tokio::test]
async fn moto_two_writers_at_one_table_in_a_bucket_lose_nothing() {
    let Some(emulator) = Emulator::moto() else { return };
    two_writers(emulator).await;
}

#[tokio::test]
async fn ministack_two_writers_at_one_table_in_a_bucket_lose_nothing() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    two_writers(emulator).await;
}

#[tokio::test]
async fn rows_are_put_into_a_bucket_and_athena_is_told_where_tables_lie() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let lake = Lake::new(emulator).await;
    lake.deliver(0..2).await;
    lake.said(&["lake", "--once"]);
    let rows = format!("s3://{}/answers/rows.csv", lake.bucket);
    lake.said(&["query", "--output", &rows, "SELECT eventid FROM events ORDER BY eventtime"]);
    let bucket = store(&lake.bucket, "", &emulator.connection(&lake.account)).await;
    let put = bucket.get("answers/rows.csv", 1 << 20).await.unwrap().bytes;
    let text = String::from_utf8(put.to_vec()).unwrap();
    assert_eq!(text.lines().count(), 1 + 2 * ROWS as usize);
    assert!(text.starts_with("eventid\n0-0\n0-1\n"), "{text}");

    let statements = lake.said(&["athena", "ddl"]);
    for part in [
        format!("LOCATION 's3://{}/lake/events", lake.bucket),
        "'table_type' = 'DELTA'".to_owned(),
        format!("s3://{}/audit/AWSLogs/", lake.bucket),
        format!("'projection.account.values' = '{OWNER}'"),
    ] {
        assert!(statements.contains(&part), "{part} is not in\n{statements}");
    }
}
