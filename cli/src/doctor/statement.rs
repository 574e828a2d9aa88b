//! Policy statements, ready to paste: the least that a hop needs, in the right partition.
//!
//! Owns their form. Does not own when one is missing (`advice`). Pure.

use orgtrail_cloud::partition::Partition;
use serde_json::{Map, Value, json};

/// What a hop asks of AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Letters and digits, as a statement's id has.
    pub(super) sid: &'static str,
    pub(super) actions: Vec<&'static str>,
    /// ARNs, or `*` where the action knows no resource.
    pub(super) resources: Vec<String>,
    pub(super) condition: Option<Value>,
    pub(super) holder: Holder,
}

/// What the actions are done on, and so whose policy may have to allow them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Bucket,
    Key,
    Queue,
    /// Nothing with a policy of its own that could be in the way.
    Account,
}

impl Holder {
    pub(super) fn policy(self) -> &'static str {
        match self {
            Self::Bucket => "the bucket's policy",
            Self::Key => "the key's policy",
            Self::Queue => "the queue's policy",
            Self::Account => "the resource's policy",
        }
    }
}

impl Wanted {
    pub(super) fn new(sid: &'static str, actions: &[&'static str], resource: String, holder: Holder) -> Self {
        Self { sid, actions: actions.to_vec(), resources: vec![resource], condition: None, holder }
    }

    /// List what is below a location's prefix.
    pub(super) fn list(partition: Partition, bucket: &str, prefix: &str) -> Self {
        let below = if prefix.is_empty() { json!(["", "AWSLogs/*", "o-*"]) } else { json!([format!("{prefix}/*")]) };
        let condition = json!({"StringLike": {"s3:prefix": below}});
        let wanted = Self::new("OrgtrailList", &["s3:ListBucket"], partition.s3_arn(bucket, ""), Holder::Bucket);
        Self { condition: Some(condition), ..wanted }
    }

    /// Read what is below a location's prefix.
    pub(super) fn read(partition: Partition, bucket: &str, prefix: &str) -> Self {
        Self::new("OrgtrailRead", &["s3:GetObject"], partition.s3_arn(bucket, &below(prefix, "*")), Holder::Bucket)
    }

    /// Put and read back below a trail's prefix.
    pub(super) fn deliver(partition: Partition, bucket: &str, prefix: &str) -> Self {
        let actions = ["s3:PutObject", "s3:PutObjectAcl", "s3:GetObject"];
        Self::new("OrgtrailDeliver", &actions, partition.s3_arn(bucket, &below(prefix, "AWSLogs/*")), Holder::Bucket)
    }

    /// Use a key through S3 in the bucket's region.
    pub(super) fn key_through_s3(actions: &[&'static str], key: &str, region: &str) -> Self {
        let wanted = Self::new("OrgtrailKeyThroughS3", actions, key.to_owned(), Holder::Key);
        Self { condition: Some(through_s3(region)), ..wanted }
    }

    /// The statement for the policy of a role or user.
    pub(super) fn identity(&self) -> Value {
        let mut statement = self.head();
        statement.insert("Resource".to_owned(), one_or_many(&self.resources));
        self.tail(statement)
    }

    /// The statement for the policy of what is used: who may. A key's policy says `*` for the key itself.
    pub(super) fn resource(&self, principal: &str) -> Value {
        let mut statement = self.head();
        statement.insert("Principal".to_owned(), json!({"AWS": principal}));
        let resource = if self.holder == Holder::Key { json!("*") } else { one_or_many(&self.resources) };
        statement.insert("Resource".to_owned(), resource);
        self.tail(statement)
    }

    fn head(&self) -> Map<String, Value> {
        let mut statement = Map::new();
        statement.insert("Sid".to_owned(), json!(self.sid));
        statement.insert("Effect".to_owned(), json!("Allow"));
        let actions: Vec<String> = self.actions.iter().map(|action| (*action).to_owned()).collect();
        statement.insert("Action".to_owned(), one_or_many(&actions));
        statement
    }

    fn tail(&self, mut statement: Map<String, Value>) -> Value {
        if let Some(condition) = &self.condition {
            statement.insert("Condition".to_owned(), condition.clone());
        }
        Value::Object(statement)
    }
}

