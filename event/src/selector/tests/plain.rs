//! The rules read again, as plainly as possible, on serde_json's view of a record: what the compiled selection must agree
//! with. Tests only.

use serde_json::Value;

use crate::selector::{
    AdvancedEventSelector, AdvancedFieldSelector, EventSelector, InsightCategory, InsightSelector, ReadWriteType,
    Scope, Selectors,
};

pub(super) fn keeps(
    selectors: &Selectors,
    insights: &[InsightSelector],
    scope: &Scope,
    record: &Value,
    account: &str,
    region: &str,
) -> bool {
    if !scope.accounts.is_empty() && !scope.accounts.iter().any(|one| one == account) {
        return false;
    }
    if !scope.regions.is_empty() && !scope.regions.iter().any(|one| one == region) {
        return false;
    }
    if let Some(home) = &scope.home_region
        && home != region
    {
        return false;
    }
    if !scope.include_global_service_events && is_global(record, region) {
        return false;
    }
    match selectors {
        Selectors::All => true,
        _ if category(record) == "Insight" => insights.iter().any(|selector| insight(selector, record)),
        Selectors::Basic(list) => list.iter().any(|selector| basic(selector, record)),
        Selectors::Advanced(list) => list.iter().any(|selector| advanced(selector, record)),
    }
}

fn category(record: &Value) -> &str {
    match record["eventCategory"].as_str() {
        Some(category) if !category.is_empty() => category,
        _ if !record["insightDetails"].is_null() => "Insight",
        _ if boolean(&record["managementEvent"]) == Some(false) => "Data",
        _ => "Management",
    }
}

fn boolean(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.parse().ok())
}

fn is_global(record: &Value, region: &str) -> bool {
    let source = record["eventSource"].as_str().unwrap_or_default();
    category(record) == "Management"
        && (source == "iam.amazonaws.com"
            || source == "cloudfront.amazonaws.com"
            || (source == "sts.amazonaws.com"
                && record["tlsDetails"]["clientProvidedHostHeader"] == "sts.amazonaws.com")
            || (region != "us-east-1" && record["awsRegion"] == "us-east-1"))
}

fn insight(selector: &InsightSelector, record: &Value) -> bool {
    let details = &record["insightDetails"];
    let about = details["sourceEventCategory"].as_str().unwrap_or("Management");
    let categories = selector.event_categories.clone().unwrap_or(vec![InsightCategory::Management]);
    details["insightType"] == selector.insight_type.name() && categories.iter().any(|one| one.name() == about)
}

/// The ARNs of the resources of a type.
fn arns(record: &Value, kind: &str) -> Vec<String> {
    let mut arns = Vec::new();
    for resource in record["resources"].as_array().cloned().unwrap_or_default() {
        if resource["type"] == kind {
            let arn = resource["ARN"].as_str().or(resource["arn"].as_str()).or(resource["ARNPrefix"].as_str());
            arns.extend(arn.map(str::to_owned));
        }
    }
    arns
}

fn types(record: &Value) -> Vec<String> {
    let resources = record["resources"].as_array().cloned().unwrap_or_default();
    resources.iter().filter_map(|it| it["type"].as_str()).map(str::to_owned).collect()
}

/// What an aggregated record has, where that is known.
fn aggregated(record: &Value, field: &str) -> Option<Vec<String>> {
    let counted = &record["summary"]["primaryDimension"];
    let of = |dimension: &str| {
        (counted["dimension"] == dimension)
            .then(|| Some(vec![counted["statistics"][0]["name"].as_str()?.to_owned()]))?
    };
    match field {
        "eventSource" => Some(vec![record["eventSource"].as_str()?.to_owned()]),
        "eventName" => of("eventName"),
        "resources.ARN" => of("resourceARN"),
        "userIdentity.arn" => of("userIdentity").filter(|values| values[0].starts_with("arn:")),
        "resources.type" => match record["eventSource"].as_str()? {
            "s3.amazonaws.com" => Some(vec!["AWS::S3::Object".to_owned(), "AWS::S3::AccessPoint".to_owned()]),
            "lambda.amazonaws.com" => Some(vec!["AWS::Lambda::Function".to_owned()]),
            "dynamodb.amazonaws.com" => {
                Some(vec!["AWS::DynamoDB::Table".to_owned(), "AWS::DynamoDB::Stream".to_owned()])
            }
            _ => None,
        },
        _ => None,
    }
}

