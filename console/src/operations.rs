//! The operations that are served: one file each, and the table that requests are dispatched by.
//!
//! A new operation is a file with an [`Operation`] and a line in [`OPERATIONS`].

mod describe_organization;
mod describe_trails;
mod get_trail;
mod list_public_keys;
mod list_trails;

use std::sync::Arc;

use futures::future::BoxFuture;
use orgtrail_service::clock::Clock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::caller::Caller;
use crate::error::Error;
use crate::public_keys::KeyFiles;
use crate::trail::Trail;

/// Every operation that is served.
static OPERATIONS: [Entry; 5] = [
    entry::<describe_trails::DescribeTrails>(),
    entry::<get_trail::GetTrail>(),
    entry::<list_trails::ListTrails>(),
    entry::<list_public_keys::ListPublicKeys>(),
    entry::<describe_organization::DescribeOrganization>(),
];

/// What operations answer from.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) trails: Vec<Trail>,
    pub(crate) keys: KeyFiles,
    pub(crate) clock: Arc<dyn Clock>,
}

/// The service that an operation belongs to, as `X-Amz-Target` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    CloudTrail,
    Organizations,
}

impl Service {
    /// The service's shape name and version in AWS's models.
    fn name(self) -> &'static str {
        match self {
            Self::CloudTrail => "CloudTrail_20131101",
            Self::Organizations => "AWSOrganizationsV20161128",
        }
    }
}

/// One operation.
pub(crate) trait Operation {
    const SERVICE: Service;
    const NAME: &'static str;
    /// Members that aren't known are passed over, as AWS does; one that is required is an `Option` here and asked for in
    /// [`Operation::run`], as its absence is another error than a body of the wrong shape.
    type Request: DeserializeOwned + Send;
    type Response: Serialize;

    fn run(
        context: &Arc<Context>,
        caller: &Caller,
        request: Self::Request,
    ) -> impl Future<Output = Result<Self::Response, Error>> + Send;
}

/// What an operation answers, once it does.
type Answer = BoxFuture<'static, Result<Value, Error>>;

/// A line of the table.
pub(crate) struct Entry {
    service: Service,
    /// The operation's name in AWS's model.
    pub(crate) name: &'static str,
    /// Reads the request, runs the operation, writes the response.
    pub(crate) run: fn(Arc<Context>, Caller, Value) -> Answer,
}

const fn entry<O: Operation + 'static>() -> Entry {
    Entry { service: O::SERVICE, name: O::NAME, run: erased::<O> }
}

fn erased<O: Operation + 'static>(context: Arc<Context>, caller: Caller, body: Value) -> Answer {
    Box::pin(async move {
        let request = serde_json::from_value(body).map_err(|error| Error::serialization(error.to_string()))?;
        let response = O::run(&context, &caller, request).await?;
        serde_json::to_value(response).map_err(|error| Error::internal(format!("write the response: {error}")))
    })
}

/// The operation that `X-Amz-Target` names: `<service>.<operation>`, or the service with a namespace before it, as botocore
/// and the older SDKs write it (`com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.DescribeTrails`).
pub(crate) fn find(target: &str) -> Option<&'static Entry> {
    let (service, operation) = target.rsplit_once('.')?;
    let service = service.rsplit('.').next()?;
    OPERATIONS.iter().find(|entry| entry.name == operation && entry.service.name() == service)
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_target_are_understood() {
        for target in
            ["CloudTrail_20131101.GetTrail", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.GetTrail"]
        {
            assert_eq!(find(target).unwrap().name, "GetTrail", "{target}");
        }
        assert_eq!(find("AWSOrganizationsV20161128.DescribeOrganization").unwrap().name, "DescribeOrganization");
        for target in [
            "",
            "GetTrail",
            ".GetTrail",
            "CloudTrail_20131101.",
            "CloudTrail_20131101.NoSuch",
            "AWSOrganizationsV20161128.GetTrail",
        ] {
            assert!(find(target).is_none(), "{target}");
        }
    }
}
