//! Log files as CloudTrail writes them, as publishers rewrote them, and broken in every way.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::testing;

fn items(json: &[u8]) -> Vec<Item<'_>> {
    read(json, &Limits::default()).unwrap().collect()
}

/// What a reader gives, in short: the text of good records, offset, length and reason of bad ones.
fn told(json: &[u8], limits: &Limits) -> Vec<String> {
    read(json, limits)
        .unwrap()
        .map(|item| match item {
            Item::Record(record) => {
                assert_eq!(&json[record.offset..record.offset + record.raw.len()], record.raw);
                String::from_utf8(record.raw.to_vec()).unwrap()
            }
            Item::Bad(bad) => format!("{}+{} {}", bad.offset, bad.len, bad.reason),
        })
        .collect()
}

fn tell(json: &str) -> Vec<String> {
    told(json.as_bytes(), &Limits::default())
}

fn records(json: &[u8]) -> Vec<&[u8]> {
    items(json)
        .into_iter()
        .map(|item| match item {
            Item::Record(record) => record.raw,
            Item::Bad(bad) => panic!("{bad:?}"),
        })
        .collect()
}

fn join<T: AsRef<[u8]>>(records: &[T]) -> Vec<u8> {
    let mut writer = Writer::new();
    for record in records {
        writer.push(record.as_ref());
    }
    assert_eq!(writer.records(), records.len());
    assert_eq!(writer.is_empty(), records.is_empty());
    let len = writer.len();
    let json = writer.finish();
    assert_eq!(json.len(), len);
    json
}

// Trap 20.
#[test]
fn every_published_form_of_a_file_is_read() {
    for json in [
        "{\"Records\":[{\"a\":1},{}]}",
        "{\"Records\":[{\"a\":1},{}]}\n",
        "\u{feff}{\"Records\":[{\"a\":1},{}]}",
        " {\r\n\t\"Records\" : [\n {\"a\":1} ,\n {}\n ]\n}\r\n ",
        "{\"x\":[{\"Records\":[]}],\"Records\":[{\"a\":1},{}],\"y\":{\"Records\":[1]}}",
        "{\"Records\":null,\"Records\":[{\"a\":1}],\"z\":\"\",\"Records\":[{}]}",
        "{\"\\u0052ecords\":[{\"a\":1},{}]}",
    ] {
        assert_eq!(tell(json), ["{\"a\":1}", "{}"], "{json}");
    }
    for json in ["{\"Records\":[]}", "{\"Records\": [ ] }"] {
        assert_eq!(items(json.as_bytes()).len(), 0, "{json}");
    }
}

#[test]
fn what_is_no_log_file_is_refused_as_a_whole() {
    let error = |json: &[u8]| read(json, &Limits::default()).unwrap_err();
    let not_json = |offset, what| Error::NotJson { offset, what };
    assert_eq!(error(b""), not_json(0, "nothing there"));
    assert_eq!(error(b" \n"), not_json(2, "nothing there"));
    assert_eq!(error(b"[{}]"), not_json(0, "expected '{'"));
    assert_eq!(error(b"\x1f\x8b\x08"), not_json(0, "expected '{'"));
    assert_eq!(error(b"{"), not_json(1, "file ends"));
    assert_eq!(error(b"{\"Records\":"), not_json(11, "file ends"));
    assert_eq!(error(b"{\"a\":tru,\"Records\":[]}"), not_json(5, "expected a value"));
    assert_eq!(error(b"{,\"Records\":[]}"), not_json(1, "expected a key"));
    assert_eq!(error(b"{\"a\":1 \"Records\":[]}"), not_json(7, "expected ',' or '}'"));
    assert_eq!(error(b"{\"\xff\":1,\"Records\":[]}"), not_json(2, "invalid UTF-8"));
    for json in ["{}", "{\"eventVersion\":\"1.08\"}", "{\"Records\":{}}", "{\"records\":[]}", "{\"Records\":null} x"] {
        assert_eq!(error(json.as_bytes()), Error::NoRecords, "{json}");
    }
    let deep = format!("{{\"a\":{}", "[".repeat(1000));
    assert_eq!(error(deep.as_bytes()), not_json(132, "too deep"));
}

