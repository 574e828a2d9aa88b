//! CloudTrail's rules for selectors (API reference, `PutEventSelectors`, `InvalidEventSelectorsException`; user guide,
//! "Quotas"), for a trail.

use super::build::is_all;
use super::document::{AdvancedEventSelector, AdvancedFieldSelector, DataResource, EventSelector, InsightSelector};
use super::field::{Allowed, CATEGORIES, Field, HIGH_VOLUME_SOURCES, Operator, allowed};
use super::{Invalid, Selectors};
use crate::record::Category;

const BASIC_SELECTORS_MAX: usize = 5;
const DATA_RESOURCE_VALUES_MAX: usize = 250;
const ADVANCED_VALUES_MAX: usize = 500;
const NAME_CHARACTERS_MAX: usize = 1000;
const VALUE_CHARACTERS_MAX: usize = 2048;

/// Adds what is wrong with the selectors to `problems`.
pub(super) fn selectors(selectors: &Selectors, problems: &mut Vec<Invalid>) {
    match selectors {
        Selectors::All => {}
        Selectors::Basic(list) => basic(list, problems),
        Selectors::Advanced(list) => advanced(list, problems),
    }
}

fn push(problems: &mut Vec<Invalid>, at: impl Into<String>, message: impl Into<String>) {
    let exception = Some("InvalidEventSelectorsException");
    problems.push(Invalid { at: at.into(), exception, message: message.into() });
}

fn basic(list: &[EventSelector], problems: &mut Vec<Invalid>) {
    let count = list.len();
    if !(1..=BASIC_SELECTORS_MAX).contains(&count) {
        let message = format!("{count} selectors; a trail has 1 to {BASIC_SELECTORS_MAX}");
        push(problems, "event_selectors", message);
    }
    let mut values = 0;
    for (index, selector) in list.iter().enumerate() {
        let at = format!("event_selectors[{index}]");
        for (index, source) in selector.exclude_management_event_sources.iter().enumerate() {
            if !HIGH_VOLUME_SOURCES.contains(&source.as_str()) {
                let at = format!("{at}.exclude_management_event_sources[{index}]");
                push(problems, at, format!("\"{source}\"; only {} can be left out", HIGH_VOLUME_SOURCES.join(" and ")));
            }
        }
        if !selector.include_management_events && selector.data_resources.is_empty() {
            let message = "must not be empty when include_management_events is false: the selector would take nothing";
            push(problems, format!("{at}.data_resources"), message);
        }
        for (index, resource) in selector.data_resources.iter().enumerate() {
            data_resource(resource, &format!("{at}.data_resources[{index}]"), problems);
            values += resource.values.iter().filter(|value| !is_all(&resource.kind, value)).count();
        }
    }
    if values > DATA_RESOURCE_VALUES_MAX {
        let message = format!(
            "{values} values of data resources over all selectors; at most {DATA_RESOURCE_VALUES_MAX}: name all of a type, \
             or use advanced selectors"
        );
        push(problems, "event_selectors", message);
    }
}

fn data_resource(resource: &DataResource, at: &str, problems: &mut Vec<Invalid>) {
    type Form = (&'static str, fn(&[&str]) -> bool);
    let (rule, is_one): Form = match resource.kind.as_str() {
        "AWS::S3::Object" => (
            "arn:aws:s3 for all, arn:aws:s3:::bucket/ or arn:aws:s3:::bucket/prefix",
            |arn| matches!(arn, [_, _, "s3", "", "", object] if is_object(object)),
        ),
        "AWS::Lambda::Function" => ("arn:aws:lambda for all, or a function's ARN", |arn| {
            matches!(arn, [_, _, "lambda", region, account, function]
                if !region.is_empty() && !account.is_empty() && function.strip_prefix("function:").is_some_and(is_plain))
        }),
        "AWS::DynamoDB::Table" => ("arn:aws:dynamodb for all, or a table's ARN", |arn| {
            matches!(arn, [_, _, "dynamodb", region, account, table]
                if !region.is_empty() && !account.is_empty() && table.strip_prefix("table/").is_some_and(is_plain))
        }),
        other => {
            let message = format!(
                "\"{other}\"; basic selectors know AWS::S3::Object, AWS::Lambda::Function and AWS::DynamoDB::Table: use \
                 advanced_event_selectors for other types"
            );
            return push(problems, format!("{at}.type"), message);
        }
    };
    for (index, value) in resource.values.iter().enumerate() {
        if !is_all(&resource.kind, value) && !arn(value).is_some_and(|arn| is_one(&arn)) {
            push(problems, format!("{at}.values[{index}]"), format!("\"{value}\" is not valid: {rule}"));
        }
    }
}

/// Nothing empty, and no wildcard, which CloudTrail refuses here.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains('*')
}

