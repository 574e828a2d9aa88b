//! `GetTrail`: one trail. Source: CloudTrail API reference, GetTrail.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Context, Operation, Service};
use crate::caller::Caller;
use crate::error::Error;
use crate::trail::Named;

pub(super) struct GetTrail;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Request {
    name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Response {
    trail: Value,
}

impl Operation for GetTrail {
    const SERVICE: Service = Service::CloudTrail;
    const NAME: &'static str = "GetTrail";
    type Request = Request;
    type Response = Response;

    async fn run(context: &Arc<Context>, caller: &Caller, request: Request) -> Result<Response, Error> {
        let name = request.name.ok_or_else(|| Error::validation("Name is required: a trail's name or ARN"))?;
        let named = Named::parse(&name)?;
        let region = caller.region.as_deref();
        let trail = context.trails.iter().find(|trail| named.is(trail, region)).ok_or_else(|| {
            let message = format!("Unknown trail: {name}; a trail of another region is found by its ARN");
            Error::new("TrailNotFoundException", message)
        })?;
        let trail = serde_json::to_value(trail.description()).map_err(|error| Error::internal(error.to_string()))?;
        Ok(Response { trail })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::operations::testing::{answer, error};

    #[test]
    fn a_trail_is_found_by_name_at_home_and_by_arn_anywhere() {
        let arn = "arn:aws:cloudtrail:us-east-1:111122223333:trail/org-trail";
        assert_eq!(answer("GetTrail", "us-east-1", json!({"Name": "org-trail"}))["Trail"]["TrailARN"], arn);
        assert_eq!(answer("GetTrail", "eu-west-1", json!({"Name": arn}))["Trail"]["Name"], "org-trail");
    }

    #[test]
    fn what_is_not_there_or_not_given_is_told() {
        assert_eq!(error("GetTrail", json!({"Name": "unknown"})).code, "TrailNotFoundException");
        assert_eq!(
            error("GetTrail", json!({"Name": "regional"})).code,
            "TrailNotFoundException",
            "a trail of elsewhere"
        );
        assert_eq!(error("GetTrail", json!({"Name": "x"})).code, "InvalidTrailNameException");
        assert_eq!(error("GetTrail", json!({})).code, "ValidationException");
        assert_eq!(error("GetTrail", json!({"Name": 7})).code, "SerializationException");
    }
}
