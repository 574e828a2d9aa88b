//! The states of a resource's configuration, out of event data stores of configuration items.
//!
//! Owns the question, the reading of items, and what changed from each to the next. One item of each resource is kept in
//! memory at a time: items are asked for from the newest to the oldest, and compared as the older one comes.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use futures::StreamExt as _;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::diff::{Change, changes};
use super::resource::Resource;
use super::{Question, literal, literals, moment, table};
use crate::sql::{Engine, QueryError};

/// What of an item is compared.
const COMPARED: [&str; 4] = ["configuration", "supplementaryConfiguration", "tags", "relationships"];

/// A state of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// `configurationItemCaptureTime`.
    pub at: Timestamp,
    /// `configurationItemStatus`: `OK`, `ResourceDiscovered`, `ResourceDeleted`, …
    pub status: String,
    /// `resourceType`, such as `AWS::EC2::SecurityGroup`.
    pub resource_type: String,
    /// `resourceId`.
    pub resource_id: String,
    /// `resourceName`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// `ARN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// `awsAccountId`.
    pub account: String,
    /// `awsRegion`.
    pub region: String,
    /// Whether nothing is known of the time before.
    pub is_first: bool,
    /// What is other than in the state before.
    pub changes: Vec<Change>,
}

impl State {
    fn of(item: &Map<String, Value>) -> Self {
        let text = |names: &[&str]| names.iter().find_map(|name| item.get(*name)?.as_str()).map(str::to_owned);
        let at = text(&["configurationItemCaptureTime"]).and_then(|at| at.parse().ok()).unwrap_or_default();
        Self {
            at,
            status: text(&["configurationItemStatus"]).unwrap_or_default(),
            resource_type: text(&["resourceType"]).unwrap_or_default(),
            resource_id: text(&["resourceId"]).unwrap_or_default(),
            resource_name: text(&["resourceName"]),
            arn: text(&["ARN", "arn"]),
            account: text(&["awsAccountId", "accountId"]).unwrap_or_default(),
            region: text(&["awsRegion"]).unwrap_or_default(),
            is_first: true,
            changes: Vec::new(),
        }
    }

    /// Which resource it is a state of.
    fn key(&self) -> (String, String, String, String) {
        (self.account.clone(), self.region.clone(), self.resource_type.clone(), self.resource_id.clone())
    }

    /// Says what the resource goes by in calls.
    pub(super) fn tell(&self, resource: &mut Resource) {
        resource.also(&self.resource_id);
        self.arn.iter().for_each(|arn| resource.also(arn));
        // EC2's calls have ids; the names of its resources are tags, and the same everywhere.
        if !self.resource_type.starts_with("AWS::EC2::") {
            self.resource_name.iter().for_each(|name| resource.also(name));
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) states: Vec<State>,
    /// There are older ones.
    pub(super) is_cut: bool,
}

/// The newest states before the question's end. Those before its beginning are there too: the first of them is what the
/// first change is told against.
pub(super) async fn ask(
    engine: &Engine,
    store: &str,
    resource: &Resource,
    question: &Question,
) -> Result<Found, QueryError> {
    let mut run = engine.query(&statement(store, resource, question)).await?;
    let mut timeline = Timeline::default();
    let mut rows = 0;
    while let Some(batch) = run.batches.next().await {
        let batch = batch?;
        rows += batch.num_rows();
        timeline.read(&batch).map_err(|error| DataFusionError::ArrowError(Box::new(error), None))?;
    }
    Ok(Found { states: timeline.finish(), is_cut: rows > question.limit })
}

fn statement(store: &str, resource: &Resource, question: &Question) -> String {
    let names = literals(&resource.names[..1]);
    let columns: &[&str] = match resource.given.starts_with("arn:") {
        true => &["eventdata.arn"],
        false => &["eventdata.resourceid", "eventdata.resourcename", "eventdata.arn"],
    };
    let named: Vec<_> = columns.iter().map(|column| format!("{column} IN ({names})")).collect();
    let mut all = vec![format!("({})", named.join(" OR "))];
    all.extend(resource.account.iter().map(|account| format!("recipientaccountid = {}", literal(account))));
    all.extend(question.to.map(|to| format!("eventtime < {}", moment(to))));
    let (table, conditions, limit) = (table(store), all.join(" AND "), question.limit + 1);
    format!(
        "SELECT eventid, eventjson FROM {table} WHERE {conditions} \
         ORDER BY eventdata.configurationitemcapturetime DESC, eventid LIMIT {limit}"
    )
}

/// States from the newest to the oldest, as they come.
#[derive(Default)]
struct Timeline {
    /// Ids of states: snapshots say them again and again.
    seen: HashSet<String>,
    /// The oldest state so far of each resource, and its configuration.
    open: HashMap<(String, String, String, String), (State, Value)>,
    states: Vec<State>,
}

impl Timeline {
    fn read(&mut self, batch: &RecordBatch) -> Result<(), arrow::error::ArrowError> {
        let columns = [cast(batch.column(0), &DataType::Utf8)?, cast(batch.column(1), &DataType::Utf8)?];
        let [ids, items] = [columns[0].as_string::<i32>(), columns[1].as_string::<i32>()];
        for row in (0..batch.num_rows()).filter(|row| items.is_valid(*row)) {
            if self.seen.insert(ids.value(row).to_owned())
                && let Ok(Value::Object(item)) = serde_json::from_str(items.value(row))
            {
                self.add(item);
            }
        }
        Ok(())
    }

