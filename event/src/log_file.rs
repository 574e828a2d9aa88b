//! Log files: `{"Records":[…]}`, read into records and written from them.
//!
//! A record is handed out as a sub-slice of the file, never written anew (I5). A record that isn't right becomes a
//! [`BadRecord`] naming its place, and the file goes on behind it where that can be found by strings and brackets;
//! nothing between the first record and the end of the file goes unmentioned (I10). Does not own gzip or object keys.

mod writer;

use std::fmt;

pub use self::writer::Writer;
use crate::record::{Header, HeaderFields};
use crate::scan::{Fault, FaultKind, Scanner, blanks, key};

/// What a record may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Objects and arrays inside one another, the record itself being 1. Real records go to 12.
    pub depth_max: usize,
    /// Length of a record. CloudTrail's stop at 256 KB since version 1.05; older ones had no such limit.
    pub record_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth_max: 128, record_bytes_max: 16 << 20 }
    }
}

/// A record in its file.
#[derive(Clone, Debug)]
pub struct RawRecord<'a> {
    /// Where the record starts in the file.
    pub offset: usize,
    /// The record's own bytes, from `{` to `}`: valid JSON in valid UTF-8.
    pub raw: &'a [u8],
    /// Its top-level fields.
    pub header: Header<'a>,
}

/// A part of the file that is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Where it starts in the file.
    pub offset: usize,
    /// Its length; 0 if what is wrong is that something isn't there.
    pub len: usize,
    /// What is wrong with it.
    pub reason: BadReason,
}

/// What is wrong with a [`BadRecord`]. Offsets count from the start of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReason {
    /// It is valid JSON of another type.
    #[error("not an object")]
    NotAnObject,
    /// Objects or arrays lie deeper in one another than `depth_max`.
    #[error("deeper than {max}")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// It is longer than `record_bytes_max`.
    #[error("larger than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// It breaks JSON's grammar.
    #[error("invalid JSON at byte {at}: {what}")]
    InvalidJson {
        /// The first byte that can't be.
        at: usize,
        /// What is wrong there, or what should have been.
        what: &'static str,
    },
    /// It holds bytes that aren't UTF-8.
    #[error("invalid UTF-8 at byte {at}")]
    InvalidUtf8 {
        /// The first such byte.
        at: usize,
    },
    /// The file ends before the record does.
    #[error("file ends inside a record")]
    EndsInside,
    /// The file ends behind a record, before `Records` or the root object is closed.
    #[error("file ends before its closing brackets")]
    EndsOpen,
    /// There is more text behind the root object.
    #[error("text behind the end of the log file")]
    TrailingText,
}

impl BadReason {
    /// One word for metric labels.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::TooDeep { .. } => "too_deep",
            Self::TooLarge { .. } => "too_large",
            Self::InvalidJson { .. } => "invalid_json",
            Self::InvalidUtf8 { .. } => "invalid_utf8",
            Self::EndsInside => "ends_inside",
            Self::EndsOpen => "ends_open",
            Self::TrailingText => "trailing_text",
        }
    }
}

/// What a log file consists of.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are records, and none is kept")]
pub enum Item<'a> {
    /// A record.
    Record(RawRecord<'a>),
    /// Something else where a record should be.
    Bad(BadRecord),
}

/// Why the whole file is no log file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file isn't a JSON object, up to where `Records` should start.
    #[error("read log file: not a JSON object at byte {offset}: {what}")]
    NotJson {
        /// The first byte that can't be.
        offset: usize,
        /// What is wrong there, or what should have been.
        what: &'static str,
    },
    /// It is a JSON object, such as a digest or a bare record, without a `Records` array.
    #[error("read log file: no \"Records\" array in the root object")]
    NoRecords,
}

/// Starts reading a log file that was inflated. White space anywhere, a byte order mark, other keys beside `Records`
/// and a second `Records` are all taken.
pub fn read<'a>(json: &'a [u8], limits: &Limits) -> Result<Reader<'a>, Error> {
    read_array(json, "Records", limits)
}

