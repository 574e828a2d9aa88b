//! The operator's verbs, as a person or a script uses them.

use std::path::Path;

use orgtrail_cli::generate::Plan;
use orgtrail_cli::port::free_port;
use orgtrail_tests::process::run;
use orgtrail_tests::site::Site;
use serde_json::Value;

#[test]
fn the_demo_ends_with_a_checked_trail_and_a_second_run_continues() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("demo").display().to_string();
    let demo = ["demo", "--dir", &folder, "--records", "4000"];
    let (code, first, errors) = run("orgtrail", &demo).unwrap();
    assert_eq!(code, 0, "{first}\n{errors}");
    for part in ["RECORDS", "OBJECTS", "exactly once", "Try next", "org-trail/AWSLogs/o-exampleorg1"] {
        assert!(first.contains(part), "{part} is missing in\n{first}");
    }
    for part in [
        "sources",
        "org-trail",
        "keys",
        "agent.toml",
        "aggregator.toml",
        "console.toml",
        "lake.toml",
        "notifications.ndjson",
    ] {
        assert!(Path::new(&folder).join(part).exists(), "{part}");
    }
    let (code, second, errors) = run("orgtrail", &demo).unwrap();
    assert_eq!(code, 0, "{second}\n{errors}");
    assert!(second.contains("Continuing"), "{second}");

    let (code, status, _) = run("orgtrail", &["status", "--config", &folder, "--json"]).unwrap();
    assert_eq!(code, 2, "damaged files are in quarantine, and nothing runs");
    let status: Value = serde_json::from_str(&status).unwrap();
    let processes = status["processes"].as_array().unwrap();
    let stopped: Vec<_> = processes.iter().filter(|process| process["running"] == false).collect();
    assert_eq!((processes.len(), stopped.len()), (4, 2), "agent and aggregator; console and lake keep no state");
    let digests = &processes.iter().find(|process| process["process"] == "orgtrail-aggregator").unwrap()["status"];
    let delivered = &digests["trails"][0]["delivered"];
    let count = ["query", "--config", &folder, "--output", "csv", "SELECT count(*) AS n FROM events"];
    assert_eq!(run("orgtrail", &count).unwrap().1, format!("n\n{delivered}\n"), "the ledger's figure");
    assert!(digests["trails"][0]["digests"]["digests"].as_u64().unwrap() > 0, "{digests}");
    let (code, output, errors) = run("orgtrail", &["validate-logs", "--config", &folder]).unwrap();
    assert_eq!(code, 0, "{output}\n{errors}");
    assert!(output.contains("log files valid"), "{output}");
}

#[test]
fn a_demo_over_an_unfinished_one_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    let cut_off = dir.path().join("sources/acme-trails");
    std::fs::create_dir_all(&cut_off).unwrap();
    let folder = dir.path().display().to_string();
    let (code, output, errors) = run("orgtrail", &["demo", "--dir", &folder, "--records", "1000"]).unwrap();
    assert_eq!(code, 0, "{output}\n{errors}");
}

#[test]
fn up_runs_all_roles_of_a_folder() {
    let (site, manifest) =
        Site::generated(&Plan { hours: 2, corrupt_share: 0.0, ..Plan::default() }.with_records(800)).unwrap();
    let config = site.root().display().to_string();
    let mut up =
        orgtrail_tests::process::Process::start("orgtrail", &["up", "--config", &config], &[], site.root()).unwrap();
    let began = std::time::Instant::now();
    while site.aggregator_status().map_or(0, |status| status.records.read) < manifest.records_written {
        assert!(began.elapsed().as_secs() < 60, "{}", up.output());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let (code, text, _) = site.verb(&["status"]).unwrap();
    assert_eq!(code, 0, "all is well: {text}");
    assert!(text.contains("running") && text.contains("RECORDS") && text.contains("OBJECTS"), "{text}");
    assert!(up.stop().unwrap().success(), "{}", up.output());
}

#[test]
fn an_entry_can_be_listed_shown_and_dropped() {
    let (site, manifest) =
        Site::generated(&Plan { hours: 4, corrupt_share: 0.2, ..Plan::default() }.with_records(1_500)).unwrap();
    site.run_once().unwrap();
    let (_, list, _) = site.verb(&["quarantine", "list", "--json"]).unwrap();
    let first: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    let id = first["entry"]["id"].as_str().unwrap();
    let (code, shown, _) = site.verb(&["quarantine", "show", &id[..10]]).unwrap();
    assert_eq!(code, 0);
    assert!(shown.contains(id) && shown.contains("detail"), "{shown}");
    let (code, _, errors) = site.verb(&["quarantine", "drop", id, "--by", "alice"]).unwrap();
    assert_eq!(code, 0, "{errors}");
    let (_, after, _) = site.verb(&["quarantine", "list", "--json"]).unwrap();
    assert_eq!(after.lines().count(), list.lines().count() - 1);
    assert!(manifest.corrupt.len() > 1);
    let (code, _, errors) = site.verb(&["quarantine", "show", id]).unwrap();
    assert_eq!(code, 1);
    assert!(errors.contains("no entry"), "{errors}");
}

#[test]
fn a_repaired_object_is_taken_when_it_is_retried() {
    let plan = Plan { hours: 2, corrupt_share: 0.0, ..Plan::default() }.with_records(500);
    let (site, manifest) = Site::generated(&plan).unwrap();
    let extra = orgtrail_cli::generate::late_delivery(&plan, &site.sources(), (0, 0), 3).unwrap();
    let good = std::fs::read(&extra.path).unwrap();
    std::fs::write(&extra.path, &good[..good.len() / 2]).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 2, "{output}");
    std::fs::write(&extra.path, &good).unwrap();
    let (code, _, errors) = site.verb(&["quarantine", "retry", "--all"]).unwrap();
    assert_eq!(code, 0, "{errors}");
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    assert_eq!(site.delivered().unwrap().unique(), manifest.records + 3);
}

