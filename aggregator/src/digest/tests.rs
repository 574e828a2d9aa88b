//! Digests over a journal, a store in memory and a clock that is moved by hand; each digest is judged as the AWS CLI judges it.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use orgtrail_cloud::object_store::{FakeStore, Fault, ListRequest, ObjectStore, PutOptions};
use orgtrail_cloud::signer::FakeSigner;
use orgtrail_cloud::{ErrorKind, Location};
use orgtrail_event::digest::{Content, Digest, DigestRead, PublicKeys, SourceDigest, sha256_hex, verify_digest};
use orgtrail_event::key::{ObjectKey, classify};
use orgtrail_proto::ObjectRef;
use orgtrail_service::clock::Manual;
use orgtrail_service::health::Health;
use orgtrail_service::telemetry;

use super::*;
use crate::journal::head::Lane;
use crate::journal::{Advance, DeliveredFile, Prepared, Settings, Writer};
use crate::metrics::Metrics;
use crate::trail::Trail;

const START: &str = "2026-03-01T12:40:00Z";

struct Bench {
    dir: tempfile::TempDir,
    clock: Arc<Manual>,
    store: FakeStore,
    signer: FakeSigner,
    digests: Option<Digests>,
    writer: Mutex<Option<Writer>>,
}

impl Bench {
    fn new() -> Self {
        let store = FakeStore::new(Location::S3 { bucket: "b".into(), prefix: "p".into() });
        let (dir, clock) = (tempfile::tempdir().expect("a folder"), Manual::new(START.parse().expect("a time")));
        let mut bench =
            Self { dir, clock, store, signer: FakeSigner::default(), digests: None, writer: Mutex::default() };
        bench.open();
        bench
    }

    /// Opens the journal again, as after a crash.
    fn open(&mut self) {
        self.digests = None;
        self.writer = Mutex::default();
        let settings = Settings {
            dir: self.dir.path().join("journal"),
            capacity: 1 << 20,
            dedup_window: Duration::from_secs(86_400),
            dedup_memory: 1 << 20,
            commit_bytes: 1 << 20,
            destinations: vec![crate::journal::Destination { name: "t-1".into(), digests: true, announces: true }],
            trails: vec!["t-1".into()],
            seal: crate::seal::Seal::off(),
        };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let (journal, writer) = Journal::open(&settings, Arc::clone(&clock)).expect("opened");
        self.writer = Mutex::new(Some(writer));
        let registry = telemetry::Metrics::new("test");
        let destination = Destination {
            trail: Trail {
                name: "t-1".into(),
                organization_id: None,
                account: "111122223333".into(),
                home_region: "eu-west-1".into(),
                arn: String::new(),
                bucket: "b".into(),
                prefix: "p".into(),
            },
            store: Arc::new(self.store.clone()),
            kms_key_id: None,
            bucket_key: true,
            health: Health::new(Arc::clone(&clock)),
            metrics: Arc::new(Metrics::new(&registry)),
            cancel: CancellationToken::new(),
        };
        let settings = config::Digests::default();
        let key_list = Arc::new(KeyList::new(self.dir.path(), settings.catch_up_max));
        let signer = Arc::new(self.signer.clone());
        self.digests = Some(Digests { journal, destination: Arc::new(destination), signer, key_list, settings, clock });
    }

    fn digests(&self) -> &Digests {
        self.digests.as_ref().expect("open")
    }

    /// A source digest comes from an agent.
    #[allow(clippy::disallowed_methods)]
    async fn append(&self, source: SourceDigest) {
        let (journal, writer) = (self.digests().journal.clone(), self.writer.lock().expect("no panic").take());
        let cancel = CancellationToken::new();
        let writer = tokio::spawn(writer.expect("appended once").run(cancel.clone()));
        let object = Prepared {
            reference: ObjectRef {
                source: source.location.clone(),
                key: source.key.clone(),
                etag: String::new(),
                sha256: [0; 32],
                inflated_bytes: 0,
                last_modified: 0,
            },
            place: ("111122223333".into(), "us-east-1".into()),
            stamp: 0,
            gzip: Bytes::new(),
            members: 1,
            origin: String::new(),
            names: vec![],
            records: vec![],
            bad_records: 0,
            damage: None,
            event_times: None,
            source_digest: Some(source),
            replay_to: None,
            lane: Lane::Live,
        };
        journal.append(vec![object]).await.expect("appended");
        cancel.cancel();
        writer.await.expect("no panic").expect("no error");
    }

    /// A file with this stamp is delivered.
    fn deliver(&self, stamp: &str) {
        self.deliver_as(stamp, false);
    }

    /// The same file is delivered again, and lies there already.
    fn deliver_again(&self, stamp: &str) {
        self.deliver_as(stamp, true);
    }

