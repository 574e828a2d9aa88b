//! Pointer records: a few lines of JSON in place of a record that CloudWatch Logs doesn't take, so that an alarm can still
//! see that there was one, and an analyst finds it.

use orgtrail_event::record::Header;
use serde::Serialize;

use super::batches::Reason;

/// Most characters of a field: real ones are far shorter, and a record decides what stands in it.
const FIELD_CHARS_MAX: usize = 256;

/// What a pointer says besides why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pointer {
    s3_bucket: String,
    s3_prefix: String,
    source_object: String,
    #[serde(rename = "eventID", skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws_region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_account_id: Option<String>,
    /// Length of the record.
    bytes: usize,
}

#[derive(Serialize)]
struct Message<'a> {
    orgtrail: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    diverted: &'static str,
    #[serde(flatten)]
    pointer: &'a Pointer,
}

impl Pointer {
    /// What pointers to the records of one object have in common: the trail's bucket and the folder in it that hold them,
    /// and the object at the source that they came in.
    pub(crate) fn into_object(s3_bucket: &str, s3_prefix: String, source_object: String) -> Self {
        Self { s3_bucket: s3_bucket.to_owned(), s3_prefix, source_object, ..Self::default() }
    }

    /// This, for one record of the same object.
    pub(crate) fn to(&self, header: &Header<'_>, bytes: usize) -> Self {
        let field = |value: &Option<std::borrow::Cow<'_, str>>| {
            value.as_deref().map(|text| text.chars().take(FIELD_CHARS_MAX).collect())
        };
        Self {
            event_id: field(&header.event_id),
            event_time: field(&header.event_time),
            event_source: field(&header.event_source),
            event_name: field(&header.event_name),
            aws_region: field(&header.aws_region),
            recipient_account_id: field(&header.recipient_account_id),
            bytes,
            ..self.clone()
        }
    }

    /// The message: `{"orgtrail":{"diverted":"too_large",…}}`.
    pub(crate) fn message(&self, reason: Reason) -> String {
        let message = Message { orgtrail: Body { diverted: reason.as_str(), pointer: self } };
        serde_json::to_string(&message).expect("texts and a number are always JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_names_the_record_and_where_it_is_and_stays_small() {
        let prefix = "AWSLogs/o-exampleorg1/111122223333/CloudTrail/us-east-1/2026/03/01/";
        let object = Pointer::into_object("org-trail", prefix.into(), "s3://acme/AWSLogs/x.json.gz".into());
        let header =
            Header { event_id: Some("e-1".into()), event_name: Some("ü".repeat(5000).into()), ..Header::default() };
        let message = object.to(&header, 300_000).message(Reason::TooLarge);
        let read: serde_json::Value = serde_json::from_str(&message).expect("JSON");
        let pointer = &read["orgtrail"];
        assert_eq!(pointer["diverted"], "too_large");
        assert_eq!((&pointer["eventID"], &pointer["bytes"]), (&"e-1".into(), &300_000.into()));
        assert_eq!(pointer["s3Bucket"], "org-trail");
        assert!(message.len() < 2000, "{}", message.len());
    }
}
