//! AWS Account Management.
//!
//! Owns: the request and its pages. Needs `account:ListRegions`.

use super::{Region, RegionStatus, Regions};
use crate::error::classify;
use crate::{Connection, Error, ErrorKind, credentials};
use async_trait::async_trait;
use aws_sdk_account::Client;
use aws_sdk_account::types::RegionOptStatus;

/// Most regions on a page: Account Management API reference, ListRegions (`MaxResults`).
const PAGE_REGIONS: i32 = 50;
/// Most pages.
const PAGES_MAX: usize = 100;

/// Account Management as one connection reaches it.
#[derive(Debug)]
pub struct AwsRegions {
    client: Client,
}

impl AwsRegions {
    /// Calls nothing yet.
    pub async fn open(connection: &Connection) -> Self {
        Self { client: Client::new(&credentials::global_config(connection).await) }
    }
}

#[async_trait]
impl Regions for AwsRegions {
    async fn list(&self, account: Option<&str>) -> Result<Vec<Region>, Error> {
        let subject =
            || account.map_or_else(|| "regions".to_owned(), |account| format!("regions of account {account}"));
        let (mut regions, mut token) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let list = self.client.list_regions().max_results(PAGE_REGIONS);
            let page = list.set_account_id(account.map(str::to_owned)).set_next_token(token).send().await;
            let page = page.map_err(|error| {
                let error = classify::sdk("list", subject(), error);
                let denied = *error.kind() == ErrorKind::Denied;
                if denied { error.advice("the principal needs account:ListRegions") } else { error }
            })?;
            for region in page.regions.unwrap_or_default() {
                let status = region.region_opt_status.as_ref().map_or("UNKNOWN", RegionOptStatus::as_str);
                let status = RegionStatus::parse(status);
                regions.extend(region.region_name.map(|name| Region { name, status }));
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                regions.sort_by(|a, b| a.name.cmp(&b.name));
                return Ok(regions);
            }
        }
        Err(Error::new(ErrorKind::Other, "list", subject()).detail("the answer has more than 100 pages"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stub::Stub;

    #[tokio::test]
    async fn regions_are_read_over_pages() {
        let stub = Stub::answering(&[
            (200, r#"{"Regions":[{"RegionName":"us-east-1","RegionOptStatus":"ENABLED_BY_DEFAULT"}],"NextToken":"x"}"#),
            (200, r#"{"Regions":[],"NextToken":"y"}"#),
            (200, r#"{"Regions":[{"RegionName":"af-south-1","RegionOptStatus":"DISABLED"}]}"#),
        ]);
        let regions = AwsRegions::open(&stub.connection()).await.list(Some("111122223333")).await.unwrap();
        let told: Vec<_> = regions.iter().map(|region| (region.name.as_str(), region.status.as_str())).collect();
        assert_eq!(told, [("af-south-1", "DISABLED"), ("us-east-1", "ENABLED_BY_DEFAULT")]);
        let requests = stub.requests();
        assert!(requests[0].starts_with("POST /listRegions") && requests[0].contains(r#""AccountId":"111122223333""#));
        assert!(requests[2].contains(r#""NextToken":"y""#), "{}", requests[2]);
    }

    #[tokio::test]
    async fn a_refusal_names_the_action() {
        let stub = Stub::answering(&[(403, r#"{"__type":"AccessDeniedException","message":"no"}"#)]);
        let error = AwsRegions::open(&stub.connection()).await.list(None).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Denied);
        assert!(error.to_string().contains("account:ListRegions"), "{error}");
    }
}
