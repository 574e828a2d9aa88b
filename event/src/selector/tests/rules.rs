//! What each rule takes and passes over, and what is said about it. Tests only.

use serde_json::{Value, json};

use super::with_header;
use crate::selector::{
    AdvancedEventSelector, DocumentError, EventSelector, InsightSelector, ReadWriteType, Scope, Selection, Selectors,
};

const ACCOUNT: &str = "111122223333";

fn keeps(selection: &Selection, record: &Value) -> bool {
    with_header(record, |header| selection.keeps(header, ACCOUNT, "us-east-1"))
}

fn says(selection: &Selection, record: &Value) -> String {
    with_header(record, |header| selection.explain(header, ACCOUNT, "us-east-1")).to_string()
}

fn compile(selectors: &Selectors) -> Selection {
    Selection::compile(selectors, &[], &Scope::default()).unwrap()
}

fn basic(list: Value) -> Selection {
    compile(&Selectors::Basic(serde_json::from_value(list).unwrap()))
}

/// A data selector for S3 objects with one more field selector.
fn data(field: Value) -> Selection {
    compile(&Selectors::Advanced(
        serde_json::from_value(json!([{"Name": "S3", "FieldSelectors": [
            {"Field": "eventCategory", "Equals": ["Data"]},
            {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
            field,
        ]}]))
        .unwrap(),
    ))
}

fn management(source: &str, read_only: bool) -> Value {
    json!({"eventCategory": "Management", "eventSource": source, "readOnly": read_only})
}

fn get_object(arn: &str) -> Value {
    json!({"eventCategory": "Data", "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "readOnly": true,
        "resources": [{"type": "AWS::S3::Object", "ARN": arn}, {"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::b"}]})
}

#[test]
fn a_trail_without_selectors_takes_all_management_events_and_nothing_else() {
    let selection = compile(&Selectors::default());
    assert!(keeps(&selection, &management("ec2.amazonaws.com", true)) && keeps(&selection, &json!({})));
    for category in ["Data", "NetworkActivity", "Insight", "Aggregated", "Evidence"] {
        assert!(!keeps(&selection, &json!({"eventCategory": category})), "{category}");
    }
    let said = says(&selection, &json!({"eventCategory": "NetworkActivity"}));
    assert_eq!(said, "event_selectors: eventCategory Equals Management (has NetworkActivity)");
}

#[test]
fn all_takes_every_record_of_every_category() {
    let selection = compile(&Selectors::All);
    for category in ["Management", "Data", "NetworkActivity", "Insight", "Aggregated", "Evidence"] {
        assert!(keeps(&selection, &json!({"eventCategory": category})), "{category}");
    }
    assert_eq!(says(&selection, &json!({})), "event_selectors");
}

#[test]
fn basic_selectors_tell_reads_from_writes() {
    for (kind, read, write, neither) in
        [("All", true, true, true), ("ReadOnly", true, false, false), ("WriteOnly", false, true, false)]
    {
        let selection = basic(json!([{"ReadWriteType": kind}]));
        assert_eq!(keeps(&selection, &management("x", true)), read, "{kind}");
        assert_eq!(keeps(&selection, &management("x", false)), write, "{kind}");
        assert_eq!(keeps(&selection, &json!({"eventCategory": "Management"})), neither, "{kind}");
    }
}

#[test]
fn excluded_sources_are_left_out_of_management_events_only() {
    let selection = basic(json!([{"ExcludeManagementEventSources": ["kms.amazonaws.com"],
        "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}]}]));
    assert!(!keeps(&selection, &management("kms.amazonaws.com", true)));
    assert!(keeps(&selection, &management("rdsdata.amazonaws.com", true)));
    let mut strange = get_object("arn:aws:s3:::b/k");
    strange["eventSource"] = json!("kms.amazonaws.com");
    assert!(keeps(&selection, &strange));
    let said = says(&selection, &management("kms.amazonaws.com", true));
    assert_eq!(said, "event_selectors[0]: eventSource NotEquals kms.amazonaws.com (has kms.amazonaws.com)");
}

#[test]
fn basic_values_are_beginnings_for_objects_and_whole_for_functions_and_tables() {
    let lambda = "arn:aws:lambda:us-east-1:111122223333:function:f";
    let selection = basic(json!([{"IncludeManagementEvents": false, "DataResources": [
        {"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::b/p"]},
        {"Type": "AWS::Lambda::Function", "Values": [lambda]}]}]));
    assert!(keeps(&selection, &get_object("arn:aws:s3:::b/prefix/x")));
    assert!(!keeps(&selection, &get_object("arn:aws:s3:::b/x")));
    let invoke =
        |arn: &str| json!({"eventCategory": "Data", "resources": [{"type": "AWS::Lambda::Function", "ARN": arn}]});
    assert!(keeps(&selection, &invoke(lambda)) && !keeps(&selection, &invoke(&format!("{lambda}2"))));
    assert!(!keeps(&selection, &management("x", true)));
    let said = says(&selection, &get_object("arn:aws:s3:::b/prefix/x"));
    assert_eq!(
        said,
        "event_selectors[0].data_resources[0]: resources.type Equals AWS::S3::Object, resources.ARN StartsWith arn:aws:s3:::b/p"
    );
}

#[test]
fn all_of_a_type_is_taken_by_its_service_and_nothing_by_no_value() {
    for value in ["arn:aws:s3", "arn:aws:s3:::", "arn:aws-cn:s3"] {
        let selection = basic(json!([{"DataResources": [{"Type": "AWS::S3::Object", "Values": [value]}]}]));
        assert!(keeps(&selection, &get_object("arn:aws:s3:::any/k")), "{value}");
        let no_arn = json!({"eventCategory": "Data", "resources": [{"type": "AWS::S3::Object"}]});
        assert!(keeps(&selection, &no_arn), "{value}");
        assert!(!keeps(&selection, &json!({"eventCategory": "Data", "resources": null})), "{value}");
    }
    let none = basic(json!([{"DataResources": [{"Type": "AWS::S3::Object", "Values": []}]}]));
    assert!(!keeps(&none, &get_object("arn:aws:s3:::any/k")));
}

#[test]
fn every_operator_compares_letter_by_letter() {
    for (operator, value, kept) in [
        ("Equals", "GetObject", true),
        ("Equals", "getobject", false),
        ("Equals", "Get*", false),
        ("StartsWith", "Get", true),
        ("StartsWith", "Object", false),
        ("EndsWith", "Object", true),
        ("EndsWith", "Get", false),
        ("NotEquals", "GetObject", false),
        ("NotEquals", "GetObjects", true),
        ("NotStartsWith", "Get", false),
        ("NotStartsWith", "get", true),
        ("NotEndsWith", "ject", false),
        ("NotEndsWith", "Put", true),
    ] {
        let selection = data(json!({"Field": "eventName", operator: [value, "other"]}));
        assert_eq!(keeps(&selection, &get_object("arn:aws:s3:::b/k")), kept, "{operator} {value}");
    }
}

#[test]
fn within_a_field_any_value_selects_and_any_not_value_rejects() {
    let selection = data(json!({"Field": "resources.ARN", "StartsWith": ["arn:aws:s3:::a/", "arn:aws:s3:::b/"],
        "Equals": ["arn:aws:s3:::c/k"], "NotEndsWith": [".tmp"]}));
    for (arn, kept) in [
        ("arn:aws:s3:::a/k", true),
        ("arn:aws:s3:::b/k", true),
        ("arn:aws:s3:::c/k", true),
        ("arn:aws:s3:::c/k2", false),
        ("arn:aws:s3:::b/k.tmp", false),
    ] {
        assert_eq!(keeps(&selection, &get_object(arn)), kept, "{arn}");
    }
    let said = says(&selection, &get_object("arn:aws:s3:::b/k.tmp"));
    assert_eq!(said, "advanced_event_selectors[0] \"S3\": resources.ARN NotEndsWith .tmp (has arn:aws:s3:::b/k.tmp)");
    let said = says(&selection, &get_object("arn:aws:s3:::d/k"));
    let wanted = "advanced_event_selectors[0] \"S3\": resources.ARN Equals arn:aws:s3:::c/k, resources.ARN StartsWith \
                  arn:aws:s3:::a/, arn:aws:s3:::b/ (has arn:aws:s3:::d/k)";
    assert_eq!(said, wanted);
}

#[test]
fn a_field_that_is_not_there_matches_only_operators_that_begin_with_not() {
    let absent = json!({"eventCategory": "Data", "resources": [{"type": "AWS::S3::Object"}]});
    for field in ["eventName", "resources.ARN", "userIdentity.arn"] {
        assert!(keeps(&data(json!({"Field": field, "NotStartsWith": ["x"]})), &absent), "{field}");
        assert!(!keeps(&data(json!({"Field": field, "StartsWith": ["x"]})), &absent), "{field}");
    }
    let console = |operator: &str| data(json!({"Field": "sessionCredentialFromConsole", operator: ["true"]}));
    assert!(keeps(&console("NotEquals"), &absent) && !keeps(&console("Equals"), &absent));
}

#[test]
fn arns_are_those_of_the_selectors_type_and_any_of_several_may_match() {
    // The bucket's ARN doesn't begin so; it is of another type and says nothing.
    let selection = data(json!({"Field": "resources.ARN", "NotStartsWith": ["arn:aws:s3:::b/"]}));
    assert!(!keeps(&selection, &get_object("arn:aws:s3:::b/k")));
    let copy = json!({"eventCategory": "Data", "resources": [{"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::a/k"},
        {"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/k"}]});
    assert!(keeps(&data(json!({"Field": "resources.ARN", "Equals": ["arn:aws:s3:::b/k"]})), &copy));
    assert!(!keeps(&selection, &copy));
    let list =
        json!({"eventCategory": "Data", "resources": [{"type": "AWS::S3::Object", "ARNPrefix": "arn:aws:s3:::b/p"}]});
    assert!(keeps(&data(json!({"Field": "resources.ARN", "StartsWith": ["arn:aws:s3:::b/"]})), &list));
}

#[test]
fn network_activity_is_taken_by_advanced_selectors_alone() {
    let denied = json!({"eventCategory": "NetworkActivity", "eventSource": "kms.amazonaws.com", "eventName": "Encrypt",
        "errorCode": "VpceAccessDenied", "vpcEndpointId": "vpce-1"});
    let selection = |value: &str| {
        compile(&Selectors::Advanced(
            serde_json::from_value(json!([{"FieldSelectors": [
                {"Field": "eventCategory", "Equals": ["NetworkActivity"]},
                {"Field": "eventSource", "Equals": ["kms.amazonaws.com"]},
                {"Field": "errorCode", "Equals": ["VpceAccessDenied"]},
                {"Field": "vpcEndpointId", "Equals": [value]}]}]))
            .unwrap(),
        ))
    };
    assert!(keeps(&selection("vpce-1"), &denied) && !keeps(&selection("vpce-2"), &denied));
    assert!(!keeps(&basic(json!([{}])), &denied));
}

#[test]
fn insights_are_taken_by_type_and_category_and_not_by_default() {
    let insight = |kind: &str, about: Value| json!({"eventCategory": "Insight", "insightDetails": {"insightType": kind, "sourceEventCategory": about}});
    let of = |list: Value| {
        let list: Vec<InsightSelector> = serde_json::from_value(list).unwrap();
        Selection::compile(&Selectors::default(), &list, &Scope::default()).unwrap()
    };
    let call_rate = insight("ApiCallRateInsight", Value::Null);
    let none = of(json!([]));
    assert!(!keeps(&none, &call_rate));
    assert!(says(&none, &call_rate).starts_with("insight_selectors: "));
    let selection = of(json!([{"InsightType": "ApiCallRateInsight"}]));
    assert!(keeps(&selection, &call_rate) && keeps(&selection, &insight("ApiCallRateInsight", json!("Management"))));
    assert!(!keeps(&selection, &insight("ApiErrorRateInsight", Value::Null)));
    let of_data = insight("ApiCallRateInsight", json!("Data"));
    assert!(!keeps(&selection, &of_data));
    assert!(says(&selection, &of_data).contains("sourceEventCategory Equals Management (has Data)"));
    assert!(keeps(
        &of(json!([{"InsightType": "ApiCallRateInsight", "EventCategories": ["Management", "Data"]}])),
        &of_data
    ));
}

#[test]
fn an_aggregated_event_is_taken_unless_what_it_carries_is_left_out() {
    let aggregated = |source: &str, dimension: &str, name: &str| {
        json!({"eventCategory": "Aggregated", "eventSource": source, "eventType": "AwsAggregatedEvent", "summary":
            {"primaryDimension": {"dimension": dimension, "statistics": [{"name": name, "value": 12}]}}})
    };
    let reads = aggregated("s3.amazonaws.com", "eventName", "GetObject");
    assert!(!keeps(&compile(&Selectors::default()), &reads));
    let objects = data(json!({"Field": "eventName", "StartsWith": ["Get"]}));
    assert!(keeps(&objects, &reads));
    assert!(!keeps(&objects, &aggregated("s3.amazonaws.com", "eventName", "PutObject")));
    assert!(!keeps(&objects, &aggregated("lambda.amazonaws.com", "eventName", "GetFunction")));
    // Names aren't carried by a sum over resources, and types not by most sources.
    assert!(keeps(&objects, &aggregated("s3.amazonaws.com", "resourceARN", "arn:aws:s3:::b/k")));
    assert!(keeps(&objects, &aggregated("sns.amazonaws.com", "resourceARN", "x")));
    let bucket = basic(
        json!([{"ReadWriteType": "WriteOnly", "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::b/"]}]}]),
    );
    assert!(keeps(&bucket, &aggregated("s3.amazonaws.com", "resourceARN", "arn:aws:s3:::b/k")));
    assert!(!keeps(&bucket, &aggregated("s3.amazonaws.com", "resourceARN", "arn:aws:s3:::c/k")));
    assert!(keeps(&bucket, &reads));
}

#[test]
fn accounts_and_regions_are_those_of_the_folder() {
    let scope = Scope {
        accounts: vec!["444455556666".to_owned(), ACCOUNT.to_owned()],
        regions: vec!["us-west-2".to_owned(), "eu-west-1".to_owned()],
        ..Scope::default()
    };
    let selection = Selection::compile(&Selectors::All, &[], &scope).unwrap();
    let record = json!({"awsRegion": "us-west-2", "recipientAccountId": "444455556666"});
    with_header(&record, |header| {
        assert!(selection.keeps(header, ACCOUNT, "eu-west-1") && selection.keeps(header, "444455556666", "us-west-2"));
        assert!(
            !selection.keeps(header, "012345678901", "us-west-2") && !selection.keeps(header, ACCOUNT, "us-east-1")
        );
        let said = selection.explain(header, "012345678901", "us-west-2").to_string();
        assert_eq!(said, "accounts: account Equals 111122223333, 444455556666 (has 012345678901)");
        let said = selection.explain(header, ACCOUNT, "us-east-1").to_string();
        assert_eq!(said, "regions: region Equals eu-west-1, us-west-2 (has us-east-1)");
    });
}

#[test]
fn a_single_region_trail_takes_its_region_and_global_services_on_request() {
    let selection = |home: &str, include| {
        let scope =
            Scope { home_region: Some(home.to_owned()), include_global_service_events: include, ..Scope::default() };
        Selection::compile(&Selectors::default(), &[], &scope).unwrap()
    };
    let sts = |host: Value| {
        json!({"eventSource": "sts.amazonaws.com", "awsRegion": "us-east-1",
        "tlsDetails": {"clientProvidedHostHeader": host}})
    };
    for (record, folder, global) in [
        (json!({"eventSource": "iam.amazonaws.com", "awsRegion": "us-east-1"}), "us-east-1", true),
        (json!({"eventSource": "cloudfront.amazonaws.com", "awsRegion": "us-east-1"}), "us-east-1", true),
        (json!({"eventSource": "ec2.amazonaws.com", "awsRegion": "us-east-1"}), "us-east-1", false),
        (sts(json!("sts.amazonaws.com")), "us-east-1", true),
        (sts(json!("sts.us-east-1.amazonaws.com")), "us-east-1", false),
        (sts(Value::Null), "us-east-1", false),
        // As CloudTrail delivered global services' events before 22 November 2021.
        (sts(Value::Null), "us-west-1", true),
        (json!({"eventSource": "signin.amazonaws.com", "awsRegion": "us-east-1"}), "us-west-1", true),
        (json!({"eventSource": "iam.amazonaws.com", "eventCategory": "Data"}), "us-east-1", false),
    ] {
        with_header(&record, |header| {
            let default = record["eventCategory"].is_null();
            assert_eq!(selection(folder, true).keeps(header, ACCOUNT, folder), default, "{record}");
            assert_eq!(selection(folder, false).keeps(header, ACCOUNT, folder), default && !global, "{record}");
            assert!(!selection("eu-west-1", true).keeps(header, ACCOUNT, folder), "{record}");
            let by = &selection(folder, false).explain(header, ACCOUNT, folder).clauses[0].at;
            assert_eq!(by == "include_global_service_events", global, "{record}");
        });
    }
}

#[test]
fn what_the_cli_prints_is_read_unchanged() {
    let printed = r#"{"TrailARN": "arn:aws:cloudtrail:us-east-1:111122223333:trail/t", "EventSelectors": [{"ReadWriteType": "WriteOnly",
        "IncludeManagementEvents": true, "DataResources": [], "ExcludeManagementEventSources": []}]}"#;
    let writes = EventSelector { read_write_type: ReadWriteType::WriteOnly, ..EventSelector::default() };
    assert_eq!(Selectors::from_json(printed).unwrap(), Selectors::Basic(vec![writes]));
    let printed = r#"{"TrailARN": "t", "EventSelectors": null, "AdvancedEventSelectors": [{"Name": "n", "FieldSelectors":
        [{"Field": "eventCategory", "Equals": ["Management"], "StartsWith": null}]}]}"#;
    assert!(matches!(Selectors::from_json(printed).unwrap(), Selectors::Advanced(list) if list.len() == 1));
    for (document, wanted) in [
        (r#"{"TrailARN": "t"}"#, "neither"),
        (r#"{"EventSelectors": [], "AdvancedEventSelectors": null}"#, "neither"),
        (r#"{"EventSelectors": [{}], "AdvancedEventSelectors": [{}]}"#, "both"),
        (r#"{"EventSelectors": [{"ReadWriteTypo": "All"}]}"#, "ReadWriteTypo"),
        (r#"{"EventSelectors": [{"ReadWriteType": "read-only"}]}"#, "read-only"),
        (r#"{"Selectors": []}"#, "Selectors"),
        ("[", "EOF"),
    ] {
        let error = Selectors::from_json(document).unwrap_err();
        assert!(error.to_string().contains(wanted), "{document}: {error}");
    }
    assert!(matches!(Selectors::from_json("{}"), Err(DocumentError::Neither)));
    let printed = r#"{"TrailARN": "t", "InsightSelectors": [{"InsightType": "ApiCallRateInsight", "EventCategories": ["Data"]}]}"#;
    assert_eq!(InsightSelector::list_from_json(printed).unwrap().len(), 1);
    assert!(InsightSelector::list_from_json(r#"{"InsightSelectors": [{"InsightType": "Other"}]}"#).is_err());
}

#[test]
fn keys_may_be_in_snake_case_and_unknown_ones_are_errors() {
    let snake = json!({"read_write_type": "ReadOnly", "include_management_events": false, "exclude_management_event_sources": [],
        "data_resources": [{"type": "AWS::S3::Object", "values": ["arn:aws:s3"]}]});
    let printed = json!({"ReadWriteType": "ReadOnly", "IncludeManagementEvents": false, "ExcludeManagementEventSources": [],
        "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}]});
    let read = |json: &Value| serde_json::from_value::<EventSelector>(json.clone()).unwrap();
    assert_eq!(read(&snake), read(&printed));
    assert_eq!(serde_json::to_value(read(&snake)).unwrap(), printed);

    let snake = json!({"name": "n", "field_selectors": [{"field": "eventName", "equals": ["a"], "starts_with": ["b"], "ends_with": ["c"],
        "not_equals": ["d"], "not_starts_with": ["e"], "not_ends_with": ["f"]}]});
    let printed = json!({"Name": "n", "FieldSelectors": [{"Field": "eventName", "Equals": ["a"], "StartsWith": ["b"], "EndsWith": ["c"],
        "NotEquals": ["d"], "NotStartsWith": ["e"], "NotEndsWith": ["f"]}]});
    let read = |json: &Value| serde_json::from_value::<AdvancedEventSelector>(json.clone());
    assert_eq!(read(&snake).unwrap(), read(&printed).unwrap());
    assert_eq!(serde_json::to_value(read(&snake).unwrap()).unwrap(), printed);
    for wrong in [
        json!({"names": "n"}),
        json!({"field_selectors": [{"field": "x", "like": ["a"]}]}),
        json!({"field_selectors": [{}]}),
    ] {
        assert!(read(&wrong).is_err(), "{wrong}");
    }
    let insight = json!({"insight_type": "ApiErrorRateInsight", "event_categories": ["Data"]});
    let insight: InsightSelector = serde_json::from_value(insight).unwrap();
    assert_eq!(
        serde_json::to_value(insight).unwrap(),
        json!({"InsightType": "ApiErrorRateInsight", "EventCategories": ["Data"]})
    );
}
