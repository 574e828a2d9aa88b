//! The columns of event data stores: CloudTrail Lake's names and types, and a few of our own at the end.
//!
//! Owns: Arrow schemas by kind, what each column means, and which columns have a bloom filter. Does not own how records
//! become rows ([`crate::rows`]) or how rows are laid out in files ([`crate::layout`]).
//!
//! All names are lower case, as in Lake; SQL is case-insensitive. Where Lake has `map<string,string>` (`requestparameters`
//! and its kin) a column holds the member's JSON text as it stands in the record, because of one path real records have
//! values of different types; `element_at` and the JSON functions read it. Columns that Lake doesn't have stand last.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

use crate::kind::Kind;

/// The partition column of every event data store: the UTC day of `eventtime`.
pub(crate) const EVENT_DAY: &str = "eventday";
/// The key of the trail object that a row came from, relative to its trail's location.
pub(crate) const SOURCE_OBJECT: &str = "sourceobject";
/// What a record's text is beside its columns; see [`crate::rows::template`].
pub(crate) const EVENT_TEMPLATE: &str = "eventtemplate";
/// The record's own text, byte for byte. Not stored: computed from the columns and the template when a query asks for it.
pub(crate) const EVENT_JSON: &str = "eventjson";

/// A column: its name and type, and what it holds, for `\d` and the documentation.
#[derive(Clone, Debug)]
pub struct Column {
    /// Name and type.
    pub field: Field,
    /// What it holds, in a line.
    pub description: &'static str,
}

/// The type of `eventtime`: microseconds in UTC, which Delta Lake calls `timestamp`.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The columns that are stored for a kind, in order: [`EVENT_DAY`] last.
pub fn columns(kind: Kind) -> Vec<Column> {
    let mut columns = match kind {
        Kind::Events => events(),
        Kind::Insight => insights(),
        Kind::ConfigurationItem => configuration_items(),
        Kind::ActivityAuditLog => activity(),
    };
    columns.extend([
        text(SOURCE_OBJECT, "the object it came from, relative to its trail's location"),
        text(EVENT_TEMPLATE, "what the record's text is beside the columns: eventjson is made of both"),
        column(EVENT_DAY, DataType::Date32, "the UTC day of eventtime; the table's partitions"),
    ]);
    columns
}

/// The stored schema of a kind.
pub(crate) fn schema(kind: Kind) -> SchemaRef {
    Arc::new(Schema::new(columns(kind).into_iter().map(|column| column.field).collect::<Fields>()))
}

/// Paths of the leaves that have a bloom filter: what needles are looked for by.
pub(crate) fn bloom_filters(kind: Kind) -> &'static [&'static [&'static str]] {
    match kind {
        Kind::Events => &[
            &["eventid"],
            &["requestid"],
            &["sharedeventid"],
            &["sourceipaddress"],
            &["useridentity", "arn"],
            &["useridentity", "principalid"],
            &["useridentity", "accesskeyid"],
            &["useridentity", "username"],
            &["resources", "list", "element", "arn"],
        ],
        Kind::Insight => &[&["eventid"], &["sharedeventid"]],
        Kind::ConfigurationItem => &[&["eventid"], &["eventdata", "resourceid"], &["eventdata", "arn"]],
        Kind::ActivityAuditLog => &[&["eventid"], &["eventdata", "uid"], &["eventdata", "useridentity", "principalid"]],
    }
}

/// What rows are sorted by inside a file. Chosen by measurement (docs/performance.md): questions name an event nearly
/// always, and rows of one event are alike, which makes files small.
pub(crate) fn sort_order(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Events => &["eventsource", "eventname", "eventtime"],
        Kind::Insight => &["insighteventsource", "insighteventname", "eventtime"],
        Kind::ConfigurationItem | Kind::ActivityAuditLog => &["eventtime"],
    }
}

fn column(name: &str, data_type: DataType, description: &'static str) -> Column {
    Column { field: Field::new(name, data_type, true), description }
}

fn text(name: &str, description: &'static str) -> Column {
    column(name, DataType::Utf8, description)
}

/// A struct of strings.
fn texts(names: &[&str]) -> DataType {
    DataType::Struct(names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect())
}

/// A struct of other members.
fn members(fields: Vec<(&str, DataType)>) -> DataType {
    DataType::Struct(fields.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect())
}

/// A list, whose element is named as Parquet and Delta Lake name it.
pub(crate) fn list(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", element, true)))
}

fn events() -> Vec<Column> {
    vec![
        column("eventtime", timestamp(), "when the request was completed"),
        text("eventsource", "the service, such as s3.amazonaws.com"),
        text("eventname", "the operation"),
        text("awsregion", "the region that the request was made to"),
        text("recipientaccountid", "the account that received the event"),
        text("errorcode", "the error, if the request failed"),
        text("errormessage", "what the error said"),
        column("readonly", DataType::Boolean, "whether the operation changes nothing"),
        column("managementevent", DataType::Boolean, "whether it is a management event"),
        text("eventcategory", "Management, Data, NetworkActivity, Insight or Aggregated"),
        text("eventtype", "AwsApiCall, AwsServiceEvent, AwsConsoleAction, AwsConsoleSignIn or AwsVpceEvent"),
        text("sourceipaddress", "where it came from: an address, or the name of a service"),
        text("eventid", "the event's own id"),
        text("useragent", "the agent of the request"),
        text("requestid", "the id that the service gave the request"),
        column("useridentity", user_identity(), "who made the request"),
        text("requestparameters", "the request's parameters, as JSON"),
        text("responseelements", "the response's elements, as JSON"),
        text("additionaleventdata", "what else the service tells, as JSON"),
        column("resources", list(texts(&["accountid", "type", "arn", "arnprefix"])), "the resources accessed"),
        text("eventversion", "the version of the record's format"),
        text("apiversion", "the version of the service's API"),
        text("sharedeventid", "the same in the records that several accounts got of one action"),
        text("vpcendpointid", "the VPC endpoint that the request went through"),
        text("vpcendpointaccountid", "the VPC endpoint's owner"),
        column(
            "tlsdetails",
            texts(&["tlsversion", "ciphersuite", "clientprovidedhostheader", "keyexchange"]),
            "the request's TLS connection",
        ),
        text("sessioncredentialfromconsole", "\"true\" if the request came from a console session"),
        text("serviceeventdetails", "what a service event tells, as JSON"),
        text("edgedevicedetails", "about an edge device, as JSON"),
        text(
            "insightdetails",
            "of Insights events, as JSON; in an event data store of the kind Insight they have columns of their own",
        ),
        text("addendum", "why the event is late or what it changes, as JSON"),
        text("eventcontext", "tags and condition keys of enriched events, as JSON"),
        text("annotation", "as in Lake's schema; no record is known to have it"),
    ]
}

