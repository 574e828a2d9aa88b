//! Functions of moments: arithmetic in calendar units, and moments as text. All in UTC, as every moment in the lake is.

mod format;

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Date32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::compute::cast as cast_array;
use datafusion::arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility, cast};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use self::format::Format;
use super::text::{Texts, constant, is_text, result, rows};
use crate::schema::timestamp;

/// Every function of this file.
pub(super) fn all() -> Vec<Moment> {
    [
        Function::DateAdd,
        Function::DateDiff,
        Function::ToIso8601,
        Function::FormatDatetime,
        Function::DateFormat,
        Function::ToVarchar,
    ]
    .map(|function| Moment { function, signature: Signature::user_defined(Volatility::Immutable) })
    .into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    DateAdd,
    DateDiff,
    ToIso8601,
    /// With Joda-Time's patterns.
    FormatDatetime,
    /// With MySQL's patterns.
    DateFormat,
    /// What `CAST(x AS varchar)` becomes: moments as Trino writes them.
    ToVarchar,
}

/// A function of moments.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Moment {
    function: Function,
    signature: Signature,
}

impl ScalarUDFImpl for Moment {
    fn name(&self) -> &str {
        match self.function {
            Function::DateAdd => "date_add",
            Function::DateDiff => "date_diff",
            Function::ToIso8601 => "to_iso8601",
            Function::FormatDatetime => "format_datetime",
            Function::DateFormat => "date_format",
            Function::ToVarchar => "to_varchar",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.name();
        match (self.function, arguments) {
            (Function::DateAdd, [unit, _, DataType::Date32]) if is_text(unit) => {
                Ok(vec![DataType::Utf8, DataType::Int64, DataType::Date32])
            }
            (Function::DateAdd, [unit, _, at]) if is_text(unit) => {
                Ok(vec![DataType::Utf8, DataType::Int64, moment(name, at)?])
            }
            (Function::DateDiff, [unit, from, to]) if is_text(unit) => {
                Ok(vec![DataType::Utf8, moment(name, from)?, moment(name, to)?])
            }
            (Function::DateAdd | Function::DateDiff, [..]) => {
                plan_err!(
                    "{name} takes a unit such as 'day', then {}",
                    match self.function {
                        Function::DateAdd => "a number and a moment",
                        _ => "two moments",
                    }
                )
            }
            (Function::ToIso8601, [at]) => Ok(vec![moment(name, at)?]),
            (Function::FormatDatetime | Function::DateFormat, [at, pattern]) if is_text(pattern) => {
                Ok(vec![moment(name, at)?, DataType::Utf8])
            }
            (Function::ToVarchar, [DataType::Timestamp(..)]) => Ok(vec![timestamp()]),
            (Function::ToVarchar, [other]) => Ok(vec![other.clone()]),
            _ => plan_err!(
                "{name} takes a moment{}",
                match self.function {
                    Function::FormatDatetime | Function::DateFormat => " and a pattern",
                    _ => "",
                }
            ),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.function {
            Function::DateAdd if arguments.get(2) == Some(&DataType::Date32) => DataType::Date32,
            Function::DateAdd => timestamp(),
            Function::DateDiff => DataType::Int64,
            _ => DataType::Utf8,
        })
    }

    fn simplify(&self, mut arguments: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let is_moment = |expr: &Expr| info.get_data_type(expr).map(|given| matches!(given, DataType::Timestamp(..)));
        Ok(match (self.function, arguments.len()) {
            (Function::ToVarchar, 1) if !is_moment(&arguments[0])? => {
                ExprSimplifyResult::Simplified(cast(arguments.remove(0), DataType::Utf8))
            }
            _ => ExprSimplifyResult::Original(arguments),
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = rows(&arguments);
        let array = match self.function {
            Function::DateAdd => date_add(&arguments.args, rows)?,
            Function::DateDiff => date_diff(&arguments.args, rows)?,
            Function::ToIso8601 => formatted(&arguments.args[0], &Format::iso8601(), rows)?,
            Function::ToVarchar => match arguments.args[0].data_type() {
                DataType::Timestamp(..) => formatted(&arguments.args[0], &Format::trino(), rows)?,
                _ => cast_array(&arguments.args[0].to_array(rows)?, &DataType::Utf8)?,
            },
            Function::FormatDatetime | Function::DateFormat => {
                let pattern = match constant(&arguments.args[1]) {
                    Some(pattern) => pattern.unwrap_or_default(),
                    None => return exec_err!("{} takes a pattern that is the same for all rows", self.name()),
                };
                let format = match self.function {
                    Function::FormatDatetime => Format::joda(pattern),
                    _ => Format::mysql(pattern),
                };
                formatted(&arguments.args[0], &format.map_err(|error| exec_datafusion_err!("{error}"))?, rows)?
            }
        };
        result(array, &arguments.args)
    }
}

/// The type that a moment is taken as.
fn moment(name: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null => Ok(timestamp()),
        text if is_text(text) => Ok(timestamp()),
        other => plan_err!("{name} takes a moment, not {other}"),
    }
}

/// A calendar unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many microseconds.
    Fixed(i64),
    /// So many months.
    Months(i64),
}

impl Unit {
    const DAY: i64 = 86_400_000_000;

