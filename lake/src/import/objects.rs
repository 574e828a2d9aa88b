//! The account of imported objects: one row for each, in a table of its own beside the event data store's.
//!
//! Owns its columns and reading it back. It is what makes every object count once, and what says of each how many of its
//! records became rows and why others did not.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::cast::as_string_array;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SessionContext;
use futures::TryStreamExt as _;
use xxhash_rust::xxh3::xxh3_128;

use super::decode::{Account, days_since_epoch};
use super::discover::Found;
use crate::error::Error;
use crate::scan::Scan;
use crate::table::Table;

/// Where the table lies below the event data store's location. Engines and vacuums pass over names that begin so.
pub(crate) const FOLDER: &str = "_orgtrail/objects";
/// What it is partitioned by: the month of the object's day.
pub(crate) const PARTITION: &str = "month";

/// Columns. `status` is `imported`, or `unreadable` with the reason in `problem`.
pub(crate) fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let count = |name: &str| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        text("trail"),
        text("key"),
        text("etag"),
        count("size"),
        Field::new("day", DataType::Date32, true),
        text("status"),
        text("problem"),
        count("read"),
        count("kept"),
        count("filtered"),
        count("expired"),
        count("bad"),
        count("import"),
        text(PARTITION),
    ]))
}

/// Rows for objects that import `number` brings.
pub(crate) fn rows(trails: &[String], objects: &[(Found, Account)], number: i64) -> Result<RecordBatch, ArrowError> {
    let texts = |of: &dyn Fn(&Found, &Account) -> Option<String>| -> ArrayRef {
        Arc::new(objects.iter().map(|(found, account)| of(found, account)).collect::<StringArray>())
    };
    let counts = |of: &dyn Fn(&Found, &Account) -> u64| -> ArrayRef {
        let values = objects.iter().map(|(found, account)| i64::try_from(of(found, account)).unwrap_or(i64::MAX));
        Arc::new(values.collect::<Int64Array>())
    };
    let days = Date32Array::from_iter_values(objects.iter().map(|(found, _)| days_since_epoch(found.date)));
    let columns = vec![
        texts(&|found, _| trails.get(found.trail).cloned()),
        texts(&|found, _| Some(found.key.clone())),
        texts(&|found, _| Some(found.etag.clone())),
        counts(&|found, _| found.size),
        Arc::new(days),
        texts(&|_, account| Some(if account.is_unreadable { "unreadable" } else { "imported" }.to_owned())),
        texts(&|_, account| account.problem.clone()),
        counts(&|_, account| account.read),
        counts(&|_, account| account.kept),
        counts(&|_, account| account.filtered),
        counts(&|_, account| account.expired),
        counts(&|_, account| account.bad),
        Arc::new(Int64Array::from(vec![number; objects.len()])),
        texts(&|found, _| Some(format!("{:04}-{:02}", found.date.year(), found.date.month()))),
    ];
    RecordBatch::try_new(schema(), columns)
}

/// Which objects were imported: 16 bytes each.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashSet<u128>);

impl Seen {
    /// Reads the table.
    pub(crate) async fn load(table: &Table, trails: &[String]) -> Result<Self, Error> {
        let mut seen = Self::default();
        let read = seen.read(Scan::new(table)?, trails).await;
        read.map_err(|source| Error::Read { table: table.name().to_owned(), source: Box::new(source) })?;
        Ok(seen)
    }

    async fn read(&mut self, scan: Scan, trails: &[String]) -> Result<(), DataFusionError> {
        let rows = SessionContext::new().read_table(Arc::new(scan))?;
        let rows = rows.select_columns(&["trail", "key", "etag", "status"])?;
        let mut batches = rows.execute_stream().await?;
        while let Some(batch) = batches.try_next().await? {
            let columns =
                batch.columns().iter().map(|column| as_string_array(column)).collect::<Result<Vec<_>, _>>()?;
            let [names, keys, etags, status] = columns.as_slice() else { continue };
            for row in 0..batch.num_rows() {
                let trail = trails.iter().position(|trail| trail == names.value(row));
                let etag = (status.value(row) == "unreadable").then(|| etags.value(row));
                if let Some(trail) = trail {
                    self.0.insert(identity(trail, keys.value(row), etag));
                }
            }
        }
        Ok(())
    }

    /// Whether an object is to be imported. One that could not be read is tried again when it was overwritten.
    pub(crate) fn is_new(&self, found: &Found) -> bool {
        let Found { trail, key, etag, .. } = found;
        !self.0.contains(&identity(*trail, key, None)) && !self.0.contains(&identity(*trail, key, Some(etag)))
    }

    /// Remembers an object.
    pub(crate) fn insert(&mut self, found: &Found, account: &Account) {
        let etag = account.is_unreadable.then_some(found.etag.as_str());
        self.0.insert(identity(found.trail, &found.key, etag));
    }
}

/// An object's hash. 128 bits, because an object that is taken for another one would be an object lost.
fn identity(trail: usize, key: &str, etag: Option<&str>) -> u128 {
    xxh3_128(format!("{trail}\0{key}\0{}", etag.unwrap_or_default()).as_bytes())
}
