//! What CloudTrail refuses, with the place of each fault. Tests only.

use serde_json::json;

use crate::selector::{InsightSelector, Invalid, Scope, Selection, Selectors};

fn faults(selectors: &Selectors, scope: &Scope) -> Vec<String> {
    match Selection::compile(selectors, &[], scope) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(Invalid::to_string).collect(),
    }
}

fn of_basic(list: serde_json::Value) -> Vec<String> {
    faults(&Selectors::Basic(serde_json::from_value(list).unwrap()), &Scope::default())
}

fn of_advanced(list: serde_json::Value) -> Vec<String> {
    faults(&Selectors::Advanced(serde_json::from_value(list).unwrap()), &Scope::default())
}

/// Each of the faults begins with one of these, in their order.
fn assert_faults(faults: &[String], begin: &[&str]) {
    let fit = faults.len() == begin.len() && faults.iter().zip(begin).all(|(fault, begin)| fault.starts_with(begin));
    assert!(fit, "{faults:#?}\nare not {begin:#?}");
}

/// A data selector for S3 objects with these field selectors.
fn of_data(fields: serde_json::Value) -> Vec<String> {
    let mut all = vec![
        json!({"Field": "eventCategory", "Equals": ["Data"]}),
        json!({"Field": "resources.type", "Equals": ["AWS::S3::Object"]}),
    ];
    all.extend(fields.as_array().unwrap().iter().cloned());
    of_advanced(json!([{ "FieldSelectors": all }]))
}

#[test]
fn a_trail_has_one_to_five_basic_selectors() {
    assert_faults(&of_basic(json!([])), &["event_selectors: 0 selectors; a trail has 1 to 5"]);
    assert_eq!(of_basic(json!([{}, {}, {}, {}, {}])), [""; 0]);
    assert_faults(&of_basic(json!([{}, {}, {}, {}, {}, {}])), &["event_selectors: 6 selectors"]);
}

#[test]
fn basic_selectors_have_at_most_250_values_and_those_for_all_do_not_count() {
    let values = |count: usize| (0..count).map(|n| format!("arn:aws:s3:::b{n}/")).collect::<Vec<_>>();
    let resources = |count| json!([{"Type": "AWS::S3::Object", "Values": values(count)}]);
    let two = |a, b| json!([{"DataResources": resources(a)}, {"DataResources": resources(b)}]);
    assert_eq!(of_basic(two(125, 125)), [""; 0]);
    assert_faults(&of_basic(two(125, 126)), &["event_selectors: 251 values of data resources"]);
    let mut all = two(125, 125);
    all[0]["DataResources"][0]["Values"].as_array_mut().unwrap().push(json!("arn:aws:s3"));
    assert_eq!(of_basic(all), [""; 0]);
}

#[test]
fn a_basic_selector_takes_something_and_leaves_out_only_kms_and_rds() {
    assert_faults(
        &of_basic(
            json!([{"IncludeManagementEvents": false, "ExcludeManagementEventSources": ["kms.amazonaws.com", "s3.amazonaws.com"]}]),
        ),
        &[
            "event_selectors[0].exclude_management_event_sources[1]: \"s3.amazonaws.com\"",
            "event_selectors[0].data_resources: must not be empty when include_management_events is false",
        ],
    );
}

