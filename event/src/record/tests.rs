//! The traps that real records set (their numbers in comments), and every published sample.

#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::path::Path;

use super::*;
use crate::gzip::{Deflater, Inflater};
use crate::log_file::{Item, Limits, Writer, read};
use crate::testing::assert_header;

/// Reads one record out of a file of its own, and checks its bytes and its header against serde_json.
fn check<T>(raw: &str, look: impl FnOnce(&Header<'_>) -> T) -> T {
    let mut writer = Writer::new();
    writer.push(raw.as_bytes());
    let json = writer.finish();
    let items: Vec<_> = read(&json, &Limits::default()).unwrap().collect();
    let [Item::Record(record)] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!(record.raw, raw.as_bytes());
    assert_header(&record.header, &serde_json::from_str(raw).unwrap());
    look(&record.header)
}

// Trap 1.
#[test]
fn fields_that_change_type_are_passed_over() {
    for value in ["{}", "null", "\"null\"", "\"\"", "\"Personally-identifying contact information\"", "[]", "1"] {
        let raw = format!(
            "{{\"requestParameters\":{value},\"responseElements\":{value},\"additionalEventData\":{value},\
             \"resources\":{value},\"eventID\":\"1\"}}"
        );
        check(&raw, |header| assert_eq!(header.event_id.as_deref(), Some("1"), "{raw}"));
    }
}

// Trap 2.
#[test]
fn insight_events_have_their_names_inside() {
    let raw = r#"{"eventVersion":"1.08","eventTime":"2026-03-01T09:14:00Z","eventID":"x","insightDetails":{"state":"End",
        "eventSource":"ec2.amazonaws.com","eventName":"RunInstances","eventCategory":"Data"}}"#;
    check(raw, |header| {
        assert_eq!(header.category(), Category::Insight);
        assert_eq!((&header.event_name, &header.event_source), (&None, &None));
    });
    check(r#"{"userIdentity":{"accountId":"1","invokedBy":"x"}}"#, |header| {
        assert_eq!(header.recipient_account_id, None)
    });
}

// Trap 3.
#[test]
fn old_versions_lack_fields_and_some_have_booleans_as_strings() {
    check("{}", |header| {
        assert_eq!(*header, Header::default());
        assert_eq!(header.category(), Category::Management);
        assert_eq!((header.event_seconds(), header.event_hour()), (None, EventHour::UNDATED));
    });
    for (text, value) in [
        ("true", Some(true)),
        ("false", Some(false)),
        ("\"true\"", Some(true)),
        ("\"fals\\u0065\"", Some(false)),
        ("\"True\"", None),
        ("\"\"", None),
        ("1", None),
        ("null", None),
        ("{\"value\":true}", None),
    ] {
        check(&format!("{{\"eventVersion\":1.0,\"readOnly\":{text},\"managementEvent\":{text}}}"), |header| {
            assert_eq!((header.read_only, header.management_event), (value, value), "{text}");
            let data = value == Some(false);
            assert_eq!(header.category(), if data { Category::Data } else { Category::Management });
        });
    }
}

// Trap 8.
#[test]
fn event_time_is_read_in_every_spelling_or_not_at_all() {
    for (time, seconds) in [
        ("\"2020-09-17T16:44:11Z\"", Some(1_600_361_051)),
        ("\"2020-09-17T16:44:11.123Z\"", Some(1_600_361_051)),
        ("\"2014-03-06T21: 22: 54Z\"", Some(1_394_140_974)),
        ("\"2014-03-06T21:22:54\"", Some(1_394_140_974)),
        ("\"Mar 13, 2024, 9:38:05\u{202f}AM\"", None),
        ("1600361051", None),
        ("null", None),
        ("\"\"", None),
    ] {
        check(&format!("{{\"eventTime\":{time}}}"), |header| {
            assert_eq!(header.event_seconds(), seconds, "{time}");
            let hour = seconds.map_or(EventHour::UNDATED, EventHour::from_unix_seconds);
            assert_eq!(header.event_hour(), hour);
        });
    }
}

// Trap 9.
#[test]
fn numbers_keep_their_text_and_account_ids_their_zeros() {
    let raw =
        r#"{"n":[0.0,1173.0,9.82222E-5,9.48587e-05,9007199254740993,1e999,-0],"recipientAccountId":"012345678901"}"#;
    let json = format!("{{\"Records\":[{raw}]}}");
    let items: Vec<_> = read(json.as_bytes(), &Limits::default()).unwrap().collect();
    let [Item::Record(record)] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!(record.raw, raw.as_bytes());
    assert_eq!(record.header.recipient_account_id.as_deref(), Some("012345678901"));
    check("{\"recipientAccountId\":12345678901}", |header| assert_eq!(header.recipient_account_id, None));
}

