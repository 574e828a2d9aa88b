//! One record: a view of its top-level fields, its category, its hour and its identity.
//!
//! The header is read leniently, because real records break every strict model: a field of another type than CloudTrail
//! documents is None, never an error. What isn't at the top level stays text, and is read when it is asked for. Does not own splitting a log file into
//! records, or deciding what a repeated identity means.

mod event_time;
mod identity;
pub(crate) mod nested;

use std::borrow::Cow;

pub use self::event_time::EventHour;
pub use self::identity::{Identity, identity};
pub use self::nested::Nested;
pub use crate::scan::{Text, Value};

/// The top-level fields of a record that orgtrail looks at. A view; the record itself is its raw bytes.
///
/// A field is None if it is absent or isn't of the type documented ("CloudTrail record contents" in the user guide). Of
/// a key that stands twice, the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header<'a> {
    /// `eventID`, or else `eventId`, as aggregated events spell it. Not always a UUID, not always there.
    pub event_id: Option<Cow<'a, str>>,
    /// `eventTime`, as it stands.
    pub event_time: Option<Cow<'a, str>>,
    /// `eventSource`, such as `s3.amazonaws.com`.
    pub event_source: Option<Cow<'a, str>>,
    /// `eventName`.
    pub event_name: Option<Cow<'a, str>>,
    /// `awsRegion`.
    pub aws_region: Option<Cow<'a, str>>,
    /// `recipientAccountId`, or else the top-level `accountId` of aggregated events.
    pub recipient_account_id: Option<Cow<'a, str>>,
    /// `eventCategory`, absent before version 1.07. [`Header::category`] gives the category of every record.
    pub event_category: Option<Cow<'a, str>>,
    /// `eventType`.
    pub event_type: Option<Cow<'a, str>>,
    /// `errorCode`.
    pub error_code: Option<Cow<'a, str>>,
    /// `sharedEventID`.
    pub shared_event_id: Option<Cow<'a, str>>,
    /// `readOnly`, as a boolean or as the string `"true"` or `"false"`.
    pub read_only: Option<bool>,
    /// `managementEvent`, likewise.
    pub management_event: Option<bool>,
    /// True if `insightDetails` is there and not null.
    pub has_insight_details: bool,
    /// `sessionCredentialFromConsole`: the string `"true"`, or not there.
    pub session_credential_from_console: Option<bool>,
    /// `vpcEndpointId`.
    pub vpc_endpoint_id: Option<Cow<'a, str>>,
    /// `userIdentity`.
    pub user_identity: Nested<'a>,
    /// `resources`. [`Header::resources`] reads them.
    pub resources: Nested<'a>,
    /// `tlsDetails`.
    pub tls_details: Nested<'a>,
    /// `insightDetails`.
    pub insight_details: Nested<'a>,
    /// `summary`, which only aggregated events have.
    pub summary: Nested<'a>,
}

/// An element of `resources`. Any member may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource<'a> {
    /// `ARN`, or else `arn`, as some records spell it.
    pub arn: Option<Cow<'a, str>>,
    /// `ARNPrefix`, which stands in place of an ARN where a call concerns many objects.
    pub arn_prefix: Option<Cow<'a, str>>,
    /// `type`, such as `AWS::S3::Object`.
    pub kind: Option<Cow<'a, str>>,
}

impl<'a> Header<'a> {
    /// What the record is: `eventCategory` where it is there and not empty, else by the fields that only some have.
    pub fn category(&self) -> Category {
        match self.event_category.as_deref() {
            Some(category) if !category.is_empty() => Category::from_name(category),
            _ if self.has_insight_details => Category::Insight,
            _ if self.management_event == Some(false) => Category::Data,
            _ => Category::Management,
        }
    }

    /// `eventTime` in seconds since the Unix epoch, None if it is absent or can't be read.
    pub fn event_seconds(&self) -> Option<i64> {
        event_time::seconds(self.event_time.as_deref()?)
    }

    /// The hour of `eventTime`, [`EventHour::UNDATED`] if there is none.
    pub fn event_hour(&self) -> EventHour {
        self.event_seconds().map_or(EventHour::UNDATED, EventHour::from_unix_seconds)
    }

    /// `userIdentity.arn`. Read anew at every call, like all below.
    pub fn user_identity_arn(&self) -> Option<Cow<'a, str>> {
        self.user_identity.text("arn")
    }

    /// `userIdentity.invokedBy`.
    pub fn invoked_by(&self) -> Option<Cow<'a, str>> {
        self.user_identity.text("invokedBy")
    }

    /// `tlsDetails.clientProvidedHostHeader`.
    pub fn client_provided_host_header(&self) -> Option<Cow<'a, str>> {
        self.tls_details.text("clientProvidedHostHeader")
    }

    /// `insightDetails.insightType`.
    pub fn insight_type(&self) -> Option<Cow<'a, str>> {
        self.insight_details.text("insightType")
    }

    /// `insightDetails.sourceEventCategory`, which only newer Insights have.
    pub fn insight_source_category(&self) -> Option<Cow<'a, str>> {
        self.insight_details.text("sourceEventCategory")
    }

    /// The elements of `resources` that are objects, in their order.
    pub fn resources(&self) -> impl Iterator<Item = Resource<'a>> + use<'a> {
        self.resources.elements().map(resource)
    }
}