fn basic(selector: &EventSelector, record: &Value) -> bool {
    let read_only = boolean(&record["readOnly"]);
    let read_write = match selector.read_write_type {
        ReadWriteType::All => true,
        ReadWriteType::ReadOnly => read_only == Some(true),
        ReadWriteType::WriteOnly => read_only == Some(false),
    };
    let source = record["eventSource"].as_str().unwrap_or_default();
    match category(record) {
        "Management" => {
            selector.include_management_events
                && read_write
                && !selector.exclude_management_event_sources.iter().any(|one| one == source)
        }
        "Data" => {
            read_write
                && selector.data_resources.iter().any(|resource| {
                    types(record).contains(&resource.kind) && data_values(resource, &arns(record, &resource.kind))
                })
        }
        "Aggregated" => selector.data_resources.iter().any(|resource| {
            !resource.values.is_empty()
                && aggregated(record, "resources.type").is_none_or(|types| types.contains(&resource.kind))
                && aggregated(record, "resources.ARN").is_none_or(|arns| data_values(resource, &arns))
        }),
        _ => false,
    }
}

fn data_values(resource: &crate::selector::DataResource, arns: &[String]) -> bool {
    resource.values.iter().any(|value| {
        if ["arn:aws:s3", "arn:aws:s3:::", "arn:aws:lambda", "arn:aws:dynamodb"].contains(&value.as_str()) {
            return true;
        }
        arns.iter().any(|arn| if resource.kind == "AWS::S3::Object" { arn.starts_with(value) } else { arn == value })
    })
}

fn advanced(selector: &AdvancedEventSelector, record: &Value) -> bool {
    let is_aggregated = category(record) == "Aggregated";
    let kind = selector.field_selectors.iter().find(|field| field.field == "resources.type");
    let kind = kind.map(|field| field.equals.clone().unwrap()[0].clone()).unwrap_or_default();
    selector.field_selectors.iter().all(|field| match field.field.as_str() {
        "eventCategory" => {
            let category = if is_aggregated { "Data" } else { category(record) };
            field_selector(field, &[category.to_owned()])
        }
        name if is_aggregated => aggregated(record, name).is_none_or(|values| field_selector(field, &values)),
        "resources.type" => field_selector(field, &types(record)),
        "resources.ARN" => field_selector(field, &arns(record, &kind)),
        name @ ("readOnly" | "sessionCredentialFromConsole") => {
            let value = boolean(&record[name]).map(|value| value.to_string());
            field_selector(field, value.as_slice())
        }
        name => {
            let value = record.pointer(&format!("/{}", name.replace('.', "/"))).and_then(Value::as_str);
            field_selector(field, value.map(str::to_owned).as_slice())
        }
    })
}

fn field_selector(selector: &AdvancedFieldSelector, values: &[String]) -> bool {
    let any = |list: &Option<Vec<String>>, matches: fn(&str, &str) -> bool| {
        list.iter().flatten().any(|wanted| values.iter().any(|value| matches(value, wanted)))
    };
    let equals = |a: &str, b: &str| a == b;
    let starts = |a: &str, b: &str| a.starts_with(b);
    let ends = |a: &str, b: &str| a.ends_with(b);
    let selects = selector.equals.is_some() || selector.starts_with.is_some() || selector.ends_with.is_some();
    let selected =
        any(&selector.equals, equals) || any(&selector.starts_with, starts) || any(&selector.ends_with, ends);
    let rejected = any(&selector.not_equals, equals)
        || any(&selector.not_starts_with, starts)
        || any(&selector.not_ends_with, ends);
    (!selects || selected) && !rejected
}