/// `bucket/` or `bucket/object`.
fn is_object(object: &str) -> bool {
    object.split_once('/').is_some_and(|(bucket, _)| is_plain(bucket))
}

/// The six parts of an ARN (General Reference, "ARN format"), of which the first is `arn` and none of partition, service
/// and resource is empty.
fn arn(text: &str) -> Option<[&str; 6]> {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next();
    let arn = [next()?, next()?, next()?, next()?, next()?, next()?];
    let whole = arn[0] == "arn" && [arn[1], arn[2], arn[5]].iter().all(|part| !part.is_empty());
    whole.then_some(arn)
}

fn advanced(list: &[AdvancedEventSelector], problems: &mut Vec<Invalid>) {
    if list.is_empty() {
        push(problems, "advanced_event_selectors", "no selector; a trail has at least 1");
    }
    let mut values = 0;
    for (index, selector) in list.iter().enumerate() {
        advanced_selector(selector, &format!("advanced_event_selectors[{index}]"), problems);
        values += selector.field_selectors.iter().flat_map(|it| it.operators()).map(|it| it.1.len()).sum::<usize>();
    }
    if values > ADVANCED_VALUES_MAX {
        let message = format!("{values} values over all conditions; at most {ADVANCED_VALUES_MAX}");
        push(problems, "advanced_event_selectors", message);
    }
}

fn advanced_selector(selector: &AdvancedEventSelector, at: &str, problems: &mut Vec<Invalid>) {
    let characters = selector.name.as_deref().map_or(0, |name| name.chars().count());
    if characters > NAME_CHARACTERS_MAX {
        push(problems, format!("{at}.name"), format!("{characters} characters; at most {NAME_CHARACTERS_MAX}"));
    }
    let category = category(selector, at, problems);
    for (index, field) in selector.field_selectors.iter().enumerate() {
        let at = format!("{at}.field_selectors[{index}]");
        lengths(field, &at, problems);
        if field.field == Field::Category.name() {
            continue;
        }
        let Some(known) = Field::from_name(&field.field) else {
            push(problems, format!("{at}.field"), format!("\"{}\" is no field that selectors can test", field.field));
            continue;
        };
        let Some(category) = &category else { continue };
        match allowed(category, known) {
            Some(allowed) => field_selector(field, known, &allowed, &at, problems),
            None => {
                let fields = Field::ALL.into_iter().filter(|field| allowed(category, *field).is_some());
                let fields: Vec<_> = fields.map(Field::name).collect();
                let message = format!(
                    "{} can't be tested with eventCategory {} in a trail: only {}",
                    field.field,
                    category.name(),
                    fields.join(", ")
                );
                push(problems, format!("{at}.field"), message);
            }
        }
    }
    let Some(category) = category else { return };
    for required in Field::ALL.into_iter().filter(|field| *field != Field::Category) {
        if allowed(&category, required).is_some_and(|allowed| allowed.required) {
            once(selector, required, at, problems);
        }
    }
}

/// A required field must stand there once. Gives its place.
fn once(selector: &AdvancedEventSelector, field: Field, at: &str, problems: &mut Vec<Invalid>) -> Option<usize> {
    let mut places = (0..).zip(&selector.field_selectors).filter(|(_, it)| it.field == field.name()).map(|it| it.0);
    let place = places.next();
    let name = field.name();
    if place.is_none() {
        push(problems, format!("{at}.field_selectors"), format!("{name} is missing; every such selector needs it"));
    }
    for again in places {
        let message = format!("{name} stands there twice; write a selector for each");
        push(problems, format!("{at}.field_selectors[{again}].field"), message);
    }
    place
}

