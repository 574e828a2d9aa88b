//! Compaction loses nothing and disturbs nobody, and retention takes what is due and nothing else.

use std::sync::Arc;

use datafusion::execution::context::SessionContext;
use futures::TryStreamExt as _;
use jiff::civil::date;
use orgtrail_cloud::object_store::FakeStore;
use orgtrail_cloud::{Location, ObjectStore};

use super::*;
use crate::event_data_store::{self, Hold, Tables};
use crate::kind::Kind;
use crate::rows::Rows;
use crate::scan::Scan;
use crate::write::write;

/// An event data store with nothing in it, and its place.
async fn empty() -> (Table, FakeStore) {
    let store = |name: &str| FakeStore::new(format!("s3://{name}").parse::<Location>().unwrap());
    let events = store("events");
    let config = event_data_store::Config { name: "events".to_owned(), ..event_data_store::Config::default() };
    let tables =
        Tables::open_or_create_in(&config, Arc::new(events.clone()), Arc::new(store("objects"))).await.unwrap();
    (tables.events, events)
}

/// Imports `rows` events of a day into a file of their own.
async fn import(table: &mut Table, number: i64, day: &str, rows: u32) {
    let mut gathered = Rows::new(Kind::Events);
    for row in 0..rows {
        let (account, id) = (row % 7, format!("{number}-{row}"));
        let record = format!(
            r#"{{"eventTime":"{day}T{:02}:00:00Z","eventSource":"s{}.amazonaws.com","eventName":"Get","eventID":"{id}","recipientAccountId":"11112222333{account}"}}"#,
            row % 24,
            row % 3,
        );
        gathered.push(record.as_bytes(), "key", 0);
    }
    let files = write(table, Kind::Events, &gathered.finish().unwrap()).await.unwrap();
    table.commit_import(number, files, Default::default()).await.unwrap();
}

async fn count(table: &Table) -> String {
    ask(table, "SELECT count(*), count(DISTINCT eventid), count(eventjson) FROM events").await
}

async fn ask(table: &Table, sql: &str) -> String {
    let context = SessionContext::new();
    context.register_table("events", Scan::events(table, Kind::Events).unwrap()).unwrap();
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    let text = arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
    text.lines().nth(3).unwrap_or_default().replace(['|', ' '], "")
}

fn days(text: &str) -> Duration {
    Duration::from_secs(text.parse::<u64>().unwrap() * 86_400)
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_become_one_in_order_and_running_queries_end_on_what_they_began_with() {
    let (mut table, store) = empty().await;
    for number in 1..=9 {
        import(&mut table, number, "2026-03-01", 20).await;
    }
    import(&mut table, 10, "2026-03-02", 20).await;
    let context = SessionContext::new();
    context.register_table("events", Scan::events(&table, Kind::Events).unwrap()).unwrap();
    let running = context.sql("SELECT eventid FROM events").await.unwrap().execute_stream().await.unwrap();

    let layout = Layout::events(Kind::Events);
    let done = compact(&mut table, layout.clone(), &Config::default(), date(2026, 3, 1)).await.unwrap();
    assert_eq!(done, 1);
    assert_eq!(table.files().unwrap().len(), 2);
    assert_eq!(count(&table).await, "200200200");
    let again = compact(&mut table, layout, &Config::default(), date(2026, 3, 1)).await.unwrap();
    assert_eq!(again, 0);
    let before = store.calls("delete");
    assert_eq!(vacuum(&mut table, Duration::from_secs(86_400)).await.unwrap(), 0, "within the grace period");
    assert_eq!(store.calls("delete"), before);
    let rows: usize = running.try_collect::<Vec<_>>().await.unwrap().iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_meets_an_import_or_a_deletion_loses_nothing() {
    let (mut table, _) = empty().await;
    for number in 1..=4 {
        import(&mut table, number, "2026-03-01", 10).await;
    }
    let layout = Layout::events(Kind::Events);
    let mut other = table.clone();
    import(&mut other, 5, "2026-03-01", 10).await;
    assert_eq!(compact(&mut table, layout.clone(), &Config::default(), date(2026, 3, 9)).await.unwrap(), 1);
    assert_eq!(count(&table).await, "505050");
    // What retention took is not brought back by a compaction that began before.
    let mut late = table.clone();
    let config = event_data_store::Config { termination_protection: false, retention: days("7"), ..Default::default() };
    let expiry = plan(&table, &config, date(2026, 4, 1)).unwrap();
    assert_eq!(expire(&mut table, &expiry).await.unwrap(), 1);
    assert_eq!(compact(&mut late, layout, &Config::default(), date(2026, 3, 9)).await.unwrap(), 0);
    assert_eq!(count(&late).await, "000");
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_takes_whole_days_that_are_over_it_and_nothing_that_is_protected() {
    let (mut table, _) = empty().await;
    for (number, day) in ["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-10"].into_iter().enumerate() {
        import(&mut table, number as i64 + 1, day, 10).await;
    }
    let mut config = event_data_store::Config { retention: days("8"), ..Default::default() };
    // On the 10th, 8 days before is the 2nd: whatever happened on it is not 8 days old for all of the day.
    let of = |config: &event_data_store::Config, table: &Table| plan(table, config, date(2026, 3, 10)).unwrap();
    let protected = of(&config, &table);
    assert_eq!((protected.keeps_from, protected.days.len()), (date(2026, 3, 2), 1));
    assert_eq!(protected.days[0].kept_by.as_deref(), Some("termination protection"));
    assert_eq!(expire(&mut table, &protected).await.unwrap(), 0);
    assert_eq!(first_day(&config, date(2026, 3, 10)), None, "nor is anything turned away");

    config.termination_protection = false;
    let hold = |from, to| Hold { name: "case 7".to_owned(), from: Some(from), to: Some(to) };
    config.holds = vec![hold(date(2026, 3, 1), date(2026, 3, 2))];
    assert_eq!(of(&config, &table).days[0].kept_by.as_deref(), Some("hold \"case 7\""));
    config.holds = vec![hold(date(2026, 2, 1), date(2026, 3, 1))];
    let due = of(&config, &table);
    assert_eq!((due.days[0].rows, due.days[0].kept_by.as_deref()), (10, None));
    assert_eq!(expire(&mut table, &due).await.unwrap(), 1);
    assert_eq!(count(&table).await, "303030");
    config.holds.clear();
    assert_eq!(first_day(&config, date(2026, 3, 10)), Some(date(2026, 3, 2)));
    assert!(of(&config, &table).days.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vacuum_takes_what_no_commit_names_and_leaves_the_account_of_objects() {
    let (mut table, store) = empty().await;
    for number in 1..=8 {
        import(&mut table, number, "2026-03-01", 5).await;
    }
    // What a crash before the commit left.
    let mut gathered = Rows::new(Kind::Events);
    gathered.push(br#"{"eventTime":"2026-03-01T00:00:00Z"}"#, "key", 0);
    write(&table, Kind::Events, &gathered.finish().unwrap()).await.unwrap();
    let hidden = "_orgtrail/objects/month=2026-03/part.parquet";
    store.put(hidden, "x".into(), &Default::default()).await.unwrap();
    compact(&mut table, Layout::events(Kind::Events), &Config::default(), date(2026, 3, 1)).await.unwrap();
    assert_eq!(vacuum(&mut table, Duration::ZERO).await.unwrap(), 9);
    assert_eq!(count(&table).await, "404040");
    store.head(hidden).await.unwrap();
}
