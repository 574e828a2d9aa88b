//! Messages that are put aside: in the quarantine, with their reason, so that none loops and none is lost without a word.
//!
//! Owns what an entry about a message says. Blocks on the disk: call it off the async threads.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use orgtrail_cloud::queue::Message;
use orgtrail_service::clock::Clock;
use orgtrail_service::health::Health;
use orgtrail_service::quarantine::{Entry, Id, Quarantine};

/// What could not be read.
pub(super) const UNREADABLE: &str = "unreadable_message";
/// What is about no source's objects.
pub(super) const FOREIGN: &str = "foreign_message";
/// Most bytes of a message's text that an entry keeps.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Buckets that are remembered as told of. Above that, every message about another one is told of.
const BUCKETS_MAX: usize = 10_000;

/// Puts messages of one queue aside; clones share what was told.
#[derive(Debug, Clone)]
pub(crate) struct Parking {
    quarantine: Arc<Quarantine>,
    clock: Arc<dyn Clock>,
    health: Health,
    told: Arc<Mutex<HashSet<String>>>,
}

impl Parking {
    pub(crate) fn new(quarantine: Arc<Quarantine>, clock: Arc<dyn Clock>, health: Health) -> Self {
        Self { quarantine, clock, health, told: Arc::default() }
    }

    /// Puts a message aside, durably, with its text. False where the quarantine refuses: the message must not be deleted.
    pub(super) fn message(&self, queue: &str, message: &Message, reason: &'static str, why: &str) -> bool {
        let subject = format!("message {} of {queue}", message.id);
        let id = Id::of(&[b"message", queue.as_bytes(), message.id.as_bytes()]);
        let body = &message.body[..message.body.floor_char_boundary(BODY_BYTES_MAX)];
        let sent = message.sent.map_or_else(String::new, |sent| sent.to_string());
        let entry = Entry::new(id, reason, subject, why, self.clock.now())
            .with_field("queue", queue)
            .with_field("message", message.id.clone())
            .with_field("sent", sent)
            .with_field("bytes", message.body.len().to_string())
            .with_payload(body.as_bytes().to_vec());
        tracing::warn!(queue, message.id = message.id, reason, why, "message put aside");
        self.put(entry)
    }

    /// Tells once of something that messages are about and no source holds. False where the quarantine refuses.
    pub(super) fn foreign(&self, queue: &str, what: &str, bucket: Option<&str>) -> bool {
        let name = bucket.map_or_else(|| what.to_owned(), |bucket| format!("bucket {bucket}"));
        if self.told().contains(&name) {
            return true;
        }
        let detail = match bucket {
            Some(_) => "no source holds it: add a source, or take it out of what is sent to the queue",
            None => "no notification of an object: take it out of what is sent to the queue",
        };
        let id = Id::of(&[b"foreign", queue.as_bytes(), name.as_bytes()]);
        tracing::warn!(queue, what = name, "messages about what no source holds are deleted; this is said once");
        let entry = Entry::new(id, FOREIGN, format!("{name}, told of by {queue}"), detail, self.clock.now());
        let put = self.put(entry.with_field("queue", queue));
        let mut told = self.told();
        if put && told.len() < BUCKETS_MAX {
            told.insert(name);
        }
        put
    }

    fn told(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, entry: Entry) -> bool {
        match self.quarantine.put(entry) {
            Ok(_) => true,
            Err(error) => {
                self.health.set_degraded("quarantine", error.to_string());
                false
            }
        }
    }
}
