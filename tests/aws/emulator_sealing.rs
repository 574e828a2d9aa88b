//! Sealing under a KMS key: the key is taken away and given back in the middle of a run, and KMS falters.

use std::time::{Duration, Instant};

use orgtrail_cli::generate::{Manifest, Plan, late_delivery};
use orgtrail_cloud::admin::Admin;
use orgtrail_tests::emulator::{Account, Emulator, REGION};
use orgtrail_tests::fault_proxy::{FaultProxy, Mode};
use orgtrail_tests::process::Process;
use orgtrail_tests::site::Site;

/// Records of an object that comes while the key is disabled.
const LATE: u32 = 3;

/// How long objects wait for others: long enough to disable the key meanwhile.
const MERGE_WAIT: Duration = Duration::from_secs(10);

const PATIENCE: Duration = Duration::from_secs(60);

/// A site on folders whose aggregator seals under a KMS key of the emulator, reached at `endpoint`.
struct Sealed {
    emulator: &'static Emulator,
    account: Account,
    key: String,
    site: Site,
    plan: Plan,
    manifest: Manifest,
}

impl Sealed {
    async fn new(emulator: &'static Emulator, endpoint: &str, records: u64) -> Self {
        let account = emulator.account();
        let key = Admin::open(&emulator.connection(&account)).await.create_key().await;
        let plan = Plan { hours: 6, corrupt_share: 0.0, ..Plan::default() }.with_records(records);
        let (mut site, manifest) = Site::generated(&plan).unwrap();
        site.aggregator_more = format!(
            "[deliver]\nmerge_wait = \"{}s\"\n\
             [seal]\nkey_id = \"{key}\"\nrecheck = \"200ms\"\nregion = \"{REGION}\"\nendpoint_url = \"{endpoint}\"\n",
            MERGE_WAIT.as_secs()
        );
        site.agent_more.push_str("[batch]\nbytes = \"16KiB\"\nobjects = 8\n");
        site.configure(&manifest.sources).unwrap();
        Self { emulator, account, key, site, plan, manifest }
    }

    fn start(&self) -> Process {
        let env: Vec<_> =
            self.emulator.child_env(&self.account).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let config = self.site.root().join("aggregator.toml").display().to_string();
        Process::start("orgtrail-aggregator", &["--config", &config], &env, self.site.root()).unwrap()
    }

    fn started(&self) -> Process {
        let mut aggregator = self.start();
        aggregator.wait_for("aggregator is up").unwrap();
        aggregator
    }

    fn switch_key(&self, verb: &str) {
        self.emulator.aws(&self.account, &["kms", verb, "--key-id", &self.key]).unwrap();
    }

    fn read(&self) -> u64 {
        self.site.aggregator_status().map_or(0, |status| status.records.read)
    }

    /// Records read, and different records delivered.
    fn done(&self) -> (u64, usize) {
        let delivered = self.site.delivered().map_or(0, |ids| ids.counts.len());
        (self.read(), delivered)
    }

    async fn until(&self, what: impl Fn() -> bool) {
        let began = Instant::now();
        while !what() {
            assert!(began.elapsed() < PATIENCE, "{:?}", self.done());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_key_stops_everything_and_an_enabled_one_delivers_everything_once() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let sealed = Sealed::new(emulator, &emulator.url(), 2_000).await;
    let mut aggregator = sealed.started();
    let mut agent = sealed.site.agent().unwrap();
    sealed.until(|| sealed.read() >= sealed.manifest.records_written).await;
    sealed.switch_key("disable-key");
    aggregator.wait_for("nothing is taken or delivered").unwrap();
    // What was on its way ends, and the status is written every second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let held = (sealed.read(), 0);
    late_delivery(&sealed.plan, &sealed.site.sources(), (0, 0), LATE).unwrap();
    assert_eq!(sealed.done(), held, "all is taken, and waits to be merged");
    tokio::time::sleep(MERGE_WAIT + Duration::from_secs(3)).await;
    assert_eq!(sealed.done(), held, "something was taken or delivered");
    let health = sealed.site.aggregator_status().unwrap().health;
    let told = health.degraded.iter().find(|part| part.part == "seal").expect("health says it");
    assert!(told.reason.contains(&sealed.key) && told.reason.contains("enable the key"), "{told:?}");
    assert!(agent.is_running(), "the agent holds what it has");

    sealed.switch_key("enable-key");
    aggregator.wait_for("recovered").unwrap();
    sealed.until(|| sealed.done().1 as u64 == sealed.manifest.records + u64::from(LATE)).await;

    sealed.switch_key("disable-key");
    aggregator.kill();
    let mut refused = sealed.start().expecting_errors();
    assert_eq!(refused.wait().unwrap().code(), Some(1), "{}", refused.output());
    assert!(refused.output().contains("DisabledException"), "{}", refused.output());
    sealed.switch_key("enable-key");
    let mut aggregator = sealed.started();
    agent.kill();
    let mut agent = sealed.site.agent_once().unwrap();
    let code = agent.wait().unwrap().code();
    assert!(code == Some(0) || code == Some(2), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success());
    let delivered = sealed.site.delivered().unwrap();
    assert_eq!(delivered.unique(), sealed.manifest.records + u64::from(LATE));
    assert!(delivered.counts.values().all(|count| *count == 1), "something was delivered twice");
    let trail = &sealed.site.aggregator_status().unwrap().trails[0];
    assert!(trail.balanced && trail.pending == 0, "{trail:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faltering_kms_stops_no_running_aggregator() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let proxy = FaultProxy::start(emulator.address()).await.unwrap();
    let sealed = Sealed::new(emulator, &proxy.url(), 2_000).await;
    let mut aggregator = sealed.started();
    let asked = proxy.requests("POST /");
    proxy.fail("POST /", Mode::SlowDown, 3);
    proxy.fail("POST /", Mode::Reset, 1_000);
    let mut agent = sealed.site.agent_once().unwrap();
    let code = agent.wait().unwrap().code();
    assert!(code == Some(0) || code == Some(2), "{}", agent.output());
    sealed.until(|| proxy.requests("POST /") >= asked + 4).await;
    sealed.until(|| aggregator.output().contains("the key service can't be asked")).await;
    assert!(!aggregator.output().contains("nothing is taken"), "{}", aggregator.output());
    assert!(aggregator.stop().unwrap().success());
    sealed.site.assert_delivered_exactly(&sealed.manifest).unwrap();

    let mut aggregator = sealed.start().expecting_errors();
    assert_eq!(aggregator.wait().unwrap().code(), Some(1), "a start needs the key: {}", aggregator.output());
}
