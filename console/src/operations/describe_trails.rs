//! `DescribeTrails`: the trails that are visible in the client's region.
//!
//! Source: CloudTrail API reference, DescribeTrails.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Context, Operation, Service};
use crate::caller::Caller;
use crate::error::Error;
use crate::trail::{Named, Sight, Trail};

pub(super) struct DescribeTrails;

/// The one operation whose members begin with small letters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    #[serde(default)]
    trail_name_list: Option<Vec<String>>,
    #[serde(default)]
    include_shadow_trails: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response {
    trail_list: Vec<Value>,
}

impl Operation for DescribeTrails {
    const SERVICE: Service = Service::CloudTrail;
    const NAME: &'static str = "DescribeTrails";
    type Request = Request;
    type Response = Response;

    async fn run(context: &Arc<Context>, caller: &Caller, request: Request) -> Result<Response, Error> {
        let region = caller.region.as_deref();
        let shadows = request.include_shadow_trails != Some(false);
        let names = request.trail_name_list.unwrap_or_default();
        let named = names.iter().map(|name| Named::parse(name)).collect::<Result<Vec<_>, _>>()?;
        let is_wanted = |trail: &&Trail| match trail.sight(region) {
            Sight::Shadow if !shadows => false,
            // Trails of elsewhere are shown to who names them.
            Sight::Elsewhere if named.is_empty() => false,
            _ => named.is_empty() || named.iter().any(|named| named.is(trail, region)),
        };
        let trail_list = context.trails.iter().filter(is_wanted).map(|trail| serde_json::to_value(trail.description()));
        let trail_list = trail_list.collect::<Result<_, _>>().map_err(|error| Error::internal(error.to_string()))?;
        Ok(Response { trail_list })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::operations::testing::{answer, error};

    fn names(region: &str, body: serde_json::Value) -> Vec<String> {
        let value = answer("DescribeTrails", region, body);
        let list = value["trailList"].as_array().unwrap();
        list.iter().map(|trail| trail["Name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn shadows_are_shown_unless_they_are_not_wanted() {
        assert_eq!(names("us-east-1", json!({})), ["org-trail"]);
        assert_eq!(names("eu-west-1", json!({})), ["org-trail", "regional"]);
        assert_eq!(names("eu-west-1", json!({"includeShadowTrails": null})), ["org-trail", "regional"]);
        assert_eq!(names("eu-west-1", json!({"includeShadowTrails": false})), ["regional"]);
        assert!(names("cn-north-1", json!({})).is_empty());
        assert_eq!(names("", json!({})), ["org-trail", "regional"]);
    }

    #[test]
    fn names_are_of_the_region_and_arns_of_any() {
        let arn = "arn:aws:cloudtrail:us-east-1:111122223333:trail/org-trail";
        assert_eq!(names("us-east-1", json!({"trailNameList": ["org-trail", "unknown"]})), ["org-trail"]);
        assert!(names("eu-west-1", json!({"trailNameList": ["org-trail"]})).is_empty());
        assert_eq!(names("eu-west-1", json!({"trailNameList": [arn]})), ["org-trail"]);
        assert!(names("eu-west-1", json!({"trailNameList": [arn], "includeShadowTrails": false})).is_empty());
        let regional = "arn:aws:cloudtrail:eu-west-1:444455556666:trail/regional";
        assert_eq!(names("us-east-1", json!({"trailNameList": [regional]})), ["regional"]);
    }

    #[test]
    fn a_trail_shows_what_it_has() {
        let value = answer("DescribeTrails", "us-east-1", json!({}));
        let expected = json!({
            "Name": "org-trail",
            "S3BucketName": "bucket",
            "S3KeyPrefix": "audit",
            "SnsTopicName": "topic",
            "SnsTopicARN": "arn:aws:sns:us-east-1:111122223333:topic",
            "IncludeGlobalServiceEvents": true,
            "IsMultiRegionTrail": true,
            "HomeRegion": "us-east-1",
            "TrailARN": "arn:aws:cloudtrail:us-east-1:111122223333:trail/org-trail",
            "LogFileValidationEnabled": true,
            "KmsKeyId": "arn:aws:kms:us-east-1:111122223333:key/k",
            "HasCustomEventSelectors": false,
            "HasInsightSelectors": false,
            "IsOrganizationTrail": true,
        });
        assert_eq!(value["trailList"][0], expected);
        let value = answer("DescribeTrails", "eu-west-1", json!({"includeShadowTrails": false}));
        let trail = value["trailList"][0].as_object().unwrap();
        assert_eq!(trail["S3BucketName"], "org-trail-files");
        for absent in ["S3KeyPrefix", "SnsTopicName", "SnsTopicARN", "KmsKeyId", "CloudWatchLogsLogGroupArn"] {
            assert!(!trail.contains_key(absent), "{absent}");
        }
        assert_eq!((&trail["IsOrganizationTrail"], &trail["LogFileValidationEnabled"]), (&json!(false), &json!(false)));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        assert_eq!(error("DescribeTrails", json!({"trailNameList": ["a b"]})).code, "InvalidTrailNameException");
        assert_eq!(
            error("DescribeTrails", json!({"trailNameList": ["arn:aws:x"]})).code,
            "CloudTrailARNInvalidException"
        );
        assert_eq!(error("DescribeTrails", json!({"trailNameList": "org-trail"})).code, "SerializationException");
    }
}