    fn parse(name: &str) -> Result<Self> {
        Ok(match name.to_lowercase().as_str() {
            "millisecond" => Self::Fixed(1_000),
            "second" => Self::Fixed(1_000_000),
            "minute" => Self::Fixed(60_000_000),
            "hour" => Self::Fixed(3_600_000_000),
            "day" => Self::Fixed(Self::DAY),
            "week" => Self::Fixed(7 * Self::DAY),
            "month" => Self::Months(1),
            "quarter" => Self::Months(3),
            "year" => Self::Months(12),
            other => {
                return exec_err!(
                    "'{other}' is no unit; there are millisecond, second, minute, hour, day, week, month, quarter and year"
                );
            }
        })
    }
}

/// A row's value under a column of one type.
fn units(argument: &ColumnarValue, rows: usize) -> Result<impl Fn(usize) -> Result<Option<Unit>> + use<>> {
    let same = match constant(argument) {
        Some(name) => Some(name.map(Unit::parse).transpose()?),
        None => None,
    };
    let names = argument.to_array(rows)?;
    Ok(move |row| match same {
        Some(unit) => Ok(unit),
        None => Texts::of(&names)?.get(row).map(Unit::parse).transpose(),
    })
}

fn date_add(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let unit = units(&arguments[0], rows)?;
    let counts = arguments[1].to_array(rows)?;
    let counts = counts.as_primitive::<Int64Type>();
    let moments = arguments[2].to_array(rows)?;
    let count = |row| counts.is_valid(row).then(|| counts.value(row));
    if let Some(days) = moments.as_primitive_opt::<Date32Type>() {
        let mut out = Date32Builder::with_capacity(rows);
        for row in 0..rows {
            let day = days.is_valid(row).then(|| i64::from(days.value(row)) * Unit::DAY);
            let sum = unit(row)?.zip(count(row)).zip(day);
            if let Some(((Unit::Fixed(micros), _), _)) = sum
                && micros < Unit::DAY
            {
                return exec_err!("date_add takes no unit shorter than a day for a date");
            }
            let sum = sum.map(|((unit, count), day)| shifted(day, unit, count)).transpose()?;
            out.append_option(sum.and_then(|sum| i32::try_from(sum.div_euclid(Unit::DAY)).ok()));
        }
        return Ok(Arc::new(out.finish()));
    }
    let moments = moments.as_primitive::<TimestampMicrosecondType>();
    let mut out = TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(timestamp());
    for row in 0..rows {
        let at = moments.is_valid(row).then(|| moments.value(row));
        let sum = unit(row)?.zip(count(row)).zip(at);
        out.append_option(sum.map(|((unit, count), at)| shifted(at, unit, count)).transpose()?);
    }
    Ok(Arc::new(out.finish()))
}

/// `micros` and `count` units later.
fn shifted(micros: i64, unit: Unit, count: i64) -> Result<i64> {
    let sum = match unit {
        Unit::Fixed(length) => length.checked_mul(count).and_then(|span| micros.checked_add(span)),
        Unit::Months(months) => months.checked_mul(count).and_then(|months| plus_months(micros, months)),
    };
    sum.ok_or_else(|| exec_datafusion_err!("date_add goes beyond the years that there are"))
}

/// The same day of a later month, or that month's last day.
fn plus_months(micros: i64, months: i64) -> Option<i64> {
    let span = Span::new().try_months(months).ok()?;
    let at = civil(micros)?.checked_add(span).ok()?;
    Some(TimeZone::UTC.to_timestamp(at).ok()?.as_microsecond())
}

fn civil(micros: i64) -> Option<DateTime> {
    Timestamp::from_microsecond(micros).ok().map(|at| TimeZone::UTC.to_datetime(at))
}

fn date_diff(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let unit = units(&arguments[0], rows)?;
    let [from, to] = [arguments[1].to_array(rows)?, arguments[2].to_array(rows)?];
    let [from, to] = [from.as_primitive::<TimestampMicrosecondType>(), to.as_primitive::<TimestampMicrosecondType>()];
    let mut out = Int64Builder::with_capacity(rows);
    for row in 0..rows {
        let both = from.is_valid(row) && to.is_valid(row);
        let unit = unit(row)?.filter(|_| both);
        out.append_option(unit.and_then(|unit| difference(unit, from.value(row), to.value(row))));
    }
    Ok(Arc::new(out.finish()))
}

/// How many whole units lie between two moments; negative if `to` is the earlier.
fn difference(unit: Unit, from: i64, to: i64) -> Option<i64> {
    match unit {
        Unit::Fixed(length) => Some(to.checked_sub(from)? / length),
        Unit::Months(months) => {
            let [first, last] = [civil(from)?, civil(to)?];
            let whole = |at: DateTime| i64::from(at.year()) * 12 + i64::from(at.month());
            let mut count = whole(last) - whole(first);
            // The last month counts when it is over.
            let reached = plus_months(from, count)?;
            if count > 0 && reached > to {
                count -= 1;
            } else if count < 0 && reached < to {
                count += 1;
            }
            Some(count / months)
        }
    }
}

fn formatted(argument: &ColumnarValue, format: &Format, rows: usize) -> Result<ArrayRef> {
    let moments = argument.to_array(rows)?;
    let moments = cast_array(&moments, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
    let moments = moments.as_primitive::<TimestampMicrosecondType>();
    let mut out = StringBuilder::with_capacity(rows, rows * 24);
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        match moments.is_valid(row).then(|| civil(moments.value(row))).flatten() {
            Some(at) => {
                format.write(at, &mut text);
                out.append_value(&text);
            }
            None => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}