#[test]
fn config_check_tells_process_line_and_key_of_all_problems() {
    let dir = tempfile::tempdir().unwrap();
    let (agent, aggregator) = (dir.path().join("agent.toml"), dir.path().join("aggregator.toml"));
    std::fs::write(
        &agent,
        "name = \"a\"\n[aggregator]\nendpoint = \"http://example.com:1\"\n[[sources]]\nlocaton = \"file:///x\"\n",
    )
    .unwrap();
    std::fs::write(&aggregator, "listen = \"0.0.0.0:1\"\n[[trails]]\nname = \"x\"\n").unwrap();
    let files = [agent.display().to_string(), aggregator.display().to_string()];
    let (code, output, _) = run("orgtrail", &["config", "check", &files[0], &files[1], "--json"]).unwrap();
    assert_eq!(code, 78, "{output}");
    let report: Value = serde_json::from_str(&output).unwrap();
    let keys = |index: usize| {
        report[index]["problems"]
            .as_array()
            .unwrap()
            .iter()
            .map(|problem| problem["key"].as_str().unwrap())
            .collect::<Vec<_>>()
    };
    for key in ["state_dir", "aggregator.endpoint", "sources[0].localtion"] {
        let key = key.replace("localtion", "locaton");
        assert!(keys(0).contains(&key.as_str()), "{key} is missing in {output}");
    }
    for key in ["state_dir", "listen", "agents", "trails[0].name", "trails[0].location"] {
        assert!(keys(1).contains(&key), "{key} is missing in {output}");
    }
    let line = report[0]["problems"]
        .as_array()
        .unwrap()
        .iter()
        .find(|problem| problem["key"] == "sources[0].locaton")
        .unwrap();
    assert_eq!(line["line"], 5, "{output}");
}

#[test]
fn every_sample_configuration_is_right() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/samples");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path.display().to_string());
        }
    }
    assert!(files.len() >= 2, "there are samples");
    let arguments: Vec<_> = ["config", "check"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let (code, output, errors) = run("orgtrail", &arguments).unwrap();
    assert_eq!(code, 0, "{output}{errors}");
}

#[test]
fn health_and_metrics_are_served() {
    let (mut site, manifest) =
        Site::generated(&Plan { hours: 1, corrupt_share: 0.0, ..Plan::default() }.with_records(300)).unwrap();
    let (agent_port, aggregator_port) = (free_port().unwrap(), free_port().unwrap());
    site.agent_more.push_str(&format!("[health]\nlisten = \"127.0.0.1:{agent_port}\"\n"));
    site.aggregator_more = format!("[health]\nlisten = \"127.0.0.1:{aggregator_port}\"\n");
    site.configure(&manifest.sources).unwrap();
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent().unwrap();
    let began = std::time::Instant::now();
    while site.aggregator_status().map_or(0, |status| status.records.read) < manifest.records_written {
        assert!(began.elapsed().as_secs() < 60);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    for port in [agent_port, aggregator_port] {
        assert!(get(port, "/healthz").starts_with("HTTP/1.1 200"));
        assert!(get(port, "/readyz").starts_with("HTTP/1.1 200"), "{}", get(port, "/readyz"));
        assert!(get(port, "/status").contains("pid"));
    }
    let metrics = get(aggregator_port, "/metrics");
    assert!(metrics.contains("orgtrail_aggregator_records_read_total{account="), "{metrics}");
    let metrics = get(agent_port, "/metrics");
    assert!(metrics.contains("orgtrail_agent_objects"), "{metrics}");
    assert!(agent.stop().unwrap().success());
    assert!(aggregator.stop().unwrap().success());
}

fn get(port: u16, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
