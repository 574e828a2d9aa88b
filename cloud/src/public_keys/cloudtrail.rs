//! CloudTrail's own public keys, as ListPublicKeys serves them.
//!
//! Owns: the request and its pages. Does not own: which region's keys a digest was signed with; keys are per region.

use super::{ListedKey, PublicKeySource};
use crate::error::classify;
use crate::{Connection, Error, ErrorKind, credentials};
use async_trait::async_trait;
use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::primitives::{Blob, DateTime};
use aws_sdk_cloudtrail::types::PublicKey;
use jiff::Timestamp;

/// Most pages of an answer. CloudTrail has a handful of keys in a region and gives one page today.
const PAGES_MAX: usize = 100;

/// CloudTrail in one region.
#[derive(Debug)]
pub struct CloudTrailKeys {
    region: String,
    client: Client,
}

impl CloudTrailKeys {
    /// The keys of this region, whatever the connection's own is. Calls nothing yet.
    pub async fn open(region: &str, connection: &Connection) -> Result<Self, Error> {
        let config = credentials::regional_config(connection, Some(region), &subject(region)).await?;
        Ok(Self { region: region.to_owned(), client: Client::new(&config) })
    }
}

#[async_trait]
impl PublicKeySource for CloudTrailKeys {
    async fn list(&self, start: Timestamp, end: Timestamp) -> Result<Vec<ListedKey>, Error> {
        let seconds = |at: Timestamp| DateTime::from_secs(at.as_second());
        let (mut keys, mut token) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let list = self.client.list_public_keys().start_time(seconds(start)).end_time(seconds(end));
            let page = list.set_next_token(token).send().await;
            let page = page.map_err(|error| classify::sdk("list", subject(&self.region), error))?;
            for key in page.public_key_list.unwrap_or_default() {
                keys.push(listed(key).ok_or_else(|| self.unusable("a key without a value, fingerprint or time"))?);
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(keys);
            }
        }
        Err(self.unusable("more than 100 pages"))
    }
}

impl CloudTrailKeys {
    fn unusable(&self, why: &str) -> Error {
        Error::new(ErrorKind::Other, "list", subject(&self.region)).detail(format!("the answer has {why}"))
    }
}

fn listed(key: PublicKey) -> Option<ListedKey> {
    let at = |time: Option<DateTime>| Timestamp::from_second(time?.secs()).ok();
    Some(ListedKey {
        der: key.value.map(Blob::into_inner).filter(|der| !der.is_empty())?,
        fingerprint: key.fingerprint?,
        valid_from: at(key.validity_start_time)?,
        valid_until: at(key.validity_end_time)?,
    })
}

fn subject(region: &str) -> String {
    format!("CloudTrail's public keys of {region}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stub::Stub;

    #[tokio::test]
    async fn keys_are_read_over_all_pages() {
        let stub = Stub::answering(&[
            (
                200,
                r#"{"PublicKeyList":[{"Value":"MAMCAQE=","ValidityStartTime":1767225600,"ValidityEndTime":1769904000.5,
                "Fingerprint":"2a34fabdffb91a6d74db62321c9e1d5f"}],"NextToken":"more"}"#,
            ),
            (
                200,
                r#"{"PublicKeyList":[{"Value":"MAMCAQI=","ValidityStartTime":1769904000,"ValidityEndTime":1772323200,
                "Fingerprint":"8eba5db5bea9b640d1c96a77256fe7f2"}]}"#,
            ),
        ]);
        let keys = CloudTrailKeys::open("eu-west-1", &stub.connection()).await.unwrap();
        let start = Timestamp::from_second(1_767_225_600).unwrap();
        let end = Timestamp::from_second(1_772_000_000).unwrap();
        let listed = keys.list(start, end).await.unwrap();
        assert_eq!(
            listed
                .iter()
                .map(|key| (&key.der[..], &key.fingerprint[..8], key.valid_from.as_second()))
                .collect::<Vec<_>>(),
            [
                (&[0x30, 3, 2, 1, 1][..], "2a34fabd", 1_767_225_600),
                (&[0x30, 3, 2, 1, 2][..], "8eba5db5", 1_769_904_000)
            ]
        );
        assert_eq!(listed[0].valid_until.as_second(), 1_769_904_000);
        let [first, second] = &stub.requests()[..] else { panic!("two pages are two requests") };
        assert!(first.contains("CloudTrail_20131101.ListPublicKeys") && first.contains("/eu-west-1/cloudtrail/"));
        assert!(first.contains(r#""StartTime":1767225600"#) && !first.contains("NextToken"), "{first}");
        assert!(second.contains(r#""NextToken":"more""#), "{second}");
    }

    #[tokio::test]
    async fn a_refusal_and_a_key_without_a_value_are_errors() {
        let stub = Stub::answering(&[
            (400, r#"{"__type":"InvalidTimeRangeException","message":"no"}"#),
            (400, r#"{"__type":"AccessDeniedException","message":"no"}"#),
            (200, r#"{"PublicKeyList":[{"Fingerprint":"2a34fabdffb91a6d74db62321c9e1d5f"}]}"#),
        ]);
        let keys = CloudTrailKeys::open("eu-west-1", &stub.connection()).await.unwrap();
        for kind in [ErrorKind::Invalid, ErrorKind::Denied, ErrorKind::Other] {
            let error = keys.list(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH).await.unwrap_err();
            assert_eq!(error.kind(), &kind, "{error}");
            assert!(error.to_string().contains("eu-west-1"), "{error}");
        }
    }
}
