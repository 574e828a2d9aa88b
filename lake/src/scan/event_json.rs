//! `eventjson` as a function of a row's columns, so that a query that doesn't ask for it reads none of them.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::quoted;
use crate::kind::Kind;
use crate::rows;
use crate::schema::EVENT_TEMPLATE;

/// A record's text, of the columns of its kind.
pub(super) fn event_json(kind: Kind, columns: Vec<Expr>) -> Expr {
    let function = EventJson { kind, signature: Signature::variadic_any(Volatility::Immutable) };
    ScalarUDF::from(function).call(std::iter::once(quoted(EVENT_TEMPLATE)).chain(columns).collect())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct EventJson {
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for EventJson {
    fn name(&self) -> &'static str {
        "event_json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = args.args.iter().map(|value| value.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let texts = rows::event_json(self.kind, &arrays[1..], &arrays[0])?;
        Ok(ColumnarValue::Array(Arc::clone(&texts)))
    }
}
