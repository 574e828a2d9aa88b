//! Compaction: the small files of a partition become few large ones, in the order of their kind.
//!
//! Owns which files are put together and into how many. Where a partition needs several files, each holds a range of
//! accounts, so that a question about one account reads one of them. Rows are counted on both sides before the commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::{Column, DataFusionError};
use datafusion::execution::context::{SessionConfig, SessionContext};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, col, lit};
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::kernel::{Action, Add, Remove};
use deltalake_core::protocol::DeltaOperation;
use futures::TryStreamExt as _;
use jiff::civil::Date;
use parquet::file::properties::WriterProperties;

use super::Config;
use crate::error::Error;
use crate::kind::Kind;
use crate::scan::Scan;
use crate::schema::{EVENT_DAY, sort_order};
use crate::table::Table;
use crate::write::{FILE_BYTES, plain_properties, properties, writer};

/// Files below this part of a whole one are small.
const SMALL: u64 = FILE_BYTES / 4 * 3;
/// Bytes that one commit puts together.
const BYTES_MAX: u64 = 8 * FILE_BYTES;

/// How files of a table are laid out.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    sort: &'static [&'static str],
    properties: WriterProperties,
    /// What files of one partition are told apart by.
    ranges: Option<&'static str>,
}

impl Layout {
    /// Of an event data store.
    pub(crate) fn events(kind: Kind) -> Self {
        Self { sort: sort_order(kind), properties: properties(kind), ranges: Some("recipientaccountid") }
    }

    /// Of the account of imported objects.
    pub(crate) fn objects() -> Self {
        Self { sort: &["trail", "key"], properties: plain_properties(), ranges: None }
    }
}

/// Files of one partition.
#[derive(Debug)]
pub(super) struct Partition {
    files: Vec<Add>,
}

/// The partitions that have enough small files.
pub(super) fn due(table: &Table, layout: &Layout, config: &Config, today: Date) -> Result<Vec<Partition>, Error> {
    let mut partitions: BTreeMap<String, Vec<Add>> = BTreeMap::new();
    for file in table.files()? {
        if bytes(&file) < SMALL {
            let value = table.partition().first().and_then(|name| file.partition_values.get(name)?.clone());
            partitions.entry(value.unwrap_or_default()).or_default().push(file);
        }
    }
    let is_over = |partition: &str| layout.ranges.is_some() && partition < today.to_string().as_str();
    let due = partitions
        .into_iter()
        .filter(|(partition, files)| files.len() >= config.files_min || (files.len() > 1 && is_over(partition)));
    Ok(due.map(|(_, files)| Partition { files: bounded(files) }).collect())
}

/// As many as one commit may take, the smallest first.
fn bounded(mut files: Vec<Add>) -> Vec<Add> {
    files.sort_by_key(|file| file.size);
    let mut sum = 0;
    files.retain(|file| {
        sum += bytes(file);
        sum <= BYTES_MAX
    });
    files
}

fn bytes(file: &Add) -> u64 {
    u64::try_from(file.size).unwrap_or_default()
}

/// Puts files together.
pub(crate) struct Compaction<'a> {
    layout: &'a Layout,
    config: &'a Config,
}

impl<'a> Compaction<'a> {
    pub(super) fn new(layout: &'a Layout, config: &'a Config) -> Self {
        Self { layout, config }
    }

