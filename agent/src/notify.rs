//! Queues that tell of new objects, beside the listings: one consumer for each queue.
//!
//! Owns what a message means (`envelope`), which source holds what it names (`route`), which messages are in work and until
//! when they are hidden (`work`), and when each is deleted (`consume`). Does not own whether an object was taken before: that
//! is the checkpoint's, and listings and messages claim there, so an object that both name is taken once.
//!
//! Nothing here survives a crash or has to: a message that was not deleted comes again when its time is over, its objects
//! are known by then, and it is deleted. What no message told of, the listings find.

mod consume;
mod envelope;
mod metrics;
mod park;
mod route;
mod work;

use std::sync::Arc;
use std::time::Duration;

use orgtrail_cloud::Connection;
use orgtrail_cloud::queue::{self, Queue};
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::shape::duration;
use serde::Deserialize;

pub(crate) use self::consume::{Consumer, Face};
pub(crate) use self::metrics::Metrics;
pub(crate) use self::park::Parking;
use crate::config::{count_within, within};
use crate::discover::Context;
use crate::organizations::template::Template;
use crate::outside::Outside;

/// The `[sources.notifications]` table: the queue that is told of the source's objects. Sources may share a queue; they then
/// say the same about it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// An SQS queue's URL, `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`, or ARN; or `file:///folder`, a message a file.
    /// Required.
    pub queue: String,
    /// When a message is deleted. Default: `"acknowledged"`.
    pub delete_when: DeleteWhen,
    /// How long a message that is in work is hidden from other readers. Extended while work goes on; so long a message is
    /// away after a crash. From 10 s to 1 h. Default: 5 min.
    #[serde(with = "duration")]
    pub visibility_timeout: Duration,
    /// What becomes of messages that are about no source's objects. Default: `"delete"`.
    pub foreign: Foreign,
    /// Messages in work at once, from 1 to 100,000. SQS lends at most 120,000 of a queue at a time. Default: 1000.
    pub messages_max: usize,
    /// How to reach the queue: `role_arn`, `region` and the rest of a connection. The source's own is not used.
    #[serde(flatten)]
    pub connection: Connection,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue: String::new(),
            delete_when: DeleteWhen::default(),
            visibility_timeout: Duration::from_secs(5 * 60),
            foreign: Foreign::default(),
            messages_max: 1000,
            connection: Connection::default(),
        }
    }
}

/// When a message has done its duty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeleteWhen {
    /// All its objects are in the aggregator's journal, on disk, or in quarantine.
    #[default]
    Acknowledged,
    /// All its objects are at every destination, or in quarantine.
    Delivered,
}

/// What becomes of a message that is about no source's objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Foreign {
    /// It is counted and deleted. The first about a bucket leaves an entry in the quarantine.
    #[default]
    Delete,
    /// It goes into the quarantine whole, and is deleted.
    Park,
}

impl Config {
    /// The names of the keys, for suggestions.
    pub(crate) const KEYS: &'static [&'static str] =
        &["notifications", "queue", "delete_when", "visibility_timeout", "foreign", "messages_max"];
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        if self.queue.is_empty() {
            problems.push("queue", "missing; write the queue's URL or ARN, or file:///folder");
        } else if let Some(why) = queue::id_problem(&self.queue) {
            problems.push("queue", why);
        }
        within("visibility_timeout", self.visibility_timeout, MINUTE / 6..=60 * MINUTE, problems);
        count_within("messages_max", self.messages_max, 1..=100_000, problems);
        if self.queue.starts_with("file://") && self.connection != Connection::default() {
            problems.push("queue", "a folder needs no role, region or endpoint: remove them");
        }
        for (field, message) in self.connection.problems() {
            problems.push(field, message);
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// A table of the configuration that names a queue.
struct Named {
    /// Where it stands, for messages about it.
    place: String,
    /// What the source, or the organization whose sources it tells of, is called.
    name: String,
    config: Config,
}

/// All of them. A template that is faulty names none here: its own check says why.
fn named(config: &crate::config::Config) -> Vec<Named> {
    let of_source = |(index, source): (usize, &crate::config::Source)| {
        let (place, config) = (format!("sources[{index}]"), source.notifications.clone()?);
        Some(Named { place, name: source.name(), config })
    };
    let of_organization = |(index, organization): (usize, &crate::config::Organization)| {
        let config = Template::new(organization).ok()?.notifications().ok()??;
        Some(Named { place: format!("organizations[{index}].source"), name: organization.name.clone(), config })
    };
    let sources = config.sources.iter().enumerate().filter_map(of_source);
    sources.chain(config.organizations.iter().enumerate().filter_map(of_organization)).collect()
}

/// What tables that share a queue say differently about it.
pub(crate) fn check_shared(config: &crate::config::Config, problems: &mut Problems) {
    let named = named(config);
    for (index, ours) in named.iter().enumerate() {
        let first = named[..index].iter().find(|theirs| theirs.config.queue == ours.config.queue);
        if let Some(theirs) = first.filter(|theirs| theirs.config != ours.config) {
            let message = format!("{} reads the same queue in another way: write the same in both", theirs.place);
            problems.push(format!("{}.notifications", ours.place), message);
        }
    }
}

/// A queue that some sources or organizations name.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    queue: Arc<dyn Queue>,
    config: Config,
    /// Their names.
    sources: Vec<String>,
}

/// Opens every queue once, however many share it. Calls nothing yet.
pub(crate) async fn open(
    config: &crate::config::Config,
    outside: &dyn Outside,
) -> Result<Vec<Opened>, orgtrail_cloud::Error> {
    let mut opened: Vec<Opened> = Vec::new();
    for Named { name, config, .. } in named(config) {
        if let Some(known) = opened.iter_mut().find(|known| known.config.queue == config.queue) {
            known.sources.push(name);
            continue;
        }
        let queue = outside.open_queue(&config.queue, &config.connection).await?;
        opened.push(Opened { queue, config, sources: vec![name] });
    }
    Ok(opened)
}

/// A consumer for each queue, and what status asks of them.
pub(crate) fn consumers(
    opened: &[Opened],
    context: &Arc<Context>,
    parking: &Parking,
    metrics: &Metrics,
) -> (Vec<Consumer>, Vec<Face>) {
    let consumer = |opened: &Opened| {
        let context = Arc::clone(context);
        Consumer::new(opened.clone(), context, parking.clone(), metrics.clone())
    };
    opened.iter().map(consumer).unzip()
}

#[cfg(test)]
mod tests;
