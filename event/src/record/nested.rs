//! What lies deeper in a record than its top level, read when somebody asks for it.
//!
//! A header keeps the text of a few nested fields and reads nothing of them, because most records are never asked. Reading
//! allocates nothing but strings with escapes, and is as lenient as the header: a member of another type than expected is
//! None. Does not check JSON: only text that [`crate::scan`] has checked comes here.

use std::borrow::Cow;

use crate::scan::{Text, Value, blanks, key, plain_value, string};

/// A field that holds an object or an array, as its text stands in the record. Empty if the field is absent or of another
/// type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nested<'a>(Option<&'a [u8]>);

impl<'a> Nested<'a> {
    /// The field of this value.
    pub fn of(value: Value<'a>) -> Self {
        match value {
            Value::Other(text) if matches!(text.first(), Some(b'{' | b'[')) => Self(Some(text)),
            _ => Self(None),
        }
    }

    /// A whole record, whose JSON was checked: the text of a [`RawRecord`](crate::log_file::RawRecord).
    pub fn record(raw: &'a [u8]) -> Self {
        Self(Some(raw))
    }

    /// The field's JSON, if it is an object or an array.
    pub fn raw(self) -> Option<&'a [u8]> {
        self.0
    }

    /// The string under `name`, if this is an object with one. Of a key that stands twice, the last counts.
    pub fn text(self, name: &str) -> Option<Cow<'a, str>> {
        match self.member(name)? {
            Value::Text(text) => text.decode(),
            _ => None,
        }
    }

    /// The object or array under `name`.
    pub fn nested(self, name: &str) -> Self {
        self.member(name).map_or(Self(None), Self::of)
    }

    /// The objects in this array; of an object, itself: some services don't wrap a single element.
    pub fn elements(self) -> impl Iterator<Item = Self> + use<'a> {
        let json = self.0.unwrap_or_default();
        let mut walk = Walk::new(json);
        let mut itself = (!walk.in_array && !json.is_empty()).then_some(self);
        std::iter::from_fn(move || {
            if !walk.in_array {
                return itself.take();
            }
            loop {
                if let element @ Self(Some([b'{', ..])) = Self::of(walk.next()?.1) {
                    return Some(element);
                }
            }
        })
    }

    /// The members of this object.
    pub fn members(self) -> impl Iterator<Item = (Text<'a>, Value<'a>)> + use<'a> {
        Walk::new(self.0.unwrap_or_default()).filter_map(|(name, value)| Some((name?, value)))
    }

    fn member(self, name: &str) -> Option<Value<'a>> {
        self.members().filter(|(key, _)| key.is(name)).last().map(|(_, value)| value)
    }
}

/// Goes over an object's members or an array's elements.
struct Walk<'a> {
    json: &'a [u8],
    at: usize,
    in_array: bool,
}

impl<'a> Walk<'a> {
    fn new(json: &'a [u8]) -> Self {
        Self { json, at: 1, in_array: json.first() == Some(&b'[') }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = (Option<Text<'a>>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, at) = next_item(self.json, self.at)?;
        let (value, end) = value(self.json, at)?;
        self.at = end;
        Some((name, value))
    }
}

/// The next member's name or the next element's None, and where its value starts. `at` is behind the item before it, or behind
/// the opening bracket.
pub(crate) fn next_item(json: &[u8], at: usize) -> Option<(Option<Text<'_>>, usize)> {
    let mut at = blanks(json, at);
    if let Some(b',') = json.get(at) {
        at = blanks(json, at + 1);
    }
    match (json.get(at), json.first()?) {
        (None | Some(b'}' | b']'), _) => None,
        (_, b'[') => Some((None, at)),
        _ => key(json, at).ok().map(|(name, at)| (Some(name), at)),
    }
}

/// The value that starts at `at`, and the offset behind it.
fn value(json: &[u8], at: usize) -> Option<(Value<'_>, usize)> {
    if json.get(at) == Some(&b'"') {
        return string(json, at).ok().map(|(text, end)| (Value::Text(text), end));
    }
    let end = value_end(json, at)?;
    Some((plain_value(&json[at..end]), end))
}

/// The offset behind the value that starts at `at`.
pub(crate) fn value_end(json: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut end = at;
    loop {
        match json.get(end)? {
            b'"' => {
                end = string(json, end).ok()?.1;
                if depth == 0 {
                    return Some(end);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 1 => depth -= 1,
            b'}' | b']' if depth == 1 => return Some(end + 1),
            // Behind a number or a word.
            b'}' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return Some(end),
            _ => {}
        }
        end += 1;
    }
}
