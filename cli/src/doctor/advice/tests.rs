//! Refusals as the services word them, and the statements that cure them.

use serde_json::json;

use super::*;

fn error(kind: ErrorKind, code: &str, message: &str) -> Error {
    Error::new(kind, "get", "s3://logs/k").detail(format!("{code}: {message}")).code(Some(code.to_owned()))
}

fn denied(message: &str) -> Error {
    error(ErrorKind::Denied, "AccessDenied", message)
}

fn scene(region: &str) -> Scene {
    let arn = Partition::of_region(region).arn("sts", "", "111122223333", "assumed-role/reader/orgtrail");
    Scene { who: Some(arn), region: Some(region.to_owned()) }
}

fn statements(advice: &[Advice]) -> Vec<&serde_json::Value> {
    advice.iter().filter_map(|advice| advice.statement.as_ref()).collect()
}

#[test]
fn a_missing_permission_to_read_is_named_in_three_partitions() {
    for (id, region) in [("aws", "eu-west-1"), ("aws-us-gov", "us-gov-west-1"), ("aws-cn", "cn-north-1")] {
        let text = format!(
            "User: arn:{id}:sts::111122223333:assumed-role/reader/orgtrail is not authorized to perform: s3:GetObject on \
             resource: \"arn:{id}:s3:::logs/AWSLogs/k\" because no identity-based policy allows the s3:GetObject action"
        );
        let wanted = Wanted::read(Partition::of_region(region), "logs", "");
        let advice = of(&denied(&text), &wanted, &scene(region));
        let statement = json!({"Sid": "OrgtrailRead", "Effect": "Allow", "Action": "s3:GetObject", "Resource": format!("arn:{id}:s3:::logs/*")});
        assert_eq!(statements(&advice), [&statement], "{advice:?}");
        assert!(advice[0].text.ends_with(&format!("arn:{id}:iam::111122223333:role/reader")), "{advice:?}");
    }
}

#[test]
fn a_key_in_another_account_needs_both_policies() {
    for (id, region) in [("aws", "eu-west-1"), ("aws-us-gov", "us-gov-west-1"), ("aws-cn", "cn-north-1")] {
        let key = format!("arn:{id}:kms:{region}:444455556666:key/k");
        let text = format!(
            "User: arn:{id}:sts::111122223333:assumed-role/reader/orgtrail is not authorized to perform: kms:Decrypt on \
             resource: {key} because no identity-based policy allows the kms:Decrypt action"
        );
        let wanted = Wanted::read(Partition::of_region(region), "logs", "");
        let advice = of(&denied(&text), &wanted, &scene(region));
        let [own, policy] = statements(&advice)[..] else { panic!("{advice:?}") };
        assert_eq!((&own["Action"], &own["Resource"]), (&json!("kms:Decrypt"), &json!(key)));
        assert_eq!(policy["Principal"]["AWS"], format!("arn:{id}:iam::111122223333:role/reader"));
        assert_eq!(policy["Resource"], "*");
        assert!(policy["Condition"].to_string().contains(&format!("s3.{region}.amazonaws.com")), "{policy}");
    }
}

#[test]
fn a_keys_own_policy_is_named_alone() {
    let text = "User: arn:aws:sts::111122223333:assumed-role/reader/orgtrail is not authorized to perform: kms:Decrypt on \
                resource: arn:aws:kms:eu-west-1:111122223333:key/k because no resource-based policy allows the kms:Decrypt action";
    let advice = of(&denied(text), &Wanted::read(Partition::Aws, "logs", ""), &scene("eu-west-1"));
    assert_eq!(statements(&advice).len(), 1);
    assert!(advice[0].text.starts_with("add to the key's policy of arn:aws:kms:eu-west-1"), "{advice:?}");
}

#[test]
fn a_bare_refusal_names_all_that_it_may_be() {
    let advice = of(&denied("Access Denied"), &Wanted::read(Partition::Aws, "logs", "p"), &scene("eu-west-1"));
    let [own, bucket] = statements(&advice)[..] else { panic!("{advice:?}") };
    assert_eq!(own["Resource"], "arn:aws:s3:::logs/p/*");
    assert_eq!(bucket["Principal"]["AWS"], "arn:aws:iam::111122223333:role/reader");
    assert!(advice[0].text.contains("does not say"), "{advice:?}");
}

