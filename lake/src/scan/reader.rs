//! A table's files as one question opens them: as if they had no other columns, and no row groups that can't hold its needles.
//!
//! Owns what of a file's metadata the Parquet reader gets to see, and keeping it. The reader makes an Arrow schema of every
//! column that it sees, and reads the index of every one's pages, in each file for each question; a table has some 150, a
//! question a few.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use datafusion::arrow::datatypes::{DataType, FieldRef, Fields, Schema};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, CachedParquetMetaData};
use datafusion::error::Result;
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema, parquet_to_arrow_schema};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{
    FileMetaData, KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type};

use super::needles::{Needles, PRUNED, Question};

/// Opens files for one question.
#[derive(Debug)]
pub(super) struct Readers {
    files: CachedParquetFileReaderFactory,
    needles: Option<Arc<Question>>,
    sight: Arc<Sight>,
}

/// What a question sees of files.
struct Sight {
    columns: BTreeSet<String>,
    /// Texts are views.
    views: Option<Views>,
    /// Where pages lie and what is in them: of use where rows are left out.
    pages: bool,
    /// A file never changes: what was seen of it is kept for the next question that sees the same.
    kept: Arc<FileMetadataCache>,
    /// What goes behind a file's path there.
    key: String,
}

impl Readers {
    /// `columns` are all that is read of the files. Texts are read as views or as they were stored.
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        kept: Arc<FileMetadataCache>,
        columns: BTreeSet<String>,
        filters: &[Expr],
        as_views: bool,
    ) -> Self {
        let files = CachedParquetFileReaderFactory::new(store, Arc::clone(&kept));
        let needles = Question::of(filters).map(Arc::new);
        let pages = !filters.is_empty();
        let names: Vec<_> = columns.iter().map(String::as_str).collect();
        let key = format!("views={as_views},pages={pages},columns={}", names.join("+"));
        let sight = Sight { columns, views: as_views.then(Views::default), pages, kept, key };
        Self { files, needles, sight: Arc::new(sight) }
    }
}

impl fmt::Debug for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let needles = self.needles.as_ref().map(|question| Needles {
            question: Arc::clone(question),
            range: file.range.clone(),
            pruned: MetricBuilder::new(metrics).counter(PRUNED, partition_index),
        });
        let meta = file.object_meta.clone();
        let file = self.files.create_reader(partition_index, file, metadata_size_hint, metrics)?;
        Ok(Box::new(Reader { file, meta, needles, sight: Arc::clone(&self.sight) }))
    }
}

struct Reader {
    file: Box<dyn AsyncFileReader + Send>,
    meta: ObjectMeta,
    needles: Option<Needles>,
    sight: Arc<Sight>,
}

impl Reader {
    /// What the question sees of the file.
    async fn seen(&mut self, options: Option<&ArrowReaderOptions>) -> ParquetResult<Arc<ParquetMetaData>> {
        let sight = Arc::clone(&self.sight);
        let key = self.meta.location.clone().join(sight.key.as_str());
        let kept = sight.kept.get(&key);
        let kept = kept.as_ref().and_then(|kept| kept.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>());
        if let Some(kept) = kept {
            return Ok(Arc::clone(kept.parquet_metadata()));
        }
        let whole = self.file.get_metadata(options).await?;
        let file = only_columns(whole.file_metadata(), &sight.columns, sight.views.as_ref())?;
        if file.schema_descr().num_columns() == 0 {
            // Rows are counted, or it is of a version that hadn't these columns.
            return Ok(whole);
        }
        let groups = whole.row_groups().iter().map(|group| of_columns(group, &file.schema_descr_ptr()));
        let mut seen = ParquetMetaData::new(file.clone(), groups.collect::<ParquetResult<_>>()?);
        if sight.pages {
            let mut reader = ParquetMetaDataReader::new_with_metadata(seen);
            reader = reader.with_page_index_policy(PageIndexPolicy::Optional);
            reader.load_page_index(&mut *self).await?;
            seen = reader.finish()?;
        }
        let seen = Arc::new(seen);
        let entry = Arc::new(CachedParquetMetaData::new(Arc::clone(&seen)));
        sight.kept.put(&key, CachedFileMetadataEntry::new(self.meta.clone(), entry));
        Ok(seen)
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.file.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.file.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let seen = self.seen(options).await?;
            match &self.needles {
                Some(needles) => needles.wanted(&mut *self.file, seen).await,
                None => Ok(seen),
            }
        }
        .boxed()
    }
}