#[test]
fn a_bad_record_is_named_and_the_rest_goes_on() {
    for (bad, reason) in [
        ("7", "not an object"),
        ("null", "not an object"),
        ("\"a,]b\"", "not an object"),
        ("[{\"a\":[1]}]", "not an object"),
        ("tru", "invalid JSON at byte 23: expected a value"),
        ("{\"a\":NaN}", "invalid JSON at byte 28: expected a value"),
        ("{\"a\":\"x\ny\"}", "invalid JSON at byte 30: control character in a string"),
        ("{\"a\" \"},{\"}", "invalid JSON at byte 28: expected ':'"),
        ("{\"a\":[{\"b\":01}]}", "invalid JSON at byte 35: expected ',' or '}'"),
        ("{\"a\":1,}", "invalid JSON at byte 30: expected a key"),
        ("", "invalid JSON at byte 23: expected a value"),
    ] {
        let json = format!("{{\"Records\":[{{\"n\":\"1\"}} ,{bad} , {{\"n\":2}}]}}");
        let expected = ["{\"n\":\"1\"}".to_owned(), format!("23+{} {reason}", bad.len()), "{\"n\":2}".to_owned()];
        let told = tell(&json);
        // An element that isn't there is where the comma behind it is.
        if bad.is_empty() {
            assert_eq!(told[1], "24+0 invalid JSON at byte 24: expected a value");
        } else {
            assert_eq!(told, expected, "{json}");
        }
    }
    assert_eq!(tell("{\"Records\":[{},]}"), ["{}", "15+0 invalid JSON at byte 15: expected a value"]);
    assert_eq!(
        tell("{\"Records\":[{\"a\":1}},{}]}"),
        ["{\"a\":1}", "19+1 invalid JSON at byte 19: expected ',' or ']'", "{}"]
    );
    assert_eq!(tell("{\"Records\":[{} {},{}]}"), ["{}", "15+2 invalid JSON at byte 15: expected ',' or ']'", "{}"]);
}

#[test]
fn where_the_next_record_cannot_be_found_the_rest_is_one_bad_record() {
    let end = |json: &str| tell(json).pop().unwrap();
    assert_eq!(end("{\"Records\":[{\"a\":[1},{}]}"), "12+13 invalid JSON at byte 19: expected ',' or ']'");
    assert_eq!(tell("{\"Records\":[{\"a\":[1},{}]}").len(), 1);
    // What a caller wrote never becomes a record of its own.
    let forged = r#"{"Records":[{"a":"b"","userAgent":"\"},{\"eventID\":\"forged\"},{\""},{}]}"#;
    assert_eq!(tell(forged).len(), 1);
    assert!(end(forged).starts_with("12+"), "{}", end(forged));
}

#[test]
fn a_file_cut_anywhere_gives_its_whole_records_and_one_bad_one() {
    let json = "{\"Records\":[{\"a\":\"b\\u0041\"},{\"c\":[1.5e3,true]}, {}],\"x\":{\"y\":null}}";
    assert_eq!(tell(json).len(), 3);
    for end in 12..json.len() {
        let told = tell(&json[..end]);
        let (last, before) = told.split_last().unwrap();
        assert!(before.iter().zip(tell(json)).all(|(cut, whole)| *cut == whole), "{end}");
        assert!(last.contains("file ends"), "{end}: {last}");
        let (offset, rest) = last.split_once('+').unwrap();
        let len = rest.split_once(' ').unwrap().0;
        assert_eq!(offset.parse::<usize>().unwrap() + len.parse::<usize>().unwrap(), end);
    }
    assert_eq!(tell("{\"Records\":[{\"a\":1"), ["12+6 file ends inside a record"]);
    assert_eq!(tell("{\"Records\":[{},"), ["{}", "15+0 file ends inside a record"]);
    assert_eq!(tell("{\"Records\":[{} "), ["{}", "15+0 file ends before its closing brackets"]);
    assert_eq!(tell("{\"Records\":[{}]"), ["{}", "15+0 file ends before its closing brackets"]);
}

