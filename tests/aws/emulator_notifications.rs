//! Queues that tell of new objects, with the real processes: the ways in which AWS tells of them, on an emulator, while
//! the listings are hours apart.

use std::path::Path;
use std::time::{Duration, Instant};

use orgtrail_cli::generate::{Plan, generate};
use orgtrail_cloud::object_store::PutOptions;
use orgtrail_cloud::{ObjectStore, Queue, open_queue};
use orgtrail_event::key::{ObjectKey, classify};
use orgtrail_tests::emulator::{Account, Emulator, bucket_name};
use orgtrail_tests::process::Process;
use orgtrail_tests::site::{Site, files};
use serde_json::json;
use std::sync::Arc;

use crate::{Admin, store};

/// How a bucket's new objects are told of.
#[derive(Clone, Copy, Debug)]
enum Way {
    S3,
    S3ThroughSns,
    EventBridge,
}

const WAYS: [Way; 3] = [Way::S3, Way::S3ThroughSns, Way::EventBridge];

/// An account with a queue.
struct Aws {
    emulator: &'static Emulator,
    account: Account,
    queue_url: String,
    queue_arn: String,
}

impl Aws {
    async fn new(emulator: &'static Emulator) -> Self {
        let account = emulator.account();
        let name = bucket_name();
        let queue_url = Admin::open(&emulator.connection(&account)).await.create_queue(&name).await;
        let queue_arn = format!("arn:aws:sqs:us-east-1:{}:{name}", account.id);
        Self { emulator, account, queue_url, queue_arn }
    }

    fn cli(&self, arguments: &[&str]) -> serde_json::Value {
        self.emulator.aws(&self.account, arguments).unwrap()
    }

    fn notify(&self, bucket: &str, configuration: &serde_json::Value) {
        let put =
            ["s3api", "put-bucket-notification-configuration", "--bucket", bucket, "--notification-configuration"];
        self.cli(&[&put[..], &[&configuration.to_string()]].concat());
    }

    /// Has the queue told of everything new in a bucket.
    fn tell(&self, bucket: &str, way: Way) {
        let events = ["s3:ObjectCreated:*"];
        match way {
            Way::S3 => {
                self.notify(bucket, &json!({"QueueConfigurations": [{"QueueArn": self.queue_arn, "Events": events}]}));
            }
            Way::S3ThroughSns => {
                let created = self.cli(&["sns", "create-topic", "--name", bucket]);
                let topic = created["TopicArn"].as_str().unwrap();
                let subscribe = ["sns", "subscribe", "--topic-arn", topic, "--protocol", "sqs"];
                self.cli(&[&subscribe[..], &["--notification-endpoint", &self.queue_arn]].concat());
                self.notify(bucket, &json!({"TopicConfigurations": [{"TopicArn": topic, "Events": events}]}));
            }
            Way::EventBridge => {
                self.notify(bucket, &json!({"EventBridgeConfiguration": {}}));
                let pattern = json!({"source": ["aws.s3"], "detail-type": ["Object Created"],
                    "detail": {"bucket": {"name": [bucket]}}});
                self.cli(&["events", "put-rule", "--name", bucket, "--event-pattern", &pattern.to_string()]);
                let target = format!("Id=1,Arn={}", self.queue_arn);
                self.cli(&["events", "put-targets", "--rule", bucket, "--targets", &target]);
            }
        }
    }
}

/// A generated bucket in the emulator.
struct Bucket {
    name: String,
    folder: std::path::PathBuf,
    /// Keys that hold records, below the source's prefix.
    keys: Vec<String>,
    prefix: String,
    store: Arc<dyn ObjectStore>,
}

impl Bucket {
    async fn put(&self, key: &str) {
        let bytes = std::fs::read(self.folder.join(key)).unwrap();
        self.store.put(key, bytes.into(), &PutOptions::default()).await.unwrap();
    }
}

fn start(aws: &Aws, site: &Site, program: &str, config: &str) -> Process {
    let env = aws.emulator.child_env(&aws.account).into_iter().map(|(name, value)| (name.to_owned(), value));
    let config = site.root().join(config).display().to_string();
    Process::start(program, &["--config", &config], &env.collect::<Vec<_>>(), site.root()).unwrap()
}

fn configure(site: &mut Site, aws: &Aws, buckets: &[Bucket]) {
    let mut sources = String::new();
    for Bucket { name, prefix, .. } in buckets {
        let slash = if prefix.is_empty() { "" } else { "/" };
        sources.push_str(&format!(
            "[[sources]]\nlocation = \"s3://{name}{slash}{prefix}\"\nregion = \"us-east-1\"\nendpoint_url = \"{}\"\n\
             [sources.notifications]\nqueue = \"{}\"\nregion = \"us-east-1\"\n",
            aws.emulator.url(),
            aws.queue_url
        ));
    }
    site.agent_more =
        "[discover]\npoll_interval_min = \"2h\"\npoll_interval_max = \"2h\"\nrefresh_interval = \"2h\"\n".into();
    site.write_agent("agent.toml", "acme", &sources).unwrap();
    site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
}

