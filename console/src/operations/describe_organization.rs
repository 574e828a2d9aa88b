//! `DescribeOrganization` of AWS Organizations: `aws cloudtrail validate-logs` asks it for the id in an organization trail's
//! keys. Source: Organizations API reference, DescribeOrganization and Organization.

use std::sync::Arc;

use orgtrail_cloud::partition::Partition;
use serde::{Deserialize, Serialize};

use super::{Context, Operation, Service};
use crate::caller::Caller;
use crate::error::Error;

pub(super) struct DescribeOrganization;

#[derive(Deserialize)]
pub(super) struct Request {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Response {
    organization: Organization,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Organization {
    id: String,
    arn: String,
    feature_set: &'static str,
    master_account_arn: String,
    master_account_id: String,
}

impl Operation for DescribeOrganization {
    const SERVICE: Service = Service::Organizations;
    const NAME: &'static str = "DescribeOrganization";
    type Request = Request;
    type Response = Response;

    /// The request names no organization. Of several, it is the one whose management account the caller's access key belongs
    /// to, else the first that is configured.
    async fn run(context: &Arc<Context>, caller: &Caller, _request: Request) -> Result<Response, Error> {
        let organizations = || {
            let of = |trail| {
                let config: &crate::config::TrailConfig = trail;
                Some((config.organization_id.as_deref()?, config))
            };
            context.trails.iter().filter_map(move |trail| of(&trail.config))
        };
        let (id, config) = organizations()
            .find(|(_, config)| caller.account.as_deref() == Some(config.account_id.as_str()))
            .or_else(|| organizations().next())
            .ok_or_else(|| {
                Error::new("AWSOrganizationsNotInUseException", "No [[console.trails]] has an organization_id.")
            })?;
        let account = &config.account_id;
        let partition = Partition::of_region(&config.home_region);
        let organization = Organization {
            id: id.to_owned(),
            arn: partition.arn("organizations", "", account, &format!("organization/{id}")),
            // An organization trail needs all features.
            feature_set: "ALL",
            master_account_arn: partition.arn("organizations", "", account, &format!("account/{id}/{account}")),
            master_account_id: account.clone(),
        };
        Ok(Response { organization })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::config::TrailConfig;
    use crate::operations::testing::{answer_of, context, trails};

    fn id(trails: Vec<TrailConfig>, account: &str) -> String {
        let value = answer_of(&context(trails), "DescribeOrganization", "us-east-1", account, json!({})).unwrap();
        value["Organization"]["Id"].as_str().unwrap().to_owned()
    }

    #[test]
    fn an_organization_has_its_id_and_management_account() {
        let value =
            answer_of(&context(trails()), "DescribeOrganization", "us-east-1", "999999999999", json!({})).unwrap();
        let expected = json!({
            "Id": "o-exampleorgid",
            "Arn": "arn:aws:organizations::111122223333:organization/o-exampleorgid",
            "FeatureSet": "ALL",
            "MasterAccountArn": "arn:aws:organizations::111122223333:account/o-exampleorgid/111122223333",
            "MasterAccountId": "111122223333",
        });
        assert_eq!(value["Organization"], expected);
    }

    #[test]
    fn of_several_it_is_the_callers_own_else_the_first() {
        let mut two = trails();
        two[1].organization_id = Some("o-secondorgan".to_owned());
        assert_eq!(id(two.clone(), "444455556666"), "o-secondorgan");
        assert_eq!(id(two, "999999999999"), "o-exampleorgid");
    }

    #[test]
    fn without_an_organization_that_is_said() {
        let mut none = trails();
        none[0].organization_id = None;
        let refused = answer_of(&context(none), "DescribeOrganization", "us-east-1", "1", json!({})).unwrap_err();
        assert_eq!(refused.code, "AWSOrganizationsNotInUseException");
    }
}