    /// Puts a partition's files together.
    pub(super) async fn run(&self, table: &mut Table, partition: &Partition) -> Result<(), Error> {
        let before: usize = partition.files.iter().filter_map(crate::scan::rows).sum();
        let failed = |source: DataFusionError| Error::Read { table: table.name().to_owned(), source: Box::new(source) };
        let context = self.context().map_err(failed)?;
        let scan = Arc::new(Scan::of(table, partition.files.clone())?);
        let mut files = Vec::new();
        for range in self.ranges(&context, &scan, partition).await.map_err(failed)? {
            let mut rows = context.read_table(Arc::clone(&scan) as _).map_err(failed)?;
            if let Some(range) = range {
                rows = rows.filter(range).map_err(failed)?;
            }
            let order = std::iter::once(EVENT_DAY)
                .filter(|_| self.layout.ranges.is_some())
                .chain(self.layout.sort.iter().copied());
            let rows = rows.sort(order.map(|name| named(name).sort(true, false)).collect()).map_err(failed)?;
            let mut rows = rows.execute_stream().await.map_err(failed)?;
            let mut writer = writer(table, self.layout.properties.clone())?;
            let write = |error| Error::table("write rows of", table.name(), error);
            while let Some(batch) = rows.try_next().await.map_err(failed)? {
                writer.write(&batch).await.map_err(write)?;
            }
            files.extend(writer.close().await.map_err(write)?);
        }
        let after: usize = files.iter().filter_map(crate::scan::rows).sum();
        if before != after {
            let what = format!(
                "putting {} files together made {after} rows of {before}; nothing was changed",
                partition.files.len()
            );
            return Err(Error::Foreign { table: table.name().to_owned(), what });
        }
        let removed = partition.files.iter().map(|file| Action::Remove(removed(file, false)));
        let added = files.into_iter().map(|file| Action::Add(Add { data_change: false, ..file }));
        let operation = DeltaOperation::Optimize { predicate: None, target_size: FILE_BYTES as i64 };
        table.commit(removed.chain(added).collect(), operation, CommitProperties::default()).await
    }

    fn context(&self) -> Result<SessionContext, DataFusionError> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(self.config.memory.as_usize())))
            .build_arc()?;
        // One at a time: it runs beside imports and queries.
        let config = SessionConfig::new().with_target_partitions(1);
        Ok(SessionContext::new_with_config_rt(config, runtime))
    }

    /// Ranges of accounts of about one file each; one without bounds where one file is enough.
    async fn ranges(
        &self,
        context: &SessionContext,
        scan: &Arc<Scan>,
        partition: &Partition,
    ) -> Result<Vec<Option<Expr>>, DataFusionError> {
        let files = partition.files.iter().map(bytes).sum::<u64>().div_ceil(FILE_BYTES);
        let Some(column) = self.layout.ranges.filter(|_| files > 1) else { return Ok(vec![None]) };
        let counted = context.read_table(Arc::clone(scan) as _)?;
        let counted = counted.aggregate(vec![named(column)], vec![count(lit(1)).alias("rows")])?;
        let counted = counted.sort(vec![named(column).sort(true, true)])?.collect().await?;
        let mut accounts = Vec::new();
        for batch in &counted {
            let names = datafusion::common::cast::as_string_array(batch.column(0))?;
            let rows = datafusion::common::cast::as_int64_array(batch.column(1))?;
            accounts.extend(names.iter().zip(rows.values()).map(|(name, rows)| (name.map(str::to_owned), *rows)));
        }
        let each =
            accounts.iter().map(|(_, rows)| rows).sum::<i64>().div_euclid(i64::try_from(files).unwrap_or(1)).max(1);
        Ok(cut(column, &accounts, each))
    }
}

/// Conditions that each take about `each` rows, and together every row once.
fn cut(column: &str, accounts: &[(Option<String>, i64)], each: i64) -> Vec<Option<Expr>> {
    let mut firsts = Vec::new();
    let mut sum = 0;
    for (name, rows) in accounts {
        if let Some(name) = name
            && sum >= each
        {
            firsts.push(name.clone());
            sum = 0;
        }
        sum += rows;
    }
    let mut ranges = Vec::new();
    let mut from: Option<String> = None;
    for to in firsts.into_iter().map(Some).chain([None]) {
        let above = from.as_ref().map(|from| named(column).gt_eq(lit(from.clone())));
        let below = to.as_ref().map(|to| named(column).lt(lit(to.clone())));
        ranges.push(match (above, below) {
            (None, None) => None,
            // Rows without an account lie in the first.
            (None, Some(below)) => Some(below.or(named(column).is_null())),
            (Some(above), None) => Some(above),
            (Some(above), Some(below)) => Some(above.and(below)),
        });
        from = to;
    }
    ranges
}

fn named(name: &str) -> Expr {
    col(Column::new_unqualified(name))
}

/// What takes a file out of a table.
pub(super) fn removed(file: &Add, data_change: bool) -> Remove {
    Remove {
        path: file.path.clone(),
        data_change,
        deletion_timestamp: Some(chrono::Utc::now().timestamp_millis()),
        extended_file_metadata: Some(true),
        partition_values: Some(file.partition_values.clone()),
        size: Some(file.size),
        tags: None,
        deletion_vector: file.deletion_vector.clone(),
        base_row_id: None,
        default_row_commit_version: None,
    }
}
