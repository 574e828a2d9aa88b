//! What becomes of digests and Insight files: a whole agent over a folder.

use std::collections::BTreeMap;

use bytes::Bytes;
use orgtrail_cloud::CredentialSource;
use orgtrail_cloud::object_store::{LocalStore, ObjectStore, PutOptions};
use orgtrail_proto::Object;
use orgtrail_service::clock::Manual;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::config::DigestKeys;
use crate::status::Proved;

/// The event crate's own golden digest: made with a throw-away key, verified with the AWS CLI's code and with OpenSSL.
const GOLDEN: &str = include_str!("../../../../event/src/digest/golden_digest.json");
const VALUE: &str = "MIIBCgKCAQEAuMGik9/lVkl+b74POdQLMOG/JdZ6r0bVzyWdqzexEzPxD0kLi+FQA/GPvyRJ6Vw6OL9BxEY8+PsXJ8xu7eUELvwiWMEomj89DVMv1GAAy3is0D/KJl9i4KAvs25uEMPz5y+z9fOjNssAvITgVY4yWTn2JegCLkOfiEnqdhcxUDo0ryv5+sgy2tCVY7qZt7zLvWDwExJIq5aVrQZJ+lFm8ZqPmE8radKrL78h4sKGnHkwKa/o5H4GO7ruWwpMnX9dlHqdgeHBnaM13ttUxqnUwuFUb2s7eVUBPlLxr3tOBBohJAkSCvDupe42nwzl5hvAWVKT+VLCp1tJtypnEnJqKwIDAQAB";
const SIGNATURE: &str = "a6ac88ff461e31224f26e70ae65131c9e0bed68c605b6a566701061b190b8d352957d18a812d75fb86f7c7e548fe8aad240d66e0a91501b65907abb7e25e28b91457689136c99f2a1a88b29d57a7360554e674c688ccb4d0f34e8b28e09896746cef77c47d4163a3e44068d0970fb3faa06d0bd763f7473950134886dd02e7c2eefbf21f4a7a7241fd3cb9d5c71e6f544a429535ff987469f887354a2d6cae26d1b2841db4097138f44036f65d1e78f2c287ba71e95fa22789ae4c5ad88f50d1dd8758acee8442060e4ed9f37caccbcc3b1dbec31b03d5f447ce3918488db1f1590e6a406ece55643823333b79066670fa3c5d04fe78b50f35eba97665046b40";
const FINGERPRINT: &str = "2a34fabdffb91a6d74db62321c9e1d5f";
const FOLDER: &str = "AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2026/03/01";
const LISTED: &str = "AWSLogs/111122223333/CloudTrail/us-east-2/2026/03/01/\
                      111122223333_CloudTrail_us-east-2_20260301T1005Z_AbCdEf0123456789.json.gz";
const NAME: &str = "111122223333_CloudTrail-Digest_us-east-2_demo_us-east-1_20260301T110000Z";

fn keys_document() -> String {
    format!(
        "{{\"PublicKeyList\":[{{\"Value\":\"{VALUE}\",\"ValidityStartTime\":1772000000.5,\"ValidityEndTime\":1773000000,\
         \"Fingerprint\":\"{FINGERPRINT}\"}}]}}"
    )
}

/// A folder with digests, an aggregator, and the agent's configuration.
struct Bench {
    dir: tempfile::TempDir,
    taken: Arc<Mutex<Vec<Object>>>,
    fake: FakeAggregator,
}