    fn deliver_as(&self, stamp: &str, found: bool) {
        let stamp: Timestamp = stamp.parse().expect("a time");
        let file = DeliveredFile {
            place: ("111122223333".into(), "us-east-1".into()),
            stamp: stamp.as_second(),
            key: format!("AWSLogs/x/{}.json.gz", stamp.as_second()),
            sha256: sha256_hex(b"x"),
            event_times: Some((stamp.as_second() - 60, stamp.as_second())),
            sources: vec![],
            found,
        };
        let advance = Advance { to: 1, files: vec![file], ..Advance::default() };
        self.digests().journal.advance("t-1", advance).expect("advanced");
    }

    async fn write_up_to(&self, end: &str) -> Outcome<()> {
        self.digests().write_up_to(end.parse::<Timestamp>().expect("a time").as_second()).await
    }

    /// Every digest in the store by key, after it was verified as the AWS CLI does; with whether it is a backfill digest.
    async fn written(&self) -> Vec<(bool, Digest, String)> {
        let keys = std::fs::read(self.dir.path().join(PUBLIC_KEYS_FILE)).expect("the list of keys");
        let keys = PublicKeys::from_json(&keys).expect("a list of keys");
        let mut written = Vec::new();
        for meta in self.store.list(&ListRequest::default()).await.expect("listed").objects {
            let object = self.store.get(&meta.key, u64::MAX).await.expect("there");
            let is_backfill = matches!(classify(&meta.key), ObjectKey::BackfillDigest(_));
            let key = format!("p/{}", meta.key);
            let read = DigestRead {
                bucket: "b",
                key: &key,
                gz: &object.bytes,
                signature: None,
                signature_algorithm: None,
                backfill_timestamp: None,
                home_region: "eu-west-1",
                moved: false,
            };
            let read = read.with_metadata(|name| object.metadata.get(name).map(String::as_str));
            let verified = verify_digest(&read, &keys, &mut Content::new());
            let (digest, hash) = verified.unwrap_or_else(|fault| panic!("{key}: {fault}"));
            assert_eq!(read.backfill_timestamp.is_some(), is_backfill);
            assert_eq!(digest.orgtrail.as_ref().expect("custody").check(&digest), []);
            written.push((is_backfill, digest, hash));
        }
        written
    }
}

/// Asserts that the hourly digests are one chain without a gap; their times.
fn chain(written: &[(bool, Digest, String)]) -> Vec<(String, String, usize)> {
    let hourly: Vec<_> = written.iter().filter(|(backfill, ..)| !backfill).collect();
    for pair in hourly.windows(2) {
        let ((_, before, hash), (_, after, _)) = (pair[0], pair[1]);
        assert_eq!(after.digest_start_time, before.digest_end_time);
        assert_eq!(after.previous_digest_s3_object.as_deref(), Some(before.digest_s3_object.as_str()));
        assert_eq!(after.previous_digest_hash_value.as_ref(), Some(hash));
    }
    let times = |(_, digest, _): &&(bool, Digest, String)| {
        (digest.digest_start_time.clone(), digest.digest_end_time.clone(), digest.log_files.len())
    };
    hourly.iter().map(times).collect()
}

fn span(start: &str, end: &str, files: usize) -> (String, String, usize) {
    (format!("2026-03-01T{start}Z"), format!("2026-03-01T{end}Z"), files)
}

#[tokio::test]
async fn every_hour_has_a_digest_also_the_empty_ones() {
    let bench = Bench::new();
    bench.deliver("2026-03-01T12:05:00Z");
    bench.deliver("2026-03-01T12:59:00Z");
    bench.deliver("2026-03-01T14:00:00Z");
    bench.write_up_to("2026-03-01T13:00:00Z").await.expect("written");
    bench.write_up_to("2026-03-01T15:00:00Z").await.expect("written");
    let written = bench.written().await;
    let expected = [span("12:00:00", "13:00:00", 2), span("13:00:00", "14:00:00", 0), span("14:00:00", "15:00:00", 1)];
    assert_eq!(chain(&written), expected);
    assert_eq!(written.len(), 3);
    let empty = &written[1].1;
    assert_eq!((&empty.newest_event_time, &empty.oldest_event_time), (&None, &None));
    bench.write_up_to("2026-03-01T15:00:00Z").await.expect("nothing to do");
    assert_eq!(bench.written().await.len(), 3);
}

