//! Records to rows: what of a record stands in which column, and what is needed to have its text again.
//!
//! Owns the one walk over a record's JSON that fills a batch. Nothing of a record is lost: what has no column, or another
//! type than its column, stays in the row's [`template`], and each row's text is put together again and compared before the
//! row counts. Does not own which records are taken, or the order of rows.

mod cell;
mod columns;
mod configuration;
mod leaf;
mod mapping;
mod read;
mod restore;
mod template;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use self::cell::Cell;
use self::columns::Column;
use self::configuration::Completion;
use self::mapping::Mapping;
use self::read::Reader;
use self::restore::{Filling, write_text};
use self::template::Template;
pub(crate) use self::text::event_json;
use crate::kind::Kind;
use crate::schema;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Gathers rows of one kind.
#[derive(Debug)]
pub(crate) struct Rows {
    schema: SchemaRef,
    mapping: Mapping,
    /// For records that lack what all events have.
    completion: Option<Completion>,
    columns: Vec<Column>,
    template: Template,
    text: Vec<u8>,
    len: usize,
}

impl Rows {
    /// No rows yet.
    pub(crate) fn new(kind: Kind) -> Self {
        let schema = schema::schema(kind);
        let columns = schema.fields().iter().map(|field| Column::new(field.data_type())).collect();
        let (template, text) = (Template::default(), Vec::new());
        let mapping = Mapping::new(kind);
        let completion = (kind == Kind::ConfigurationItem).then(|| Completion::new(&mapping));
        Self { schema, mapping, completion, columns, template, text, len: 0 }
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a record: the JSON of an object, which was checked. `object` is the key that it came from; `day` the day, in
    /// days since the Unix epoch, of records without a time.
    pub(crate) fn push(&mut self, raw: &[u8], object: &str, day: i32) {
        let Self { mapping, template, columns, text, .. } = self;
        template.begin();
        let mut row = Reader { raw, leaves: &mapping.leaves, template }.row(&mapping.root);
        if !is_restored(template.finish(raw), raw, &row, mapping, text) {
            template.verbatim();
        }
        if let Some(completion) = &self.completion {
            completion.complete(&mut row);
        }
        let day = match row.get(&mapping.event_time, None) {
            Some(Cell::Time(seconds)) => seconds.div_euclid(DAY) as i32,
            _ => day,
        };
        // The scanner has seen that it is UTF-8, and so is all that a template adds.
        let template = String::from_utf8_lossy(template.finish(raw));
        let own = [Cell::Text(Cow::Borrowed(object)), Cell::Text(template), Cell::Int(day)];
        let Cell::Struct(cells) = &mut row else { return };
        let own_at = columns.len() - own.len();
        cells.resize(own_at, Cell::Null);
        for (column, cell) in columns.iter_mut().zip(cells.iter().chain(&own)) {
            column.append(cell);
        }
        self.len += 1;
    }

    /// The rows so far; there are none afterwards.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        self.len = 0;
        RecordBatch::try_new(self.schema.clone(), self.columns.iter_mut().map(Column::finish).collect())
    }
}

/// Whether template and row give the record's text, byte for byte.
fn is_restored(template: &[u8], raw: &[u8], row: &Cell<'_>, mapping: &Mapping, text: &mut Vec<u8>) -> bool {
    let Ok(template) = std::str::from_utf8(template) else { return false };
    text.clear();
    let filled = write_text(template, &mapping.leaves, text, |leaf, element| {
        match row.get(&mapping.leaves[leaf].indices, element)? {
            Cell::Text(text) => Some(Filling::Text(text)),
            Cell::Time(seconds) => Some(Filling::Seconds(*seconds)),
            _ => None,
        }
    });
    filled && text == raw
}
