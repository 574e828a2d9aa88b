//! The records an organization's accounts write: one [`Event`] a kind of call, by service area in the modules below, and
//! how often each occurs. The key order is the one CloudTrail's own files have.
//!
//! Slots (`{{name}}`) are explained in `template.rs`. A record template must be valid JSON once filled in; a test fills in
//! all of them.

mod compute;
mod data;
mod identity;
mod oddities;
mod platform;
mod storage;

pub(super) use oddities::giant;

use super::random::Random;
use super::template::Template;

/// One kind of record and how often it occurs.
struct Event {
    /// How often, relative to the others.
    weight: u32,
    /// Whether it is recorded in us-east-1 wherever it was called.
    global: bool,
    text: Text,
}

enum Text {
    /// Composed from parts in CloudTrail's order.
    Call(Box<Call>),
    /// The whole record, for those that keep to no order.
    Whole(&'static str),
}

struct Call {
    version: &'static str,
    who: Who,
    source: &'static str,
    name: &'static str,
    error: Option<(&'static str, &'static str)>,
    request: &'static str,
    response: &'static str,
    additional: &'static str,
    request_id: &'static str,
    read_only: bool,
    resources: &'static str,
    event_type: &'static str,
    api_version: &'static str,
    data: bool,
    /// Text of further fields after `recipientAccountId`, with a leading comma.
    shared: &'static str,
    tls_host: &'static str,
    console: bool,
}

enum Who {
    /// One of the account's callers, by class name.
    Caller(&'static str),
    /// A service acting on its own behalf.
    Service(&'static str),
    /// A service acting for one of the callers.
    Via(&'static str, &'static str),
}

impl Event {
    /// A management call that changes something, by anybody.
    fn write(source: &'static str, name: &'static str) -> Self {
        let call = Call {
            version: "{{pick:1.08|1.08|1.09|1.10|1.11|1.11}}",
            who: Who::Caller("any"),
            source,
            name,
            error: None,
            request: "null",
            response: "null",
            additional: "",
            request_id: "{{uuid}}",
            read_only: false,
            resources: "",
            event_type: "AwsApiCall",
            api_version: "",
            data: false,
            shared: "",
            tls_host: "",
            console: false,
        };
        Self { weight: 10, global: false, text: Text::Call(Box::new(call)) }
    }

    /// A management call that changes nothing.
    fn read(source: &'static str, name: &'static str) -> Self {
        Self::write(source, name).with(|call| call.read_only = true)
    }

    /// A record given as a whole.
    fn whole(text: &'static str) -> Self {
        Self { weight: 1, global: false, text: Text::Whole(text) }
    }

    fn with(mut self, change: impl FnOnce(&mut Call)) -> Self {
        if let Text::Call(call) = &mut self.text {
            change(call);
        }
        self
    }

    fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    fn global(mut self) -> Self {
        self.global = true;
        self
    }

    /// A data event instead of a management event.
    fn data(self) -> Self {
        self.with(|call| call.data = true)
    }

    fn by(self, class: &'static str) -> Self {
        self.with(|call| call.who = Who::Caller(class))
    }

    fn by_service(self, service: &'static str) -> Self {
        self.with(|call| call.who = Who::Service(service))
    }

    fn via(self, class: &'static str, service: &'static str) -> Self {
        self.with(|call| call.who = Who::Via(class, service))
    }

    fn version(self, version: &'static str) -> Self {
        self.with(|call| call.version = version)
    }

    fn request(self, json: &'static str) -> Self {
        self.with(|call| call.request = json)
    }

    fn response(self, json: &'static str) -> Self {
        self.with(|call| call.response = json)
    }

    fn error(self, code: &'static str, message: &'static str) -> Self {
        self.with(|call| call.error = Some((code, message)))
    }

    fn additional(self, json: &'static str) -> Self {
        self.with(|call| call.additional = json)
    }

    fn request_id(self, slot: &'static str) -> Self {
        self.with(|call| call.request_id = slot)
    }

    fn resources(self, json: &'static str) -> Self {
        self.with(|call| call.resources = json)
    }

    fn event_type(self, event_type: &'static str) -> Self {
        self.with(|call| call.event_type = event_type)
    }

    fn api_version(self, version: &'static str) -> Self {
        self.with(|call| call.api_version = version)
    }

    fn shared(self, fields: &'static str) -> Self {
        self.with(|call| call.shared = fields)
    }

    /// Called from outside AWS over TLS, with this `Host` header.
    fn tls(self, host: &'static str) -> Self {
        self.with(|call| call.tls_host = host)
    }

    fn console(self) -> Self {
        self.with(|call| call.console = true)
    }

    fn text(&self) -> String {
        match &self.text {
            Text::Call(call) => call.text(),
            Text::Whole(text) => (*text).to_owned(),
        }
    }
}

impl Call {
    fn text(&self) -> String {
        let (who, ip, agent) = match self.who {
            Who::Caller(class) => (format!("{{{{who:{class}}}}}}}"), "{{ip}}", "{{agent}}"),
            Who::Service(name) => (format!(r#"{{"type":"AWSService","invokedBy":"{name}"}}"#), name, name),
            Who::Via(class, name) => (format!(r#"{{{{who:{class}}}}},"invokedBy":"{name}"}}"#), name, name),
        };
        let mut text = format!(
            r#"{{"eventVersion":"{}","userIdentity":{who},"eventTime":"{{{{time}}}}","eventSource":"{}","eventName":"{}","awsRegion":"{{{{region}}}}","sourceIPAddress":"{ip}","userAgent":"{agent}""#,
            self.version, self.source, self.name
        );
        let mut add = |condition: bool, field: String| {
            if condition {
                text.push(',');
                text.push_str(&field);
            }
        };
        // Fields that came with a version are absent before it.
        let since = |minor: &str| self.version.starts_with("{{") || self.version >= minor;
        let (code, message) = self.error.unwrap_or_default();
        add(!code.is_empty(), format!(r#""errorCode":"{code}""#));
        add(!message.is_empty(), format!(r#""errorMessage":"{message}""#));
        add(true, format!(r#""requestParameters":{},"responseElements":{}"#, self.request, self.response));
        add(!self.additional.is_empty(), format!(r#""additionalEventData":{}"#, self.additional));
        add(!self.request_id.is_empty(), format!(r#""requestID":"{}""#, self.request_id));
        add(true, r#""eventID":"{{uuid}}""#.to_owned());
        add(since("1.06"), format!(r#""readOnly":{}"#, self.read_only));
        add(!self.resources.is_empty(), format!(r#""resources":{}"#, self.resources));
        add(true, format!(r#""eventType":"{}""#, self.event_type));
        add(!self.api_version.is_empty(), format!(r#""apiVersion":"{}""#, self.api_version));
        add(since("1.06"), format!(r#""managementEvent":{}"#, !self.data));
        add(true, format!(r#""recipientAccountId":"{{{{account}}}}"{}"#, self.shared));
        let category = if self.data { "Data" } else { "Management" };
        add(since("1.07"), format!(r#""eventCategory":"{category}""#));
        add(
            !self.tls_host.is_empty(),
            format!(
                r#""tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{}"}}"#,
                self.tls_host
            ),
        );
        add(self.console, r#""sessionCredentialFromConsole":"true""#.to_owned());
        text.push('}');
        text
    }
}

/// All templates, compiled, with a table for drawing one of them by weight.
pub(super) struct Repertoire {
    entries: Vec<Entry>,
    draw: Vec<u16>,
}

/// One compiled template.
pub(super) struct Entry {
    pub template: Template,
    pub global: bool,
}

impl Repertoire {
    pub(super) fn new() -> Self {
        let events = all();
        let draw = events.iter().zip(0_u16..).flat_map(|(event, index)| vec![index; event.weight as usize]).collect();
        let entries = events
            .iter()
            .map(|event| Entry { template: Template::compile(&event.text()), global: event.global })
            .collect();
        Self { entries, draw }
    }

    /// A template, as often as its weight says.
    pub(super) fn pick(&self, random: &mut Random) -> &Entry {
        &self.entries[usize::from(*random.pick(&self.draw))]
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

fn all() -> Vec<Event> {
    [identity::events(), storage::events(), data::events(), compute::events(), platform::events(), oddities::events()]
        .into_iter()
        .flatten()
        .collect()
}