fn user_identity() -> DataType {
    let identity = ["type", "principalid", "arn", "accountid", "username"];
    let session_context = members(vec![
        ("attributes", members(vec![("creationdate", timestamp()), ("mfaauthenticated", DataType::Utf8)])),
        ("sessionissuer", texts(&identity)),
        ("webidfederationdata", members(vec![("federatedprovider", DataType::Utf8), ("attributes", DataType::Utf8)])),
        ("sourceidentity", DataType::Utf8),
        ("ec2roledelivery", DataType::Utf8),
        ("ec2issuedinvpc", DataType::Utf8),
        ("assumedroot", DataType::Utf8),
    ]);
    let mut fields: Vec<_> = ["type", "principalid", "arn", "accountid", "accesskeyid", "username"]
        .map(|name| (name, DataType::Utf8))
        .into();
    fields.extend([
        ("sessioncontext", session_context),
        ("onbehalfof", texts(&["userid", "identitystorearn"])),
        ("inscopeof", texts(&["sourcearn", "sourceaccount", "issuertype", "credentialsissuedto"])),
        ("invokedby", DataType::Utf8),
        ("identityprovider", DataType::Utf8),
        ("credentialid", DataType::Utf8),
    ]);
    members(fields)
}

/// The columns that all other kinds share.
fn common() -> Vec<Column> {
    vec![
        column("eventtime", timestamp(), "when it happened, or was captured"),
        text("eventcategory", "Insight, ConfigurationItem or ActivityAuditLog"),
        text("eventtype", "AwsCloudTrailInsight, AwsConfigurationItem or ActivityLog"),
        text("awsregion", "the region"),
        text("recipientaccountid", "the account"),
        text("eventid", "the event's own id"),
        text("eventversion", "the version of the record's format"),
        text("addendum", "why the event is late or what it changes, as JSON"),
    ]
}

fn insights() -> Vec<Column> {
    let statistic = || list(members(vec![("value", DataType::Utf8), ("average", DataType::Float64)]));
    let attribution = members(vec![("attribute", DataType::Utf8), ("insight", statistic()), ("baseline", statistic())]);
    let context = members(vec![
        ("baselineaverage", DataType::Float64),
        ("insightaverage", DataType::Float64),
        ("baselineduration", DataType::Int32),
        ("insightduration", DataType::Int32),
        ("attributions", list(attribution)),
    ]);
    let mut columns = common();
    columns.extend([
        text("sharedeventid", "the same at the start and the end of one Insight"),
        text("insightsource", "the trail or event data store that was looked at"),
        text("insightstate", "Start or End"),
        text("insighteventsource", "the service of the unusual events"),
        text("insighteventname", "the operation of the unusual events"),
        text("insighterrorcode", "the error of the unusual events"),
        text("insighttype", "ApiCallRateInsight or ApiErrorRateInsight"),
        column("insightcontext", context, "rates, durations in minutes, and what they are attributed to"),
    ]);
    columns
}

fn configuration_items() -> Vec<Column> {
    let relationship = texts(&["name", "resourcetype", "resourceid", "resourcename"]);
    let mut fields: Vec<_> = [
        "configurationitemversion",
        "configurationitemcapturetime",
        "configurationitemstatus",
        "configurationitemstateid",
        "accountid",
        "resourcetype",
        "resourceid",
        "resourcename",
        "arn",
        "awsregion",
        "availabilityzone",
        "resourcecreationtime",
        "configuration",
        "supplementaryconfiguration",
        "relatedevents",
    ]
    .map(|name| (name, DataType::Utf8))
    .into();
    fields.extend([("relationships", list(relationship)), ("tags", DataType::Utf8)]);
    let mut columns = common();
    columns.push(column("eventdata", members(fields), "the configuration item; configuration and tags are JSON"));
    columns
}

fn activity() -> Vec<Column> {
    let identity = texts(&["type", "principalid", "details"]);
    let mut fields = vec![("version", DataType::Utf8), ("useridentity", identity)];
    fields.extend(
        [
            "useragent",
            "eventsource",
            "eventname",
            "eventtime",
            "uid",
            "requestparameters",
            "responseelements",
            "errorcode",
            "errormessage",
            "sourceipaddress",
            "recipientaccountid",
            "additionaleventdata",
        ]
        .map(|name| (name, DataType::Utf8)),
    );
    let mut columns = common();
    columns.extend([
        column("metadata", texts(&["ingestiontime", "channelarn"]), "when it came in, and by which channel"),
        column("eventdata", members(fields), "what the source told; parameters and details are JSON"),
    ]);
    columns
}
