//! What a table's log says of its files, in the form in which files are left out.
//!
//! Owns reading Delta Lake's statistics (`stats` of an add action, "Per-file Statistics" of the protocol).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use deltalake_core::kernel::Add;
use serde::Deserialize;
use serde_json::Value;

/// The members of `stats` that are read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Stats {
    num_records: Option<u64>,
    min_values: HashMap<String, Value>,
    max_values: HashMap<String, Value>,
    null_count: HashMap<String, Value>,
}

impl Stats {
    pub(super) fn of(add: &Add) -> Self {
        add.stats.as_deref().map(stats).unwrap_or_default()
    }

    pub(super) fn rows(&self) -> Option<usize> {
        usize::try_from(self.num_records?).ok()
    }
}

/// Files with their statistics.
pub(super) struct Files<'a> {
    pub(super) files: &'a [File],
    pub(super) schema: SchemaRef,
}

/// One of them.
#[derive(Debug)]
pub(super) struct File {
    pub(super) add: Add,
    pub(super) stats: Stats,
}

impl Files<'_> {
    fn values(&self, column: &Column, of: impl Fn(&Stats) -> Option<&Value>) -> Option<ArrayRef> {
        let field = self.schema.field_with_name(&column.name).ok()?;
        let unknown = ScalarValue::try_from(field.data_type()).ok()?;
        let values = self.files.iter().map(|File { add, stats }| {
            let partition = add.partition_values.contains_key(field.name());
            let known =
                if partition { partition_value(add, field).ok() } else { of(stats).and_then(|v| scalar(v, field)) };
            known.unwrap_or_else(|| unknown.clone())
        });
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for Files<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |stats| stats.min_values.get(&column.name))
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |stats| stats.max_values.get(&column.name))
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let counts = self.files.iter().map(|file| file.stats.null_count.get(&column.name)?.as_u64());
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.files.iter().map(|file| file.stats.num_records).collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// How many rows a file has.
pub(crate) fn rows(add: &Add) -> Option<usize> {
    Stats::of(add).rows()
}

/// A file's value of a partition column.
pub(super) fn partition_value(add: &Add, field: &Field) -> Result<ScalarValue> {
    match add.partition_values.get(field.name()) {
        Some(Some(text)) => ScalarValue::try_from_string(text.clone(), field.data_type()),
        _ => ScalarValue::try_from(field.data_type()),
    }
}

fn stats(text: &str) -> Stats {
    serde_json::from_str(text).unwrap_or_default()
}

/// Texts and times; other columns have no statistics.
fn scalar(value: &Value, field: &Field) -> Option<ScalarValue> {
    let text = value.as_str()?;
    match field.data_type() {
        DataType::Utf8 | DataType::Utf8View | DataType::Timestamp(..) => {
            ScalarValue::try_from_string(text.to_owned(), field.data_type()).ok()
        }
        _ => None,
    }
}