// Trap 10.
#[test]
fn of_a_key_that_stands_twice_the_last_counts_and_other_case_is_another_key() {
    check(r#"{"eventType":"a","readOnly":true,"eventType":"b","readOnly":false}"#, |header| {
        assert_eq!((header.event_type.as_deref(), header.read_only), (Some("b"), Some(false)));
    });
    check(r#"{"eventID":"a","eventID":null}"#, |header| assert_eq!(header.event_id, None));
    check(
        r#"{"EventName":"a","eventname":"b","RequestParameters":{},"insightDetails":{},"insightDetails":null}"#,
        |header| {
            assert_eq!(*header, Header::default());
        },
    );
}

// Trap 10 and aggregated events (`eventId`, `accountId`).
#[test]
fn the_other_spelling_of_an_id_fills_in() {
    check(r#"{"eventId":"a","accountId":"111122223333","eventCategory":"Aggregated"}"#, |header| {
        assert_eq!(header.event_id.as_deref(), Some("a"));
        assert_eq!(header.recipient_account_id.as_deref(), Some("111122223333"));
        assert_eq!(header.category(), Category::Aggregated);
    });
    check(r#"{"eventID":"b","recipientAccountId":"4","eventId":"a","accountId":"1"}"#, |header| {
        assert_eq!((header.event_id.as_deref(), header.recipient_account_id.as_deref()), (Some("b"), Some("4")));
    });
}

// Traps 11, 12, 14, 19.
#[test]
fn strange_keys_and_strings_do_not_reach_the_header() {
    let raw = r##"{"requestParameters":{"x-amz-id-2":1,"aws:s3:arn":"","a.b/c#[0]":[""],"7":{},"eventID":"inner",
        "policyDocument":"{\"eventID\":\"inner\",\n  \"Statement\":[]}","u":"\u003cb\u0026\/"},"userAgent":"[S3Console/0.4]",
        "event\u0049D":"o\u0075ter","eventName":"Put\u004Fbject é😀","errorCode":"a\ud83d\ude00"}"##;
    let raw = raw.replace("\\n  ", "\\n");
    check(&raw, |header| {
        assert_eq!(header.event_id.as_deref(), Some("outer"));
        assert_eq!(header.event_name.as_deref(), Some("PutObject é😀"));
        assert_eq!(header.error_code.as_deref(), Some("a😀"));
        assert!(matches!(header.event_name, Some(Cow::Owned(_))));
    });
    check(r#"{"eventName":"a"}"#, |header| assert!(matches!(header.event_name, Some(Cow::Borrowed("a")))));
}

