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
    /// The trail's bucket, which holds the record.
    pub(crate) s3_bucket: String,
    /// The folder in it: account, kind, region and day.
    pub(crate) s3_prefix: String,
    /// The object that the record came in, at its source.
    pub(crate) source_object: String,
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
        let object = Pointer {
            s3_bucket: "org-trail".into(),
            s3_prefix: "AWSLogs/o-exampleorg1/111122223333/CloudTrail/us-east-1/2026/03/01/".into(),
            source_object: "s3://acme/AWSLogs/x.json.gz".into(),
            ..Pointer::default()
        };
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
