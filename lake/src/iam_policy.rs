//! The least policy that recorded usage needs.
//!
//! Owns which IAM action an event stands for, and the policy document. A trail tells what was called, not every permission
//! that a call needs, nor calls of data events that no trail records: the answer is a beginning that is told as such.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::Error;
use crate::kind::Kind;
use crate::lake::Lake;
use crate::lookup::{Lookup, conditions, quoted, text};

/// Resources that a statement names; with more of them it names all.
const RESOURCES_MAX: usize = 20;

/// Whose usage, and of which time.
#[derive(Clone, Debug)]
pub struct Usage {
    /// The ARN of a user, a role (all its sessions) or one session.
    pub principal: String,
    /// From this moment on.
    pub start: Option<Timestamp>,
    /// Up to this moment.
    pub end: Option<Timestamp>,
    /// The event data store. None: the first one with events.
    pub event_data_store: Option<String>,
}

/// What a principal did, and what it needs for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Needed {
    /// Actions that succeeded, with the number of calls.
    pub allowed: BTreeMap<String, u64>,
    /// Actions that were denied, with the number of calls. They are in no statement.
    pub denied: BTreeMap<String, u64>,
    /// An IAM policy document.
    pub policy: Value,
}

/// Looks at what a principal did.
///
/// # Errors
/// No event data store has events, or the query failed.
pub async fn iam_policy(lake: &Lake, usage: &Usage) -> Result<Needed, Error> {
    let store = usage.event_data_store.as_deref().or(lake.first(Kind::Events));
    let store = store.ok_or_else(|| Error::Request("no event data store with events is configured".to_owned()))?;
    let lookup = Lookup { start: usage.start, end: usage.end, ..Lookup::default() };
    let mut all = conditions(&lookup)?;
    let principal = quoted(&usage.principal);
    all.push(format!(
        "(useridentity.arn = {principal} OR useridentity.sessioncontext.sessionissuer.arn = {principal})"
    ));
    let statement = format!(
        "SELECT eventsource, eventname, errorcode, r.arn AS arn, count(*) AS n FROM \"{store}\" \
         LEFT JOIN UNNEST(resources) AS t(r) ON true WHERE {} GROUP BY eventsource, eventname, errorcode, r.arn",
        all.join(" AND ")
    );
    let mut found = Found::default();
    for batch in lake.engine().query(&statement).await?.collect().await? {
        (0..batch.num_rows()).for_each(|row| found.add(&batch, row));
    }
    Ok(found.needed())
}

#[derive(Default)]
struct Found {
    allowed: BTreeMap<String, u64>,
    denied: BTreeMap<String, u64>,
    /// By action; none where a call named no resource.
    resources: BTreeMap<String, Option<BTreeSet<String>>>,
}

impl Found {
    fn add(&mut self, batch: &RecordBatch, row: usize) {
        let text = |name: &str| text(batch.column_by_name(name)?, row);
        let (Some(source), Some(name)) = (text("eventsource"), text("eventname")) else { return };
        let calls = batch.column_by_name("n").and_then(|column| column.as_primitive_opt::<Int64Type>());
        let calls = calls.map_or(0, |calls| u64::try_from(calls.value(row)).unwrap_or_default());
        let action = action(&source, &name);
        match text("errorcode") {
            Some(error) if is_denial(&error) => *self.denied.entry(action).or_default() += calls,
            // Another error comes behind the check of permissions.
            _ => {
                *self.allowed.entry(action.clone()).or_default() += calls;
                let resources = self.resources.entry(action).or_insert_with(|| Some(BTreeSet::new()));
                match text("arn") {
                    Some(arn) => {
                        if let Some(resources) = resources {
                            resources.insert(arn);
                        }
                    }
                    None => *resources = None,
                }
            }
        }
    }

    fn needed(self) -> Needed {
        let mut statements: BTreeMap<(String, Vec<String>), Vec<String>> = BTreeMap::new();
        for (action, resources) in self.resources {
            let service = action.split(':').next().unwrap_or_default().to_owned();
            let named = resources.filter(|resources| !resources.is_empty() && resources.len() <= RESOURCES_MAX);
            let resources = named.map_or_else(|| vec!["*".to_owned()], |resources| resources.into_iter().collect());
            statements.entry((service, resources)).or_default().push(action);
        }
        let statements: Vec<_> = statements
            .into_iter()
            .map(|((_, resources), actions)| json!({ "Effect": "Allow", "Action": actions, "Resource": resources }))
            .collect();
        let policy = json!({ "Version": "2012-10-17", "Statement": statements });
        Needed { allowed: self.allowed, denied: self.denied, policy }
    }
}

/// Whether a call was refused for want of a permission.
fn is_denial(error: &str) -> bool {
    ["AccessDenied", "UnauthorizedOperation", "NotAuthorized", "Forbidden"].iter().any(|word| error.contains(word))
}

/// Services whose IAM prefix isn't the first part of their event source (Service Authorization Reference).
const PREFIXES: [(&str, &str); 4] = [
    ("monitoring", "cloudwatch"),
    ("email", "ses"),
    ("tagging", "tag"),
    ("application-insights", "applicationinsights"),
];

/// Operations whose IAM action is called otherwise.
const ACTIONS: [(&str, &str); 15] = [
    ("s3:ListObjects", "s3:ListBucket"),
    ("s3:ListObjectsV2", "s3:ListBucket"),
    ("s3:HeadBucket", "s3:ListBucket"),
    ("s3:HeadObject", "s3:GetObject"),
    ("s3:CopyObject", "s3:PutObject"),
    ("s3:CreateMultipartUpload", "s3:PutObject"),
    ("s3:UploadPart", "s3:PutObject"),
    ("s3:CompleteMultipartUpload", "s3:PutObject"),
    ("s3:DeleteObjects", "s3:DeleteObject"),
    ("s3:ListBuckets", "s3:ListAllMyBuckets"),
    ("s3:ListObjectVersions", "s3:ListBucketVersions"),
    ("s3:GetBucketEncryption", "s3:GetEncryptionConfiguration"),
    ("s3:GetBucketLifecycle", "s3:GetLifecycleConfiguration"),
    ("s3:GetBucketReplication", "s3:GetReplicationConfiguration"),
    ("lambda:Invoke", "lambda:InvokeFunction"),
];

/// The IAM action of an event.
fn action(source: &str, name: &str) -> String {
    let service = source.split('.').next().unwrap_or(source);
    let prefix = PREFIXES.iter().find(|(from, _)| *from == service).map_or(service, |(_, to)| to);
    let mut name = name;
    if prefix == "lambda" {
        // `CreateFunction20150331`, `UpdateFunctionCode20150331v2`: the API's version stands in the event's name.
        name = name.split_once(|char: char| char.is_ascii_digit()).map_or(name, |(name, _)| name);
    }
    let action = format!("{prefix}:{name}");
    ACTIONS.iter().find(|(from, _)| *from == action).map_or(action.clone(), |(_, to)| (*to).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_called_as_iam_calls_their_actions() {
        let of = |source: &str, name: &str| action(&format!("{source}.amazonaws.com"), name);
        assert_eq!(of("s3", "ListObjectsV2"), "s3:ListBucket");
        assert_eq!(of("monitoring", "PutMetricData"), "cloudwatch:PutMetricData");
        assert_eq!(of("lambda", "UpdateFunctionCode20150331v2"), "lambda:UpdateFunctionCode");
        assert_eq!(of("ec2", "RunInstances"), "ec2:RunInstances");
    }
}
