//! What an event history gives as log files, and that late events, throttles and closed regions cost nothing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orgtrail_cloud::lookup::{FakeLookup, HistoryEvent};
use orgtrail_cloud::regions::{FakeRegions, Region, RegionStatus};
use orgtrail_cloud::{Identity, Lookup, Regions};
use orgtrail_event::gzip::Inflater;
use orgtrail_service::clock::Manual;

use super::*;
use crate::config::{Source, SourceKind};

const ACCOUNT: &str = "111122223333";
const NOW: &str = "2024-05-01T13:00:00Z";

/// An account's event histories, and what STS says of it.
#[derive(Debug, Default)]
struct FakeWorld {
    histories: BTreeMap<String, FakeLookup>,
    regions: FakeRegions,
    stranger: bool,
}

#[tonic::async_trait]
impl Outside for FakeWorld {
    async fn open_lookup(&self, region: &str, _: &Connection) -> Result<Arc<dyn Lookup>, Error> {
        Ok(Arc::new(self.histories[region].clone()))
    }

    async fn open_regions(&self, _: &Connection) -> Arc<dyn Regions> {
        Arc::new(self.regions.clone())
    }

    async fn caller_identity(&self, _: &Connection) -> Result<Identity, Error> {
        match self.stranger {
            true => Err(Error::new(ErrorKind::Denied, "ask for", "the caller's identity")),
            false => Ok(Identity { account: ACCOUNT.into(), arn: format!("arn:aws:iam::{ACCOUNT}:user/u") }),
        }
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn event(id: &str, time: &str) -> HistoryEvent {
    let record = format!("{{ \"eventID\":\"{id}\", \"eventTime\":\"{time}\" , \"note\":\"\\u003c\"}}");
    HistoryEvent { id: Some(id.into()), time: Some(at(time)), record: Some(record) }
}

fn store(world: FakeWorld, regions: &[&str]) -> (LookupStore, Arc<Manual>) {
    let config = Source {
        kind: SourceKind::LookupEvents,
        regions: regions.iter().map(|&region| region.to_owned()).collect(),
        ..Source::default()
    };
    let clock = Manual::new(at(NOW));
    let location = config.place().unwrap();
    (LookupStore::new(&config, &location, Arc::new(world), clock.clone()), clock)
}

fn one_region() -> (LookupStore, Arc<Manual>, FakeLookup) {
    let lookup = FakeLookup::new();
    let histories = BTreeMap::from([("eu-west-1".to_owned(), lookup.clone())]);
    let (store, clock) = store(FakeWorld { histories, ..FakeWorld::default() }, &["eu-west-1"]);
    (store, clock, lookup)
}

async fn prefixes(store: &LookupStore, prefix: &str) -> Result<Vec<String>, Error> {
    let request = ListRequest { prefix: prefix.into(), delimiter: Some('/'), ..ListRequest::default() };
    store.list(&request).await.map(|page| page.common_prefixes)
}

/// The object whose window begins at this hour and minute of the day.
async fn object(store: &LookupStore, minute: &str) -> ObjectMeta {
    let prefix = format!("AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/2024/05/01/");
    let page = store.list(&ListRequest { prefix, ..ListRequest::default() }).await.unwrap();
    let wanted = format!("T{minute}Z");
    page.objects.into_iter().find(|meta| meta.key.contains(&wanted)).unwrap()
}

async fn content(store: &LookupStore, key: &str) -> String {
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

#[tokio::test(start_paused = true)]
async fn a_walk_finds_the_account_and_its_open_regions_and_says_which_are_left_out() {
    let region = |name: &str, status| Region { name: name.into(), status };
    let regions = FakeRegions::new(vec![
        region("af-south-1", RegionStatus::Disabled),
        region("ap-east-1", RegionStatus::Enabled),
        region("eu-west-1", RegionStatus::EnabledByDefault),
        region("sa-east-1", RegionStatus::EnabledByDefault),
    ]);
    let names = ["ap-east-1", "eu-west-1", "sa-east-1"];
    let histories: BTreeMap<_, _> = names.map(|name| (name.to_owned(), FakeLookup::new())).into();
    let denied = |code: &str, message: &str| {
        Error::new(ErrorKind::Denied, "look up", "x").detail(message).code(Some(code.into()))
    };
    histories["ap-east-1"].fail_next(denied("UnrecognizedClientException", "the token is invalid"));
    histories["sa-east-1"]
        .fail_next(denied("AccessDeniedException", "with an explicit deny in a service control policy"));
    let (store, _) = store(FakeWorld { histories, regions, stranger: false }, &[]);
    assert_eq!(prefixes(&store, "").await.unwrap(), ["AWSLogs/"]);
    assert_eq!(prefixes(&store, "AWSLogs/").await.unwrap(), ["AWSLogs/111122223333/"]);
    assert_eq!(prefixes(&store, "AWSLogs/111122223333/").await.unwrap(), ["AWSLogs/111122223333/CloudTrail/"]);
    let folders = "AWSLogs/111122223333/CloudTrail/";
    assert_eq!(prefixes(&store, folders).await.unwrap(), [format!("{folders}eu-west-1/")]);
    let skipped = store.skipped().list("history");
    let told: Vec<_> =
        skipped.iter().map(|skip| (skip.region.as_str(), skip.reason.split(':').next().unwrap())).collect();
    assert_eq!(
        told,
        [("af-south-1", "region is DISABLED"), ("ap-east-1", "region_not_enabled"), ("sa-east-1", "denied_by_policy")]
    );
    let again = prefixes(&store, folders).await.unwrap();
    assert_eq!(again.len(), 3, "closed regions are asked again at the next walk");
    assert_eq!(store.skipped().list("history").len(), 1);
    assert!(prefixes(&store, "AWSLogs/999999999999/").await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_known_nowhere_close_no_region() {
    let lookup = FakeLookup::new();
    lookup.fail_next(Error::new(ErrorKind::Denied, "look up", "x").code(Some("UnrecognizedClientException".into())));
    let histories = BTreeMap::from([("eu-west-1".to_owned(), lookup)]);
    let config = Source { accounts: vec![ACCOUNT.into()], kind: SourceKind::LookupEvents, ..Source::default() };
    let world = Arc::new(FakeWorld {
        histories,
        regions: FakeRegions::new(vec![Region { name: "eu-west-1".into(), status: RegionStatus::Enabled }]),
        stranger: true,
    });
    let store = LookupStore::new(&config, &config.place().unwrap(), world, Manual::new(at(NOW)));
    let error = prefixes(&store, "AWSLogs/111122223333/CloudTrail/").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Denied, "{error}");
    assert!(store.skipped().list("history").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_window_is_its_events_once_sorted_and_byte_for_byte_over_many_pages() {
    let (store, _, lookup) = one_region();
    for n in (0..120).rev() {
        lookup.put(event(&format!("id-{n:03}"), &format!("2024-05-01T12:{:02}:{:02}Z", n / 60, n % 60)));
    }
    lookup.put(event("id-007", "2024-05-01T12:00:07Z"));
    lookup.put(event("b", "2024-05-01T12:14:59Z"));
    lookup.put(event("a", "2024-05-01T12:14:59Z"));
    lookup.put(event("next", "2024-05-01T12:15:00Z"));
    let began = tokio::time::Instant::now();
    let meta = object(&store, "1200").await;
    let text = content(&store, &meta.key).await;
    let mut expected: Vec<_> = (0..120).map(|n| format!("id-{n:03}")).collect();
    expected.extend(["a".into(), "b".into()]);
    assert_eq!(ids(&text), expected);
    let raw = event("id-007", "2024-05-01T12:00:07Z").record.unwrap();
    assert!(text.contains(&raw), "the record's own bytes");
    assert_eq!(content(&store, &meta.key).await, text, "the same bytes each time");
    assert_eq!(lookup.calls(), 6);
    assert!(began.elapsed() >= Duration::from_millis(2500), "two calls a second, {:?}", began.elapsed());
    let next = object(&store, "1215").await;
    assert_eq!(ids(&content(&store, &next.key).await), ["next"], "an event on the edge is in one window only");
}

#[tokio::test(start_paused = true)]
async fn late_events_come_with_the_next_generation() {
    let (store, clock, lookup) = one_region();
    lookup.put(event("early", "2024-05-01T12:01:00Z"));
    let first = object(&store, "1200").await;
    assert_eq!(first.etag, "reading-1");
    assert_eq!(ids(&content(&store, &first.key).await), ["early"]);
    lookup.put(event("late", "2024-05-01T12:00:30Z"));
    clock.advance(SignedDuration::from_hours(2));
    let second = object(&store, "1200").await;
    assert_eq!((second.key.as_str(), second.etag.as_str()), (first.key.as_str(), "reading-2"));
    assert_eq!(store.get(&second.key, 1 << 20).await.unwrap().meta.etag, "reading-2");
    assert_eq!(ids(&content(&store, &second.key).await), ["late", "early"]);
}

#[tokio::test(start_paused = true)]
async fn a_window_without_events_is_a_log_file_without_records() {
    let (store, _, _) = one_region();
    let meta = object(&store, "1200").await;
    assert_eq!(content(&store, &meta.key).await, r#"{"Records":[]}"#);
}

#[tokio::test(start_paused = true)]
async fn throttling_in_the_middle_costs_time_and_no_page() {
    let (store, _, lookup) = one_region();
    for n in 0..120 {
        lookup.put(event(&format!("id-{n:03}"), "2024-05-01T12:00:00Z"));
    }
    for kind in [ErrorKind::Throttled, ErrorKind::Unavailable, ErrorKind::Throttled] {
        lookup.fail_next(Error::new(kind, "look up", "x"));
    }
    let meta = object(&store, "1200").await;
    assert_eq!(ids(&content(&store, &meta.key).await).len(), 120);
    assert_eq!(lookup.calls(), 6, "three pages, three refusals");
    lookup.set_down(Some(ErrorKind::Throttled));
    let error = store.get(&meta.key, 1 << 20).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Throttled, "in the end the folder is in trouble like any other");
}

#[tokio::test(start_paused = true)]
async fn an_event_without_a_record_is_told_and_damages_no_other() {
    let (store, _, lookup) = one_region();
    lookup.put(event("good", "2024-05-01T12:01:00Z"));
    let time = Some(at("2024-05-01T12:02:00Z"));
    lookup.put(HistoryEvent { id: Some("bare".into()), time, record: None });
    lookup.put(HistoryEvent { id: Some("torn".into()), time, record: Some("{\"eventID\":".into()) });
    let meta = object(&store, "1200").await;
    let text = content(&store, &meta.key).await;
    let limits = orgtrail_event::log_file::Limits::default();
    let items = orgtrail_event::log_file::read(text.as_bytes(), &limits).unwrap();
    let bad = items.filter(|item| matches!(item, orgtrail_event::log_file::Item::Bad(_))).count();
    assert_eq!(bad, 2, "{text}");
    assert!(text.contains("event bare of the event history came without its record"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_window_is_not_there() {
    let (store, _, _) = one_region();
    let key = object(&store, "1200").await.key;
    assert_eq!(store.head(&key).await.unwrap().key, key);
    for other in [key.replace("T1200Z", "T1201Z"), key.replace("1111", "2222"), "AWSLogs/x".into()] {
        assert_eq!(store.get(&other, 1 << 20).await.unwrap_err().kind(), &ErrorKind::NotFound, "{other}");
    }
    let error = store.put(&key, Bytes::new(), &PutOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid);
}
