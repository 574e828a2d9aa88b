//! Exported logs of every form, split without changing a byte.

use proptest::prelude::*;

use super::*;

/// Everything that is found, in buffers of this many bytes more at a time: records with a `+`, bad stretches with a `-`.
fn split(text: &str, step: usize) -> Vec<String> {
    split_from(Splitter::new(Limits::default()), text, step)
}

fn split_from(mut splitter: Splitter, text: &str, step: usize) -> Vec<String> {
    let (mut found, mut from, mut to) = (Vec::new(), 0, step.min(text.len()));
    loop {
        let (used, what) = splitter.next(&text.as_bytes()[from..to], to == text.len());
        match what {
            Found::Record { offset, raw } => {
                let raw = std::str::from_utf8(raw).unwrap();
                assert_eq!(&text[offset as usize..][..raw.len()], raw);
                found.push(format!("+{raw}"));
            }
            Found::Wrapped { text, .. } => found.push(format!("+{text}")),
            Found::Bad { offset, len, .. } => {
                found.push(format!("-{}", text[offset as usize..][..len as usize].trim()));
            }
            Found::More => {
                assert!(to < text.len(), "asks for more than there is");
                to = (to + step).min(text.len());
            }
            Found::End => return found,
        }
        from += used;
    }
}

const A: &str = r#"{"eventID":"a","x":{"Records":[1]}}"#;
const B: &str = "{\n  \"eventID\" : \"b\",\n  \"note\": \"\\u003c ]}\"\n}";

fn plus(records: &[&str]) -> Vec<String> {
    records.iter().map(|record| format!("+{record}")).collect()
}

#[test]
fn every_form_gives_the_records_with_their_own_bytes() {
    for text in [
        format!("{A}\n{B}\n"),
        format!("{A}{B}"),
        format!("\u{feff} [{A},\n {B}]\n"),
        format!(r#"{{"Records":[{A},{B}]}}"#),
        format!("{{\n \"NextToken\": \"x\",\n \"Records\": [\n{A} ,\n {B}\n ],\n \"more\": [1, {{}}]\n}}\n"),
        format!(r#"{{"Records":[{A}],"Records":[{B}]}}"#),
        format!("{{\"Records\":[{A}]}}\n{{\"Records\":[{B}]}}\n"),
        format!("[{A}]\n[{B}]"),
    ] {
        for step in [1, 7, 1 << 20] {
            assert_eq!(split(&text, step), plus(&[A, B]), "{text}");
        }
    }
    assert!(split(" \n", 1).is_empty() && split("", 1).is_empty());
    assert!(split(r#"{"Records":[]}"#, 3).is_empty());
}

#[test]
fn what_lookup_events_prints_gives_the_events_inside() {
    let event = |record: &str| {
        let text = serde_json::Value::from(record).to_string();
        format!(r#"{{"EventId": "x", "Resources": [], "CloudTrailEvent": {text}}}"#)
    };
    let text = format!("{{\n    \"Events\": [\n{},\n{}\n], \"NextToken\": null}}", event(A), event(B));
    for step in [1, 1 << 20] {
        assert_eq!(split(&text, step), plus(&[A, B]));
    }
    assert_eq!(split(&event(A), 5), plus(&[A]), "one a line too");
}

#[test]
fn bad_stretches_are_told_and_damage_no_other_record() {
    for (text, expected) in [
        (format!("{A}\nnot json\nat all\n{B}"), vec![format!("+{A}"), "-not json\nat all".into(), format!("+{B}")]),
        (format!("[{A}, 17, \"x\", {B}]"), vec![format!("+{A}"), "-17".into(), "-\"x\"".into(), format!("+{B}")]),
        (format!("[{A}, {{\"x\" 1}}, {B}]"), vec![format!("+{A}"), "-{\"x\" 1}".into(), format!("+{B}")]),
        (format!("{A}\n{{\"eventID\": \n{B}"), vec![format!("+{A}"), "-{\"eventID\":".into(), format!("+{B}")]),
        (format!("{A}\n{{\"torn\": \"x"), vec![format!("+{A}"), "-{\"torn\": \"x".into()]),
        (format!("[{A}"), vec![format!("+{A}"), "-".into()]),
        ("Event name,User\nx,y\n".into(), vec!["-Event name,User\nx,y".into()]),
    ] {
        for step in [1, 1 << 20] {
            assert_eq!(split(&text, step), expected, "{text}");
        }
    }
}

#[test]
fn a_record_over_the_limit_is_bad_and_needs_no_more_than_the_limit_in_memory() {
    let limits = Limits { record_bytes_max: 100, ..Limits::default() };
    let text = format!("{{\"x\":\"{}\"}}\n{A}\n", "y".repeat(1000));
    let found = split_from(Splitter::new(limits), &text, 50);
    assert_eq!((found.len(), found[1].as_str()), (2, format!("+{A}").as_str()));
}

#[test]
fn reading_goes_on_from_any_record() {
    let text = format!("{{\"Records\":[{A},{B}]}}\n{{\"Records\":[{A}]}}");
    let from = text.find(B).unwrap();
    let found = split_from(Splitter::resume(Limits::default(), 0), &text[from..], 9);
    assert_eq!(found, plus(&[B, A]));
}

#[test]
fn a_found_record_is_read() {
    let limits = Limits::default();
    let text = r#" {"eventID":"a","recipientAccountId":"111122223333"} "#;
    let read = record(text.as_bytes(), &limits).unwrap();
    assert_eq!((read.raw, read.header.recipient_account_id.as_deref()), (text.trim().as_bytes(), Some("111122223333")));
    assert_eq!(record(b"[]", &limits).unwrap_err(), BadReason::NotAnObject);
    assert_eq!(record(b"{} x", &limits).unwrap_err(), BadReason::TrailingText);
    assert!(matches!(record(b"{\"x\":\"\xff\"}", &limits), Err(BadReason::InvalidUtf8 { .. })));
}

proptest! {
    #[test]
    fn any_text_ends_and_any_buffers_find_the_same(text in "[\\[\\]{}\",:a1\n R]{0,60}", step in 1_usize..9) {
        prop_assert_eq!(split(&text, step), split(&text, 1 << 20));
    }
}
