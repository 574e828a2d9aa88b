//! What to do about a failed call: the statement to add and where, or what is wrong instead of a policy.
//!
//! Owns the judgement. Does not own reading a refusal (`denial`) nor the form of statements (`statement`). Pure.

use orgtrail_cloud::partition::Partition;
use orgtrail_cloud::{Error, ErrorKind, RoleStep};

use super::check::Advice;
use super::clock;
use super::denial::{Denial, Side};
use super::statement::{Holder, Wanted, account, key_of_log_group, principal, trust};

/// Who asks, and where.
#[derive(Debug, Clone, Default)]
pub(super) struct Scene {
    /// ARN of the caller, where it is known.
    pub(super) who: Option<String>,
    /// The region of the bucket or service.
    pub(super) region: Option<String>,
}

/// What to do about the failure of a call that needs `wanted`.
pub(super) fn of(error: &Error, wanted: &Wanted, scene: &Scene) -> Vec<Advice> {
    if let Some(advice) = unusable(error, wanted).or_else(|| not_a_policy(error, scene)) {
        return advice;
    }
    match error.kind() {
        ErrorKind::Denied => refused(error.detail_text(), wanted, scene),
        _ => Vec::new(),
    }
}

/// What is there, or should be, and can't be used as it is: a key that is switched off or absent, an archived object, an
/// absent queue. Codes: each service's API reference.
fn unusable(error: &Error, wanted: &Wanted) -> Option<Vec<Advice>> {
    let code = error.service_code().unwrap_or_default();
    let advice = |text: String| Some(vec![Advice::text(text)]);
    let key = || match Denial::read(error.detail_text()).resource.or_else(|| wanted.resources.first().cloned()) {
        Some(key) if key.contains(":kms:") || wanted.holder == Holder::Key => key,
        _ => "KEY".to_owned(),
    };
    // SQS and SNS begin these codes with `KMS` or `KMS.`, S3 with `KMS.`.
    let of_key = code.to_ascii_lowercase().replace("kms.", "kms");
    match of_key.trim_end_matches("exception") {
        "disabled" | "kmsdisabled" => advice(format!(
            "the KMS key is disabled: aws kms enable-key --key-id {}, or name another key",
            key()
        )),
        "kmsinvalidstate" | "kmskmsinvalidstate" => advice(format!(
            "the KMS key waits for its deletion, or is not ready: look at KeyState in aws kms describe-key --key-id {}. While it \
             waits, aws kms cancel-key-deletion and then enable-key bring it back",
            key()
        )),
        "kmsnotfound" => advice(missing_key(&key())),
        "notfound" if wanted.prefix() == "kms" => advice(missing_key(&key())),
        "invalidobjectstate" => advice(
            "the object is archived: restore it, or let listings begin behind it with `start`; a lifecycle rule moves what \
             is old out of reach"
                .to_owned(),
        ),
        "queuedoesnotexist" | "aws.simplequeueservice.nonexistentqueue" => Some(vec![
            Advice::text(
                "there is no such queue here: look at account, region and name in `queue`. Of a queue in another account SQS may \
                 say the same where the queue's policy does not let the caller in",
            ),
        ]),
        _ => None,
    }
}

fn missing_key(key: &str) -> String {
    format!(
        "the KMS key {key} is not there: look at its id. Keys are of one region and account: write the ARN, or the key's own \
         `region` and a role in its account"
    )
}

/// What no statement cures; none where it is a question of policies.
fn not_a_policy(error: &Error, scene: &Scene) -> Option<Vec<Advice>> {
    let (code, detail) = (error.service_code().unwrap_or_default(), error.detail_text());
    let advice = |text: &str| Some(vec![Advice::text(text)]);
    if is_skewed(code, detail) {
        return advice(clock::WRONG);
    }
    match code {
        "InvalidAccessKeyId" | "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidToken" => {
            return advice(
                "the credentials are not known here: they were deleted, or belong to another partition. Accounts, roles and \
                 keys of aws, aws-us-gov and aws-cn are unknown to each other: `region`, role and credentials must be of one. An \
                 opt-in region also refuses the tokens of the global STS endpoint: set `region`",
            );
        }
        "SignatureDoesNotMatch" => return advice("the secret key does not belong to the access key's id"),
        "OptInRequired" | "RegionDisabledException" => {
            return advice("the region is not enabled in this account: enable it, or leave it out of `regions`");
        }
        _ => {}
    }
    match error.kind() {
        ErrorKind::ExpiredCredentials => advice("the credentials ran out: get new ones, or use a role"),
        ErrorKind::WrongRegion { region: Some(region) } => advice(&format!("write region = \"{region}\"")),
        ErrorKind::WrongRegion { region: None } => advice("the bucket is in another region: write its own as `region`"),
        ErrorKind::ContainerMissing => Some(vec![Advice::text(missing(scene))]),
        ErrorKind::Unavailable => advice(
            "nothing answers: look at the name in DNS, the route (NAT, proxy, VPC endpoint), the security group, and \
             `endpoint_url` if one is configured",
        ),
        ErrorKind::Denied if error.is_of_credentials() && !detail.contains("AssumeRole") => advice(
            "no credentials were found: give the process a role, a `profile`, or AWS_ACCESS_KEY_ID and its secret in the \
             environment",
        ),
        _ => None,
    }
}