#[tokio::test]
async fn a_late_file_is_listed_in_a_backfill_digest_that_the_next_digest_names() {
    let bench = Bench::new();
    bench.deliver("2026-03-01T12:05:00Z");
    bench.write_up_to("2026-03-01T13:00:00Z").await.expect("written");
    for late in ["2026-03-01T12:10:00Z", "2026-02-20T03:00:00Z", "2026-02-20T03:05:00Z"] {
        bench.deliver(late);
    }
    bench.write_up_to("2026-03-01T13:00:00Z").await.expect("written");
    bench.deliver("2026-02-20T03:30:00Z");
    bench.write_up_to("2026-03-01T14:00:00Z").await.expect("written");
    let written = bench.written().await;
    assert_eq!(chain(&written).len(), 2);
    let backfills: Vec<_> = written.iter().filter(|(backfill, ..)| *backfill).map(|(_, digest, _)| digest).collect();
    let ends: Vec<_> =
        backfills.iter().map(|digest| (digest.digest_end_time.as_str(), digest.log_files.len())).collect();
    assert_eq!(
        ends,
        [("2026-02-20T04:00:00Z", 2), ("2026-02-20T04:00:01Z", 1), ("2026-03-01T13:00:00Z", 1)],
        "the second one of an hour ends a second later"
    );
    assert!(backfills.iter().all(|digest| digest.previous_digest_signature.is_none()));
    let (_, last, _) = written.iter().rfind(|(backfill, ..)| !backfill).expect("a digest");
    let named = &last.orgtrail.as_ref().expect("custody").backfill_digests;
    let mut named: Vec<_> = named.iter().map(|backfill| backfill.s3_object.as_str()).collect();
    let mut there: Vec<_> = backfills.iter().map(|digest| digest.digest_s3_object.as_str()).collect();
    named.sort_unstable();
    there.sort_unstable();
    assert_eq!(named, there);
}

#[tokio::test]
async fn what_a_replay_delivers_again_is_listed_once() {
    let bench = Bench::new();
    let stamps = ["2026-03-01T12:05:00Z", "2026-02-20T03:00:00Z", "2026-02-20T03:59:00Z"];
    stamps.iter().for_each(|stamp| bench.deliver(stamp));
    bench.write_up_to("2026-03-01T13:00:00Z").await.expect("written");
    let listed = async || {
        let written = bench.written().await;
        let files =
            written.iter().flat_map(|(_, digest, _)| digest.log_files.iter().map(|file| file.s3_object.clone()));
        let mut files: Vec<_> = files.collect();
        files.sort_unstable();
        (written.len(), files)
    };
    let (digests, before) = listed().await;
    assert_eq!((digests, before.len()), (2, 3));
    // All again, one that crashed between bucket and journal, and one that is new.
    stamps.iter().for_each(|stamp| bench.deliver_again(stamp));
    bench.deliver_again("2026-02-20T03:30:00Z");
    bench.deliver("2026-02-20T03:31:00Z");
    bench.write_up_to("2026-03-01T13:00:00Z").await.expect("written");
    let (digests, after) = listed().await;
    assert_eq!((digests, after.len()), (3, 5), "one backfill digest for the two that none listed: {after:?}");
    assert!(after.windows(2).all(|pair| pair[0] != pair[1]), "{after:?}");
    // Only what is listed already: no digest at all, and nothing is left to look at.
    stamps.iter().for_each(|stamp| bench.deliver_again(stamp));
    bench.write_up_to("2026-03-01T13:00:00Z").await.expect("written");
    assert_eq!(listed().await, (3, after.clone()));
    assert_eq!(bench.digests().journal.places_with_files("t-1").expect("read"), []);
    bench.write_up_to("2026-03-01T14:00:00Z").await.expect("written");
    assert_eq!(listed().await, (4, after));
}

#[tokio::test]
async fn only_a_digest_whose_signature_holds_takes_a_file_off_the_list() {
    let bench = Bench::new();
    bench.deliver("2026-02-20T03:00:00Z");
    bench.write_up_to("2026-03-01T13:00:00Z").await.expect("written");
    let digests = bench.store.list(&ListRequest::default()).await.expect("listed").objects;
    let backfill = digests.iter().find(|meta| matches!(classify(&meta.key), ObjectKey::BackfillDigest(_)));
    let key = backfill.expect("a backfill digest").key.clone();
    let object = bench.store.get(&key, u64::MAX).await.expect("there");
    // The same list, but for one blank, under the same signature.
    let json = [Content::new().digest(&object.bytes).expect("gzip"), b"\n"].concat();
    let options = PutOptions { metadata: object.metadata, ..PutOptions::default() };
    bench.store.put(&key, Deflater::new(6).deflate(&json).into(), &options).await.expect("put");
    bench.deliver_again("2026-02-20T03:00:00Z");
    bench.store.fail(Fault { verb: "list", key_contains: String::new(), kind: ErrorKind::Unavailable, times: 1 });
    assert!(matches!(bench.write_up_to("2026-03-01T13:00:00Z").await, Err(Stop::Later(_))), "looked at again later");
    bench.write_up_to("2026-03-01T13:00:00Z").await.expect("written");
    let backfills = bench.store.list(&ListRequest::default()).await.expect("listed").objects;
    let is_backfill = |key: &str| matches!(classify(key), ObjectKey::BackfillDigest(_));
    assert_eq!(backfills.iter().filter(|meta| is_backfill(&meta.key)).count(), 2, "a sound digest lists it now");
}

