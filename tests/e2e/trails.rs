//! Several trails of one aggregator, each with its own choice of records, judged by a plain reading of what the first one holds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use orgtrail_cli::generate::Plan;
use orgtrail_event::gzip::{Deflater, Inflater};
use orgtrail_event::key::classify;
use orgtrail_tests::site::{Site, files};
use serde_json::{Value, json};

/// A record, and where it lies.
pub(crate) struct Held {
    account: String,
    region: String,
    /// `CloudTrail`, `CloudTrail-Insight`, …: the folder's, and the file's name says the same.
    kind: &'static str,
    record: Value,
}

impl Held {
    /// Old records have no category.
    pub(crate) fn is(&self, category: &str) -> bool {
        match self.record["eventCategory"].as_str() {
            Some(own) => own == category,
            None if self.record["managementEvent"] == false => category == "Data",
            None => category == "Management" && self.record["insightDetails"].is_null(),
        }
    }

    /// Whether the record says that it changed something.
    pub(crate) fn writes(&self) -> bool {
        self.record["readOnly"] == false
    }

    pub(crate) fn text(&self) -> String {
        self.record.to_string()
    }
}

/// Every record of a trail.
pub(crate) fn held(root: &Path) -> Vec<Held> {
    let mut held = Vec::new();
    for file in files(root) {
        let Some(key) = classify(&file).into_log() else { continue };
        let mut json = Vec::new();
        Inflater::new().inflate(&std::fs::read(root.join(&file)).unwrap(), usize::MAX, &mut json).unwrap();
        let file: Value = serde_json::from_slice(&json).unwrap();
        held.extend(file["Records"].as_array().unwrap().iter().map(|record| Held {
            account: key.folder.account.clone(),
            region: key.folder.region.clone(),
            kind: key.folder.kind.folder(),
            record: record.clone(),
        }));
    }
    held
}

pub(crate) fn counted(records: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    records.for_each(|record| *counts.entry(record).or_default() += 1);
    counts
}

#[test]
fn every_trail_holds_exactly_what_its_selectors_take() {
    let plan = Plan { hours: 3, corrupt_share: 0.0, ..Plan::default() }.with_records(4_000);
    let (mut site, manifest) = Site::generated(&plan).unwrap();
    let folder = |name: &str| site.root().join(name);
    let selectors = folder("selectors.json");
    let document = r#"{"TrailARN": "arn:aws:cloudtrail:us-east-1:111122223333:trail/x", "AdvancedEventSelectors": [
        {"Name": "writes to objects", "FieldSelectors": [
            {"Field": "eventCategory", "Equals": ["Data"]},
            {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
            {"Field": "readOnly", "Equals": ["false"]}]}]}"#;
    std::fs::write(&selectors, document).unwrap();
    let accounts: Vec<_> = manifest.by_account.keys().take(2).cloned().collect();
    let trails = [
        ("defaults", String::new()),
        ("objects", format!("selectors_file = \"{}\"\n", selectors.display())),
        ("ireland", "event_selectors = \"all\"\nmulti_region = false\nhome_region = \"eu-west-1\"\n".to_owned()),
        ("two-accounts", format!("event_selectors = \"all\"\naccounts = {accounts:?}\nregions = [\"us-east-1\"]\n")),
        (
            "writes",
            "[[trails.event_selectors]]\nread_write_type = \"WriteOnly\"\nexclude_management_event_sources = [\"kms.amazonaws.com\"]\n"
                .to_owned(),
        ),
    ];
    let mut more = String::new();
    for (name, keys) in &trails {
        more.push_str(&format!(
            "[[trails]]\nname = \"{name}\"\nlocation = \"file://{}\"\n{keys}",
            folder(name).display()
        ));
    }
    let dirs: Vec<_> = trails.iter().map(|(name, _)| folder(name)).collect();
    site.trail.push_str(&more);
    site.configure(&manifest.sources).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");

    let all = held(&site.trail_dir());
    let of_object = |held: &Held| {
        held.record["resources"].as_array().is_some_and(|all| all.iter().any(|one| one["type"] == "AWS::S3::Object"))
    };
    let takes: [&dyn Fn(&Held) -> bool; 5] = [
        &|held| held.is("Management"),
        &|held| held.is("Data") && held.writes() && of_object(held),
        &|held| held.region == "eu-west-1",
        &|held| accounts.contains(&held.account) && held.region == "us-east-1",
        &|held| held.is("Management") && held.writes() && held.record["eventSource"] != "kms.amazonaws.com",
    ];
    let status = site.aggregator_status().unwrap();
    for (index, (dir, takes)) in dirs.iter().zip(takes).enumerate() {
        let name = trails[index].0;
        let expected = counted(all.iter().filter(|held| takes(held)).map(Held::text));
        assert!(!expected.is_empty() && expected.values().sum::<u64>() < all.len() as u64, "{name} is no test");
        let there = counted(held(dir).iter().map(Held::text));
        let missing = expected.iter().find(|(record, count)| there.get(*record) != Some(count));
        let unasked = there.keys().find(|record| !expected.contains_key(*record));
        assert_eq!((missing, unasked), (None, None), "{name}");
        let trail = &status.trails[index + 1];
        assert!(trail.balanced && trail.pending == 0, "{trail:?}");
        assert_eq!(trail.delivered + trail.filtered, all.len() as u64, "{name}");
    }
}

