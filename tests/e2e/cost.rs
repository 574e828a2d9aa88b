//! `orgtrail cost`: what it tells is what stands in the source files, counted here by other means.

use std::collections::BTreeMap;
use std::path::Path;

use orgtrail_cli::generate::Plan;
use orgtrail_event::gzip::Inflater;
use orgtrail_tests::site::{Site, files};
use serde_json::Value;

/// Records by account, service and name, out of every log and Insight file below a folder.
fn counted(root: &Path) -> BTreeMap<[String; 3], u64> {
    let mut counts = BTreeMap::new();
    let (mut inflater, mut json) = (Inflater::new(), Vec::new());
    for file in files(root) {
        if !file.ends_with(".json.gz") || !(file.contains("/CloudTrail/") || file.contains("/CloudTrail-Insight/")) {
            continue;
        }
        json.clear();
        inflater.inflate(&std::fs::read(root.join(&file)).unwrap(), 1 << 30, &mut json).unwrap();
        let document: Value = serde_json::from_slice(&json).unwrap();
        for record in document["Records"].as_array().unwrap() {
            let names = ["recipientAccountId", "eventSource", "eventName"]
                .map(|field| record[field].as_str().unwrap_or("-").to_owned());
            *counts.entry(names).or_default() += 1;
        }
    }
    counts
}

fn plan(seed: u64) -> Plan {
    Plan { seed, accounts: 3, hours: 6, corrupt_share: 0.0, ..Plan::default() }.with_records(3_000)
}

fn cost(site: &Site, more: &[&str]) -> (i32, Value) {
    let (code, text, errors) = site.verb(&[&["cost", "--json"], more].concat()).unwrap();
    assert_eq!(errors, "");
    (code, serde_json::from_str(&text).unwrap())
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a number: {value}"))
}

/// What a table says: events by the first column.
fn table(document: &Value, by: &str) -> BTreeMap<String, u64> {
    let tables = document["breakdowns"].as_array().unwrap();
    let table = tables.iter().find(|table| table["by"] == by).unwrap_or_else(|| panic!("no table by {by}"));
    let line = |line: &Value| (line["what"].as_str().unwrap().to_owned(), number(&line["events"]));
    table["lines"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn every_sum_is_what_stands_in_the_source_files() {
    let (site, manifest) = Site::generated(&plan(31)).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    let counts = counted(&site.sources());
    let total: u64 = counts.values().sum();
    assert_eq!(total, manifest.records_written + manifest.insight_records, "the count of this test");
    assert!(manifest.duplicates > 0);

    let (code, document) = cost(&site, &[]);
    assert_eq!((code, &document["balanced"]), (0, &Value::Bool(true)));
    assert_eq!(number(&document["total"]["events"]), total);
    assert_eq!(number(&document["total"]["duplicates"]), manifest.duplicates);
    assert_eq!(number(&document["outside"]["events"]), 0);
    let summed = |by: fn(&[String; 3]) -> String| {
        let mut sums = BTreeMap::<String, u64>::new();
        for (names, count) in &counts {
            *sums.entry(by(names)).or_default() += count;
        }
        sums
    };
    assert_eq!(table(&document, "account"), summed(|names| names[0].clone()));
    assert_eq!(table(&document, "source"), summed(|names| names[1].clone()));
    assert_eq!(table(&document, "name"), summed(|names| format!("{} {}", names[1], names[2])));
    assert_eq!(table(&document, "category")["insight"], manifest.insight_records);
    let copies: u64 = document["duplicate_trails"].as_array().unwrap().iter().map(|pair| number(&pair["copies"])).sum();
    assert_eq!(copies, manifest.duplicates, "every duplicate is in one pair");

    // The days add up to the whole.
    let day = document["last_day"].as_str().unwrap();
    let last = number(&cost(&site, &["--since", day]).1["total"]["events"]);
    let before: jiff::civil::Date = day.parse().unwrap();
    let before = before.yesterday().unwrap().to_string();
    assert_eq!(last + number(&cost(&site, &["--until", &before]).1["total"]["events"]), total);

    let (code, text, _) = site.verb(&["cost", "--top", "3"]).unwrap();
    assert_eq!(code, 0);
    for part in
        ["ACCOUNT", "SERVICE", "EVENT", "CATEGORY", "DUPLICATE TRAILS", "OUR REQUESTS", "LEAVE OUT OF", "see --top"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (_, text, _) = site.verb(&["cost", "--by", "account"]).unwrap();
    assert!(text.contains("ACCOUNT") && !text.contains("SERVICE") && !text.contains("OUR REQUESTS"), "{text}");
}

#[test]
fn a_second_trail_is_named_with_what_it_costs_also_where_the_disk_is_sealed() {
    let plan = Plan { redelivered_share: 0.0, second_trail_share: 0.0, ..plan(32) };
    let (mut site, manifest) = Site::generated(&plan).unwrap();
    let key = site.root().join("seal.key");
    orgtrail_cloud::key_service::LocalKeyService::create(&key).unwrap();
    site.aggregator_more = format!("[seal]\nkey_id = \"file://{}\"\n", key.display());
    // The second trail: the same files in another bucket.
    let one = manifest.sources[0].folder(&site.sources());
    let other = site.root().join("second-trail");
    for file in files(&one) {
        let target = other.join(&file);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(one.join(&file), target).unwrap();
    }
    let mut folders: Vec<_> = manifest.sources.iter().map(|source| source.folder(&site.sources())).collect();
    folders.push(other.clone());
    site.configure_locations(&folders).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");

    let (code, document) = cost(&site, &[]);
    let copies: u64 = counted(&one).values().sum();
    assert_eq!((code, number(&document["total"]["duplicates"])), (0, copies));
    let pairs = document["duplicate_trails"].as_array().unwrap();
    let within = |pair: &Value, folder: &Path| {
        let root = format!("file://{}/", folder.display());
        ["one", "other"].iter().any(|side| pair[side].as_str().unwrap().starts_with(&root))
    };
    assert!(pairs.iter().all(|pair| within(pair, &one) && within(pair, &other)), "{pairs:#?}");
    assert_eq!(pairs.iter().map(|pair| number(&pair["copies"])).sum::<u64>(), copies);
    let management: u64 = pairs.iter().map(|pair| number(&pair["management"])).sum();
    let price: f64 = pairs.iter().map(|pair| pair["cloudtrail_usd"].as_f64().unwrap()).sum();
    assert!(management > 0 && price >= management as f64 / 100_000.0 * 2.0, "{management} cost {price}");

    let told = site.state("aggregator").join("usage");
    assert!(!files(&told).is_empty());
    for file in files(&told) {
        let bytes = std::fs::read(told.join(file)).unwrap();
        assert!(memchr::memmem::find(&bytes, b"amazonaws.com").is_none(), "a sealed folder tells no names");
    }
}
