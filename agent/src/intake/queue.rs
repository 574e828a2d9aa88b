//! Whose turn it is: start-time fair queueing over keys, in two lanes.
//!
//! Owns order only: no bounds, no waiting, no clock. Every key has a turn, a moment of *virtual time*. The key with the
//! earliest turn goes first, virtual time moves to it, and its next turn lies behind by what it took: its cost over its
//! weight. A key that comes anew gets its turn now.
//!
//! **What follows** (Goyal, Vin, Cheng: "Start-time Fair Queueing", 1996, theorem 1): of two keys that both have something
//! waiting, with weights w and v and costs of at most c and d an object, what they got differs by at most c/w + d/v over any
//! span of time. So before an object of a key that was idle, every other key gets at most one object and what is its
//! share; however long its queue is.
//!
//! A key without objects keeps its turn until virtual time has come to it, so that nobody gets a fresh one by being briefly
//! empty; then it is forgotten. A source that may not be asked now is *held back* with all its keys, which lose no more than
//! their turns of that time and do not make up for them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::object::Lane;

/// A unit of virtual time is this part of a byte, so that weights divide well.
const SCALE: u64 = 1 << 10;
/// Of so many bytes that are taken while objects of the backfill lane wait, one is theirs, however busy the live lane is.
/// Enough that a backfill moves, too little to be noticed.
const BACKFILL_PART: i64 = 32;
/// What the backfill lane may save up while nothing of it can be taken: a burst behind it would delay the live lane.
const BACKFILL_CREDIT_MAX: i64 = 1 << 20;

/// What shares are given to: one account and region of one source, all its kinds together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FlowKey(Arc<Names>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Names {
    source: Arc<str>,
    account: String,
    region: String,
}

impl FlowKey {
    /// `source` is its location.
    pub(crate) fn new(source: &str, account: &str, region: &str) -> Self {
        Self(Arc::new(Names { source: source.into(), account: account.into(), region: region.into() }))
    }
}

/// What is done with an object whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is taken.
    Take,
    /// Its source may not be asked now: it waits until the source is reopened, and so do all others of the source.
    HoldSource,
    /// Nothing of its lane is taken this time.
    HoldLane,
}

#[derive(Debug)]
pub(super) struct Queue<T> {
    live: Turns<T>,
    backfill: Turns<T>,
    /// What the backfill lane may take ahead of the live one, in bytes.
    credit: i64,
}

/// One lane.
#[derive(Debug)]
struct Turns<T> {
    now: u64,
    len: usize,
    /// Breaks ties: first come, first served.
    places: u64,
    sources: HashMap<Arc<str>, Flows<T>>,
    /// The first turn of every source that isn't held back.
    ready: BTreeSet<(u64, Arc<str>)>,
}

/// The keys of one source.
#[derive(Debug)]
struct Flows<T> {
    flows: HashMap<FlowKey, Flow<T>>,
    turns: BTreeMap<Turn, FlowKey>,
    /// Where the source stands among those that are ready; `None` while it is held back.
    ready: Option<u64>,
    held_back: bool,
}

/// Virtual time, and a place among those of the same time.
type Turn = (u64, u64);

#[derive(Debug)]
struct Flow<T> {
    waiting: VecDeque<(u64, T)>,
    weight: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { live: Turns::default(), backfill: Turns::default(), credit: 0 }
    }
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { now: 0, len: 0, places: 0, sources: HashMap::new(), ready: BTreeSet::new() }
    }
}

impl<T> Default for Flows<T> {
    fn default() -> Self {
        Self { flows: HashMap::new(), turns: BTreeMap::new(), ready: None, held_back: false }
    }
}

