//! What CloudTrail says of its own trails, for whoever verifies what it delivered.
//!
//! Owns: the one request. Does not own: a trail's keys (`public_keys`), nor its objects (`object_store`).

use crate::error::classify;
use crate::partition::Partition;
use crate::{Connection, Error, ErrorKind, credentials};
use aws_sdk_cloudtrail::Client;

const VERB: &str = "describe";

/// A trail of CloudTrail's, as far as its objects are found by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailDescription {
    /// Its name, which stands in its digests' keys.
    pub name: String,
    /// The bucket that it delivers to.
    pub bucket: String,
    /// The prefix before `AWSLogs/`, without slashes around it; empty for none.
    pub prefix: String,
    /// An organization's trail: its keys hold the organization's id.
    pub is_organization: bool,
    /// The region it was made in, which stands in its digests' keys.
    pub home_region: String,
}

/// Asks for a trail in the region that its ARN names. `ContainerMissing` where there is none with this ARN, `Invalid`
/// where it is no trail's ARN. Needs `cloudtrail:DescribeTrails`.
pub async fn describe_trail(arn: &str, connection: &Connection) -> Result<TrailDescription, Error> {
    let subject = || format!("trail {arn}");
    let region = region(arn).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, VERB, subject()).detail("write arn:aws:cloudtrail:REGION:ACCOUNT:trail/NAME")
    })?;
    let config = credentials::regional_config(connection, Some(region), &subject()).await?;
    let answer = Client::new(&config).describe_trails().trail_name_list(arn).include_shadow_trails(true).send().await;
    let answer = answer.map_err(|error| classify::sdk(VERB, subject(), error))?;
    let trails = answer.trail_list.unwrap_or_default();
    let trail = trails.into_iter().find(|trail| trail.trail_arn() == Some(arn)).ok_or_else(|| {
        Error::new(ErrorKind::ContainerMissing, VERB, subject()).detail("is it in this account and region?")
    })?;
    let incomplete = |what: &str| Error::new(ErrorKind::Other, VERB, subject()).detail(format!("it has no {what}"));
    Ok(TrailDescription {
        name: trail.name.ok_or_else(|| incomplete("name"))?,
        bucket: trail.s3_bucket_name.ok_or_else(|| incomplete("bucket"))?,
        prefix: trail.s3_key_prefix.map(|prefix| prefix.trim_matches('/').to_owned()).unwrap_or_default(),
        is_organization: trail.is_organization_trail.unwrap_or_default(),
        home_region: trail.home_region.unwrap_or_else(|| region.to_owned()),
    })
}

/// The region of a trail's ARN.
fn region(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, "cloudtrail", region, account, resource] = parts[..] else { return None };
    let is_trail = resource.strip_prefix("trail/").is_some_and(|name| !name.is_empty());
    (Partition::of_arn(arn).is_some() && !region.is_empty() && account.len() == 12 && is_trail).then_some(region)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stub::Stub;

    const ARN: &str = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/audit";

    #[tokio::test]
    async fn a_trail_is_asked_for_in_its_own_region() {
        let stub = Stub::answering(&[(
            200,
            r#"{"trailList":[{"Name":"audit","TrailARN":"arn:aws:cloudtrail:us-east-1:111122223333:trail/audit"},
            {"Name":"audit","S3BucketName":"b","S3KeyPrefix":"p/q","IsOrganizationTrail":true,"HomeRegion":"eu-west-1",
            "TrailARN":"arn:aws:cloudtrail:eu-west-1:111122223333:trail/audit"}]}"#,
        )]);
        let described = describe_trail(ARN, &stub.connection()).await.unwrap();
        let expected = TrailDescription {
            name: "audit".into(),
            bucket: "b".into(),
            prefix: "p/q".into(),
            is_organization: true,
            home_region: "eu-west-1".into(),
        };
        assert_eq!(described, expected);
        assert!(stub.requests()[0].contains("/eu-west-1/cloudtrail/"));
    }

    #[tokio::test]
    async fn an_absent_trail_is_missing_and_what_is_no_trail_is_invalid() {
        let stub = Stub::answering(&[(200, r#"{"trailList":[]}"#)]);
        let error = describe_trail(ARN, &stub.connection()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::ContainerMissing, "{error}");
        for bad in ["audit", "arn:aws:cloudtrail:eu-west-1:1:trail/audit", "arn:aws:s3:::bucket"] {
            assert_eq!(describe_trail(bad, &Connection::default()).await.unwrap_err().kind(), &ErrorKind::Invalid);
        }
    }
}
