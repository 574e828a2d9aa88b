//! Accounts become sources, and stop being ones.

use jiff::Timestamp;
use orgtrail_cloud::object_store::FakeStore;
use orgtrail_cloud::organization::{Account as Listed, AccountStatus, FakeOrganization};
use orgtrail_cloud::{ErrorKind, Location, ObjectStore};
use orgtrail_service::clock::Manual;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::checkpoint::{Listed as Object, Verdict};

const MINUTE: Duration = Duration::from_secs(60);
const NOW: &str = "2026-03-01T12:00:00Z";

fn account(id: u64, status: AccountStatus) -> Listed {
    Listed {
        id: format!("{id:012}"),
        arn: format!("arn:aws:organizations::999999999999:account/o-abc1234567/{id:012}"),
        name: format!("account-{id}"),
        email: String::new(),
        status,
        joined: None,
        ou_path: Vec::new(),
        tags: BTreeMap::new(),
    }
}

fn organization(accounts: std::ops::RangeInclusive<u64>) -> FakeOrganization {
    let organization = FakeOrganization::default();
    accounts.for_each(|id| organization.put(account(id, AccountStatus::Active)));
    organization
}

struct Bench {
    dir: tempfile::TempDir,
    list: FakeOrganization,
    shared: Shared,
    clock: Arc<Manual>,
    location: &'static str,
    changes: Receiver<Change>,
    cancel: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

/// Sources of stores in memory.
fn open() -> Open {
    Arc::new(|config| {
        Box::pin(async move {
            let location: Location = config.location.clone().unwrap();
            let store: Arc<dyn ObjectStore> = Arc::new(FakeStore::new(location.clone()));
            Ok(Arc::new(Source::new(&config, &location, store)))
        })
    })
}

impl Bench {
    fn start(list: &FakeOrganization, location: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Manual::new(NOW.parse().unwrap());
        let checkpoint = Checkpoint::open(&dir.path().join("checkpoint"), Duration::from_secs(93_600)).unwrap();
        let shared = Shared {
            checkpoint: Arc::new(checkpoint),
            folders: Folders::default(),
            clock: clock.clone(),
            health: Health::new(clock.clone()),
            changes: mpsc::channel(1).0,
            board: Board::default(),
            open: open(),
            taken: Taken::new(["s3://trail-000000000007".to_owned()].into_iter()),
        };
        Self::run(dir, list.clone(), shared, clock, location)
    }

    #[expect(clippy::disallowed_methods, reason = "the stage alone, without its process")]
    fn run(
        dir: tempfile::TempDir,
        list: FakeOrganization,
        shared: Shared,
        clock: Arc<Manual>,
        location: &'static str,
    ) -> Self {
        let (sender, changes) = mpsc::channel(64);
        let shared = Shared { changes: sender, ..shared };
        let source = serde_json::json!({ "location": location }).as_object().unwrap().clone();
        let config = config::Organization { name: "acme".into(), source, ..Default::default() };
        let stage = Stage::new(config, Arc::new(list.clone()), shared.clone(), dir.path()).unwrap();
        let cancel = CancellationToken::new();
        let running = tokio::spawn(stage.run(cancel.clone()));
        Self { dir, list, shared, clock, location, changes, cancel, running }
    }

    /// Ends the stage and starts another on the same folder.
    async fn restart(self) -> Self {
        self.cancel.cancel();
        self.running.await.unwrap().unwrap();
        let taken = Taken::default();
        Self::run(self.dir, self.list, Shared { taken, ..self.shared }, self.clock, self.location)
    }

    async fn next(&mut self) -> String {
        let change = timeout(100 * MINUTE, self.changes.recv()).await.expect("a change is told").unwrap();
        match change {
            Change::Add(source) => format!("add {}", source.location),
            Change::Leave(location) => format!("leave {location}"),
            Change::Accounts(location) => format!("accounts {location}"),
            Change::Listed => "listed".to_owned(),
        }
    }

    async fn expect(&mut self, changes: &[&str]) {
        for change in changes {
            assert_eq!(self.next().await, *change);
        }
    }

    /// Passes so many refreshes and as much time.
    async fn pass(&self, minutes: u32) {
        self.clock.advance(jiff::SignedDuration::from_mins(minutes.into()));
        tokio::time::sleep(MINUTE * minutes).await;
    }

    fn status(&self) -> status::Organization {
        self.shared.board.read().pop().unwrap()
    }

