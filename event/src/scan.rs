//! A scanner for JSON text that checks the whole grammar of RFC 8259 and keeps nothing.
//!
//! It doesn't recurse, so depth costs a byte of its own stack and never the thread's. It doesn't check UTF-8, which the
//! caller does once for the whole buffer; all structure is ASCII, so the two checks don't meet. Duplicate keys, numbers
//! beyond any type and lone surrogates in `\u` escapes are grammatical, and real records have the first.
//!
//! Every record passes through here once, on its way into the journal. The few functions that each string passes are
//! inlined by force, which on published records took 0.7 s/GB to 0.5; `examples/scan_speed.rs` measures.

use std::borrow::Cow;

/// Why, and at which byte, the text isn't JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) kind: FaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The text ends too early, and is right so far.
    End,
    /// An object or array lies deeper than allowed.
    TooDeep,
    /// What is wrong, or what should have stood there.
    Syntax(&'static str),
}

impl Fault {
    pub(crate) fn end(json: &[u8]) -> Self {
        Self { at: json.len(), kind: FaultKind::End }
    }

    /// `what` is wrong at `at`, unless the text ends there.
    #[cold]
    pub(crate) fn syntax(json: &[u8], at: usize, what: &'static str) -> Self {
        if at >= json.len() { Self::end(json) } else { Self { at, kind: FaultKind::Syntax(what) } }
    }
}

/// What stands between the quotes of a string.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl<'a> Text<'a> {
    /// The string's value; None where it isn't UTF-8. Lone surrogates become U+FFFD.
    pub fn decode(self) -> Option<Cow<'a, str>> {
        let text = std::str::from_utf8(self.raw).ok()?;
        Some(if self.escaped { Cow::Owned(unescape(text)) } else { Cow::Borrowed(text) })
    }

    /// True if the string's value is `word`, which must be ASCII.
    pub fn is(self, word: &str) -> bool {
        if self.escaped { self.decode().as_deref() == Some(word) } else { self.raw == word.as_bytes() }
    }

    /// The bytes between the quotes, if they are the string's value as they stand.
    pub fn plain(self) -> Option<&'a [u8]> {
        (!self.escaped).then_some(self.raw)
    }

    /// The bytes between the quotes as they stand, with escapes if there are any.
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }
}

