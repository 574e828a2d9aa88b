//! What was taken to be sent and has no answer yet.
//!
//! Owns order, ids, the bound in bytes, and how objects are cut into messages. Pure: no clock, no link. In memory only; the
//! checkpoint's claims are what a crash leaves.

use std::collections::{BTreeMap, VecDeque};

use orgtrail_proto::{Batch, Object, ObjectRef, Part, ToAggregator};
use tokio::time::Instant;

use crate::object::Fetched;

/// Room in a message for what protobuf and gRPC put around the objects.
const SLACK: usize = 4096;

/// Objects that are answered together.
#[derive(Debug)]
struct Unit {
    objects: Vec<Fetched>,
}

impl Unit {
    fn gzip_bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.gzip.len() as u64).sum()
    }
}

/// Unanswered objects: waiting to be sent, sent, or to be offered again later.
#[derive(Debug)]
pub(super) struct Window {
    bytes_max: u64,
    bytes: u64,
    next_id: u64,
    unsent: VecDeque<Unit>,
    sent: BTreeMap<u64, Unit>,
    later: BTreeMap<(Instant, u64), Unit>,
}

impl Window {
    pub(super) fn new(bytes_max: u64) -> Self {
        let (unsent, sent, later) = Default::default();
        Self { bytes_max, bytes: 0, next_id: 1, unsent, sent, later }
    }

    /// Whether another batch may be taken. One that is larger than the window goes alone.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < self.bytes_max
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsent.is_empty() && self.sent.is_empty() && self.later.is_empty()
    }

    /// Whether something waits to be sent now.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    pub(super) fn push(&mut self, objects: Vec<Fetched>) {
        let unit = Unit { objects };
        self.bytes += unit.gzip_bytes();
        self.unsent.push_back(unit);
    }

    /// The link broke: everything unanswered is to be sent again, oldest first. Answers how many objects that are.
    pub(super) fn reset(&mut self) -> usize {
        let again = self.sent.values().map(|unit| unit.objects.len()).sum();
        for (_, unit) in std::mem::take(&mut self.sent).into_iter().rev() {
            self.unsent.push_front(unit);
        }
        again
    }

    /// The next messages to send, all of one unit, of at most `message_bytes_max` each.
    pub(super) fn next(&mut self, message_bytes_max: usize) -> Vec<ToAggregator> {
        let room = message_bytes_max.saturating_sub(SLACK).max(1);
        let Some(mut unit) = self.unsent.pop_front() else { return Vec::new() };
        let mut bytes = 0;
        let fitting = unit.objects.iter().take_while(|object| {
            bytes += object.wire_bytes();
            bytes <= room
        });
        let fitting = fitting.count().max(1);
        if fitting < unit.objects.len() {
            let rest = unit.objects.split_off(fitting);
            self.unsent.push_front(Unit { objects: rest });
        }
        let id = self.next_id;
        self.next_id += 1;
        let messages = match &unit.objects[..] {
            [object] if object.wire_bytes() > room => parts(id, object, room),
            objects => vec![batch(id, objects)],
        };
        self.sent.insert(id, unit);
        messages
    }

    /// The objects of an answered unit, which leave the window.
    pub(super) fn answered(&mut self, id: u64) -> Option<Vec<Fetched>> {
        let unit = self.sent.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(unit.gzip_bytes());
        Some(unit.objects)
    }

    /// Takes back objects that the aggregator wants to be offered again.
    pub(super) fn postpone(&mut self, objects: Vec<Fetched>, due: Instant) {
        let unit = Unit { objects };
        self.bytes += unit.gzip_bytes();
        self.later.insert((due, self.next_id), unit);
        self.next_id += 1;
    }

    /// When the next postponed objects are due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.later.keys().next().map(|(due, _)| *due)
    }

    /// Makes what is due ready to be sent.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            self.unsent.push_back(entry.remove());
        }
    }
}

fn reference(fetched: &Fetched) -> ObjectRef {
    let object = &fetched.object;
    ObjectRef {
        source: object.folder.source.location.clone(),
        key: object.key.clone(),
        etag: object.etag.clone(),
        sha256: fetched.sha256,
        inflated_bytes: fetched.inflated_bytes,
        last_modified: object.last_modified.as_second(),
    }
}

fn batch(id: u64, objects: &[Fetched]) -> ToAggregator {
    let objects = objects
        .iter()
        .map(|fetched| Object {
            reference: reference(fetched),
            gzip: fetched.gzip.clone(),
            digest: fetched.digest.clone(),
            backfill: fetched.object.lane.backfill(),
        })
        .collect();
    ToAggregator::Batch(Batch { id, objects })
}

