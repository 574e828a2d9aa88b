//! Values inside JSON text, found by path, for whoever asks questions of the text itself.
//!
//! Owns JSONPath as Trino's `json_extract` reads it, and what a found value says. Nothing is parsed into a tree, and a miss
//! allocates nothing: most texts that a query looks into don't hold the key at all, which a substring search tells.
//!
//! Text that is no JSON never fails here: it finds nothing, or what its readable beginning holds. Of a key that stands
//! twice, the last counts.

use std::borrow::Cow;

use memchr::memmem::Finder;

use crate::record::nested::{next_item, value_end};
use crate::scan::{Text, blanks, string};

/// A place inside JSON text: names of members and positions of elements, from the outside to the inside.
#[derive(Clone, Debug)]
pub struct Path {
    steps: Vec<Step>,
}

/// Why a text is no path, and at which byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at character {}", at + 1)]
pub struct PathError {
    /// The offset in bytes.
    pub at: usize,
    /// What is wrong, or what should have stood there.
    pub what: &'static str,
}

#[derive(Clone, Debug)]
struct Step {
    name: String,
    /// The name in quotes, as it stands in text without escapes.
    quoted: Finder<'static>,
    /// The position in an array, if the name is a number.
    index: Option<usize>,
}

impl Step {
    fn new(name: String) -> Self {
        let index = name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok()).flatten();
        Self { quoted: Finder::new(format!("\"{name}\"").as_bytes()).into_owned(), name, index }
    }

    /// False if no key in `json` is this name. A key may be written with escapes, so a backslash makes it uncertain.
    fn may_stand_in(&self, json: &str) -> bool {
        self.quoted.find(json.as_bytes()).is_some() || memchr::memchr(b'\\', json.as_bytes()).is_some()
    }

    fn of_object<'a>(&self, json: &'a str) -> Option<&'a str> {
        let mut found = None;
        let mut members = Items::of(json);
        while let Some((name, raw)) = members.next() {
            if name.is_some_and(|name| name.is(&self.name)) {
                found = Some(raw);
                if !self.may_stand_in(&json[members.at..]) {
                    break;
                }
            }
        }
        found
    }
}

impl Path {
    /// The member `name` of an object. Not read as a path: the name may have any characters.
    pub fn member(name: &str) -> Self {
        Self { steps: vec![Step::new(name.to_owned())] }
    }

    /// Reads a path such as `$.a.b[0]['k']["l"]`. After a dot, names are of letters, digits, `_`, `-`, `:` and `$`; in
    /// brackets a number is the position of an element, counted from 0, and quotes allow any name.
    ///
    /// # Errors
    /// The text is no path, or has wildcards, which select more than one value.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mut at = usize::from(text.starts_with('$'));
        // As Trino has it, a path may begin with a name.
        let mut steps = Vec::new();
        if at == 0 {
            let (name, end) = name(text, 0)?;
            steps.push(Step::new(name));
            at = end;
        }
        while let Some(&byte) = text.as_bytes().get(at) {
            let (name, end) = match byte {
                b'.' => name(text, at + 1)?,
                b'[' => subscript(text, at + 1)?,
                _ => return Err(PathError { at, what: "expected '.' or '['" }),
            };
            steps.push(Step::new(name));
            at = end;
        }
        Ok(Self { steps })
    }

    /// The value at this place in `json`.
    pub fn find<'a>(&self, json: &'a str) -> Option<Found<'a>> {
        // The innermost name is the rarest.
        if let Some(last) = self.steps.iter().rfind(|step| step.index.is_none())
            && !last.may_stand_in(json)
        {
            return None;
        }
        let mut value = whole(json)?;
        for step in &self.steps {
            value = match value.as_bytes().first()? {
                b'{' => step.of_object(value)?,
                b'[' => Items::of(value).nth(step.index?)?.1,
                _ => return None,
            };
        }
        Some(Found(value))
    }
}

/// A name behind a dot, and the offset behind it.
fn name(text: &str, at: usize) -> Result<(String, usize), PathError> {
    let is_part = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | ':' | '$');
    let length = text[at..].find(|char| !is_part(char)).unwrap_or(text.len() - at);
    match length {
        0 if text[at..].starts_with(['*', '.']) => Err(PathError { at, what: "wildcards are not supported" }),
        0 => Err(PathError { at, what: "expected a name" }),
        _ => Ok((text[at..at + length].to_owned(), at + length)),
    }
}

/// What stands between brackets, and the offset behind them.
fn subscript(text: &str, at: usize) -> Result<(String, usize), PathError> {
    let close = |at: usize| match text.as_bytes().get(at) {
        Some(b']') => Ok(at + 1),
        _ => Err(PathError { at, what: "expected ']'" }),
    };
    let quote = match text.as_bytes().get(at) {
        Some(quote @ (b'\'' | b'"')) => char::from(*quote),
        Some(b'*') => return Err(PathError { at, what: "wildcards are not supported" }),
        _ => {
            let (name, end) = name(text, at)?;
            return Ok((name, close(end)?));
        }
    };
    let mut name = String::new();
    let mut chars = text[at + 1..].char_indices();
    while let Some((offset, char)) = chars.next() {
        match char {
            '\\' => name.extend(chars.next().map(|(_, char)| char)),
            _ if char == quote => return Ok((name, close(at + 1 + offset + 1)?)),
            _ => name.push(char),
        }
    }
    Err(PathError { at, what: "the quote is not closed" })
}

/// A value inside JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a>(&'a str);

impl<'a> Found<'a> {
    /// The value that is the whole text.
    pub fn whole(json: &'a str) -> Option<Self> {
        whole(json).map(Self)
    }

    /// The value's JSON, as it stands in the text.
    pub fn json(self) -> &'a str {
        self.0
    }

    /// A string's value; the JSON of all else. None for `null`.
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self.0 {
            json if json.starts_with('"') => {
                let (text, end) = string(json.as_bytes(), 0).ok()?;
                match text.plain() {
                    Some(_) => json.get(1..end - 1).map(Cow::Borrowed),
                    None => text.decode(),
                }
            }
            "null" => None,
            json => Some(Cow::Borrowed(json)),
        }
    }

    /// As [`text`](Self::text), but None for objects and arrays.
    pub fn scalar(self) -> Option<Cow<'a, str>> {
        if self.0.starts_with(['{', '[']) { None } else { self.text() }
    }

    /// The elements, if this is an array.
    pub fn elements(self) -> Option<impl Iterator<Item = Found<'a>> + use<'a>> {
        let items = self.0.starts_with('[').then(|| Items::of(self.0))?;
        Some(items.map(|(_, raw)| Found(raw)))
    }
}

/// The one value that `json` is, without the blanks around it.
fn whole(json: &str) -> Option<&str> {
    let text = json[blanks(json.as_bytes(), 0)..].trim_ascii_end();
    (!text.is_empty()).then_some(text)
}

/// Goes over an object's members or an array's elements.
struct Items<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Items<'a> {
    fn of(json: &'a str) -> Self {
        Self { json, at: 1 }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = (Option<Text<'a>>, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let json = self.json.as_bytes();
        let (name, at) = next_item(json, self.at)?;
        let end = value_end(json, at)?;
        self.at = end;
        Some((name, self.json.get(at..end)?))
    }
}

#[cfg(test)]
mod tests;
