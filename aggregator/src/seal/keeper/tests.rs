//! A refused key stops everything and nothing is lost; a key service that can't be reached stops nothing for an hour.

use orgtrail_cloud::key_service::FakeKeyService;
use orgtrail_service::clock;

use super::*;

const KEY: &str = "fake-key";
const RECHECK: Duration = Duration::from_millis(20);
const OUTAGE: Duration = Duration::from_millis(1500);
const ROTATE_AFTER: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    dir: tempfile::TempDir,
    service: FakeKeyService,
    health: Health,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, service: FakeKeyService::new(KEY), health: Health::new(clock::system()) }
    }

    async fn open(&self) -> Result<(Seal, Keeper), Error> {
        self.open_for(USES_MAX).await
    }

    async fn open_for(&self, uses_max: u64) -> Result<(Seal, Keeper), Error> {
        let settings = Settings {
            key_id: KEY.to_owned(),
            rotate_after: ROTATE_AFTER,
            recheck: RECHECK,
            outage_max: OUTAGE,
            uses_max,
            connection: Connection::default(),
            trails: vec!["b".to_owned(), "a".to_owned()],
        };
        let stored = Stored::load(self.dir.path())?;
        let source = Source::fake(self.service.clone(), KEY);
        let (seal, keeper) =
            Seal::open_with(source, settings, stored, self.dir.path(), &self.health, &clock::system()).await?;
        Ok((seal, keeper.expect("sealing is on")))
    }

    /// A seal whose keeper runs until the token is cancelled.
    #[allow(clippy::disallowed_methods)]
    async fn running(&self) -> (Seal, CancellationToken) {
        let (seal, keeper) = self.open().await.unwrap();
        let cancel = CancellationToken::new();
        tokio::spawn(keeper.run(cancel.clone()));
        (seal, cancel)
    }

    fn listed(&self) -> usize {
        Stored::load(self.dir.path()).unwrap().unwrap().data_keys.len()
    }

    fn reasons(&self) -> Vec<String> {
        self.health.report().degraded.into_iter().map(|part| part.reason).collect()
    }
}

/// Until the keeper has seen it.
async fn until(what: impl Fn() -> bool) {
    let seen = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("in time");
}

#[tokio::test]
async fn a_refused_key_stops_and_an_allowed_one_goes_on_by_itself() {
    let bench = Bench::new();
    let (seal, cancel) = bench.running().await;
    assert_eq!(seal.refused(), None);
    for kind in [ErrorKind::Denied, ErrorKind::ContainerMissing, ErrorKind::Invalid] {
        bench.service.set_failing(Some(kind));
        until(|| seal.refused().is_some()).await;
        let why = seal.refused().unwrap();
        assert!(why.contains(KEY) && why.contains("enable the key"), "{why}");
        assert_eq!(bench.reasons(), [why]);
        assert!(tokio::time::timeout(5 * RECHECK, seal.usable()).await.is_err(), "nothing goes on");
        bench.service.set_failing(None);
        tokio::time::timeout(PATIENCE, seal.usable()).await.expect("it goes on");
        until(|| bench.health.report().ready).await;
    }
    cancel.cancel();
}

#[tokio::test]
async fn an_outage_stops_nothing_within_its_bound_and_everything_after_it() {
    let bench = Bench::new();
    let (seal, cancel) = bench.running().await;
    for kind in [ErrorKind::Unavailable, ErrorKind::Throttled, ErrorKind::Other] {
        bench.service.set_failing(Some(kind));
        tokio::time::sleep(OUTAGE / 5).await;
        assert_eq!(seal.refused(), None);
        let [why] = &bench.reasons()[..] else { panic!("health says it") };
        assert!(why.contains(KEY) && why.contains("going on"), "{why}");
        bench.service.set_failing(None);
        until(|| bench.health.report().ready).await;
    }
    bench.service.set_failing(Some(ErrorKind::Throttled));
    until(|| seal.refused().is_some()).await;
    bench.service.set_failing(None);
    tokio::time::timeout(PATIENCE, seal.usable()).await.expect("it goes on");
    cancel.cancel();
}

#[tokio::test]
async fn a_data_key_is_replaced_ahead_of_its_time() {
    let bench = Bench::new();
    let (seal, cancel) = bench.running().await;
    let began = Instant::now();
    let sealed = seal.seal("heads", b"1", "a head".into()).unwrap();
    until(|| bench.listed() > 1).await;
    assert!(began.elapsed() >= ROTATE_AFTER / 2);
    until(|| seal.seal("heads", b"1", "a head".into()).unwrap()[..5] != sealed[..5]).await;
    assert_eq!(seal.unseal("heads", b"1", sealed).unwrap(), "a head");
    cancel.cancel();
}

#[tokio::test]
async fn a_data_key_is_replaced_when_half_of_its_uses_are_gone() {
    let bench = Bench::new();
    let uses_max = 100;
    let (seal, keeper) = bench.open_for(uses_max).await.unwrap();
    let cancel = CancellationToken::new();
    #[allow(clippy::disallowed_methods)]
    tokio::spawn(keeper.run(cancel.clone()));
    let mut uses = BTreeMap::<Vec<u8>, u64>::new();
    for _ in 0..500 {
        let sealed = seal.seal("heads", b"1", "a head".into()).unwrap();
        *uses.entry(sealed[..5].to_vec()).or_default() += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(uses.len() >= 5 && uses.values().all(|uses| *uses <= uses_max), "{uses:?}");
    cancel.cancel();
}

#[tokio::test]
async fn an_unavailable_key_service_fails_the_start_and_says_what_for() {
    let bench = Bench::new();
    bench.open().await.unwrap();
    bench.service.set_failing(Some(ErrorKind::Unavailable));
    let error = bench.open().await.map(drop).unwrap_err();
    assert!(matches!(error, Error::KeyService { .. }), "{error}");
    assert_eq!(bench.listed(), 1, "nothing was written");
}

#[test]
fn another_key_or_none_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let stored = Stored::new("old");
    for (configured, stored) in [(Some("new"), Some(&stored)), (None, Some(&stored))] {
        let error = compare(configured, stored, dir.path()).unwrap_err().to_string();
        assert!(error.contains("old") && error.contains("orgtrail state reseal --config"), "{error}");
    }
    compare(Some("old"), Some(&stored), dir.path()).unwrap();
    compare(None, None, dir.path()).unwrap();
    compare(Some("new"), None, dir.path()).unwrap();
    std::fs::create_dir(dir.path().join("journal")).unwrap();
    let error = compare(Some("new"), None, dir.path()).unwrap_err().to_string();
    assert!(error.contains("not sealed") && error.contains("orgtrail state reseal --config"), "{error}");
}

#[test]
fn the_context_is_stable_and_bounded() {
    let of =
        |names: &[&str]| context(Path::new("/s"), &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(of(&["b", "a"]), of(&["a", "b"]));
    assert_eq!(of(&["b", "a"])["orgtrail:trails"], "a,b");
    let long = "x".repeat(128);
    let many: Vec<_> = (0..64).map(|_| long.as_str()).collect();
    assert!(of(&many)["orgtrail:trails"].len() <= TRAILS_TEXT_MAX + 64);
}
