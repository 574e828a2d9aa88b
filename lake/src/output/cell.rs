//! What a value looks like as text, in tables and CSV: as CloudTrail Lake shows it.
//!
//! Owns: one cell at a time, by the column's type. Does not own quoting, padding or cutting.
//!
//! Timestamps are `2026-03-01 16:53:53.000` in UTC, with six or nine digits where the value has them; those of another time
//! zone have its name behind them. Structs, lists and maps are JSON, without members that are NULL.

use std::io::Write as _;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::EncoderOptions;
use arrow::json::writer::{NullableEncoder, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use jiff::Timestamp;

/// What a time of another zone than UTC looks like in front of the zone's name.
const ZONED: &str = "%Y-%m-%d %H:%M:%S%.3f";

/// How values are shown. Lives longer than the batches that are shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Style {
    nested: EncoderOptions,
}

/// The cells of a batch.
pub(crate) struct Cells<'a> {
    columns: Vec<Column<'a>>,
}

struct Column<'a> {
    nulls: Option<NullBuffer>,
    shape: Shape<'a>,
}

enum Shape<'a> {
    Plain(ArrayFormatter<'a>),
    /// In UTC: ticks since 1970, and nanoseconds in a tick.
    Time(Vec<i64>, i128),
    Zoned(ArrayFormatter<'a>, &'a str),
    Nested(NullableEncoder<'a>),
}

impl<'a> Cells<'a> {
    /// # Errors
    /// A column's type has no text; none that a query gives is known.
    pub(crate) fn new(batch: &'a RecordBatch, style: &'a Style) -> Result<Self, ArrowError> {
        let fields = batch.schema_ref().fields();
        let columns = fields.iter().zip(batch.columns()).map(|(field, array)| column(field, array, style));
        Ok(Self { columns: columns.collect::<Result<_, _>>()? })
    }

    /// Adds a cell's text. False, and nothing added: it is NULL.
    pub(crate) fn write(&mut self, row: usize, column: usize, out: &mut Vec<u8>) -> Result<bool, ArrowError> {
        let Column { nulls, shape } = &mut self.columns[column];
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(false);
        }
        match shape {
            Shape::Plain(formatter) => write!(out, "{}", formatter.value(row))?,
            Shape::Time(ticks, nanoseconds) => write_time(i128::from(ticks[row]) * *nanoseconds, out)?,
            Shape::Zoned(formatter, zone) => write!(out, "{} {zone}", formatter.value(row))?,
            Shape::Nested(encoder) => encoder.encode(row, out),
        }
        Ok(true)
    }
}

fn column<'a>(field: &'a FieldRef, array: &'a dyn Array, style: &'a Style) -> Result<Column<'a>, ArrowError> {
    let options = FormatOptions::default().with_display_error(false);
    let shape = match field.data_type() {
        DataType::Timestamp(unit, zone) if zone.as_deref().is_none_or(is_utc) => {
            let ticks = cast(array, &DataType::Int64)?;
            Shape::Time(ticks.as_primitive::<Int64Type>().values().to_vec(), nanoseconds(*unit))
        }
        DataType::Timestamp(_, Some(zone)) => {
            Shape::Zoned(ArrayFormatter::try_new(array, &options.with_timestamp_tz_format(Some(ZONED)))?, zone)
        }
        nested if nested.is_nested() => Shape::Nested(make_encoder(field, array, &style.nested)?),
        _ => Shape::Plain(ArrayFormatter::try_new(array, &options)?),
    };
    Ok(Column { nulls: array.logical_nulls(), shape })
}

/// Whether a time zone's name is one of UTC's.
pub(crate) fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "Z" | "+00:00" | "Etc/UTC" | "GMT")
}

fn nanoseconds(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1000,
        TimeUnit::Nanosecond => 1,
    }
}

fn write_time(nanoseconds: i128, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    let time = Timestamp::from_nanosecond(nanoseconds)
        .map_err(|_| ArrowError::CastError(format!("{nanoseconds} ns since 1970 is no year from -9999 to 9999")))?;
    let format = match time.subsec_nanosecond() {
        fraction if fraction % 1_000_000 == 0 => "%Y-%m-%d %H:%M:%S%.3f",
        fraction if fraction % 1000 == 0 => "%Y-%m-%d %H:%M:%S%.6f",
        _ => "%Y-%m-%d %H:%M:%S%.9f",
    };
    Ok(write!(out, "{}", time.strftime(format))?)
}

