//! What Trino's functions, casts and member accesses become where DataFusion has the same thing under another name.
//!
//! What DataFusion has not at all is a function of our own ([`crate::sql::functions`]).

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, LambdaFunction, ObjectName, ObjectNamePart,
    OrderByExpr, OrderByOptions, Subscript, TypedString, UnaryOperator, Value,
};
use jiff::Timestamp;

/// The type of every moment, as `arrow_cast` names it: that of `eventtime`, so that comparing needs no cast.
const MOMENT: &str = "Timestamp(Microsecond, Some(\"UTC\"))";

/// Functions that exist by rewriting only.
pub(super) const REWRITTEN: [&str; 37] = [
    "if",
    "count_if",
    "arbitrary",
    "max_by",
    "min_by",
    "split",
    "filter",
    "transform",
    "all_match",
    "none_match",
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "day_of_month",
    "day_of_week",
    "dow",
    "day_of_year",
    "doy",
    "hour",
    "minute",
    "second",
    "date",
    "from_iso8601_timestamp",
    "from_iso8601_date",
    "json_parse",
    "json_format",
    "regexp_extract",
    "typeof",
    "every",
    "slice",
    "sequence",
    "approx_percentile",
    "try",
    "localtimestamp",
    "array_join",
];

/// Whether `name`, in lower case, is one of them.
pub(super) fn is_rewritten(name: &str) -> bool {
    REWRITTEN.contains(&name)
}

/// Puts an expression, whose parts were rewritten already, into DataFusion's words.
pub(super) fn rewrite(expr: &mut Expr, now: Timestamp) {
    let new = match expr {
        Expr::Function(function) => match function.name.0.as_slice() {
            [ObjectNamePart::Identifier(name)] => {
                let name = name.value.to_lowercase();
                function.name = ObjectName::from(Ident::new(name.clone()));
                rewrite_call(&name, function, now)
            }
            _ => None,
        },
        Expr::Cast { kind, expr, data_type, .. } => rewrite_cast(kind, expr, data_type),
        Expr::TypedString(TypedString {
            data_type: DataType::Timestamp(..) | DataType::Datetime(_), value, ..
        }) => Some(moment(Expr::Value(value.clone()), "arrow_cast")),
        Expr::CompoundFieldAccess { root, access_chain } => rewrite_access(root, access_chain),
        Expr::Substring { expr, substring_from: Some(start), substring_for, .. } => {
            from_the_end(expr, start, substring_for.as_deref())
        }
        _ => None,
    };
    if let Some(new) = new {
        *expr = new;
    }
}

/// The member `name` of a struct, or of JSON text.
pub(super) fn member(from: Expr, name: &str) -> Expr {
    call("element_at", vec![from, text(name)])
}

fn rewrite_call(name: &str, function: &mut Function, now: Timestamp) -> Option<Expr> {
    if let "now" | "current_timestamp" | "localtimestamp" = name {
        return Some(moment(text(&now.to_string()), "arrow_cast"));
    }
    if name == "current_date" {
        return Some(cast(text(&now.strftime("%Y-%m-%d").to_string()), DataType::Date));
    }
    if let Some(new) = rewrite_aggregate(name, function) {
        return Some(new);
    }
    let arguments = simple_arguments(function)?;
    if let Some(new) = rewrite_moment(name, &arguments) {
        return Some(new);
    }
    match (name, arguments.as_slice()) {
        ("if", [condition, then]) => Some(case(condition, then, None)),
        ("if", [condition, then, otherwise]) => Some(case(condition, then, Some(otherwise))),
        ("try", [argument]) => Some(attempt(argument)),
        ("split", [..]) => Some(call("string_to_array", arguments)),
        ("regexp_replace", [_, _]) => Some(call("regexp_replace", [arguments, vec![text(""), text("g")]].concat())),
        ("regexp_replace", [_, _, _]) => Some(call("regexp_replace", [arguments, vec![text("g")]].concat())),
        ("regexp_extract", [from, pattern]) => Some(regexp_group(from, pattern, number(0))),
        ("regexp_extract", [from, pattern, group]) => Some(regexp_group(from, pattern, group.clone())),
        ("filter", [..]) => Some(call("array_filter", arguments)),
        ("transform", [..]) => Some(call("array_transform", arguments)),
        ("none_match", [..]) => Some(not(call("array_any_match", arguments))),
        ("all_match", [array, Expr::Lambda(lambda)]) => {
            let lambda = LambdaFunction { body: Box::new(not(nested(*lambda.body.clone()))), ..lambda.clone() };
            Some(not(call("array_any_match", vec![array.clone(), Expr::Lambda(lambda)])))
        }
        ("slice", [array, start, length]) => {
            let last =
                binary(binary(start.clone(), BinaryOperator::Plus, length.clone()), BinaryOperator::Minus, number(1));
            Some(call("array_slice", vec![array.clone(), start.clone(), last]))
        }
        ("sequence", [..]) => Some(call("generate_series", arguments)),
        ("array_join", [..]) => Some(call("array_to_string", arguments)),
        ("typeof", [_]) => Some(call("arrow_typeof", arguments)),
        // JSON is text here.
        ("json_parse" | "json_format", [argument]) => Some(argument.clone()),
        _ => None,
    }
}

