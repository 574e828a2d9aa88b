//! What is the object's own fault is put aside and named; what is not is let go and comes again.

mod shares;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use orgtrail_cloud::Location;
use orgtrail_cloud::object_store::LocalStore;
use orgtrail_event::gzip::Deflater;
use orgtrail_event::key::Folder;
use orgtrail_service::clock::Manual;
use orgtrail_service::quarantine::Quarantine;
use orgtrail_service::telemetry;

use super::*;
use crate::checkpoint::{Claimed, Listed, Verdict};
use crate::object::{Lane, Source, SourceFolder};
use crate::testing::{FOLDER, copy_dir};

struct Bench {
    dir: tempfile::TempDir,
    checkpoint: Arc<Checkpoint>,
    quarantine: Arc<Quarantine>,
    health: Health,
    folder: Arc<SourceFolder>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bucket = dir.path().join("bucket");
        std::fs::create_dir_all(bucket.join(FOLDER)).unwrap();
        let clock = Manual::new("2024-05-01T12:05:00Z".parse().unwrap());
        let checkpoint = Arc::new(Checkpoint::open(&dir.path().join("c"), Duration::from_secs(93_600)).unwrap());
        let quarantine = Arc::new(Quarantine::open(&dir.path().join("q"), 100, clock.clone()).unwrap());
        let location = Location::try_from(bucket.as_path()).unwrap();
        let config = crate::config::Source { location: Some(location.clone()), ..Default::default() };
        let source = Arc::new(Source::new(&config, &location, Arc::new(LocalStore::new(&bucket))));
        let id = checkpoint.folder(&source.location, FOLDER, "111122223333", "eu-west-1", None).unwrap();
        let wakes = crate::discover::Wakes::default();
        let folder = Arc::new(SourceFolder::new(source, Folder::parse(FOLDER).unwrap(), id, wakes));
        Self { health: Health::new(clock), dir, checkpoint, quarantine, folder }
    }

    fn bucket(&self) -> std::path::PathBuf {
        self.dir.path().join("bucket")
    }

    /// Claims an object of the folder; with bytes, it is there.
    fn object(&self, name: &str, bytes: Option<&[u8]>) -> ObjectRef {
        let key = format!("{FOLDER}{name}");
        if let Some(bytes) = bytes {
            std::fs::write(self.bucket().join(Path::new(&key)), bytes).unwrap();
        }
        let listed = Listed {
            key,
            day: jiff::civil::date(2024, 5, 1),
            size: bytes.map_or(0, <[u8]>::len) as u64,
            etag: "e".into(),
            last_modified: "2024-05-01T12:00:00Z".parse().unwrap(),
            verdict: Verdict::Take { stamp: 1 },
        };
        let Claimed { mut taken, .. } = self.checkpoint.claim(self.folder.id, vec![listed]).unwrap();
        let (listed, claim) = taken.pop().unwrap();
        let Listed { key, size, etag, last_modified, .. } = listed;
        ObjectRef {
            folder: Arc::clone(&self.folder),
            key,
            size,
            etag,
            last_modified,
            stamp: 1,
            lane: Lane::Live,
            claim,
        }
    }

    async fn fetch(&self, config: Config, objects: Vec<ObjectRef>) -> Vec<Fetched> {
        self.fetch_each(config, objects, |fetched| fetched).await
    }

    /// Fetches the objects and hands each on as it comes.
    async fn fetch_each<T>(&self, config: Config, objects: Vec<ObjectRef>, each: impl Fn(Fetched) -> T) -> Vec<T> {
        let clock = Manual::new("2024-05-01T12:05:00Z".parse().unwrap());
        let aside =
            Aside::new(Arc::clone(&self.checkpoint), Arc::clone(&self.quarantine), clock.clone(), self.health.clone());
        let metrics = Metrics::register(&telemetry::Metrics::new("agent"));
        let budget = Budget::new(config.memory);
        let (checkpoint, health) = (Arc::clone(&self.checkpoint), self.health.clone());
        let shared = Shared::new(config, checkpoint, aside, clock, health, metrics, Patience::None);
        let (tx, rx) = intake::channel(intake::Bounds { objects: 1_000_000, objects_per_key: 1_000_000 });
        let (out, mut fetched) = mpsc::channel(64);
        if let Some(first) = objects.first() {
            let folder = Arc::clone(&first.folder);
            tx.places(&folder, Lane::Live, objects.len()).unwrap().put(objects).unwrap();
        }
        drop(tx);
        let run = Stage::new(shared, budget, rx, out).run(CancellationToken::new());
        let collect = async {
            let mut all = Vec::new();
            while let Some(one) = fetched.recv().await {
                all.push(each(one));
            }
            all
        };
        let (ended, all) = tokio::join!(run, collect);
        ended.unwrap();
        all
    }

    fn reasons(&self) -> BTreeMap<String, u64> {
        self.quarantine.counts()
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    Deflater::new(6).deflate(content)
}