fn parts(id: u64, fetched: &Fetched, room: usize) -> Vec<ToAggregator> {
    let gzip = &fetched.gzip;
    let around = fetched.wire_bytes() - gzip.len();
    let slice_max = room.saturating_sub(around).max(1);
    let part = |offset: usize| {
        let end = gzip.len().min(offset + slice_max);
        ToAggregator::Part(Part {
            id,
            reference: reference(fetched),
            offset: offset as u64,
            gzip_bytes: gzip.len() as u64,
            slice: gzip.slice(offset..end),
            digest: fetched.digest.clone(),
            backfill: fetched.object.lane.backfill(),
        })
    };
    (0..gzip.len()).step_by(slice_max).map(part).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use orgtrail_proto::Backfill;

    use crate::object::Lane;
    use crate::testing::fetched;

    fn keys(messages: &[ToAggregator]) -> Vec<String> {
        let mut keys = Vec::new();
        for message in messages {
            match message {
                ToAggregator::Batch(batch) => {
                    keys.extend(batch.objects.iter().map(|object| object.reference.key.clone()))
                }
                other => panic!("{other:?}"),
            }
        }
        keys
    }

    #[test]
    fn the_window_is_bounded_in_bytes_until_answers_come() {
        let mut window = Window::new(100);
        window.push(vec![fetched("a", 60)]);
        assert!(window.has_room());
        window.push(vec![fetched("b", 60)]);
        assert!(!window.has_room());
        window.next(1 << 20);
        assert_eq!(window.answered(1).unwrap().len(), 1);
        assert!(window.has_room());
        assert!(window.answered(1).is_none(), "an answer counts once");
    }

    #[test]
    fn a_broken_link_sends_everything_unanswered_again_in_order() {
        let mut window = Window::new(1000);
        for key in ["a", "b", "c", "d"] {
            window.push(vec![fetched(key, 1)]);
        }
        for _ in 0..3 {
            window.next(1 << 20);
        }
        window.answered(2).unwrap();
        assert_eq!(window.reset(), 2);
        let again: Vec<_> = (0..3).flat_map(|_| keys(&window.next(1 << 20))).collect();
        assert_eq!(again, ["a", "c", "d"]);
    }

    #[test]
    fn a_batch_that_is_too_large_for_the_aggregator_is_cut() {
        let mut window = Window::new(1 << 30);
        let max = SLACK + 1000;
        window.push(vec![fetched("a", 300), fetched("b", 300), fetched("c", 300)]);
        assert_eq!(keys(&window.next(max)), ["a", "b"]);
        assert_eq!(keys(&window.next(max)), ["c"]);
        assert!(!window.has_unsent());
    }

    #[test]
    fn an_object_larger_than_a_message_goes_in_parts() {
        let mut window = Window::new(1 << 30);
        let object = fetched("a", 5000);
        let bytes = object.gzip.clone();
        window.push(vec![object]);
        let messages = window.next(SLACK + 1000);
        let mut joined = Vec::new();
        for (n, message) in messages.iter().enumerate() {
            let ToAggregator::Part(part) = message else { panic!("{message:?}") };
            assert_eq!((part.id, part.offset, part.gzip_bytes), (1, joined.len() as u64, 5000));
            assert_eq!(part.is_last(), n + 1 == messages.len());
            joined.extend_from_slice(&part.slice);
        }
        assert!(messages.len() > 5);
        assert_eq!(joined, bytes);
    }

    #[test]
    fn what_a_backfill_brings_says_so_whole_and_in_parts() {
        let told = |lane, room| {
            let mut window = Window::new(1 << 30);
            let mut object = fetched("a", 5000);
            object.object.lane = lane;
            window.push(vec![object]);
            match window.next(room).swap_remove(0) {
                ToAggregator::Batch(batch) => batch.objects[0].backfill,
                ToAggregator::Part(part) => part.backfill,
                other => panic!("{other:?}"),
            }
        };
        for room in [1 << 20, SLACK + 1000] {
            assert_eq!(told(Lane::Live, room), None);
            for log_groups in [false, true] {
                assert_eq!(told(Lane::Backfill { log_groups }, room), Some(Backfill { log_groups }));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn postponed_objects_stay_in_the_window_until_they_are_due() {
        let mut window = Window::new(10);
        window.push(vec![fetched("a", 10)]);
        window.next(1 << 20);
        let objects = window.answered(1).unwrap();
        let due = Instant::now() + Duration::from_secs(5);
        window.postpone(objects, due);
        assert!(!window.has_room() && !window.has_unsent() && !window.is_empty());
        window.wake(Instant::now());
        assert!(!window.has_unsent());
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(window.next_due(), Some(due));
        window.wake(Instant::now());
        assert_eq!(keys(&window.next(1 << 20)), ["a"]);
    }
}
