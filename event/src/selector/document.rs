//! Selectors as CloudTrail's API has them, and as `aws cloudtrail get-event-selectors` and `get-insight-selectors` print
//! them; in TOML the same with names in snake_case.
//!
//! Owns the shape alone: a member of another type, an unknown member and an unknown word of an enumeration are errors here,
//! everything else is judged by `check.rs`.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use super::field::Operator;

/// Which records a trail takes. The default is that of a new trail: all management events, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selectors {
    /// Every record, whatever its category, Insights and categories to come included. orgtrail's own: CloudTrail's
    /// selectors can't say it.
    All,
    /// Basic selectors; a record is taken that any of them matches.
    Basic(Vec<EventSelector>),
    /// Advanced selectors, likewise.
    Advanced(Vec<AdvancedEventSelector>),
}

impl Default for Selectors {
    fn default() -> Self {
        Self::Basic(vec![EventSelector::default()])
    }
}

/// Why a printed document can't be taken over.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It isn't JSON, or not of this form.
    #[error("not what the AWS CLI prints: {0}")]
    Form(#[from] serde_json::Error),
    /// It has both lists.
    #[error("both EventSelectors and AdvancedEventSelectors; a trail has one of them")]
    Both,
    /// It has neither list, or only empty ones.
    #[error("neither EventSelectors nor AdvancedEventSelectors")]
    Neither,
}

impl Selectors {
    /// Reads what `aws cloudtrail get-event-selectors` prints, unchanged. The trail's ARN is passed over; a list that is
    /// null or empty counts as absent.
    ///
    /// # Errors
    /// If it isn't JSON of that form, or has not exactly one of the two lists.
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        struct Document {
            #[serde(default, rename = "TrailARN")]
            _trail_arn: IgnoredAny,
            #[serde(default, deserialize_with = "or_default")]
            event_selectors: Vec<EventSelector>,
            #[serde(default, deserialize_with = "or_default")]
            advanced_event_selectors: Vec<AdvancedEventSelector>,
        }
        let document: Document = serde_json::from_str(text)?;
        match (document.event_selectors, document.advanced_event_selectors) {
            (basic, advanced) if basic.is_empty() && advanced.is_empty() => Err(DocumentError::Neither),
            (basic, advanced) if advanced.is_empty() => Ok(Self::Basic(basic)),
            (basic, advanced) if basic.is_empty() => Ok(Self::Advanced(advanced)),
            _ => Err(DocumentError::Both),
        }
    }
}

/// A basic selector (CloudTrail API reference, `EventSelector`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct EventSelector {
    /// Reads, writes or both, of the management and the data events alike. Default: all.
    #[serde(alias = "read_write_type", deserialize_with = "or_default")]
    pub read_write_type: ReadWriteType,
    /// Whether management events are taken. Default: true.
    #[serde(alias = "include_management_events")]
    pub include_management_events: bool,
    /// Data events of these resources are taken. Default: none.
    #[serde(alias = "data_resources", deserialize_with = "or_default")]
    pub data_resources: Vec<DataResource>,
    /// Management events of these services are not taken: `kms.amazonaws.com`, `rdsdata.amazonaws.com`. Default: none.
    #[serde(alias = "exclude_management_event_sources", deserialize_with = "or_default")]
    pub exclude_management_event_sources: Vec<String>,
}

impl Default for EventSelector {
    fn default() -> Self {
        Self {
            read_write_type: ReadWriteType::All,
            include_management_events: true,
            data_resources: Vec::new(),
            exclude_management_event_sources: Vec::new(),
        }
    }
}

/// `ReadWriteType`. What is a read is the service's own word, `readOnly` in the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadWriteType {
    /// Reads, writes, and records that don't say.
    #[default]
    All,
    /// `readOnly` is true.
    ReadOnly,
    /// `readOnly` is false.
    WriteOnly,
}

/// Resources of one type (CloudTrail API reference, `DataResource`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DataResource {
    /// `AWS::S3::Object`, `AWS::Lambda::Function` or `AWS::DynamoDB::Table`.
    #[serde(rename = "Type", alias = "type")]
    pub kind: String,
    /// ARNs: of all of the type (`arn:aws:s3`), the beginnings of objects' ARNs, or those of functions or tables.
    #[serde(default, alias = "values", deserialize_with = "or_default")]
    pub values: Vec<String>,
}