#[test]
fn basic_data_resources_are_of_three_types_with_valid_arns() {
    assert_faults(
        &of_basic(json!([{"DataResources": [{"Type": "AWS::SNS::Topic", "Values": []}]}])),
        &["event_selectors[0].data_resources[0].type: \"AWS::SNS::Topic\""],
    );
    for (kind, good, bad) in [
        (
            "AWS::S3::Object",
            vec!["arn:aws:s3", "arn:aws:s3:::", "arn:aws-cn:s3", "arn:aws:s3:::b/", "arn:aws-us-gov:s3:::b/prefix"],
            vec![
                "",
                "arn:aws:s3:::b",
                "arn:aws:s3:::*",
                "arn:aws:s3:::b-*/",
                "b/",
                "arn:aws:lambda",
                "arn::s3",
                "arn:aws:s3:::/x",
            ],
        ),
        (
            "AWS::Lambda::Function",
            vec!["arn:aws:lambda", "arn:aws:lambda:us-east-1:111122223333:function:f"],
            vec![
                "arn:aws:lambda:*",
                "arn:aws:lambda:::",
                "arn:aws:lambda:us-east-1:111122223333:layer:f",
                "arn:aws:s3",
            ],
        ),
        (
            "AWS::DynamoDB::Table",
            vec!["arn:aws:dynamodb", "arn:aws:dynamodb:us-east-1:111122223333:table/t"],
            vec![
                "arn:aws:dynamodb:us-east-1:111122223333:table/",
                "arn:aws:dynamodb:us-east-1:111122223333:table/*",
                "t",
            ],
        ),
    ] {
        let of = |value: &str| of_basic(json!([{"DataResources": [{"Type": kind, "Values": [value]}]}]));
        for value in good {
            assert_eq!(of(value), [""; 0], "{value}");
        }
        for value in bad {
            assert_faults(
                &of(value),
                &[&format!("event_selectors[0].data_resources[0].values[0]: \"{value}\" is not valid")],
            );
        }
    }
}

#[test]
fn advanced_selectors_need_a_category_that_a_trail_has() {
    assert_faults(&of_advanced(json!([])), &["advanced_event_selectors: no selector"]);
    assert_faults(
        &of_advanced(json!([{"Name": "empty"}])),
        &["advanced_event_selectors[0].field_selectors: eventCategory is missing"],
    );
    let category = |equals: serde_json::Value| {
        of_advanced(json!([{"FieldSelectors": [{"Field": "eventCategory", "Equals": equals}]}]))
    };
    let at = "advanced_event_selectors[0].field_selectors[0]";
    assert_eq!(category(json!(["Management"])), [""; 0]);
    for name in ["Insight", "ConfigurationItem", "Evidence", "ActivityAuditLog", "data"] {
        assert_faults(&category(json!([name])), &[&format!("{at}.equals[0]: \"{name}\" is no category")]);
    }
    assert_faults(
        &category(json!(["Management", "Data"])),
        &[&format!("{at}.equals: 2 values; eventCategory has exactly one")],
    );
    assert_faults(&category(json!([])), &[&format!("{at}.equals: no value")]);
    let twice = json!([{"FieldSelectors": [
        {"Field": "eventCategory", "Equals": ["Management"]}, {"Field": "eventCategory", "NotEquals": ["Data"]}]}]);
    assert_faults(
        &of_advanced(twice),
        &["advanced_event_selectors[0].field_selectors[1].field: eventCategory stands there twice"],
    );
    let other = json!([{"FieldSelectors": [{"Field": "eventCategory", "StartsWith": ["Data"]}]}]);
    assert_faults(
        &of_advanced(other),
        &[&format!("{at}.starts_with: StartsWith is not possible for eventCategory: only Equals")],
    );
}

