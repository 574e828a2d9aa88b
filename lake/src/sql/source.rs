//! The text of a statement, and places in it.

use datafusion::sql::sqlparser::tokenizer::{Location, Span, TokenWithSpan};

use super::error::Place;

/// The text of a statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a>(pub(super) &'a str);

impl<'a> Source<'a> {
    /// Where a span begins; None for the span of what doesn't stand in the statement.
    pub(super) fn place(self, span: Span) -> Option<Place> {
        if span.start.line == 0 {
            return None;
        }
        let line = self.0.lines().nth(as_index(span.start.line)).unwrap_or_default();
        // A span's end is behind its last character.
        let length = match span.end.line == span.start.line {
            true => span.end.column.saturating_sub(span.start.column),
            false => line.chars().count() as u64 + 1 - span.start.column.min(line.chars().count() as u64),
        };
        Some(Place {
            line: span.start.line,
            column: span.start.column,
            length: length.max(1),
            text: line.replace('\t', " "),
        })
    }

    /// The place of one character.
    pub(super) fn place_at(self, at: Location) -> Option<Place> {
        self.place(Span::new(at, at))
    }

    /// The offset in bytes at which each token begins; the text's length last.
    pub(super) fn offsets(self, tokens: &[TokenWithSpan]) -> Vec<usize> {
        let mut offsets = Vec::with_capacity(tokens.len() + 1);
        let mut chars = self.0.char_indices().peekable();
        let mut here = Location::new(1, 1);
        for token in tokens {
            while (here.line, here.column) < (token.span.start.line, token.span.start.column)
                && let Some((_, char)) = chars.next()
            {
                here = match char {
                    '\n' => Location::new(here.line + 1, 1),
                    _ => Location::new(here.line, here.column + 1),
                };
            }
            offsets.push(chars.peek().map_or(self.0.len(), |(at, _)| *at));
        }
        offsets.push(self.0.len());
        offsets
    }
}

fn as_index(line: u64) -> usize {
    usize::try_from(line - 1).unwrap_or(usize::MAX)
}
