//! An aligned table for people: no borders, NULL shown empty, numbers at the right.
//!
//! The first rows decide how wide columns are. On a terminal, columns are narrowed until they fit and longer values cut;
//! where not even that fits, each row is shown as a block of its own, a line a column, without those that are NULL. What is
//! not a terminal gets every value whole. Characters that would steer a terminal are shown escaped: values of records come
//! from whoever sent the request.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::cell::{Cells, Style, is_number};
use super::{Encoder, Failure};

/// Rows that decide the widths, if they are not too large.
const SAMPLE_ROWS: usize = 1000;
/// Bytes of text after which no more rows are waited for.
const SAMPLE_BYTES: usize = 4 << 20;
/// Between two columns.
const GAP: &str = "  ";
/// What a column is not narrowed below, in characters.
const NARROWEST: usize = 8;
/// What one value does not widen all rows beyond, where nothing is cut.
const PADDED_MAX: usize = 80;
/// Stands for what was cut.
const CUT: char = '…';

/// Writes a table.
pub(crate) struct Table<W> {
    out: W,
    style: Style,
    /// Characters of a terminal's line. `None`: no terminal.
    terminal: Option<usize>,
    names: Vec<String>,
    numbers: Vec<bool>,
    sample: Vec<Vec<Option<String>>>,
    sample_bytes: usize,
    layout: Option<Layout>,
    /// Rows written so far.
    rows: u64,
}

enum Layout {
    /// Widths of columns.
    Columns(Vec<usize>),
    /// A block a row; the width of the longest name.
    Blocks(usize),
}

impl<W: Write> Table<W> {
    pub(crate) fn new(out: W, schema: &Schema, terminal: Option<usize>) -> Self {
        let names = schema.fields().iter().map(|field| visible(field.name())).collect();
        let numbers = schema.fields().iter().map(|field| is_number(field)).collect();
        let (style, sample) = (Style::default(), Vec::new());
        Self { out, style, terminal, names, numbers, sample, sample_bytes: 0, layout: None, rows: 0 }
    }

    fn decide(&self) -> Layout {
        let widths: Vec<usize> = (0..self.names.len())
            .map(|index| {
                let values = self.sample.iter().filter_map(|row| row[index].as_deref());
                values.map(str::width).fold(self.names[index].width(), usize::max)
            })
            .collect();
        match self.terminal {
            None => Layout::Columns(widths.into_iter().map(|width| width.min(PADDED_MAX)).collect()),
            Some(terminal) => match fit(&widths, terminal) {
                Some(widths) => Layout::Columns(widths),
                None => Layout::Blocks(self.names.iter().map(|name| name.width()).max().unwrap_or(0)),
            },
        }
    }

    /// Decides on the layout, and writes what waited for that.
    fn begin(&mut self) -> Result<(), Failure> {
        let layout = self.decide();
        if let Layout::Columns(widths) = &layout {
            let names: Vec<_> = self.names.iter().map(|name| Some(name.clone())).collect();
            self.line(widths, &names)?;
            let rules: Vec<_> = widths.iter().map(|width| Some("-".repeat(*width))).collect();
            self.line(widths, &rules)?;
        }
        self.layout = Some(layout);
        for row in std::mem::take(&mut self.sample) {
            self.row(&row)?;
        }
        Ok(())
    }

    fn row(&mut self, row: &[Option<String>]) -> Result<(), Failure> {
        self.rows += 1;
        match self.layout.take() {
            Some(Layout::Columns(widths)) => {
                self.line(&widths, row)?;
                self.layout = Some(Layout::Columns(widths));
            }
            Some(Layout::Blocks(width)) => {
                writeln!(self.out, "-[ {} ]{}", self.rows, "-".repeat(width))?;
                for (name, value) in self.names.iter().zip(row) {
                    if let Some(value) = value {
                        writeln!(self.out, "{name}{:pad$}{GAP}{value}", "", pad = width - name.width())?;
                    }
                }
                self.layout = Some(Layout::Blocks(width));
            }
            None => {}
        }
        Ok(())
    }

    fn line(&mut self, widths: &[usize], row: &[Option<String>]) -> Result<(), Failure> {
        let mut line = String::new();
        for (index, (value, width)) in row.iter().zip(widths).enumerate() {
            if index > 0 {
                line.push_str(GAP);
            }
            let value = value.as_deref().unwrap_or_default();
            let cut = self.terminal.and_then(|_| cut(value, *width));
            let value = cut.as_deref().unwrap_or(value);
            let pad = " ".repeat(width.saturating_sub(value.width()));
            let parts = if self.numbers[index] { [&pad, value] } else { [value, &pad] };
            parts.into_iter().for_each(|part| line.push_str(part));
        }
        Ok(writeln!(self.out, "{}", line.trim_end_matches(' '))?)
    }
}