#[test]
fn names_have_at_most_1000_characters_and_values_1_to_2048() {
    let named = |count| json!([{"Name": "é".repeat(count), "FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]}]);
    assert_eq!(of_advanced(named(1000)), [""; 0]);
    assert_faults(&of_advanced(named(1001)), &["advanced_event_selectors[0].name: 1001 characters"]);
    let valued = |count: usize| of_data(json!([{"Field": "eventName", "NotEndsWith": ["x", "é".repeat(count)]}]));
    let at = "advanced_event_selectors[0].field_selectors[2].not_ends_with";
    assert_eq!(valued(2048), [""; 0]);
    assert_faults(&valued(2049), &[&format!("{at}[1]: 2049 characters; a value has 1 to 2048")]);
    assert_faults(&valued(0), &[&format!("{at}[1]: 0 characters")]);
    assert_faults(
        &of_data(json!([{"Field": "eventName", "NotEndsWith": []}, {"Field": "eventName"}])),
        &[&format!("{at}: no value"), "advanced_event_selectors[0].field_selectors[3]: eventName without an operator"],
    );
}

#[test]
fn advanced_selectors_have_at_most_500_values() {
    let names = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    // Two more are the category and the resource type.
    let of = |a, b| of_data(json!([{"Field": "eventName", "Equals": names(a), "NotEquals": names(b)}]));
    assert_eq!(of(400, 98), [""; 0]);
    assert_faults(&of(400, 99), &["advanced_event_selectors: 501 values over all conditions; at most 500"]);
}

#[test]
fn each_category_has_its_fields_and_operators() {
    const OPERATORS: [&str; 6] = ["Equals", "StartsWith", "EndsWith", "NotEquals", "NotStartsWith", "NotEndsWith"];
    let any = OPERATORS.to_vec();
    let management =
        vec![("readOnly", "true", vec!["Equals"]), ("eventSource", "kms.amazonaws.com", vec!["NotEquals"])];
    let data = vec![
        ("readOnly", "false", vec!["Equals"]),
        ("eventName", "x", any.clone()),
        ("eventSource", "x", any.clone()),
        ("eventType", "x", any.clone()),
        ("resources.ARN", "arn:aws:s3:::b/k", any.clone()),
        ("userIdentity.arn", "x", any.clone()),
        ("sessionCredentialFromConsole", "true", vec!["Equals", "NotEquals"]),
    ];
    let network = vec![
        ("eventName", "x", any.clone()),
        ("vpcEndpointId", "x", any),
        ("errorCode", "VpceAccessDenied", vec!["Equals"]),
    ];
    let required = [
        ("Management", management, json!([])),
        ("Data", data, json!([{"Field": "resources.type", "Equals": ["AWS::S3::Object"]}])),
        ("NetworkActivity", network, json!([{"Field": "eventSource", "Equals": ["s3.amazonaws.com"]}])),
    ];
    let all = [
        "readOnly",
        "eventName",
        "eventSource",
        "eventType",
        "resources.ARN",
        "resources.type",
        "userIdentity.arn",
        "sessionCredentialFromConsole",
        "vpcEndpointId",
        "errorCode",
        "errorMessage",
        "awsRegion",
    ];
    for (category, allowed, required) in required {
        for field in all {
            if required.to_string().contains(&format!("\"{field}\"")) {
                continue;
            }
            for operator in OPERATORS {
                let (_, value, operators) =
                    allowed.iter().find(|it| it.0 == field).cloned().unwrap_or((field, "x", vec![]));
                let mut fields = required.as_array().unwrap().clone();
                fields.push(json!({"Field": "eventCategory", "Equals": [category]}));
                fields.push(json!({"Field": field, operator: [value]}));
                let faults = of_advanced(json!([{ "FieldSelectors": fields }]));
                assert_eq!(
                    faults.is_empty(),
                    operators.contains(&operator),
                    "{category} {field} {operator}: {faults:?}"
                );
            }
        }
    }
}

#[test]
fn fields_with_few_values_have_no_others() {
    let at = "advanced_event_selectors[0].field_selectors[2]";
    assert_faults(
        &of_data(json!([{"Field": "readOnly", "Equals": ["yes"]}])),
        &[&format!("{at}.equals[0]: \"yes\" is not possible")],
    );
    assert_faults(
        &of_data(json!([{"Field": "sessionCredentialFromConsole", "Equals": ["false"]}])),
        &[&format!("{at}.equals[0]: \"false\" is not possible")],
    );
    let fields = |extra: serde_json::Value| {
        of_advanced(json!([{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["NetworkActivity"]},
            {"Field": "eventSource", "Equals": ["s3.amazonaws.com"]}, extra]}]))
    };
    assert_faults(
        &fields(json!({"Field": "errorCode", "Equals": ["AccessDenied"]})),
        &[&format!("{at}.equals[0]: \"AccessDenied\"")],
    );
    let management = json!([{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]},
        {"Field": "eventSource", "NotEquals": ["kms.amazonaws.com", "sts.amazonaws.com"]}]}]);
    assert_faults(
        &of_advanced(management),
        &["advanced_event_selectors[0].field_selectors[1].not_equals[1]: \"sts.amazonaws.com\" is not possible"],
    );
}

