//! On both emulators: signers, topics, lifecycle rules and trails, and what a KMS key that can't be used says.

use orgtrail_cloud::admin::Admin;
use orgtrail_cloud::cloudtrail::describe_trail;
use orgtrail_cloud::conformance;
use orgtrail_cloud::lifecycle::{LifecycleRule, lifecycle_rules, put_lifecycle_rule, remove_lifecycle_rule};
use orgtrail_cloud::{Connection, Disposition, ErrorKind, Location, open_signer, open_topic};
use orgtrail_tests::emulator::{Account, Emulator, bucket_name};
use serde_json::{Value, json};

/// Each has mistakes of its own. Empty: skip the test.
fn both() -> Vec<&'static Emulator> {
    [Emulator::ministack(false), Emulator::moto()].into_iter().flatten().collect()
}

#[tokio::test]
async fn a_kms_key_signs_and_an_alias_stays_with_the_key_that_was_announced() {
    for emulator in both() {
        let connection = emulator.connection(&emulator.account());
        let admin = Admin::open(&connection).await;
        let [first, second] = [admin.create_rsa_key(true).await, admin.create_rsa_key(true).await];
        let alias = format!("alias/{}", bucket_name());
        admin.point_alias(&alias, &first).await;
        let by_arn = open_signer(&first, &connection).await.unwrap();
        conformance::signer::all(&*by_arn).await;

        let by_alias = open_signer(&alias, &connection).await.unwrap();
        let announced = by_alias.public_key().await.unwrap();
        assert_eq!(announced, by_arn.public_key().await.unwrap());
        admin.point_alias(&alias, &second).await;
        conformance::signer::signatures_verify_over_the_message_itself(&*by_alias).await;
        assert_eq!(by_alias.sign(b"x").await.unwrap(), by_arn.sign(b"x").await.unwrap());
        // The next start sees the other key.
        let restarted = open_signer(&alias, &connection).await.unwrap();
        assert_ne!(restarted.public_key().await.unwrap(), announced);
    }
}

#[tokio::test]
async fn a_kms_key_that_can_not_sign_is_refused_with_what_to_make_instead() {
    for emulator in both() {
        let connection = emulator.connection(&emulator.account());
        let key = Admin::open(&connection).await.create_rsa_key(false).await;
        let error = open_signer(&key, &connection).await.unwrap().sign(b"x").await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid, "{error}");
        for part in [&key[..], "ENCRYPT_DECRYPT", "--key-usage SIGN_VERIFY"] {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    }
}

/// moto lets disabled and doomed keys sign.
#[tokio::test]
async fn a_kms_key_that_is_switched_off_is_waited_for_and_named_with_what_to_do() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let account = emulator.account();
    let connection = emulator.connection(&account);
    let admin = Admin::open(&connection).await;
    let [disabled, doomed] = [admin.create_rsa_key(true).await, admin.create_rsa_key(true).await];
    let signer = open_signer(&disabled, &connection).await.unwrap();
    signer.sign(b"x").await.unwrap();
    admin.disable_key(&disabled).await;
    admin.schedule_key_deletion(&doomed).await;
    let of_doomed = open_signer(&doomed, &connection).await.unwrap();
    let absent = disabled.rsplit_once('/').unwrap().0.to_owned() + "/00000000-0000-4000-8000-000000000000";
    let of_absent = open_signer(&absent, &connection).await.unwrap();
    for (signer, key, kind, advice) in [
        (&signer, &disabled, ErrorKind::Denied, "aws kms enable-key --key-id"),
        (&of_doomed, &doomed, ErrorKind::Denied, "aws kms cancel-key-deletion --key-id"),
        (&of_absent, &absent, ErrorKind::ContainerMissing, "whole ARN"),
    ] {
        let error = signer.sign(b"x").await.unwrap_err();
        assert_eq!((error.kind(), error.disposition()), (&kind, Disposition::Retry), "{error}");
        assert!(error.to_string().contains(key.as_str()) && error.to_string().contains(advice), "{error}");
    }
    emulator.aws(&account, &["kms", "enable-key", "--key-id", &disabled]).unwrap();
    signer.sign(b"x").await.unwrap();
}

