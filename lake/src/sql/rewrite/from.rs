//! How `UNNEST` is put: each that follows other tables becomes a nested join together with them, which the planner of
//! [`crate::sql::unnest`] takes.

use datafusion::sql::sqlparser::ast::{
    FunctionArg, FunctionArgExpr, Join, JoinConstraint, JoinOperator, TableFactor, TableFunctionArgs, TableWithJoins,
};

/// Makes `a CROSS JOIN UNNEST(x)` and `a, UNNEST(x)` into `(a CROSS JOIN UNNEST(x))`, wherever it stands in a FROM.
pub(super) fn gather_unnest(from: &mut Vec<TableWithJoins>) {
    for table in from.iter_mut() {
        recognize(&mut table.relation);
        table.joins.iter_mut().for_each(|join| recognize(&mut join.relation));
    }
    while let Some(index) = from.iter().skip(1).position(|table| is_unnest(&table.relation)).map(|index| index + 1) {
        // `a, b, UNNEST(x)`: it may name columns of all that stands before it.
        let unnest = from.remove(index);
        let mut tables = from.drain(..index);
        let Some(mut joined) = tables.next() else { return };
        for table in tables.by_ref().chain([unnest]) {
            joined.joins.push(cross(table.relation));
            joined.joins.extend(table.joins);
        }
        drop(tables);
        from.insert(0, joined);
    }
    from.iter_mut().for_each(nest);
}

/// The parser takes UNNEST for a function that gives a table.
fn recognize(relation: &mut TableFactor) {
    let TableFactor::Table { name, alias, args: Some(TableFunctionArgs { args, .. }), with_ordinality, .. } = relation
    else {
        return;
    };
    if !name.to_string().eq_ignore_ascii_case("unnest") {
        return;
    }
    let array = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    *relation = TableFactor::UNNEST {
        alias: alias.take(),
        array_exprs: args.iter().filter_map(array).collect(),
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: *with_ordinality,
    };
}

fn nest(table: &mut TableWithJoins) {
    while let Some(index) = table.joins.iter().position(|join| is_unnest(&join.relation)) {
        let behind = table.joins.split_off(index + 1);
        let inner = std::mem::replace(table, TableWithJoins { relation: placeholder(), joins: behind });
        table.relation = TableFactor::NestedJoin { table_with_joins: Box::new(inner), alias: None };
    }
}

/// Stands where a relation was taken from until another is put there.
fn placeholder() -> TableFactor {
    TableFactor::UNNEST {
        alias: None,
        array_exprs: Vec::new(),
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    }
}

fn is_unnest(relation: &TableFactor) -> bool {
    matches!(relation, TableFactor::UNNEST { .. })
}

fn cross(relation: TableFactor) -> Join {
    Join { relation, global: false, join_operator: JoinOperator::CrossJoin(JoinConstraint::None) }
}
