//! What the functions share: arguments that are text in any of Arrow's layouts; and functions of text.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, LargeStringArray, StringArray, StringBuilder, StringViewArray,
};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// Whether a type is text.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// A column of text, in any layout.
pub(super) enum Texts<'a> {
    Small(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
}

impl<'a> Texts<'a> {
    pub(super) fn of(array: &'a ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Small(array.as_string()),
            DataType::LargeUtf8 => Self::Large(array.as_string()),
            DataType::Utf8View => Self::View(array.as_string_view()),
            other => return exec_err!("expected text, found {other}"),
        })
    }

    pub(super) fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Small(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Large(array) => array.is_valid(row).then(|| array.value(row)),
            Self::View(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

/// The text of a constant argument; None for NULL. The outer None: the argument isn't constant.
pub(super) fn constant(argument: &ColumnarValue) -> Option<Option<&str>> {
    match argument {
        ColumnarValue::Scalar(ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text)) => {
            Some(text.as_deref())
        }
        ColumnarValue::Scalar(ScalarValue::Null) => Some(None),
        _ => None,
    }
}

/// The types of arguments that are all text: what is text stays as it is, NULL becomes text.
pub(super) fn all_text(
    name: &str,
    arguments: &[DataType],
    count: std::ops::RangeInclusive<usize>,
) -> Result<Vec<DataType>> {
    if !count.contains(&arguments.len()) {
        return plan_err!("{name} takes {} arguments, not {}", describe(&count), arguments.len());
    }
    arguments
        .iter()
        .map(|argument| match argument {
            DataType::Null => Ok(DataType::Utf8),
            text if is_text(text) => Ok(text.clone()),
            other => plan_err!("{name} takes text, not {other}"),
        })
        .collect()
}

fn describe(count: &std::ops::RangeInclusive<usize>) -> String {
    match (count.start(), count.end()) {
        (start, end) if start == end => start.to_string(),
        (start, end) => format!("{start} to {end}"),
    }
}

/// Wraps a result: a constant if all arguments were.
pub(super) fn result(array: ArrayRef, arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    match arguments.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_))) && array.len() == 1 {
        true => ScalarValue::try_from_array(&array, 0).map(ColumnarValue::Scalar),
        false => Ok(ColumnarValue::Array(array)),
    }
}

/// How many rows to compute: one where all arguments are constant.
pub(super) fn rows(arguments: &ScalarFunctionArgs) -> usize {
    match arguments.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_))) {
        true => 1,
        false => arguments.number_rows,
    }
}

/// `url_decode(text)`: undoes percent-encoding, as IAM encodes policies in `responseelements`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct UrlDecode {
    signature: Signature,
}

impl Default for UrlDecode {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for UrlDecode {
    fn name(&self) -> &str {
        "url_decode"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        all_text(self.name(), arguments, 1..=1)
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = rows(&arguments);
        let array = arguments.args[0].to_array(rows)?;
        let texts = Texts::of(&array)?;
        let mut out = StringBuilder::with_capacity(rows, rows * 16);
        for row in 0..rows {
            out.append_option(texts.get(row).map(percent_decoded));
        }
        result(Arc::new(out.finish()), &arguments.args)
    }
}

/// What isn't percent-encoded UTF-8 stays as it is.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let pair = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        let decoded = pair.filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match decoded.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}
