//! ORC, compressed with zstd.
//!
//! The writer (orc-rust) has no nested columns and no decimals: structs, lists, maps and decimals are written as the text
//! that tables show, which for the nested ones is JSON, and so are times of day, durations and intervals. Unsigned numbers
//! become the next larger signed ones. Timestamps with a time zone are instants in UTC, which ORC calls `timestamp with
//! local time zone`.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, TimeUnit};
use orc_rust::arrow_writer::{ArrowWriter, ArrowWriterBuilder};
use orc_rust::compression::CompressionType;
use orc_rust::error::OrcError;

use super::convert::{Conversion, Step};
use super::{Encoder, Failure};

/// Bytes of a stripe, about; kept in memory until it is written. ORC's own default.
const STRIPE_BYTES: usize = 64 << 20;

/// Writes ORC.
pub(crate) struct Orc<W: Write + Send> {
    writer: ArrowWriter<W>,
    conversion: Conversion,
}

impl<W: Write + Send> Orc<W> {
    pub(crate) fn begin(out: W, schema: &Schema) -> Result<Self, Failure> {
        let conversion = Conversion::new(schema, step);
        let writer = ArrowWriterBuilder::new(out, conversion.schema.clone())
            .with_stripe_byte_size(STRIPE_BYTES)
            .with_compression(CompressionType::Zstd)
            .try_build()?;
        Ok(Self { writer, conversion })
    }

    pub(crate) fn as_text(&self) -> Vec<String> {
        self.conversion.as_text()
    }
}

impl<W: Write + Send> Encoder for Orc<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        Ok(self.writer.write(&self.conversion.apply(batch)?)?)
    }

    fn finish(self: Box<Self>) -> Result<(), Failure> {
        Ok(self.writer.close()?)
    }
}

fn step(data_type: &DataType) -> Step {
    match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::Timestamp(_, None) => Step::Keep,
        DataType::Timestamp(_, Some(zone)) if zone.as_ref() == "UTC" => Step::Keep,
        DataType::Timestamp(unit, Some(_)) => Step::Cast(DataType::Timestamp(*unit, Some("UTC".into()))),
        DataType::UInt8 => Step::Cast(DataType::Int16),
        DataType::UInt16 => Step::Cast(DataType::Int32),
        DataType::UInt32 | DataType::UInt64 => Step::Cast(DataType::Int64),
        DataType::Float16 => Step::Cast(DataType::Float32),
        DataType::Date64 => Step::Cast(DataType::Timestamp(TimeUnit::Millisecond, None)),
        DataType::Utf8View => Step::Cast(DataType::Utf8),
        DataType::BinaryView | DataType::FixedSizeBinary(_) => Step::Cast(DataType::Binary),
        DataType::Dictionary(_, values) => match step(values) {
            Step::Keep => Step::Cast(values.as_ref().clone()),
            other => other,
        },
        _ => Step::Text,
    }
}

impl From<OrcError> for Failure {
    fn from(error: OrcError) -> Self {
        match error {
            OrcError::IoError { source, .. } => Self::Io(source),
            error => Self::Encode(error.to_string()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use bytes::Bytes;
    use orc_rust::arrow_reader::ArrowReaderBuilder;

    use super::*;
    use crate::output::cell::is_utc;
    use crate::output::cell::tests::every_kind;

    #[test]
    fn what_is_written_is_read_again_with_nested_columns_as_json() {
        let batch = every_kind();
        let mut file = Vec::new();
        let mut orc = Box::new(Orc::begin(&mut file, batch.schema_ref()).unwrap());
        assert_eq!(orc.as_text(), ["useridentity", "numbers", "nothing"]);
        orc.write(&batch).unwrap();
        orc.write(&batch).unwrap();
        orc.finish().unwrap();

        let reader = ArrowReaderBuilder::try_new(Bytes::from(file)).unwrap().build();
        let read: Vec<_> = reader.collect::<Result<_, _>>().unwrap();
        assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
        let column = |name: &str| read[0].column_by_name(name).unwrap();
        assert_eq!(column("n").as_primitive::<Int64Type>().value(0), -42);
        assert!(column("n").is_null(1));
        assert_eq!(column("eventname").as_string::<i32>().value(0), "Run\"Instances\", new\nline");
        assert_eq!(column("word").as_string::<i32>().value(0), "word");
        let identity = column("useridentity").as_string::<i32>();
        assert_eq!(identity.value(0), r#"{"type":"IAMUser","issuer":{"username":"admin"}}"#);
        let time = column("eventtime");
        assert!(
            matches!(time.data_type(), DataType::Timestamp(_, Some(zone)) if is_utc(zone)),
            "{:?}",
            time.data_type()
        );
    }
}
