//! Splits exported logs into records, whatever they were exported as, a buffer at a time.
//!
//! Taken are records one after the other or in an array, in an object's `Records` as CloudTrail writes it or in its `Events`
//! as `aws cloudtrail lookup-events` prints it, each on one line or over many, and any mixture. Owns where a record begins
//! and ends; its bytes are handed out as they stand (I5), those inside a `CloudTrailEvent` text as the text says. Does not
//! own reading files, nor what a record must hold.
//!
//! What is no record is handed out as a bad stretch: records and bad stretches together leave nothing out but white space,
//! separators and the members around `Records`. It is looser than [`crate::log_file`], which CloudTrail's own files are
//! read with: separators are not asked for.

use std::borrow::Cow;

use memchr::memmem;

use crate::log_file::{BadReason, Limits, RawRecord};
use crate::record::HeaderFields;
use crate::scan::{Fault, FaultKind, Scanner, Text, blanks, key, string};

/// The byte order mark in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What was found next. Offsets count from the start of the file.
#[derive(Debug)]
pub enum Found<'b> {
    /// A JSON object that stands where a record should be.
    Record {
        /// Where it starts.
        offset: u64,
        /// Its own bytes.
        raw: &'b [u8],
    },
    /// The record that a `CloudTrailEvent` holds as text.
    Wrapped {
        /// Where the object around it starts.
        offset: u64,
        /// The record.
        text: Cow<'b, str>,
    },
    /// Something else.
    Bad {
        /// Where it starts.
        offset: u64,
        /// Its length.
        len: u64,
        /// What is wrong with it.
        reason: BadReason,
    },
    /// Nothing more in this buffer: call again with what was not used and more behind it.
    More,
    /// The file is over.
    End,
}

/// Reads one file.
pub struct Splitter {
    limits: Limits,
    scanner: Scanner,
    /// Offset of the next buffer's first byte.
    base: u64,
    place: Place,
    /// Begun within a file: brackets that were opened before are closed without a word.
    resumed: bool,
}

#[derive(Debug, Clone)]
enum Place {
    /// Outside of everything.
    Top,
    /// In an array; with `root`, in a member of an object.
    Array { root: bool },
    /// In an object, behind its array.
    Root,
    /// In a bad stretch that began there. With `ends`, it lasts until a line that begins an object or array, else for ever.
    Garbage { from: u64, reason: BadReason, ends: bool },
}

/// How an object is to be taken.
enum Object<'b> {
    /// A member that holds records; they begin here.
    Envelope(usize),
    Record(usize),
    Wrapped(usize, Text<'b>),
}

impl std::fmt::Debug for Splitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Splitter").field("base", &self.base).field("place", &self.place).finish_non_exhaustive()
    }
}

impl Splitter {
    /// For a file from its beginning.
    pub fn new(limits: Limits) -> Self {
        Self { limits, scanner: Scanner::new(limits.depth_max), base: 0, place: Place::Top, resumed: false }
    }

    /// For a file from an offset at which a record was found before.
    pub fn resume(limits: Limits, offset: u64) -> Self {
        Self { base: offset, resumed: true, ..Self::new(limits) }
    }