/// The selector's category, if it has a valid one.
fn category(selector: &AdvancedEventSelector, at: &str, problems: &mut Vec<Invalid>) -> Option<Category> {
    let place = once(selector, Field::Category, at, problems)?;
    let field = &selector.field_selectors[place];
    let at = format!("{at}.field_selectors[{place}]");
    let before = problems.len();
    if let Some(allowed) = allowed(&Category::Management, Field::Category) {
        field_selector(field, Field::Category, &allowed, &at, problems);
    }
    if problems.len() > before {
        return None;
    }
    let name = field.equals.as_ref()?.first()?;
    let category = CATEGORIES.into_iter().find(|category| category.name() == name);
    if category.is_none() {
        let names = CATEGORIES.map(|category| category.name().to_owned()).join(", ");
        push(
            problems,
            format!("{at}.equals[0]"),
            format!("\"{name}\" is no category of a trail's selector: only {names}"),
        );
    }
    category
}

/// The limits that hold for every field selector.
fn lengths(field: &AdvancedFieldSelector, at: &str, problems: &mut Vec<Invalid>) {
    let mut operators = field.operators().peekable();
    if operators.peek().is_none() {
        push(problems, at, format!("{} without an operator such as equals", field.field));
    }
    for (operator, values) in operators {
        let at = format!("{at}.{}", operator.key());
        if values.is_empty() {
            push(problems, &at, "no value; a list has at least 1");
        }
        for (index, value) in values.iter().enumerate() {
            let characters = value.chars().count();
            if !(1..=VALUE_CHARACTERS_MAX).contains(&characters) {
                let message = format!("{characters} characters; a value has 1 to {VALUE_CHARACTERS_MAX}");
                push(problems, format!("{at}[{index}]"), message);
            }
        }
    }
}

/// What is allowed of this field alone.
fn field_selector(
    field: &AdvancedFieldSelector,
    known: Field,
    allowed: &Allowed,
    at: &str,
    problems: &mut Vec<Invalid>,
) {
    let name = known.name();
    for (operator, values) in field.operators() {
        let at = format!("{at}.{}", operator.key());
        if !allowed.operators.contains(&operator) {
            let names: Vec<_> = allowed.operators.iter().map(|it| it.name()).collect();
            push(problems, at, format!("{} is not possible for {name}: only {}", operator.name(), names.join(", ")));
            continue;
        }
        if allowed.single && values.len() > 1 {
            push(problems, &at, format!("{} values; {name} has exactly one: write a selector for each", values.len()));
        }
        for (index, value) in values.iter().enumerate() {
            if let Some(message) = value_fault(known, operator, value, allowed) {
                push(problems, format!("{at}[{index}]"), message);
            }
        }
    }
}

fn value_fault(field: Field, operator: Operator, value: &str, allowed: &Allowed) -> Option<String> {
    let name = field.name();
    if let Some(values) = allowed.values.filter(|values| !values.contains(&value)) {
        return Some(format!("\"{value}\" is not possible for {name}: only {}", values.join(", ")));
    }
    let exact = matches!(operator, Operator::Equals | Operator::NotEquals);
    match field {
        Field::ResourceType if !is_resource_type(value) => {
            Some(format!("\"{value}\" is no resource type, such as AWS::S3::Object"))
        }
        Field::ResourceArn if exact && !is_whole_arn(value) => Some(format!(
            "\"{value}\" is no whole ARN: {} compares all of it; use StartsWith for a bucket or another part",
            operator.name()
        )),
        _ => None,
    }
}

/// `AWS::service::kind`.
fn is_resource_type(text: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let parts: Vec<_> = text.split("::").collect();
    matches!(parts.as_slice(), ["AWS", service, kind] if word(service) && word(kind))
}

/// An S3 ARN names an object, or at least a bucket and `/`.
fn is_whole_arn(text: &str) -> bool {
    match arn(text) {
        Some([_, _, "s3", "", "", object]) => is_object(object),
        parts => parts.is_some(),
    }
}

/// Adds what is wrong with Insights' selectors to `problems`.
pub(super) fn insights(list: &[InsightSelector], problems: &mut Vec<Invalid>) {
    for (index, selector) in list.iter().enumerate() {
        if selector.event_categories.as_ref().is_some_and(Vec::is_empty) {
            problems.push(Invalid {
                at: format!("insight_selectors[{index}].event_categories"),
                exception: Some("InvalidInsightSelectorsException"),
                message: "no category: Management, Data or both; left out it means Management".to_owned(),
            });
        }
    }
}
