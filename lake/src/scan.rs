//! A table as queries see it: which files a question is about, and how they are read.
//!
//! Owns leaving files out by their partition and statistics, row groups by the bloom filters of nested columns, and the plan
//! that reads the rest. Everything else inside a file (pages, bloom filters of columns, late columns) is the Parquet reader's.
//! A scan reads the files of one commit to its end, whatever is committed meanwhile; files that are taken out of the table
//! stay for the vacuum's grace period.

mod event_json;
mod files;
mod late;
mod needles;
mod reader;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::datasource::{TableType, ViewTable, provider_as_source};
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, TableProviderFilterPushDown, col};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use deltalake_core::kernel::Add;
use object_store::ObjectStore;

use self::event_json::event_json;
pub(crate) use self::files::rows;
use self::files::{File, Files, Stats, partition_value};
use self::late::is_filtered_while_read;
use self::reader::{Readers, with_views};
use crate::error::Error;
use crate::kind::Kind;
use crate::schema::{EVENT_DAY, EVENT_JSON, EVENT_TEMPLATE, SOURCE_OBJECT};
use crate::store::Store;
use crate::table::Table;

/// The files of a table as of one commit.
#[derive(Debug)]
pub(crate) struct Scan {
    name: String,
    store: Arc<Store>,
    /// Columns in files, then the partition's.
    schema: SchemaRef,
    columns: TableSchema,
    files: Vec<File>,
    /// Texts are seen as views.
    as_views: bool,
}

impl Scan {
    /// What is in the table as of its last refresh.
    pub(crate) fn new(table: &Table) -> Result<Self, Error> {
        Self::of(table, table.files()?)
    }

    /// Some of its files.
    pub(crate) fn of(table: &Table, files: Vec<Add>) -> Result<Self, Error> {
        let all = table.schema()?;
        let is_partition = |field: &&Arc<Field>| table.partition().contains(field.name());
        let in_files: Vec<_> = all.fields().iter().filter(|field| !is_partition(field)).cloned().collect();
        let partition: Vec<_> = all.fields().iter().filter(is_partition).cloned().collect();
        let columns =
            TableSchema::builder(Arc::new(Schema::new(in_files))).with_table_partition_cols(partition).build();
        let schema = Arc::clone(columns.table_schema());
        let files = files.into_iter().map(|add| File { stats: Stats::of(&add), add }).collect();
        Ok(Self { name: table.name().to_owned(), store: table.store(), schema, columns, files, as_views: false })
    }

    /// For questions: texts as views, which point into pages instead of copying every value.
    fn with_views(mut self) -> Self {
        let in_files = with_views(self.columns.file_schema());
        let partition = self.columns.table_partition_cols().clone();
        self.columns = TableSchema::builder(Arc::new(in_files)).with_table_partition_cols(partition).build();
        self.schema = Arc::clone(self.columns.table_schema());
        self.as_views = true;
        self
    }

    /// The events of an event data store, with `eventjson`.
    pub(crate) fn events(table: &Table, kind: Kind) -> Result<Arc<dyn TableProvider>, Error> {
        Self::new(table)?.with_text(kind)
    }

    /// Rows with `eventjson`.
    pub(crate) fn with_text(self, kind: Kind) -> Result<Arc<dyn TableProvider>, Error> {
        let scan = Arc::new(self.with_views());
        let name = scan.name.clone();
        let failed = |source| Error::Read { table: name.clone(), source: Box::new(source) };
        let own = [SOURCE_OBJECT, EVENT_TEMPLATE, EVENT_DAY];
        let columns = scan.schema.fields().iter().map(|field| field.name().as_str()).filter(|name| !own.contains(name));
        let columns: Vec<_> = columns.map(quoted).collect();
        let text = event_json(kind, columns.clone()).alias(EVENT_JSON);
        let shown = columns.into_iter().chain([text]).chain(own.map(quoted));
        let source = provider_as_source(scan);
        let plan = LogicalPlanBuilder::scan(name.as_str(), source, None).and_then(|plan| plan.project(shown));
        let plan = plan.and_then(LogicalPlanBuilder::build).map_err(failed)?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }

    /// The files that may hold rows for these filters.
    fn wanted(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<&File>> {
        let Some(filter) = conjunction(filters.to_vec()) else { return Ok(self.files.iter().collect()) };
        let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
        let filter = state.create_physical_expr(filter, &schema)?;
        let pruning = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&self.schema)).build(filter);
        let Some(pruning) = pruning else { return Ok(self.files.iter().collect()) };
        let kept = pruning.prune(&Files { files: &self.files, schema: Arc::clone(&self.schema) })?;
        Ok(self.files.iter().zip(kept).filter_map(|(file, kept)| kept.then_some(file)).collect())
    }

    /// The columns that a question reads of files.
    fn read(&self, projection: Option<&Vec<usize>>, filters: &[Expr]) -> BTreeSet<String> {
        let fields = self.columns.file_schema().fields().iter().enumerate();
        let is_read = |index| projection.is_none_or(|wanted| wanted.contains(&index));
        let read = fields.filter(|(index, _)| is_read(*index)).map(|(_, field)| field.name().clone());
        // What is filtered by is read too, whether or not it is shown.
        let of_partition = |name: &str| self.columns.table_partition_cols().iter().any(|field| field.name() == name);
        let filtered = filters.iter().flat_map(Expr::column_refs).map(|column| column.name.clone());
        read.chain(filtered.filter(|name| !of_partition(name))).collect()
    }

    /// What reads files: texts in the form that the table is seen in, and whether rows are left out meanwhile.
    fn parquet(&self, state: &dyn Session, projection: Option<&Vec<usize>>, filters: &[Expr]) -> ParquetSource {
        let read = self.read(projection, filters);
        let is_filtered = is_filtered_while_read(filters, &read);
        let kept = state.runtime_env().cache_manager.get_file_metadata_cache();
        let readers = Readers::new(Arc::clone(&self.store) as _, kept, read, filters, self.as_views);
        ParquetSource::new(self.columns.clone())
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_pushdown_filters(is_filtered)
            .with_parquet_file_reader_factory(Arc::new(readers))
    }

    fn partitioned_file(&self, File { add, stats }: &File) -> Result<PartitionedFile> {
        let path = object_store::path::Path::from_url_path(&add.path).map_err(object_store::Error::from)?;
        let mut file = PartitionedFile::new(String::new(), u64::try_from(add.size).unwrap_or_default());
        file.object_meta.location = path;
        let partition = self.columns.table_partition_cols().iter();
        let values = partition.map(|field| partition_value(add, field)).collect::<Result<Vec<ScalarValue>>>()?;
        let mut statistics = Statistics::new_unknown(&self.schema);
        if let Some(rows) = stats.rows() {
            statistics.num_rows = Precision::Exact(rows);
        }
        statistics.total_byte_size = Precision::Inexact(usize::try_from(add.size).unwrap_or_default());
        Ok(file.with_partition_values(values).with_statistics(Arc::new(statistics)))
    }
}

/// A column by its name as it stands.
fn quoted(name: &str) -> Expr {
    col(datafusion::common::Column::new_unqualified(name))
}

#[async_trait]
impl TableProvider for Scan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Files are left out by them here; the reader gets them from the plan, and takes over what it can.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let address = address(&self.name)?;
        state.runtime_env().register_object_store(address.as_ref(), Arc::clone(&self.store) as Arc<dyn ObjectStore>);
        let wanted = self.wanted(state, filters)?;
        let files = wanted.into_iter().map(|file| self.partitioned_file(file)).collect::<Result<Vec<_>>>()?;
        if files.is_empty() {
            let all = || (0..self.schema.fields().len()).collect();
            let shown = self.schema.project(&projection.cloned().unwrap_or_else(all))?;
            return Ok(Arc::new(EmptyExec::new(Arc::new(shown))));
        }
        let rows = files.iter().try_fold(0_usize, |sum, file| match file.statistics.as_ref()?.num_rows {
            Precision::Exact(rows) => Some(sum + rows),
            _ => None,
        });
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = rows.map_or(Precision::Absent, Precision::Exact);
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let source = self.parquet(state, projection, filters);
        let config = FileScanConfigBuilder::new(address, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// What the engine calls the place of an event data store.
fn address(name: &str) -> Result<ObjectStoreUrl> {
    let host: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    ObjectStoreUrl::parse(format!("orgtrail://{host}"))
}

#[cfg(test)]
mod tests;