#[tokio::test]
async fn a_stop_within_the_hour_closes_it_and_the_next_start_goes_on() {
    let mut bench = Bench::new();
    bench.deliver("2026-03-01T12:05:00Z");
    bench.digests().close().await.expect("closed");
    bench.open();
    bench.deliver("2026-03-01T12:20:00Z");
    bench.deliver("2026-03-01T12:50:00Z");
    bench.clock.advance(SignedDuration::from_hours(1));
    bench.write_up_to("2026-03-01T13:00:00Z").await.expect("written");
    let written = bench.written().await;
    assert_eq!(chain(&written), [span("12:00:00", "12:40:00", 1), span("12:40:00", "13:00:00", 1)]);
    assert_eq!(written.len(), 3, "12:20 came after 12:40 was closed: a backfill digest has it");
}

#[tokio::test]
async fn the_hours_of_a_pause_get_their_digests_from_the_next_start() {
    let mut bench = Bench::new();
    bench.deliver("2026-03-01T12:05:00Z");
    bench.write_up_to("2026-03-01T13:00:00Z").await.expect("written");
    bench.open();
    bench.write_up_to("2026-03-01T18:00:00Z").await.expect("written");
    assert_eq!(chain(&bench.written().await).len(), 6);
}

#[tokio::test]
async fn after_too_long_a_pause_the_chain_begins_anew() {
    let bench = Bench::new();
    bench.deliver("2026-03-01T12:05:00Z");
    bench.write_up_to("2026-03-01T13:00:00Z").await.expect("written");
    bench.write_up_to("2026-03-20T10:00:00Z").await.expect("written");
    let written = bench.written().await;
    assert_eq!(written.len(), 2);
    assert_eq!(written[1].1.previous_digest_signature, None);
    assert_eq!(written[1].1.digest_start_time, "2026-03-20T09:00:00Z");
}

#[tokio::test]
async fn a_crash_between_signing_and_knowing_that_it_is_there_repeats_nothing() {
    let mut bench = Bench::new();
    bench.deliver("2026-03-01T12:05:00Z");
    bench.store.fail(Fault { verb: "put", key_contains: String::new(), kind: ErrorKind::Unavailable, times: 1 });
    bench.digests().destination.cancel.cancel();
    assert!(matches!(bench.write_up_to("2026-03-01T13:00:00Z").await, Err(Stop::Cancelled)));
    bench.open();
    // This time the object gets there, and the process dies before it could note that.
    let planned = bench.digests().journal.planned_digests("t-1").expect("read");
    let (_, put) = bench.digests().put_one(planned[0].clone()).await;
    assert!(matches!(put, Ok(Put::Created)));
    bench.open();
    bench.clock.advance(SignedDuration::from_hours(1));
    bench.write_up_to("2026-03-01T14:00:00Z").await.expect("written");
    let written = bench.written().await;
    assert_eq!(chain(&written), [span("12:00:00", "13:00:00", 1), span("13:00:00", "14:00:00", 0)]);
    assert_eq!(written.len(), 2);
}

#[tokio::test]
async fn a_key_that_cannot_sign_delays_digests_and_loses_none() {
    let bench = Bench::new();
    bench.deliver("2026-03-01T12:05:00Z");
    bench.signer.set_failing(Some(ErrorKind::Denied));
    assert!(matches!(bench.write_up_to("2026-03-01T13:00:00Z").await, Err(Stop::Later(_))));
    bench.signer.set_failing(None);
    bench.write_up_to("2026-03-01T15:00:00Z").await.expect("written");
    assert_eq!(chain(&bench.written().await).len(), 3);
}

#[tokio::test]
async fn verified_source_digests_are_named_once() {
    let bench = Bench::new();
    bench.deliver("2026-03-01T12:05:00Z");
    let source = SourceDigest {
        location: "s3://source".into(),
        key: "AWSLogs/digest".into(),
        hash_value: sha256_hex(b"digest"),
        signature: "00ff".into(),
        public_key_fingerprint: "f".into(),
        verified_at: "2026-03-01T13:10:00Z".into(),
        log_files: vec!["AWSLogs/log".into()],
    };
    bench.append(source.clone()).await;
    bench.write_up_to("2026-03-01T13:00:00Z").await.expect("written");
    bench.write_up_to("2026-03-01T14:00:00Z").await.expect("written");
    let written = bench.written().await;
    let named = |index: usize| written[index].1.orgtrail.as_ref().expect("custody").source_digests.clone();
    assert_eq!((named(0), named(1)), (vec![source], vec![]));
}
