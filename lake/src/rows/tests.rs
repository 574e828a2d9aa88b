//! Any record's text comes back out of its row, and what has a column stands in it.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use proptest::prelude::*;

use super::*;
use crate::kind::Kind;

const RECORD: &str = r#"{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROA:deploy","arn":"arn:aws:sts::111122223333:assumed-role/Deployer/deploy","accountId":"111122223333","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","userName":"Deployer"},"attributes":{"creationDate":"2026-03-01T09:58:00Z","mfaAuthenticated":"false"}}},"eventTime":"2026-03-01T10:01:07Z","eventSource":"s3.amazonaws.com","eventName":"PutObject","awsRegion":"us-east-2","sourceIPAddress":"198.51.100.7","userAgent":"[aws-cli/2.30.0 \"x\"]","errorCode":"AccessDenied","errorMessage":"a \u003c b","requestParameters":{"bucketName":"b","n":1.0},"responseElements":null,"requestID":"5B1F","eventID":"0d9e6c5a-0000-4000-8000-000000000002","readOnly":false,"resources":[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::b/k"},{"accountId":"111122223333","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::b"}],"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"111122223333","eventCategory":"Data","tlsDetails":{"tlsVersion":"TLSv1.3"},"brandNew":{"x":[1,"2"]}}"#;

fn rows(kind: Kind, records: &[&str]) -> RecordBatch {
    let mut rows = Rows::new(kind);
    for record in records {
        rows.push(record.as_bytes(), "AWSLogs/o/file.json.gz", 20_000);
    }
    assert_eq!(rows.len(), records.len());
    rows.finish().unwrap()
}

fn texts(kind: Kind, batch: &RecordBatch) -> Vec<Option<String>> {
    let own_at = batch.num_columns() - 3;
    let texts = event_json(kind, &batch.columns()[..own_at], batch.column(own_at + 1)).unwrap();
    texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

fn text<'a>(batch: &'a RecordBatch, path: &[&str]) -> Option<&'a str> {
    let mut array = batch.column_by_name(path[0]).unwrap();
    for name in &path[1..] {
        array = array.as_struct().column_by_name(name).unwrap();
    }
    array.is_valid(0).then(|| array.as_string::<i32>().value(0))
}

