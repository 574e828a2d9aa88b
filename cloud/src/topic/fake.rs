//! A topic in memory, for tests: it keeps what was published, and it can be told to fail.

use super::{Topic, check, subject};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const ID: &str = "of the test";

/// A topic in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FakeTopic {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    messages: Vec<String>,
    failing: Option<ErrorKind>,
}

impl FakeTopic {
    /// Every call fails like this until told otherwise.
    pub fn set_failing(&self, kind: Option<ErrorKind>) {
        self.lock().failing = kind;
    }

    /// What was published, in the order in which it came.
    pub fn messages(&self) -> Vec<String> {
        self.lock().messages.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Topic for FakeTopic {
    async fn publish(&self, message: &str) -> Result<(), Error> {
        let mut state = self.lock();
        if let Some(kind) = &state.failing {
            return Err(Error::new(kind.clone(), "publish to", subject(ID)).detail("as the test asked"));
        }
        check(ID, message)?;
        state.messages.push(message.to_owned());
        Ok(())
    }
}
