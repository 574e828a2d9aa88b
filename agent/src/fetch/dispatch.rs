//! Which object is fetched next.
//!
//! Owns when a source is held back, and when it is let in again: its limits say why not now (`limits`), its turn is the
//! intake's. So that a bucket that hangs does not take every fetch with it, no source may have more than three quarters of
//! them once there is another; nor may the backfill lane have more than half.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::memory::{Memory, charge};
use crate::intake::{Admission, Next, Receiver};
use crate::limits::{Running, Wait};
use crate::object::{Lane, ObjectRef, Source};

/// An object whose fetch begins.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) object: ObjectRef,
    pub(super) running: Running,
    /// Fetches that its source may have at once.
    pub(super) most: usize,
}

/// What a fetch leaves behind.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) source: Arc<Source>,
    pub(super) lane: Lane,
    /// The object, where the source asked to slow down: it keeps its claim and is taken again.
    pub(super) again: Option<ObjectRef>,
}

#[derive(Debug)]
pub(super) struct Dispatch {
    objects: Receiver,
    concurrency: usize,
    /// Locations of the sources that had objects so far.
    sources: HashSet<String>,
    /// Sources that are held back, and until when; for none, until one of their fetches ends.
    held_back: HashMap<String, Option<Instant>>,
    backfills: usize,
    /// The backfill lane has no room for an object of so many bytes.
    no_room: Option<u64>,
}

impl Dispatch {
    pub(super) fn new(objects: Receiver, concurrency: usize) -> Self {
        let (sources, held_back) = Default::default();
        Self { objects, concurrency, sources, held_back, backfills: 0, no_room: None }
    }

    /// The next object that may be fetched now; `None` when none waits and none can come. Cancel-safe: dropped while it
    /// waits, it takes nothing.
    pub(super) async fn next(&mut self, memory: &Memory) -> Option<Begun> {
        loop {
            match self.look(memory) {
                Next::Object(object) => return Some(self.begin(object)),
                Next::Ended => return None,
                Next::Nothing => {}
            }
            let (due, no_room) = (self.held_back.values().flatten().min().copied(), self.no_room);
            // Cancel-safe: all of them only wait.
            tokio::select! {
                () = self.objects.arrived() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.let_in(),
                () = memory.backfill_room(no_room.unwrap_or(0)), if no_room.is_some() => {}
            }
        }
    }

    /// The object whose turn it is, of those that may be fetched.
    fn look(&mut self, memory: &Memory) -> Next {
        let (most, backfills_max) = (self.most(), (self.concurrency / 2).max(1));
        let Self { objects, held_back, backfills, no_room, .. } = self;
        *no_room = None;
        objects.next(|object| {
            if object.lane.is_backfill() {
                if *backfills >= backfills_max {
                    return Admission::HoldLane;
                }
                if !memory.admits(object) {
                    *no_room = Some(charge(object));
                    return Admission::HoldLane;
                }
            }
            let source = &object.folder.source;
            let Some(wait) = source.limits.wait(most) else { return Admission::Take };
            let until = match wait {
                Wait::Busy => None,
                Wait::Until(at) => Some(at),
            };
            held_back.insert(source.location.clone(), until);
            Admission::HoldSource
        })
    }

    fn begin(&mut self, object: ObjectRef) -> Begun {
        let source = &object.folder.source;
        let running = source.limits.begin(object.size);
        if !self.sources.contains(&source.location) {
            self.sources.insert(source.location.clone());
        }
        self.backfills += usize::from(object.lane.is_backfill());
        Begun { object, running, most: self.most() }
    }

    /// Fetches of one source at once.
    fn most(&self) -> usize {
        let reserve = if self.sources.len() > 1 { self.concurrency / 4 } else { 0 };
        (self.concurrency - reserve).max(1)
    }

    /// Lets in the sources whose time has come.
    fn let_in(&mut self) {
        let (now, objects) = (Instant::now(), &mut self.objects);
        self.held_back.retain(|source, until| {
            let stays = until.is_none_or(|at| at > now);
            if !stays {
                objects.reopen(source);
            }
            stays
        });
    }

    pub(super) fn finished(&mut self, finished: Finished) {
        let Finished { source, lane, again } = finished;
        self.backfills -= usize::from(lane.is_backfill());
        if let Some(object) = again {
            self.objects.put_back(object);
        }
        if self.held_back.remove(&source.location).is_some() {
            self.objects.reopen(&source.location);
        }
    }
}