/// Whether a column's values are numbers, which stand at the right.
pub(crate) fn is_number(field: &Field) -> bool {
    field.data_type().is_numeric()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int64Array, ListArray, NullArray,
        StringArray, StringViewArray, StructArray, TimestampMicrosecondArray,
    };
    use arrow::datatypes::{Fields, Int32Type, Schema};

    use super::*;

    /// A batch of one column of every kind that a query gives: a row of values and a row of NULLs.
    pub(crate) fn every_kind() -> RecordBatch {
        let issuer = Field::new("username", DataType::Utf8, true);
        let identity: Fields = vec![
            Field::new("type", DataType::Utf8, true),
            Field::new("arn", DataType::Utf8, true),
            Field::new("issuer", DataType::Struct(vec![issuer.clone()].into()), true),
        ]
        .into();
        let issuers = StructArray::new(
            vec![issuer].into(),
            vec![Arc::new(StringArray::from(vec![Some("admin"), None]))],
            Some(vec![true, false].into()),
        );
        let users = StructArray::new(
            identity,
            vec![
                Arc::new(StringArray::from(vec![Some("IAMUser"), None])),
                Arc::new(StringArray::from(vec![None::<&str>, None])),
                Arc::new(issuers),
            ],
            Some(vec![true, false].into()),
        );
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None, Some(3)]), None]);
        let words: DictionaryArray<Int32Type> = [Some("word"), None].into_iter().collect();
        let time = TimestampMicrosecondArray::from(vec![Some(1_772_384_033_000_000), None]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("eventtime", Arc::new(time.clone().with_timezone("UTC"))),
            ("local", Arc::new(time)),
            ("eventname", Arc::new(StringArray::from(vec![Some("Run\"Instances\", new\nline"), None]))),
            ("view", Arc::new(StringViewArray::from(vec![Some(""), None]))),
            ("n", Arc::new(Int64Array::from(vec![Some(-42), None]))),
            ("average", Arc::new(Float64Array::from(vec![Some(1.5), None]))),
            ("readonly", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ("eventday", Arc::new(Date32Array::from(vec![Some(20513), None]))),
            ("useridentity", Arc::new(users)),
            ("numbers", Arc::new(list)),
            ("word", Arc::new(words)),
            ("nothing", Arc::new(NullArray::new(2))),
        ];
        let fields: Vec<Field> =
            columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect()).unwrap()
    }

    fn text(array: ArrayRef) -> Option<String> {
        let schema = Schema::new(vec![Field::new("x", array.data_type().clone(), true)]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![array]).unwrap();
        let style = Style::default();
        let mut out = Vec::new();
        let there = Cells::new(&batch, &style).unwrap().write(0, 0, &mut out).unwrap();
        there.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_look_as_in_lake() {
        let batch = every_kind();
        let texts: Vec<_> = batch.columns().iter().map(|array| text(Arc::clone(array))).collect();
        let expected = [
            Some("2026-03-01 16:53:53.000"),
            Some("2026-03-01 16:53:53.000"),
            Some("Run\"Instances\", new\nline"),
            Some(""),
            Some("-42"),
            Some("1.5"),
            Some("true"),
            Some("2026-03-01"),
            Some(r#"{"type":"IAMUser","issuer":{"username":"admin"}}"#),
            Some("[1,null,3]"),
            Some("word"),
            None,
        ];
        assert_eq!(texts.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
        for array in batch.columns() {
            assert_eq!(text(array.slice(1, 1)), None);
        }
    }

    #[test]
    fn a_time_has_the_digits_that_it_needs_and_its_zone() {
        let time = |micros| TimestampMicrosecondArray::from(vec![micros]);
        assert_eq!(text(Arc::new(time(1_500))).unwrap(), "1970-01-01 00:00:00.001500");
        assert_eq!(text(Arc::new(time(-1_000))).unwrap(), "1969-12-31 23:59:59.999");
        let there = time(0).with_timezone("+02:00");
        assert_eq!(text(Arc::new(there)).unwrap(), "1970-01-01 02:00:00.000 +02:00");
    }
}
