//! What there is to query, told to people: columns with their types and meanings, and functions.

use datafusion::arrow::datatypes::{DataType, Fields, Schema, TimeUnit};

use crate::kind::Kind;
use crate::schema;

/// A column of an event data store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDescription {
    /// Its name; lower case.
    pub name: String,
    /// Its type in Trino's words, such as `varchar` or `array(row(arn varchar))`.
    pub data_type: String,
    /// What it holds, in a line.
    pub description: &'static str,
}

pub(super) fn describe(kind: Kind, table: &Schema) -> Vec<ColumnDescription> {
    let known = schema::columns(kind);
    let described =
        |name: &str| known.iter().find(|column| column.field.name() == name).map(|column| column.description);
    let virtual_column = |name: &str| match name {
        schema::EVENT_JSON => "the record's own text, byte for byte; made when it is asked for",
        _ => "",
    };
    table
        .fields()
        .iter()
        .map(|field| ColumnDescription {
            name: field.name().clone(),
            data_type: type_name(field.data_type()),
            description: described(field.name()).unwrap_or_else(|| virtual_column(field.name())),
        })
        .collect()
}

/// A type in Trino's words.
fn type_name(data_type: &DataType) -> String {
    let row = |fields: &Fields| {
        let fields: Vec<_> =
            fields.iter().map(|field| format!("{} {}", field.name(), type_name(field.data_type()))).collect();
        format!("row({})", fields.join(", "))
    };
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "varchar".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond | TimeUnit::Millisecond, _) => {
            "timestamp".to_owned()
        }
        DataType::List(element) | DataType::LargeList(element) => format!("array({})", type_name(element.data_type())),
        DataType::Struct(fields) => row(fields),
        other => other.to_string().to_lowercase(),
    }
}

/// A function, for a shell's help and the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionDescription {
    /// How it is called.
    pub usage: &'static str,
    /// What it gives, in a line.
    pub description: &'static str,
}

/// The functions that questions about events need most; all of DataFusion's can be called as well.
pub const FUNCTIONS: &[FunctionDescription] = &[
    function("element_at(json, name)", "a member of JSON text: strings without quotes, all else as JSON"),
    function("element_at(array, n)", "an element, counted from 1, or from the end if negative; also array[n]"),
    function(
        "json_extract_scalar(json, path)",
        "the string, number or boolean at a JSONPath such as '$.a[0][\"b.c\"]', as text",
    ),
    function("json_extract(json, path)", "the JSON at a JSONPath"),
    function("json_array_length(json)", "how many elements a JSON array has"),
    function("json_array_contains(json, value)", "whether a JSON array has a string, number or boolean"),
    function("json_elements(json)", "a JSON array as an array of text; also CAST(json_extract(…) AS array(varchar))"),
    function("url_decode(text)", "text without percent-encoding, as in IAM's policy documents"),
    function("contains(array, value)", "whether an array has an element"),
    function("any_match(array, x -> condition)", "whether an element meets a condition; also all_match, none_match"),
    function(
        "filter(array, x -> condition)",
        "the elements that meet a condition; transform(array, x -> value) changes each",
    ),
    function("cardinality(array)", "how many elements an array has"),
    function("date_trunc(unit, moment)", "the beginning of a moment's minute, hour, day, week, month or year"),
    function("date_add(unit, n, moment)", "a moment n units later; earlier if negative"),
    function("date_diff(unit, from, to)", "how many whole units lie between two moments"),
    function("from_iso8601_timestamp(text)", "a moment from text such as 2026-03-01T16:53:53Z"),
    function("to_iso8601(moment)", "a moment as such text"),
    function("format_datetime(moment, pattern)", "a moment in Joda-Time's pattern, such as 'yyyy-MM-dd HH:mm'"),
    function("date_format(moment, pattern)", "a moment in MySQL's pattern, such as '%Y-%m-%d %H:%i'"),
    function("year(moment)", "a part of a moment; also month, day, hour, minute, second, day_of_week, week"),
    function("now()", "when the query began; also current_timestamp, current_date"),
    function("regexp_like(text, pattern)", "whether a regular expression matches somewhere"),
    function(
        "regexp_extract(text, pattern, n)",
        "what the n-th group of a regular expression matches; without n, all of it",
    ),
    function("regexp_replace(text, pattern, by)", "text with every match replaced; $1 is what the first group matched"),
    function("split_part(text, separator, n)", "the n-th part of text; split(text, separator) gives all as an array"),
    function("if(condition, a, b)", "a or b; also CASE, COALESCE, NULLIF, TRY_CAST"),
    function("count_if(condition)", "how many rows meet a condition"),
    function("approx_distinct(x)", "about how many different values there are"),
    function("arbitrary(x)", "any one value; also any_value"),
    function("max_by(x, y)", "the x of the row with the largest y; min_by of the row with the smallest"),
    function("array_agg(x)", "all values as an array"),
];

const fn function(usage: &'static str, description: &'static str) -> FunctionDescription {
    FunctionDescription { usage, description }
}
