//! How a place in AWS is reached: the configuration fields that every source, trail and destination shares.
//!
//! Owns: the fields, their meaning and defaults, and the check of their values. Does not own: turning them into clients
//! and credentials (`credentials`). The owner of a configuration section flattens this struct into it, refuses unknown
//! fields, and reports `problems`.

use crate::partition::Partition;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The name in CloudTrail for what orgtrail does under an assumed role, unless the configuration gives another.
pub const SESSION_NAME: &str = "orgtrail";

/// How to reach AWS. Everything has a default: the SDK's own chain of environment, profile, web identity and the
/// machine's or container's role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connection {
    /// The region to call. Default: for a bucket, the region it is found in; for a KMS key given as ARN, the ARN's; else
    /// `AWS_REGION`, the profile's, or the machine's. A bucket found elsewhere is used where it is, with a warning.
    pub region: Option<String>,
    /// Where to send every request of this connection instead of AWS's own endpoints, for VPC endpoints and other
    /// implementations of S3: `https://host[:port]`. Default: `AWS_ENDPOINT_URL`, else AWS.
    pub endpoint_url: Option<String>,
    /// Where to send the requests that assume roles. Default: `endpoint_url`, else `AWS_ENDPOINT_URL_STS`, else the
    /// regional endpoint.
    pub sts_endpoint_url: Option<String>,
    /// `true` puts the bucket in the path instead of the host name, which most other implementations of S3 need.
    /// Default: only where the endpoint's host is an IP address.
    pub force_path_style: Option<bool>,
    /// A profile of the AWS configuration files to start from. Default: `AWS_PROFILE`, else the default chain.
    pub profile: Option<String>,
    /// A file with an OIDC token, read again at every refresh. The first role is then assumed with it, and no other
    /// credentials are looked for. Default: none (`AWS_WEB_IDENTITY_TOKEN_FILE` works without this field).
    pub web_identity_token_file: Option<PathBuf>,
    /// Roles to assume one after the other before `role_arn`, each with the credentials of the one before.
    pub role_chain: Vec<RoleStep>,
    /// The role to assume, usually one in the account that owns the bucket.
    pub role_arn: Option<String>,
    /// The external id that the role's trust policy asks for.
    pub external_id: Option<String>,
    /// The session's name, which the account's own trail shows. Default: `orgtrail`.
    pub session_name: Option<String>,
    /// How long the role's credentials live: 15 minutes to 12 hours, at most 1 hour behind another role. They are
    /// replaced a few minutes ahead of expiry. Default: 1 hour.
    #[serde(with = "humantime_serde")]
    pub session_duration: Option<Duration>,
    /// How long a connection may take to be made. Default: 5 seconds.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long the first byte of an answer may take. Default: 30 seconds.
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    /// How long one operation may take with all its attempts, the body of an object aside, which is given more by its
    /// size. Default: 2 minutes.
    #[serde(with = "humantime_serde")]
    pub operation_timeout: Duration,
    /// Where the first credentials come from. Not part of the configuration file.
    #[serde(skip)]
    pub credentials: CredentialSource,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            region: None,
            endpoint_url: None,
            sts_endpoint_url: None,
            force_path_style: None,
            profile: None,
            web_identity_token_file: None,
            role_chain: Vec::new(),
            role_arn: None,
            external_id: None,
            session_name: None,
            session_duration: None,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(120),
            credentials: CredentialSource::Chain,
        }
    }
}

/// One role of a chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleStep {
    /// The role to assume.
    pub role_arn: String,
    /// The external id that its trust policy asks for.
    #[serde(default)]
    pub external_id: Option<String>,
    /// The session's name. Default: `orgtrail`.
    #[serde(default)]
    pub session_name: Option<String>,
    /// How long its credentials live. Default: 1 hour.
    #[serde(default, with = "humantime_serde")]
    pub session_duration: Option<Duration>,
}

/// Where the first credentials come from.
#[derive(Clone, Default, PartialEq)]
pub enum CredentialSource {
    /// The SDK's default chain, or the configured profile or web identity.
    #[default]
    Chain,
    /// Fixed ones, handed over in code: for tests, which share one process and so can't share one environment.
    Static {
        /// The access key's id.
        access_key_id: String,
        /// Its secret. Never shown.
        secret_access_key: String,
        /// The token of temporary credentials. Never shown.
        session_token: Option<String>,
    },
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain => f.write_str("Chain"),
            Self::Static { access_key_id, .. } => write!(f, "Static({access_key_id}, …)"),
        }
    }
}

