//! Strategies for JSON as text, so that spelling is generated and not only value. Tests only.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::record::Header;

/// A JSON string, quotes and all, with escapes of every form.
pub(crate) fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[a-zA-Z0-9 .:/_-]{0,12}",
        1 => "[^\"\\\\\\x00-\\x1f]{0,6}",
        1 => prop::sample::select(vec![
            r"\u003c", r"\u0026", r"\uD83D\uDE00", r"\ud800", r"\n", r"\t", r"\\", r"\/", r#"\""#, r#"\"},{\""#, "]}", "},{",
        ])
        .prop_map(str::to_owned),
    ];
    vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// White space, mostly none.
fn blank() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t")]
}

/// Any JSON value.
pub(crate) fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => string(),
        1 => prop::sample::select(vec!["true", "false", "null", "0", "-0", "0.0", "1173.0", "9.82222E-5", "9007199254740993", "1e999"])
            .prop_map(str::to_owned),
        1 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?",
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            (vec(inner.clone(), 0..6), blank()).prop_map(|(items, blank)| {
                let comma = format!("{blank},{blank}");
                format!("[{blank}{}{blank}]", items.join(&comma))
            }),
            members(string().boxed(), inner.boxed()),
        ]
    })
}

/// A record: an object, often with the keys that a header has.
pub(crate) fn record() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "eventID",
        "eventId",
        "eventTime",
        "eventSource",
        "eventName",
        "awsRegion",
        "recipientAccountId",
        "accountId",
        "eventCategory",
        "eventType",
        "errorCode",
        "sharedEventID",
        "readOnly",
        "managementEvent",
        "insightDetails",
        "sessionCredentialFromConsole",
        "vpcEndpointId",
        "userIdentity",
        "resources",
        "tlsDetails",
        "summary",
        "requestParameters",
        "Records",
    ])
    .prop_map(|key| format!("\"{key}\""));
    members(prop_oneof![3 => known, 1 => string()].boxed(), json().boxed())
}

fn members(key: BoxedStrategy<String>, value: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    (vec((key, value), 0..6), blank()).prop_map(|(members, blank)| {
        let members: Vec<String> =
            members.into_iter().map(|(key, value)| format!("{key}{blank}:{blank}{value}")).collect();
        let comma = format!("{blank},{blank}");
        format!("{{{blank}{}{blank}}}", members.join(&comma))
    })
}

#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Cut(prop::sample::Index),
}

/// A few small damages.
pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let byte = || prop_oneof![3 => prop::sample::select(b"\"\\{}[],: 01.eE+-tn\n".to_vec()), 1 => any::<u8>()];
    let at = any::<prop::sample::Index>;
    let edit = prop_oneof![
        3 => (at(), byte()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        3 => (at(), byte()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        3 => at().prop_map(Edit::Remove),
        1 => at().prop_map(Edit::Cut),
    ];
    vec(edit, 0..4)
}

/// `bytes` after the damages.
pub(crate) fn edited(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for edit in edits {
        if bytes.is_empty() {
            break;
        }
        match edit {
            Edit::Set(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Edit::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Edit::Remove(at) => {
                bytes.remove(at.index(bytes.len()));
            }
            Edit::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
    bytes
}

/// Checks a header against serde_json's view of the same record.
pub(crate) fn assert_header(header: &Header<'_>, theirs: &serde_json::Value) {
    let text = |key: &str| theirs.get(key).and_then(|value| value.as_str());
    let boolean = |key: &str| match theirs.get(key) {
        Some(serde_json::Value::Bool(value)) => Some(*value),
        Some(serde_json::Value::String(value)) => value.parse().ok(),
        _ => None,
    };
    for (key, ours, or) in [
        ("eventID", &header.event_id, text("eventId")),
        ("eventTime", &header.event_time, None),
        ("eventSource", &header.event_source, None),
        ("eventName", &header.event_name, None),
        ("awsRegion", &header.aws_region, None),
        ("recipientAccountId", &header.recipient_account_id, text("accountId")),
        ("eventCategory", &header.event_category, None),
        ("eventType", &header.event_type, None),
        ("errorCode", &header.error_code, None),
        ("sharedEventID", &header.shared_event_id, None),
        ("vpcEndpointId", &header.vpc_endpoint_id, None),
    ] {
        assert_eq!(ours.as_deref(), text(key).or(or), "{key} of {theirs}");
    }
    assert_eq!(header.read_only, boolean("readOnly"), "readOnly of {theirs}");
    assert_eq!(header.management_event, boolean("managementEvent"), "managementEvent of {theirs}");
    let insight = theirs.get("insightDetails").is_some_and(|value| !value.is_null());
    assert_eq!(header.has_insight_details, insight, "insightDetails of {theirs}");
    let console = boolean("sessionCredentialFromConsole");
    assert_eq!(header.session_credential_from_console, console, "sessionCredentialFromConsole of {theirs}");
    assert_nested(header, theirs);
}

/// Checks what a header reads of nested fields.
fn assert_nested(header: &Header<'_>, theirs: &serde_json::Value) {
    for (key, ours) in [
        ("userIdentity", header.user_identity),
        ("resources", header.resources),
        ("tlsDetails", header.tls_details),
        ("insightDetails", header.insight_details),
        ("summary", header.summary),
    ] {
        let theirs = theirs.get(key).filter(|value| value.is_object() || value.is_array());
        let ours =
            ours.raw().map(|raw| serde_json::from_slice::<serde_json::Value>(raw).expect("the scanner checked it"));
        assert_eq!(ours.as_ref(), theirs, "{key}");
    }
    for (pointer, ours) in [
        ("/userIdentity/arn", header.user_identity_arn()),
        ("/userIdentity/invokedBy", header.invoked_by()),
        ("/tlsDetails/clientProvidedHostHeader", header.client_provided_host_header()),
        ("/insightDetails/insightType", header.insight_type()),
        ("/insightDetails/sourceEventCategory", header.insight_source_category()),
    ] {
        let theirs = theirs.pointer(pointer).and_then(|value| value.as_str());
        assert_eq!(ours.as_deref(), theirs, "{pointer}");
    }
    let text = |element: &serde_json::Value, key: &str| element[key].as_str().map(str::to_owned);
    let resources: Vec<_> = match theirs.get("resources") {
        Some(serde_json::Value::Array(elements)) => elements.iter().filter(|it| it.is_object()).collect(),
        Some(element) if element.is_object() => vec![element],
        _ => Vec::new(),
    };
    let resources: Vec<_> = resources
        .into_iter()
        .map(|it| (text(it, "ARN").or(text(it, "arn")), text(it, "ARNPrefix"), text(it, "type")))
        .collect();
    let own = |text: Option<std::borrow::Cow<'_, str>>| text.map(std::borrow::Cow::into_owned);
    let ours: Vec<_> = header.resources().map(|it| (own(it.arn), own(it.arn_prefix), own(it.kind))).collect();
    assert_eq!(ours, resources, "resources of {theirs}");
}