impl Bench {
    async fn new() -> Self {
        let taken = Arc::<Mutex<Vec<Object>>>::default();
        let (journal, told) = (Mutex::new(Journal::default()), Arc::clone(&taken));
        let fake = FakeAggregator::start(move |_, message| {
            if let ToAggregator::Batch(batch) = &message {
                told.lock().unwrap().extend(batch.objects.iter().cloned());
            }
            journal.lock().unwrap().answer(&message)
        });
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("bucket")).unwrap();
        Self { fake: fake.await, dir, taken }
    }

    async fn put(&self, key: &str, content: &[u8], metadata: &[(&str, &str)]) {
        let store = LocalStore::new(self.dir.path().join("bucket"));
        let metadata = metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        store.put(key, Bytes::copy_from_slice(content), &PutOptions { metadata, ..Default::default() }).await.unwrap();
    }

    /// The log file that the golden digest lists, where the digest lies.
    async fn put_listed(&self, above: &str) {
        self.put(&format!("{above}{LISTED}"), &Deflater::new(6).deflate(b"{\"Records\":[]}"), &[]).await;
    }

    /// The golden digest under this key, with some of it replaced.
    async fn put_digest(&self, key: &str, content: &str) {
        let gzip = Deflater::new(6).deflate(content.as_bytes());
        self.put(key, &gzip, &[("signature", SIGNATURE), ("signature-algorithm", "SHA256withRSA")]).await;
    }

    async fn put_golden(&self) {
        self.put_digest(&format!("{FOLDER}/{NAME}.json.gz"), GOLDEN).await;
        self.put_listed("").await;
    }

    fn keys_path(&self) -> std::path::PathBuf {
        self.dir.path().join("public-keys.json")
    }

    fn config(&self) -> Config {
        let mut config = config(self.dir.path(), &self.fake.endpoint());
        config.discover.poll_interval_min = Duration::from_millis(20);
        config.discover.poll_interval_max = Duration::from_millis(50);
        config.sources[0].digest_keys = Some(DigestKeys::File(self.keys_path()));
        config
    }

    async fn once(&self) -> Outcome {
        once(self.config()).await
    }

    fn taken(&self) -> Vec<Object> {
        self.taken.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_verified_digest_and_an_insight_file_are_shipped_and_accounted_for() {
    let bench = Bench::new().await;
    std::fs::write(bench.keys_path(), keys_document()).unwrap();
    bucket(&bench.dir.path().join("bucket"), 2);
    bench.put_golden().await;
    // A copy of the bucket below another prefix verifies too: what is signed is the original place.
    bench.put_digest(&format!("copies/{FOLDER}/{NAME}.json.gz"), GOLDEN).await;
    bench.put_listed("copies/").await;
    let insight = "AWSLogs/111122223333/CloudTrail-Insight/eu-west-1/2024/05/02/\
                   111122223333_CloudTrail-Insight_eu-west-1_20240502T0005Z_Abcdef0123456789.json.gz";
    bench.put(insight, &Deflater::new(6).deflate(b"{\"Records\":[{}]}"), &[]).await;
    let outcome = bench.once().await;
    assert_eq!((outcome.exit(), outcome.objects.listed, outcome.objects.delivered), (Exit::Ok, 7, 7), "{outcome}");
    assert!(outcome.objects.is_conserved() && outcome.objects.skipped.is_empty());
    let taken = bench.taken();
    let (digests, others): (Vec<_>, Vec<_>) = taken.iter().partition(|object| object.reference.key.contains("-Digest"));
    assert_eq!((digests.len(), others.len()), (2, 5));
    assert!(others.iter().all(|object| object.digest.is_none()));
    assert!(others.iter().any(|object| object.reference.key == insight));
    for digest in digests {
        let verified = digest.digest.as_ref().unwrap();
        assert_eq!((verified.signature.as_str(), verified.public_key_fingerprint.as_str()), (SIGNATURE, FINGERPRINT));
        assert!(verified.verified_at > 1_700_000_000);
        assert_eq!(digest.reference.inflated_bytes, GOLDEN.len() as u64);
    }
    let status: Status =
        serde_json::from_value(read_status(&bench.dir.path().join("state")).unwrap().unwrap().value).unwrap();
    let newest = status.rows.iter().find(|row| row.region == "eu-west-1").unwrap().newest_stamp;
    assert_eq!(newest, Some("2024-05-01T00:01:00Z".parse::<jiff::Timestamp>().unwrap().as_second()), "log files' own");
    let second = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
    let row = status.rows.iter().find(|row| row.region == "us-east-2").unwrap();
    assert_eq!(row.newest_stamp, Some(second("2026-03-01T10:05:00Z")), "not the digest's");
    let proved: Vec<_> = status.completeness.iter().filter(|row| row.trail.as_deref() == Some("demo")).collect();
    assert_eq!(proved.len(), 2, "the copy is a chain of its own");
    assert_eq!((proved[0].digests, proved[0].log_files, &proved[0].gaps), (1, 1, &vec![]));
    assert_eq!(proved[0].complete_until, Some(second("2026-03-01T11:00:00Z")));
    assert_eq!(proved[0].proved, Proved::Overdue, "the next one should have come long ago");
    assert!(status.completeness.iter().any(|row| row.region == "eu-west-1" && row.proved == Proved::Unprovable));
}

#[tokio::test]
async fn what_is_not_cloudtrails_work_is_quarantined_by_its_fault() {
    let bench = Bench::new().await;
    std::fs::write(bench.keys_path(), keys_document()).unwrap();
    let signed = [("signature", SIGNATURE), ("signature-algorithm", "SHA256withRSA")];
    let gzip = |text: &str| Deflater::new(6).deflate(text.as_bytes());
    let key = |hour: u32, more: &str| {
        format!(
            "{FOLDER}/111122223333_CloudTrail-Digest_us-east-2_demo_us-east-1_20260301T{hour:02}0000Z{more}.json.gz"
        )
    };
    // One byte of a listed hash is another one.
    let tampered = GOLDEN.replace("\"hashValue\":\"2", "\"hashValue\":\"3");
    assert_ne!(tampered, GOLDEN);
    bench.put_digest(&key(11, ""), &tampered).await;
    bench.put(&key(12, ""), &gzip(GOLDEN), &[("signature", SIGNATURE)]).await;
    bench.put(&key(13, ""), &gzip("{\"Records\":[]}"), &signed).await;
    bench.put(&key(14, ""), b"<Error/>", &signed).await;
    bench.put_digest(&key(15, ""), GOLDEN).await;
    bench.put(&key(16, "_backfill"), &gzip(GOLDEN), &signed).await;
    let tail = [gzip(GOLDEN), gzip("x")].concat();
    let other = "AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2026/03/01/";
    bench.put(&format!("tail/{other}{NAME}.json.gz"), &tail, &signed).await;
    let odd = [("signature", "xyz"), ("signature-algorithm", "SHA256withRSA")];
    bench.put(&format!("odd/{other}{NAME}.json.gz"), &gzip(GOLDEN), &odd).await;
    let outcome = bench.once().await;
    let expected = [("digest_format", 3), ("digest_metadata", 2), ("digest_moved", 1), ("digest_signature", 2)];
    let expected: BTreeMap<String, u64> = expected.into_iter().map(|(reason, n)| (reason.to_owned(), n)).collect();
    assert_eq!(outcome.objects.quarantined, expected, "{outcome}");
    assert_eq!((outcome.exit(), outcome.objects.listed), (Exit::Partial, 8));
    assert!(outcome.objects.is_conserved());
    assert!(bench.taken().is_empty(), "none of them is shipped");
}

#[tokio::test]
async fn a_digest_without_its_key_goes_through_on_request_once_the_key_is_there() {
    let bench = Bench::new().await;
    std::fs::write(bench.keys_path(), "{\"PublicKeyList\":[]}").unwrap();
    bench.put_golden().await;
    let outcome = bench.once().await;
    assert_eq!(outcome.objects.quarantined.get("digest_key"), Some(&1));
    assert!(outcome.quarantined[0].detail.contains(FINGERPRINT), "{outcome}");
    std::fs::write(bench.keys_path(), keys_document()).unwrap();
    let quarantine =
        orgtrail_service::quarantine::Folder::open(&bench.dir.path().join("state/quarantine"), clock::system());
    assert_eq!(quarantine.request_retries(&Filter::default()).unwrap(), 1);
    let outcome = bench.once().await;
    assert_eq!((outcome.exit(), outcome.objects.delivered, bench.taken().len()), (Exit::Ok, 2, 2), "{outcome}");
    assert!(outcome.objects.is_conserved());
}

#[tokio::test]
async fn digests_that_were_skipped_are_taken_once_their_keys_are_given() {
    let bench = Bench::new().await;
    std::fs::write(bench.keys_path(), keys_document()).unwrap();
    bench.put_golden().await;
    let mut without = bench.config();
    without.sources[0].digest_keys = None;
    let clock = Manual::new("2026-03-01T11:30:00Z".parse().unwrap());
    let options = || Options { once: true, timeout: Some(LONG), clock: clock.clone(), ..Options::default() };
    let run = async |config: Config| {
        App::build(config, options()).await.unwrap().run(CancellationToken::new()).await.unwrap()
    };
    let skipped = run(without).await.objects;
    assert_eq!((skipped.listed, skipped.skipped.get("digest")), (2, Some(&1)));
    let taken = run(bench.config()).await.objects;
    assert_eq!((taken.listed, taken.changed, taken.delivered, taken.skipped.len()), (2, 0, 2, 0), "{taken:?}");
    assert!(taken.is_conserved());
}

#[tokio::test]
async fn keys_that_cannot_be_read_hold_up_digests_alone_and_no_run_with_once() {
    let bench = Bench::new().await;
    bucket(&bench.dir.path().join("bucket"), 5);
    bench.put_golden().await;
    let outcome = bench.once().await;
    let objects = &outcome.objects;
    assert_eq!((outcome.exit(), objects.delivered, objects.in_flight), (Exit::Failed, 6, 1), "{outcome}");
    assert!(objects.quarantined.is_empty() && objects.is_conserved(), "it may verify yet");
    std::fs::write(bench.keys_path(), keys_document()).unwrap();
    let outcome = bench.once().await;
    assert_eq!((outcome.exit(), outcome.objects.delivered), (Exit::Ok, 7), "{outcome}");
}

/// Runs the agent until `done`, and gives what it says then.
async fn runs_until(bench: &Bench, clock: Arc<Manual>, done: impl Fn(&Status) -> bool) -> Status {
    let app = App::build(bench.config(), Options { clock, ..Options::default() }).await.unwrap();
    let address = app.health_address();
    let cancel = CancellationToken::new();
    let watch = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /status HTTP/1.0\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            let document: serde_json::Value = serde_json::from_str(body).unwrap();
            let status: Status = serde_json::from_value(document["value"].clone()).unwrap();
            if done(&status) {
                cancel.cancel();
                return status;
            }
        }
    };
    let (ended, status) =
        tokio::time::timeout(LONG, async { tokio::join!(app.run(cancel.clone()), watch) }).await.expect("in time");
    ended.unwrap();
    status
}

