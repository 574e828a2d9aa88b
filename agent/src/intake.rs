//! The one way to the fetch stage: every object that is to be taken waits here for its turn.
//!
//! Owns how much may wait, and who is held back when it is too much: the key that has too much itself. Whose turn is next
//! is `queue`'s: live before backfill, and in either lane the keys (source, account and region) share by weight, so that a
//! noisy one delays nobody else. Producers are listings, notifications, retries and backfills.
//!
//! **Bounds.** A key may add while it has fewer objects here than `objects_per_key`, and fewer than there are free places
//! in its lane. So those that have much are held back first: of n noisy keys each gets one part in n + 1 of the places, and
//! one part stays free for all others. A listing takes places for a whole page before its request, which may go beyond the
//! bounds by that page, and gives back what it does not need. So places are taken before anything is claimed or held.
//!
//! In memory only. An object that is dropped here, at the end or by a `send` that is cancelled, gives its claim back.

mod queue;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use orgtrail_service::shape::Bytes;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use self::queue::Queue;
pub(crate) use self::queue::{Admission, FlowKey};
use crate::object::{Lane, ObjectRef, SourceFolder};

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// In each lane.
    pub(crate) objects: usize,
    /// Of one key in one lane.
    pub(crate) objects_per_key: usize,
}

/// What an object that waits takes in memory: key, entity tag, claim, and its places in maps.
const OBJECT_BYTES: u64 = 512;
/// Enough to keep the fetches busy with one key alone.
const OBJECTS_PER_KEY: usize = 256;

impl Bounds {
    /// Half as much memory for objects that wait in a lane as for the bytes of those that are fetched.
    pub(crate) fn within(memory: Bytes) -> Self {
        let objects = memory.as_u64() / 2 / OBJECT_BYTES;
        Self {
            objects: usize::try_from(objects).unwrap_or(usize::MAX).max(OBJECTS_PER_KEY),
            objects_per_key: OBJECTS_PER_KEY,
        }
    }
}

/// Nobody takes objects any more: the process is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the intake is closed")]
pub(crate) struct Closed;

/// Puts objects in; clones share the intake.
#[derive(Debug)]
pub(crate) struct Sender(Arc<Shared>);

/// Takes objects out, in the order of their turns.
#[derive(Debug)]
pub(crate) struct Receiver(Arc<Shared>);

/// What a look at the intake gives.
#[derive(Debug)]
pub(crate) enum Next {
    Object(ObjectRef),
    /// Nothing may be taken now.
    Nothing,
    /// Nothing waits, and nobody can put anything in.
    Ended,
}

#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    state: Mutex<State>,
    /// Something was put in, or the last sender is gone.
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue<ObjectRef>,
    /// Places that listings have taken for what they will name, in the live lane and in the other.
    taken: [usize; 2],
    senders: usize,
    closed: bool,
    /// Senders that wait for room, by what they wait to put in; of backfills if true.
    held_back: HashMap<(bool, FlowKey), Arc<Notify>>,
}

pub(crate) fn channel(bounds: Bounds) -> (Sender, Receiver) {
    let state = Mutex::new(State { senders: 1, ..State::default() });
    let shared = Arc::new(Shared { bounds, state, arrived: Notify::new() });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, state: &State, lane: Lane, flow: &FlowKey) -> bool {
        state.queue.waiting(lane, flow) < self.bounds.objects_per_key.min(self.free(state, lane))
    }

    fn free(&self, state: &State, lane: Lane) -> usize {
        let taken = state.taken[usize::from(lane.is_backfill())];
        self.bounds.objects.saturating_sub(state.queue.len(lane) + taken)
    }

    fn push(&self, state: &mut State, object: ObjectRef) {
        let (lane, weight, cost) = (object.lane, object.folder.source.weight, object.charge());
        let flow = object.folder.flow.clone();
        state.queue.push(lane, &flow, weight, cost, object);
    }

    /// Lets held-back senders look again after an object of this key was taken: those of the key, and those of all keys
    /// where there was no place for anybody. A key that has objects here has turns, so it comes to the first in the end.
    fn took(&self, state: &mut State, lane: Lane, flow: &FlowKey) {
        if state.held_back.is_empty() {
            return;
        }
        if self.free(state, lane) == 1 {
            state.wake_all();
        } else if self.has_room(state, lane, flow)
            && let Some(senders) = state.held_back.remove(&(lane.is_backfill(), flow.clone()))
        {
            senders.notify_waiters();
        }
    }
}

impl State {
    fn wake_all(&mut self) {
        self.held_back.drain().for_each(|(_, senders)| senders.notify_waiters());
    }

    /// The future hears of everything from now on, also before it is polled.
    fn wait(&mut self, lane: Lane, flow: &FlowKey) -> OwnedNotified {
        Arc::clone(self.held_back.entry((lane.is_backfill(), flow.clone())).or_default()).notified_owned()
    }
}

