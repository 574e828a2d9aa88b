//! What a deserialization error means to the person who wrote the file.
//!
//! It owns the wording. serde's own messages are stable in form (`serde::de::Error`'s provided methods); one that is
//! not recognised is passed on as it is.

/// A deserialization error, taken apart.
pub(super) struct Fault {
    /// In the operator's words.
    pub(super) message: String,
    /// The unknown key.
    pub(super) unknown: Option<String>,
    /// What the unknown key was probably meant to be.
    pub(super) suggestion: Option<String>,
    /// The missing key.
    pub(super) missing: Option<String>,
}

impl Fault {
    /// `extra`: known keys that serde may not have listed.
    pub(super) fn new(message: &str, extra: &[&str]) -> Self {
        let mut fault = Self { message: String::new(), unknown: None, suggestion: None, missing: None };
        let names = quoted(message);
        if message.starts_with("unknown field `") {
            let name = names.first().copied().unwrap_or_default();
            let known: Vec<&str> = names.iter().skip(1).copied().chain(extra.iter().copied()).collect();
            fault.suggestion = nearest(name, &known).map(str::to_owned);
            fault.message = match (&fault.suggestion, &names[1..]) {
                (Some(near), _) => format!("unknown key; did you mean `{near}`?"),
                (None, []) => "unknown key; remove it or correct its name".to_owned(),
                (None, listed) => format!("unknown key; remove it or use one of {}", list(listed)),
            };
            fault.unknown = Some(name.to_owned());
        } else if message.starts_with("missing field `") {
            fault.message = "missing; add it".to_owned();
            fault.missing = names.first().map(|name| (*name).to_owned());
        } else if message.starts_with("unknown variant `") {
            fault.message = unknown_variant(&names);
        } else {
            fault.message = mismatch(message).unwrap_or_else(|| message.to_owned());
        }
        fault
    }
}

fn unknown_variant(names: &[&str]) -> String {
    let (name, known) = names.split_first().map_or(("", [].as_slice()), |(name, known)| (*name, known));
    match nearest(name, known) {
        Some(near) => format!("`{name}` is not known here; did you mean `{near}`?"),
        None => format!("`{name}` is not known here; use one of {}", list(known)),
    }
}

/// `invalid type: string "x", expected u32` as `expected a whole number …, found string "x"`.
fn mismatch(message: &str) -> Option<String> {
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let found = match found {
        "map" => "a table",
        "sequence" => "a list",
        other => other,
    };
    Some(format!("expected {}, found {found}", in_words(expected)))
}

fn in_words(expected: &str) -> String {
    let words = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        "a duration" => "a duration such as \"30s\" or \"5m\"",
        "path string" => "a path in quotes",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    words.to_owned()
}

/// The names between backticks.
fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The known name that `name` is most likely a slip of the keyboard for.
fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let allowed = (name.chars().count() / 3).max(1);
    let scored = known.iter().map(|candidate| (distance(name, candidate), *candidate));
    scored.filter(|(distance, _)| *distance <= allowed).min().map(|(_, candidate)| candidate)
}

/// Edit distance in which swapping two neighbours is one step (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (previous[j] + 1).min(row[j - 1] + 1).min(previous[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut previous, row);
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_keyboard_are_recognised() {
        let known = ["location", "regions", "role_arn"];
        assert_eq!(nearest("loction", &known), Some("location"));
        assert_eq!(nearest("regoins", &known), Some("regions"));
        assert_eq!(nearest("role-arn", &known), Some("role_arn"));
        assert_eq!(nearest("bucket", &known), None);
    }

    #[test]
    fn types_are_named_in_words() {
        let words = |message| Fault::new(message, &[]).message;
        assert_eq!(words("invalid type: map, expected a string"), "expected a string, found a table");
        assert_eq!(
            words("invalid value: integer `-1`, expected u16"),
            "expected a whole number from 0 to 65535, found integer `-1`"
        );
        assert_eq!(
            words("invalid value: string \"soon\", expected a duration"),
            "expected a duration such as \"30s\" or \"5m\", found string \"soon\""
        );
        assert_eq!(
            words("unknown variant `xml`, expected `text` or `json`"),
            "`xml` is not known here; use one of `text`, `json`"
        );
        assert_eq!(words("it is raining"), "it is raining");
    }
}