#[tokio::test]
async fn a_digest_waits_for_its_key_a_day_and_the_others_go_on() {
    let bench = Bench::new().await;
    std::fs::write(bench.keys_path(), keys_document()).unwrap();
    // Sorts before the golden one, and is signed with a key that nobody has.
    let early = format!("{FOLDER}/{}.json.gz", NAME.replace("T11", "T10"));
    let unknown = GOLDEN.replace("T110000Z.json.gz", "T100000Z.json.gz").replace(FINGERPRINT, &"0".repeat(32));
    bench.put_digest(&early, &unknown).await;
    bench.put_golden().await;
    let clock = Manual::new("2026-03-01T12:00:00Z".parse().unwrap());
    let waiting = |status: &Status| status.objects.done == 2 && !status.degraded.is_empty();
    let status = runs_until(&bench, clock.clone(), waiting).await;
    let (part, reason) = status.degraded.iter().next().unwrap();
    assert!(part.contains("CloudTrail-Digest") && reason.contains(&"0".repeat(32)), "{part}: {reason}");
    assert_eq!((status.objects.in_flight, status.objects.quarantined.get("digest_key")), (1, None));
    clock.set("2026-03-02T11:59:00Z".parse().unwrap());
    let late = |status: &Status| !status.degraded.is_empty();
    let quarantined = runs_until(&bench, clock.clone(), late).await.objects.quarantined;
    assert!(!quarantined.contains_key("digest_key"), "26 hours are not over");
    clock.set("2026-03-02T12:01:00Z".parse().unwrap());
    let status = runs_until(&bench, clock, |status| status.objects.quarantined.contains_key("digest_key")).await;
    assert_eq!(status.objects.quarantined.get("digest_key"), Some(&1));
    assert!(status.objects.is_conserved());
}

