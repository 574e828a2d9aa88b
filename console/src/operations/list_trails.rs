//! `ListTrails`: all trails, of every region. Source: CloudTrail API reference, ListTrails.
//!
//! All are on the one page, as there are no more than the configuration names.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Context, Operation, Service};
use crate::caller::Caller;
use crate::error::Error;

pub(super) struct ListTrails;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Request {
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Response {
    trails: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    #[serde(rename = "TrailARN")]
    trail_arn: String,
    name: String,
    home_region: String,
}

impl Operation for ListTrails {
    const SERVICE: Service = Service::CloudTrail;
    const NAME: &'static str = "ListTrails";
    type Request = Request;
    type Response = Response;

    async fn run(context: &Arc<Context>, _caller: &Caller, request: Request) -> Result<Response, Error> {
        if request.next_token.is_some() {
            return Err(Error::validation("NextToken was not handed out here: all trails are on one page"));
        }
        let item = |trail: &crate::trail::Trail| Item {
            trail_arn: trail.arn.clone(),
            name: trail.config.name.clone(),
            home_region: trail.config.home_region.clone(),
        };
        Ok(Response { trails: context.trails.iter().map(item).collect() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::operations::testing::{answer, error};

    #[test]
    fn all_trails_are_listed_from_anywhere() {
        let value = answer("ListTrails", "ap-southeast-2", json!({}));
        let expected = json!([
            {"TrailARN": "arn:aws:cloudtrail:us-east-1:111122223333:trail/org-trail", "Name": "org-trail", "HomeRegion": "us-east-1"},
            {"TrailARN": "arn:aws:cloudtrail:eu-west-1:444455556666:trail/regional", "Name": "regional", "HomeRegion": "eu-west-1"},
        ]);
        assert_eq!(value["Trails"], expected);
        assert_eq!(error("ListTrails", json!({"NextToken": "abcd"})).code, "ValidationException");
    }
}
