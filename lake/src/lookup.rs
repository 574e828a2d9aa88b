//! Event history over the lake: CloudTrail's `LookupEvents`, for all accounts and regions and all the time that is kept.
//!
//! Owns what its attributes mean in columns, and its answer (CloudTrail API reference, `LookupEvents`). Beyond AWS's: several
//! attributes at once, all of which must hold, and every category of events. Does not own the command's flags.

use std::fmt::Write as _;
use std::str::FromStr;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use jiff::Timestamp;
use serde::Serialize;

use crate::error::Error;
use crate::kind::Kind;
use crate::lake::Lake;

/// Events of a page where nothing else is asked for, as with AWS.
pub const PAGE: usize = 50;

/// What events are looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `EventId`
    EventId,
    /// `EventName`
    EventName,
    /// `ReadOnly`: `true` or `false`.
    ReadOnly,
    /// `Username`: of a user, a role's session, or `root`.
    Username,
    /// `ResourceType`, such as `AWS::S3::Bucket`.
    ResourceType,
    /// `ResourceName`: an ARN, its last part, or a name in the request.
    ResourceName,
    /// `EventSource`
    EventSource,
    /// `AccessKeyId`
    AccessKeyId,
}

impl FromStr for Attribute {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "EventId" => Self::EventId,
            "EventName" => Self::EventName,
            "ReadOnly" => Self::ReadOnly,
            "Username" => Self::Username,
            "ResourceType" => Self::ResourceType,
            "ResourceName" => Self::ResourceName,
            "EventSource" => Self::EventSource,
            "AccessKeyId" => Self::AccessKeyId,
            other => {
                return Err(format!(
                    "{other} is no attribute; one of EventId, EventName, ReadOnly, Username, ResourceType, ResourceName, \
                     EventSource, AccessKeyId"
                ));
            }
        })
    }
}

/// What is looked for. Everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// Attributes and their values; several values of one attribute are alternatives.
    pub attributes: Vec<(Attribute, String)>,
    /// From this moment on, inclusive.
    pub start: Option<Timestamp>,
    /// Up to this moment, inclusive.
    pub end: Option<Timestamp>,
    /// Only events of these accounts. Empty: all.
    pub accounts: Vec<String>,
    /// Only events of these regions. Empty: all.
    pub regions: Vec<String>,
    /// The event data store. None: the configuration's first one of its kind.
    pub event_data_store: Option<String>,
    /// Insights events instead of others.
    pub insights: bool,
    /// At most so many. None: all.
    pub limit: Option<usize>,
    /// Behind this page.
    pub next_token: Option<String>,
}

impl Lookup {
    /// What event data stores have to hold to be looked in.
    pub(crate) fn kind(&self) -> Kind {
        if self.insights { Kind::Insight } else { Kind::Events }
    }
}

/// A page of events, newest first.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Page {
    /// The events.
    pub events: Vec<Event>,
    /// Where the next page begins; none behind the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// An event, as `LookupEvents` tells it. Any member may be absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_name: Option<String>,
    /// `"true"` or `"false"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<String>,
    /// The access key of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// When, as the AWS CLI prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time: Option<String>,
    /// The service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_source: Option<String>,
    /// The user's name, the role's session's name, or `root`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// What it concerned.
    pub resources: Vec<Resource>,
    /// The record's own text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_trail_event: Option<String>,
}

/// What an event concerned.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Resource {
    /// Such as `AWS::S3::Bucket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// Its ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
}

/// The page that is asked for.
///
/// # Errors
/// There is no such event data store, the token is none of ours, or the query failed.
pub async fn lookup_events(lake: &Lake, lookup: &Lookup) -> Result<Page, Error> {
    let kind = lookup.kind();
    let store = lookup.event_data_store.as_deref().or(lake.first(kind));
    let store = store
        .ok_or_else(|| Error::Request(format!("no event data store of the kind {} is configured", kind.name())))?;
    // One more, to know whether a page follows.
    let limit = lookup.limit.map(|limit| limit.saturating_add(1));
    let statement = statement(lookup, store, limit)?;
    let mut events = Vec::new();
    for batch in lake.engine().query(&statement).await?.collect().await? {
        events.extend((0..batch.num_rows()).map(|row| event(&batch, row)));
    }
    let wanted = lookup.limit.unwrap_or(events.len());
    let more = events.len() > wanted;
    events.truncate(wanted);
    let next_token = events.last().filter(|_| more).map(|(token, _)| token.clone());
    Ok(Page { events: events.into_iter().map(|(_, event)| event).collect(), next_token })
}

/// The query behind a lookup.
pub(crate) fn statement(lookup: &Lookup, store: &str, limit: Option<usize>) -> Result<String, Error> {
    let own = if lookup.insights {
        "insighteventname AS eventname, insighteventsource AS eventsource, CAST(NULL AS boolean) AS readonly, \
         CAST(NULL AS varchar) AS accesskeyid, CAST(NULL AS varchar) AS username, CAST(NULL AS varchar) AS principalid, \
         CAST(NULL AS varchar) AS identity"
    } else {
        "eventname, eventsource, readonly, useridentity.accesskeyid AS accesskeyid, useridentity.username AS username, \
         useridentity.principalid AS principalid, useridentity.type AS identity, resources"
    };
    let mut text = format!("SELECT eventtime, eventid, eventjson, {own} FROM \"{}\"", store.replace('"', "\"\""));
    let conditions = conditions(lookup)?;
    if !conditions.is_empty() {
        write!(text, " WHERE {}", conditions.join(" AND ")).expect("text grows");
    }
    text.push_str(" ORDER BY eventtime DESC, eventid");
    if let Some(limit) = limit {
        write!(text, " LIMIT {limit}").expect("text grows");
    }
    Ok(text)
}

