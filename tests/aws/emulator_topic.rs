//! Notifications of a running aggregator, as a subscriber gets them: SNS in front of a queue, and a topic that is out of order
//! for a while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use orgtrail_cli::generate::{Plan, generate};
use orgtrail_cloud::admin::Admin;
use orgtrail_event::key::{ObjectKey, classify};
use orgtrail_tests::emulator::{Account, Emulator, REGION, bucket_name};
use orgtrail_tests::fault_proxy::{FaultProxy, Mode};
use orgtrail_tests::site::{ORGANIZATION, Site};
use serde_json::{Value, json};

use crate::emulator_seams::{receive, sqs};
use crate::{keys, new_bucket_in, start_aggregator, store};

const PATIENCE: Duration = Duration::from_secs(60);

/// A topic with a queue that is subscribed to it: the topic's ARN and the queue's URL.
fn topic_with_queue(emulator: &Emulator, account: &Account) -> (String, String) {
    let name = bucket_name();
    let topic = emulator.aws(account, &["sns", "create-topic", "--name", &name]).unwrap();
    let topic = topic["TopicArn"].as_str().unwrap().to_owned();
    let queue = sqs(emulator, account, &["create-queue", "--queue-name", &name]);
    let queue_arn = topic.replace(":sns:", ":sqs:");
    let subscribe = ["sns", "subscribe", "--topic-arn", &topic, "--protocol", "sqs", "--notification-endpoint"];
    emulator.aws(account, &[&subscribe[..], &[&queue_arn]].concat()).unwrap();
    (topic, queue["QueueUrl"].as_str().unwrap().to_owned())
}

/// How often each key was announced, after a look at every message.
fn announced(emulator: &Emulator, account: &Account, queue: &str, topic: &str, bucket: &str) -> BTreeMap<String, u32> {
    let mut announced = BTreeMap::new();
    // The aggregator has ended, so what it published is there.
    let pages = std::iter::from_fn(|| Some(receive(emulator, account, queue)).filter(|page| !page.is_empty()));
    for body in pages.flatten() {
        let wrapper: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&wrapper["Type"], &wrapper["TopicArn"]), (&json!("Notification"), &json!(topic)), "{body}");
        let text = wrapper["Message"].as_str().unwrap();
        let message: Value = serde_json::from_str(text).unwrap();
        let keys: Vec<String> = serde_json::from_value(message["s3ObjectKey"].clone()).unwrap();
        // CloudTrail's message, to the letter: two members, in this order, and no blanks.
        assert_eq!(text, format!(r#"{{"s3Bucket":"{bucket}","s3ObjectKey":{}}}"#, json!(keys)));
        keys.into_iter().for_each(|key| *announced.entry(key).or_default() += 1);
    }
    announced
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_and_digest_in_the_bucket_is_announced_once_and_an_outage_of_the_topic_delays_no_file() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let proxy = FaultProxy::start(emulator.address()).await.unwrap();
    let account = emulator.account();
    let connection = emulator.connection(&account);
    let bucket = new_bucket_in(&connection).await;
    let key = Admin::open(&connection).await.create_rsa_key(true).await;
    let (topic, queue) = topic_with_queue(emulator, &account);
    let plan = Plan { accounts: 2, hours: 3, corrupt_share: 0.0, ..Plan::default() }.with_records(600);
    let mut site = Site::new();
    let manifest = generate(&plan, &site.sources(), &mut |_| ()).unwrap();
    site.trail = format!(
        "organization_id = \"{ORGANIZATION}\"\nevent_selectors = \"all\"\nlocation = \"s3://{bucket}/audit\"\n\
         region = \"{REGION}\"\nendpoint_url = \"{}\"\nsigning_key_id = \"{key}\"\nsns_topic = \"{topic}\"\n",
        proxy.url()
    );
    site.aggregator_more = "[digests]\non_stop = true\n".to_owned();
    site.configure(&manifest.sources).unwrap();

    // SNS answers nothing useful; files are delivered and health says what waits.
    proxy.fail(" sns", Mode::SlowDown, u32::MAX);
    let mut aggregator = start_aggregator(emulator, &account, &site);
    let mut agent = site.agent_once().unwrap();
    assert_eq!(agent.wait().unwrap().code(), Some(0), "{}", agent.output());
    let trail = store(&bucket, "", &connection).await;
    assert!(!keys(&*trail).await.is_empty(), "files wait for no topic");
    let began = Instant::now();
    let told = || {
        let degraded = site.aggregator_status().map(|status| status.health.degraded).unwrap_or_default();
        degraded.into_iter().find(|part| part.part == "trail org-trail notifications")
    };
    while told().is_none() {
        assert!(began.elapsed() < PATIENCE, "health doesn't say so: {}", aggregator.output());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let why = told().unwrap().reason;
    assert!(why.contains(&topic) && why.contains("503"), "{why}");
    proxy.heal();
    aggregator.wait_for("recovered").unwrap();
    assert!(aggregator.stop().unwrap().success(), "{}", aggregator.output());

    let there = keys(&*trail).await;
    let digests = there.iter().filter(|key| {
        let key = key.strip_prefix("audit/").unwrap();
        matches!(classify(key), ObjectKey::Digest(_) | ObjectKey::BackfillDigest(_))
    });
    let digests = digests.count();
    assert!(digests > 0 && there.len() > digests, "{there:#?}");
    let announced = announced(emulator, &account, &queue, &topic, &bucket);
    let expected: BTreeMap<_, _> = there.into_iter().map(|key| (key, 1)).collect();
    assert_eq!(announced, expected);
}
