//! The queue that tells the agent of new objects: what is sent to it, how it fails, and what may never happen to a message.
//!
//! The rule is judged at each deletion, from outside: a message may go once its objects are in quarantine, or *can* have been
//! acknowledged, as their bytes went over the link since they were put and something came back. Where messages are kept until
//! their objects are delivered, the trails must hold the records by then.

mod operation;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use orgtrail_cloud::queue::{Depth, Failure, FakeQueue, Message, Queue, Receive};
use orgtrail_cloud::{Error, ErrorKind, Location};
use orgtrail_service::clock;
use orgtrail_service::quarantine::{Filter, Folder};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::Instant;

pub(crate) use self::operation::{PostOperation, STRANGER_SUBJECT};
use crate::disk::Life;
use crate::link::{Network, Way};
use crate::world::Bucket;

/// Who writes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    S3,
    S3InSns,
    EventBridge,
    EventBridgeInSns,
    CloudTrail,
    CloudTrailInSns,
}

impl Dialect {
    pub(crate) const ALL: [Self; 6] =
        [Self::S3, Self::S3InSns, Self::EventBridge, Self::EventBridgeInSns, Self::CloudTrail, Self::CloudTrailInSns];
}

/// What happened to a bucket, as far as a message tells it.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) source: usize,
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) etag: String,
}

/// One version of an object, as it was when it was put.
#[derive(Debug, Default)]
pub(crate) struct Put {
    /// Bytes that had gone over the link by then, each way.
    pub(crate) carried: [u64; 2],
    pub(crate) size: u64,
    /// What each trail takes of it.
    pub(crate) records: [Vec<String>; 2],
    /// It can't be taken, and is put aside.
    pub(crate) is_spoilt: bool,
}

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum About {
    /// Objects by source and key.
    Objects(Vec<(usize, String)>),
    /// It can't be read.
    Poison,
    /// A bucket that no source holds.
    Stranger,
    /// Something is set up.
    Control,
}

/// For a while, calls to the queue fail.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    /// `receive`, `extend`, `delete` or `depth`.
    pub(crate) verb: &'static str,
    pub(crate) kind: ErrorKind,
    /// Of so many calls, or messages of a call, about one fails.
    pub(crate) one_in: u32,
    /// The call is carried out all the same.
    pub(crate) answer_lost: bool,
    pub(crate) until: Instant,
}

/// The queue and everything that was ever sent to it; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    queue: FakeQueue,
    network: Network,
    sources: Vec<Location>,
    trails: Vec<Bucket>,
    /// Messages stay until their objects are delivered.
    until_delivered: bool,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    sent: Vec<About>,
    puts: BTreeMap<(usize, String), Vec<Put>>,
    held: Vec<Event>,
    /// Objects whose message came before them: they were missing then, which is an end too.
    early: BTreeSet<(usize, String)>,
    troubles: Vec<Trouble>,
    random: StdRng,
    violations: Vec<String>,
    /// An operator has emptied the quarantine once.
    retried: bool,
}

