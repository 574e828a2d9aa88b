//! Counts over runs are counts over rows, whatever order rows come in.

use std::collections::BTreeMap;

use datafusion::arrow::array::{Int32Array, StringArray, StringViewArray};
use datafusion::arrow::datatypes::{Int32Type, Int64Type};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_plan::displayable;
use datafusion::prelude::SessionConfig;
use proptest::prelude::*;

use super::*;

/// Keys: text as a view, plain text, a number.
type Row = (Option<&'static str>, Option<&'static str>, Option<i32>);

const TEXTS: [Option<&str>; 5] =
    [None, Some(""), Some("ec2"), Some("a name that is no inline view"), Some("another name of that length")];

fn batch(rows: &[Row]) -> RecordBatch {
    let views: StringViewArray = rows.iter().map(|row| row.0).collect();
    let texts: StringArray = rows.iter().map(|row| row.1).collect();
    let numbers: Int32Array = rows.iter().map(|row| row.2).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("view", Arc::new(views) as ArrayRef, true),
        ("text", Arc::new(texts) as ArrayRef, true),
        ("number", Arc::new(numbers) as ArrayRef, true),
    ])
    .unwrap()
}

fn context(rows: &[Row]) -> SessionContext {
    let batches: Vec<_> = rows.chunks(7).map(batch).collect();
    let schema = batches.first().map_or_else(|| batch(&[]).schema(), RecordBatch::schema);
    let state = SessionStateBuilder::new()
        .with_config(SessionConfig::new().with_target_partitions(2))
        .with_default_features()
        .with_physical_optimizer_rule(Arc::new(CountRuns))
        .build();
    let context = SessionContext::new_with_state(state);
    context.register_table("t", Arc::new(MemTable::try_new(schema, vec![batches.clone(), batches]).unwrap())).unwrap();
    context
}

async fn ask(context: &SessionContext, statement: &str) -> Vec<RecordBatch> {
    context.sql(statement).await.unwrap().collect().await.unwrap()
}

async fn plan(context: &SessionContext, statement: &str) -> String {
    let plan = context.sql(statement).await.unwrap().create_physical_plan().await.unwrap();
    displayable(plan.as_ref()).indent(false).to_string()
}

proptest! {
    #[test]
    fn counts_over_runs_are_counts_over_rows(
        runs in prop::collection::vec(((0..5_usize, 0..5_usize, prop::option::of(0..2_i32)), 1..9_usize), 0..30)
    ) {
        let rows: Vec<Row> = runs
            .iter()
            .flat_map(|((view, text, number), length)| {
                std::iter::repeat_n((TEXTS[*view], TEXTS[*text], *number), *length)
            })
            .collect();
        let mut expected = BTreeMap::new();
        // The table holds every row in two partitions.
        rows.iter().for_each(|row| *expected.entry(*row).or_insert(0_i64) += 2);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(ask(&context(&rows), "SELECT view, text, number, count(*) FROM t GROUP BY 1, 2, 3"));
        let mut counted = BTreeMap::new();
        for batch in &found {
            let (views, texts) = (batch.column(0).as_string_view(), batch.column(1).as_string::<i32>());
            let numbers = batch.column(2).as_primitive::<Int32Type>();
            let counts = batch.column(3).as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let of = |text: Option<&str>| TEXTS.into_iter().find(|known| *known == text).unwrap();
                let view = of(views.is_valid(row).then(|| views.value(row)));
                let text = of(texts.is_valid(row).then(|| texts.value(row)));
                let number = numbers.is_valid(row).then(|| numbers.value(row));
                prop_assert_eq!(counted.insert((view, text, number), counts.value(row)), None);
            }
        }
        prop_assert_eq!(counted, expected);
    }
}

#[tokio::test]
async fn runs_are_made_where_rows_are_counted_by_keys() {
    let rows = [(Some("ec2"), Some("a"), Some(1)), (Some("ec2"), None, Some(2))];
    let context = context(&rows);
    for (statement, is_over_runs) in [
        ("SELECT view, count(*) FROM t GROUP BY view", true),
        ("SELECT view, count(*) AS n, count(1) FROM t WHERE number > 0 GROUP BY view ORDER BY n DESC LIMIT 3", true),
        ("SELECT DISTINCT view, text FROM t", true),
        ("SELECT upper(text), count(*) FROM t GROUP BY 1", true),
        ("SELECT count(*) FROM t", false),
        ("SELECT view, count(text) FROM t GROUP BY view", false),
        ("SELECT view, count(NULL) FROM t GROUP BY view", false),
        ("SELECT view, count(DISTINCT text) FROM t GROUP BY view", true),
        ("SELECT view, count(*) FILTER (WHERE number = 1) FROM t GROUP BY view", false),
        ("SELECT view, count(*), max(number) FROM t GROUP BY view", false),
        ("SELECT view, text, count(*) FROM t GROUP BY ROLLUP (view, text)", false),
        ("SELECT make_array(text), count(*) FROM t GROUP BY 1", false),
    ] {
        let plan = plan(&context, statement).await;
        assert_eq!(plan.contains("RunsExec"), is_over_runs, "{statement}\n{plan}");
        ask(&context, statement).await;
    }
}

#[tokio::test]
async fn columns_are_called_as_without_runs() {
    let rows = [(Some("ec2"), Some("a"), Some(1)); 20];
    let found = ask(&context(&rows), "SELECT view, count(*) FROM t GROUP BY view").await;
    let text = pretty_format_batches(&found).unwrap().to_string();
    assert!(text.contains("count(*)") && text.contains("| ec2  | 40 "), "{text}");
}