    fn reason(&self, part: &str) -> Option<String> {
        let report = self.shared.health.report();
        report.degraded.into_iter().find(|degraded| degraded.part == part).map(|degraded| degraded.reason)
    }
}

#[tokio::test(start_paused = true)]
async fn every_account_becomes_a_source_and_a_new_one_within_one_refresh() {
    let organization = organization(1..=2);
    let mut bench = Bench::start(&organization, "s3://trail-{account}");
    bench.expect(&["add s3://trail-000000000001", "add s3://trail-000000000002", "listed"]).await;
    let began = Instant::now();
    organization.put(account(3, AccountStatus::Active));
    bench.expect(&["add s3://trail-000000000003"]).await;
    assert!(began.elapsed() <= 5 * MINUTE, "{:?}", began.elapsed());
    organization.put(account(7, AccountStatus::Active));
    bench.pass(6).await;
    let refused = bench.reason("organization acme refused").unwrap();
    assert!(refused.contains("s3://trail-000000000007 is a source of its own already"), "{refused}");
    assert!(bench.changes.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_closed_account_is_read_for_a_while_and_then_leaves_also_over_a_restart() {
    let organization = organization(1..=3);
    let mut bench = Bench::start(&organization, "s3://trail-{account}");
    bench.expect(&["add s3://trail-000000000001", "add s3://trail-000000000002"]).await;
    bench.expect(&["add s3://trail-000000000003", "listed"]).await;
    organization.put(account(1, AccountStatus::Suspended));
    organization.remove("000000000002");
    bench.pass(60).await;
    assert_eq!(bench.status().draining, ["000000000001", "000000000002"]);
    assert!(bench.changes.try_recv().is_err(), "they are still read");
    let mut bench = bench.restart().await;
    bench.expect(&["add s3://trail-000000000001", "add s3://trail-000000000002"]).await;
    bench.expect(&["add s3://trail-000000000003", "listed"]).await;
    bench.pass(48 * 60).await;
    bench.expect(&["leave s3://trail-000000000001", "leave s3://trail-000000000002"]).await;
    bench.pass(10).await;
    assert_eq!((bench.status().gone, bench.status().read), (1, 1), "the removed one is not remembered");
    let mut bench = bench.restart().await;
    bench.expect(&["add s3://trail-000000000003", "listed"]).await;
    organization.put(account(1, AccountStatus::Active));
    bench.expect(&["add s3://trail-000000000001"]).await;
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_last_list_is_used_and_told() {
    let organization = organization(1..=1);
    organization.set_failing(Some(ErrorKind::Denied));
    let mut bench = Bench::start(&organization, "s3://trail-{account}");
    bench.pass(30).await;
    assert!(bench.changes.try_recv().is_err(), "nothing is known, so nothing is told");
    assert!(bench.reason("organization acme").unwrap().contains("access denied"));
    organization.set_failing(None);
    bench.expect(&["add s3://trail-000000000001", "listed"]).await;
    organization.set_failing(Some(ErrorKind::Throttled));
    let mut bench = bench.restart().await;
    bench.expect(&["add s3://trail-000000000001", "listed"]).await;
    tokio::time::sleep(MINUTE).await;
    let reason = bench.reason("organization acme").unwrap();
    assert!(reason.contains("throttled") && reason.contains("the list of 2026-03-01T"), "{reason}");
    assert!(bench.status().trouble.unwrap().contains("throttled"));
    organization.set_failing(None);
    bench.pass(10).await;
    assert_eq!(bench.reason("organization acme"), None);
}

#[tokio::test(start_paused = true)]
async fn one_bucket_for_all_is_one_source_whose_accounts_follow_the_organization() {
    let organization = organization(1..=2);
    let mut bench = Bench::start(&organization, "s3://org-trail");
    let Some(Change::Add(source)) = bench.changes.recv().await else { panic!("the source comes first") };
    bench.expect(&["listed"]).await;
    let taken = |id: u64| source.accounts.takes(&format!("{id:012}"));
    assert!(taken(1) && taken(2) && !taken(3));
    organization.put(account(3, AccountStatus::Active));
    organization.put(account(1, AccountStatus::Closed));
    bench.expect(&["accounts s3://org-trail"]).await;
    assert!(taken(1) && taken(3));
    bench.clock.advance(jiff::SignedDuration::from_hours(49));
    while taken(1) {
        bench.expect(&["accounts s3://org-trail"]).await;
    }
    assert!(taken(2) && taken(3));
}

#[tokio::test(start_paused = true)]
async fn an_account_that_delivers_nothing_is_named() {
    let organization = organization(1..=2);
    let mut bench = Bench::start(&organization, "s3://org-trail");
    bench.expect(&["add s3://org-trail", "listed"]).await;
    let checkpoint = &bench.shared.checkpoint;
    let path = "AWSLogs/000000000001/CloudTrail/eu-west-1/";
    let folder = checkpoint.folder("s3://org-trail", path, "000000000001", "eu-west-1", None).unwrap();
    let listed = Object {
        key: format!("{path}2026/03/01/x"),
        day: jiff::civil::date(2026, 3, 1),
        size: 1,
        etag: "e".into(),
        last_modified: Timestamp::UNIX_EPOCH,
        verdict: Verdict::Skip("foreign"),
    };
    checkpoint.claim(folder, vec![listed]).unwrap();
    bench.pass(60).await;
    assert_eq!(bench.reason("organization acme silent"), None, "it has a day's time");
    bench.pass(24 * 60).await;
    let reason = bench.reason("organization acme silent").unwrap();
    assert!(reason.ends_with(": 000000000002 (account-2)"), "{reason}");
    assert_eq!(bench.status().silent, ["000000000002"]);
}

#[tokio::test(start_paused = true)]
async fn an_account_says_its_partition_where_the_configuration_does_not() {
    let organization = organization(1..=1);
    let arn = "arn:aws-cn:organizations::999999999999:account/o-abc1234567/000000000002".into();
    organization.put(Listed { arn, ..account(2, AccountStatus::Active) });
    let mut bench = Bench::start(&organization, "s3://trail-{account}-{partition}");
    bench.expect(&["add s3://trail-000000000001-aws", "add s3://trail-000000000002-aws-cn", "listed"]).await;
}