/// S3, STS and the others each say it in their own words.
fn is_skewed(code: &str, detail: &str) -> bool {
    const WORDS: [&str; 4] = [
        "RequestTimeTooSkewed",
        "Signature expired",
        "Signature not yet current",
        "difference between the request time and the current time",
    ];
    WORDS.iter().any(|words| code == *words || detail.contains(words))
}

fn missing(scene: &Scene) -> String {
    let here = scene.region.as_deref().map_or_else(String::new, |region| {
        format!(" This looked in partition {} ({region}).", Partition::of_region(region))
    });
    format!(
        "it is not there: look at the name, or make it.{here} What is in another partition (aws, aws-us-gov, aws-cn) looks absent from here: \
             it needs a region and credentials of its own"
    )
}

fn refused(detail: &str, wanted: &Wanted, scene: &Scene) -> Vec<Advice> {
    let denial = Denial::read(detail);
    if wanted.prefix() == "logs" && (detail.contains("KMS key") || denial.is_of_key()) {
        return vec![of_log_groups_key(&denial, wanted)];
    }
    let key = through_key(&denial, wanted, scene).or_else(|| own_name(&denial, wanted));
    let wanted = key.as_ref().unwrap_or(wanted);
    let who = denial.principal.as_deref().or(scene.who.as_deref()).map(principal);
    if denial.explicit {
        return vec![forbidden(&denial, wanted)];
    }
    match denial.side {
        Side::Identity => {
            let mut advice = vec![to_identity(wanted, who.as_deref())];
            let elsewhere = who.as_deref().and_then(account) != wanted.resources.first().and_then(|arn| account(arn));
            if wanted.holder == Holder::Key && elsewhere {
                advice.push(to_resource(wanted, who.as_deref(), "and, as the key is in another account, "));
            }
            advice
        }
        Side::Resource => vec![to_resource(wanted, who.as_deref(), "")],
        Side::Boundary
        | Side::Session
        | Side::ServiceControl
        | Side::ResourceControl
        | Side::Endpoint
        | Side::Trust => {
            vec![Advice::statement(
                format!("{} does not allow it: it must hold", denial.side.policy()),
                wanted.identity(),
            )]
        }
        Side::Unsaid => {
            let mut advice = vec![
                Advice::text(
                    "the answer does not say which policy is in the way. In this order it may be: the permissions of the caller, \
                     the resource's own policy (always both where it is in another account), the key it is encrypted with, a \
                     service control policy, a VPC endpoint's policy",
                ),
                to_identity(wanted, who.as_deref()),
            ];
            if wanted.holder != Holder::Account {
                advice.push(to_resource(wanted, who.as_deref(), "if it is in another account: "));
            }
            advice
        }
    }
}

/// Policies want ARNs, configuration takes a key's id and alias too; the refusal has the ARN.
fn own_name(denial: &Denial, wanted: &Wanted) -> Option<Wanted> {
    let is_whole = matches!(wanted.holder, Holder::Key | Holder::Queue | Holder::Topic);
    let arn = denial.resource.clone().filter(|_| is_whole)?;
    Some(Wanted { resources: vec![arn], ..wanted.clone() })
}

/// CloudWatch Logs may not use the key of a group.
fn of_log_groups_key(denial: &Denial, wanted: &Wanted) -> Advice {
    let key = denial.resource.as_deref().filter(|arn| arn.contains(":kms:")).unwrap_or("the log group's KMS key");
    let group = wanted.resources.first().map_or("", String::as_str);
    let text = format!("enable {key} if it is disabled; its policy must hold");
    Advice::statement(text, key_of_log_group(group))
}