/// What must hold, as conditions on columns.
pub(crate) fn conditions(lookup: &Lookup) -> Result<Vec<String>, Error> {
    let mut all = Vec::new();
    all.extend(lookup.start.map(|start| format!("eventtime >= {}", moment(start))));
    all.extend(lookup.end.map(|end| format!("eventtime <= {}", moment(end))));
    for (column, values) in [("recipientaccountid", &lookup.accounts), ("awsregion", &lookup.regions)] {
        if !values.is_empty() {
            let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
            all.push(format!("{column} IN ({})", values.join(", ")));
        }
    }
    let mut keys: Vec<Attribute> = Vec::new();
    for (key, _) in &lookup.attributes {
        if !keys.contains(key) {
            keys.push(*key);
        }
    }
    for key in keys {
        let values = lookup.attributes.iter().filter(|(other, _)| *other == key);
        let any: Vec<_> = values.map(|(_, value)| condition(key, value, lookup.insights)).collect();
        all.push(format!("({})", any.join(" OR ")));
    }
    if let Some(token) = &lookup.next_token {
        let (time, id) = token.split_once('/').ok_or_else(|| next_token(token))?;
        let time = time.parse().ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
        let time = moment(time.ok_or_else(|| next_token(token))?);
        all.push(format!("(eventtime < {time} OR (eventtime = {time} AND eventid > {}))", quoted(id)));
    }
    Ok(all)
}

fn next_token(token: &str) -> Error {
    Error::Request(format!(
        "InvalidNextTokenException: {token} is no token of a page; give NextToken as it was printed"
    ))
}

fn condition(key: Attribute, value: &str, insights: bool) -> String {
    let text = quoted(value);
    let like = quoted_like(value);
    match key {
        Attribute::EventId => format!("eventid = {text}"),
        Attribute::EventName if insights => format!("insighteventname = {text}"),
        Attribute::EventSource if insights => format!("insighteventsource = {text}"),
        Attribute::EventName => format!("eventname = {text}"),
        Attribute::EventSource => format!("eventsource = {text}"),
        Attribute::ReadOnly => format!("readonly = {}", value.eq_ignore_ascii_case("true")),
        Attribute::AccessKeyId => format!("useridentity.accesskeyid = {text}"),
        Attribute::Username if value == "root" => "useridentity.type = 'Root'".to_owned(),
        Attribute::Username => format!(
            "(useridentity.username = {text} OR (useridentity.type = 'AssumedRole' AND useridentity.principalid LIKE '%:{like}'))"
        ),
        Attribute::ResourceType => format!("any_match(resources, r -> r.type = {text})"),
        Attribute::ResourceName => format!(
            "(any_match(resources, r -> r.arn = {text} OR r.arn LIKE '%:{like}' OR r.arn LIKE '%/{like}') \
             OR requestparameters LIKE '%\"{like}\"%')"
        ),
    }
}

/// A text in a statement.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A text inside of a pattern. `_` and `%` are letters of names, not wildcards.
fn quoted_like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_").replace('\'', "''")
}

fn moment(time: Timestamp) -> String {
    format!("timestamp '{}'", time.strftime("%Y-%m-%d %H:%M:%S%.f"))
}

/// A row, with the token of the page behind it.
fn event(batch: &RecordBatch, row: usize) -> (String, Event) {
    let text = |name: &str| text(batch.column_by_name(name)?, row);
    let micros = batch.column_by_name("eventtime").and_then(|times| {
        let times = times.as_primitive_opt::<TimestampMicrosecondType>()?;
        times.is_valid(row).then(|| times.value(row))
    });
    let time = micros.and_then(|micros| Timestamp::from_microsecond(micros).ok());
    let username = match text("identity").as_deref() {
        Some("Root") => Some("root".to_owned()),
        Some("AssumedRole") => text("principalid").and_then(|id| Some(id.split_once(':')?.1.to_owned())),
        _ => text("username"),
    };
    let read_only = batch.column_by_name("readonly").and_then(|column| {
        let column = column.as_boolean_opt()?;
        column.is_valid(row).then(|| column.value(row).to_string())
    });
    let event_id = text("eventid");
    let token = format!("{}/{}", micros.unwrap_or_default(), event_id.as_deref().unwrap_or_default());
    let event = Event {
        event_id,
        event_name: text("eventname"),
        read_only,
        access_key_id: text("accesskeyid"),
        event_time: time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()),
        event_source: text("eventsource"),
        username,
        resources: resources(batch, row).unwrap_or_default(),
        cloud_trail_event: text("eventjson"),
    };
    (token, event)
}

/// A text, in whichever form texts come.
pub(crate) fn text(column: &dyn Array, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    let text = match column.as_string_view_opt() {
        Some(view) => view.value(row),
        None => column.as_string_opt::<i32>()?.value(row),
    };
    Some(text.to_owned())
}

fn resources(batch: &RecordBatch, row: usize) -> Option<Vec<Resource>> {
    let lists = batch.column_by_name("resources")?.as_list_opt::<i32>()?;
    if lists.is_null(row) {
        return None;
    }
    let elements = lists.value(row);
    let elements = elements.as_struct_opt()?;
    let member = |name: &str, row: usize| text(elements.column_by_name(name)?, row);
    let resource = |row| Resource { resource_type: member("type", row), resource_name: member("arn", row) };
    Some((0..elements.len()).map(resource).collect())
}
