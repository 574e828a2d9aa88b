//! Every object counts once, whatever happens between the steps of an import.

use datafusion::execution::context::SessionContext;
use jiff::Timestamp;
use orgtrail_cloud::object_store::{FakeStore, Fault, PutOptions};
use orgtrail_cloud::{ErrorKind, Location};
use orgtrail_event::gzip::Deflater;
use orgtrail_service::clock;

use super::*;
use crate::event_data_store::{self, Tables};
use crate::kind::Kind;
use crate::scan::Scan;

/// A trail, and the places of an event data store's tables.
struct World {
    trail: FakeStore,
    events: FakeStore,
    objects: FakeStore,
}

impl World {
    fn new() -> Self {
        let store = |name: &str| FakeStore::new(format!("s3://{name}").parse::<Location>().unwrap());
        Self { trail: store("trail"), events: store("events"), objects: store("objects") }
    }

    /// Delivers a log file with these records under a day.
    async fn deliver(&self, day: &str, unique: u32, records: &[String]) -> String {
        let json = format!("{{\"Records\":[{}]}}", records.join(","));
        self.put(day, unique, Deflater::new(6).deflate(json.as_bytes())).await
    }

    async fn put(&self, day: &str, unique: u32, gz: Vec<u8>) -> String {
        let stamp = day.replace('/', "");
        let account = "111122223333";
        let name = format!("{account}_CloudTrail_us-east-1_{stamp}T0005Z_{unique:016}.json.gz");
        let key = format!("AWSLogs/{account}/CloudTrail/us-east-1/{day}/{name}");
        self.trail.put(&key, gz.into(), &PutOptions::default()).await.unwrap();
        key
    }

    async fn tables(&self) -> Tables {
        let config = event_data_store::Config { name: "events".to_owned(), ..event_data_store::Config::default() };
        let (events, objects) = (Arc::new(self.events.clone()), Arc::new(self.objects.clone()));
        Tables::open_or_create_in(&config, events, objects).await.unwrap()
    }

    async fn importer(&self, kind: Kind) -> Result<Importer, Error> {
        self.importer_with(kind, Config::default()).await
    }

    async fn importer_with(&self, kind: Kind, config: Config) -> Result<Importer, Error> {
        let Tables { events, objects } = self.tables().await;
        let selection = event_data_store::Config::default().selection().ok();
        let taking = Taking { kind, selection, from_day: None };
        let trails = vec![("org".to_owned(), Arc::new(self.trail.clone()) as Arc<dyn ObjectStore>)];
        let clock = clock::Manual::new("2026-03-02T12:00:00Z".parse::<Timestamp>().unwrap());
        Importer::open(events, objects, trails, taking, config, clock).await
    }

    /// The answer to a question, as lines of text.
    async fn ask(&self, sql: &str) -> Vec<String> {
        let Tables { events, objects } = self.tables().await;
        let context = SessionContext::new();
        context.register_table("events", Scan::events(&events, Kind::Events).unwrap()).unwrap();
        context.register_table("objects", Arc::new(Scan::new(&objects).unwrap())).unwrap();
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        let table = arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
        table.lines().skip(3).filter(|line| !line.starts_with('+')).map(|line| line.replace(['|', ' '], "")).collect()
    }
}

fn record(id: u32, time: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.11","eventTime":"{time}","eventSource":"s3.amazonaws.com","eventName":"Get{id}","awsRegion":"us-east-1","eventID":"{id}","eventCategory":"Management","odd":{id}}}"#
    )
}

const COUNTS: &str = "SELECT count(*), count(distinct eventid) FROM events";

