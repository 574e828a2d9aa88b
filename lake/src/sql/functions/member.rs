//! `element_at(x, key)` and `contains(x, value)`, which mean something else for JSON text, arrays, structs and maps.

use std::sync::Arc;

use datafusion::arrow::array::StringBuilder;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::functions::core::get_field;
use datafusion::functions::string::contains;
use datafusion::functions_nested::array_has::array_has_udf;
use datafusion::functions_nested::extract::array_element_udf;
use datafusion::functions_nested::map_extract::map_extract_udf;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility, lit,
};
use orgtrail_event::json::Path;

use super::json;
use super::text::{Texts, constant, is_text, result, rows};

/// `element_at`: a member of JSON text, where strings have no quotes and all else is JSON; an array's element, counted from
/// 1, or from the end if negative; a struct's field; a map's value. NULL where there is none.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ElementAt {
    signature: Signature,
}

impl Default for ElementAt {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ElementAt {
    fn name(&self) -> &str {
        "element_at"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [from, key] = arguments else {
            return plan_err!("element_at takes 2 arguments, not {}", arguments.len());
        };
        match from {
            DataType::Null => Ok(vec![DataType::Utf8, DataType::Utf8]),
            text if is_text(text) && is_text(key) => Ok(arguments.to_vec()),
            text if is_text(text) => plan_err!(
                "element_at takes the name of a member of JSON text; for an array in it, json_extract(…, '$[0]')"
            ),
            DataType::Struct(_) => Ok(vec![from.clone(), DataType::Utf8]),
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
                Ok(vec![from.clone(), DataType::Int64])
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => Ok(vec![from.clone(), fields[0].data_type().clone()]),
                _ => plan_err!("element_at takes no such map"),
            },
            other => plan_err!("element_at takes JSON text, an array, a row or a map, not {other}"),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        plan_err!("the type of element_at depends on its arguments")
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let data_type = match arguments.arg_fields[0].data_type() {
            DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
                element.data_type().clone()
            }
            DataType::Struct(fields) => {
                let name =
                    arguments.scalar_arguments.get(1).copied().flatten().and_then(|name| name.try_as_str()).flatten();
                let field = name.and_then(|name| fields.iter().find(|field| field.name().eq_ignore_ascii_case(name)));
                let Some(field) = field else {
                    let names: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
                    return plan_err!("there is no field '{}'; there are: {}", name.unwrap_or("?"), names.join(", "));
                };
                field.data_type().clone()
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => fields[1].data_type().clone(),
                _ => return plan_err!("element_at takes no such map"),
            },
            _ => DataType::Utf8,
        };
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn simplify(&self, arguments: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let (from, key) = match <[Expr; 2]>::try_from(arguments) {
            Ok([from, key]) => (from, key),
            Err(arguments) => return Ok(ExprSimplifyResult::Original(arguments)),
        };
        Ok(match info.get_data_type(&from)? {
            // A field of its own is read by itself.
            DataType::Struct(fields) => {
                let name = match &key {
                    Expr::Literal(name, _) => name.try_as_str().flatten(),
                    _ => None,
                };
                let field = name.and_then(|name| fields.iter().find(|field| field.name().eq_ignore_ascii_case(name)));
                match field {
                    Some(field) => {
                        ExprSimplifyResult::Simplified(get_field().call(vec![from, lit(field.name().as_str())]))
                    }
                    None => ExprSimplifyResult::Original(vec![from, key]),
                }
            }
            DataType::Map(..) => {
                let values = map_extract_udf().call(vec![from, key]);
                ExprSimplifyResult::Simplified(array_element_udf().call(vec![values, lit(1_i64)]))
            }
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
                ExprSimplifyResult::Simplified(array_element_udf().call(vec![from, key]))
            }
            _ => ExprSimplifyResult::Original(vec![from, key]),
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match arguments.args[0].data_type() {
            text if is_text(&text) => member_of_text(&arguments),
            DataType::Struct(_) => get_field().invoke_with_args(arguments),
            DataType::Map(..) => plan_err!("element_at of a map was not planned"),
            _ => array_element_udf().invoke_with_args(arguments),
        }
    }
}

fn member_of_text(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let rows = rows(arguments);
    let array = arguments.args[0].to_array(rows)?;
    let texts = Texts::of(&array)?;
    let array = match constant(&arguments.args[1]) {
        Some(name) => json::find(&texts, name.map(Path::member).as_ref(), rows, |found| found.text()),
        None => {
            let names = arguments.args[1].to_array(rows)?;
            let names = Texts::of(&names)?;
            let mut out = StringBuilder::new();
            for row in 0..rows {
                let path = names.get(row).map(Path::member);
                let found = texts.get(row).and_then(|text| path.as_ref()?.find(text)?.text());
                out.append_option(found);
            }
            Arc::new(out.finish())
        }
    };
    result(array, &arguments.args)
}

/// `contains`: whether an array has an element; of text, whether it has a part.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Contains {
    signature: Signature,
}

impl Default for Contains {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Contains {
    fn name(&self) -> &str {
        "contains"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _), _] => {
                Ok(vec![arguments[0].clone(), element.data_type().clone()])
            }
            [text, _] if is_text(text) || *text == DataType::Null => Ok(vec![DataType::Utf8, DataType::Utf8]),
            [other, _] => plan_err!("contains takes an array or text, not {other}"),
            _ => plan_err!("contains takes 2 arguments, not {}", arguments.len()),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn simplify(&self, arguments: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let is_list = matches!(
            info.get_data_type(&arguments[0])?,
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
        );
        let function = if is_list { array_has_udf() } else { contains() };
        Ok(ExprSimplifyResult::Simplified(function.call(arguments)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match arguments.args[0].data_type() {
            text if is_text(&text) => contains().invoke_with_args(arguments),
            _ => array_has_udf().invoke_with_args(arguments),
        }
    }
}
