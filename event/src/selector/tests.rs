//! CloudTrail's rules one by one, every limit, and the compiled selection against a plain reading of the rules.

#![allow(clippy::unwrap_used)]

mod limits;
mod plain;
mod random;
mod rules;

use std::cell::RefCell;
use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::*;
use crate::log_file::{Item, Limits, Writer, read};

/// Reads one record and looks at its header.
fn with_header<T>(record: &Value, look: impl FnOnce(&Header<'_>) -> T) -> T {
    let mut writer = Writer::new();
    writer.push(record.to_string().as_bytes());
    let json = writer.finish();
    let items: Vec<_> = read(&json, &Limits::default()).unwrap().collect();
    let [Item::Record(record)] = items.as_slice() else { panic!("{items:?}") };
    look(&record.header)
}

#[test]
fn the_compiled_selection_agrees_with_a_plain_reading_of_the_rules() {
    let strategy = (
        (random::selectors(), random::insights(), random::scope()),
        prop::collection::vec(random::record(), 12),
        prop::sample::select(&random::ACCOUNTS[..]),
        prop::sample::select(&random::REGIONS[..]),
    );
    let outcomes = RefCell::new(HashMap::new());
    let run = |((selectors, insights, scope), records, account, region): ((_, Vec<_>, _), Vec<_>, &str, &str)| {
        let selection = Selection::compile(&selectors, &insights, &scope).unwrap();
        for record in &records {
            let (keeps, explanation, category) = with_header(record, |header| {
                let keeps = selection.keeps(header, account, region);
                (keeps, selection.explain(header, account, region), header.category())
            });
            let plain = plain::keeps(&selectors, &insights, &scope, record, account, region);
            prop_assert_eq!(keeps, plain, "{} by {:?}", record, &selectors);
            prop_assert_eq!(explanation.kept, keeps);
            prop_assert!(!explanation.clauses.is_empty());
            prop_assert!(explanation.clauses.iter().all(|clause| keeps || !clause.conditions.is_empty()));
            if selectors != Selectors::All {
                *outcomes.borrow_mut().entry((category, keeps)).or_insert(0) += 1;
            }
        }
        Ok(())
    };
    let categories =
        [Category::Management, Category::Data, Category::NetworkActivity, Category::Insight, Category::Aggregated];
    let all = || categories.iter().flat_map(|category| [(category.clone(), true), (category.clone(), false)]);
    let often = |outcome| outcomes.borrow().get(&outcome).is_some_and(|seen| *seen > 10);
    // It has something to say only where both outcomes occur, and some are rare.
    for _ in 0..5 {
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) };
        TestRunner::new(config).run(&strategy, run).unwrap();
        if all().all(often) {
            return;
        }
    }
    panic!("seldom seen: {:?}", outcomes.borrow());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn selectors_survive_printing_and_reading(selectors in random::selectors()) {
        let document = match &selectors {
            Selectors::All => return Ok(()),
            Selectors::Basic(list) => serde_json::json!({"TrailARN": "arn", "EventSelectors": list}),
            Selectors::Advanced(list) => serde_json::json!({"AdvancedEventSelectors": list, "EventSelectors": null}),
        };
        prop_assert_eq!(Selectors::from_json(&document.to_string()).unwrap(), selectors);
    }
}
