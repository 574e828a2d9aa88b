//! Tests of paths into JSON text.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn text(json: &str, path: &str) -> Option<String> {
    Path::parse(path).unwrap().find(json)?.text().map(Cow::into_owned)
}

fn json<'a>(json: &'a str, path: &str) -> Option<&'a str> {
    Path::parse(path).unwrap().find(json).map(Found::json)
}

#[test]
fn a_path_leads_through_objects_and_arrays() {
    let document = r#" {"a": {"b": [10, {"k": "v"}, "x"]}, "c" : null, "d": true} "#;
    assert_eq!(json(document, "$.a.b[1].k"), Some("\"v\""));
    assert_eq!(text(document, "$.a.b[1]['k']").as_deref(), Some("v"));
    assert_eq!(text(document, "$['a'][\"b\"][0]").as_deref(), Some("10"));
    assert_eq!(text(document, "$.a.b").as_deref(), Some(r#"[10, {"k": "v"}, "x"]"#));
    assert_eq!(text(document, "$.d").as_deref(), Some("true"));
    assert_eq!(text(document, "a.b[2]").as_deref(), Some("x"), "the $ may be left out");
    assert_eq!(json(document, "$"), Some(document.trim()));
    assert_eq!(text(document, "$.c"), None, "null has no text");
    assert_eq!(json(document, "$.c"), Some("null"));
    for miss in ["$.b", "$.a.c", "$.a.b[3]", "$.a.b.k", "$.d.x", "$.a[0]", "$.k"] {
        assert_eq!(text(document, miss), None, "{miss}");
    }
}

#[test]
fn the_same_path_may_hold_another_type_in_another_record() {
    assert_eq!(text(r#"{"policy":[""]}"#, "$.policy").as_deref(), Some(r#"[""]"#));
    assert_eq!(text(r#"{"policy":""}"#, "$.policy").as_deref(), Some(""));
    assert_eq!(text(r#"{"filter":{"value":["a","b"]}}"#, "$.filter.value[1]").as_deref(), Some("b"));
    assert_eq!(text(r#"{"filter":{"value":{"tag":1}}}"#, "$.filter.value[1]"), None);
    assert_eq!(text(r#"{"parameters":"HIDDEN_DUE_TO_SECURITY_REASONS"}"#, "$.parameters.commands"), None);
    assert_eq!(text(r#"{"disableApiTermination":{"value":true}}"#, "$.disableApiTermination.value").unwrap(), "true");
    assert_eq!(text("\"Personally-identifying contact information\"", "$.a"), None);
    assert_eq!(text("\"null\"", "$").as_deref(), Some("null"), "a string, not null");
}

#[test]
fn keys_with_dots_dashes_and_slashes_are_reached_in_brackets() {
    let document =
        r#"{"x-amz-id-2":"i","aws:s3:arn":"r","cognito-idp.us-east-1.amazonaws.com/us-east-1_a:aud":"u","7":"seven"}"#;
    assert_eq!(text(document, "$.x-amz-id-2").as_deref(), Some("i"));
    assert_eq!(text(document, "$.aws:s3:arn").as_deref(), Some("r"));
    assert_eq!(text(document, "$['cognito-idp.us-east-1.amazonaws.com/us-east-1_a:aud']").as_deref(), Some("u"));
    assert_eq!(text(document, "$[7]").as_deref(), Some("seven"), "a number is a name in an object");
    let found = Path::member("cognito-idp.us-east-1.amazonaws.com/us-east-1_a:aud").find(document);
    assert_eq!(found.unwrap().text().as_deref(), Some("u"), "a member's name is no path");
}

#[test]
fn of_a_key_that_stands_twice_the_last_counts() {
    assert_eq!(text(r#"{"a":1,"b":{"a":9},"a":2}"#, "$.a").as_deref(), Some("2"));
    assert_eq!(text(r#"{"a":{"x":1},"a":{"y":2}}"#, "$.a.x"), None);
    assert_eq!(text(r#"{"a":1,"\u0061":2}"#, "$.a").as_deref(), Some("2"), "written with escapes");
    assert_eq!(text(r#"{"tag":1,"Tag":2}"#, "$.tag").as_deref(), Some("1"), "case matters");
}

#[test]
fn escapes_are_undone_in_text_and_kept_in_json() {
    let document = r#"{"p":"{\"Version\":\"2012\"}","u":"\u003cb\u003e","\"q\"":1,"é":"ü","n":"line\nline"}"#;
    assert_eq!(text(document, "$.p").as_deref(), Some(r#"{"Version":"2012"}"#));
    assert_eq!(json(document, "$.p"), Some(r#""{\"Version\":\"2012\"}""#));
    assert_eq!(text(document, "$.u").as_deref(), Some("<b>"));
    assert_eq!(text(document, r#"$['"q"']"#).as_deref(), Some("1"));
    assert_eq!(text(document, "$.é").as_deref(), Some("ü"));
    assert_eq!(text(document, "$.n").as_deref(), Some("line\nline"));
}

#[test]
fn numbers_keep_their_digits() {
    assert_eq!(text(r#"{"b":1173.0}"#, "$.b").as_deref(), Some("1173.0"));
    assert_eq!(text(r#"{"b":9.82222E-5}"#, "$.b").as_deref(), Some("9.82222E-5"));
    assert_eq!(text(r#"{"b":9007199254740993}"#, "$.b").as_deref(), Some("9007199254740993"));
}

#[test]
fn depth_is_no_danger() {
    let deep = format!("{}1{}", r#"{"a":["#.repeat(20_000), "]}".repeat(20_000));
    assert_eq!(text(&deep, "$.a[0].a[0].b"), None);
    assert!(text(&deep, "$.a[0].a").unwrap().starts_with('['));
}

#[test]
fn a_scalar_is_no_object_and_no_array() {
    let scalar = |json: &str| Found::whole(json).unwrap().scalar().map(Cow::into_owned);
    assert_eq!(scalar(" \"a\" ").as_deref(), Some("a"));
    assert_eq!(scalar("1.0").as_deref(), Some("1.0"));
    assert_eq!(scalar("{}"), None);
    assert_eq!(scalar("null"), None);
    let elements = |json: &str| Found::whole(json).unwrap().elements().map(Iterator::count);
    assert_eq!(elements("[1, [2,3], {\"a\":[4]}]"), Some(3));
    assert_eq!(elements("[ ]"), Some(0));
    assert_eq!(elements("{}"), None);
    assert_eq!(Found::whole("  "), None);
}

#[test]
fn what_is_no_path_is_refused_with_its_place() {
    let refused = |path: &str| Path::parse(path).unwrap_err().to_string();
    assert_eq!(refused("$."), "expected a name at character 3");
    assert_eq!(refused("$.a["), "expected a name at character 5");
    assert_eq!(refused("$.a[0"), "expected ']' at character 6");
    assert_eq!(refused("$['a"), "the quote is not closed at character 3");
    assert_eq!(refused("$.a[*]"), "wildcards are not supported at character 5");
    assert_eq!(refused("$..a"), "wildcards are not supported at character 3");
    assert_eq!(refused("$a"), "expected '.' or '[' at character 2");
    assert_eq!(refused(""), "expected a name at character 1");
}

/// JSON documents over few names, so that paths meet them.
fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-c\"\\\\é\n]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[ab\"\\\\é.0]{0,2}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn it_finds_what_a_parser_finds(
        document in documents(),
        names in prop::collection::vec("[ab\"\\\\é.0]{0,2}", 1..4),
        pretty in any::<bool>(),
    ) {
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        let path: String = names.iter().map(|name| format!("[\"{}\"]", name.replace('\\', "\\\\").replace('"', "\\\""))).collect();
        let mut expected = Some(&document);
        for name in &names {
            let index = || (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.parse().ok())?;
            expected = match expected {
                Some(Value::Object(members)) => members.get(name),
                Some(Value::Array(elements)) => index().and_then(|index: usize| elements.get(index)),
                _ => None,
            };
        }
        let found = Path::parse(&format!("${path}")).unwrap().find(&text);
        let found: Option<Value> = found.map(|found| serde_json::from_str(found.json()).unwrap());
        prop_assert_eq!(found.as_ref(), expected);
    }

    #[test]
    fn any_text_is_survived(json in "[{}\\[\\]\":,\\\\ au0é→]{0,40}") {
        for path in [Path::member("a"), Path::member("0"), Path::parse("$.a[0].a").unwrap()] {
            if let Some(found) = path.find(&json) {
                let _text = found.text();
                let _elements = found.elements().map(Iterator::count);
            }
        }
    }
}
