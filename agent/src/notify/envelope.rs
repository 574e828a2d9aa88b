//! What a message says: the objects that it tells of, in any of the dialects in which AWS tells of them. Pure.
//!
//! | dialect | who sends it | keys |
//! |---|---|---|
//! | `s3` | a bucket's event notification, to SQS or to SNS | form-encoded |
//! | `eventbridge` | a rule for "Object Created" of `aws.s3` | as they are |
//! | `cloudtrail` | a trail with an SNS topic | as they are |
//!
//! Each as it is, as SNS delivers raw messages, or in SNS's wrapper. What AWS sends to say that a queue is set up is told
//! apart (`Control`), and so is what is no notification of an object (`Foreign`). Sources: Amazon S3 user guide, "Event
//! message structure" and "EventBridge event message structure"; CloudTrail user guide, "Configuring Amazon SNS
//! notifications for CloudTrail"; SNS developer guide, "Parsing message formats".

use serde_json::Value;

/// Most objects of one message: far more than AWS sends. One with more is not read.
pub(super) const OBJECTS_MAX: usize = 5000;

/// Wrappers around wrappers that are opened: SNS around S3's, EventBridge's or CloudTrail's own is one.
const WRAPPERS_MAX: usize = 2;

/// The text that CloudTrail publishes when a topic is configured.
const CLOUDTRAIL_TEST: &str = "CloudTrail validation message.";

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Dialect {
    /// An S3 event notification.
    S3,
    /// An S3 event of EventBridge.
    EventBridge,
    /// CloudTrail's own message.
    CloudTrail,
    /// SNS about itself.
    Sns,
    /// Nobody that is known here.
    Unknown,
}

impl Dialect {
    /// The name in metrics and status.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::EventBridge => "eventbridge",
            Self::CloudTrail => "cloudtrail",
            Self::Sns => "sns",
            Self::Unknown => "unknown",
        }
    }
}

/// A message that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) dialect: Dialect,
    pub(super) content: Content,
}

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Objects that were created. Empty where the message tells of other events of objects only: deletions, restores.
    Objects(Vec<Named>),
    /// Something is set up. Nothing to do.
    Control(&'static str),
    /// No notification of an object of CloudTrail's: what it is, and the bucket it names.
    Foreign { what: String, bucket: Option<String> },
}

/// An object that a message names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) bucket: String,
    pub(super) key: String,
    /// Of the gzip bytes; 0 where the message does not say.
    pub(super) size: u64,
    /// Without quotes; empty where the message does not say.
    pub(super) etag: String,
}

/// Reads a message's text. The error says why it can't be read.
pub(super) fn read(body: &str) -> Result<Envelope, String> {
    open(body, WRAPPERS_MAX)
}

fn open(body: &str, wrappers: usize) -> Result<Envelope, String> {
    if body.trim() == CLOUDTRAIL_TEST {
        return Ok(control(Dialect::CloudTrail, "CloudTrail's test of its topic"));
    }
    let json: Value = serde_json::from_str(body).map_err(|error| format!("no JSON: {error}"))?;
    if let Some(kind) = text(&json, "/Type").filter(|_| json.get("TopicArn").is_some()) {
        return match (kind, text(&json, "/Message")) {
            ("SubscriptionConfirmation", _) => {
                Ok(control(Dialect::Sns, "an SNS subscription that waits for its confirmation"))
            }
            ("UnsubscribeConfirmation", _) => Ok(control(Dialect::Sns, "the end of an SNS subscription")),
            ("Notification", Some(message)) if wrappers > 0 => open(message, wrappers - 1),
            _ => Err(format!("an SNS message of type {kind} without a text")),
        };
    }
    if text(&json, "/Event") == Some("s3:TestEvent") {
        return Ok(control(Dialect::S3, "S3's test of its notification"));
    }
    if let Some(records) = json.get("Records").and_then(Value::as_array)
        && records.iter().any(|record| record.get("s3").is_some())
    {
        return s3(records);
    }
    if text(&json, "/source") == Some("aws.s3") && json.get("detail").is_some() {
        return eventbridge(&json);
    }
    if let (Some(bucket), Some(keys)) = (text(&json, "/s3Bucket"), json.get("s3ObjectKey").and_then(Value::as_array)) {
        return cloudtrail(bucket, keys);
    }
    let bucket = text(&json, "/s3Bucket").map(str::to_owned);
    Ok(Envelope { dialect: Dialect::Unknown, content: Content::Foreign { what: describe(&json), bucket } })
}

