//! Needles over a year are found, and few row groups are read for them.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::date;
use orgtrail_cloud::Location;
use orgtrail_cloud::object_store::FakeStore;
use orgtrail_service::clock::Manual;

use super::*;
use crate::event_data_store::{self, Tables};
use crate::rows::Rows;
use crate::sql::{Config, Engine, Figures, StoreName};
use crate::write::write;

const YEAR: u32 = 365;
const ROWS_A_DAY: u32 = 24;

/// The record of a row. Who made the request, from where and on what differs from day to day.
fn record(day: u32, row: u32) -> String {
    let time = date(2025, 1, 1) + jiff::Span::new().days(i64::from(day));
    let (who, minute) = (day * ROWS_A_DAY + row, row % 60);
    format!(
        r#"{{"eventTime":"{time}T10:{minute:02}:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"us-east-1",
        "recipientAccountId":"111122223333","eventID":"id-{day}-{row}","sourceIPAddress":"10.{}.{}.7",
        "userIdentity":{{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/r/{who}","accessKeyId":"AKIA{who}"}},
        "resources":[{{"ARN":"arn:aws:s3:::shared"}},{{"ARN":"arn:aws:s3:::bucket/{who}"}}]}}"#,
        who / 256,
        who % 256,
    )
}

/// Events of so many days, a file for each.
async fn days(days: u32) -> Engine {
    let store = |name: &str| Arc::new(FakeStore::new(format!("s3://{name}").parse::<Location>().unwrap()));
    let config = event_data_store::Config { name: "events".to_owned(), ..event_data_store::Config::default() };
    let mut table = Tables::open_or_create_in(&config, store("events"), store("objects")).await.unwrap().events;
    let mut rows = Rows::new(Kind::Events);
    for (day, row) in (0..days).flat_map(|day| (0..ROWS_A_DAY).map(move |row| (day, row))) {
        rows.push(record(day, row).as_bytes(), "key", 0);
    }
    let files = write(&table, Kind::Events, &rows.finish().unwrap()).await.unwrap();
    assert_eq!(files.len(), days as usize);
    table.commit_import(1, files, Default::default()).await.unwrap();
    let engine =
        Engine::new(&Config::default(), Manual::new("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap())).unwrap();
    let name = StoreName { name: "events".to_owned(), id: String::new(), kind: Kind::Events };
    engine.register(&name, Scan::events(&table, Kind::Events).unwrap()).unwrap();
    engine
}

async fn find(engine: &Engine, condition: &str) -> (usize, Figures) {
    let run = engine.query(&format!("SELECT eventid, eventjson FROM events WHERE {condition}")).await.unwrap();
    let statistics = run.statistics.clone();
    let found = run.collect().await.unwrap_or_else(|error| panic!("{condition}: {error}"));
    (found.iter().map(|batch| batch.num_rows()).sum(), statistics.figures())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_needle_over_a_year_reads_few_row_groups() {
    let engine = days(YEAR).await;
    let (day, row) = (200, 17);
    let who = day * ROWS_A_DAY + row;
    let arn = format!("arn:aws:sts::111122223333:assumed-role/r/{who}");
    let needles = [
        format!("eventid = 'id-{day}-{row}'"),
        format!("useridentity.accesskeyid = 'AKIA{who}'"),
        format!("'AKIA{who}' = useridentity.accesskeyid AND readonly IS NULL"),
        format!("useridentity.arn IN ('{arn}', 'arn:aws:iam::1:user/nobody')"),
        format!("sourceipaddress = '10.{}.{}.7'", who / 256, who % 256),
        format!("(useridentity.arn = '{arn}' OR useridentity.accesskeyid = 'AKIA{who}')"),
        format!("(eventid = 'id-{day}-{row}' OR useridentity.username = 'nobody')"),
        format!("any_match(resources, r -> r.arn = 'arn:aws:s3:::bucket/{who}')"),
    ];
    for needle in needles {
        let (found, figures) = find(&engine, &needle).await;
        assert_eq!(found, 1, "{needle}");
        // Two in a hundred row groups without it are read, and by a filter of so few values a few more.
        let groups = figures.rows_scanned.div_ceil(u64::from(ROWS_A_DAY));
        assert!(groups <= 40, "{needle}: {groups} row groups of {YEAR}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_that_are_no_needles_lose_nothing() {
    let engine = days(20).await;
    let all = usize::try_from(20 * ROWS_A_DAY).unwrap();
    for (condition, rows) in [
        ("useridentity.accesskeyid <> 'AKIA7'", all - 1),
        ("useridentity.accesskeyid NOT IN ('AKIA7', 'AKIA8')", all - 2),
        ("NOT (useridentity.accesskeyid = 'AKIA7')", all - 1),
        ("useridentity.accesskeyid = 'AKIA7' OR eventname = 'GetObject'", all),
        ("useridentity.accesskeyid = 'AKIA7' OR useridentity.accesskeyid LIKE 'AKIA8_'", 11),
        ("lower(useridentity.accesskeyid) = 'akia7'", 1),
        ("any_match(resources, r -> r.arn = 'arn:aws:s3:::shared')", all),
        ("any_match(resources, r -> r.arn = 'arn:aws:s3:::bucket/7' OR r.arn LIKE '%/8')", 2),
        ("none_match(resources, r -> r.arn = 'arn:aws:s3:::bucket/7')", all - 1),
        ("useridentity.accesskeyid = 'AKIA7' AND any_match(resources, r -> r.arn = 'arn:aws:s3:::bucket/8')", 0),
    ] {
        assert_eq!(find(&engine, condition).await.0, rows, "{condition}");
    }
}