#[tokio::test]
async fn sound_objects_come_through_untouched_with_the_digest_of_their_content() {
    let bench = Bench::new();
    let bytes = gzip(b"{\"Records\":[]}");
    let fetched = bench.fetch(Config::default(), vec![bench.object("a", Some(&bytes))]).await;
    assert_eq!(fetched[0].gzip, bytes);
    assert_eq!(fetched[0].inflated_bytes, 14);
    assert_eq!(fetched[0].sha256, ring::digest::digest(&ring::digest::SHA256, b"{\"Records\":[]}").as_ref());
    assert!(fetched[0].object.etag != "e", "the version that was fetched");
    assert!(bench.reasons().is_empty());
}

#[tokio::test]
async fn every_corrupt_kind_is_quarantined_and_named() {
    let bench = Bench::new();
    let sound = gzip(&b"{\"Records\":[1,2,3]}".repeat(50));
    let mut corrupt = sound.clone();
    let middle = corrupt.len() / 2;
    corrupt[middle] ^= 0xff;
    let trailing = [&sound[..], b"and then some"].concat();
    let objects = vec![
        bench.object("empty", Some(b"")),
        bench.object("plain", Some(b"{\"Records\":[]}")),
        bench.object("truncated", Some(&sound[..sound.len() / 2])),
        bench.object("corrupt", Some(&corrupt)),
        bench.object("trailing", Some(&trailing)),
        bench.object("large", Some(&gzip(&vec![b'x'; 70_000]))),
        bench.object("huge", Some(&gzip(&(0..40_000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>()))),
        bench.object("gone", None),
    ];
    let config = Config {
        inflated_bytes_max: Bytes(60_000),
        object_bytes_max: Bytes(20_000),
        memory: Bytes::mib(1),
        ..Config::default()
    };
    assert!(bench.fetch(config, objects).await.is_empty());
    let expected = [
        ("corrupt", 1),
        ("empty", 1),
        ("missing", 1),
        ("not_gzip", 1),
        ("too_large", 2),
        ("trailing_data", 1),
        ("truncated", 1),
    ];
    let reasons = bench.reasons();
    let found: Vec<_> = reasons.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    assert_eq!(found, expected);
    let sums = *bench.checkpoint.progress().borrow();
    assert_eq!((sums.listed, sums.quarantined, sums.in_flight), (8, 8, 0));
}

#[test]
fn the_claim_is_on_disk_before_the_entry_is() {
    let bench = Bench::new();
    let object = bench.object("plain", Some(b"no gzip"));
    let clock = Manual::new("2024-05-01T12:05:00Z".parse().unwrap());
    let aside = Aside::new(Arc::clone(&bench.checkpoint), Arc::clone(&bench.quarantine), clock, bench.health.clone());
    assert!(aside.put(&object, "not_gzip", "as the test says"));
    // As after kill -9, before the checkpoint says that it is quarantined.
    let left = tempfile::tempdir().unwrap();
    copy_dir(&bench.dir.path().join("c"), left.path());
    let checkpoint = Checkpoint::open(left.path(), Duration::from_secs(93_600)).unwrap();
    assert_eq!(checkpoint.unnamed(bench.folder.id).unwrap().len(), 1, "what goes through later resolves its entry");
}

#[tokio::test]
async fn an_object_that_cannot_be_read_now_is_let_go_and_its_place_named() {
    let bench = Bench::new();
    let object = bench.object("a", None);
    // Reading a folder as a file fails, and not as a missing file does.
    let broken = bench.bucket().join(&object.key);
    std::os::unix::fs::symlink(&broken, &broken).unwrap();
    let fetched = bench.fetch(Config::default(), vec![object]).await;
    assert!(fetched.is_empty() && bench.reasons().is_empty());
    let report = bench.health.report();
    let part = &report.degraded[0].part;
    assert!(part.ends_with(" 111122223333/eu-west-1 CloudTrail"), "{part}");
    assert!(bench.folder.is_failing());
    assert_eq!(bench.checkpoint.unnamed(bench.folder.id).unwrap().len(), 1, "to be handed out again");
}

#[tokio::test]
async fn the_quarantine_being_full_loses_nothing() {
    let bench = Bench::new();
    let quarantine =
        Quarantine::open(&bench.dir.path().join("q"), 1, Manual::new(jiff::Timestamp::UNIX_EPOCH)).unwrap();
    let bench = Bench { quarantine: Arc::new(quarantine), ..bench };
    let objects = vec![bench.object("a", Some(b"")), bench.object("b", Some(b""))];
    bench.fetch(Config { concurrency: 1, ..Config::default() }, objects).await;
    let sums = *bench.checkpoint.progress().borrow();
    assert_eq!((sums.quarantined, sums.in_flight), (1, 1));
    let report = bench.health.report();
    assert!(report.degraded.iter().any(|part| part.part == "quarantine"), "{report:?}");
}