/// A bucket with an Insights file of both types, and a management event beside it.
fn with_insights(bucket: &Path) {
    let insight = |kind: &str, state: &str| {
        json!({"eventVersion": "1.09", "eventTime": "2026-03-01T10:03:00Z", "awsRegion": "us-east-1",
            "eventID": format!("{kind}-{state}"), "eventType": "AwsCloudTrailInsight", "recipientAccountId": "111122223333",
            "sharedEventID": kind, "eventCategory": "Insight", "insightDetails": {"state": state, "insightType": kind,
            "eventSource": "ec2.amazonaws.com", "eventName": "RunInstances", "sourceEventCategory": "Management"}})
    };
    let insights: Vec<_> = ["ApiCallRateInsight", "ApiErrorRateInsight"]
        .into_iter()
        .flat_map(|kind| ["Start", "End"].map(|state| insight(kind, state)))
        .collect();
    let management = json!({"eventVersion": "1.11", "eventTime": "2026-03-01T10:03:00Z", "awsRegion": "us-east-1",
        "eventID": "management", "eventName": "RunInstances", "eventCategory": "Management", "readOnly": false,
        "managementEvent": true, "recipientAccountId": "111122223333"});
    for (kind, records) in [("CloudTrail", vec![management]), ("CloudTrail-Insight", insights)] {
        let folder = bucket.join(format!("AWSLogs/111122223333/{kind}/us-east-1/2026/03/01"));
        std::fs::create_dir_all(&folder).unwrap();
        let file = json!({"Records": records}).to_string();
        let name = format!("111122223333_{kind}_us-east-1_20260301T1005Z_AbCdEf0123456789.json.gz");
        std::fs::write(folder.join(name), Deflater::new(6).deflate(file.as_bytes())).unwrap();
    }
}

#[test]
fn insights_go_to_the_trails_that_select_their_type_and_into_the_folder_of_their_own() {
    let mut site = Site::new();
    let source = site.root().join("source");
    with_insights(&source);
    let management = ("CloudTrail", "management");
    let rates = [("CloudTrail-Insight", "ApiCallRateInsight-End"), ("CloudTrail-Insight", "ApiCallRateInsight-Start")];
    let errors =
        [("CloudTrail-Insight", "ApiErrorRateInsight-End"), ("CloudTrail-Insight", "ApiErrorRateInsight-Start")];
    let [rate, error] =
        ["ApiCallRateInsight", "ApiErrorRateInsight"].map(|kind| format!("{{ insight_type = \"{kind}\" }}"));
    let of_data = "{ insight_type = \"ApiCallRateInsight\", event_categories = [\"Data\"] }";
    let trails = [
        ("none", String::new(), vec![management]),
        ("rates", format!("insight_selectors = [{rate}]\n"), [&[management][..], &rates].concat()),
        ("errors", format!("insight_selectors = [{error}]\n"), [&[management][..], &errors].concat()),
        ("both", format!("insight_selectors = [{rate}, {error}]\n"), [&[management][..], &rates, &errors].concat()),
        ("of-data", format!("insight_selectors = [{of_data}]\n"), vec![management]),
    ];
    for (name, keys, _) in &trails {
        let location = site.root().join(name);
        site.trail
            .push_str(&format!("[[trails]]\nname = \"{name}\"\nlocation = \"file://{}\"\n{keys}", location.display()));
    }
    site.configure_locations(&[source]).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    for (index, (name, _, expected)) in trails.iter().enumerate() {
        let held = held(&site.root().join(name));
        let there: BTreeSet<_> =
            held.iter().map(|held| (held.kind, held.record["eventID"].as_str().unwrap())).collect();
        assert_eq!(there, expected.iter().copied().collect(), "{name}");
        assert_eq!(held.len(), expected.len(), "{name} has something twice");
        let trail = &site.aggregator_status().unwrap().trails[index + 1];
        assert!(trail.balanced && trail.pending == 0, "{trail:?}");
        assert_eq!((trail.delivered, trail.filtered), (expected.len() as u64, 5 - expected.len() as u64), "{name}");
    }
}