impl Sender {
    /// Puts an object in, waiting while its key has no room. Cancel-safe: an object whose `send` is dropped was not put in,
    /// and gives its claim back.
    pub(crate) async fn send(&self, object: ObjectRef) -> Result<(), Closed> {
        loop {
            let room = {
                let mut state = self.0.lock();
                if state.closed {
                    return Err(Closed);
                }
                let (lane, flow) = (object.lane, &object.folder.flow);
                if self.0.has_room(&state, lane, flow) {
                    self.0.push(&mut state, object);
                    break;
                }
                state.wait(lane, flow)
            };
            room.await;
        }
        self.0.arrived.notify_one();
        Ok(())
    }

    /// As [`Sender::send`] for whoever has live work waiting behind it: a backfill's object that has no room is not waited
    /// for. It gives its claim back, and whoever works on the backfill hands it on again.
    pub(crate) async fn pass(&self, object: ObjectRef) -> Result<(), Closed> {
        if object.lane.is_backfill() {
            let state = self.0.lock();
            let has_room = self.0.has_room(&state, object.lane, &object.folder.flow);
            drop(state);
            if !has_room {
                return Ok(());
            }
        }
        self.send(object).await
    }

    /// Waits until the folder's key has room.
    pub(crate) async fn room(&self, folder: &SourceFolder, lane: Lane) -> Result<(), Closed> {
        loop {
            let room = {
                let mut state = self.0.lock();
                if state.closed {
                    return Err(Closed);
                }
                if self.0.has_room(&state, lane, &folder.flow) {
                    return Ok(());
                }
                state.wait(lane, &folder.flow)
            };
            room.await;
        }
    }

    /// Takes places for a page of so many objects, if the folder's key has room now.
    pub(crate) fn places(&self, folder: &SourceFolder, lane: Lane, objects: usize) -> Option<Places> {
        let mut state = self.0.lock();
        let has_room = self.0.has_room(&state, lane, &folder.flow);
        has_room.then(|| {
            state.taken[usize::from(lane.is_backfill())] += objects;
            Places { intake: Arc::clone(&self.0), lane, objects }
        })
    }
}

/// Places for what one page of a listing will name; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Places {
    intake: Arc<Shared>,
    lane: Lane,
    objects: usize,
}

impl Places {
    /// Gives back what is not needed for so many objects.
    pub(crate) fn shrink_to(&mut self, objects: usize) {
        let surplus = self.objects.saturating_sub(objects);
        self.objects -= surplus;
        let mut state = self.intake.lock();
        state.taken[usize::from(self.lane.is_backfill())] -= surplus;
        if surplus > 0 && self.intake.free(&state, self.lane) > 0 {
            state.wake_all();
        }
    }

    /// Puts in what the page named.
    pub(crate) fn put(self, objects: Vec<ObjectRef>) -> Result<(), Closed> {
        {
            let mut state = self.intake.lock();
            if state.closed {
                return Err(Closed);
            }
            for object in objects {
                self.intake.push(&mut state, object);
            }
        }
        self.intake.arrived.notify_one();
        Ok(())
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        if state.senders == 0 {
            drop(state);
            self.0.arrived.notify_one();
        }
    }
}

impl Receiver {
    /// The next object whose turn it is and that `admit` takes. What was held back stays so until [`Receiver::reopen`].
    pub(crate) fn next(&mut self, admit: impl FnMut(&ObjectRef) -> Admission) -> Next {
        let mut state = self.0.lock();
        match state.queue.pop(admit) {
            Some(object) => {
                self.0.took(&mut state, object.lane, &object.folder.flow);
                Next::Object(object)
            }
            None if state.senders == 0 && state.queue.is_empty() => Next::Ended,
            None => Next::Nothing,
        }
    }

    /// Waits until something has arrived since the last [`Receiver::next`]. Cancel-safe.
    pub(crate) async fn arrived(&mut self) {
        self.0.arrived.notified().await;
    }

    /// Lets the source's objects have their turns again.
    pub(crate) fn reopen(&mut self, source: &str) {
        self.0.lock().queue.reopen(source);
    }

    /// Takes an object back that could not be fetched now; it is the next of its key.
    pub(crate) fn put_back(&mut self, object: ObjectRef) {
        let mut state = self.0.lock();
        let (lane, weight, cost) = (object.lane, object.folder.source.weight, object.charge());
        let flow = object.folder.flow.clone();
        state.queue.put_back(lane, &flow, weight, cost, object);
    }
}

#[cfg(test)]
impl Receiver {
    /// The next object, waiting for it; `None` when there will be none.
    pub(crate) async fn recv(&mut self) -> Option<ObjectRef> {
        loop {
            match self.next(|_| Admission::Take) {
                Next::Object(object) => return Some(object),
                Next::Ended => return None,
                Next::Nothing => self.arrived().await,
            }
        }
    }

    /// The next object, if one waits.
    pub(crate) fn try_recv(&mut self) -> Option<ObjectRef> {
        match self.next(|_| Admission::Take) {
            Next::Object(object) => Some(object),
            Next::Ended | Next::Nothing => None,
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let queue = {
            let mut state = self.0.lock();
            state.closed = true;
            state.wake_all();
            std::mem::take(&mut state.queue)
        };
        // Outside the lock: every object gives a claim back.
        drop(queue);
    }
}

#[cfg(test)]
mod tests;
