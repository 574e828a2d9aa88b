//! Columns of types that a file format doesn't have, as types that it has.
//!
//! Owns: which types become which, and the conversion. What is converted is told, so that nobody wonders.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::cell::{Cells, Style};

/// How a column is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// As it is.
    Keep,
    /// Cast to a type that holds the same values. A value that doesn't fit is an error.
    Cast(DataType),
    /// As the text that tables and CSV show.
    Text,
}

/// The schema of a file, and how batches get it.
#[derive(Debug)]
pub(crate) struct Conversion {
    pub(crate) schema: SchemaRef,
    steps: Vec<Step>,
    style: Style,
}

impl Conversion {
    /// Asks `step` for every column's type.
    pub(crate) fn new(schema: &Schema, step: fn(&DataType) -> Step) -> Self {
        let steps: Vec<Step> = schema.fields().iter().map(|field| step(field.data_type())).collect();
        let fields = schema.fields().iter().zip(&steps).map(|(field, step)| {
            let data_type = match step {
                Step::Keep => field.data_type().clone(),
                Step::Cast(to) => to.clone(),
                Step::Text => DataType::Utf8,
            };
            Field::new(field.name(), data_type, true)
        });
        Self { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())), steps, style: Style::default() }
    }

    /// Names of columns whose values are written as text.
    pub(crate) fn as_text(&self) -> Vec<String> {
        let columns = self.schema.fields().iter().zip(&self.steps);
        columns.filter(|(_, step)| **step == Step::Text).map(|(field, _)| field.name().clone()).collect()
    }

    /// # Errors
    /// A value doesn't fit.
    pub(crate) fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let mut cells = None;
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (index, (array, step)) in batch.columns().iter().zip(&self.steps).enumerate() {
            columns.push(match step {
                Step::Keep => Arc::clone(array),
                Step::Cast(to) => cast_with_options(array, to, &CastOptions { safe: false, ..CastOptions::default() })?,
                Step::Text if *array.data_type() == DataType::Null => new_null_array(&DataType::Utf8, array.len()),
                Step::Text => {
                    let cells = match &mut cells {
                        Some(cells) => cells,
                        none => none.insert(Cells::new(batch, &self.style)?),
                    };
                    text(cells, index, array.len())?
                }
            });
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

fn text(cells: &mut Cells<'_>, column: usize, rows: usize) -> Result<ArrayRef, ArrowError> {
    let (mut texts, mut bytes) = (StringBuilder::new(), Vec::new());
    for row in 0..rows {
        bytes.clear();
        match cells.write(row, column, &mut bytes)? {
            true => texts.append_value(String::from_utf8_lossy(&bytes)),
            false => texts.append_null(),
        }
    }
    Ok(Arc::new(texts.finish()))
}
