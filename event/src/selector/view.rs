//! What a record has in the fields that selectors test.
//!
//! A record that isn't an aggregated event has in a field what stands there, or nothing. An aggregated event stands for many
//! data events and carries little of them: its `eventSource`, and the one value that it counts. Of a field that it doesn't
//! carry nothing is known, and what isn't known is no reason to pass it over.

use std::borrow::Cow;

use super::field::Field;
use crate::record::Header;

/// A record as selectors see it.
pub(super) enum View<'h, 'a> {
    Record(&'h Header<'a>),
    Aggregated(&'h Header<'a>),
}

impl View<'_, '_> {
    /// Shows each value that the record has in the field, of resources of that type only if one is given. False if it
    /// isn't known whether there are any.
    pub(super) fn each(&self, field: Field, resource_type: Option<&str>, show: &mut dyn FnMut(&str)) -> bool {
        match self {
            Self::Record(header) => {
                in_record(header, field, resource_type, show);
                true
            }
            Self::Aggregated(header) => in_aggregated(header, field, show),
        }
    }
}

fn in_record(header: &Header<'_>, field: Field, resource_type: Option<&str>, show: &mut dyn FnMut(&str)) {
    let word = |value: bool| if value { "true" } else { "false" };
    let value = match field {
        Field::Category => Some(Cow::Owned(header.category().name().to_owned())),
        Field::Source => header.event_source.as_deref().map(Cow::Borrowed),
        Field::Name => header.event_name.as_deref().map(Cow::Borrowed),
        Field::Type => header.event_type.as_deref().map(Cow::Borrowed),
        Field::ErrorCode => header.error_code.as_deref().map(Cow::Borrowed),
        Field::VpcEndpointId => header.vpc_endpoint_id.as_deref().map(Cow::Borrowed),
        Field::ReadOnly => header.read_only.map(|value| Cow::Borrowed(word(value))),
        Field::SessionCredentialFromConsole => {
            header.session_credential_from_console.map(|value| Cow::Borrowed(word(value)))
        }
        Field::UserIdentityArn => header.user_identity_arn(),
        Field::ResourceType => {
            header.resources().filter_map(|it| it.kind).for_each(|kind| show(&kind));
            None
        }
        Field::ResourceArn => {
            header
                .resources()
                .filter(|it| resource_type.is_none() || it.kind.as_deref() == resource_type)
                .filter_map(|it| it.arn.or(it.arn_prefix))
                .for_each(|arn| show(&arn));
            None
        }
    };
    if let Some(value) = value {
        show(&value);
    }
}

fn in_aggregated(header: &Header<'_>, field: Field, show: &mut dyn FnMut(&str)) -> bool {
    let value = match field {
        Field::Category => Some(Cow::Borrowed("Data")),
        Field::Source => header.event_source.as_deref().map(Cow::Borrowed),
        Field::Name => counted(header, "eventName"),
        Field::ResourceArn => counted(header, "resourceARN"),
        // A user may be counted under another name than an ARN.
        Field::UserIdentityArn => counted(header, "userIdentity").filter(|value| value.starts_with("arn:")),
        Field::ResourceType => {
            let types = header.event_source.as_deref().and_then(resource_types);
            types.into_iter().flatten().for_each(|kind| show(kind));
            return types.is_some();
        }
        Field::Type
        | Field::ReadOnly
        | Field::SessionCredentialFromConsole
        | Field::ErrorCode
        | Field::VpcEndpointId => None,
    };
    value.as_deref().map(show).is_some()
}

/// The value of `summary.primaryDimension`, if it counts this dimension.
fn counted<'a>(header: &Header<'a>, dimension: &str) -> Option<Cow<'a, str>> {
    let counted = header.summary.nested("primaryDimension");
    if counted.text("dimension").as_deref() != Some(dimension) {
        return None;
    }
    counted.nested("statistics").elements().next()?.text("name")
}

/// The resource types of a service's data events, where they are all known.
fn resource_types(source: &str) -> Option<&'static [&'static str]> {
    match source {
        "s3.amazonaws.com" => Some(&["AWS::S3::Object", "AWS::S3::AccessPoint"]),
        "lambda.amazonaws.com" => Some(&["AWS::Lambda::Function"]),
        "dynamodb.amazonaws.com" => Some(&["AWS::DynamoDB::Table", "AWS::DynamoDB::Stream"]),
        _ => None,
    }
}
