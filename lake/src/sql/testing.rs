//! A small event data store for tests, and short ways to ask it.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use jiff::Timestamp;
use orgtrail_service::clock::Manual;

use super::{Config, Engine, QueryError, StoreName};
use crate::kind::Kind;
use crate::rows::Rows;

/// The id of the event data store `events`.
pub(crate) const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

/// What `now()` is.
pub(crate) const NOW: &str = "2026-03-08T12:00:00Z";

/// An engine with the event data stores `events`, of `records`, and `Insights-2`, which is empty.
pub(crate) fn engine(records: &[String]) -> Engine {
    engine_with(&Config::default(), records)
}

pub(crate) fn engine_with(config: &Config, records: &[String]) -> Engine {
    let engine = Engine::new(config, Manual::new(NOW.parse::<Timestamp>().unwrap())).unwrap();
    let other = "eeee1e10-0000-1111-2222-333333333333";
    for (name, id, kind, records) in [
        ("events", ID, Kind::Events, records),
        ("Insights-2", other, Kind::Insight, &[]),
        ("items", "", Kind::ConfigurationItem, &[]),
    ] {
        let batch = batch(kind, records);
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        let store = StoreName { name: name.to_owned(), id: id.to_owned(), kind };
        engine.register(&store, Arc::new(table)).unwrap();
    }
    engine
}

/// Records as rows.
pub(crate) fn batch(kind: Kind, records: &[String]) -> RecordBatch {
    let mut rows = Rows::new(kind);
    records.iter().for_each(|record| rows.push(record.as_bytes(), "AWSLogs/o/1.json.gz", 0));
    rows.finish().unwrap()
}

/// An answer as text: the columns' names, then a row each, values joined by `|`.
pub(crate) async fn ask(engine: &Engine, statement: &str) -> Result<Vec<String>, QueryError> {
    let run = engine.query(statement).await?;
    let names: Vec<_> = run.schema.fields().iter().map(|field| field.name().clone()).collect();
    let mut lines = vec![names.join("|")];
    let options = FormatOptions::new().with_null("NULL").with_display_error(true);
    for batch in run.collect().await? {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            lines.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    Ok(lines)
}

/// The rows of an answer, without the names.
pub(crate) async fn rows(engine: &Engine, statement: &str) -> Vec<String> {
    match ask(engine, statement).await {
        Ok(lines) => lines[1..].to_vec(),
        Err(error) => panic!("{statement}\n{error}"),
    }
}

/// Why a statement is refused, as a client sees it.
pub(crate) async fn refused(engine: &Engine, statement: &str) -> String {
    match ask(engine, statement).await {
        Ok(lines) => panic!("{statement}\nwas answered: {lines:?}"),
        Err(error) => error.to_string(),
    }
}

/// A record with these members besides the usual ones.
pub(crate) fn record(time: &str, source: &str, name: &str, more: &str) -> String {
    let id = format!(
        "{:08x}-0000-4000-8000-000000000000",
        time.bytes().chain(name.bytes()).fold(7_u32, |sum, byte| { sum.wrapping_mul(31).wrapping_add(byte.into()) })
    );
    format!(
        r#"{{"eventVersion":"1.11","eventTime":"{time}","eventSource":"{source}","eventName":"{name}","awsRegion":"us-east-1","eventID":"{id}","eventType":"AwsApiCall","recipientAccountId":"111122223333","eventCategory":"Management","managementEvent":true{more}}}"#
    )
}