/// Functions of moments.
fn rewrite_moment(name: &str, arguments: &[Expr]) -> Option<Expr> {
    let [argument] = arguments else { return None };
    let part = match name {
        "date" | "from_iso8601_date" => return Some(cast(argument.clone(), DataType::Date)),
        "from_iso8601_timestamp" => return Some(moment(argument.clone(), "arrow_cast")),
        "year" | "quarter" | "month" | "week" | "day" | "hour" | "minute" | "second" => name,
        "day_of_month" => "day",
        "day_of_year" | "doy" => "doy",
        "day_of_week" | "dow" => {
            // Trino counts from Monday, which is 1; DataFusion from Sunday, which is 0.
            let from_sunday = call("date_part", vec![text("dow"), argument.clone()]);
            let shifted = nested(binary(from_sunday, BinaryOperator::Plus, number(6)));
            let from_monday = binary(shifted, BinaryOperator::Modulo, number(7));
            return Some(nested(binary(from_monday, BinaryOperator::Plus, number(1))));
        }
        _ => return None,
    };
    Some(call("date_part", vec![text(part), argument.clone()]))
}

/// Aggregates keep their FILTER, DISTINCT and OVER.
fn rewrite_aggregate(name: &str, function: &mut Function) -> Option<Expr> {
    let renamed = match name {
        "arbitrary" => "any_value",
        "every" => "bool_and",
        "approx_percentile" => "approx_percentile_cont",
        "count_if" => "count",
        "max_by" | "min_by" => "first_value",
        _ => return None,
    };
    let mut arguments = simple_arguments(function)?;
    let mut clauses = Vec::new();
    match (name, arguments.len()) {
        ("count_if", 1) => {
            let condition = nested(arguments.remove(0));
            let filter = function.filter.take().map(|filter| nested(*filter));
            function.filter = Some(Box::new(match filter {
                Some(filter) => binary(filter, BinaryOperator::And, condition),
                None => condition,
            }));
            arguments.push(number(1));
        }
        ("max_by" | "min_by", 2) => {
            let options = OrderByOptions { asc: Some(name == "min_by"), nulls_first: Some(false) };
            let order = OrderByExpr { expr: arguments.remove(1), options, with_fill: None };
            clauses.push(FunctionArgumentClause::OrderBy(vec![order]));
        }
        ("count_if" | "max_by" | "min_by", _) => return None,
        _ => {}
    }
    function.name = ObjectName::from(Ident::new(renamed));
    let duplicate_treatment = match &function.args {
        FunctionArguments::List(list) => list.duplicate_treatment,
        _ => None,
    };
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    function.args = FunctionArguments::List(FunctionArgumentList { duplicate_treatment, args, clauses });
    None
}