#[tokio::test(flavor = "multi_thread")]
async fn every_object_is_imported_once_and_late_records_lie_in_their_own_day() {
    let world = World::new();
    world.deliver("2026/03/01", 1, &[record(1, "2026-03-01T00:01:00Z"), record(2, "2026-02-28T23:59:59Z")]).await;
    world.deliver("2026/03/01", 2, &[record(3, "2026-03-01T00:02:00Z")]).await;
    let mut importer = world.importer(Kind::Events).await.unwrap();
    importer.round(Reach::Everything).await.unwrap();
    importer.round(Reach::Everything).await.unwrap();
    assert_eq!(world.ask(COUNTS).await, ["33"]);
    world.deliver("2026/03/02", 3, &[record(4, "2026-03-02T00:00:00Z")]).await;
    importer.round(Reach::OpenDays).await.unwrap();
    let mut again = world.importer(Kind::Events).await.unwrap();
    again.round(Reach::Everything).await.unwrap();
    assert_eq!(world.ask(COUNTS).await, ["44"]);
    let days = "SELECT eventday, count(*) FROM events GROUP BY eventday ORDER BY eventday";
    assert_eq!(world.ask(days).await, ["2026-02-281", "2026-03-012", "2026-03-021"]);
    let account = "SELECT count(*), sum(read), sum(kept), sum(filtered) FROM objects WHERE status = 'imported'";
    assert_eq!(world.ask(account).await, ["3440"]);
    let texts = world.ask("SELECT eventjson FROM events WHERE eventid = '2'").await;
    assert_eq!(texts, [record(2, "2026-02-28T23:59:59Z")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_fails_at_any_step_is_made_good() {
    // The first write of each step: a data file, the account's file, its commit, and the event data store's commit.
    let steps = [
        (0, "eventday="),
        (1, "month="),
        (1, "_delta_log/00000000000000000001"),
        (0, "_delta_log/00000000000000000001"),
    ];
    for (place, key) in steps {
        let world = World::new();
        world.deliver("2026/03/01", 1, &[record(1, "2026-03-01T00:01:00Z"), record(2, "2026-03-01T00:02:00Z")]).await;
        let mut importer = world.importer(Kind::Events).await.unwrap();
        let fault = Fault { verb: "put", key_contains: key.to_owned(), kind: ErrorKind::Denied, times: 1 };
        [&world.events, &world.objects][place].fail(fault);
        importer.round(Reach::Everything).await.unwrap_err();
        drop(importer);
        let mut next = world.importer(Kind::Events).await.unwrap();
        next.round(Reach::Everything).await.unwrap();
        assert_eq!(world.ask(COUNTS).await, ["22"], "{key}");
        assert_eq!(world.ask("SELECT count(*), max(import) FROM objects").await, ["11"], "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn importers_at_the_same_time_import_every_object_once() {
    // All objects in one import, and one in each.
    for memory in [Config::default().memory, Bytes(1)] {
        let world = World::new();
        let mut importers = Vec::new();
        for _ in 0..3 {
            let config = Config { memory, ..Config::default() };
            importers.push(world.importer_with(Kind::Events, config).await.unwrap());
        }
        for id in 0..20 {
            world.deliver("2026/03/01", id, &[record(id, "2026-03-01T00:01:00Z")]).await;
        }
        let rounds = importers.iter_mut().map(|importer| importer.round(Reach::Everything));
        for done in futures::future::join_all(rounds).await {
            done.unwrap();
        }
        assert_eq!(world.ask(COUNTS).await, ["2020"], "{memory}");
        assert_eq!(world.ask("SELECT count(*), count(distinct key) FROM objects").await, ["2020"], "{memory}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_read_is_told_and_stops_nothing() {
    let world = World::new();
    let broken = world.put("2026/03/01", 1, b"\x1f\x8b\x08 no gzip".to_vec()).await;
    world.deliver("2026/03/01", 2, &[record(1, "2026-03-01T00:01:00Z"), "7".to_owned(), r#"{"a":}"#.to_owned()]).await;
    let mut importer = world.importer(Kind::Events).await.unwrap();
    importer.round(Reach::Everything).await.unwrap();
    importer.round(Reach::Everything).await.unwrap();
    let now = importer.imported.now();
    assert_eq!((now.objects, now.rows, now.unreadable, now.bad), (2, 1, 1, 2));
    let told = world.ask("SELECT key, problem IS NOT NULL FROM objects WHERE status = 'unreadable'").await;
    assert_eq!(told, [format!("{broken}true")]);
    // Put right by its owner, it is imported.
    world.deliver("2026/03/01", 1, &[record(9, "2026-03-01T00:01:00Z")]).await;
    importer.round(Reach::Everything).await.unwrap();
    assert_eq!(world.ask(COUNTS).await, ["22"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_another_kind_and_expired_ones_are_counted_and_left_out() {
    let world = World::new();
    let activity = r#"{"eventCategory":"ActivityAuditLog","eventTime":"2026-03-01T00:00:00Z"}"#.to_owned();
    world
        .deliver("2026/03/01", 1, &[activity, record(1, "2026-03-01T00:00:00Z"), record(2, "2025-01-01T00:00:00Z")])
        .await;
    let mut importer = world.importer(Kind::Events).await.unwrap();
    importer.take_from(Some(days_since_epoch(jiff::civil::date(2025, 1, 2))));
    importer.round(Reach::Everything).await.unwrap();
    assert_eq!(world.ask("SELECT read, kept, filtered, expired, bad FROM objects").await, ["31110"]);
    assert_eq!(world.ask(COUNTS).await, ["11"]);
}
