//! The lake over a delivered trail: every record once, whatever is killed, and found again byte for byte.

use orgtrail_cli::generate::Plan;
use orgtrail_tests::lake_site::LakeSite;
use orgtrail_tests::site::Site;
use serde_json::Value;

/// A lake over a trail that was delivered, and how many records that is by the aggregator's ledger.
fn delivered(records: u64) -> (Site, LakeSite, u64) {
    let plan = Plan { hours: 3, corrupt_share: 0.0, ..Plan::default() }.with_records(records);
    let (site, manifest) = Site::generated(&plan).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    let records = site.aggregator_status().unwrap().trails[0].delivered;
    assert!(records >= manifest.records, "{records}");
    let lake = LakeSite::over(&site.trail_dir(), "").unwrap();
    (site, lake, records)
}

#[test]
fn an_event_data_store_has_the_ledgers_number_of_rows_and_no_object_counts_twice() {
    let (_site, lake, records) = delivered(3_000);
    for _ in 0..2 {
        lake.import().unwrap();
        assert_eq!(lake.content().unwrap()["rows"], records);
    }
    assert_eq!(lake.ask("SELECT count(*) FROM events").unwrap(), format!("{records}\n"));
    let account = "SELECT count(*), sum(read), sum(kept), sum(bad) FROM \"events$objects\"";
    let objects = lake.content().unwrap()["objects"].clone();
    assert_eq!(lake.ask(account).unwrap(), format!("{objects},{records},{records},0\n"));
}

#[test]
fn an_importer_that_is_killed_at_any_moment_imports_every_object_once() {
    let (_site, lake, records) = delivered(6_000);
    // Small batches, so that there are many imports to be killed in.
    lake.configure("\n[import]\nmemory = \"64MiB\"\ninterval = \"1s\"\nsweep_interval = \"1s\"\n").unwrap();
    for round in 0..12_u64 {
        let mut process = lake.start(&["lake"]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(40 * round));
        process.kill();
    }
    lake.import().unwrap();
    assert_eq!(lake.content().unwrap()["rows"], records);
    assert_eq!(lake.ask("SELECT count(DISTINCT eventid) FROM events").unwrap(), format!("{records}\n"));
}

#[test]
fn an_event_is_looked_up_with_its_own_text_and_waited_for() {
    let (_site, lake, _) = delivered(600);
    lake.import().unwrap();
    let page: Value = serde_json::from_str(&lake.said(&["lookup-events", "--max-items", "3"]).unwrap()).unwrap();
    let (event, token) = (&page["Events"][2], page["NextToken"].as_str().unwrap());
    let record: Value = serde_json::from_str(event["CloudTrailEvent"].as_str().unwrap()).unwrap();
    assert_eq!(event["EventId"], record["eventID"]);
    let next = lake.said(&["lookup-events", "--max-items", "1", "--starting-token", token]).unwrap();
    let next: Value = serde_json::from_str(&next).unwrap();
    let seen: Vec<_> = page["Events"].as_array().unwrap().iter().map(|event| &event["EventId"]).collect();
    assert!(!seen.contains(&&next["Events"][0]["EventId"]), "the page behind begins behind");

    let id = format!("AttributeKey=EventId,AttributeValue={}", event["EventId"].as_str().unwrap());
    let name = format!("AttributeKey=EventName,AttributeValue={}", event["EventName"].as_str().unwrap());
    let found = lake.said(&["wait", "--start-time", "1970-01-01", "--lookup-attributes", &id, &name]).unwrap();
    assert!(found.contains(event["EventId"].as_str().unwrap()));
    let (code, _, said) =
        lake.verb(&["wait", "--event-name", "NoSuchEvent", "--timeout", "1s", "--interval", "200ms"]).unwrap();
    assert_eq!(code, 2, "{said}");
}