/// What a file says of itself, with these columns alone. What its writer noted of its Arrow schema is of all of them and
/// isn't kept: the types of our columns follow from Parquet's.
fn only_columns(file: &FileMetaData, columns: &BTreeSet<String>, views: Option<&Views>) -> ParquetResult<FileMetaData> {
    let all = file.schema_descr();
    let root = all.root_schema();
    let kept = root.get_fields().iter().filter(|field| columns.contains(field.name())).cloned().collect();
    let root = Type::group_type_builder(root.name()).with_fields(kept).build()?;
    let is_kept = |leaf: usize| columns.contains(all.get_column_root(leaf).name());
    let orders = file
        .column_orders()
        .map(|orders| orders.iter().enumerate().filter(|(leaf, _)| is_kept(*leaf)).map(|(_, order)| *order).collect());
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    let created_by = file.created_by().map(str::to_owned);
    let note = views.map(|views| views.note(&schema)).transpose()?;
    Ok(FileMetaData::new(file.version(), file.num_rows(), created_by, note.map(|note| vec![note]), schema, orders))
}

/// A row group with the columns of this schema.
fn of_columns(group: &RowGroupMetaData, schema: &SchemaDescPtr) -> ParquetResult<RowGroupMetaData> {
    let names: BTreeSet<&str> = schema.root_schema().get_fields().iter().map(|field| field.name()).collect();
    let is_kept = |path: &[String]| path.first().is_some_and(|root| names.contains(root.as_str()));
    let kept = group.columns().iter().filter(|column| is_kept(column.column_path().parts())).cloned().collect();
    let mut builder = RowGroupMetaData::builder(Arc::clone(schema))
        .set_num_rows(group.num_rows())
        .set_total_byte_size(group.total_byte_size())
        .set_column_metadata(kept);
    if let Some(ordinal) = group.ordinal() {
        builder = builder.set_ordinal(ordinal);
    }
    if let Some(offset) = group.file_offset() {
        builder = builder.set_file_offset(offset);
    }
    builder.build()
}

/// Has texts read as views, which point into pages instead of copying every value, wherever in a column they stand.
#[derive(Debug, Default)]
struct Views {
    /// What was noted for the first file. The files of a table have the same columns, but those of an older version.
    first: OnceLock<(Type, KeyValue)>,
}

impl Views {
    /// What the writer would have noted, if it had been given views.
    fn note(&self, schema: &SchemaDescriptor) -> ParquetResult<KeyValue> {
        if let Some((_, note)) = self.first.get().filter(|(of, _)| of == schema.root_schema()) {
            return Ok(note.clone());
        }
        let seen = with_views(&parquet_to_arrow_schema(schema, None)?);
        let note = KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), encode_arrow_schema(&seen));
        self.first.get_or_init(|| (schema.root_schema().clone(), note.clone()));
        Ok(note)
    }
}

/// The same columns, with all texts as views.
pub(super) fn with_views(schema: &Schema) -> Schema {
    Schema::new(fields_with_views(schema.fields()))
}

fn fields_with_views(fields: &Fields) -> Fields {
    fields.iter().map(field_with_views).collect()
}

fn field_with_views(field: &FieldRef) -> FieldRef {
    let viewed = match field.data_type() {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Struct(fields) => DataType::Struct(fields_with_views(fields)),
        DataType::List(element) => DataType::List(field_with_views(element)),
        _ => return Arc::clone(field),
    };
    Arc::new(field.as_ref().clone().with_data_type(viewed))
}