/// `{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":…},"object":{"key":…}}}]}`
fn s3(records: &[Value]) -> Result<Envelope, String> {
    let mut objects = Vec::new();
    for record in records {
        if let Some(version) = text(record, "/eventVersion").filter(|version| !version.starts_with("2.")) {
            return Err(format!("an S3 event of version {version}, where 2 is known"));
        }
        if text(record, "/eventName").is_some_and(|name| !is_creation(name)) {
            continue;
        }
        let bucket = text(record, "/s3/bucket/name").ok_or("an S3 event without a bucket")?;
        let key = form_decoded(text(record, "/s3/object/key").ok_or("an S3 event without a key")?)?;
        objects.push(named(bucket, key, &record["s3"]["object"], "eTag")?);
    }
    objects_of(Dialect::S3, objects)
}

/// `ObjectCreated:Put`; configurations write it with `s3:` before, and so do some other implementations of S3.
fn is_creation(name: &str) -> bool {
    name.strip_prefix("s3:").unwrap_or(name).starts_with("ObjectCreated:")
}

/// `{"detail-type":"Object Created","source":"aws.s3","detail":{"bucket":{"name":…},"object":{"key":…}}}`
fn eventbridge(json: &Value) -> Result<Envelope, String> {
    match text(json, "/detail-type") {
        Some("Object Created") => {}
        // The others of S3's begin so too: deleted, restored, tagged.
        Some(kind) if kind.starts_with("Object ") => return objects_of(Dialect::EventBridge, Vec::new()),
        kind => {
            let what = format!("an event of S3's: {}", kind.unwrap_or("without a type"));
            return Ok(Envelope { dialect: Dialect::Unknown, content: Content::Foreign { what, bucket: None } });
        }
    }
    let bucket = text(json, "/detail/bucket/name").ok_or("an Object Created event without a bucket")?;
    let key = text(json, "/detail/object/key").ok_or("an Object Created event without a key")?;
    let object = named(bucket, key.to_owned(), &json["detail"]["object"], "etag")?;
    objects_of(Dialect::EventBridge, vec![object])
}

/// `{"s3Bucket":…,"s3ObjectKey":[…]}`. With one key that is no list it is AWS Config's.
fn cloudtrail(bucket: &str, keys: &[Value]) -> Result<Envelope, String> {
    let object = |key: &Value| {
        let key = key.as_str().ok_or("a CloudTrail message with a key that is no text")?;
        named(bucket, key.to_owned(), &Value::Null, "")
    };
    objects_of(Dialect::CloudTrail, keys.iter().map(object).collect::<Result<_, _>>()?)
}

fn objects_of(dialect: Dialect, objects: Vec<Named>) -> Result<Envelope, String> {
    if objects.len() > OBJECTS_MAX {
        return Err(format!("{} objects in one message, at most {OBJECTS_MAX} are taken", objects.len()));
    }
    Ok(Envelope { dialect, content: Content::Objects(objects) })
}

fn control(dialect: Dialect, what: &'static str) -> Envelope {
    Envelope { dialect, content: Content::Control(what) }
}

fn named(bucket: &str, key: String, object: &Value, etag: &str) -> Result<Named, String> {
    if bucket.is_empty() || key.is_empty() {
        return Err("an object without a name".to_owned());
    }
    let etag = object.get(etag).and_then(Value::as_str).unwrap_or_default().trim_matches('"').to_owned();
    let size = object.get("size").and_then(Value::as_u64).unwrap_or_default();
    Ok(Named { bucket: bucket.to_owned(), key, size, etag })
}

fn text<'a>(json: &'a Value, pointer: &str) -> Option<&'a str> {
    json.pointer(pointer).and_then(Value::as_str)
}

/// What a message is that nobody here knows: by what it says of itself, else by its members.
fn describe(json: &Value) -> String {
    let said = ["/detail-type", "/messageType", "/eventSource", "/Records/0/eventSource"];
    if let Some(kind) = said.iter().find_map(|pointer| text(json, pointer)) {
        return format!("a message of kind `{}`", cut(kind));
    }
    match json.as_object() {
        Some(members) => {
            let names: Vec<&str> = members.keys().take(8).map(|name| cut(name)).collect();
            format!("a JSON object with {}", names.join(", "))
        }
        None => "JSON that is no object".to_owned(),
    }
}

/// Enough of a name to know it by.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(80)]
}

/// A key as S3's own notifications write it: `+` is a space, `%XX` a byte of UTF-8.
fn form_decoded(key: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let pair = digit(rest.next()).zip(digit(rest.next()));
                let (high, low) = pair.ok_or("an S3 event whose key is not form-encoded")?;
                u8::try_from(16 * high + low).expect("two hexadecimal digits")
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| "an S3 event whose key is no UTF-8".to_owned())
}

#[cfg(test)]
mod tests;