impl Post {
    pub(crate) fn new(
        network: &Network,
        sources: &[Bucket],
        trails: &[Bucket],
        until_delivered: bool,
        seed: u64,
    ) -> Self {
        let shared = Shared {
            sent: Vec::new(),
            puts: BTreeMap::new(),
            held: Vec::new(),
            early: BTreeSet::new(),
            troubles: Vec::new(),
            random: StdRng::seed_from_u64(seed),
            violations: Vec::new(),
            retried: false,
        };
        Self {
            queue: FakeQueue::default(),
            network: network.clone(),
            sources: sources.iter().map(|source| source.location().clone()).collect(),
            trails: trails.to_vec(),
            until_delivered,
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue as one run of the agent reaches it.
    pub(crate) fn reached_by(&self, life: &Arc<Life>) -> Arc<dyn Queue> {
        Arc::new(Reached { post: self.clone(), life: Arc::clone(life) })
    }

    pub(crate) fn cast(&self, trouble: Trouble) {
        self.lock().troubles.push(trouble);
    }

    /// This object's message comes before it.
    pub(crate) fn set_early(&self, source: usize, key: &str) {
        self.lock().early.insert((source, key.to_owned()));
    }

    pub(crate) fn set_retried(&self) {
        self.lock().retried = true;
    }

    /// What is about to be put at a source.
    pub(crate) fn expect(&self, source: usize, key: &str, size: u64, records: [Vec<String>; 2], is_spoilt: bool) {
        let carried = [Way::Up, Way::Down].map(|way| self.network.carried(way));
        let put = Put { carried, size, records, is_spoilt };
        self.lock().puts.entry((source, key.to_owned())).or_default().push(put);
    }

    /// An object was put: its message comes at once, twice, later, or never.
    pub(crate) fn happened(&self, event: Event, now: Timestamp) {
        let fate = self.lock().random.random_range(0..10);
        match fate {
            0 => {}
            1 | 2 => self.lock().held.push(event),
            3 => (0..2).for_each(|_| self.tell(std::slice::from_ref(&event), now)),
            _ => self.tell(&[event], now),
        }
    }

    /// Messages that were held back come now, in any order, several objects in one.
    pub(crate) fn release(&self, count: usize, now: Timestamp) {
        loop {
            let events: Vec<Event> = {
                let Shared { held, random, .. } = &mut *self.lock();
                held.shuffle(random);
                let most = random.random_range(1..=4).min(held.len());
                held.drain(..most).collect()
            };
            if events.is_empty() {
                return;
            }
            self.tell(&events, now);
            if count <= events.len() {
                return;
            }
        }
    }

    /// Sends what tells of these objects, in a dialect drawn by chance.
    pub(crate) fn tell(&self, events: &[Event], now: Timestamp) {
        let dialect = {
            let random = &mut self.lock().random;
            Dialect::ALL[random.random_range(0..Dialect::ALL.len())]
        };
        for (about, body) in self.bodies(dialect, events) {
            self.send(About::Objects(about), &body, now);
        }
    }

    /// Sends any message.
    pub(crate) fn send(&self, about: About, body: &str, now: Timestamp) {
        let mut shared = self.lock();
        shared.sent.push(about);
        // Under the lock, so that the queue numbers messages as they are numbered here.
        self.queue.set_now(now);
        self.queue.send(body);
    }

    /// Nothing fails any more, and everything that was held back is sent.
    pub(crate) fn heal(&self, now: Timestamp) {
        self.lock().troubles.clear();
        self.release(usize::MAX, now);
    }

    /// Messages that nobody has deleted.
    pub(crate) fn left(&self) -> Vec<String> {
        self.queue.bodies()
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// Subjects, in the quarantine, of messages like these.
    pub(crate) fn subjects(&self, about: &About) -> BTreeSet<String> {
        let shared = self.lock();
        let sent = shared.sent.iter().enumerate().filter(|(_, sent)| *sent == about);
        sent.map(|(number, _)| format!("message message-{number} of {}", self.queue.id())).collect()
    }

    fn bodies(&self, dialect: Dialect, events: &[Event]) -> Vec<(Vec<(usize, String)>, String)> {
        let about = |events: &[&Event]| events.iter().map(|event| (event.source, event.key.clone())).collect();
        let text = |value: &Value| match dialect {
            Dialect::S3InSns | Dialect::EventBridgeInSns | Dialect::CloudTrailInSns => in_sns(value),
            _ => value.to_string(),
        };
        match dialect {
            Dialect::S3 | Dialect::S3InSns => {
                let all: Vec<_> = events.iter().collect();
                let records: Vec<_> = events.iter().map(|event| self.s3(event)).collect();
                vec![(about(&all), text(&json!({ "Records": records })))]
            }
            Dialect::EventBridge | Dialect::EventBridgeInSns => {
                events.iter().map(|event| (about(&[event]), text(&self.eventbridge(event)))).collect()
            }
            Dialect::CloudTrail | Dialect::CloudTrailInSns => {
                let of = |source| events.iter().filter(move |event| event.source == source).collect::<Vec<_>>();
                let some = (0..self.sources.len()).map(of).filter(|events| !events.is_empty());
                some.map(|events| (about(&events), text(&self.cloudtrail(&events)))).collect()
            }
        }
    }

    /// Bucket and key as AWS names them.
    fn place(&self, event: &Event) -> (String, String) {
        match &self.sources[event.source] {
            Location::S3 { bucket, prefix } if prefix.is_empty() => (bucket.clone(), event.key.clone()),
            Location::S3 { bucket, prefix } => (bucket.clone(), format!("{prefix}/{}", event.key)),
            other => unreachable!("{other} is no bucket"),
        }
    }

    fn s3(&self, event: &Event) -> Value {
        let (bucket, key) = self.place(event);
        // As S3 does with what is not plain in a form; more than it does is allowed.
        let key = key.replace('_', "%5F");
        json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventName": "ObjectCreated:Put",
            "s3": { "bucket": { "name": bucket }, "object": { "key": key, "size": event.size, "eTag": event.etag } },
        })
    }

    fn eventbridge(&self, event: &Event) -> Value {
        let (bucket, key) = self.place(event);
        json!({
            "version": "0", "detail-type": "Object Created", "source": "aws.s3", "region": "us-east-1",
            "detail": { "bucket": { "name": bucket }, "object": { "key": key, "size": event.size, "etag": event.etag } },
        })
    }

    fn cloudtrail(&self, events: &[&Event]) -> Value {
        let keys: Vec<_> = events.iter().map(|event| self.place(event).1).collect();
        json!({ "s3Bucket": self.place(events[0]).0, "s3ObjectKey": keys })
    }

    /// Why a message must not be deleted now.
    fn too_early(&self, receipt: &str, aside: &BTreeSet<String>) -> Option<String> {
        let shared = self.lock();
        let number: usize = receipt.split('/').next()?.parse().ok()?;
        let about = shared.sent.get(number)?;
        match about {
            About::Control | About::Stranger => None,
            About::Poison => {
                let subject = format!("message message-{number} of {}", self.queue.id());
                let is_kept = shared.retried || aside.contains(&subject);
                (!is_kept).then(|| format!("{subject} was deleted and is not in the quarantine"))
            }
            About::Objects(objects) => objects.iter().find_map(|(source, key)| {
                let puts = shared.puts.get(&(*source, key.clone()));
                // What was put aside once is so no more when a better version comes, and its message may be about to go.
                let was_aside = |puts: &[Put]| puts.len() > 1 && puts.iter().any(|put| put.is_spoilt);
                let settled = |puts: &Vec<Put>| puts.iter().any(|put| self.is_settled(put)) || was_aside(puts);
                let is_settled = puts.is_some_and(settled) || shared.early.contains(&(*source, key.clone()));
                if is_settled || shared.retried || aside.contains(&self.sources[*source].object(key)) {
                    return None;
                }
                Some(format!("message-{number} was deleted, and {key} cannot have been taken by then"))
            }),
        }
    }

    fn is_settled(&self, put: &Put) -> bool {
        if put.is_spoilt {
            return false;
        }
        if self.until_delivered {
            let mut trails = self.trails.iter().zip(&put.records);
            return trails.all(|(trail, records)| records.iter().all(|record| trail.holds(record)));
        }
        let [up, down] = [Way::Up, Way::Down].map(|way| self.network.carried(way));
        up >= put.carried[0] + put.size && down > put.carried[1]
    }
}

fn in_sns(message: &Value) -> String {
    json!({
        "Type": "Notification", "MessageId": "5c6d", "TopicArn": "arn:aws:sns:us-east-1:111111111111:trail",
        "Message": message.to_string(),
    })
    .to_string()
}

/// The subjects in the quarantine of an agent in `dir`.
fn aside(dir: &Path) -> BTreeSet<String> {
    let folder = Folder::open(&dir.join("quarantine"), clock::system());
    let entries = folder.list(&Filter::default()).into_iter().flatten().flatten();
    entries.map(|entry| entry.subject).collect()
}

#[derive(Debug)]
struct Reached {
    post: Post,
    life: Arc<Life>,
}

impl Reached {
    /// The call's way there. With a value, the call is carried out and its answer is lost.
    async fn enter(&self, verb: &'static str) -> Result<Option<Error>, Error> {
        let latency = Duration::from_millis(self.post.lock().random.random_range(1..40));
        tokio::time::sleep(latency).await;
        self.step("before a call to the queue").await;
        let mut shared = self.post.lock();
        let now = Instant::now();
        shared.troubles.retain(|trouble| trouble.until > now);
        let Shared { troubles, random, .. } = &mut *shared;
        let whole = |trouble: &&Trouble| trouble.one_in == 1 || !matches!(verb, "extend" | "delete");
        let mut due = troubles.iter().filter(|trouble| trouble.verb == verb).filter(whole);
        match due.find(|trouble| random.random_ratio(1, trouble.one_in)) {
            Some(trouble) if trouble.answer_lost => Ok(Some(error(verb, &trouble.kind))),
            Some(trouble) => Err(error(verb, &trouble.kind)),
            None => Ok(None),
        }
    }