    /// What comes next in `buffer`, and how many of its bytes are used up: the next buffer begins behind them. `last`: the
    /// file ends with this buffer. A buffer of `record_bytes_max` and a little always suffices.
    pub fn next<'b>(&mut self, buffer: &'b [u8], last: bool) -> (usize, Found<'b>) {
        let (used, found) = self.find(buffer, last);
        self.base += used as u64;
        (used, found)
    }

    fn find<'b>(&mut self, buffer: &'b [u8], last: bool) -> (usize, Found<'b>) {
        if self.base == 0 && !last && MARK.starts_with(buffer) {
            return (0, Found::More);
        }
        let mut at = if self.base == 0 && buffer.starts_with(MARK) { MARK.len() } else { 0 };
        loop {
            if let Place::Garbage { from, ref reason, ends } = self.place {
                let reason = reason.clone();
                return self.garbage(buffer, at, last, (from, reason, ends));
            }
            at = blanks(buffer, at);
            let Some(&byte) = buffer.get(at) else {
                return if last { self.over(at) } else { (at, Found::More) };
            };
            let in_array = matches!(self.place, Place::Array { .. });
            match (&self.place, byte) {
                (_, b',') => at += 1,
                (Place::Array { root }, b']') => {
                    self.place = if *root { Place::Root } else { Place::Top };
                    at += 1;
                }
                (Place::Root, b'}') => {
                    self.place = Place::Top;
                    at += 1;
                }
                (Place::Top, b']' | b'}') if self.resumed => at += 1,
                (Place::Top, b'[') => {
                    self.place = Place::Array { root: false };
                    at += 1;
                }
                (Place::Root, _) => match self.members(buffer, at, false) {
                    Ok(Object::Envelope(begin)) => (self.place, at) = (Place::Array { root: true }, begin),
                    Ok(Object::Record(end) | Object::Wrapped(end, _)) => (self.place, at) = (Place::Top, end),
                    Err(fault) => match self.fault(buffer, at, last, fault, false) {
                        Some(more) => return more,
                        None => continue,
                    },
                },
                (_, b'{') => match self.members(buffer, at, true) {
                    Ok(Object::Envelope(begin)) if !in_array => {
                        (self.place, at) = (Place::Array { root: true }, begin);
                    }
                    Ok(Object::Envelope(_)) => match self.scanner.value(buffer, at, 0) {
                        Ok(end) => return self.record(buffer, at, end),
                        Err(fault) => match self.fault(buffer, at, last, fault, in_array) {
                            Some(more) => return more,
                            None => continue,
                        },
                    },
                    Ok(Object::Record(end)) => return self.record(buffer, at, end),
                    Ok(Object::Wrapped(end, text)) => {
                        let offset = self.base + at as u64;
                        let reason = BadReason::InvalidUtf8 { at: offset as usize };
                        let bad = Found::Bad { offset, len: (end - at) as u64, reason };
                        return (end, text.decode().map_or(bad, |text| Found::Wrapped { offset, text }));
                    }
                    Err(fault) => match self.fault(buffer, at, last, fault, in_array) {
                        Some(more) => return more,
                        None => continue,
                    },
                },
                (Place::Array { .. }, _) => match self.scanner.value(buffer, at, 0) {
                    // A number's end shows by what is behind it.
                    Ok(end) if end == buffer.len() && !last => return (at, Found::More),
                    Ok(end) => return (end, self.bad(at, end - at, BadReason::NotAnObject)),
                    Err(fault) => match self.fault(buffer, at, last, fault, true) {
                        Some(more) => return more,
                        None => continue,
                    },
                },
                (Place::Top | Place::Garbage { .. }, _) => {
                    self.lose(
                        at,
                        BadReason::InvalidJson { at: (self.base + at as u64) as usize, what: "expected '{' or '['" },
                        true,
                    );
                }
            }
        }
    }

    fn record<'b>(&self, buffer: &'b [u8], at: usize, end: usize) -> (usize, Found<'b>) {
        if end - at > self.limits.record_bytes_max {
            return (end, self.bad(at, end - at, BadReason::TooLarge { max: self.limits.record_bytes_max }));
        }
        (end, Found::Record { offset: self.base + at as u64, raw: &buffer[at..end] })
    }

    fn bad<'b>(&self, at: usize, len: usize, reason: BadReason) -> Found<'b> {
        Found::Bad { offset: self.base + at as u64, len: len as u64, reason }
    }

    /// From here on is garbage.
    fn lose(&mut self, at: usize, reason: BadReason, ends: bool) {
        self.place = Place::Garbage { from: self.base + at as u64, reason, ends };
    }

    /// The text ends.
    fn over<'b>(&mut self, at: usize) -> (usize, Found<'b>) {
        match std::mem::replace(&mut self.place, Place::Top) {
            Place::Array { .. } | Place::Root => (at, self.bad(at, 0, BadReason::EndsOpen)),
            _ => (at, Found::End),
        }
    }

    /// Goes over the members of an object: from its `{` with `first`, else behind one of them.
    fn members<'b>(&mut self, json: &'b [u8], start: usize, first: bool) -> Result<Object<'b>, Fault> {
        let (mut at, mut wrapped, mut is_record) = (start + usize::from(first), None, false);
        loop {
            at = blanks(json, at);
            match json.get(at) {
                Some(b'}') => {
                    return Ok(match wrapped.filter(|_| !is_record) {
                        Some(text) => Object::Wrapped(at + 1, text),
                        None => Object::Record(at + 1),
                    });
                }
                Some(b',') => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let (name, value_at) = key(json, at)?;
            if json.get(value_at) == Some(&b'[') && (name.is("Records") || name.is("Events")) {
                return Ok(Object::Envelope(value_at + 1));
            }
            is_record |= name.is("eventVersion") || name.is("eventTime");
            at = match json.get(value_at) {
                Some(b'"') => {
                    let (text, end) = string(json, value_at)?;
                    if name.is("CloudTrailEvent") {
                        wrapped = Some(text);
                    }
                    end
                }
                _ => self.scanner.value(json, value_at, 1)?,
            };
        }
    }

    /// What a fault at an element means: more is needed, or a bad element, or garbage (`None`).
    fn fault<'b>(
        &mut self,
        buffer: &'b [u8],
        at: usize,
        last: bool,
        fault: Fault,
        in_array: bool,
    ) -> Option<(usize, Found<'b>)> {
        let max = self.limits.record_bytes_max;
        let fits = buffer.len() - at <= max;
        let at_file = (self.base + fault.at as u64) as usize;
        let reason = match fault.kind {
            FaultKind::End if !last && fits => return Some((at, Found::More)),
            FaultKind::End if !fits => BadReason::TooLarge { max },
            FaultKind::End => BadReason::EndsInside,
            FaultKind::TooDeep => BadReason::TooDeep { max: self.limits.depth_max },
            FaultKind::Syntax(what) => BadReason::InvalidJson { at: at_file, what },
        };
        if in_array {
            match self.scanner.element_end(buffer, at) {
                Some(end) => return Some((end, self.bad(at, end - at, reason))),
                None if !last && fits => return Some((at, Found::More)),
                None => {}
            }
        }
        self.lose(at, reason, !in_array);
        None
    }

    /// The end of a bad stretch.
    fn garbage<'b>(
        &mut self,
        buffer: &'b [u8],
        at: usize,
        last: bool,
        (from, reason, ends): (u64, BadReason, bool),
    ) -> (usize, Found<'b>) {
        let next = [&b"\n{"[..], b"\n["].map(|line| memmem::find(&buffer[at..], line));
        let next = next.into_iter().flatten().min().filter(|_| ends).map(|found| at + found + 1);
        let end = match next {
            Some(end) => end,
            None if last => buffer.len(),
            // The line feed may be the last byte.
            None => return (buffer.len().saturating_sub(1).max(at), Found::More),
        };
        self.place = Place::Top;
        (end, Found::Bad { offset: from, len: self.base + end as u64 - from, reason })
    }
}

/// Reads a record that a [`Splitter`] found.
pub fn record<'a>(raw: &'a [u8], limits: &Limits) -> Result<RawRecord<'a>, BadReason> {
    if let Err(error) = std::str::from_utf8(raw) {
        return Err(BadReason::InvalidUtf8 { at: error.valid_up_to() });
    }
    let start = blanks(raw, 0);
    let mut fields = HeaderFields::default();
    if raw.get(start) != Some(&b'{') {
        return Err(BadReason::NotAnObject);
    }
    let scanned = Scanner::new(limits.depth_max).object(raw, start, |key, value| fields.take(key, value));
    let end = scanned.map_err(|fault| match fault.kind {
        FaultKind::End => BadReason::EndsInside,
        FaultKind::TooDeep => BadReason::TooDeep { max: limits.depth_max },
        FaultKind::Syntax(what) => BadReason::InvalidJson { at: fault.at, what },
    })?;
    if blanks(raw, end) < raw.len() {
        return Err(BadReason::TrailingText);
    }
    Ok(RawRecord { offset: start, raw: &raw[start..end], header: fields.finish() })
}

#[cfg(test)]
mod tests;
