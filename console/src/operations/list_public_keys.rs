//! `ListPublicKeys`: the keys that signed digests in a time. Source: CloudTrail API reference, ListPublicKeys.
//!
//! CloudTrail has keys for each region; here every region is answered with the keys of all trails.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};
use orgtrail_event::digest::ListedKey;
use serde::{Deserialize, Serialize};

use super::{Context, Operation, Service};
use crate::caller::Caller;
use crate::error::Error;

/// 1970 and 9999: what clients in other languages can hold as a date. A key without an end is shown with the last one.
const SECONDS: (i64, i64) = (0, 253_370_764_800);

pub(super) struct ListPublicKeys;

/// Times are seconds since 1970, with or without a fraction.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Request {
    start_time: Option<f64>,
    end_time: Option<f64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Response {
    public_key_list: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    value: String,
    validity_start_time: i64,
    validity_end_time: i64,
    fingerprint: String,
}

impl Operation for ListPublicKeys {
    const SERVICE: Service = Service::CloudTrail;
    const NAME: &'static str = "ListPublicKeys";
    type Request = Request;
    type Response = Response;

    async fn run(context: &Arc<Context>, _caller: &Caller, request: Request) -> Result<Response, Error> {
        if request.next_token.is_some() {
            return Err(Error::new("InvalidTokenException", "NextToken is reserved: all keys are on one page"));
        }
        let now = context.clock.now();
        let start = request.start_time.map_or(Ok(now), time)?;
        let end = request.end_time.map_or(Ok(now), time)?;
        if start > end {
            let message = format!("StartTime {start} is after EndTime {end}; either is now where it isn't given");
            return Err(Error::new("InvalidTimeRangeException", message));
        }
        let files = context.keys.clone();
        let keys = tokio::task::spawn_blocking(move || files.read()).await;
        let keys = keys.map_err(|error| Error::internal(error.to_string()))?.map_err(Error::internal)?;
        Ok(Response { public_key_list: keys.overlapping(start, end).iter().map(item).collect() })
    }
}

fn time(seconds: f64) -> Result<Timestamp, Error> {
    let invalid = || Error::new("InvalidTimeRangeException", format!("{seconds} is no time in seconds since 1970"));
    let since = SignedDuration::try_from_secs_f64(seconds).map_err(|_| invalid())?;
    Timestamp::from_duration(since).map_err(|_| invalid())
}

fn item(key: &ListedKey) -> Item {
    let seconds = |moment: Timestamp| moment.as_second().clamp(SECONDS.0, SECONDS.1);
    Item {
        value: BASE64.encode(&key.value),
        validity_start_time: seconds(key.validity_start),
        validity_end_time: seconds(key.validity_end),
        fingerprint: key.fingerprint.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::operations::testing::{NOW, answer, error};

    fn fingerprints(body: Value) -> Vec<String> {
        let value = answer("ListPublicKeys", "us-east-1", body);
        let list = value["PublicKeyList"].as_array().unwrap();
        list.iter().map(|key| key["Fingerprint"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn keys_that_overlap_the_range_are_listed_and_now_is_the_default() {
        assert_eq!(fingerprints(json!({})), ["present"]);
        assert_eq!(fingerprints(json!({"StartTime": 0})), ["past", "present"]);
        assert_eq!(fingerprints(json!({"StartTime": 1000.5, "EndTime": 2000})), ["past"]);
        assert_eq!(
            fingerprints(json!({"StartTime": 1_000_000, "EndTime": 1_000_000.0})),
            ["past"],
            "both ends are included"
        );
        assert!(fingerprints(json!({"StartTime": 1_000_001, "EndTime": 1_000_002})).is_empty());
    }

    #[test]
    fn a_key_is_served_as_cloudtrail_does() {
        let value = answer("ListPublicKeys", "us-east-1", json!({"EndTime": NOW}));
        let expected = json!({"Value": "AAEC", "ValidityStartTime": NOW - 60, "ValidityEndTime": 253_370_764_800_i64, "Fingerprint": "present"});
        assert_eq!(value["PublicKeyList"], json!([expected]));
    }

    #[test]
    fn a_range_that_is_none_is_refused() {
        for body in [
            json!({"StartTime": 2000, "EndTime": 1000}),
            json!({"StartTime": NOW + 1}),
            json!({"EndTime": NOW - 1}),
            json!({"StartTime": 1e300}),
        ] {
            assert_eq!(error("ListPublicKeys", body.clone()).code, "InvalidTimeRangeException", "{body}");
        }
        assert_eq!(error("ListPublicKeys", json!({"NextToken": "a"})).code, "InvalidTokenException");
        assert_eq!(error("ListPublicKeys", json!({"StartTime": "2026-03-01"})).code, "SerializationException");
    }
}
