//! Functions that look into JSON text: paths are read once a batch, texts are scanned and never parsed into trees.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanBuilder, Int64Builder, ListBuilder, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use orgtrail_event::json::{Found, Path};

use super::text::{Texts, all_text, constant, result, rows};

/// Every function of this file.
pub(super) fn all() -> Vec<Json> {
    [
        Function::Extract,
        Function::ExtractScalar,
        Function::Text,
        Function::ArrayLength,
        Function::ArrayContains,
        Function::Elements,
    ]
    .map(|function| Json { function, signature: Signature::user_defined(Volatility::Immutable) })
    .into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    /// The JSON at a path.
    Extract,
    /// The scalar at a path.
    ExtractScalar,
    /// A JSON string's value; all else as it stands.
    Text,
    /// How many elements an array has.
    ArrayLength,
    /// Whether an array has a scalar.
    ArrayContains,
    /// An array's elements as a list of text.
    Elements,
}

/// A function over JSON text.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Json {
    function: Function,
    signature: Signature,
}

impl ScalarUDFImpl for Json {
    fn name(&self) -> &str {
        match self.function {
            Function::Extract => "json_extract",
            Function::ExtractScalar => "json_extract_scalar",
            Function::Text => "json_text",
            Function::ArrayLength => "json_array_length",
            Function::ArrayContains => "json_array_contains",
            Function::Elements => "json_elements",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let count = match self.function {
            Function::Extract | Function::ExtractScalar | Function::ArrayContains => 2,
            Function::Text | Function::ArrayLength | Function::Elements => 1,
        };
        match (self.function, arguments) {
            // What is looked for may be a number or a boolean.
            (Function::ArrayContains, [json, _]) => {
                Ok(vec![all_text(self.name(), std::slice::from_ref(json), 1..=1)?[0].clone(), DataType::Utf8])
            }
            _ => all_text(self.name(), arguments, count..=count),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.function {
            Function::Extract | Function::ExtractScalar | Function::Text => DataType::Utf8,
            Function::ArrayLength => DataType::Int64,
            Function::ArrayContains => DataType::Boolean,
            Function::Elements => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = rows(&arguments);
        let array = arguments.args[0].to_array(rows)?;
        let texts = Texts::of(&array)?;
        let whole = |row| texts.get(row).and_then(Found::whole);
        let array: ArrayRef = match self.function {
            Function::Extract => lookup(&texts, &arguments.args[1], rows, json)?,
            Function::ExtractScalar => lookup(&texts, &arguments.args[1], rows, |found| found.scalar())?,
            Function::Text => collect_texts((0..rows).map(|row| whole(row).and_then(Found::text)), rows),
            Function::ArrayLength => {
                let mut out = Int64Builder::with_capacity(rows);
                for row in 0..rows {
                    let length = whole(row).and_then(Found::elements).map(Iterator::count);
                    out.append_option(length.and_then(|length| i64::try_from(length).ok()));
                }
                Arc::new(out.finish())
            }
            Function::ArrayContains => {
                let wanted = arguments.args[1].to_array(rows)?;
                let wanted = Texts::of(&wanted)?;
                let mut out = BooleanBuilder::with_capacity(rows);
                for row in 0..rows {
                    let elements = whole(row).and_then(Found::elements).zip(wanted.get(row));
                    out.append_option(elements.map(|(mut elements, wanted)| {
                        elements.any(|element| element.scalar().as_deref() == Some(wanted))
                    }));
                }
                Arc::new(out.finish())
            }
            Function::Elements => {
                let mut out = ListBuilder::new(StringBuilder::new());
                for row in 0..rows {
                    let Some(elements) = whole(row).and_then(Found::elements) else {
                        out.append_null();
                        continue;
                    };
                    elements.for_each(|element| out.values().append_option(element.text()));
                    out.append(true);
                }
                Arc::new(out.finish())
            }
        };
        result(array, &arguments.args)
    }
}

/// What stands at a path in each text. `of` says what of it is wanted.
fn lookup(
    texts: &Texts<'_>,
    path: &ColumnarValue,
    rows: usize,
    of: for<'a> fn(Found<'a>) -> Option<Cow<'a, str>>,
) -> Result<ArrayRef> {
    if let Some(path) = constant(path) {
        let path = path.map(parse).transpose()?;
        return Ok(find(texts, path.as_ref(), rows, of));
    }
    let paths = path.to_array(rows)?;
    let paths = Texts::of(&paths)?;
    let mut out = StringBuilder::new();
    for row in 0..rows {
        let path = paths.get(row).map(parse).transpose()?;
        let found = path.zip(texts.get(row)).and_then(|(path, text)| path.find(text).and_then(of).map(Cow::into_owned));
        out.append_option(found);
    }
    Ok(Arc::new(out.finish()))
}

/// What stands at one path in each text.
pub(super) fn find(
    texts: &Texts<'_>,
    path: Option<&Path>,
    rows: usize,
    of: for<'a> fn(Found<'a>) -> Option<Cow<'a, str>>,
) -> ArrayRef {
    let found = |row| texts.get(row).and_then(|text| path?.find(text)).and_then(of);
    collect_texts((0..rows).map(found), rows)
}

fn collect_texts<'a>(texts: impl Iterator<Item = Option<Cow<'a, str>>>, rows: usize) -> ArrayRef {
    let mut out = StringBuilder::with_capacity(rows, rows * 8);
    texts.for_each(|text| out.append_option(text));
    Arc::new(out.finish())
}

/// The JSON of a value; None for null, as SQL has no JSON null.
fn json(found: Found<'_>) -> Option<Cow<'_, str>> {
    let text = found.json();
    (text != "null").then_some(Cow::Borrowed(text))
}

fn parse(path: &str) -> Result<Path> {
    Path::parse(path).or_else(|error| exec_err!("'{path}' is no JSONPath: {error}"))
}
