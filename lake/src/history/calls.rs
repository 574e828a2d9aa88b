//! The calls that name a resource, out of event data stores of events.
//!
//! Owns the question and the reading of its answer.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::DataFusionError;
use jiff::Timestamp;
use serde::Serialize;

use super::resource::Resource;
use super::{Question, literal, literals, moment, table};
use crate::sql::{Engine, QueryError};

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// `eventTime`.
    pub at: Timestamp,
    /// `eventSource`.
    pub source: String,
    /// `eventName`.
    pub name: String,
    /// The caller's ARN, or else its principal id, or else the service.
    pub principal: String,
    /// The service that made the call for the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoked_by: Option<String>,
    /// `sourceIPAddress`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip_address: Option<String>,
    /// `userAgent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The error, if it failed: then it changed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The account that received the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// `awsRegion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// `eventID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
}

/// The newest calls, and whether there are older ones.
pub(super) async fn ask(
    engine: &Engine,
    store: &str,
    resource: &Resource,
    question: &Question,
) -> Result<(Vec<Call>, bool), QueryError> {
    let batches = engine.query(&statement(store, resource, question)).await?.collect().await?;
    let mut calls = Vec::new();
    for batch in &batches {
        read(batch, &mut calls).map_err(|error| DataFusionError::ArrowError(Box::new(error), None))?;
    }
    let is_cut = calls.len() > question.limit;
    calls.truncate(question.limit);
    Ok((calls, is_cut))
}

/// The columns of the answer.
const COLUMNS: &str = "eventtime, eventsource, eventname, coalesce(useridentity.arn, useridentity.principalid, \
    useridentity.invokedby, useridentity.type), useridentity.invokedby, sourceipaddress, useragent, errorcode, \
    recipientaccountid, awsregion, eventid";

/// Calls that change something and hold one of the resource's names as a whole value.
fn statement(store: &str, resource: &Resource, question: &Question) -> String {
    // A value stands in JSON between quotes, with its own escapes.
    let quoted = resource.names.iter().map(|name| literal(&serde_json::Value::from(name.as_str()).to_string()));
    let mut named: Vec<String> = quoted
        .flat_map(|name| {
            ["requestparameters", "responseelements"].map(|column| format!("strpos({column}, {name}) > 0"))
        })
        .collect();
    named.push(format!("any_match(resources, r -> r.arn IN ({}))", literals(&resource.names)));
    let mut all = vec!["coalesce(readonly, false) = false".to_owned()];
    if !question.data_events {
        all.push("coalesce(managementevent, true) = true".to_owned());
    }
    all.extend(resource.account.iter().map(|account| format!("recipientaccountid = {}", literal(account))));
    all.extend(question.from.map(|from| format!("eventtime >= {}", moment(from))));
    all.extend(question.to.map(|to| format!("eventtime < {}", moment(to))));
    all.push(format!("({})", named.join(" OR ")));
    let (table, conditions, limit) = (table(store), all.join(" AND "), question.limit + 1);
    format!("SELECT {COLUMNS} FROM {table} WHERE {conditions} ORDER BY eventtime DESC LIMIT {limit}")
}

fn read(batch: &RecordBatch, calls: &mut Vec<Call>) -> Result<(), arrow::error::ArrowError> {
    let times = cast(batch.column(0), &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let texts =
        batch.columns()[1..].iter().map(|column| cast(column, &DataType::Utf8)).collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        let text = |column: usize| {
            let texts = texts[column].as_string::<i32>();
            (texts.is_valid(row) && !texts.value(row).is_empty()).then(|| texts.value(row).to_owned())
        };
        calls.push(Call {
            at: Timestamp::from_microsecond(times.value(row)).unwrap_or_default(),
            source: text(0).unwrap_or_default(),
            name: text(1).unwrap_or_default(),
            principal: text(2).unwrap_or_default(),
            invoked_by: text(3),
            source_ip_address: text(4),
            user_agent: text(5),
            error: text(6),
            account: text(7),
            region: text(8),
            event_id: text(9),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_as_a_whole_value() {
        let question = Question {
            resource: "it's \"x\"".to_owned(),
            from: Some("2026-03-01T00:00:00Z".parse().unwrap()),
            to: None,
            data_events: false,
            limit: 10,
        };
        let statement = statement("events", &Resource::new(&question.resource), &question);
        assert!(statement.contains(r#"strpos(requestparameters, '"it''s \"x\""') > 0"#), "{statement}");
        assert!(statement.contains("eventtime >= TIMESTAMP '2026-03-01 00:00:00.000000'"), "{statement}");
        assert!(statement.ends_with("ORDER BY eventtime DESC LIMIT 11"), "{statement}");
    }
}
