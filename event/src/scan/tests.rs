//! The scanner against a list of cases, and against serde_json on everything else.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::testing;

fn whole(json: &[u8]) -> Result<(), Fault> {
    let start = blanks(json, 0);
    let end = Scanner::new(usize::MAX).value(json, start, 0)?;
    let end = blanks(json, end);
    if end < json.len() { Err(Fault::syntax(json, end, "more")) } else { Ok(()) }
}

/// serde_json skips a value it doesn't build by the grammar alone, as deep as it goes.
fn serde_takes(json: &str) -> bool {
    serde_json::from_str::<&RawValue>(json).is_ok()
}

#[test]
fn the_grammar_is_the_standards() {
    for json in [
        "0",
        "-0",
        "0.0",
        "1173.0",
        "9.82222E-5",
        "9.48587e-05",
        "1e+9",
        "9007199254740993",
        "1e999",
        "-12.50e0",
        "\"\"",
        "\"a\\\"b\\\\c\\/\\b\\f\\n\\r\\t\\u003c\\uD83D\\uDE00\\udead\"",
        "\"\u{7f}é\u{202f}😀\"",
        "{}",
        "[]",
        "{ }",
        "[ ]",
        "[[],{}]",
        "{\"a\":{\"b\":[1 , 2]}, \"a\" : null}",
        " \t\r\n true \n",
        "false",
        "[{}]",
    ] {
        assert_eq!(whole(json.as_bytes()), Ok(()), "{json}");
        assert!(serde_takes(json), "{json}");
    }
    for json in [
        "01",
        "+1",
        "1.",
        ".5",
        "1.e3",
        "1e",
        "1e+",
        "-",
        "--1",
        "0x1",
        "NaN",
        "Infinity",
        "-Infinity",
        "truE",
        "nul",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u123g\"",
        "\"\\u+123\"",
        "\"a\nb\"",
        "\"\u{0}\"",
        "\"\u{1f}12345678\"",
        "'a'",
        "{",
        "[",
        "}",
        "]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1 \"b\":2}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{\"a\":1]",
        "\u{a0}1",
        "\u{b}1",
        "1 2",
        "{}{}",
        "",
        " ",
        "{\"a\"\"b\"}",
        "/**/1",
        "[1]]",
        "tru",
        "\u{feff}1",
    ] {
        assert!(whole(json.as_bytes()).is_err(), "{json}");
        assert!(!serde_takes(json), "{json}");
    }
}

#[test]
fn a_fault_names_its_place_and_an_early_end_is_an_end() {
    let fault = |json: &str| whole(json.as_bytes()).unwrap_err();
    let syntax = |at, what| Fault { at, kind: FaultKind::Syntax(what) };
    assert_eq!(fault("{\"a\":01}"), syntax(6, "expected ',' or '}'"));
    assert_eq!(fault("{\"a\" 1}"), syntax(5, "expected ':'"));
    assert_eq!(fault("[1;2]"), syntax(2, "expected ',' or ']'"));
    assert_eq!(fault("[\"abcdefgh\tij\"]"), syntax(10, "control character in a string"));
    assert_eq!(fault("[\"\\q\"]"), syntax(3, "unknown escape"));
    let good = "{\"a\\u0041\":[true,false,null,-1.5e+3,{\"b\":\"c\\\\\"}],\"d\":\"\"}";
    assert_eq!(whole(good.as_bytes()), Ok(()));
    for end in 0..good.len() {
        assert_eq!(fault(&good[..end]), Fault { at: end, kind: FaultKind::End }, "{end}");
    }
}

#[test]
fn depth_is_capped_and_never_recursed_into() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert_eq!(Scanner::new(128).value(&nested(128), 0, 0), Ok(256));
    assert_eq!(Scanner::new(128).value(&nested(129), 0, 0), Err(Fault { at: 128, kind: FaultKind::TooDeep }));
    assert_eq!(Scanner::new(128).value(&nested(128), 0, 1), Err(Fault { at: 127, kind: FaultKind::TooDeep }));
    assert_eq!(whole(&nested(5_000_000)), Ok(()));
}

#[test]
fn every_byte_at_every_place_of_a_word_stops_a_string_or_does_not() {
    for byte in 0..=u8::MAX {
        for place in 0..24 {
            let mut text = vec![b'a'; 24];
            text[place] = byte;
            // A neighbour that the borrow of a subtraction might reach.
            for next in [b'a', 0x80, 0xff, b'#', b']', b'!'] {
                if place + 1 < text.len() {
                    text[place + 1] = next;
                }
                let stops = byte < 0x20 || byte == b'"' || byte == b'\\';
                assert_eq!(string_stop(&text, 0), if stops { place } else { 24 }, "{byte} at {place}");
            }
        }
    }
}

#[test]
fn escapes_are_undone() {
    let value = |json: &str| string(json.as_bytes(), 0).unwrap().0.decode().unwrap().into_owned();
    assert_eq!(value(r#""a\"\\\/\b\f\n\r\tz""#), "a\"\\/\u{8}\u{c}\n\r\tz");
    assert_eq!(value(r#""\u003cA\u00e9\uD83D\uDE00\u0000""#), "<Aé😀\0");
    for (json, text) in [
        (r#""\ud800""#, "\u{fffd}"),
        (r#""\ud800x""#, "\u{fffd}x"),
        (r#""\ud800\n""#, "\u{fffd}\n"),
        (r#""\udc00\ud800""#, "\u{fffd}\u{fffd}"),
        (r#""\ud800\u0041""#, "\u{fffd}A"),
        (r#""\ud800\ud83d\ude00é""#, "\u{fffd}😀é"),
    ] {
        assert_eq!(value(json), text, "{json}");
    }
}

#[test]
fn the_end_of_a_broken_element_is_found_by_strings_and_brackets_alone() {
    let end = |json: &str| Scanner::new(1).element_end(json.as_bytes(), 0);
    for json in
        ["nope", "{\"a\":tru}", "{\"a\n]},\":[{]}]}", "{{{}}}", "{\"\\\"},\":1 2}", "{}}", "", "\"", "{\"a\":'b,c]'}"]
    {
        let found = end(&format!("{json},{{}}]"));
        match json {
            "{\"a\n]},\":[{]}]}" | "\"" | "{\"a\":'b,c]'}" => assert_eq!(found, None, "{json}"),
            _ => assert_eq!(found, Some(json.len()), "{json}"),
        }
    }
    assert_eq!(end("{"), None);
    assert_eq!(end("x"), None);
    assert_eq!(end("{\"a\":\"\\"), None);
    // A quote too many turns inside out: what a caller wrote must not become a record.
    assert_eq!(end(r#"{"a":"b"","userAgent":"\"},{\"eventID\":\"forged\"},{\""},{}]"#), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn generated_json_is_valid(json in testing::json()) {
        prop_assert_eq!(whole(json.as_bytes()), Ok(()));
        prop_assert!(serde_takes(&json));
    }

    #[test]
    fn mutated_json_is_judged_as_serde_json_judges_it(json in testing::json(), edits in testing::edits()) {
        let bytes = testing::edited(json.as_bytes(), &edits);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            prop_assert_eq!(whole(&bytes).is_ok(), serde_takes(text), "{}", text);
        }
    }

    #[test]
    fn strings_have_the_value_serde_json_gives_them(json in testing::string()) {
        let ours = string(json.as_bytes(), 0).unwrap().0.decode().unwrap();
        // serde_json has no value for lone surrogates.
        if let Ok(theirs) = serde_json::from_str::<String>(&json) {
            prop_assert_eq!(ours, theirs);
        }
    }
}