impl Connection {
    /// The names of the fields above, for the owner of a section that flattens them.
    pub const KEYS: &'static [&'static str] = &[
        "region",
        "endpoint_url",
        "sts_endpoint_url",
        "force_path_style",
        "profile",
        "web_identity_token_file",
        "role_chain",
        "role_arn",
        "external_id",
        "session_name",
        "session_duration",
        "connect_timeout",
        "read_timeout",
        "operation_timeout",
    ];

    /// All roles in the order in which they are assumed.
    pub fn roles(&self) -> Vec<RoleStep> {
        let last = self.role_arn.as_ref().map(|role_arn| RoleStep {
            role_arn: role_arn.clone(),
            external_id: self.external_id.clone(),
            session_name: self.session_name.clone(),
            session_duration: self.session_duration,
        });
        self.role_chain.iter().cloned().chain(last).collect()
    }

    /// What is wrong with the values, as (field, message) pairs; empty when they can work. Offline: nothing is called.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        for (index, step) in self.role_chain.iter().enumerate() {
            let behind_another = index > 0 || self.web_identity_token_file.is_some();
            check_role(&format!("role_chain[{index}]."), step, behind_another, &mut problems);
        }
        if let Some(role_arn) = &self.role_arn {
            let step = RoleStep {
                role_arn: role_arn.clone(),
                external_id: self.external_id.clone(),
                session_name: self.session_name.clone(),
                session_duration: self.session_duration,
            };
            check_role("", &step, !self.role_chain.is_empty(), &mut problems);
        } else {
            for (field, given) in [
                ("external_id", self.external_id.is_some()),
                ("session_name", self.session_name.is_some()),
                ("session_duration", self.session_duration.is_some()),
            ] {
                if given {
                    problems.push((field.into(), "has no effect without role_arn: add role_arn, or remove it".into()));
                }
            }
        }
        self.check_web_identity(&mut problems);
        self.check_endpoints(&mut problems);
        self.check_region(&mut problems);
        for (field, duration) in [
            ("connect_timeout", self.connect_timeout),
            ("read_timeout", self.read_timeout),
            ("operation_timeout", self.operation_timeout),
        ] {
            if !(Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&duration) {
                problems.push((field.into(), "write a duration from 100ms to 1h".into()));
            }
        }
        problems
    }

    fn check_web_identity(&self, problems: &mut Vec<(String, String)>) {
        if self.web_identity_token_file.is_none() {
            return;
        }
        let field = || "web_identity_token_file".to_owned();
        if self.profile.is_some() {
            problems.push((field(), "a connection starts from a token file or from a profile: remove one".into()));
        }
        match self.roles().first() {
            None => problems.push((field(), "a token is exchanged for a role: add role_arn".into())),
            Some(first) if first.external_id.is_some() => problems.push((
                field(),
                "the first role is assumed with the token, and AssumeRoleWithWebIdentity takes no external_id: remove it".into(),
            )),
            Some(_) => {}
        }
    }

    fn check_endpoints(&self, problems: &mut Vec<(String, String)>) {
        for (field, url) in [("endpoint_url", &self.endpoint_url), ("sts_endpoint_url", &self.sts_endpoint_url)] {
            let Some(url) = url else { continue };
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.starts_with('/') || host.contains(char::is_whitespace)) {
                problems
                    .push((field.into(), format!("`{url}` is no endpoint: write https://host or http://host:port")));
            }
        }
    }

    fn check_region(&self, problems: &mut Vec<(String, String)>) {
        let Some(region) = &self.region else { return };
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if region.is_empty() || region.len() > 40 || !region.bytes().all(allowed) {
            problems.push(("region".into(), format!("`{region}` is no region: write one like eu-central-1")));
            return;
        }
        let here = Partition::of_region(region);
        for step in self.roles() {
            if let Some(there) = Partition::of_arn(&step.role_arn)
                && there != here
            {
                let message = format!("{region} is in partition {here}, the role {} in {there}", step.role_arn);
                problems.push(("region".into(), format!("{message}: roles can't be assumed across partitions")));
            }
        }
    }
}