#[test]
fn data_selectors_name_one_resource_type_and_network_selectors_one_source() {
    let selector = |category: &str, fields: serde_json::Value| {
        let mut all = vec![json!({"Field": "eventCategory", "Equals": [category]})];
        all.extend(fields.as_array().unwrap().iter().cloned());
        of_advanced(json!([{ "FieldSelectors": all }]))
    };
    let at = "advanced_event_selectors[0].field_selectors";
    assert_faults(&selector("Data", json!([])), &[&format!("{at}: resources.type is missing")]);
    assert_faults(&selector("NetworkActivity", json!([])), &[&format!("{at}: eventSource is missing")]);
    let two = json!([{"Field": "resources.type", "Equals": ["AWS::S3::Object", "AWS::SNS::Topic"]}]);
    assert_faults(&selector("Data", two), &[&format!("{at}[1].equals: 2 values; resources.type has exactly one")]);
    let again = json!([{"Field": "resources.type", "Equals": ["AWS::S3::Object"]}, {"Field": "resources.type", "Equals": ["AWS::SNS::Topic"]}]);
    assert_faults(&selector("Data", again), &[&format!("{at}[2].field: resources.type stands there twice")]);
    for kind in ["S3", "AWS::S3", "AWS::S3::*", "AWS::S3::Object::X", "aws::S3::Object"] {
        let fields = json!([{"Field": "resources.type", "Equals": [kind]}]);
        assert_faults(&selector("Data", fields), &[&format!("{at}[1].equals[0]: \"{kind}\" is no resource type")]);
    }
}

#[test]
fn whole_arns_are_needed_where_all_of_them_is_compared() {
    for (value, whole) in [
        ("arn:aws:s3:::b/k", true),
        ("arn:aws:s3:::b/", true),
        ("arn:aws:s3:::b", false),
        ("arn:aws:lambda:us-east-1:111122223333:function:f", true),
        ("arn:aws:lambda", false),
        ("arn:aws:ec2:us-west-2::snapshot/snap-1", true),
        ("b/k", false),
        ("arn::s3:::b/k", false),
    ] {
        for operator in ["Equals", "NotEquals"] {
            let faults = of_data(json!([{"Field": "resources.ARN", operator: [value]}]));
            assert_eq!(faults.is_empty(), whole, "{value}: {faults:?}");
        }
        assert_eq!(
            of_data(json!([{"Field": "resources.ARN", "StartsWith": [value], "NotEndsWith": [value]}])),
            [""; 0]
        );
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_cloudtrails_exception() {
    let selectors: Selectors = Selectors::Advanced(
        serde_json::from_value(json!([
            {"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}, {"Field": "eventName", "Equals": ["x"]}]},
            {"FieldSelectors": [{"Field": "bogus", "Equals": [""]}]},
        ]))
        .unwrap(),
    );
    let insights: Vec<InsightSelector> =
        serde_json::from_value(json!([{"InsightType": "ApiErrorRateInsight", "EventCategories": []}])).unwrap();
    let scope = Scope {
        accounts: vec!["111122223333".to_owned(), "*".to_owned()],
        regions: vec!["us east".to_owned()],
        home_region: None,
        include_global_service_events: false,
    };
    let faults = Selection::compile(&selectors, &insights, &scope).unwrap_err();
    let faults: Vec<_> = faults.iter().map(|fault| (fault.at.as_str(), fault.exception)).collect();
    let refused = Some("InvalidEventSelectorsException");
    assert_eq!(
        faults,
        [
            ("advanced_event_selectors[0].field_selectors[1].field", refused),
            ("advanced_event_selectors[1].field_selectors", refused),
            ("advanced_event_selectors[1].field_selectors[0].equals[0]", refused),
            ("advanced_event_selectors[1].field_selectors[0].field", refused),
            ("insight_selectors[0].event_categories", Some("InvalidInsightSelectorsException")),
            ("accounts[1]", None),
            ("regions[0]", None),
            ("include_global_service_events", Some("InvalidParameterCombinationException")),
        ]
    );
}

#[test]
fn a_single_region_trail_covers_its_region() {
    let scope = Scope {
        regions: vec!["eu-west-1".to_owned()],
        home_region: Some("us-east-1".to_owned()),
        include_global_service_events: false,
        ..Scope::default()
    };
    assert_faults(&faults(&Selectors::default(), &scope), &["regions: leaves out \"us-east-1\""]);
    let scope = Scope { regions: Vec::new(), ..scope };
    assert_eq!(faults(&Selectors::default(), &scope), [""; 0]);
}
