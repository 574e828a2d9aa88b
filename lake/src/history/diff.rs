//! What changed between two JSON values, in as few words as say it.
//!
//! Owns comparing and the paths of what differs. AWS's arrays are mostly sets: elements that are in both are passed over
//! wherever they stand; only what is left is compared, one by one where there are as many on both sides.

use serde_json::Value;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// Where, such as `configuration.ipPermissions[0].toPort`; `[]` for an element that only one side has.
    pub path: String,
    /// What stood there; none where there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What stands there now; none where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// The differences between two values, in the order of the paths. `null` and nothing are the same.
pub(super) fn changes(path: &str, before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(path, before, after, &mut found);
    found
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<Change>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Value::Object(old), Value::Object(new)) => {
            let gone = old.keys().filter(|name| !new.contains_key(*name));
            let mut names: Vec<_> = gone.chain(new.keys()).collect();
            names.sort();
            for name in names {
                let member = |value: &serde_json::Map<String, Value>| value.get(name).cloned().unwrap_or_default();
                compare(&below(path, name), &member(old), &member(new), found);
            }
        }
        (Value::Array(old), Value::Array(new)) => arrays(path, old, new, found),
        (before, after) => found.push(Change {
            path: path.to_owned(),
            before: Some(before.clone()).filter(|value| !value.is_null()),
            after: Some(after.clone()).filter(|value| !value.is_null()),
        }),
    }
}

fn arrays(path: &str, old: &[Value], new: &[Value], found: &mut Vec<Change>) {
    let mut gone: Vec<_> = old.iter().collect();
    let mut come = Vec::new();
    for (index, element) in new.iter().enumerate() {
        match gone.iter().position(|before| *before == element) {
            Some(at) => drop(gone.remove(at)),
            None => come.push((index, element)),
        }
    }
    if gone.len() == come.len() {
        for (before, (index, after)) in gone.into_iter().zip(come) {
            compare(&format!("{path}[{index}]"), before, after, found);
        }
        return;
    }
    let path = format!("{path}[]");
    let one = |before: Option<&Value>, after: Option<&Value>| Change {
        path: path.clone(),
        before: before.cloned(),
        after: after.cloned(),
    };
    found.extend(gone.into_iter().map(|element| one(Some(element), None)));
    found.extend(come.into_iter().map(|(_, element)| one(None, Some(element))));
}

/// The path of a member; names that aren't plain words stand in brackets.
fn below(path: &str, name: &str) -> String {
    let is_word = !name.is_empty() && name.chars().all(|char| char.is_alphanumeric() || matches!(char, '_' | '-'));
    match (path, is_word) {
        ("", true) => name.to_owned(),
        (path, true) => format!("{path}.{name}"),
        (path, false) => format!("{path}[{}]", Value::from(name)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: Value, after: Value) -> Vec<String> {
        let side = |value: Option<Value>| value.map_or("-".to_owned(), |value| value.to_string());
        let tell = |change: Change| format!("{}: {} > {}", change.path, side(change.before), side(change.after));
        changes("", &before, &after).into_iter().map(tell).collect()
    }

    #[test]
    fn members_that_differ_are_named_by_their_path() {
        assert_eq!(
            told(
                json!({"a": 1, "b": {"c": "x", "d": [1]}, "gone": true, "same": {"e": null}}),
                json!({"a": 2, "b": {"c": "y", "d": [1]}, "come": {"f": 1}, "same": {}}),
            ),
            ["a: 1 > 2", "b.c: \"x\" > \"y\"", "come: - > {\"f\":1}", "gone: true > -"]
        );
        assert_eq!(told(json!({"aws:tag/x": "1"}), json!({})), ["[\"aws:tag/x\"]: \"1\" > -"]);
    }

    #[test]
    fn an_arrays_order_says_nothing() {
        assert!(told(json!([{"a": 1}, 2, 2]), json!([2, {"a": 1}, 2])).is_empty());
        assert_eq!(told(json!([1, 2]), json!([2, 3, 1])), ["[]: - > 3"]);
        assert_eq!(told(json!([1, 2, 2]), json!([2])), ["[]: 1 > -", "[]: 2 > -"]);
    }

    #[test]
    fn an_element_that_changed_is_compared_inside() {
        let rule = |port: u16, from: &str| json!({"toPort": port, "ipRanges": [from]});
        assert_eq!(
            told(json!({"p": [rule(22, "a"), rule(443, "a")]}), json!({"p": [rule(443, "a"), rule(22, "0.0.0.0/0")]})),
            ["p[1].ipRanges[0]: \"a\" > \"0.0.0.0/0\""]
        );
    }

    #[test]
    fn another_type_is_another_value() {
        assert_eq!(told(json!({"a": [1]}), json!({"a": {"b": 1}})), ["a: [1] > {\"b\":1}"]);
        assert_eq!(told(json!(null), json!({"a": 1})), [": - > {\"a\":1}"]);
    }
}