/// CloudTrail on a loopback port: answers every request with this.
async fn cloudtrail(status: &'static str, body: String) -> (String, JoinSet<()>, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let (mut serving, told) = (JoinSet::new(), Arc::clone(&asked));
    serving.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
            // The body is JSON and ends with its brace.
            while !request.ends_with(b"}") {
                match stream.read(&mut chunk).await.unwrap() {
                    0 => break,
                    read => request.extend_from_slice(&chunk[..read]),
                }
            }
            told.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
        }
    });
    (format!("http://{address}"), serving, asked)
}

fn asking(bench: &Bench, endpoint: &str) -> Config {
    let mut config = bench.config();
    let source = &mut config.sources[0];
    source.digest_keys = Some(DigestKeys::Api);
    source.connection.endpoint_url = Some(endpoint.to_owned());
    source.connection.credentials = CredentialSource::Static {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        session_token: None,
    };
    config
}

#[tokio::test]
async fn keys_are_asked_for_in_the_digests_own_region_and_once() {
    let bench = Bench::new().await;
    bench.put_golden().await;
    bench.put_digest(&format!("copies/{FOLDER}/{NAME}.json.gz"), GOLDEN).await;
    bench.put_listed("copies/").await;
    let (endpoint, _serving, asked) = cloudtrail("200 OK", keys_document()).await;
    let outcome = once(asking(&bench, &endpoint)).await;
    assert_eq!((outcome.exit(), outcome.objects.delivered), (Exit::Ok, 4), "{outcome}");
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(
        asked[0].contains("/us-east-2/cloudtrail/aws4_request") && asked[0].contains("ListPublicKeys"),
        "{asked:?}"
    );
    assert!(asked[0].contains("\"StartTime\":1772355600") && asked[0].contains("\"EndTime\":1772370000"), "{asked:?}");
}

#[tokio::test]
async fn being_denied_the_keys_holds_up_digests_alone_and_no_run_with_once() {
    let bench = Bench::new().await;
    bucket(&bench.dir.path().join("bucket"), 3);
    bench.put_golden().await;
    let denied = "{\"__type\":\"AccessDeniedException\",\"message\":\"not authorized\"}".to_owned();
    let (endpoint, _serving, asked) = cloudtrail("400 Bad Request", denied).await;
    let outcome = once(asking(&bench, &endpoint)).await;
    let objects = &outcome.objects;
    assert_eq!((outcome.exit(), objects.delivered, objects.in_flight), (Exit::Failed, 4, 1), "{outcome}");
    assert!(outcome.elapsed < Duration::from_secs(30), "{outcome}");
    assert!((1..=4).contains(&asked.lock().unwrap().len()), "it is not asked by every digest and every round");
}
