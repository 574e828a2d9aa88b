//! `orgtrail selectors test` as a person uses it, and the examples of docs/selectors.md as CloudTrail would judge them.

use std::path::Path;

use orgtrail_aggregator::config::TrailConfig;
use orgtrail_event::selector::{Scope, Selection, Selectors};
use orgtrail_tests::process::run;
use serde_json::{Value, json};

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/selectors.md")).unwrap()
}

/// The fenced blocks of a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).unwrap();
    path.display().to_string()
}

#[test]
fn every_example_of_the_page_is_valid() {
    let page = page();
    let trails = blocks(&page, "toml");
    assert!(trails.len() >= 5);
    for text in trails {
        let file: toml::Table = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        for trail in file["trails"].as_array().unwrap() {
            let trail: TrailConfig = trail.clone().try_into().unwrap_or_else(|error| panic!("{error}\n{text}"));
            trail.selection().unwrap_or_else(|invalid| panic!("{invalid:?}\n{text}"));
        }
    }
    for document in blocks(&page, "json") {
        let selectors = Selectors::from_json(&document).unwrap();
        Selection::compile(&selectors, &[], &Scope::default()).unwrap();
    }
}

#[test]
fn each_record_is_told_with_the_clause_that_decided() {
    let dir = tempfile::tempdir().unwrap();
    let selectors = write(&dir.path().join("selectors.json"), &blocks(&page(), "json")[0]);
    let put = |bucket: &str| {
        json!({"eventTime": "2026-03-01T10:00:00Z", "eventName": "PutObject", "eventSource": "s3.amazonaws.com", "readOnly": false,
            "eventCategory": "Data", "resources": [{"type": "AWS::S3::Object", "ARN": format!("arn:aws:s3:::{bucket}/k")}]})
    };
    let kms =
        json!({"eventName": "Decrypt\u{1b}[2J", "eventSource": "kms.amazonaws.com", "eventCategory": "Management"});
    let file = json!({"Records": [put("example-bucket"), put("other"), kms]});
    let file = write(&dir.path().join("file.json"), &file.to_string());

    let (code, text, errors) = run("orgtrail", &["selectors", "test", "--selectors", &selectors, &file]).unwrap();
    assert_eq!((code, errors.as_str()), (0, ""), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[1].contains("2026-03-01T10:00:00Z  PutObject"), "{text}");
    let clause = "kept         advanced_event_selectors[1] \"Writes of one bucket\"";
    assert!(lines[1].contains(clause) && lines[1].contains("StartsWith arn:aws:s3:::example-bucket/"), "{text}");
    assert!(lines[2].contains("passed over") && lines[2].contains("(has arn:aws:s3:::other/k)"), "{text}");
    assert!(lines[3].contains("eventSource NotEquals kms.amazonaws.com") && !text.contains('\u{1b}'), "{text}");
    assert_eq!(*lines.last().unwrap(), "3 records: 1 kept, 2 passed over");

    let (code, text, _) = run("orgtrail", &["selectors", "test", "--selectors", &selectors, "--json", &file]).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &document["counts"]), (0, &json!({"records": 3, "kept": 1, "passed_over": 2, "unreadable": 0})));
    assert_eq!(document["records"][0]["clauses"][0]["name"], "Writes of one bucket");
}

#[test]
fn a_trail_of_a_configuration_is_tested_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().display();
    let config = format!(
        "state_dir = \"{root}/state\"\n[[agents]]\nname = \"a\"\naccounts = [\"*\"]\n\
         [[trails]]\nname = \"all\"\nlocation = \"file://{root}/all\"\nevent_selectors = \"all\"\naccounts = [\"111122223333\"]\n\
         [[trails]]\nname = \"default\"\nlocation = \"file://{root}/default\"\n"
    );
    let config = write(&dir.path().join("aggregator.toml"), &config);
    let folder = dir.path().join("AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01");
    std::fs::create_dir_all(&folder).unwrap();
    let record = r#"{"Records":[{"eventCategory":"Data","recipientAccountId":"444455556666"}]}"#;
    let file = write(&folder.join("111122223333_CloudTrail_us-east-1_20260301T1005Z_abcdefghijklmnop.json.gz"), record);

    let test = |more: &[&str]| run("orgtrail", &[&["selectors", "test", "--config", &config], more].concat()).unwrap();
    let (code, text, _) = test(&["--trail", "all", &file]);
    assert!(code == 0 && text.contains("1 kept"), "the folder's account counts: {text}");
    let (code, text, _) = test(&["--trail", "default", &file]);
    assert!(code == 0 && text.contains("1 passed over"), "{text}");
    for more in [vec![file.as_str()], vec!["--trail", "other", &file]] {
        let (code, _, errors) = test(&more);
        assert!(code == 78 && errors.contains("all, default"), "{errors}");
    }
}

#[test]
fn what_is_wrong_ends_with_its_own_code() {
    let dir = tempfile::tempdir().unwrap();
    let good = write(&dir.path().join("good.jsonl"), "{\"eventName\":\"A\"}\n{\"eventName\":\"B\"}\n");
    let damaged = write(&dir.path().join("damaged.jsonl"), "{\"eventName\":\"A\"}\n{\"eventName\":}\n");
    let other = write(&dir.path().join("other"), "no log file");
    let selectors = r#"{"EventSelectors": [{"IncludeManagementEvents": false}, {"DataResources": [{"Type": "X"}]}]}"#;
    let selectors = write(&dir.path().join("wrong.json"), selectors);
    let test = |arguments: &[&str]| run("orgtrail", &[&["selectors", "test"], arguments].concat()).unwrap();

    let (code, text, _) = test(&[&good]);
    assert!(code == 0 && text.contains("2 records: 2 kept, 0 passed over"), "{text}");
    let (code, text, errors) = test(&[&damaged, &good]);
    assert!(code == 2 && text.contains("3 records: 3 kept, 0 passed over; 1 unreadable"), "{text}");
    assert!(errors.contains("damaged.jsonl: line 2: invalid JSON at byte"), "{errors}");
    let (code, _, errors) = test(&[&other]);
    assert!(code == 1 && errors.contains("other: read log file"), "{errors}");
    assert_eq!(test(&[]).0, 64);
    let (code, _, errors) = test(&["--selectors", &selectors, &good]);
    assert_eq!(code, 78);
    for part in ["event_selectors[0].data_resources: must not be empty", "event_selectors[1].data_resources[0].type"] {
        assert!(errors.contains(part), "{errors}");
    }
}
