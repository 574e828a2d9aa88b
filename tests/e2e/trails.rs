//! Several trails of one aggregator, each with its own choice of records, judged by a plain reading of what the first one holds.

use std::collections::BTreeMap;
use std::path::Path;

use orgtrail_cli::generate::Plan;
use orgtrail_event::gzip::Inflater;
use orgtrail_event::key::classify;
use orgtrail_tests::site::{Site, files};
use serde_json::Value;

/// A record, and the account and region of the file that holds it.
struct Held {
    account: String,
    region: String,
    record: Value,
}

impl Held {
    /// Old records have no category.
    fn is(&self, category: &str) -> bool {
        match self.record["eventCategory"].as_str() {
            Some(own) => own == category,
            None if self.record["managementEvent"] == false => category == "Data",
            None => category == "Management" && self.record["insightDetails"].is_null(),
        }
    }

    fn text(&self) -> String {
        self.record.to_string()
    }
}

/// Every record of a trail.
fn held(root: &Path) -> Vec<Held> {
    let mut held = Vec::new();
    for file in files(root) {
        let Some(key) = classify(&file).into_log() else { continue };
        let mut json = Vec::new();
        Inflater::new().inflate(&std::fs::read(root.join(&file)).unwrap(), usize::MAX, &mut json).unwrap();
        let file: Value = serde_json::from_slice(&json).unwrap();
        held.extend(file["Records"].as_array().unwrap().iter().map(|record| Held {
            account: key.folder.account.clone(),
            region: key.folder.region.clone(),
            record: record.clone(),
        }));
    }
    held
}

fn counted(records: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
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
    let write = |held: &Held| held.record["readOnly"] == false;
    let of_object = |held: &Held| {
        held.record["resources"].as_array().is_some_and(|all| all.iter().any(|one| one["type"] == "AWS::S3::Object"))
    };
    let takes: [&dyn Fn(&Held) -> bool; 5] = [
        &|held| held.is("Management"),
        &|held| held.is("Data") && write(held) && of_object(held),
        &|held| held.region == "eu-west-1",
        &|held| accounts.contains(&held.account) && held.region == "us-east-1",
        &|held| held.is("Management") && write(held) && held.record["eventSource"] != "kms.amazonaws.com",
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