/// The value of an object's member, as far as a header needs it.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A string.
    Text(Text<'a>),
    /// `true`.
    True,
    /// `false`.
    False,
    /// `null`.
    Null,
    /// The text of a number, object or array.
    Other(&'a [u8]),
}

pub(crate) struct Scanner {
    /// One byte for each open object (`{`) or array (`[`).
    open: Vec<u8>,
    depth_max: usize,
}

impl Scanner {
    pub(crate) fn new(depth_max: usize) -> Self {
        Self { open: Vec::new(), depth_max }
    }

    /// Scans the object whose `{` is at `at`, which is depth 1, and shows `member` its members. Gives the offset behind
    /// its `}`.
    pub(crate) fn object<'a>(
        &mut self,
        json: &'a [u8],
        at: usize,
        mut member: impl FnMut(Text<'a>, Value<'a>),
    ) -> Result<usize, Fault> {
        if self.depth_max == 0 {
            return Err(Fault { at, kind: FaultKind::TooDeep });
        }
        let mut at = blanks(json, at + 1);
        if json.get(at) == Some(&b'}') {
            return Ok(at + 1);
        }
        loop {
            let (key, value_at) = key(json, at)?;
            let (value, end) = match json.get(value_at) {
                Some(b'"') => string(json, value_at).map(|(text, end)| (Value::Text(text), end))?,
                _ => {
                    let end = self.value(json, value_at, 1)?;
                    (plain_value(&json[value_at..end]), end)
                }
            };
            member(key, value);
            at = blanks(json, end);
            match json.get(at) {
                Some(b',') => at = blanks(json, at + 1),
                Some(b'}') => return Ok(at + 1),
                _ => return Err(Fault::syntax(json, at, "expected ',' or '}'")),
            }
        }
    }

    /// Scans the value that starts at `at` inside `above` open objects and arrays. Gives the offset behind it.
    pub(crate) fn value(&mut self, json: &[u8], mut at: usize, above: usize) -> Result<usize, Fault> {
        self.open.clear();
        loop {
            at = match json.get(at) {
                Some(b'"') => string(json, at)?.1,
                Some(&bracket @ (b'{' | b'[')) => {
                    if above + self.open.len() >= self.depth_max {
                        return Err(Fault { at, kind: FaultKind::TooDeep });
                    }
                    self.open.push(bracket);
                    let inside = blanks(json, at + 1);
                    match (bracket, json.get(inside)) {
                        // Closed below, like a filled one.
                        (b'{', Some(b'}')) | (b'[', Some(b']')) => inside,
                        (b'{', _) => {
                            at = key(json, inside)?.1;
                            continue;
                        }
                        _ => {
                            at = inside;
                            continue;
                        }
                    }
                }
                Some(b't') => literal(json, at, b"true")?,
                Some(b'f') => literal(json, at, b"false")?,
                Some(b'n') => literal(json, at, b"null")?,
                Some(b'-' | b'0'..=b'9') => number(json, at)?,
                _ => return Err(Fault::syntax(json, at, "expected a value")),
            };
            // Behind a value: close what ends here, then go to the next value.
            loop {
                let Some(&bracket) = self.open.last() else { return Ok(at) };
                at = blanks(json, at);
                match (bracket, json.get(at)) {
                    (b'{', Some(b',')) => {
                        at = key(json, blanks(json, at + 1))?.1;
                        break;
                    }
                    (b'[', Some(b',')) => {
                        at = blanks(json, at + 1);
                        break;
                    }
                    (b'{', Some(b'}')) | (b'[', Some(b']')) => {
                        self.open.pop();
                        at += 1;
                    }
                    (b'{', _) => return Err(Fault::syntax(json, at, "expected ',' or '}'")),
                    _ => return Err(Fault::syntax(json, at, "expected ',' or ']'")),
                }
            }
        }
    }

    /// Finds the end of a broken array element that starts at `at`: the offset of the `,` or `]` behind it, by strings
    /// and brackets alone.
    ///
    /// None if the text ends first, if a bracket is closed by one of the other shape, or at a backslash outside of
    /// strings. The last says that inside and outside have changed places: text that a caller of AWS chose, where quotes
    /// always follow a backslash, must never be taken for structure.
    pub(crate) fn element_end(&mut self, json: &[u8], mut at: usize) -> Option<usize> {
        self.open.clear();
        loop {
            match *json.get(at)? {
                b'"' => {
                    at = loose_string_end(json, at)?;
                    continue;
                }
                bracket @ (b'{' | b'[') => self.open.push(bracket),
                b',' | b']' if self.open.is_empty() => return Some(at),
                // A `}` too many, at the end of an otherwise good record.
                b'}' if self.open.is_empty() => {}
                closing @ (b'}' | b']') => {
                    let opening = if closing == b'}' { b'{' } else { b'[' };
                    if self.open.pop() != Some(opening) {
                        return None;
                    }
                }
                b'\\' => return None,
                _ => {}
            }
            at += 1;
        }
    }
}

/// The offset of the first byte at or behind `at` that isn't white space.
#[inline(always)]
pub(crate) fn blanks(json: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = json.get(at) {
        at += 1;
    }
    at
}

/// Scans a key and its colon. Gives the key and the offset of the value.
#[inline(always)]
pub(crate) fn key(json: &[u8], at: usize) -> Result<(Text<'_>, usize), Fault> {
    if json.get(at) != Some(&b'"') {
        return Err(Fault::syntax(json, at, "expected a key"));
    }
    let (key, end) = string(json, at)?;
    let colon = blanks(json, end);
    if json.get(colon) != Some(&b':') {
        return Err(Fault::syntax(json, colon, "expected ':'"));
    }
    Ok((key, blanks(json, colon + 1)))
}

/// Scans the string whose opening quote is at `open`. Gives it and the offset behind its closing quote.
#[inline(always)]
pub(crate) fn string(json: &[u8], open: usize) -> Result<(Text<'_>, usize), Fault> {
    let mut escaped = false;
    let mut at = open + 1;
    loop {
        at = string_stop(json, at);
        match json.get(at) {
            Some(b'"') => return Ok((Text { raw: &json[open + 1..at], escaped }, at + 1)),
            Some(b'\\') => {
                escaped = true;
                at = escape(json, at)?;
            }
            _ => return Err(Fault::syntax(json, at, "control character in a string")),
        }
    }
}

