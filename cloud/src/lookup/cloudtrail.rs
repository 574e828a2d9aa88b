//! CloudTrail's own event history.
//!
//! Owns: the request. Needs `cloudtrail:LookupEvents`.

use super::{Category, HistoryEvent, Lookup, LookupPage, LookupRequest, PAGE_EVENTS_MAX};
use crate::error::classify;
use crate::{Connection, Error, ErrorKind, credentials};
use async_trait::async_trait;
use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::primitives::DateTime;
use aws_sdk_cloudtrail::types::{Event, EventCategory};
use jiff::Timestamp;

/// CloudTrail in one region.
#[derive(Debug)]
pub struct CloudTrailLookup {
    region: String,
    client: Client,
}

impl CloudTrailLookup {
    /// The event history of this region, whatever the connection's own is. Calls nothing yet.
    pub async fn open(region: &str, connection: &Connection) -> Result<Self, Error> {
        let config = credentials::regional_config(connection, Some(region), &subject(region)).await?;
        Ok(Self { region: region.to_owned(), client: Client::new(&config) })
    }
}

#[async_trait]
impl Lookup for CloudTrailLookup {
    async fn page(&self, request: &LookupRequest) -> Result<LookupPage, Error> {
        let seconds = |at: Timestamp| DateTime::from_secs(at.as_second());
        let lookup = self.client.lookup_events().start_time(seconds(request.start)).end_time(seconds(request.end));
        let category = (request.category == Category::Insight).then_some(EventCategory::Insight);
        // Fifty, the most there is.
        let lookup = lookup.set_event_category(category).max_results(PAGE_EVENTS_MAX as i32);
        let answer = lookup.set_next_token(request.continuation.clone()).send().await;
        let answer = answer.map_err(|error| {
            let error = classify::sdk("look up", subject(&self.region), error);
            let denied = *error.kind() == ErrorKind::Denied;
            if denied { error.advice("the principal needs cloudtrail:LookupEvents") } else { error }
        })?;
        Ok(LookupPage {
            events: answer.events.unwrap_or_default().into_iter().map(listed).collect(),
            next: answer.next_token.filter(|token| !token.is_empty()),
        })
    }
}

fn listed(event: Event) -> HistoryEvent {
    HistoryEvent {
        id: event.event_id,
        time: event.event_time.and_then(|at| Timestamp::from_second(at.secs()).ok()),
        record: event.cloud_trail_event,
    }
}

fn subject(region: &str) -> String {
    format!("CloudTrail's event history of {region}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::regions::Closed;
    use crate::stub::Stub;

    fn request(continuation: Option<&str>) -> LookupRequest {
        LookupRequest {
            start: Timestamp::from_second(1_767_225_600).unwrap(),
            end: Timestamp::from_second(1_767_226_500).unwrap(),
            category: Category::Management,
            continuation: continuation.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn a_page_keeps_the_records_bytes_and_goes_on_by_its_token() {
        let stub = Stub::answering(&[
            (
                200,
                r#"{"Events":[{"EventId":"e1","EventTime":1767225700,"CloudTrailEvent":"{\"eventID\":\"e1\", \"x\":\"\\u003c\"}"},
                {"Resources":[]}],"NextToken":"more"}"#,
            ),
            (200, r#"{"Events":[]}"#),
        ]);
        let lookup = CloudTrailLookup::open("eu-west-1", &stub.connection()).await.unwrap();
        let page = lookup.page(&request(None)).await.unwrap();
        assert_eq!(page.events[0].record.as_deref(), Some(r#"{"eventID":"e1", "x":"\u003c"}"#));
        assert_eq!(page.events[0].time.unwrap().as_second(), 1_767_225_700);
        assert_eq!(page.events[1], HistoryEvent::default());
        let last = lookup.page(&request(page.next.as_deref())).await.unwrap();
        assert_eq!((last.events.len(), last.next), (0, None));
        let [first, second] = &stub.requests()[..] else { panic!("two pages are two requests") };
        assert!(first.contains("CloudTrail_20131101.LookupEvents") && first.contains("/eu-west-1/cloudtrail/"));
        for part in [r#""StartTime":1767225600"#, r#""EndTime":1767226500"#, r#""MaxResults":50"#] {
            assert!(first.contains(part), "{first}");
        }
        assert!(!first.contains("EventCategory") && second.contains(r#""NextToken":"more""#), "{second}");
    }

    #[tokio::test]
    async fn refusals_tell_slower_closed_and_denied_apart() {
        const SLOWER: (u16, &str) = (400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#);
        let stub = Stub::answering(&[
            SLOWER,
            SLOWER,
            SLOWER,
            (
                400,
                r#"{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}"#,
            ),
            (
                400,
                r#"{"__type":"AccessDeniedException","message":"User: u is not authorized to perform: cloudtrail:LookupEvents with an explicit deny in a service control policy"}"#,
            ),
            (
                400,
                r#"{"__type":"AccessDeniedException","message":"User: u is not authorized to perform: cloudtrail:LookupEvents"}"#,
            ),
            (400, r#"{"__type":"InvalidNextTokenException","message":"no"}"#),
        ]);
        let lookup = CloudTrailLookup::open("af-south-1", &stub.connection()).await.unwrap();
        for (kind, closed) in [
            (ErrorKind::Throttled, None),
            (ErrorKind::Denied, Some(Closed::NotKnownThere)),
            (ErrorKind::Denied, Some(Closed::DeniedByPolicy)),
            (ErrorKind::Denied, None),
            (ErrorKind::Unavailable, None),
        ] {
            let error = lookup.page(&request(None)).await.unwrap_err();
            assert_eq!((error.kind(), Closed::of(&error)), (&kind, closed), "{error}");
            assert!(error.to_string().contains("af-south-1"), "{error}");
        }
    }
}