#[test]
fn what_has_a_column_stands_in_it() {
    let batch = rows(Kind::Events, &[RECORD]);
    let is = |path: &[&str], value: Option<&str>| assert_eq!(text(&batch, path), value, "{path:?}");
    is(&["eventsource"], Some("s3.amazonaws.com"));
    is(&["useridentity", "accesskeyid"], Some("ASIAEXAMPLE"));
    is(&["useridentity", "sessioncontext", "sessionissuer", "username"], Some("Deployer"));
    is(&["useridentity", "sessioncontext", "attributes", "mfaauthenticated"], Some("false"));
    is(&["useridentity", "onbehalfof", "userid"], None);
    is(&["useragent"], Some("[aws-cli/2.30.0 \"x\"]"));
    is(&["errormessage"], Some("a < b"));
    is(&["requestparameters"], Some(r#"{"bucketName":"b","n":1.0}"#));
    is(&["responseelements"], None);
    is(&["tlsdetails", "tlsversion"], Some("TLSv1.3"));
    is(&["sourceobject"], Some("AWSLogs/o/file.json.gz"));
    let time = batch.column_by_name("eventtime").unwrap().as_primitive::<TimestampMicrosecondType>().value(0);
    assert_eq!(time, 1_772_359_267_000_000);
    assert_eq!(batch.column_by_name("eventday").unwrap().as_primitive::<Date32Type>().value(0), 20_513);
    assert!(!batch.column_by_name("readonly").unwrap().as_boolean().value(0));
    let resources = batch.column_by_name("resources").unwrap().as_list::<i32>().value(0);
    let arns = resources.as_struct().column_by_name("arn").unwrap();
    assert_eq!(arns.as_string::<i32>().value(1), "arn:aws:s3:::b");
}

#[test]
fn records_of_one_shape_share_their_template() {
    let other = RECORD.replace("PutObject", "GetObject").replace("ASIAEXAMPLE", "ASIAOTHER").replace("10:01", "11:02");
    let batch = rows(Kind::Events, &[RECORD, &other]);
    let templates = batch.column_by_name("eventtemplate").unwrap().as_string::<i32>();
    assert_eq!(templates.value(0), templates.value(1));
    assert!(!templates.value(0).contains("Object\"") && !templates.value(0).contains("ASIA"), "{}", templates.value(0));
    assert_eq!(texts(Kind::Events, &batch), [Some(RECORD.to_owned()), Some(other)]);
}

#[test]
fn mistyped_repeated_and_unknown_members_come_back_byte_for_byte() {
    let records = [
        r#"{}"#,
        r#"{"eventName":7,"eventName":"Twice","eventTime":null}"#,
        r#"{"eventName":{"a":1},"userIdentity":"text","resources":"","readOnly":"true","tlsDetails":[1]}"#,
        r#"{ "eventTime" : "2014-03-06T21: 22: 54Z" , "requestParameters":"null","responseElements":[ ],"eventversion":1.10 }"#,
        r#"{"userIdentity":{"sessionContext":{"attributes":{"creationDate":"20131102T010628Z"},"sessionIssuer":{}}}}"#,
        r#"{"resources":{"ARN":"one, not wrapped"},"eventId":"x","eventTime":"2026-03-01T10:01:07.123Z"}"#,
        r#"{"resources":[null,{"ARN":"a","arn":"b"},{"type":"\u00e9\/"}],"errorMessage":"\ud800"}"#,
        r#"{"event\u004eame":"escaped name","requestParameters":true,"additionalEventData":"a \"sentence\""}"#,
    ];
    let batch = rows(Kind::Events, &records);
    let expected: Vec<_> = records.iter().map(|record| Some((*record).to_owned())).collect();
    assert_eq!(texts(Kind::Events, &batch), expected);
    let names = batch.column_by_name("eventname").unwrap().as_string::<i32>();
    assert_eq!((names.is_null(0), names.value(1), names.is_null(2)), (true, "Twice", true));
    assert_eq!(names.value(7), "escaped name");
    let days = batch.column_by_name("eventday").unwrap().as_primitive::<Date32Type>();
    assert_eq!((days.value(0), days.value(3)), (20_000, 16_135), "without a time: the day of the object");
    assert!(batch.column_by_name("readonly").unwrap().as_boolean().value(2));
}

#[test]
fn insights_have_lakes_flat_columns() {
    let record = r#"{"eventVersion":"1.08","eventTime":"2026-03-01T09:14:00Z","awsRegion":"us-east-1","eventID":"e","eventType":"AwsCloudTrailInsight","recipientAccountId":"111122223333","sharedEventID":"s","insightDetails":{"state":"End","eventSource":"ec2.amazonaws.com","eventName":"RunInstances","insightType":"ApiErrorRateInsight","errorCode":"Client.X","insightContext":{"statistics":{"baseline":{"average":0.0020},"insight":{"average":11.5},"insightDuration":4,"baselineDuration":10181},"attributions":[{"attribute":"userIdentityArn","insight":[{"value":"arn:a","average":11.5}],"baseline":[{"value":"arn:b","average":0.001}]}]}},"eventCategory":"Insight"}"#;
    let batch = rows(Kind::Insight, &[record]);
    assert_eq!(texts(Kind::Insight, &batch), [Some(record.to_owned())]);
    assert_eq!(text(&batch, &["insighttype"]), Some("ApiErrorRateInsight"));
    assert_eq!(text(&batch, &["insightstate"]), Some("End"));
    let context = batch.column_by_name("insightcontext").unwrap().as_struct();
    let double = |name| context.column_by_name(name).unwrap().as_primitive::<arrow::datatypes::Float64Type>().value(0);
    assert_eq!((double("baselineaverage"), double("insightaverage")), (0.002, 11.5));
    let attributions = context.column_by_name("attributions").unwrap().as_list::<i32>().value(0);
    let insight = attributions.as_struct().column_by_name("insight").unwrap().as_list::<i32>().value(0);
    assert_eq!(insight.as_struct().column_by_name("value").unwrap().as_string::<i32>().value(0), "arn:a");
}

#[test]
fn activity_and_configuration_items_come_back_too() {
    let activity = r#"{"eventVersion":"1.0","eventCategory":"ActivityAuditLog","eventType":"ActivityLog","eventID":"e","eventTime":"2026-03-01T09:14:00Z","metadata":{"ingestionTime":"t","channelARN":"arn"},"eventData":{"version":"1","userIdentity":{"type":"User","principalId":"p","details":{"a":"b"}},"eventName":"Login","UID":"u"}}"#;
    let batch = rows(Kind::ActivityAuditLog, &[activity]);
    assert_eq!(texts(Kind::ActivityAuditLog, &batch), [Some(activity.to_owned())]);
    assert_eq!(text(&batch, &["eventdata", "useridentity", "details"]), Some(r#"{"a":"b"}"#));
    assert_eq!(text(&batch, &["eventdata", "uid"]), Some("u"));

    let item = r#"{"relatedEvents":[],"relationships":[{"resourceId":"vpc-1","resourceType":"AWS::EC2::VPC","name":"Is contained in Vpc"}],"configuration":{"groupId":"sg-1"},"supplementaryConfiguration":{},"tags":{"a":"b"},"configurationItemVersion":"1.3","configurationItemCaptureTime":"2026-03-01T09:14:00.123Z","configurationStateId":1738,"awsAccountId":"111122223333","configurationItemStatus":"OK","resourceType":"AWS::EC2::SecurityGroup","resourceId":"sg-1","ARN":"arn:x","awsRegion":"us-east-1"}"#;
    let batch = rows(Kind::ConfigurationItem, &[item]);
    assert_eq!(texts(Kind::ConfigurationItem, &batch), [Some(item.to_owned())]);
    assert_eq!(text(&batch, &["eventdata", "configurationitemstateid"]), Some("1738"));
    assert_eq!(text(&batch, &["eventdata", "accountid"]), Some("111122223333"));
    assert_eq!(text(&batch, &["recipientaccountid"]), Some("111122223333"));
    assert_eq!(batch.column_by_name("eventday").unwrap().as_primitive::<Date32Type>().value(0), 20_513);
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i32>().prop_map(|number| number.to_string()),
        ".{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just("\"2026-03-01T10:01:07Z\"".to_owned()),
    ];
    let name = prop_oneof![
        Just("eventName"),
        Just("eventTime"),
        Just("userIdentity"),
        Just("sessionContext"),
        Just("attributes"),
        Just("creationDate"),
        Just("resources"),
        Just("ARN"),
        Just("arn"),
        Just("readOnly"),
        Just("requestParameters"),
        Just("other"),
        Just("addendum"),
        Just("accountId"),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
                format!("{{{}}}", members.join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_record_comes_back_byte_for_byte(members in prop::collection::vec((0..3_usize, json()), 0..8)) {
        let names = ["userIdentity", "resources", "requestParameters"];
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{}\":{value}", names[*name])).collect();
        let record = format!("{{{}}}", members.join(" ,"));
        for kind in Kind::ALL {
            let batch = rows(kind, &[&record]);
            prop_assert_eq!(texts(kind, &batch), vec![Some(record.clone())]);
        }
    }
}