/// The AWS CLI knows an old host of SQS by heart.
pub(crate) fn sqs(emulator: &Emulator, account: &Account, arguments: &[&str]) -> Value {
    emulator.aws(account, &[&["sqs", "--endpoint-url", &emulator.url()], arguments].concat()).unwrap()
}

/// Up to ten messages of a queue, after a second without any if there is none.
pub(crate) fn receive(emulator: &Emulator, account: &Account, url: &str) -> Vec<String> {
    let receive = ["receive-message", "--queue-url", url, "--max-number-of-messages", "10", "--wait-time-seconds", "1"];
    let page = sqs(emulator, account, &receive);
    let bodies = page["Messages"].as_array().into_iter().flatten();
    bodies.map(|message| message["Body"].as_str().unwrap().to_owned()).collect()
}

/// What a queue holds, once it is so many messages or nothing more came for ten seconds.
fn messages(emulator: &Emulator, account: &Account, url: &str, count: usize) -> Vec<String> {
    let mut messages = Vec::new();
    for _ in 0..10 {
        messages.extend(receive(emulator, account, url));
        if messages.len() >= count {
            break;
        }
    }
    messages
}

#[tokio::test]
async fn an_sns_topic_hands_messages_on_as_they_are() {
    for emulator in both() {
        let account = emulator.account();
        let name = bucket_name();
        let aws = |arguments: &[&str]| emulator.aws(&account, arguments).unwrap();
        let arn = aws(&["sns", "create-topic", "--name", &name])["TopicArn"].as_str().unwrap().to_owned();
        let created = sqs(emulator, &account, &["create-queue", "--queue-name", &name]);
        let url = created["QueueUrl"].as_str().unwrap().to_owned();
        let queue_arn = arn.replace(":sns:", ":sqs:");
        let subscribe = ["sns", "subscribe", "--topic-arn", &arn, "--protocol", "sqs", "--notification-endpoint"];
        aws(&[&subscribe[..], &[&queue_arn, "--attributes", "RawMessageDelivery=true"]].concat());

        let connection = emulator.connection(&account);
        let topic = open_topic(&arn, &connection).await.unwrap();
        conformance::topic::all(&*topic, &|count| messages(emulator, &account, &url, count)).await;
        let absent = open_topic(&format!("{arn}-absent"), &connection).await.unwrap();
        conformance::topic::an_absent_topic_is_missing(&*absent).await;
    }
}

fn rules_of_others() -> Value {
    json!([
        {
            "ID": "by-tag", "Status": "Disabled",
            "Filter": {"And": {"Prefix": "reports/", "Tags": [{"Key": "keep", "Value": "no"}]}},
            "Expiration": {"Days": 30},
        },
        {
            "ID": "parts", "Status": "Enabled", "Filter": {"Prefix": ""},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3},
        },
    ])
}

