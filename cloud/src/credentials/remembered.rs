//! Credentials that are kept until shortly before they expire, for whoever signs requests without the SDK's client, which
//! keeps its own.
//!
//! Both ask here, so that a role is assumed once for both.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_async::time::SharedTimeSource;

use super::REFRESH_AHEAD;

/// How long credentials without an expiry are kept: as long as the SDK does.
const KEPT_MAX: Duration = Duration::from_secs(15 * 60);

/// A provider and what it gave last.
#[derive(Debug)]
pub(super) struct Remembered {
    source: SharedCredentialsProvider,
    clock: SharedTimeSource,
    /// How long before they expire credentials are replaced.
    ahead: Duration,
    last: Mutex<Option<(Instant, Credentials)>>,
    /// Held by the one caller that fetches, while others wait for what it gets.
    fetching: tokio::sync::Mutex<()>,
}

impl Remembered {
    pub(super) fn new(source: SharedCredentialsProvider, clock: SharedTimeSource) -> Self {
        // Spread, so that a thousand roles that were assumed together are not assumed anew together.
        let ahead = REFRESH_AHEAD.mul_f64(rand::random_range(0.5..=1.0));
        Self { source, clock, ahead, last: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    fn fresh(&self) -> Option<Credentials> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, credentials) = last.as_ref()?;
        let is_fresh = match credentials.expiry() {
            Some(expiry) => self.clock.now() + self.ahead < expiry,
            None => since.elapsed() < KEPT_MAX,
        };
        is_fresh.then(|| credentials.clone())
    }

    async fn get(&self) -> provider::Result {
        if let Some(credentials) = self.fresh() {
            return Ok(credentials);
        }
        let _one = self.fetching.lock().await;
        if let Some(credentials) = self.fresh() {
            return Ok(credentials);
        }
        let credentials = self.source.provide_credentials().await?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), credentials.clone()));
        Ok(credentials)
    }
}

impl ProvideCredentials for Remembered {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.get())
    }
}
