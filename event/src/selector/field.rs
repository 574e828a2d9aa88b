//! The fields that selectors test, the operators, and which of them CloudTrail allows for a trail.
//!
//! CloudTrail API reference, `AdvancedFieldSelector`. Event data stores may test more.

use crate::record::Category;

/// A field that a selector can test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Field {
    Category,
    Source,
    Name,
    Type,
    ReadOnly,
    ResourceType,
    ResourceArn,
    SessionCredentialFromConsole,
    UserIdentityArn,
    ErrorCode,
    VpcEndpointId,
}

impl Field {
    pub(super) const ALL: [Self; 11] = [
        Self::Category,
        Self::Source,
        Self::Name,
        Self::Type,
        Self::ReadOnly,
        Self::ResourceType,
        Self::ResourceArn,
        Self::SessionCredentialFromConsole,
        Self::UserIdentityArn,
        Self::ErrorCode,
        Self::VpcEndpointId,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Category => "eventCategory",
            Self::Source => "eventSource",
            Self::Name => "eventName",
            Self::Type => "eventType",
            Self::ReadOnly => "readOnly",
            Self::ResourceType => "resources.type",
            Self::ResourceArn => "resources.ARN",
            Self::SessionCredentialFromConsole => "sessionCredentialFromConsole",
            Self::UserIdentityArn => "userIdentity.arn",
            Self::ErrorCode => "errorCode",
            Self::VpcEndpointId => "vpcEndpointId",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// True if the field lies below the record's top level, and so costs more to read.
    pub(super) fn is_nested(self) -> bool {
        matches!(self, Self::ResourceType | Self::ResourceArn | Self::UserIdentityArn)
    }
}

/// An operator of a field selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    Equals,
    StartsWith,
    EndsWith,
    NotEquals,
    NotStartsWith,
    NotEndsWith,
}

impl Operator {
    pub(super) const ALL: [Self; 6] =
        [Self::Equals, Self::StartsWith, Self::EndsWith, Self::NotEquals, Self::NotStartsWith, Self::NotEndsWith];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Equals => "Equals",
            Self::StartsWith => "StartsWith",
            Self::EndsWith => "EndsWith",
            Self::NotEquals => "NotEquals",
            Self::NotStartsWith => "NotStartsWith",
            Self::NotEndsWith => "NotEndsWith",
        }
    }

    /// Its key in a configuration file.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::NotEquals => "not_equals",
            Self::NotStartsWith => "not_starts_with",
            Self::NotEndsWith => "not_ends_with",
        }
    }

    /// True if a record must not match.
    pub(super) fn rejects(self) -> bool {
        matches!(self, Self::NotEquals | Self::NotStartsWith | Self::NotEndsWith)
    }
}

/// What CloudTrail allows of a field in a selector of a trail.
pub(super) struct Allowed {
    pub(super) operators: &'static [Operator],
    /// The only values, if not any.
    pub(super) values: Option<&'static [&'static str]>,
    /// True if exactly one value must be given.
    pub(super) single: bool,
    pub(super) required: bool,
}

const EQUALS: &[Operator] = &[Operator::Equals];
const ANY: Allowed = Allowed { operators: &Operator::ALL, values: None, single: false, required: false };

/// Management events of these services may be left out: they are many.
pub(super) const HIGH_VOLUME_SOURCES: &[&str] = &["kms.amazonaws.com", "rdsdata.amazonaws.com"];

/// The categories that a selector of a trail can name.
pub(super) const CATEGORIES: [Category; 3] = [Category::Management, Category::Data, Category::NetworkActivity];

/// None if a selector of this category can't test the field.
pub(super) fn allowed(category: &Category, field: Field) -> Option<Allowed> {
    let one = |values| Allowed { operators: EQUALS, values, single: true, required: true };
    let only = |values| Allowed { operators: EQUALS, values: Some(values), ..ANY };
    Some(match (category, field) {
        (_, Field::Category) => one(None),
        (Category::Management | Category::Data, Field::ReadOnly) => only(&["true", "false"]),
        (Category::Management, Field::Source) => {
            Allowed { operators: &[Operator::NotEquals], values: Some(HIGH_VOLUME_SOURCES), ..ANY }
        }
        (Category::Data, Field::ResourceType) => one(None),
        (Category::Data, Field::SessionCredentialFromConsole) => {
            Allowed { operators: &[Operator::Equals, Operator::NotEquals], values: Some(&["true"]), ..ANY }
        }
        (Category::Data, Field::Source | Field::Name | Field::Type | Field::ResourceArn | Field::UserIdentityArn) => {
            ANY
        }
        (Category::NetworkActivity, Field::Source) => one(None),
        (Category::NetworkActivity, Field::ErrorCode) => only(&["VpceAccessDenied"]),
        (Category::NetworkActivity, Field::Name | Field::VpcEndpointId) => ANY,
        _ => return None,
    })
}
