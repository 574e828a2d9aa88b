//! Rows to files of a table.
//!
//! Owns the order of rows in a file and how files are written: row groups, compression, statistics, bloom filters. Does not
//! own the commit that makes files part of the table.

use std::num::NonZeroU64;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::error::ArrowError;
use deltalake_core::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake_core::kernel::Add;
use deltalake_core::table::config::TablePropertiesExt as _;
use object_store::ObjectStore;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::error::Error;
use crate::kind::Kind;
use crate::schema::{EVENT_DAY, bloom_filters, sort_order};
use crate::table::Table;

/// Rows of a row group: what a needle's bloom filter leads to is read whole. Larger ones are a few per cent smaller, and
/// cost needles in proportion (docs/performance.md).
const ROW_GROUP_ROWS: usize = 128 << 10;

/// Rows of a page: what is read where a condition tells pages apart. Pages of JSON are full long before.
const PAGE_ROWS: usize = 4 << 10;

/// Bytes of a file, about.
pub(crate) const FILE_BYTES: u64 = 256 << 20;

/// Of a thousand row groups without it, these many are read for a needle.
const FALSE_POSITIVES: f64 = 0.02;

/// Values of a row group that differ, at most; what has one for each row, and what hasn't.
const DISTINCT_IDS: u64 = ROW_GROUP_ROWS as u64;
const DISTINCT_OTHERS: u64 = 16 << 10;

/// Columns by whose smallest and largest value a file is left out.
const STATISTICS: [&str; 5] = ["eventtime", "eventsource", "eventname", "awsregion", "recipientaccountid"];

/// How files of a kind are written.
pub(crate) fn properties(kind: Kind) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(format!("orgtrail {}", env!("CARGO_PKG_VERSION")));
    for path in bloom_filters(kind) {
        let column = ColumnPath::new(path.iter().map(|name| (*name).to_owned()).collect());
        let is_id = path.last().is_some_and(|name| name.ends_with("id") && path.len() == 1);
        properties = properties
            .set_column_bloom_filter_enabled(column.clone(), true)
            .set_column_bloom_filter_fpp(column.clone(), FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(column, if is_id { DISTINCT_IDS } else { DISTINCT_OTHERS });
    }
    properties.build()
}

/// How files of a table of our own are written.
pub(crate) fn plain_properties() -> WriterProperties {
    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build()
}

/// A writer of files of a table, which a commit has to make part of it.
pub(crate) fn writer(table: &Table, properties: WriterProperties) -> Result<DeltaWriter, Error> {
    let statistics = STATISTICS.map(str::to_owned).to_vec();
    let failed = |error| Error::table("read", table.name(), error);
    let config = WriterConfig::new(
        table.schema()?,
        table.partition().to_vec(),
        Some(properties),
        NonZeroU64::new(FILE_BYTES),
        None,
        table.delta().snapshot().map_err(failed)?.table_config().num_indexed_cols(),
        Some(statistics),
    );
    Ok(DeltaWriter::new(table.store() as Arc<dyn ObjectStore>, config))
}

/// Writes rows in the order of their kind. Gives the files.
pub(crate) async fn write(table: &Table, kind: Kind, rows: &RecordBatch) -> Result<Vec<Add>, Error> {
    let failed = |source| Error::Rows { table: table.name().to_owned(), source };
    let sorted = sorted(kind, rows).map_err(failed)?;
    let mut writer = writer(table, properties(kind))?;
    let failed = |error| Error::table("write rows of", table.name(), error);
    writer.write(&sorted).await.map_err(failed)?;
    writer.close().await.map_err(failed)
}

/// Writes rows of a table of our own as they are.
pub(crate) async fn write_plain(table: &Table, rows: RecordBatch) -> Result<Vec<Add>, Error> {
    let mut writer = writer(table, plain_properties())?;
    let failed = |error| Error::table("write rows of", table.name(), error);
    writer.write(&rows).await.map_err(failed)?;
    writer.close().await.map_err(failed)
}

fn sorted(kind: Kind, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = std::iter::once(&EVENT_DAY).chain(sort_order(kind)).filter_map(|name| rows.column_by_name(name));
    let columns: Vec<_> = columns.map(|values| SortColumn { values: Arc::clone(values), options: None }).collect();
    take_record_batch(rows, &lexsort_to_indices(&columns, None)?)
}