/// Waits until the agent says that so many objects are delivered, or in quarantine: some were made damaged.
async fn settled(site: &Site, agent: &Process, count: u64) {
    let began = Instant::now();
    loop {
        let sum =
            |objects: orgtrail_agent::status::Objects| objects.delivered + objects.quarantined.values().sum::<u64>();
        let now = site.agent_status().map_or(0, |status| sum(status.objects));
        if now >= count {
            assert_eq!(now, count);
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(90), "{now} of {count} settled:\n{}", agent.output());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn emptied(queue: &dyn Queue) {
    let began = Instant::now();
    loop {
        let depth = queue.depth().await.unwrap();
        if depth.waiting + depth.in_work == 0 {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{depth:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn buckets(aws: &Aws, site: &Site, sources: &[orgtrail_cli::generate::Source]) -> Vec<Bucket> {
    let connection = aws.emulator.connection(&aws.account);
    let mut buckets = Vec::new();
    for source in sources {
        let (name, folder) = (bucket_name(), source.folder(&site.sources()));
        Admin::open(&connection).await.create_bucket(&name).await;
        let holds_records = |key: &String| matches!(classify(key), ObjectKey::Log(_) | ObjectKey::Insight(_));
        let keys = files(Path::new(&folder)).into_iter().filter(holds_records).collect();
        let store = store(&name, &source.prefix, &connection).await;
        buckets.push(Bucket { name, folder, keys, prefix: source.prefix.clone(), store });
    }
    buckets
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_come_by_messages_in_every_dialect_and_a_lost_message_is_made_good_by_a_listing() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let aws = Aws::new(emulator).await;
    let mut site = Site::new();
    let plan = Plan { hours: 2, ..Plan::default() }.with_records(600);
    let manifest = generate(&plan, &site.sources(), &mut |_| ()).unwrap();
    let buckets = buckets(&aws, &site, &manifest.sources).await;
    for (bucket, way) in buckets.iter().zip(WAYS.iter().cycle()) {
        aws.tell(&bucket.name, *way);
    }
    assert!(buckets.len() >= WAYS.len(), "every way has a bucket");
    configure(&mut site, &aws, &buckets);
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = start(&aws, &site, "orgtrail-agent", "agent.toml");
    agent.wait_for("agent is up").unwrap();
    // The first listings see empty buckets.
    tokio::time::sleep(Duration::from_secs(1)).await;

    // Of the first bucket two are held back.
    let (missed, held) = (buckets[0].keys.last().unwrap(), &buckets[0].keys[0]);
    let mut count = 0;
    for bucket in &buckets {
        for key in bucket.keys.iter().filter(|key| ![missed, held].contains(key)) {
            bucket.put(key).await;
            count += 1;
        }
    }
    settled(&site, &agent, count).await;
    // In a folder that was listed, for hours.
    buckets[0].put(held).await;
    settled(&site, &agent, count + 1).await;
    let connection = emulator.connection(&aws.account);
    let queue = open_queue(&aws.queue_url, &connection).await.unwrap();
    emptied(&*queue).await;
    let (code, text, _) = site.verb(&["status"]).unwrap();
    assert!(code != 1 && text.contains(&aws.queue_url), "{text}");

    // A message that never comes.
    aws.notify(&buckets[0].name, &json!({}));
    buckets[0].put(missed).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(agent.stop().unwrap().success(), "{}", agent.output());
    let status = site.agent_status().unwrap();
    assert_eq!((status.objects.listed, status.objects.changed), (count + 1, 0));
    assert!(status.objects.is_conserved());
    let messages = &status.notifications[0].messages;
    assert_eq!(messages.get("taken"), Some(&(count + 1)), "{messages:?}");
    assert!(messages.get("control").is_some_and(|tests| *tests >= 1), "s3:TestEvent: {messages:?}");
    assert_eq!(messages.get("parked"), None, "{messages:?}");

    let mut agent = start(&aws, &site, "orgtrail-agent", "agent.toml");
    settled(&site, &agent, count + 2).await;
    assert!(agent.stop().unwrap().success(), "{}", agent.output());
    let quarantined = site.agent_status().unwrap().objects.quarantined;
    assert_eq!(quarantined.values().sum::<u64>(), manifest.corrupt.len() as u64, "only what was made damaged");
    assert!(aggregator.stop().unwrap().success(), "{}", aggregator.output());
    emptied(&*queue).await;
    site.assert_delivered_exactly(&manifest).unwrap();
}