/// A service was refused by KMS in the caller's name: then it is about the key, not about what is encrypted with it.
fn through_key(denial: &Denial, wanted: &Wanted, scene: &Scene) -> Option<Wanted> {
    let service = wanted.through()?;
    let action = match denial.action.as_deref()? {
        "kms:Decrypt" => "kms:Decrypt",
        "kms:GenerateDataKey" => "kms:GenerateDataKey",
        _ => return None,
    };
    let of_key = denial.resource.as_deref().and_then(|arn| arn.split(':').nth(3)).map(str::to_owned);
    let region = of_key.or_else(|| scene.region.clone()).unwrap_or_else(|| "us-east-1".to_owned());
    let unnamed = || Partition::of_region(&region).arn("kms", &region, "ACCOUNT", "key/KEY-ID");
    let key = denial.resource.clone().unwrap_or_else(unnamed);
    // A put of more than one part decrypts its own data key.
    let actions: &[&'static str] =
        if action == "kms:Decrypt" { &["kms:Decrypt"] } else { &["kms:GenerateDataKey", "kms:Decrypt"] };
    Some(Wanted::key_through(service, actions, &key, &region))
}

fn forbidden(denial: &Denial, wanted: &Wanted) -> Advice {
    let action = denial.action.clone().unwrap_or_else(|| wanted.actions.join(", "));
    let more = match denial.side {
        Side::ServiceControl | Side::ResourceControl => {
            ": whoever administers the organization has to except this role or region"
        }
        _ => ": change or except from it the statement with \"Effect\": \"Deny\"",
    };
    Advice::text(format!("{} forbids {action} in so many words, so no further Allow helps{more}", denial.side.policy()))
}

fn to_identity(wanted: &Wanted, who: Option<&str>) -> Advice {
    let whose = who.map_or_else(|| "the caller".to_owned(), str::to_owned);
    Advice::statement(format!("add to the permissions policy of {whose}"), wanted.identity())
}

fn to_resource(wanted: &Wanted, who: Option<&str>, when: &str) -> Advice {
    let statement = wanted.resource(who.unwrap_or("ARN-OF-THE-CALLER"));
    let what = if wanted.holder == Holder::Key { wanted.resources.first().map_or("", String::as_str) } else { "" };
    let of = if what.is_empty() { String::new() } else { format!(" of {what}") };
    Advice::statement(format!("{when}add to {}{of}", wanted.holder.policy()), statement)
}

/// What to do where a role could not be assumed. `before` is who tried.
pub(super) fn of_role(error: &Error, role: &RoleStep, before: Option<&str>) -> Vec<Advice> {
    let scene = Scene::default();
    if let Some(advice) = not_a_policy(error, &scene) {
        return advice;
    }
    let denial = Denial::read(error.detail_text());
    let who = denial.principal.as_deref().or(before).map(principal);
    let there = Partition::of_arn(&role.role_arn);
    if let (Some(here), Some(there)) = (who.as_deref().and_then(Partition::of_arn), there)
        && here != there
    {
        return vec![Advice::text(format!(
            "the role is in partition {there}, the caller in {here}: roles can't be assumed across partitions, so it needs \
             credentials of {there}"
        ))];
    }
    let wanted = Wanted::new("OrgtrailAssumes", &["sts:AssumeRole"], role.role_arn.clone(), Holder::Account);
    if denial.explicit {
        return vec![forbidden(&denial, &wanted)];
    }
    let own = to_identity(&wanted, who.as_deref());
    let caller = who.as_deref().unwrap_or("ARN-OF-THE-CALLER");
    let id = role.external_id.as_deref();
    let trusted = Advice::statement(format!("the trust policy of {} must hold", role.role_arn), trust(caller, id));
    let external = match id {
        Some(id) => {
            format!("If it asks for an sts:ExternalId, that must be \"{id}\" to the letter, as `external_id` is here")
        }
        None => "If it asks for an sts:ExternalId, write the same as `external_id` here".to_owned(),
    };
    let exists = Advice::text(format!("STS says the same of a role that does not exist: look at the name. {external}"));
    match denial.side {
        Side::Identity => vec![own],
        Side::Resource | Side::Trust => vec![trusted, exists],
        Side::Unsaid => vec![trusted, exists, own],
        side => {
            vec![Advice::statement(format!("{} does not allow it: it must hold", side.policy()), wanted.identity())]
        }
    }
}

#[cfg(test)]
mod tests;
