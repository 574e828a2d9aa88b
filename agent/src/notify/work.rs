//! The messages that are in work: who waits for what, and what is due.
//!
//! Owns the bounds, the times of extension, and the states of a message. Calls nothing and has no clock of its own.
//!
//! A message is *begun* when it was received, *awaits* its objects once they are claimed, and is *done* when all of them are
//! accounted for, or at once where there is nothing to wait for. Done messages are deleted, and forgotten then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use orgtrail_cloud::queue::{Message, VISIBILITY_MAX};
use tokio::time::Instant;

use super::envelope::Dialect;
use crate::object::SourceFolder;

/// Objects that all messages in work may wait for, some 300 bytes each.
const OBJECTS_MAX: usize = 50_000;
/// Pause before an object that nobody works on is claimed once more; doubles up to the longest.
const AGAIN_MIN: Duration = Duration::from_secs(30);
const AGAIN_MAX: Duration = Duration::from_secs(15 * 60);

/// An object that a message waits for.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) folder: Arc<SourceFolder>,
    pub(super) day: Date,
    pub(super) key: String,
    pub(super) size: u64,
}

/// What became of a message, as metrics and status name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// All its objects are accounted for.
    Taken,
    /// It names objects of ours that are not taken, or tells of other events than creations.
    PassedOver,
    /// It said that something is set up.
    Control,
    /// It is about no source's objects.
    Foreign,
    /// It could not be read, and is in the quarantine.
    Parked,
    /// It comes again: it was in work for too long, somebody else may hold it, or the process ended.
    Returned,
}

impl Outcome {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::PassedOver => "passed_over",
            Self::Control => "control",
            Self::Foreign => "foreign",
            Self::Parked => "parked",
            Self::Returned => "returned",
        }
    }
}

#[derive(Debug)]
struct Held {
    receipt: String,
    sent: Option<Timestamp>,
    received: Instant,
    extend_at: Instant,
    dialect: Dialect,
    /// None until its objects are claimed.
    open: Option<Vec<Arc<Awaited>>>,
    done: Option<Outcome>,
    again_at: Instant,
    again_pause: Duration,
}

/// All of one queue.
#[derive(Debug)]
pub(super) struct Work {
    messages: HashMap<String, Held>,
    messages_max: usize,
    visibility: Duration,
    /// Something is waited for that was not looked at yet: it may be settled already.
    fresh: bool,
}

/// A message that is due for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) id: String,
    pub(super) receipt: String,
}

impl Work {
    pub(super) fn new(messages_max: usize, visibility: Duration) -> Self {
        Self { messages: HashMap::new(), messages_max, visibility, fresh: false }
    }

    /// How many messages may be received.
    pub(super) fn room(&self) -> usize {
        let objects: usize = self.messages.values().filter_map(|held| held.open.as_ref()).map(Vec::len).sum();
        if objects >= OBJECTS_MAX { 0 } else { self.messages_max.saturating_sub(self.messages.len()) }
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// When the oldest was sent.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.messages.values().filter_map(|held| held.sent).min()
    }

    /// Takes a message in. False where it is in work already: it came again, and its newer receipt counts from now on.
    pub(super) fn begin(&mut self, message: &Message, now: Instant) -> bool {
        let extend_at = now + self.visibility / 3;
        if let Some(held) = self.messages.get_mut(&message.id) {
            (held.receipt, held.received, held.extend_at) = (message.receipt.clone(), now, extend_at);
            return false;
        }
        let held = Held {
            receipt: message.receipt.clone(),
            sent: message.sent,
            received: now,
            extend_at,
            dialect: Dialect::Unknown,
            open: None,
            done: None,
            again_at: now + AGAIN_MIN,
            again_pause: AGAIN_MIN,
        };
        self.messages.insert(message.id.clone(), held);
        true
    }

    /// The message waits for these.
    pub(super) fn awaits(&mut self, id: &str, dialect: Dialect, objects: Vec<Arc<Awaited>>) {
        if let Some(held) = self.messages.get_mut(id) {
            (held.dialect, held.open) = (dialect, Some(objects));
            self.fresh = true;
        }
    }

    /// Nothing more is to be done for the message but to delete it.
    pub(super) fn done(&mut self, id: &str, dialect: Dialect, outcome: Outcome) {
        if let Some(held) = self.messages.get_mut(id) {
            (held.dialect, held.done) = (dialect, Some(outcome));
        }
    }

    /// Whether something is waited for since the last call.
    pub(super) fn is_fresh(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }

    /// What is waited for.
    pub(super) fn open(&self) -> Vec<(String, Arc<Awaited>)> {
        let open = self.messages.iter().filter_map(|(id, held)| Some((id, held.open.as_ref()?)));
        open.flat_map(|(id, objects)| objects.iter().map(|object| (id.clone(), Arc::clone(object)))).collect()
    }

    /// These are accounted for. A message without any other is done.
    pub(super) fn settle(&mut self, settled: &[(String, Arc<Awaited>)]) {
        for (id, object) in settled {
            let open = self.messages.get_mut(id).and_then(|held| held.open.as_mut());
            if let Some(open) = open {
                open.retain(|other| !Arc::ptr_eq(other, object));
            }
        }
        for held in self.messages.values_mut().filter(|held| held.done.is_none()) {
            if held.open.as_ref().is_some_and(Vec::is_empty) {
                held.done = Some(Outcome::Taken);
            }
        }
    }

