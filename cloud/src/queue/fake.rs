//! A queue in memory, for tests: on tokio's clock, so that a paused one moves it; it can be told to fail, and it counts.

use super::{BODY_BYTES_MAX, Depth, Failure, Message, Queue, Receive, check_batch, check_receive, subject};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

const ID: &str = "of the test";

/// A queue in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FakeQueue {
    state: Arc<Mutex<State>>,
    came: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// By number, in the order in which they were sent.
    messages: BTreeMap<u64, Stored>,
    sent: u64,
    now: Timestamp,
    faults: Vec<(&'static str, ErrorKind, u32)>,
    calls: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct Stored {
    body: String,
    sent: Timestamp,
    count: u32,
    /// Hidden until then.
    until: Option<Instant>,
    /// When the delivery began that is under way.
    received: Option<Instant>,
}

impl FakeQueue {
    /// Puts a message into the queue.
    pub fn send(&self, body: &str) {
        let mut state = self.lock();
        let (number, sent) = (state.sent, state.now);
        assert!(body.len() <= BODY_BYTES_MAX, "SQS takes no larger message");
        state.sent += 1;
        let stored = Stored { body: body.to_owned(), sent, count: 0, until: None, received: None };
        state.messages.insert(number, stored);
        drop(state);
        self.came.notify_waiters();
    }

    /// The time that messages sent from now on carry. Starts at the Unix epoch.
    pub fn set_now(&self, now: Timestamp) {
        self.lock().now = now;
    }

    /// Makes so many calls of a verb (`receive`, `extend`, `delete`, `depth`) fail.
    pub fn fail(&self, verb: &'static str, kind: ErrorKind, times: u32) {
        self.lock().faults.push((verb, kind, times));
    }

    /// How often a verb was called, failures included.
    pub fn calls(&self, verb: &str) -> u64 {
        self.lock().calls.get(verb).copied().unwrap_or_default()
    }

    /// The bodies that were not deleted, lent ones included.
    pub fn bodies(&self) -> Vec<String> {
        self.lock().messages.values().map(|stored| stored.body.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, verb: &'static str) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.lock();
        *state.calls.entry(verb).or_default() += 1;
        match state.faults.iter_mut().find(|(of, _, times)| *of == verb && *times > 0) {
            Some((_, kind, times)) => {
                *times -= 1;
                Err(Error::new(kind.clone(), verb, subject(ID)).detail("as the test asked"))
            }
            None => Ok(state),
        }
    }
}

impl State {
    fn take(&mut self, request: &Receive, now: Instant) -> Vec<Message> {
        let due = self.messages.iter_mut().filter(|(_, stored)| stored.until.is_none_or(|until| until <= now));
        due.take(request.messages_max)
            .map(|(number, stored)| {
                stored.count += 1;
                stored.until = Some(now + request.visibility);
                stored.received = Some(now);
                Message {
                    id: format!("message-{number}"),
                    receipt: format!("{number}/{}", stored.count),
                    body: stored.body.clone(),
                    receive_count: stored.count,
                    sent: Some(stored.sent),
                }
            })
            .collect()
    }

    /// The message that a receipt holds.
    fn held(&mut self, receipt: &str) -> Option<(u64, &mut Stored)> {
        let (number, count) = receipt.split_once('/')?;
        let (number, count) = (number.parse::<u64>().ok()?, count.parse::<u32>().ok()?);
        self.messages.get_mut(&number).filter(|stored| stored.count == count).map(|stored| (number, stored))
    }

    fn next_due(&self) -> Option<Instant> {
        self.messages.values().filter_map(|stored| stored.until).min()
    }
}

#[async_trait]
impl Queue for FakeQueue {
    fn id(&self) -> &str {
        ID
    }

    async fn receive(&self, request: &Receive) -> Result<Vec<Message>, Error> {
        check_receive(ID, request)?;
        drop(self.enter("receive")?);
        let deadline = Instant::now() + request.wait;
        loop {
            let came = self.came.notified();
            let wake = {
                let (mut state, now) = (self.lock(), Instant::now());
                let messages = state.take(request, now);
                if !messages.is_empty() || now >= deadline {
                    return Ok(messages);
                }
                state.next_due().map_or(deadline, |due| due.min(deadline))
            };
            // Over: there is something to look at, or the wait has ended.
            drop(timeout_at(wake, came).await);
        }
    }

    async fn extend(&self, receipts: &[String], visibility: Duration) -> Result<Vec<Failure>, Error> {
        check_batch("extend", ID, receipts, visibility)?;
        let (mut state, now) = (self.enter("extend")?, Instant::now());
        let mut failures = Vec::new();
        for receipt in receipts {
            let too_long = |began: Instant| now + visibility > began + super::VISIBILITY_MAX;
            match state.held(receipt) {
                Some((_, stored)) if !stored.received.is_some_and(too_long) => stored.until = Some(now + visibility),
                _ => failures.push(void("extend", receipt)),
            }
        }
        drop(state);
        self.came.notify_waiters();
        Ok(failures)
    }

    async fn delete(&self, receipts: &[String]) -> Result<Vec<Failure>, Error> {
        check_batch("delete", ID, receipts, Duration::ZERO)?;
        let mut state = self.enter("delete")?;
        let mut failures = Vec::new();
        for receipt in receipts {
            match state.held(receipt).map(|(number, _)| number) {
                Some(number) => drop(state.messages.remove(&number)),
                None => failures.push(void("delete", receipt)),
            }
        }
        Ok(failures)
    }

    async fn depth(&self) -> Result<Depth, Error> {
        let (state, now) = (self.enter("depth")?, Instant::now());
        let in_work = state.messages.values().filter(|stored| stored.until.is_some_and(|until| until > now)).count();
        Ok(Depth { waiting: (state.messages.len() - in_work) as u64, in_work: in_work as u64 })
    }
}

fn void(verb: &'static str, receipt: &str) -> Failure {
    let error = Error::new(ErrorKind::NotFound, verb, subject(ID)).detail("the receipt holds nothing");
    Failure { receipt: receipt.to_owned(), error }
}
