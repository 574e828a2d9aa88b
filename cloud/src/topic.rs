//! The topic seam: short texts published to whoever subscribed, as SNS has it.
//!
//! Owns: the trait, its promises, and the choice of implementation by id. Does not own: what a message says, nor who
//! subscribes.
//!
//! Promises of every implementation, judged by `conformance::topic`: a message arrives as it was given, at least once and
//! in no promised order; one that is empty, over `MESSAGE_BYTES_MAX` or not a single line is `Malformed`; an absent topic
//! is `ContainerMissing`.

#[cfg(any(test, feature = "fake"))]
pub(crate) mod fake;
pub(crate) mod local;
pub(crate) mod sns;

#[cfg(any(test, feature = "fake"))]
pub use fake::FakeTopic;
pub use local::LocalTopic;
pub use sns::SnsTopic;

use crate::{Connection, Error, ErrorKind};
use async_trait::async_trait;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

/// Most bytes of a message. Source: SNS API reference, Publish.
pub const MESSAGE_BYTES_MAX: usize = 262_144;

/// A place that hands messages on.
#[async_trait]
pub trait Topic: Send + Sync + Debug {
    /// Publishes a message: one line of 1 to `MESSAGE_BYTES_MAX` bytes. At least once: after an error that is retried the
    /// same message can arrive twice.
    async fn publish(&self, message: &str) -> Result<(), Error>;
}

/// The topic with this id: `file:///path.ndjson` for a file, else an SNS topic's ARN, in the region that it names. Calls
/// nothing: a topic that can't be reached yet fails its first messages instead.
pub async fn open_topic(id: &str, connection: &Connection) -> Result<Arc<dyn Topic>, Error> {
    match id.strip_prefix("file://") {
        Some(path) => Ok(Arc::new(LocalTopic::new(Path::new(path))?)),
        None => Ok(Arc::new(SnsTopic::open(id, connection).await?)),
    }
}

/// Refuses what some implementation would: every one asks here first, so that a message good for one is good for all.
pub(crate) fn check(id: &str, message: &str) -> Result<(), Error> {
    let malformed = |why: String| Err(Error::new(ErrorKind::Malformed, "publish to", subject(id)).detail(why));
    if message.is_empty() || message.len() > MESSAGE_BYTES_MAX {
        return malformed(format!("{} bytes, a message has 1 to {MESSAGE_BYTES_MAX}", message.len()));
    }
    if message.contains(['\n', '\r']) {
        return malformed("a message is one line".to_owned());
    }
    Ok(())
}

/// A topic's name in messages.
pub(crate) fn subject(id: &str) -> String {
    format!("topic {id}")
}