    /// What has been waited for so long that it may be that nobody works on it. The next time is twice as far away.
    pub(super) fn again(&mut self, now: Instant) -> Vec<Arc<Awaited>> {
        let mut again = Vec::new();
        for held in self.messages.values_mut().filter(|held| held.again_at <= now) {
            again.extend(held.open.iter().flatten().cloned());
            held.again_pause = (held.again_pause * 2).min(AGAIN_MAX);
            held.again_at = now + held.again_pause;
        }
        again
    }

    /// Messages that must be hidden for longer, or they come again.
    pub(super) fn to_extend(&self, now: Instant) -> Vec<Due> {
        self.due(|held| held.extend_at <= now)
    }

    pub(super) fn extended(&mut self, id: &str, now: Instant) {
        let next = now + self.visibility / 3;
        if let Some(held) = self.messages.get_mut(id) {
            held.extend_at = next;
        }
    }

    /// Messages that can't be hidden for longer: SQS counts twelve hours from their receipt.
    pub(super) fn too_long(&self, now: Instant) -> Vec<Due> {
        let held_max = VISIBILITY_MAX.saturating_sub(self.visibility);
        self.due(|held| held.received + held_max <= now && held.done.is_none())
    }

    pub(super) fn to_delete(&self) -> Vec<Due> {
        self.due(|held| held.done.is_some())
    }

    /// Everything, in no order.
    pub(super) fn all(&self) -> Vec<Due> {
        self.due(|_| true)
    }

    /// Forgets a message. What it was, and what became of it.
    pub(super) fn forget(&mut self, id: &str) -> Option<(Dialect, Outcome)> {
        let held = self.messages.remove(id)?;
        Some((held.dialect, held.done.unwrap_or(Outcome::Returned)))
    }

    fn due(&self, is_due: impl Fn(&Held) -> bool) -> Vec<Due> {
        let due = self.messages.iter().filter(|(_, held)| is_due(held));
        due.map(|(id, held)| Due { id: id.clone(), receipt: held.receipt.clone() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VISIBILITY: Duration = Duration::from_secs(300);

    fn message(id: &str, receipt: &str) -> Message {
        let sent = Some(Timestamp::from_second(id.len() as i64).unwrap());
        Message { id: id.into(), receipt: receipt.into(), body: String::new(), receive_count: 1, sent }
    }

    fn receipts(due: &[Due]) -> Vec<&str> {
        let mut receipts: Vec<_> = due.iter().map(|due| &due.receipt[..]).collect();
        receipts.sort_unstable();
        receipts
    }

    #[test]
    fn a_message_that_comes_again_while_in_work_is_one_message_under_its_newer_receipt() {
        let (mut work, now) = (Work::new(10, VISIBILITY), Instant::now());
        assert!(work.begin(&message("a", "1"), now));
        assert!(!work.begin(&message("a", "2"), now));
        assert_eq!((work.len(), work.room(), receipts(&work.all())), (1, 9, vec!["2"]));
    }

    #[test]
    fn a_message_is_extended_at_each_third_of_its_time_and_never_past_twelve_hours() {
        let (mut work, began) = (Work::new(10, VISIBILITY), Instant::now());
        work.begin(&message("a", "1"), began);
        let (mut now, mut extended) = (began, 0_u64);
        while work.too_long(now).is_empty() {
            for due in work.to_extend(now) {
                assert!(now + VISIBILITY <= began + VISIBILITY_MAX);
                work.extended(&due.id, now);
                extended += 1;
            }
            now += Duration::from_secs(1);
        }
        assert_eq!(extended, (VISIBILITY_MAX - VISIBILITY).as_secs() / 100 - 1);
        assert_eq!(work.forget("a"), Some((Dialect::Unknown, Outcome::Returned)));
        assert_eq!(work.len(), 0);
    }

    #[test]
    fn a_message_is_done_with_its_last_object_and_one_that_waits_for_claims_is_not() {
        let (mut work, now) = (Work::new(10, VISIBILITY), Instant::now());
        for id in ["a", "bb", "ccc"] {
            work.begin(&message(id, id), now);
        }
        let folder = crate::testing::fetched("k", 1).object.folder;
        let object = |key: &str| {
            let day = jiff::civil::date(2026, 3, 1);
            Arc::new(Awaited { folder: Arc::clone(&folder), day, key: key.into(), size: 1 })
        };
        let (one, two) = (object("1"), object("2"));
        work.awaits("a", Dialect::S3, vec![Arc::clone(&one), Arc::clone(&two)]);
        work.done("bb", Dialect::S3, Outcome::Control);
        work.settle(&[("a".into(), one)]);
        assert_eq!(receipts(&work.to_delete()), ["bb"]);
        work.settle(&[("a".into(), two)]);
        assert_eq!(receipts(&work.to_delete()), ["a", "bb"]);
        assert_eq!(work.oldest(), Some(Timestamp::from_second(1).unwrap()));
        assert_eq!(work.forget("a"), Some((Dialect::S3, Outcome::Taken)));
        assert_eq!(work.oldest(), Some(Timestamp::from_second(2).unwrap()));
    }

    #[test]
    fn what_nobody_works_on_is_asked_for_less_and_less_often() {
        let (mut work, began) = (Work::new(10, VISIBILITY), Instant::now());
        work.begin(&message("a", "1"), began);
        let folder = crate::testing::fetched("k", 1).object.folder;
        let day = jiff::civil::date(2026, 3, 1);
        work.awaits("a", Dialect::S3, vec![Arc::new(Awaited { folder, day, key: "k".into(), size: 1 })]);
        let hour = (0..3600).filter(|second| !work.again(began + Duration::from_secs(*second)).is_empty()).count();
        // After 30 s, and 1, 2, 4, 8, 15, 15, 15 minutes more.
        assert_eq!(hour, 7);
    }
}