/// The statement for the trust policy of a role.
pub(super) fn trust(principal: &str, external_id: Option<&str>) -> Value {
    let mut statement = json!({
        "Sid": "OrgtrailAssumesThisRole",
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": "sts:AssumeRole",
    });
    if let Some(id) = external_id {
        statement["Condition"] = json!({"StringEquals": {"sts:ExternalId": id}});
    }
    statement
}

/// The principal as policies name it: of a role's session, the role. The path of a role stands in no session's ARN; a role
/// that has one is to be written with it.
pub(super) fn principal(arn: &str) -> String {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    if let [_, partition, "sts", _, account, session] = parts[..]
        && let Some(role) = session.strip_prefix("assumed-role/").and_then(|rest| rest.split('/').next())
    {
        return format!("arn:{partition}:iam::{account}:role/{role}");
    }
    arn.to_owned()
}

/// The account in an ARN.
pub(super) fn account(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| !account.is_empty())
}

fn below(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}/{key}") }
}

/// Only through S3 of that region. In China the host has one more label behind it, which not every page of AWS's has.
fn through_s3(region: &str) -> Value {
    match Partition::of_region(region) {
        Partition::China => json!({"StringLike": {"kms:ViaService": format!("s3.{region}.amazonaws.com*")}}),
        partition => json!({"StringEquals": {"kms:ViaService": format!("s3.{region}.{}", partition.dns_suffix())}}),
    }
}

fn one_or_many(values: &[String]) -> Value {
    match values {
        [one] => json!(one),
        many => json!(many),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_in_the_partition_of_what_they_are_about() {
        for (partition, id, region, via) in [
            (
                Partition::Aws,
                "aws",
                "eu-west-1",
                json!({"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}),
            ),
            (
                Partition::GovCloud,
                "aws-us-gov",
                "us-gov-west-1",
                json!({"StringEquals": {"kms:ViaService": "s3.us-gov-west-1.amazonaws.com"}}),
            ),
            (
                Partition::China,
                "aws-cn",
                "cn-north-1",
                json!({"StringLike": {"kms:ViaService": "s3.cn-north-1.amazonaws.com*"}}),
            ),
        ] {
            let read = Wanted::read(partition, "logs", "a/b").identity();
            assert_eq!(read["Resource"], format!("arn:{id}:s3:::logs/a/b/*"));
            assert_eq!(read["Action"], "s3:GetObject");
            let key = format!("arn:{id}:kms:{region}:1:key/k");
            let decrypt = Wanted::key_through_s3(&["kms:Decrypt"], &key, region);
            assert_eq!(decrypt.identity()["Resource"], key);
            assert_eq!(decrypt.identity()["Condition"], via);
            let policy = decrypt.resource(&format!("arn:{id}:iam::1:role/r"));
            assert_eq!(
                (&policy["Resource"], &policy["Principal"]["AWS"]),
                (&json!("*"), &json!(format!("arn:{id}:iam::1:role/r")))
            );
        }
    }

    #[test]
    fn a_session_is_its_role() {
        let role = principal("arn:aws-cn:sts::111122223333:assumed-role/reader/orgtrail");
        assert_eq!(role, "arn:aws-cn:iam::111122223333:role/reader");
        assert_eq!(principal("arn:aws:iam::1:user/a"), "arn:aws:iam::1:user/a");
    }

    #[test]
    fn a_trust_policy_asks_for_the_configured_external_id() {
        let statement = trust("arn:aws:iam::1:role/r", Some("first-7f2e"));
        assert_eq!(statement["Condition"]["StringEquals"]["sts:ExternalId"], "first-7f2e");
        assert!(trust("arn:aws:iam::1:role/r", None).get("Condition").is_none());
    }
}