// Trap 16.
#[test]
fn the_category_stands_in_the_record_or_follows_from_it() {
    for (raw, category) in [
        (r#"{"eventCategory":"Management","managementEvent":false}"#, Category::Management),
        (r#"{"eventCategory":"Data","insightDetails":{}}"#, Category::Data),
        (r#"{"eventCategory":"NetworkActivity"}"#, Category::NetworkActivity),
        (r#"{"eventCategory":"Insight"}"#, Category::Insight),
        (r#"{"eventCategory":"Evidence"}"#, Category::Other("Evidence".to_owned())),
        (r#"{"eventCategory":"","managementEvent":false}"#, Category::Data),
        (r#"{"eventCategory":7,"insightDetails":{},"managementEvent":false}"#, Category::Insight),
        (r#"{"managementEvent":false}"#, Category::Data),
        (r#"{"managementEvent":true}"#, Category::Management),
        (r#"{"eventType":"AwsApiCall","awsRegion":"nowhere-1"}"#, Category::Management),
    ] {
        check(raw, |header| assert_eq!(header.category(), category, "{raw}"));
        assert_eq!(Category::from_name(category.name()), category);
    }
}

// Trap 18: made by hand, as none of the real ones is larger than 110 KB.
#[test]
fn records_larger_than_aws_allows_are_read() {
    let raw = format!("{{\"requestParameters\":{{\"x\":\"{}\"}},\"eventID\":\"a\"}}", "y".repeat(2 << 20));
    check(&raw, |header| assert_eq!(header.event_id.as_deref(), Some("a")));
}

// Trap 19: NUL and other control characters as escapes, which no real record has.
#[test]
fn control_characters_are_taken_as_escapes() {
    check("{\"eventName\":\"a\\u0000\\u001f\\b\u{7f}\u{2028}\"}", |header| {
        assert_eq!(header.event_name.as_deref(), Some("a\0\u{1f}\u{8}\u{7f}\u{2028}"));
    });
}

// Trap 24 and trap 4.
#[test]
fn copies_have_one_identity_and_same_ids_over_different_bytes_do_not() {
    let of = |raw: &str| check(raw, |header| identity(header, raw.as_bytes()));
    let uuid = "14b20909-b46b-4f74-b725-d987888edbc7";
    let a = of(&format!("{{\"eventID\":\"{uuid}\",\"a\":1}}"));
    assert_eq!(a, of(&format!("{{\"eventID\":\"{uuid}\",\"a\":1}}")));
    let b = of(&format!("{{\"eventID\":\"{uuid}\",\"a\":2}}"));
    assert_eq!(a.id, b.id);
    assert_ne!(a.content, b.content);
    assert_ne!(of("{}").id, of("{ }").id);
}

/// Public records, one a line, that stand beside the project when it is developed.
fn samples() -> Option<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/samples/records.jsonl.gz");
    let mut gz = Vec::new();
    std::fs::File::open(path).ok()?.read_to_end(&mut gz).unwrap();
    let mut lines = Vec::new();
    Inflater::new().inflate(&gz, 64 << 20, &mut lines).unwrap();
    Some(lines)
}

#[test]
fn every_sample_survives_byte_for_byte_and_is_seen_as_serde_json_sees_it() {
    let Some(samples) = samples() else { return };
    let lines: Vec<&[u8]> = samples.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert!(lines.len() > 5000);
    let mut deflater = Deflater::default();
    let mut inflater = Inflater::new();
    let mut json = Vec::new();
    let (mut undated, mut seen) = (0, std::collections::HashMap::new());
    for chunk in lines.chunks(50) {
        let mut writer = Writer::new();
        chunk.iter().for_each(|line| writer.push(line));
        let gz = deflater.deflate(&writer.finish());
        assert_eq!(inflater.inflate(&gz, 64 << 20, &mut json).unwrap().members, 1);
        let mut records = 0;
        for (item, line) in read(&json, &Limits::default()).unwrap().zip(chunk) {
            let Item::Record(record) = item else { panic!("{item:?} of {}", String::from_utf8_lossy(line)) };
            assert_eq!(record.raw, *line);
            assert_header(&record.header, &serde_json::from_slice(line).unwrap());
            undated += usize::from(record.header.event_hour() == EventHour::UNDATED);
            if let Some(other) = seen.insert(identity(&record.header, line), line) {
                assert_eq!(other, line);
            }
            records += 1;
        }
        assert_eq!(records, chunk.len());
    }
    assert!(undated < 20, "{undated}");
}

// Traps 1, 2, 10 and 12, one level down.
#[test]
fn nested_fields_are_read_leniently_when_asked() {
    let raw = r#"{"userIdentity":{"invokedBy":7,"arn":{},"sessionContext":{"arn":"inner","a":[{"arn":"]}\""}]},
        "a\u0072n":"arn:aws:iam::1:root"},"resources":[ {"ARN":"a","accountId":"1","type":"T"},7,null,"x",["y"],
        {"arn":"b","ARN":null},{"ARNPrefix":"c/","type":false} , {} ],"tlsDetails":{"clientProvidedHostHeader":"h"},
        "insightDetails":{"insightType":"ApiCallRateInsight","sourceEventCategory":null},"vpcEndpointId":"vpce-1",
        "sessionCredentialFromConsole":"true","summary":{"primaryDimension":{"dimension":"eventName"}}}"#;
    check(raw, |header| {
        assert_eq!(header.user_identity_arn().as_deref(), Some("arn:aws:iam::1:root"));
        assert_eq!(header.invoked_by(), None);
        assert_eq!(header.client_provided_host_header().as_deref(), Some("h"));
        assert_eq!(
            (header.insight_type().as_deref(), header.insight_source_category()),
            (Some("ApiCallRateInsight"), None)
        );
        assert_eq!(header.vpc_endpoint_id.as_deref(), Some("vpce-1"));
        assert_eq!(header.session_credential_from_console, Some(true));
        assert_eq!(header.summary.nested("primaryDimension").text("dimension").as_deref(), Some("eventName"));
        let arns: Vec<_> = header.resources().map(|it| it.arn.or(it.arn_prefix).map(Cow::into_owned)).collect();
        assert_eq!(arns, [Some("a".to_owned()), Some("b".to_owned()), Some("c/".to_owned()), None]);
    });
    for value in ["\"\"", "null", "7", "true", "[]", "{}", "[[]]"] {
        check(&format!("{{\"resources\":{value},\"userIdentity\":{value},\"tlsDetails\":{value}}}"), |header| {
            let read = (header.user_identity_arn(), header.client_provided_host_header());
            assert_eq!(read, (None, None), "{value}");
        });
    }
    check(r#"{"resources":{"ARN":"alone"}}"#, |header| {
        assert_eq!(header.resources().next().unwrap().arn.as_deref(), Some("alone"));
    });
}
