//! From checked selectors to rules.

use super::document::{
    AdvancedEventSelector, DataResource, EventSelector, InsightCategory, InsightSelector, ReadWriteType,
};
use super::field::{Field, Operator};
use super::rule::{Rule, Test};
use super::{InsightRule, Scope, Selection, Selectors};

/// Everything given must have passed `check`.
pub(super) fn selection(selectors: &Selectors, insights: &[InsightSelector], scope: &Scope) -> Selection {
    let mut selection = Selection {
        scope: scope.sorted(),
        everything: *selectors == Selectors::All,
        key: if matches!(selectors, Selectors::Advanced(_)) { "advanced_event_selectors" } else { "event_selectors" },
        management: Vec::new(),
        data: Vec::new(),
        network_activity: Vec::new(),
        insights: insights.iter().enumerate().flat_map(insight).collect(),
    };
    match selectors {
        Selectors::All => {}
        Selectors::Basic(list) => list.iter().enumerate().for_each(|(index, one)| basic(&mut selection, index, one)),
        Selectors::Advanced(list) => {
            list.iter().enumerate().for_each(|(index, one)| advanced(&mut selection, index, one))
        }
    }
    selection
}

fn basic(selection: &mut Selection, index: usize, selector: &EventSelector) {
    let at = format!("event_selectors[{index}]");
    let read_only = match selector.read_write_type {
        ReadWriteType::All => None,
        ReadWriteType::ReadOnly => Some("true"),
        ReadWriteType::WriteOnly => Some("false"),
    };
    let read_only = read_only.map(|word| Test::new(Field::ReadOnly, [(Operator::Equals, &[word.to_owned()][..])]));
    if selector.include_management_events {
        let excluded = &selector.exclude_management_event_sources[..];
        let excluded = (!excluded.is_empty()).then(|| Test::new(Field::Source, [(Operator::NotEquals, excluded)]));
        let tests = read_only.iter().cloned().chain(excluded).collect();
        selection.management.push(Rule::new(at.clone(), None, tests));
    }
    for (index, resource) in selector.data_resources.iter().enumerate() {
        if let Some(tests) = data_resource(resource) {
            let tests = read_only.iter().cloned().chain(tests).collect();
            selection.data.push(Rule::new(format!("{at}.data_resources[{index}]"), None, tests));
        }
    }
}

/// None if it names no resource.
fn data_resource(resource: &DataResource) -> Option<Vec<Test>> {
    let kind = Test::new(Field::ResourceType, [(Operator::Equals, &[resource.kind.clone()][..])]);
    if resource.values.is_empty() {
        return None;
    }
    if resource.values.iter().any(|value| is_all(&resource.kind, value)) {
        return Some(vec![kind]);
    }
    let operator = if resource.kind == "AWS::S3::Object" { Operator::StartsWith } else { Operator::Equals };
    let arn = Test::new(Field::ResourceArn, [(operator, &resource.values[..])]).of_resources(Some(&resource.kind));
    Some(vec![kind, arn])
}

/// Whether a value of a data resource stands for all of the type: `arn:aws:lambda`, and for S3 also `arn:aws:s3:::`.
pub(super) fn is_all(kind: &str, value: &str) -> bool {
    let service = match kind {
        "AWS::S3::Object" => "s3",
        "AWS::Lambda::Function" => "lambda",
        _ => "dynamodb",
    };
    let mut parts = value.splitn(3, ':');
    let (arn, partition, rest) = (parts.next(), parts.next(), parts.next());
    let named = arn == Some("arn") && partition.is_some_and(|partition| !partition.is_empty());
    named && rest.is_some_and(|rest| rest == service || (service == "s3" && rest == "s3:::"))
}

fn advanced(selection: &mut Selection, index: usize, selector: &AdvancedEventSelector) {
    let one_of = |name: &str| {
        let field = selector.field_selectors.iter().find(|field| field.field == name)?;
        field.equals.as_ref()?.first().map(String::as_str)
    };
    let resource_type = one_of("resources.type");
    let mut tests = Vec::new();
    for selector in &selector.field_selectors {
        match Field::from_name(&selector.field) {
            None | Some(Field::Category) => {}
            Some(Field::ResourceArn) => {
                tests.push(Test::new(Field::ResourceArn, selector.operators()).of_resources(resource_type));
            }
            Some(field) => tests.push(Test::new(field, selector.operators())),
        }
    }
    let rule = Rule::new(format!("advanced_event_selectors[{index}]"), selector.name.clone(), tests);
    match one_of("eventCategory") {
        Some("Management") => selection.management.push(rule),
        Some("Data") => selection.data.push(rule),
        _ => selection.network_activity.push(rule),
    }
}

fn insight((index, selector): (usize, &InsightSelector)) -> Vec<InsightRule> {
    let default = [InsightCategory::Management];
    let categories = selector.event_categories.as_deref().unwrap_or(&default);
    let rule = |category: &InsightCategory| InsightRule {
        at: format!("insight_selectors[{index}]"),
        insight_type: selector.insight_type,
        category: *category,
    };
    categories.iter().map(rule).collect()
}