#[test]
fn what_is_forbidden_gets_no_statement() {
    let text = "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::logs/k \
                with an explicit deny in a service control policy";
    let advice = of(&denied(text), &Wanted::read(Partition::Aws, "logs", ""), &scene("eu-west-1"));
    assert_eq!(statements(&advice), Vec::<&serde_json::Value>::new());
    assert!(
        advice[0].text.starts_with("a service control policy of the organization forbids s3:GetObject"),
        "{advice:?}"
    );
}

#[test]
fn a_refused_role_names_its_trust_policy_and_the_external_id() {
    let role = |id: Option<&str>| RoleStep {
        role_arn: "arn:aws:iam::444455556666:role/reader".into(),
        external_id: id.map(str::to_owned),
        session_name: None,
        session_duration: None,
    };
    let refusal = denied(
        "AssumeRole: AccessDenied: User: arn:aws:iam::111122223333:user/agent is not authorized to perform: sts:AssumeRole on \
         resource: arn:aws:iam::444455556666:role/reader",
    );
    let advice = of_role(&refusal, &role(Some("first-7f2e")), None);
    let [trusted, own] = statements(&advice)[..] else { panic!("{advice:?}") };
    assert_eq!(trusted["Principal"]["AWS"], "arn:aws:iam::111122223333:user/agent");
    assert_eq!(trusted["Condition"]["StringEquals"]["sts:ExternalId"], "first-7f2e");
    assert_eq!(
        (&own["Action"], &own["Resource"]),
        (&json!("sts:AssumeRole"), &json!("arn:aws:iam::444455556666:role/reader"))
    );
    assert!(advice.iter().any(|advice| advice.text.contains("must be \"first-7f2e\" to the letter")), "{advice:?}");
    let advice = of_role(&refusal, &role(None), None);
    assert!(advice.iter().any(|advice| advice.text.contains("write the same as `external_id`")), "{advice:?}");
}

#[test]
fn a_role_of_another_partition_is_said_to_be_that() {
    let role = RoleStep {
        role_arn: "arn:aws-cn:iam::444455556666:role/reader".into(),
        external_id: None,
        session_name: None,
        session_duration: None,
    };
    let advice = of_role(&denied("AssumeRole: AccessDenied: no"), &role, Some("arn:aws:iam::1:user/a"));
    assert!(advice[0].text.starts_with("the role is in partition aws-cn, the caller in aws"), "{advice:?}");
}

#[test]
fn a_wrong_clock_a_wrong_region_and_a_wrong_partition_are_no_questions_of_policy() {
    let wanted = Wanted::read(Partition::Aws, "logs", "");
    for (kind, code, message, says) in [
        (
            ErrorKind::Denied,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            "the clock of this machine is wrong",
        ),
        (
            ErrorKind::Denied,
            "SignatureDoesNotMatch",
            "Signature expired: 20261121T180000Z is now earlier than 20261121T184500Z (20261121T190000Z - 15 min.)",
            "the clock of this machine is wrong",
        ),
        (
            ErrorKind::Denied,
            "InvalidClientTokenId",
            "The security token included in the request is invalid",
            "partition",
        ),
        (ErrorKind::WrongRegion { region: Some("eu-west-1".into()) }, "PermanentRedirect", "elsewhere", "eu-west-1"),
        (ErrorKind::ContainerMissing, "NoSuchBucket", "The specified bucket does not exist", "another partition"),
    ] {
        let advice = of(&error(kind, code, message), &wanted, &scene("us-east-1"));
        assert!(
            advice.len() == 1 && advice[0].text.contains(says) && advice[0].statement.is_none(),
            "{code}: {advice:?}"
        );
    }
}

