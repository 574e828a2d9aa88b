//! Counting rows by keys that come in runs, as they do in files that are sorted.
//!
//! Owns a step below the engine's grouping, where a question groups by columns and counts rows: neighbours with equal keys
//! become one row and a number. Grouping hashes and compares the keys of every row that it gets; seeing that they are those
//! of the row before takes a tenth of that, and where they seldom are, rows go on as they came.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray as _, Int64Array, RecordBatch, UInt32Array};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::kernels::cmp::distinct;
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties as _, Partitioning, PlanProperties,
};
use futures::StreamExt as _;

/// What the number of a run's rows is called.
const LENGTH: &str = "run_length";

/// Puts [`Runs`] below the grouping of questions that count rows.
#[derive(Debug)]
pub(super) struct CountRuns;

impl PhysicalOptimizerRule for CountRuns {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let counting = node.downcast_ref::<AggregateExec>().filter(|aggregate| counts_rows(aggregate));
            Ok(match counting.map(over_runs).transpose()?.flatten() {
                Some(counting) => Transformed::yes(counting),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "count_runs"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether this groups rows and counts them, or just tells which groups there are, for another step to put together.
fn counts_rows(aggregate: &AggregateExec) -> bool {
    let is_of_all_rows = |argument: &Arc<dyn PhysicalExpr>| {
        argument.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null())
    };
    *aggregate.mode() == AggregateMode::Partial
        && aggregate.group_expr().is_single()
        && !aggregate.group_expr().expr().is_empty()
        && aggregate.limit_options().is_none()
        && aggregate.filter_expr().iter().all(Option::is_none)
        && aggregate.aggr_expr().iter().all(|function| {
            function.fun().name() == "count"
                && !function.is_distinct()
                && function.expressions().iter().all(is_of_all_rows)
        })
}

/// The same grouping over runs; None where keys can't be compared.
fn over_runs(aggregate: &AggregateExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let keys = aggregate.group_expr().expr();
    let runs = Runs::new(Arc::clone(aggregate.input()), keys.to_vec())?;
    if runs.schema().fields().iter().any(|field| field.data_type().is_nested()) {
        return Ok(None);
    }
    let schema = runs.schema();
    let column = |schema: &Schema, index: usize| -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new(schema.field(index).name(), index))
    };
    let groups = keys.iter().enumerate().map(|(index, (_, name))| (column(&schema, index), name.clone())).collect();
    let lengths = vec![column(&schema, keys.len())];
    let rows = AggregateExprBuilder::new(sum_udaf(), lengths).schema(Arc::clone(&schema)).alias(LENGTH).build()?;
    let rows = Arc::new(rows);
    let sums: Vec<_> = aggregate.aggr_expr().iter().map(|_| Arc::clone(&rows)).collect();
    let (groups, filters) = (PhysicalGroupBy::new_single(groups), vec![None; sums.len()]);
    let summed = AggregateExec::try_new(AggregateMode::Partial, groups, sums, filters, Arc::new(runs), schema)?;
    // What puts the counts together finds them by the names that they would have had.
    let counted = aggregate.schema();
    let named = counted
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| ProjectionExpr { expr: column(&summed.schema(), index), alias: field.name().clone() });
    let named: Vec<_> = named.collect();
    Ok(Some(Arc::new(ProjectionExec::try_new(named, Arc::new(summed))?)))
}

/// Rows to runs: the keys, and how many rows in a row have them.
#[derive(Debug)]
struct Runs {
    input: Arc<dyn ExecutionPlan>,
    keys: Vec<(Arc<dyn PhysicalExpr>, String)>,
    properties: Arc<PlanProperties>,
}

impl Runs {
    fn new(input: Arc<dyn ExecutionPlan>, keys: Vec<(Arc<dyn PhysicalExpr>, String)>) -> Result<Self> {
        let of = input.schema();
        let key = |(key, name): &(Arc<dyn PhysicalExpr>, String)| {
            Ok(Field::new(name, key.data_type(&of)?, key.nullable(&of)?))
        };
        let mut fields = keys.iter().map(key).collect::<Result<Vec<_>>>()?;
        fields.push(Field::new(LENGTH, DataType::Int64, false));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(Schema::new(fields))),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Ok(Self { input, keys, properties: Arc::new(properties) })
    }
}

impl DisplayAs for Runs {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.keys.iter().map(|(_, name)| name.as_str()).collect();
        write!(f, "RunsExec: keys=[{}]", keys.join(", "))
    }
}

impl ExecutionPlan for Runs {
    fn name(&self) -> &'static str {
        "RunsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.keys.iter().try_fold(TreeNodeRecursion::Continue, |_, (key, _)| visit(key))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(Self::new(input, self.keys.clone())?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        let (schema, keys) = (self.schema(), self.keys.clone());
        let of = Arc::clone(&schema);
        let runs = rows.map(move |batch| {
            let batch = batch?;
            let values = keys.iter().map(|(key, _)| key.evaluate(&batch)?.into_array(batch.num_rows()));
            runs(values.collect::<Result<_>>()?, batch.num_rows(), &of)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, runs)))
    }
}

/// Keys of rows to keys of runs, and their lengths.
fn runs(mut keys: Vec<ArrayRef>, rows: usize, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut changes: Option<BooleanBuffer> = None;
    for key in keys.iter().filter(|_| rows > 1) {
        let of_key = changes_of(key)?;
        changes = Some(changes.map_or_else(|| of_key.clone(), |others| &others | &of_key));
    }
    let lengths = match changes.filter(|changes| changes.count_set_bits() < rows / 2) {
        None => Int64Array::from_value(1, rows),
        Some(changes) => {
            // Rows of a batch are few thousands.
            let behind = changes.set_indices().map(|row| row as u32 + 1);
            let starts: UInt32Array = std::iter::once(0).chain(behind).collect();
            keys = keys.iter().map(|key| take(key, &starts, None)).collect::<std::result::Result<_, _>>()?;
            let ends = starts.values()[1..].iter().copied().chain([rows as u32]);
            starts.values().iter().zip(ends).map(|(start, end)| i64::from(end - start)).collect()
        }
    };
    keys.push(Arc::new(lengths));
    Ok(RecordBatch::try_new(Arc::clone(schema), keys)?)
}

/// Behind which rows another value follows. Equal values may be told apart, never the other way around.
fn changes_of(values: &ArrayRef) -> Result<BooleanBuffer> {
    let pairs = values.len() - 1;
    let DataType::Utf8View = values.data_type() else {
        return Ok(distinct(&values.slice(0, pairs), &values.slice(1, pairs))?.values().clone());
    };
    // Views that are equal are views of equal texts; and those of one dictionary are equal if their texts are.
    let texts = values.as_string_view();
    let views = texts.views();
    Ok(match texts.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => BooleanBuffer::collect_bool(pairs, |row| views[row] != views[row + 1]),
        Some(nulls) => BooleanBuffer::collect_bool(pairs, |row| {
            let (this, next) = (nulls.is_valid(row), nulls.is_valid(row + 1));
            this != next || (this && views[row] != views[row + 1])
        }),
    })
}

#[cfg(test)]
mod tests;