impl<W: Write + Send> Encoder for Table<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let style = self.style.clone();
        let mut cells = Cells::new(batch, &style)?;
        let mut bytes = Vec::new();
        for row in 0..batch.num_rows() {
            let mut values = Vec::with_capacity(batch.num_columns());
            for column in 0..batch.num_columns() {
                bytes.clear();
                let there = cells.write(row, column, &mut bytes)?;
                values.push(there.then(|| visible(&String::from_utf8_lossy(&bytes))));
            }
            if self.layout.is_some() {
                self.row(&values)?;
                continue;
            }
            self.sample_bytes += values.iter().flatten().map(String::len).sum::<usize>();
            self.sample.push(values);
            if self.sample.len() >= SAMPLE_ROWS || self.sample_bytes >= SAMPLE_BYTES {
                self.begin()?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), Failure> {
        if self.layout.is_none() {
            self.begin()?;
        }
        Ok(self.out.flush()?)
    }
}

/// Widths with which a line fits, the widest columns narrowed; none if a column would be too narrow to be of use.
fn fit(widths: &[usize], terminal: usize) -> Option<Vec<usize>> {
    let room = terminal.checked_sub(GAP.len() * widths.len().saturating_sub(1))?;
    let narrowed = |most: usize| widths.iter().map(|width| *width.min(&most)).sum::<usize>();
    let widest = widths.iter().copied().max().unwrap_or(0);
    if narrowed(widest) <= room {
        return Some(widths.to_vec());
    }
    let most = (NARROWEST..widest).rev().find(|most| narrowed(*most) <= room)?;
    let mut spare = room - narrowed(most);
    let mut widen = |width: usize| {
        let extra = width.saturating_sub(most).min(spare);
        spare -= extra;
        width.min(most) + extra
    };
    Some(widths.iter().map(|width| widen(*width)).collect())
}

/// The value's beginning and a mark, if it is wider than the column.
fn cut(value: &str, width: usize) -> Option<String> {
    if value.width() <= width {
        return None;
    }
    let (mut text, mut used) = (String::new(), 1);
    for character in value.chars() {
        used += character.width().unwrap_or(0);
        if used > width {
            break;
        }
        text.push(character);
    }
    text.push(CUT);
    Some(text)
}

/// The text with control characters as escapes: a line stays a line, and a terminal isn't steered.
fn visible(text: &str) -> String {
    // Besides controls, those that turn the direction of what follows.
    let is_hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_hidden) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match is_hidden(character) {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field};

    use super::*;
    use crate::output::cell::tests::every_kind;

    fn batch(names: &[Option<&str>], counts: &[i64]) -> RecordBatch {
        let columns: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from(names.to_vec())), Arc::new(Int64Array::from(counts.to_vec()))];
        let fields = vec![Field::new("eventname", DataType::Utf8, true), Field::new("n", DataType::Int64, false)];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    fn table(batches: &[RecordBatch], terminal: Option<usize>) -> String {
        let mut out = Vec::new();
        let mut table = Box::new(Table::new(&mut out, batches[0].schema_ref(), terminal));
        batches.iter().for_each(|batch| table.write(batch).unwrap());
        table.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_null_is_empty() {
        let text = table(&[batch(&[Some("RunInstances"), None], &[7, 1200])], Some(80));
        assert_eq!(text, "eventname        n\n------------  ----\nRunInstances     7\n              1200\n");
        let none = table(&[batch(&[], &[])], None);
        assert_eq!(none, "eventname  n\n---------  -\n");
    }

    #[test]
    fn on_a_terminal_the_widest_column_is_cut_and_elsewhere_nothing() {
        let batch = batch(&[Some("ConsoleLoginFromSomewhere")], &[1]);
        assert_eq!(
            table(std::slice::from_ref(&batch), Some(16)),
            "eventname      n\n-------------  -\nConsoleLogin…  1\n"
        );
        assert!(table(&[batch], None).contains("ConsoleLoginFromSomewhere  1\n"));
    }

    #[test]
    fn a_later_row_does_not_widen_columns() {
        let first: Vec<_> = (0..SAMPLE_ROWS).map(|_| Some("short")).collect();
        let counts: Vec<i64> = vec![1; SAMPLE_ROWS];
        let late = batch(&[Some("longer than the others")], &[2]);
        let text = table(&[batch(&first, &counts), late.clone()], Some(40));
        assert_eq!(text.lines().last().unwrap(), "longer t…  2");
        let text = table(&[batch(&first, &counts), late], None);
        assert_eq!(text.lines().last().unwrap(), "longer than the others  2");
        assert_eq!(text.lines().count(), SAMPLE_ROWS + 3);
    }

    #[test]
    fn what_fits_no_line_is_shown_as_blocks_without_null() {
        let text = table(&[every_kind()], Some(40));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("-[ 1 ]--"), "{text}");
        assert!(lines.contains(&"eventname     Run\"Instances\", new\\nline"), "{text}");
        assert!(lines.contains(&"n             -42"), "{text}");
        assert!(lines.last().unwrap().starts_with("-[ 2 ]--"), "all of the second row is NULL: {text}");
    }

    #[test]
    fn values_cannot_steer_the_terminal() {
        let text = table(&[batch(&[Some("\u{1b}[2Jgone\u{202e}\t")], &[1])], Some(80));
        assert!(text.contains("\\u{1b}[2Jgone\\u{202e}\\t"), "{text}");
    }

    #[test]
    fn wide_characters_take_two_places() {
        let text = table(&[batch(&[Some("漢字漢字漢字漢字"), Some("ab")], &[1, 2])], Some(14));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2..], ["漢字漢字漢…  1", "ab           2"]);
    }
}