fn resource(element: Nested<'_>) -> Resource<'_> {
    let mut resource = Resource::default();
    let mut arn_variant = None;
    for (name, value) in element.members() {
        if name.is("ARN") {
            resource.arn = text(value);
        } else if name.is("arn") {
            arn_variant = text(value);
        } else if name.is("ARNPrefix") {
            resource.arn_prefix = text(value);
        } else if name.is("type") {
            resource.kind = text(value);
        }
    }
    resource.arn = resource.arn.or(arn_variant);
    resource
}

/// `eventCategory`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Control plane.
    Management,
    /// Data plane.
    Data,
    /// VPC endpoint activity.
    NetworkActivity,
    /// Unusual activity that CloudTrail found.
    Insight,
    /// Data events added up over five minutes.
    Aggregated,
    /// Any other word; those of CloudTrail Lake (`ConfigurationItem`, `Evidence`, …) never occur in log files.
    Other(String),
}

impl Category {
    /// CloudTrail's word for it.
    pub fn name(&self) -> &str {
        match self {
            Self::Management => "Management",
            Self::Data => "Data",
            Self::NetworkActivity => "NetworkActivity",
            Self::Insight => "Insight",
            Self::Aggregated => "Aggregated",
            Self::Other(name) => name,
        }
    }

    /// The category of that name.
    pub fn from_name(name: &str) -> Self {
        match name {
            "Management" => Self::Management,
            "Data" => Self::Data,
            "NetworkActivity" => Self::NetworkActivity,
            "Insight" => Self::Insight,
            "Aggregated" => Self::Aggregated,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// Seconds since the Unix epoch of a time as records write it; None where it can't be read.
pub fn time_seconds(text: &str) -> Option<i64> {
    event_time::seconds(text)
}

/// Gathers a header from the members of a record.
#[derive(Default)]
pub(crate) struct HeaderFields<'a> {
    header: Header<'a>,
    event_id_variant: Option<Cow<'a, str>>,
    account_id: Option<Cow<'a, str>>,
}

impl<'a> HeaderFields<'a> {
    pub(crate) fn take(&mut self, key: Text<'a>, value: Value<'a>) {
        match key.plain() {
            Some(key) => self.take_named(key, value),
            None => {
                if let Some(key) = key.decode() {
                    self.take_named(key.as_bytes(), value);
                }
            }
        }
    }

    pub(crate) fn finish(self) -> Header<'a> {
        let mut header = self.header;
        header.event_id = header.event_id.or(self.event_id_variant);
        header.recipient_account_id = header.recipient_account_id.or(self.account_id);
        header
    }

    fn take_named(&mut self, key: &[u8], value: Value<'a>) {
        let header = &mut self.header;
        match key {
            b"eventID" => header.event_id = text(value),
            b"eventId" => self.event_id_variant = text(value),
            b"eventTime" => header.event_time = text(value),
            b"eventSource" => header.event_source = text(value),
            b"eventName" => header.event_name = text(value),
            b"awsRegion" => header.aws_region = text(value),
            b"recipientAccountId" => header.recipient_account_id = text(value),
            b"accountId" => self.account_id = text(value),
            b"eventCategory" => header.event_category = text(value),
            b"eventType" => header.event_type = text(value),
            b"errorCode" => header.error_code = text(value),
            b"sharedEventID" => header.shared_event_id = text(value),
            b"readOnly" => header.read_only = boolean(value),
            b"managementEvent" => header.management_event = boolean(value),
            b"insightDetails" => {
                header.has_insight_details = !matches!(value, Value::Null);
                header.insight_details = Nested::of(value);
            }
            b"sessionCredentialFromConsole" => header.session_credential_from_console = boolean(value),
            b"vpcEndpointId" => header.vpc_endpoint_id = text(value),
            b"userIdentity" => header.user_identity = Nested::of(value),
            b"resources" => header.resources = Nested::of(value),
            b"tlsDetails" => header.tls_details = Nested::of(value),
            b"summary" => header.summary = Nested::of(value),
            _ => {}
        }
    }
}

fn text(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::Text(text) => text.decode(),
        _ => None,
    }
}

/// Some publishers' fixtures have booleans as strings.
fn boolean(value: Value<'_>) -> Option<bool> {
    match value {
        Value::True => Some(true),
        Value::False => Some(false),
        Value::Text(text) if text.is("true") => Some(true),
        Value::Text(text) if text.is("false") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