/// Patterns and lengths: STS API reference, AssumeRole.
fn check_role(at: &str, step: &RoleStep, behind_another: bool, problems: &mut Vec<(String, String)>) {
    let mut problem = |field: &str, message: String| problems.push((format!("{at}{field}"), message));
    if !is_role_arn(&step.role_arn) {
        problem("role_arn", format!("`{}` is no role: write arn:aws:iam::123456789012:role/name", step.role_arn));
    }
    if let Some(id) = &step.external_id
        && (!(2..=1224).contains(&id.len()) || !id.bytes().all(|b| is_word(b) || b"+=,.@:/-".contains(&b)))
    {
        problem("external_id", format!("`{id}` is no external id: 2 to 1224 of a-z A-Z 0-9 _ + = , . @ : / -"));
    }
    if let Some(name) = &step.session_name
        && (!(2..=64).contains(&name.len()) || !name.bytes().all(|b| is_word(b) || b"+=,.@-".contains(&b)))
    {
        problem("session_name", format!("`{name}` is no session name: 2 to 64 of a-z A-Z 0-9 _ + = , . @ -"));
    }
    // Role chaining caps a session at one hour: IAM user guide, "Roles terms and concepts".
    let (most, text) = if behind_another { (3600, "1h behind another role") } else { (43_200, "12h") };
    if let Some(duration) = step.session_duration
        && !(900..=most).contains(&duration.as_secs())
    {
        problem("session_duration", format!("write a duration from 15m to {text}"));
    }
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn is_role_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [_, _, "iam", "", account, resource] = parts[..] else { return false };
    let named = resource.strip_prefix("role/").is_some_and(|name| {
        !name.is_empty() && !name.ends_with('/') && name.bytes().all(|b| is_word(b) || b"+=,.@/-".contains(&b))
    });
    let account_ok = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    Partition::of_arn(text).is_some() && account_ok && named && text.len() <= 2048
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fields(connection: &Connection) -> Vec<String> {
        connection.problems().into_iter().map(|(field, _)| field).collect()
    }

    fn role() -> Option<String> {
        Some("arn:aws:iam::111122223333:role/path/orgtrail-agent".into())
    }

    #[test]
    fn the_default_has_no_problems() {
        assert_eq!(Connection::default().problems(), []);
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let connection = Connection {
            region: Some("Frankfurt".into()),
            endpoint_url: Some("localhost:4566".into()),
            role_chain: vec![RoleStep {
                role_arn: "arn:aws:iam::1:role/x".into(),
                external_id: Some("x".into()),
                session_name: None,
                session_duration: None,
            }],
            role_arn: Some("arn:aws:iam::111122223333:user/x".into()),
            external_id: Some("a b".into()),
            session_name: Some("a:b".into()),
            session_duration: Some(Duration::from_secs(7200)),
            read_timeout: Duration::ZERO,
            ..Connection::default()
        };
        assert_eq!(
            fields(&connection),
            [
                "role_chain[0].role_arn",
                "role_chain[0].external_id",
                "role_arn",
                "external_id",
                "session_name",
                "session_duration",
                "endpoint_url",
                "region",
                "read_timeout",
            ]
        );
    }

    #[test]
    fn fields_that_need_a_role_say_so() {
        let connection = Connection { external_id: Some("acme-7".into()), ..Connection::default() };
        assert_eq!(fields(&connection), ["external_id"]);
        let token = Connection { web_identity_token_file: Some("/t".into()), ..Connection::default() };
        assert_eq!(fields(&token), ["web_identity_token_file"]);
        let with_role = Connection { role_arn: role(), ..token };
        assert_eq!(with_role.problems(), []);
    }

    #[test]
    fn a_role_of_another_partition_is_refused() {
        let connection = Connection { region: Some("us-gov-west-1".into()), role_arn: role(), ..Connection::default() };
        assert_eq!(fields(&connection), ["region"]);
    }

    #[test]
    fn durations_are_written_for_people_and_secrets_are_not_shown() {
        let text = r#"{"read_timeout": "5s", "session_duration": "15m", "role_chain": [{"role_arn": "r"}]}"#;
        let mut connection: Connection = serde_json::from_str(text).unwrap();
        assert_eq!(connection.read_timeout, Duration::from_secs(5));
        assert_eq!(connection.session_duration, Some(Duration::from_secs(900)));
        assert_eq!(connection.operation_timeout, Duration::from_secs(120));
        connection.credentials = CredentialSource::Static {
            access_key_id: "AKIA".into(),
            secret_access_key: "hunter2".into(),
            session_token: Some("token7".into()),
        };
        let shown = format!("{connection:?}");
        assert!(shown.contains("AKIA") && !shown.contains("hunter2") && !shown.contains("token7"), "{shown}");
    }
}