    async fn step(&self, step: &'static str) {
        if self.life.is_dead() || !self.life.step(step) {
            std::future::pending::<()>().await;
        }
    }

    /// Of the messages of a call, those for which it fails.
    fn unlucky(&self, verb: &'static str, receipts: &[String]) -> (Vec<String>, Vec<Failure>) {
        let mut shared = self.post.lock();
        let Shared { troubles, random, .. } = &mut *shared;
        let trouble = troubles.iter().find(|trouble| trouble.verb == verb && trouble.one_in > 1);
        let Some(trouble) = trouble else { return (receipts.to_vec(), Vec::new()) };
        let (unlucky, lucky): (Vec<_>, Vec<_>) =
            receipts.iter().cloned().partition(|_| random.random_ratio(1, trouble.one_in));
        let failure = |receipt| Failure { receipt, error: error(verb, &trouble.kind) };
        (lucky, unlucky.into_iter().map(failure).collect())
    }
}

fn error(verb: &'static str, kind: &ErrorKind) -> Error {
    Error::new(kind.clone(), verb, "the simulated queue").detail("a spell")
}

#[async_trait]
impl Queue for Reached {
    fn id(&self) -> &str {
        self.post.queue.id()
    }

    async fn receive(&self, request: &Receive) -> Result<Vec<Message>, Error> {
        let lost = self.enter("receive").await?;
        let mut messages = self.post.queue.receive(request).await?;
        messages.shuffle(&mut self.post.lock().random);
        lost.map_or(Ok(messages), Err)
    }

    async fn extend(&self, receipts: &[String], visibility: Duration) -> Result<Vec<Failure>, Error> {
        let lost = self.enter("extend").await?;
        let (lucky, mut failures) = self.unlucky("extend", receipts);
        if !lucky.is_empty() {
            failures.extend(self.post.queue.extend(&lucky, visibility).await?);
        }
        lost.map_or(Ok(failures), Err)
    }

    async fn delete(&self, receipts: &[String]) -> Result<Vec<Failure>, Error> {
        let lost = self.enter("delete").await?;
        let (lucky, mut failures) = self.unlucky("delete", receipts);
        let aside = aside(self.life.dir());
        let early: Vec<_> = lucky.iter().filter_map(|receipt| self.post.too_early(receipt, &aside)).collect();
        self.post.lock().violations.extend(early);
        if !lucky.is_empty() {
            failures.extend(self.post.queue.delete(&lucky).await?);
        }
        self.step("after deleting messages").await;
        lost.map_or(Ok(failures), Err)
    }

    async fn depth(&self) -> Result<Depth, Error> {
        self.enter("depth").await?;
        self.post.queue.depth().await
    }
}
