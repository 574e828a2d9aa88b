//! The functions of Trino that DataFusion lacks, or means something else by.

mod json;
mod member;
mod moment;
mod text;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let mut functions = vec![
        ScalarUDF::from(member::ElementAt::default()),
        ScalarUDF::from(member::Contains::default()),
        ScalarUDF::from(text::UrlDecode::default()),
    ];
    functions.extend(json::all().into_iter().map(ScalarUDF::from));
    functions.extend(moment::all().into_iter().map(ScalarUDF::from));
    functions.into_iter().map(Arc::new).collect()
}