fn rewrite_cast(kind: &CastKind, expr: &Expr, data_type: &DataType) -> Option<Expr> {
    let is_try = matches!(kind, CastKind::TryCast | CastKind::SafeCast);
    match data_type {
        DataType::Timestamp(..) | DataType::Datetime(_) => {
            Some(moment(expr.clone(), if is_try { "arrow_try_cast" } else { "arrow_cast" }))
        }
        DataType::JSON => Some(expr.clone()),
        // A JSON string becomes its value, as Trino has it.
        DataType::Varchar(_) | DataType::Text | DataType::String(_) if is_json(expr) => {
            Some(call("json_text", vec![expr.clone()]))
        }
        DataType::Varchar(None) => Some(call("to_varchar", vec![expr.clone()])),
        DataType::Array(_) if is_json(expr) => Some(call("json_elements", vec![expr.clone()])),
        _ => None,
    }
}

/// `r[1].arn`, `element_at(a, 1).b`, `requestparameters['bucketName']`.
fn rewrite_access(root: &Expr, chain: &[AccessExpr]) -> Option<Expr> {
    chain.iter().try_fold(root.clone(), |from, access| match access {
        AccessExpr::Dot(Expr::Identifier(name)) => Some(member(from, &name.value)),
        AccessExpr::Subscript(Subscript::Index { index }) => Some(call("element_at", vec![from, index.clone()])),
        _ => None,
    })
}

/// Whether the expression is JSON by Trino's types.
fn is_json(expr: &Expr) -> bool {
    let Expr::Function(Function { name, .. }) = expr else { return false };
    let name = name.to_string();
    matches!(name.as_str(), "json_extract" | "json_elements")
}

/// `TRY(CAST(…))` is a cast that gives NULL; DataFusion's functions give NULL where Trino's fail, or fail the query.
fn attempt(argument: &Expr) -> Expr {
    match argument {
        Expr::Cast { kind: _, expr, data_type, array, format } => Expr::Cast {
            kind: CastKind::TryCast,
            expr: expr.clone(),
            data_type: data_type.clone(),
            array: *array,
            format: format.clone(),
        },
        Expr::Function(function) if function.name.to_string() == "arrow_cast" => {
            let mut function = function.clone();
            function.name = ObjectName::from(Ident::new("arrow_try_cast"));
            Expr::Function(function)
        }
        _ => argument.clone(),
    }
}

/// The whole match is group 0: one more group around the pattern makes it the first of the list.
fn regexp_group(from: &Expr, pattern: &Expr, group: Expr) -> Expr {
    let whole = call("concat", vec![text("("), pattern.clone(), text(")")]);
    let groups = call("regexp_match", vec![from.clone(), whole]);
    call("array_element", vec![groups, binary(group, BinaryOperator::Plus, number(1))])
}

/// A negative start counts from the end.
fn from_the_end(from: &Expr, start: &Expr, length: Option<&Expr>) -> Option<Expr> {
    let Expr::UnaryOp { op: UnaryOperator::Minus, expr: count } = start else { return None };
    let tail = call("right", vec![from.clone(), *count.clone()]);
    Some(match length {
        Some(length) => call("substr", vec![tail, number(1), length.clone()]),
        None => tail,
    })
}

/// The arguments, if they are expressions and nothing else is asked of the call.
fn simple_arguments(function: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let expression = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.clauses.is_empty().then(|| list.args.iter().map(expression).collect())?
}

fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
        name: ObjectName::from(Ident::new(name)),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn moment(from: Expr, function: &str) -> Expr {
    call(function, vec![from, text(MOMENT)])
}

fn cast(from: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(from), data_type, array: false, format: None }
}

fn case(condition: &Expr, then: &Expr, otherwise: Option<&Expr>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: condition.clone(), result: then.clone() }],
        else_result: otherwise.cloned().map(Box::new),
    }
}

fn text(value: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.to_owned()).into())
}

fn number(value: u32) -> Expr {
    Expr::Value(Value::Number(value.to_string(), false).into())
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn not(expr: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) }
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}
