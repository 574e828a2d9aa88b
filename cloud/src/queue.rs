//! The queue seam: messages that are lent for a while and come back unless they are deleted, as SQS has it.
//!
//! Owns: the trait, its promises, and the choice of implementation by id. Does not own: what a message says, nor how long
//! the work on one takes.
//!
//! Promises of every implementation, judged by `conformance::queue`: a message arrives as it was sent, at least once and in
//! no promised order; it is hidden from every reader for the time that its reader asked for, and comes back when that is
//! over, with a higher count; a deleted one does not come back; what fails for one message of a call fails for no other; a
//! receipt that holds nothing (any more) is `NotFound`; an absent queue is `ContainerMissing`. One call is one request.

#[cfg(any(test, feature = "fake"))]
pub(crate) mod fake;
pub(crate) mod local;
pub(crate) mod sqs;

#[cfg(any(test, feature = "fake"))]
pub use fake::FakeQueue;
pub use local::LocalQueue;
pub use sqs::SqsQueue;

use crate::{Connection, Error, ErrorKind};
use async_trait::async_trait;
use jiff::Timestamp;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Most messages of one call. Source: SQS API reference, ReceiveMessage and DeleteMessageBatch.
pub const BATCH_MAX: usize = 10;

/// Longest wait for a message. Source: SQS API reference, ReceiveMessage, `WaitTimeSeconds`.
pub const WAIT_MAX: Duration = Duration::from_secs(20);

/// Longest time for which a message can be hidden, counted from when it was received. Source: SQS developer guide,
/// "Amazon SQS visibility timeout".
pub const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 3600);

/// Most bytes of a message. Source: SQS developer guide, "Amazon SQS message quotas" (1 MiB since August 2025).
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What to receive.
#[derive(Clone, Copy, Debug)]
pub struct Receive {
    /// Most messages: 1 to `BATCH_MAX`.
    pub messages_max: usize,
    /// How long to wait for the first: up to `WAIT_MAX`. Counted in whole seconds where SQS is asked.
    pub wait: Duration,
    /// How long to hide what is received: up to `VISIBILITY_MAX`. Counted in whole seconds where SQS is asked.
    pub visibility: Duration,
}

/// A message that was lent to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The same at every delivery.
    pub id: String,
    /// The right to extend and delete this delivery of it.
    pub receipt: String,
    /// What was sent, at most `BODY_BYTES_MAX` bytes.
    pub body: String,
    /// How often it was received, this time included. Approximate with SQS.
    pub receive_count: u32,
    /// When it was sent. None where the queue does not say.
    pub sent: Option<Timestamp>,
}

/// One message of a call that failed while others may not have.
#[derive(Debug)]
pub struct Failure {
    /// The receipt as it was given.
    pub receipt: String,
    /// Why.
    pub error: Error,
}

/// How full a queue is. Approximate with SQS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that can be received.
    pub waiting: u64,
    /// Messages that are lent to somebody.
    pub in_work: u64,
}

/// A place that lends messages.
#[async_trait]
pub trait Queue: Send + Sync + Debug {
    /// The queue's name for people: its URL.
    fn id(&self) -> &str;

    /// Receives messages and hides them. Empty when none came within the wait. Dropped while it runs, it may have hidden
    /// messages for the time that was asked for. `Invalid` where the request is outside its bounds.
    async fn receive(&self, request: &Receive) -> Result<Vec<Message>, Error>;

    /// Hides 1 to `BATCH_MAX` messages for so long from now; zero gives them back. Returns those for which it failed:
    /// `NotFound` where a message is not ours any more.
    async fn extend(&self, receipts: &[String], visibility: Duration) -> Result<Vec<Failure>, Error>;

    /// Deletes 1 to `BATCH_MAX` messages. Returns those for which it failed: `NotFound` where a receipt holds nothing.
    /// SQS may take the receipt of an earlier delivery and not delete the message.
    async fn delete(&self, receipts: &[String]) -> Result<Vec<Failure>, Error>;

    /// How full the queue is.
    async fn depth(&self) -> Result<Depth, Error>;
}

/// The queue with this id: `file:///folder` for a folder, else an SQS queue's URL or ARN, standard or FIFO. Calls nothing: a
/// queue that can't be reached yet fails its first calls instead. `Invalid` where the id is none.
pub async fn open_queue(id: &str, connection: &Connection) -> Result<Arc<dyn Queue>, Error> {
    match id.strip_prefix("file://") {
        Some(path) => Ok(Arc::new(LocalQueue::new(Path::new(path))?)),
        None => Ok(Arc::new(SqsQueue::open(id, connection).await?)),
    }
}

/// What is wrong with an id, for a check of configuration; nothing is called.
pub fn id_problem(id: &str) -> Option<String> {
    match id.strip_prefix("file://") {
        Some(path) => local::path_problem(Path::new(path)),
        None => sqs::Address::parse(id).err(),
    }
}

/// The ARN of the SQS queue with this URL or ARN, as policies name it. `region` is where it is called if its id names none.
/// None for a folder, and where no region is known.
pub fn arn(id: &str, region: Option<&str>) -> Option<String> {
    sqs::Address::parse(id).ok()?.arn(region)
}

/// Refuses what some implementation would: every one asks here first, so that a call good for one is good for all.
fn check_receive(id: &str, request: &Receive) -> Result<(), Error> {
    let Receive { messages_max, wait, visibility } = *request;
    if (1..=BATCH_MAX).contains(&messages_max) && wait <= WAIT_MAX && visibility <= VISIBILITY_MAX {
        return Ok(());
    }
    let bounds = format!("1 to {BATCH_MAX} messages, a wait of at most 20 s, hidden for at most 12 h");
    Err(Error::new(ErrorKind::Invalid, "receive from", subject(id)).detail(bounds))
}

/// As `check_receive`, of calls about messages.
fn check_batch(verb: &'static str, id: &str, receipts: &[String], visibility: Duration) -> Result<(), Error> {
    if (1..=BATCH_MAX).contains(&receipts.len()) && visibility <= VISIBILITY_MAX {
        return Ok(());
    }
    let bounds = format!("1 to {BATCH_MAX} messages at once, hidden for at most 12 h");
    Err(Error::new(ErrorKind::Invalid, verb, subject(id)).detail(bounds))
}

/// A queue's name in messages.
fn subject(id: &str) -> String {
    format!("queue {id}")
}
