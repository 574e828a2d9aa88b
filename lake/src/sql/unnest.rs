//! `CROSS JOIN UNNEST(resources) AS t(r)`, which DataFusion knows over constants only: a row for each element of the
//! arrays of the row before it.
//!
//! Takes the nested joins that [`super::rewrite`] makes. Elements that are structs stand in one column if the alias names
//! one (`t(r)`, then `r.arn`), else in a column a field (`t(accountid, type, arn, prefix)`, or `t.arn` without names), as in
//! Trino. `LEFT JOIN UNNEST(…) ON TRUE` keeps rows whose array is empty.

use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, Result, ScalarValue, UnnestOptions, plan_err};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::functions_nested::expr_fn::{cardinality, gen_series};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, lit, when};
use datafusion::sql::sqlparser::ast::{
    self, Join, JoinConstraint, JoinOperator, TableAlias, TableFactor, TableWithJoins, Value,
};

/// Plans what [`super::rewrite`] gathered.
#[derive(Debug, Default)]
pub(super) struct UnnestPlanner {
    /// Makes the names of columns in between unique.
    count: AtomicUsize,
}

impl RelationPlanner for UnnestPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let mut nested = match relation {
            TableFactor::NestedJoin { table_with_joins, alias: None } if ends_in_unnest(&table_with_joins) => {
                *table_with_joins
            }
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        let Some(Join { relation, join_operator, .. }) = nested.joins.pop() else {
            return plan_err!("UNNEST stands alone");
        };
        let keeps_empty = match join_operator {
            JoinOperator::CrossJoin(JoinConstraint::None) => false,
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) if is_true(&constraint) => false,
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) if is_true(&constraint) => true,
            _ => return plan_err!("UNNEST is joined by CROSS JOIN, or by LEFT JOIN … ON TRUE"),
        };
        let left = match nested.joins.is_empty() {
            true => nested.relation,
            false => TableFactor::NestedJoin { table_with_joins: Box::new(nested), alias: None },
        };
        let left = context.plan(left)?;
        let TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } = relation else {
            return plan_err!("UNNEST was expected");
        };
        let mut arrays = Vec::new();
        for array in array_exprs {
            arrays.push(context.sql_to_expr(array, left.schema())?);
        }
        let id = self.count.fetch_add(1, Ordering::Relaxed);
        let plan = Unnesting { left, arrays, alias, with_ordinality, keeps_empty, id }.plan()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

fn ends_in_unnest(table: &TableWithJoins) -> bool {
    matches!(table.joins.last(), Some(Join { relation: TableFactor::UNNEST { .. }, .. }))
}

fn is_true(constraint: &JoinConstraint) -> bool {
    match constraint {
        JoinConstraint::None => true,
        JoinConstraint::On(ast::Expr::Value(value)) => value.value == Value::Boolean(true),
        _ => false,
    }
}

fn null_if_empty(array: Expr) -> Result<Expr> {
    when(cardinality(array.clone()).eq(lit(0_u64)), lit(ScalarValue::Null)).otherwise(array)
}

struct Unnesting {
    left: LogicalPlan,
    arrays: Vec<Expr>,
    alias: Option<TableAlias>,
    with_ordinality: bool,
    keeps_empty: bool,
    id: usize,
}

impl Unnesting {
    fn plan(mut self) -> Result<LogicalPlan> {
        let left_columns: Vec<Expr> = self.left.schema().columns().into_iter().map(Expr::Column).collect();
        let mut elements = Vec::new();
        for array in &self.arrays {
            match array.get_type(self.left.schema())? {
                DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
                    elements.push(element.data_type().clone());
                }
                other => {
                    return plan_err!(
                        "UNNEST takes an array, not {other}; for JSON text: UNNEST(CAST(json_extract(…) AS array(varchar)))"
                    );
                }
            }
        }
        if self.with_ordinality {
            let Some(first) = self.arrays.first() else { return plan_err!("UNNEST takes an array") };
            let length = cast(cardinality(first.clone()), DataType::Int64);
            self.arrays.push(gen_series(lit(1_i64), length, lit(1_i64)));
        }
        if self.keeps_empty {
            // An empty array gives no row, NULL gives one.
            self.arrays = self.arrays.into_iter().map(null_if_empty).collect::<Result<_>>()?;
        }
        let names: Vec<_> = (0..self.arrays.len()).map(|index| format!("__unnest_{}_{index}", self.id)).collect();
        let named = names.iter().zip(self.arrays.clone()).map(|(name, array)| array.alias(name));
        let options = UnnestOptions::new().with_preserve_nulls(self.keeps_empty);
        let columns = names.iter().map(Column::from_name).collect();
        let unnested = LogicalPlanBuilder::from(self.left.clone())
            .project(left_columns.iter().cloned().chain(named))?
            .unnest_columns_with_options(columns, options)?;
        let outputs = self.outputs(&names, &elements)?;
        unnested.project(left_columns.into_iter().chain(outputs))?.build()
    }

    /// The new columns, under the alias and the names that the query gives them.
    fn outputs(&self, names: &[String], elements: &[DataType]) -> Result<Vec<Expr>> {
        let given: Vec<_> =
            self.alias.iter().flat_map(|alias| &alias.columns).map(|column| column.name.value.clone()).collect();
        let mut columns = Vec::new();
        for (name, element) in names.iter().zip(elements) {
            let column = Expr::Column(Column::from_name(name));
            match element {
                DataType::Struct(fields) if given.len() != names.len() => {
                    columns.extend(
                        fields
                            .iter()
                            .map(|field| (get_field(column.clone(), field.name().clone()), field.name().clone())),
                    );
                }
                _ => columns.push((column, format!("_col{}", columns.len()))),
            }
        }
        if self.with_ordinality
            && let Some(last) = names.last()
        {
            columns.push((Expr::Column(Column::from_name(last)), "ordinality".to_owned()));
        }
        if !given.is_empty() && given.len() != columns.len() {
            return plan_err!("UNNEST has {} columns here, and its alias names {}", columns.len(), given.len());
        }
        let table =
            self.alias.as_ref().map_or_else(|| format!("__unnest_{}", self.id), |alias| alias.name.value.clone());
        let name = |(index, (expr, own)): (usize, (Expr, String))| {
            expr.alias_qualified(Some(table.as_str()), given.get(index).cloned().unwrap_or(own))
        };
        Ok(columns.into_iter().enumerate().map(name).collect())
    }
}