#[tokio::test]
async fn a_lifecycle_rule_is_put_among_others_and_only_when_something_changes() {
    for emulator in both() {
        let account = emulator.account();
        let connection = emulator.connection(&account);
        let bucket = bucket_name();
        Admin::open(&connection).await.create_bucket(&bucket).await;
        let location: Location = format!("s3://{bucket}/trail").parse().unwrap();
        assert_eq!(lifecycle_rules(&location, &connection).await.unwrap().ids().count(), 0);

        let others = json!({"Rules": rules_of_others()}).to_string();
        let put = ["s3api", "put-bucket-lifecycle-configuration", "--bucket", &bucket, "--lifecycle-configuration"];
        emulator.aws(&account, &[&put[..], &[&others]].concat()).unwrap();
        let get = ["s3api", "get-bucket-lifecycle-configuration", "--bucket", &bucket];
        let there = || emulator.aws(&account, &get).unwrap()["Rules"].as_array().unwrap().clone();
        let before = there();

        let rule = LifecycleRule {
            id: "orgtrail-audit".into(),
            prefix: "trail/AWSLogs/".into(),
            glacier_after_days: Some(90),
            expire_after_days: Some(365),
        };
        let done = put_lifecycle_rule(&location, &connection, &rule).await.unwrap();
        assert!(done[0].starts_with("add lifecycle rule `orgtrail-audit`"), "{done:?}");
        let [first, second, ours] = &there()[..] else { panic!("two of others and ours") };
        assert_eq!([first, second], [&before[0], &before[1]]);
        assert_eq!(ours["Filter"]["Prefix"], "trail/AWSLogs/");
        assert_eq!(ours["Transitions"], json!([{"Days": 90, "StorageClass": "GLACIER"}]));
        assert_eq!(ours["Expiration"]["Days"], 365);
        assert_eq!(put_lifecycle_rule(&location, &connection, &rule).await.unwrap(), [""; 0]);

        let longer = LifecycleRule { expire_after_days: Some(2557), ..rule };
        let plan = lifecycle_rules(&location, &connection).await.unwrap().plan(&longer);
        assert_eq!(put_lifecycle_rule(&location, &connection, &longer).await.unwrap(), plan);
        assert_eq!(there()[..2], before[..]);
        assert_eq!(there()[2]["Expiration"]["Days"], 2557);

        let name = (&longer.id, &longer.prefix);
        let plan = lifecycle_rules(&location, &connection).await.unwrap().plan_without(name.0, name.1);
        assert_eq!(remove_lifecycle_rule(&location, &connection, name.0, name.1).await.unwrap(), plan);
        assert_eq!(there(), before);
        assert_eq!(remove_lifecycle_rule(&location, &connection, name.0, name.1).await.unwrap(), [""; 0]);

        // The last one of a bucket.
        emulator.aws(&account, &["s3api", "delete-bucket-lifecycle", "--bucket", &bucket]).unwrap();
        put_lifecycle_rule(&location, &connection, &longer).await.unwrap();
        assert_eq!(remove_lifecycle_rule(&location, &connection, name.0, name.1).await.unwrap().len(), 1);
        assert_eq!(lifecycle_rules(&location, &connection).await.unwrap().ids().count(), 0);
    }
}

#[tokio::test]
async fn lifecycle_rules_of_an_absent_bucket_and_of_a_folder_say_so() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let connection = emulator.connection(&emulator.account());
    let absent: Location = format!("s3://{}", bucket_name()).parse().unwrap();
    let error = lifecycle_rules(&absent, &connection).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ContainerMissing, "{error}");
    let folder: Location = "file:///srv/trail".parse().unwrap();
    let error = lifecycle_rules(&folder, &Connection::default()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("remove `lifecycle`"), "{error}");
}

#[tokio::test]
async fn a_trail_says_where_it_delivers_to() {
    for emulator in both() {
        let account = emulator.account();
        let connection = emulator.connection(&account);
        let bucket = bucket_name();
        Admin::open(&connection).await.create_bucket(&bucket).await;
        let create = ["cloudtrail", "create-trail", "--name", &bucket, "--s3-bucket-name", &bucket];
        let created = emulator.aws(&account, &[&create[..], &["--s3-key-prefix", "p"]].concat()).unwrap();
        let arn = created["TrailARN"].as_str().unwrap();
        let trail = describe_trail(arn, &connection).await.unwrap();
        assert_eq!((&trail.name, &trail.bucket, &trail.prefix[..]), (&bucket, &bucket, "p"));
        assert!(!trail.is_organization);
        let error = describe_trail(&format!("{arn}-absent"), &connection).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::ContainerMissing, "{error}");
    }
}