/// The offset of the first quote, backslash or control character at or behind `at`; the text's length if there is none.
///
/// Looks at eight bytes at a time: strings in records are mostly too short for a call of memchr to pay, and it can't
/// search for a range.
#[inline(always)]
fn string_stop(json: &[u8], mut at: usize) -> usize {
    while let Some(eight) = json.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let stops = stops(u64::from_le_bytes(*eight));
        if stops != 0 {
            return at + (stops.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = json.get(at) {
        if byte == b'"' || byte == b'\\' || byte < b' ' {
            break;
        }
        at += 1;
    }
    at
}

/// Sets the top bit of each byte that ends a run of plain string text. The lowest bit set is exact; higher ones may be
/// set by a borrow out of it.
fn stops(eight: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let quote = below(eight ^ (ONES * u64::from(b'"')), 1);
    let backslash = below(eight ^ (ONES * u64::from(b'\\')), 1);
    (quote | backslash | below(eight, b' ')) & TOPS
}

/// Scans the escape whose backslash is at `at`.
fn escape(json: &[u8], at: usize) -> Result<usize, Fault> {
    match json.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            for digit in at + 2..at + 6 {
                if !json.get(digit).is_some_and(u8::is_ascii_hexdigit) {
                    return Err(Fault::syntax(json, digit, "expected four hex digits"));
                }
            }
            Ok(at + 6)
        }
        _ => Err(Fault::syntax(json, at + 1, "unknown escape")),
    }
}

fn literal(json: &[u8], at: usize, word: &'static [u8]) -> Result<usize, Fault> {
    let rest = &json[at..];
    if rest.starts_with(word) {
        Ok(at + word.len())
    } else if word.starts_with(rest) {
        Err(Fault::end(json))
    } else {
        Err(Fault { at, kind: FaultKind::Syntax("expected a value") })
    }
}

fn number(json: &[u8], at: usize) -> Result<usize, Fault> {
    let mut at = if json[at] == b'-' { at + 1 } else { at };
    at = match json.get(at) {
        Some(b'0') => at + 1,
        _ => digits(json, at)?,
    };
    if json.get(at) == Some(&b'.') {
        at = digits(json, at + 1)?;
    }
    if let Some(b'e' | b'E') = json.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = json.get(at) {
            at += 1;
        }
        at = digits(json, at)?;
    }
    Ok(at)
}

/// One digit or more.
fn digits(json: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start;
    while let Some(b'0'..=b'9') = json.get(at) {
        at += 1;
    }
    if at == start { Err(Fault::syntax(json, at, "expected a digit")) } else { Ok(at) }
}

/// The value of which this is the text, once it was scanned; it isn't a string.
pub(crate) fn plain_value(text: &[u8]) -> Value<'_> {
    match text.first() {
        Some(b't') => Value::True,
        Some(b'f') => Value::False,
        Some(b'n') => Value::Null,
        _ => Value::Other(text),
    }
}

/// The offset behind the string that opens at `open`, whatever stands in it.
fn loose_string_end(json: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', json.get(at..)?)?;
        if json[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Undoes the escapes of a string that was scanned.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let mut chars = rest[at + 1..].chars();
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (char, behind) = unescape_unicode(&rest[at..]);
                out.push(char);
                rest = behind;
                continue;
            }
            Some(char) => out.push(char),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// Reads `\uXXXX`, or two of them that make a pair. Gives the character and the text behind.
fn unescape_unicode(text: &str) -> (char, &str) {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let behind = |length: usize| text.get(length..).unwrap_or_default();
    let Some(first) = unit(text) else { return (char::REPLACEMENT_CHARACTER, behind(2)) };
    if let Some(char) = char::from_u32(u32::from(first)) {
        return (char, behind(6));
    }
    match unit(behind(6)).map(|second| char::decode_utf16([first, second]).next()) {
        Some(Some(Ok(pair))) => (pair, behind(12)),
        _ => (char::REPLACEMENT_CHARACTER, behind(6)),
    }
}

#[cfg(test)]
mod tests;
