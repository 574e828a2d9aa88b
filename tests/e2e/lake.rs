//! The lake over a delivered trail: every record once, whatever is killed; found again byte for byte; read by other engines.

use std::path::Path;

use orgtrail_cli::generate::Plan;
use orgtrail_tests::engines::Engines;
use orgtrail_tests::process::{Process, run};
use orgtrail_tests::site::Site;
use serde_json::Value;

/// A site whose trail was delivered, with a lake's configuration over it.
fn delivered(records: u64) -> (Site, u64) {
    let plan = Plan { hours: 3, corrupt_share: 0.0, ..Plan::default() }.with_records(records);
    let (site, manifest) = Site::generated(&plan).unwrap();
    site.configure(&manifest.sources).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    let records = site.aggregator_status().unwrap().trails[0].delivered;
    assert!(records >= manifest.records, "{records}");
    write(&site, "");
    (site, records)
}

fn write(site: &Site, more: &str) {
    let (trail, root) = (site.trail_dir(), site.root());
    let text = format!(
        "[[trails]]\nname = \"org-trail\"\nlocation = \"file://{}\"\n\n[[event_data_stores]]\nname = \"events\"\n\
         location = \"file://{}\"\n{more}",
        trail.display(),
        root.join("lake/events").display()
    );
    std::fs::create_dir_all(root.join("lake")).unwrap();
    std::fs::write(root.join("lake/lake.toml"), text).unwrap();
}

fn verb(site: &Site, verb: &[&str]) -> (i32, String) {
    let config = site.root().join("lake").display().to_string();
    let arguments: Vec<_> =
        verb[..1].iter().copied().chain(["--config", config.as_str()]).chain(verb[1..].iter().copied()).collect();
    let (code, output, errors) = run("orgtrail", &arguments).unwrap();
    (code, format!("{output}{}", if code == 0 { "" } else { &errors }))
}

/// What `event-data-stores` says of the one there is.
fn content(site: &Site) -> Value {
    let (code, output) = verb(site, &["event-data-stores", "--json"]);
    assert_eq!(code, 0, "{output}");
    let said: Value = serde_json::from_str(&output).unwrap();
    said["event_data_stores"][0]["content"].clone()
}

#[test]
fn an_event_data_store_has_the_ledgers_number_of_rows_and_no_object_counts_twice() {
    let (site, records) = delivered(3_000);
    for _ in 0..2 {
        let (code, output) = verb(&site, &["lake", "--once"]);
        assert_eq!(code, 0, "{output}");
        assert_eq!(content(&site)["rows"], records);
    }
    let count = verb(&site, &["query", "--output", "csv", "SELECT count(*) AS n FROM events"]);
    assert_eq!(count, (0, format!("n\n{records}\n")));
    let account = "SELECT count(*) AS objects, sum(read) AS r, sum(kept) AS k, sum(bad) AS b FROM \"events$objects\"";
    let objects = content(&site)["objects"].clone();
    assert_eq!(
        verb(&site, &["query", "--output", "csv", account]).1,
        format!("objects,r,k,b\n{objects},{records},{records},0\n")
    );
}

#[test]
fn an_importer_that_is_killed_at_any_moment_imports_every_object_once() {
    let (site, records) = delivered(6_000);
    // Small batches, so that there are many imports to be killed in.
    write(&site, "\n[import]\nmemory = \"64MiB\"\ninterval = \"1s\"\nsweep_interval = \"1s\"\n");
    let config = site.root().join("lake").display().to_string();
    for round in 0..12_u64 {
        let mut process = Process::start("orgtrail", &["lake", "--config", &config], &[], site.root()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(40 * round));
        process.kill();
    }
    let (code, output) = verb(&site, &["lake", "--once"]);
    assert_eq!(code, 0, "{output}");
    assert_eq!(content(&site)["rows"], records);
    let distinct = verb(&site, &["query", "--output", "csv", "SELECT count(DISTINCT eventid) AS n FROM events"]);
    assert_eq!(distinct, (0, format!("n\n{records}\n")));
}

#[test]
fn an_event_is_looked_up_with_its_own_text_and_waited_for() {
    let (site, _) = delivered(600);
    assert_eq!(verb(&site, &["lake", "--once"]).0, 0);
    let (code, output) = verb(&site, &["lookup-events", "--max-items", "3"]);
    assert_eq!(code, 0, "{output}");
    let page: Value = serde_json::from_str(&output).unwrap();
    let (event, token) = (&page["Events"][2], page["NextToken"].as_str().unwrap());
    let record: Value = serde_json::from_str(event["CloudTrailEvent"].as_str().unwrap()).unwrap();
    assert_eq!(event["EventId"], record["eventID"]);
    let next = verb(&site, &["lookup-events", "--max-items", "1", "--starting-token", token]).1;
    let next: Value = serde_json::from_str(&next).unwrap();
    let seen: Vec<_> = page["Events"].as_array().unwrap().iter().map(|event| &event["EventId"]).collect();
    assert!(!seen.contains(&&next["Events"][0]["EventId"]), "the page behind begins behind");

    let id = format!("AttributeKey=EventId,AttributeValue={}", event["EventId"].as_str().unwrap());
    let name = format!("AttributeKey=EventName,AttributeValue={}", event["EventName"].as_str().unwrap());
    let found = verb(&site, &["wait", "--start-time", "1970-01-01", "--lookup-attributes", &id, &name]);
    assert_eq!(found.0, 0, "{}", found.1);
    assert!(found.1.contains(event["EventId"].as_str().unwrap()));
    let (code, said) = verb(&site, &["wait", "--event-name", "NoSuchEvent", "--timeout", "1s", "--interval", "200ms"]);
    assert_eq!(code, 2, "{said}");
}

#[test]
fn other_engines_read_the_table_and_count_the_same_after_compaction() {
    let Some(engines) = Engines::installed() else { return };
    let (site, records) = delivered(2_000);
    assert_eq!(verb(&site, &["lake", "--once"]).0, 0);
    let table = site.root().join("lake/events");
    let statements = [
        "SELECT count(*), count(DISTINCT eventid) FROM events",
        "SELECT eventname, count(*) AS n FROM events GROUP BY eventname ORDER BY n DESC, eventname LIMIT 5",
        "SELECT useridentity.type AS t, count(*) AS n FROM events GROUP BY useridentity.type ORDER BY n DESC, t LIMIT 5",
    ];
    let ours = |statement: &str| -> Vec<Vec<String>> {
        let (code, output) = verb(&site, &["query", "--output", "csv", statement]);
        assert_eq!(code, 0, "{output}");
        output.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
    };
    let theirs = engines.duckdb(&[("events", Path::new(&table))], &statements).unwrap();
    for (statement, rows) in statements.iter().zip(theirs) {
        assert_eq!(texts(&rows), ours(statement), "{statement}");
    }
    assert_eq!(ours(statements[0])[0][0], records.to_string());

    let sail = engines.sail(2, site.root()).unwrap();
    sail.register("events", &table).unwrap();
    for (statement, rows) in statements.iter().zip(sail.ask(&statements).unwrap()) {
        assert_eq!(texts(&rows), ours(statement), "Sail: {statement}");
    }
}

/// Values as CSV has them.
fn texts(rows: &[Vec<Value>]) -> Vec<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    rows.iter().map(|row| row.iter().map(text).collect()).collect()
}