/// An advanced selector (CloudTrail API reference, `AdvancedEventSelector`): matches what all its field selectors match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AdvancedEventSelector {
    /// What it is for; at most 1000 characters.
    #[serde(default, alias = "name", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// At least one, with `eventCategory` among them.
    #[serde(default, alias = "field_selectors", deserialize_with = "or_default")]
    pub field_selectors: Vec<AdvancedFieldSelector>,
}

/// What one field must be and must not be (CloudTrail API reference, `AdvancedFieldSelector`). Each list has at least one
/// value, of 1 to 2048 characters. Values are compared letter by letter; there are no wildcards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AdvancedFieldSelector {
    /// The field's name in the record, such as `eventName` or `resources.ARN`.
    #[serde(alias = "field")]
    pub field: String,
    /// The field is one of these.
    #[serde(default, alias = "equals", skip_serializing_if = "Option::is_none")]
    pub equals: Option<Vec<String>>,
    /// Or it begins with one of these.
    #[serde(default, alias = "starts_with", skip_serializing_if = "Option::is_none")]
    pub starts_with: Option<Vec<String>>,
    /// Or it ends with one of these.
    #[serde(default, alias = "ends_with", skip_serializing_if = "Option::is_none")]
    pub ends_with: Option<Vec<String>>,
    /// And it is none of these.
    #[serde(default, alias = "not_equals", skip_serializing_if = "Option::is_none")]
    pub not_equals: Option<Vec<String>>,
    /// And it begins with none of these.
    #[serde(default, alias = "not_starts_with", skip_serializing_if = "Option::is_none")]
    pub not_starts_with: Option<Vec<String>>,
    /// And it ends with none of these.
    #[serde(default, alias = "not_ends_with", skip_serializing_if = "Option::is_none")]
    pub not_ends_with: Option<Vec<String>>,
}

impl AdvancedFieldSelector {
    /// The operators that are given, each with its values.
    pub(super) fn operators(&self) -> impl Iterator<Item = (Operator, &[String])> {
        [
            (Operator::Equals, &self.equals),
            (Operator::StartsWith, &self.starts_with),
            (Operator::EndsWith, &self.ends_with),
            (Operator::NotEquals, &self.not_equals),
            (Operator::NotStartsWith, &self.not_starts_with),
            (Operator::NotEndsWith, &self.not_ends_with),
        ]
        .into_iter()
        .filter_map(|(operator, values)| Some((operator, values.as_deref()?)))
    }
}

/// Insights of one type (CloudTrail API reference, `InsightSelector`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct InsightSelector {
    /// What is unusual.
    #[serde(alias = "insight_type")]
    pub insight_type: InsightType,
    /// Of which events. Default: management events.
    #[serde(default, alias = "event_categories", skip_serializing_if = "Option::is_none")]
    pub event_categories: Option<Vec<InsightCategory>>,
}

impl InsightSelector {
    /// Reads what `aws cloudtrail get-insight-selectors` prints for a trail, unchanged.
    ///
    /// # Errors
    /// If it isn't JSON of that form.
    pub fn list_from_json(text: &str) -> Result<Vec<Self>, DocumentError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        struct Document {
            #[serde(default, rename = "TrailARN")]
            _trail_arn: IgnoredAny,
            #[serde(default, deserialize_with = "or_default")]
            insight_selectors: Vec<InsightSelector>,
        }
        Ok(serde_json::from_str::<Document>(text)?.insight_selectors)
    }
}

/// `InsightType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InsightType {
    /// Unusually many or few calls.
    ApiCallRateInsight,
    /// Unusually many or few errors.
    ApiErrorRateInsight,
}

impl InsightType {
    /// CloudTrail's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiCallRateInsight => "ApiCallRateInsight",
            Self::ApiErrorRateInsight => "ApiErrorRateInsight",
        }
    }
}

/// The events that Insights are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InsightCategory {
    /// Management events.
    Management,
    /// Data events.
    Data,
}

impl InsightCategory {
    /// CloudTrail's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Management => "Management",
            Self::Data => "Data",
        }
    }
}

/// Null as absent, as some SDKs print it.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