/// The same of a file whose records stand in a root member of another name, which must be ASCII.
pub(crate) fn read_array<'a>(json: &'a [u8], array: &'static str, limits: &Limits) -> Result<Reader<'a>, Error> {
    let mut scanner = Scanner::new(limits.depth_max);
    let start = if json.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let start = blanks(json, start);
    let not_json = |offset, what| Error::NotJson { offset, what };
    if json.get(start) != Some(&b'{') {
        return Err(not_json(start, if start == json.len() { "nothing there" } else { "expected '{'" }));
    }
    let invalid_utf8 = std::str::from_utf8(json).err().map(|error| error.valid_up_to());
    let found = next_records(&mut scanner, json, array, start + 1, true).map_err(|fault| match fault.kind {
        FaultKind::End => not_json(fault.at, "file ends"),
        FaultKind::TooDeep => not_json(fault.at, "too deep"),
        FaultKind::Syntax(what) => not_json(fault.at, what),
    })?;
    match (found, invalid_utf8) {
        (Root::Records(at) | Root::End(at), Some(invalid)) if invalid < at => Err(not_json(invalid, "invalid UTF-8")),
        (Root::End(_), _) => Err(Error::NoRecords),
        (Root::Records(at), _) => {
            Ok(Reader { json, array, limits: *limits, scanner, at, state: State::FirstElement, invalid_utf8 })
        }
    }
}

/// The items of a log file, in the order of the file.
pub struct Reader<'a> {
    json: &'a [u8],
    /// The root's member that holds the records.
    array: &'static str,
    limits: Limits,
    scanner: Scanner,
    at: usize,
    state: State,
    /// The first byte that isn't UTF-8, as far as known: the file is right from the last item's end up to there.
    invalid_utf8: Option<usize>,
}

#[derive(Clone, Copy)]
enum State {
    /// Behind the `[` of `Records`.
    FirstElement,
    /// Behind a `,` of `Records`.
    Element,
    /// Behind an element.
    Separator,
    /// Behind the `]`.
    Root,
    Done,
}

impl<'a> Iterator for Reader<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.at = blanks(self.json, self.at);
            let byte = self.json.get(self.at);
            match (self.state, byte) {
                (State::Done, _) => return None,
                (State::FirstElement | State::Separator, Some(b']')) => {
                    self.at += 1;
                    self.state = State::Root;
                }
                (State::Separator, Some(b',')) => {
                    self.at += 1;
                    self.state = State::Element;
                }
                (State::FirstElement | State::Separator, None) => return Some(self.rest(self.at, BadReason::EndsOpen)),
                (State::Separator, Some(_)) => {
                    let reason = BadReason::InvalidJson { at: self.at, what: "expected ',' or ']'" };
                    return Some(self.bad(self.at, reason));
                }
                (State::FirstElement | State::Element, _) => return Some(self.element()),
                (State::Root, _) => {
                    if let Some(item) = self.root() {
                        return Some(item);
                    }
                }
            }
        }
    }
}

