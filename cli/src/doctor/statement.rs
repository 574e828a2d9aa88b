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
    Topic,
    /// Nothing with a policy of its own that could be in the way.
    Account,
}

impl Holder {
    pub(super) fn policy(self) -> &'static str {
        match self {
            Self::Bucket => "the bucket's policy",
            Self::Key => "the key's policy",
            Self::Queue => "the queue's policy",
            Self::Topic => "the topic's policy",
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

    /// Use a key through a service that encrypts with it, in that service's region.
    pub(super) fn key_through(service: Service, actions: &[&'static str], key: &str, region: &str) -> Self {
        let wanted = Self::new(service.sid(), actions, key.to_owned(), Holder::Key);
        Self { condition: Some(through(service, region)), ..wanted }
    }

    /// Publish to a topic.
    pub(super) fn publish(topic: &str) -> Self {
        Self::new("OrgtrailAnnounces", &["sns:Publish"], topic.to_owned(), Holder::Topic)
    }

    /// Which service a key is used through when it is about these actions; none where the key itself is asked, as for a seal
    /// or a signature, and where the service uses it under its own name.
    pub(super) fn through(&self) -> Option<Service> {
        match self.prefix() {
            "s3" => Some(Service::S3),
            "sqs" => Some(Service::Sqs),
            "sns" => Some(Service::Sns),
            _ => None,
        }
    }

    /// What stands before the actions' colon: `kms`.
    pub(super) fn prefix(&self) -> &'static str {
        self.actions.first().and_then(|action| action.split(':').next()).unwrap_or_default()
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

/// A service that asks KMS in its caller's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    S3,
    Sqs,
    Sns,
}

impl Service {
    /// Its name in hosts.
    fn host(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Sqs => "sqs",
            Self::Sns => "sns",
        }
    }

    fn sid(self) -> &'static str {
        match self {
            Self::S3 => "OrgtrailKeyThroughS3",
            Self::Sqs => "OrgtrailKeyThroughSqs",
            Self::Sns => "OrgtrailKeyThroughSns",
        }
    }
}

/// The statement for the policy of a key that CloudWatch Logs encrypts a group with: that service asks KMS under its own name,
/// so no role needs anything. Source: CloudWatch Logs user guide, "Encrypt log data in CloudWatch Logs using AWS KMS".
pub(super) fn key_of_log_group(group: &str) -> Value {
    let region = group.split(':').nth(3).unwrap_or("REGION");
    let service = format!("logs.{region}.{}", Partition::of_region(region).dns_suffix());
    json!({
        "Sid": "CloudWatchLogsUsesTheKey",
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
        "Resource": "*",
        "Condition": {"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": group.trim_end_matches(":*")}},
    })
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

/// Only through that service of that region. In China the host has one more label behind it, which not every page of AWS's
/// has.
fn through(service: Service, region: &str) -> Value {
    let host = service.host();
    match Partition::of_region(region) {
        Partition::China => json!({"StringLike": {"kms:ViaService": format!("{host}.{region}.amazonaws.com*")}}),
        partition => json!({"StringEquals": {"kms:ViaService": format!("{host}.{region}.{}", partition.dns_suffix())}}),
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
            let decrypt = Wanted::key_through(Service::S3, &["kms:Decrypt"], &key, region);
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
    fn a_key_is_used_through_the_service_that_encrypts_with_it() {
        let wanted = |action| Wanted::new("A", &[action], "arn:aws:x:eu-west-1:1:y".to_owned(), Holder::Account);
        for (action, through) in [
            ("s3:GetObject", Some(Service::S3)),
            ("sqs:ReceiveMessage", Some(Service::Sqs)),
            ("sns:Publish", Some(Service::Sns)),
            ("kms:GenerateDataKey", None),
            ("logs:PutLogEvents", None),
        ] {
            assert_eq!(wanted(action).through(), through, "{action}");
        }
        let key = Wanted::key_through(Service::Sqs, &["kms:Decrypt"], "arn:aws:kms:eu-west-1:1:key/k", "eu-west-1");
        assert_eq!(
            key.identity()["Condition"],
            json!({"StringEquals": {"kms:ViaService": "sqs.eu-west-1.amazonaws.com"}})
        );
        let logs = key_of_log_group("arn:aws-cn:logs:cn-north-1:1:log-group:g:*");
        assert_eq!(logs["Principal"]["Service"], "logs.cn-north-1.amazonaws.com.cn");
        let group = &logs["Condition"]["ArnEquals"]["kms:EncryptionContext:aws:logs:arn"];
        assert_eq!(group, "arn:aws-cn:logs:cn-north-1:1:log-group:g");
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