#[test]
fn what_stands_behind_records_is_checked() {
    for (rest, told) in [
        (" x", "17+1 text behind the end of the log file"),
        ("{\"Records\":[]}", "16+14 text behind the end of the log file"),
        ("\0\0\0", "16+3 text behind the end of the log file"),
    ] {
        assert_eq!(tell(&format!("{{\"Records\":[{{}}]}}{rest}")), ["{}", told]);
    }
    assert_eq!(tell("{\"Records\":[{}]]}"), ["{}", "15+2 invalid JSON at byte 15: expected ',' or '}'"]);
    assert_eq!(tell("{\"Records\":[{}],\"a\":01}"), ["{}", "15+8 invalid JSON at byte 21: expected ',' or '}'"]);
    let deep = format!("{{\"Records\":[{{}}],\"a\":{}", "[".repeat(1000));
    assert_eq!(tell(&deep)[1], "15+1005 deeper than 128");
}

#[test]
fn depth_and_size_have_limits_and_the_rest_goes_on() {
    let limits = Limits { depth_max: 3, record_bytes_max: 20 };
    let json = "{\"Records\":[{\"a\":[[1]]},{\"a\":[[[1]]]},{\"a\":\"]},{[ 90123456\"},{\"a\":\"23456789 123\"},{}]}";
    let found = told(json.as_bytes(), &limits);
    assert_eq!(found[0], "{\"a\":[[1]]}");
    assert_eq!(found[1], "24+13 deeper than 3");
    assert_eq!(found[2], "38+22 larger than 20 bytes");
    assert_eq!(found[3], "{\"a\":\"23456789 123\"}");
    assert_eq!(found[4], "{}");
    let none = Limits { depth_max: 0, record_bytes_max: 0 };
    assert_eq!(told(b"{\"Records\":[{},7]}", &none), ["12+2 larger than 0 bytes", "15+1 larger than 0 bytes"]);
    // The last record may be cut by the window and by the file's end at once.
    assert_eq!(told(b"{\"Records\":[{\"a\":\"0123456789", &limits), ["12+16 file ends inside a record"]);
}

#[test]
fn invalid_utf8_spoils_its_own_record_only() {
    let json = b"{\"Records\":[{\"a\":\"\xff\xfe\"},{\"\xc3\xa9\":1},{\"b\":\"\xed\xa0\x80\"},{}],\"x\":\"\xf5\"}";
    let found = told(json, &Limits::default());
    assert_eq!(found[0], "12+10 invalid UTF-8 at byte 18");
    assert_eq!(found[1], "{\"é\":1}");
    assert_eq!(found[2], "32+11 invalid UTF-8 at byte 38");
    assert_eq!(found[3], "{}");
    assert_eq!(found[4], "47+9 invalid UTF-8 at byte 53");
    // One that the grammar already threw out does not count twice.
    assert_eq!(told(b"{\"Records\":[{\xff},{}]}", &Limits::default())[1], "{}");
}

#[test]
fn reasons_have_labels_of_their_own() {
    let reasons = [
        BadReason::NotAnObject,
        BadReason::TooDeep { max: 1 },
        BadReason::TooLarge { max: 1 },
        BadReason::InvalidJson { at: 1, what: "" },
        BadReason::InvalidUtf8 { at: 1 },
        BadReason::EndsInside,
        BadReason::EndsOpen,
        BadReason::TrailingText,
    ];
    let mut labels: Vec<_> = reasons.iter().map(BadReason::label).collect();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), reasons.len());
}