#[test]
fn a_key_is_asked_for_through_the_service_that_was_called() {
    let key = "arn:aws:kms:eu-west-1:111122223333:key/k";
    let text = |action: &str| {
        format!(
            "User: arn:aws:sts::111122223333:assumed-role/reader/orgtrail is not authorized to perform: {action} on resource: {key} \
             because no identity-based policy allows the {action} action"
        )
    };
    let wanted =
        |action: &'static str, resource: &str, holder| Wanted::new("A", &[action], resource.to_owned(), holder);
    for (wanted, via) in [
        (wanted("s3:GetObject", "arn:aws:s3:::logs/*", Holder::Bucket), Some("s3.eu-west-1.amazonaws.com")),
        (wanted("sqs:ReceiveMessage", "arn:aws:sqs:eu-west-1:1:q", Holder::Queue), Some("sqs.eu-west-1.amazonaws.com")),
        (wanted("sns:Publish", "arn:aws:sns:eu-west-1:1:t", Holder::Topic), Some("sns.eu-west-1.amazonaws.com")),
        // A seal asks KMS itself; by the alias that configuration has, and policies don't know.
        (wanted("kms:Decrypt", "alias/orgtrail", Holder::Key), None),
    ] {
        let advice = of(&denied(&text("kms:Decrypt")), &wanted, &scene("eu-west-1"));
        let [statement] = statements(&advice)[..] else { panic!("{advice:?}") };
        assert_eq!((&statement["Resource"], &statement["Action"]), (&json!(key), &json!("kms:Decrypt")));
        let condition = statement.get("Condition").map(|condition| &condition["StringEquals"]["kms:ViaService"]);
        assert_eq!(condition.and_then(serde_json::Value::as_str), via, "{wanted:?}");
    }
    // CloudWatch Logs uses a group's key under its own name.
    let logs = wanted("logs:PutLogEvents", "arn:aws:logs:eu-west-1:1:log-group:g:*", Holder::Account);
    let refusal = error(
        ErrorKind::Denied,
        "AccessDeniedException",
        "The specified KMS key does not exist or is not allowed to be used with LogGroup 'arn:aws:logs:eu-west-1:1:log-group:g'",
    );
    let advice = of(&refusal, &logs, &scene("eu-west-1"));
    assert_eq!(statements(&advice)[0]["Principal"], json!({"Service": "logs.eu-west-1.amazonaws.com"}), "{advice:?}");
}

#[test]
fn what_is_switched_off_absent_or_archived_is_no_question_of_policy() {
    let bucket = Wanted::read(Partition::Aws, "logs", "");
    let queue = Wanted::new("A", &["sqs:ReceiveMessage"], "arn:aws:sqs:eu-west-1:1:q".to_owned(), Holder::Queue);
    let seal = Wanted::new("A", &["kms:Decrypt"], "arn:aws:kms:eu-west-1:1:key/k".to_owned(), Holder::Key);
    let (denied, invalid) = (ErrorKind::Denied, ErrorKind::Invalid);
    for (kind, code, wanted, says) in [
        (denied.clone(), "KMS.DisabledException", &bucket, "the KMS key is disabled: aws kms enable-key --key-id KEY"),
        (denied.clone(), "KmsDisabled", &queue, "the KMS key is disabled"),
        (denied.clone(), "DisabledException", &seal, "enable-key --key-id arn:aws:kms:eu-west-1:1:key/k"),
        (denied.clone(), "KMSInvalidStateException", &seal, "waits for its deletion"),
        (denied.clone(), "KMS.KMSInvalidStateException", &bucket, "waits for its deletion"),
        (denied.clone(), "KmsInvalidState", &queue, "waits for its deletion"),
        (invalid, "KMS.NotFoundException", &bucket, "the KMS key KEY is not there"),
        (ErrorKind::ContainerMissing, "NotFoundException", &seal, "Keys are of one region and account"),
        (denied, "InvalidObjectState", &bucket, "is archived"),
        (ErrorKind::ContainerMissing, "AWS.SimpleQueueService.NonExistentQueue", &queue, "no such queue here"),
        (ErrorKind::ContainerMissing, "QueueDoesNotExist", &queue, "no such queue here"),
    ] {
        let advice = of(&error(kind, code, "no"), wanted, &scene("eu-west-1"));
        let [Advice { text, statement: None }] = &advice[..] else { panic!("{code}: {advice:?}") };
        assert!(text.contains(says), "{code}: {text}");
    }
}