    fn add(&mut self, mut item: Map<String, Value>) {
        let state = State::of(&item);
        let configuration = COMPARED.iter().filter_map(|name| Some(((*name).to_owned(), plain(item.remove(*name)?))));
        let configuration = Value::Object(configuration.collect());
        if let Some((mut newer, after)) = self.open.insert(state.key(), (state, configuration)) {
            let before = &self.open[&newer.key()].1;
            newer.is_first = false;
            newer.changes = changes("", before, &after);
            self.states.push(newer);
        }
    }

    fn finish(mut self) -> Vec<State> {
        self.states.extend(self.open.into_values().map(|(state, _)| state));
        self.states
    }
}

/// What AWS Config's API gives as a text that holds JSON, its files give as JSON.
fn plain(value: Value) -> Value {
    match &value {
        Value::String(text) => match serde_json::from_str(text) {
            Ok(inner @ (Value::Object(_) | Value::Array(_))) => inner,
            _ => value,
        },
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(second: u8, status: &str, configuration: &Value) -> Map<String, Value> {
        let item = json!({
            "configurationItemCaptureTime": format!("2026-03-01T10:00:{second:02}.500Z"),
            "configurationItemStatus": status, "awsAccountId": "111122223333", "awsRegion": "us-east-1",
            "resourceType": "AWS::EC2::SecurityGroup", "resourceId": "sg-1", "resourceName": "default",
            "ARN": "arn:aws:ec2:us-east-1:111122223333:security-group/sg-1",
            "configuration": configuration, "tags": {"team": "a"},
        });
        item.as_object().unwrap().clone()
    }

    #[test]
    fn each_state_is_told_against_the_one_before() {
        let mut timeline = Timeline::default();
        timeline.add(item(9, "ResourceDeleted", &json!(null)));
        timeline.add(item(5, "OK", &json!("{\"ports\":[22,443]}")));
        timeline.add(item(1, "ResourceDiscovered", &json!({"ports": [443]})));
        let states = timeline.finish();
        assert_eq!(states.iter().map(|state| state.is_first).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(states[0].changes[0].path, "configuration");
        assert_eq!((states[0].status.as_str(), &states[0].changes[0].after), ("ResourceDeleted", &None));
        let change = Change { path: "configuration.ports[]".to_owned(), before: None, after: Some(json!(22)) };
        assert_eq!(states[1].changes, [change]);
        assert_eq!(states[1].at.to_string(), "2026-03-01T10:00:05.5Z");
    }

    #[test]
    fn states_of_other_resources_are_not_compared() {
        let mut timeline = Timeline::default();
        timeline.add(item(5, "OK", &json!({"a": 1})));
        let mut other = item(1, "OK", &json!({"a": 2}));
        other.insert("awsRegion".to_owned(), json!("eu-west-1"));
        timeline.add(other);
        assert!(timeline.finish().iter().all(|state| state.is_first && state.changes.is_empty()));
    }

    #[test]
    fn calls_are_looked_for_by_what_they_hold() {
        let mut resource = Resource::new("sg-1");
        State::of(&item(1, "OK", &json!({}))).tell(&mut resource);
        assert_eq!(resource.names, ["sg-1", "arn:aws:ec2:us-east-1:111122223333:security-group/sg-1"]);
    }
}