/// What serde_json makes of a file: its records, None if it isn't JSON or has no single array of objects.
fn theirs(text: &str) -> Option<Vec<&str>> {
    let root: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    let records: Vec<&RawValue> = serde_json::from_str(root.get("Records")?.get()).ok()?;
    Some(records.into_iter().map(RawValue::get).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_value_in_any_field_survives_byte_for_byte(records_in in prop::collection::vec(testing::record(), 0..8)) {
        let json = join(&records_in);
        let out = records(&json);
        prop_assert_eq!(&out, &records_in.iter().map(|record| record.as_bytes()).collect::<Vec<_>>());
        prop_assert_eq!(join(&out), json);
    }

    #[test]
    fn headers_agree_with_serde_json(record in testing::record()) {
        let json = join(&[&record]);
        let items = items(&json);
        let [Item::Record(ours)] = items.as_slice() else { panic!("{items:?}") };
        if let Ok(theirs) = serde_json::from_str(&record) {
            testing::assert_header(&ours.header, &theirs);
        }
    }

    #[test]
    fn damaged_files_are_judged_as_serde_json_judges_them(
        records in prop::collection::vec(testing::record(), 0..4), edits in testing::edits(),
    ) {
        let json = testing::edited(&join(&records), &edits);
        let ours: Option<Vec<&str>> = read(&json, &Limits::default()).ok().and_then(|reader| {
            reader.map(|item| match item {
                Item::Record(record) => Some(std::str::from_utf8(record.raw).unwrap()),
                Item::Bad(_) => None,
            }).collect()
        });
        let Ok(text) = std::str::from_utf8(&json) else {
            prop_assert!(ours.is_none());
            return Ok(());
        };
        // serde_json has no keys with lone surrogates.
        prop_assume!(!text.contains("\\ud800"));
        let theirs = theirs(text).filter(|records| records.iter().all(|record| record.starts_with('{')));
        if ours != theirs {
            prop_assert_eq!(ours, theirs, "{}", text);
        }
    }

    #[test]
    fn bad_and_good_together_cover_the_file_in_order(
        records in prop::collection::vec(testing::record(), 0..4), edits in testing::edits(),
    ) {
        covers(&testing::edited(&join(&records), &edits));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        covers(&bytes);
        covers(&[b"{\"Records\":[", bytes.as_slice()].concat());
        covers(&[b"{\"Records\":[{\"eventID\":\"", bytes.as_slice(), b"\"},{}]}"].concat());
    }
}

#[test]
fn a_form_feed_is_no_blank_and_belongs_to_the_bad_stretch() {
    covers(b"{\"Records\":[\x0c,");
    let items: Vec<_> = read(b"{\"Records\":[\x0c,{}]}", &Limits::default()).unwrap().collect();
    let Item::Bad(bad) = &items[0] else { panic!("{items:?}") };
    assert_eq!((bad.offset, bad.len), (12, 1));
}

/// Every range lies in the file and behind the one before, and between them is nothing but brackets, commas and blanks.
fn covers(json: &[u8]) {
    let limits = Limits { depth_max: 5, record_bytes_max: 60 };
    let Ok(reader) = read(json, &limits) else { return };
    let mut end = None;
    for item in reader {
        let (offset, len) = match item {
            Item::Record(record) => {
                assert_eq!(record.raw, &json[record.offset..record.offset + record.raw.len()]);
                assert!(record.raw.len() <= limits.record_bytes_max);
                assert!(serde_json::from_slice::<&RawValue>(record.raw).is_ok());
                (record.offset, record.raw.len())
            }
            Item::Bad(bad) => (bad.offset, bad.len),
        };
        if let Some(end) = end {
            let between = &json[end..offset];
            assert!(between.iter().filter(|byte| **byte == b',').count() <= 1 || between.contains(&b']'));
            assert!(between.contains(&b']') || between.iter().all(|byte| b", \t\r\n".contains(byte)));
        }
        assert!(offset + len <= json.len());
        end = Some(offset + len);
    }
}
