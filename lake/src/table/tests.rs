//! Looking for others' commits finds them all, and costs one request where there are none.

use orgtrail_cloud::Location;
use orgtrail_cloud::object_store::FakeStore;

use super::*;
use crate::event_data_store::{self, Tables};
use crate::kind::Kind;
use crate::rows::Rows;
use crate::write::write;

/// A table, another writer's handle to it, and its place.
async fn two_writers() -> (Table, Table, FakeStore) {
    let store = |name: &str| FakeStore::new(format!("s3://{name}").parse::<Location>().unwrap());
    let (events, objects) = (store("events"), store("objects"));
    let config = event_data_store::Config { name: "events".to_owned(), ..event_data_store::Config::default() };
    let open =
        async || Tables::open_or_create_in(&config, Arc::new(events.clone()), Arc::new(objects.clone())).await.unwrap();
    (open().await.events, open().await.events, events)
}

async fn import(table: &mut Table, number: i64) {
    let mut rows = Rows::new(Kind::Events);
    let record = format!(r#"{{"eventTime":"2026-03-01T10:00:00Z","eventName":"Get","eventID":"{number}"}}"#);
    rows.push(record.as_bytes(), "key", 0);
    let files = write(table, Kind::Events, &rows.finish().unwrap()).await.unwrap();
    table.commit_import(number, files, HashMap::new()).await.unwrap();
}

#[tokio::test]
async fn a_refresh_finds_every_commit_and_lists_nothing_where_there_is_none() {
    let (mut table, mut other, store) = two_writers().await;
    for number in 1..=3 {
        import(&mut other, number).await;
    }
    assert!(table.refresh().await.unwrap());
    assert_eq!((table.version(), table.files().unwrap().len()), (3, 3), "all of them at once");

    let (lists, heads) = (store.calls("list"), store.calls("head"));
    assert!(!table.refresh().await.unwrap());
    assert_eq!((store.calls("list") - lists, store.calls("head") - heads), (0, 1));

    import(&mut table, 4).await;
    assert!(!table.refresh().await.unwrap(), "its own commit is no news");
    import(&mut table, 5).await;
    assert!(other.refresh().await.unwrap());
    assert_eq!(other.version(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_log_is_listed_again_after_an_hour_whatever_is_there() {
    let (mut table, _, store) = two_writers().await;
    tokio::time::advance(LISTED_MAX).await;
    let lists = store.calls("list");
    assert!(!table.refresh().await.unwrap());
    assert!(store.calls("list") > lists);
    let lists = store.calls("list");
    table.refresh().await.unwrap();
    assert_eq!(store.calls("list"), lists, "the hour begins anew");
}