impl<T> Queue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.live.len + self.backfill.len == 0
    }

    /// Objects of a lane that wait.
    pub(super) fn len(&self, lane: Lane) -> usize {
        self.lane(lane).len
    }

    /// Objects of a key that wait.
    pub(super) fn waiting(&self, lane: Lane, key: &FlowKey) -> usize {
        let flows = self.lane(lane).sources.get(&key.0.source);
        flows.and_then(|flows| flows.flows.get(key)).map_or(0, |flow| flow.waiting.len())
    }

    fn lane(&self, lane: Lane) -> &Turns<T> {
        match lane {
            Lane::Live => &self.live,
            Lane::Backfill { .. } => &self.backfill,
        }
    }

    pub(super) fn push(&mut self, lane: Lane, key: &FlowKey, weight: u32, cost: u64, item: T) {
        self.lane_mut(lane).flow(key, weight, |waiting| waiting.push_back((cost, item)));
    }

    /// Puts one that was taken before all others of its key.
    pub(super) fn put_back(&mut self, lane: Lane, key: &FlowKey, weight: u32, cost: u64, item: T) {
        self.lane_mut(lane).flow(key, weight, |waiting| waiting.push_front((cost, item)));
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut Turns<T> {
        match lane {
            Lane::Live => &mut self.live,
            Lane::Backfill { .. } => &mut self.backfill,
        }
    }

    /// The next one that `admit` takes.
    pub(super) fn pop(&mut self, mut admit: impl FnMut(&T) -> Admission) -> Option<T> {
        let due = self.credit > 0;
        if due && let Some(item) = self.pop_backfill(&mut admit) {
            return Some(item);
        }
        if let Some((cost, item)) = self.live.pop(&mut admit) {
            if self.backfill.len > 0 {
                let earned = i64::try_from(cost).unwrap_or(i64::MAX) / (BACKFILL_PART - 1);
                self.credit = self.credit.saturating_add(earned).min(BACKFILL_CREDIT_MAX);
            }
            return Some(item);
        }
        if due { None } else { self.pop_backfill(&mut admit) }
    }

    fn pop_backfill(&mut self, admit: impl FnMut(&T) -> Admission) -> Option<T> {
        let (cost, item) = self.backfill.pop(admit)?;
        // What it takes while the live lane has nothing is not held against it.
        if self.credit > 0 {
            self.credit = self.credit.saturating_sub_unsigned(cost);
        }
        Some(item)
    }

    /// Lets the source's keys have turns again.
    pub(super) fn reopen(&mut self, source: &str) {
        self.live.reopen(source);
        self.backfill.reopen(source);
    }
}

impl<T> Turns<T> {
    /// Adds one to what waits of a key.
    fn flow(&mut self, key: &FlowKey, weight: u32, add: impl FnOnce(&mut VecDeque<(u64, T)>)) {
        self.len += 1;
        self.places += 1;
        let (now, place, weight) = (self.now, self.places, u64::from(weight.max(1)));
        let source = &key.0.source;
        let flows = self.sources.entry(Arc::clone(source)).or_default();
        let flow = flows.flows.entry(key.clone()).or_insert_with(|| {
            flows.turns.insert((now, place), key.clone());
            Flow { waiting: VecDeque::new(), weight }
        });
        flow.weight = weight;
        add(&mut flow.waiting);
        flows.stand(source, &mut self.ready);
    }

    fn pop(&mut self, mut admit: impl FnMut(&T) -> Admission) -> Option<(u64, T)> {
        if self.len == 0 {
            // Nobody competes with anybody: the turns that are left mean nothing.
            *self = Self::default();
            return None;
        }
        loop {
            let (start, source) = self.ready.first().cloned()?;
            let flows = self.sources.get_mut(&source).expect("a ready source has keys");
            let (turn, key) = flows.turns.first_key_value().map(|(turn, key)| (*turn, key.clone()))?;
            let flow = flows.flows.get_mut(&key).expect("every turn is a key's");
            match flow.waiting.front().map(|(_, item)| admit(item)) {
                None => {
                    flows.turns.remove(&turn);
                    flows.flows.remove(&key);
                    self.now = self.now.max(start);
                }
                Some(Admission::HoldLane) => return None,
                Some(Admission::HoldSource) => flows.held_back = true,
                Some(Admission::Take) => {
                    let taken = flow.waiting.pop_front()?;
                    self.now = self.now.max(start);
                    self.places += 1;
                    self.len -= 1;
                    let next = (self.now + taken.0 * SCALE / flow.weight, self.places);
                    flows.turns.remove(&turn);
                    flows.turns.insert(next, key);
                    flows.stand(&source, &mut self.ready);
                    return Some(taken);
                }
            }
            flows.stand(&source, &mut self.ready);
            if flows.flows.is_empty() {
                self.sources.remove(&source);
            }
        }
    }

    fn reopen(&mut self, source: &str) {
        if let Some((source, _)) = self.sources.get_key_value(source) {
            let source = Arc::clone(source);
            if let Some(flows) = self.sources.get_mut(&source) {
                flows.held_back = false;
                flows.stand(&source, &mut self.ready);
            }
        }
    }
}

impl<T> Flows<T> {
    /// Takes the source's place among those that are ready: that of its first key.
    fn stand(&mut self, source: &Arc<str>, ready: &mut BTreeSet<(u64, Arc<str>)>) {
        let first = self.turns.keys().next().map(|(start, _)| *start).filter(|_| !self.held_back);
        if first == self.ready {
            return;
        }
        if let Some(old) = self.ready.take() {
            ready.remove(&(old, Arc::clone(source)));
        }
        if let Some(first) = first {
            ready.insert((first, Arc::clone(source)));
        }
        self.ready = first;
    }
}

#[cfg(test)]
mod tests;
