//! Parquet, compressed with zstd.
//!
//! Everything that a query gives has a Parquet type, but for durations, intervals and columns that are nothing but NULL,
//! which are written as text.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::convert::{Conversion, Step};
use super::{Encoder, Failure};

/// Rows of a row group, if they are not too large.
const GROUP_ROWS: usize = 128 * 1024;
/// Encoded bytes of a row group that are kept in memory; a group is written when it has them.
const GROUP_BYTES: usize = 64 << 20;

/// Writes Parquet.
pub(crate) struct Parquet<W: Write + Send> {
    writer: ArrowWriter<W>,
    conversion: Conversion,
}

impl<W: Write + Send> Parquet<W> {
    pub(crate) fn begin(out: W, schema: &Schema) -> Result<Self, Failure> {
        let conversion = Conversion::new(schema, step);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_created_by(concat!("orgtrail ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = ArrowWriter::try_new(out, conversion.schema.clone(), Some(properties))?;
        Ok(Self { writer, conversion })
    }

    pub(crate) fn as_text(&self) -> Vec<String> {
        self.conversion.as_text()
    }
}

impl<W: Write + Send> Encoder for Parquet<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        self.writer.write(&self.conversion.apply(batch)?)?;
        if self.writer.in_progress_size() >= GROUP_BYTES {
            self.writer.flush()?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), Failure> {
        Ok(self.writer.into_inner()?.flush()?)
    }
}

fn step(data_type: &DataType) -> Step {
    match data_type {
        DataType::Null | DataType::Duration(_) | DataType::Interval(_) => Step::Text,
        // Parquet knows no seconds.
        DataType::Timestamp(TimeUnit::Second, zone) => {
            Step::Cast(DataType::Timestamp(TimeUnit::Millisecond, zone.clone()))
        }
        DataType::Date64 => Step::Cast(DataType::Timestamp(TimeUnit::Millisecond, None)),
        // A file names the types in memory that it came of, and older readers don't know views.
        DataType::Utf8View => Step::Cast(DataType::Utf8),
        _ => Step::Keep,
    }
}

impl From<ParquetError> for Failure {
    fn from(error: ParquetError) -> Self {
        Self::Encode(error.to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, StringViewArray};
    use arrow::datatypes::TimestampMicrosecondType;
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::output::cell::tests::every_kind;

    #[test]
    fn views_are_written_as_texts() {
        let views = StringViewArray::from(vec![Some("a text that is longer than a view holds"), None]);
        let batch = RecordBatch::try_from_iter([("eventname", Arc::new(views) as ArrayRef)]).unwrap();
        let mut file = Vec::new();
        let mut parquet = Box::new(Parquet::begin(&mut file, batch.schema_ref()).unwrap());
        assert!(parquet.as_text().is_empty());
        parquet.write(&batch).unwrap();
        parquet.finish().unwrap();
        let mut read = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap().build().unwrap();
        let read = read.next().unwrap().unwrap();
        let texts = read.column(0).as_string::<i32>();
        assert_eq!(texts.iter().collect::<Vec<_>>(), [Some("a text that is longer than a view holds"), None]);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let batch = every_kind();
        let mut file = Vec::new();
        let mut parquet = Box::new(Parquet::begin(&mut file, batch.schema_ref()).unwrap());
        assert_eq!(parquet.as_text(), ["nothing"]);
        parquet.write(&batch).unwrap();
        parquet.finish().unwrap();

        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
        let group = reader.metadata().row_group(0).column(0).compression();
        assert!(matches!(group, Compression::ZSTD(_)), "{group:?}");
        let read = reader.build().unwrap().next().unwrap().unwrap();
        assert_eq!(read.num_rows(), 2);
        let times = read.column(0).as_primitive::<TimestampMicrosecondType>();
        assert_eq!((times.value(0), times.timezone()), (1_772_384_033_000_000, Some("UTC")));
        for name in ["useridentity", "numbers", "eventname", "n"] {
            assert_eq!(read.column_by_name(name).unwrap(), batch.column_by_name(name).unwrap(), "{name}");
        }
    }
}
