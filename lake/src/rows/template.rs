//! Templates: a record's text with a hole for each value that stands in a column.
//!
//! Owns the notation. A hole is the byte 1 and the leaf's number, or the byte 2, the leaf's number and an element's index,
//! numbers and indices as one ASCII byte from space on. JSON has no such bytes outside of escapes, so nothing else looks
//! like a hole. Records of one event and producer share a template, so a column of templates takes next to nothing.
//!
//! A record whose text can't be put together again so (a member that stands twice, an escape that isn't the usual one) is
//! its own template, without a hole: nothing is ever lost, some rows are only larger.

/// The first byte of a leaf's number or an element's index.
const BASE: u8 = b' ';
/// Numbers and indices from here on can't be written: 95 is the last ASCII byte that prints.
pub(crate) const NUMBERS: usize = 95;

const VALUE: u8 = 1;
const ELEMENT: u8 = 2;

/// Builds the template of one record after another.
#[derive(Debug, Default)]
pub(crate) struct Template {
    holes: Vec<Hole>,
    is_verbatim: bool,
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Hole {
    start: usize,
    end: usize,
    leaf: u8,
    element: Option<u8>,
}

impl Template {
    /// Begins another record.
    pub(crate) fn begin(&mut self) {
        self.holes.clear();
        self.is_verbatim = false;
        self.text.clear();
    }

    /// Says that `start..end` of the record is in a leaf, of an element of its list if it lies in one.
    pub(crate) fn hole(&mut self, start: usize, end: usize, leaf: usize, element: Option<usize>) {
        if leaf >= NUMBERS || element.is_some_and(|element| element >= NUMBERS) {
            return;
        }
        let byte = |number: usize| BASE + number as u8;
        self.holes.push(Hole { start, end, leaf: byte(leaf), element: element.map(byte) });
    }

    /// Says that the record has to be its own template.
    pub(crate) fn verbatim(&mut self) {
        self.is_verbatim = true;
    }

    /// The template of `raw`.
    pub(crate) fn finish(&mut self, raw: &[u8]) -> &[u8] {
        self.text.clear();
        let mut from = 0;
        let holes = if self.is_verbatim { &[] } else { self.holes.as_slice() };
        for hole in holes {
            self.text.extend_from_slice(&raw[from..hole.start]);
            match hole.element {
                None => self.text.extend_from_slice(&[VALUE, hole.leaf]),
                Some(element) => self.text.extend_from_slice(&[ELEMENT, hole.leaf, element]),
            }
            from = hole.end;
        }
        self.text.extend_from_slice(&raw[from..]);
        &self.text
    }
}

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Text that stands as it is.
    Text(&'a str),
    /// The value of a leaf, of an element of its list if it lies in one.
    Hole { leaf: usize, element: Option<usize> },
}

/// The pieces of a template, in their order. A hole that is cut off ends it.
pub(crate) fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        let next = memchr::memchr2(VALUE, ELEMENT, rest.as_bytes()).unwrap_or(rest.len());
        if next > 0 {
            let (text, behind) = rest.split_at(next);
            rest = behind;
            return Some(Piece::Text(text));
        }
        let number = |at: usize| rest.as_bytes().get(at).map(|byte| usize::from(byte.wrapping_sub(BASE)));
        let (hole, len) = match rest.as_bytes().first()? {
            &VALUE => (Piece::Hole { leaf: number(1)?, element: None }, 2),
            _ => (Piece::Hole { leaf: number(1)?, element: Some(number(2)?) }, 3),
        };
        rest = rest.get(len..)?;
        Some(hole)
    })
}

/// Writes a string's value as JSON does, in the usual way: only what has to be escaped is.
pub(crate) fn escape(value: &str, out: &mut Vec<u8>) {
    // Hardly any has to be. Without an early end this looks at many bytes at once.
    if !value.bytes().fold(false, |any, byte| any | matches!(byte, b'"' | b'\\' | 0..=31)) {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    let mut from = 0;
    for (at, byte) in value.bytes().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            8 => b"\\b",
            12 => b"\\f",
            0..=31 => {
                out.extend_from_slice(&value.as_bytes()[from..at]);
                out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                from = at + 1;
                continue;
            }
            _ => continue,
        };
        out.extend_from_slice(&value.as_bytes()[from..at]);
        out.extend_from_slice(escaped);
        from = at + 1;
    }
    out.extend_from_slice(&value.as_bytes()[from..]);
}