impl<'a> Reader<'a> {
    /// Reads the element at `self.at`.
    fn element(&mut self) -> Item<'a> {
        let start = self.at;
        let max = self.limits.record_bytes_max;
        // A record may not end behind the window, so the scanner never runs further than the limit.
        let window = self.json.get(..start.saturating_add(max)).unwrap_or(self.json);
        let is_object = window.get(start) == Some(&b'{');
        let mut fields = HeaderFields::default();
        let scanned = if is_object {
            self.scanner.object(window, start, |key, value| fields.take(key, value))
        } else {
            self.scanner.value(window, start, 0)
        };
        let end = match scanned {
            Ok(end) => end,
            Err(fault) => {
                let cut = window.len() < self.json.len();
                return match fault.kind {
                    FaultKind::End if cut => self.bad(start, BadReason::TooLarge { max }),
                    FaultKind::End => self.rest(start, BadReason::EndsInside),
                    FaultKind::TooDeep => self.bad(start, BadReason::TooDeep { max: self.limits.depth_max }),
                    FaultKind::Syntax(what) => self.bad(start, BadReason::InvalidJson { at: fault.at, what }),
                };
            }
        };
        self.at = end;
        self.state = State::Separator;
        let len = end - start;
        if let Some(at) = self.invalid_utf8_in(start, end) {
            return Item::Bad(BadRecord { offset: start, len, reason: BadReason::InvalidUtf8 { at } });
        }
        if !is_object {
            return Item::Bad(BadRecord { offset: start, len, reason: BadReason::NotAnObject });
        }
        Item::Record(RawRecord { offset: start, raw: &self.json[start..end], header: fields.finish() })
    }

    /// Reads on behind `Records`; None if there is nothing to say.
    fn root(&mut self) -> Option<Item<'a>> {
        let start = self.at;
        let (at, state) = match next_records(&mut self.scanner, self.json, self.array, start, false) {
            Ok(Root::Records(at)) => (at, State::FirstElement),
            Ok(Root::End(at)) => (at, State::Done),
            Err(Fault { kind: FaultKind::End, .. }) => return Some(self.rest(start, BadReason::EndsOpen)),
            Err(Fault { kind: FaultKind::TooDeep, .. }) => {
                return Some(self.rest(start, BadReason::TooDeep { max: self.limits.depth_max }));
            }
            Err(Fault { at, kind: FaultKind::Syntax(what) }) => {
                return Some(self.rest(start, BadReason::InvalidJson { at, what }));
            }
        };
        if let Some(at) = self.invalid_utf8_in(start, at) {
            return Some(self.rest(start, BadReason::InvalidUtf8 { at }));
        }
        self.at = blanks(self.json, at);
        self.state = state;
        let more = matches!(state, State::Done) && self.at < self.json.len();
        more.then(|| self.rest(self.at, BadReason::TrailingText))
    }

    /// The bad element that starts at `start`, up to where the next one can be found, or else up to the file's end.
    fn bad(&mut self, start: usize, reason: BadReason) -> Item<'a> {
        let Some(end) = self.scanner.element_end(self.json, start) else { return self.rest(start, reason) };
        self.at = end;
        self.state = State::Separator;
        // Only what JSON calls blank: a form feed, say, belongs to what is bad.
        let last = self.json[start..end].iter().rposition(|byte| !b" \t\r\n".contains(byte));
        let len = last.map_or(0, |last| last + 1);
        Item::Bad(BadRecord { offset: start, len, reason })
    }

    /// All that is left of the file from `start` on.
    fn rest(&mut self, start: usize, reason: BadReason) -> Item<'a> {
        self.state = State::Done;
        Item::Bad(BadRecord { offset: start, len: self.json.len() - start, reason })
    }

    /// The first byte of `start..end` that isn't UTF-8. Asked with growing ranges, the whole file is checked once.
    fn invalid_utf8_in(&mut self, start: usize, end: usize) -> Option<usize> {
        loop {
            let invalid = self.invalid_utf8.filter(|invalid| *invalid < end)?;
            let known = if invalid < start { start } else { end };
            self.invalid_utf8 = std::str::from_utf8(&self.json[known..]).err().map(|error| known + error.valid_up_to());
            if invalid >= start {
                return Some(invalid);
            }
        }
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("at", &self.at).field("of", &self.json.len()).finish_non_exhaustive()
    }
}

/// What comes next in the root object.
enum Root {
    /// The array of records, whose `[` ends here.
    Records(usize),
    /// The root's `}`, which ends here.
    End(usize),
}

/// Goes over members of the root up to an array of that name or the end. `first`: at the root's `{`, not behind a member.
fn next_records(
    scanner: &mut Scanner,
    json: &[u8],
    array: &str,
    mut at: usize,
    mut first: bool,
) -> Result<Root, Fault> {
    loop {
        at = blanks(json, at);
        match json.get(at) {
            Some(b'}') => return Ok(Root::End(at + 1)),
            Some(b',') if !first => at = blanks(json, at + 1),
            _ if first => {}
            _ => return Err(Fault::syntax(json, at, "expected ',' or '}'")),
        }
        first = false;
        let (key, value_at) = key(json, at)?;
        if key.is(array) && json.get(value_at) == Some(&b'[') {
            return Ok(Root::Records(value_at + 1));
        }
        at = scanner.value(json, value_at, 1)?;
    }
}

#[cfg(test)]
mod tests;
