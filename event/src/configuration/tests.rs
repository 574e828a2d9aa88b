//! Files as the developer guide has them, and broken ones.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::log_file::Item;
use crate::testing;

/// The text of good items; offset, length and reason of bad ones.
fn told(json: &str) -> Vec<String> {
    let items = read(json.as_bytes(), &Limits::default()).unwrap();
    items
        .map(|item| match item {
            Item::Record(item) => String::from_utf8(item.raw.to_vec()).unwrap(),
            Item::Bad(bad) => format!("{}+{} {}", bad.offset, bad.len, bad.reason),
        })
        .collect()
}

#[test]
fn snapshots_and_histories_are_split_into_items() {
    for json in [
        r#"{"fileVersion":"1.0","configSnapshotId":"16da64e4","configurationItems":[{"resourceId":"a"},{}]}"#,
        r#"{"fileVersion":"1.0","requestId":"asudf8ow","configurationItems": [ {"resourceId":"a"}, {} ] }"#,
        "{\"configurationItems\":[{\"resourceId\":\"a\"},{}],\"fileVersion\":\"1.0\"}\n",
    ] {
        assert_eq!(told(json), [r#"{"resourceId":"a"}"#, "{}"], "{json}");
    }
    assert!(told(r#"{"fileVersion":"1.0","configurationItems":[]}"#).is_empty());
}

#[test]
fn a_bad_item_is_named_and_the_rest_goes_on() {
    let json = r#"{"configurationItems":[{"a":1},{"b":},7,{"c":3}]}"#;
    assert_eq!(
        told(json),
        [r#"{"a":1}"#, "31+6 invalid JSON at byte 36: expected a value", "38+1 not an object", r#"{"c":3}"#]
    );
    assert_eq!(told(r#"{"configurationItems":[{"a":1},{"b"#)[1], "31+3 file ends inside a record");
}

#[test]
fn what_is_none_of_its_files_is_refused_as_a_whole() {
    let error = |json: &[u8]| read(json, &Limits::default()).unwrap_err();
    assert_eq!(error(br#"{"Records":[{}]}"#), Error::NoItems);
    assert_eq!(error(br#"{"configurationItems":null}"#), Error::NoItems);
    assert_eq!(error(b"<Error>"), Error::NotJson { offset: 0, what: "expected '{'" });
    assert_eq!(
        error(br#"{"Records":[]}"#).to_string(),
        "read configuration items: no \"configurationItems\" array in the root object"
    );
}

proptest! {
    #[test]
    fn any_items_come_back_byte_for_byte(items in prop::collection::vec(testing::record(), 0..5)) {
        let json = format!("{{\"fileVersion\":\"1.0\",\"configurationItems\":[{}]}}", items.join(","));
        prop_assert_eq!(told(&json), items);
    }
}
