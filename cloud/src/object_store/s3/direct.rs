//! Getting objects without the SDK's machinery, which costs ten times as much as the request itself where objects are
//! small, and most of CloudTrail's are.
//!
//! Owns one attempt at a GET, and the decision that it came to nothing. It knows one answer only, a whole object with its
//! length. Everything else (refused, throttled, redirected, absent, cut off, too slow, no credentials) is left to the
//! SDK, which asks anew with its own retries and says what is wrong. So nothing here is needed for correctness, and
//! whoever can't be reached in this way is left alone for a while.
//!
//! Where to send requests is the SDK's word: it signs a URL once, without calling anybody, and that tells the endpoint with
//! all settings for it (regions, path style, dual stack, FIPS, an endpoint of one's own), and region and service of the
//! signature. Trusted certificates, credentials and clock are the SDK's, too. Through a proxy everything goes the SDK's
//! way. Checksums that S3 keeps of its objects are not asked for: what is read here is gzip with its own, over TLS.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_smithy_async::time::SharedTimeSource;

use super::pool::Pool;
use super::refusals::Refusals;
use super::sign::{Signer, encoded};
use super::wire::{Head, Peer, Wire};
use super::{BODY_BYTES_PER_SECOND_MIN, Object};
use crate::Connection;

/// So many attempts in a row that came to nothing, and there is a pause.
const FAILURES_MAX: u32 = 8;

/// How long everything goes the SDK's way then.
const PAUSE: Duration = Duration::from_secs(60);

/// The variables by which the SDK finds a proxy.
const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// The way to a bucket's objects.
#[derive(Debug)]
pub(super) struct Direct {
    peer: Peer,
    /// What the pool knows the peer as.
    name: Arc<str>,
    /// What stands before keys in paths: `/`, or with the bucket.
    base: String,
    signer: Signer,
    credentials: SharedCredentialsProvider,
    clock: SharedTimeSource,
    pool: Arc<Pool>,
    connection: Connection,
    refusals: Refusals,
    failures: AtomicU32,
    paused: Mutex<Option<Instant>>,
}

/// What an attempt came to.
#[derive(Debug)]
pub(super) enum Read {
    /// The object.
    Object(Object),
    /// It has more bytes than the caller allows.
    TooLarge,
    /// It began to come, and broke off or stood still.
    BrokenOff,
}

impl Direct {
    /// Learns the way from the SDK. `None` where there is none but the SDK's; an error where that can't be known yet.
    pub(super) async fn learn(
        client: &Client,
        config: &SdkConfig,
        bucket: &str,
        connection: &Connection,
        refusals: &Refusals,
    ) -> Result<Option<Self>, Box<dyn std::error::Error + Send + Sync>> {
        let (Some(credentials), Some(clock)) = (config.credentials_provider(), config.time_source()) else {
            return Ok(None);
        };
        if has_proxy() {
            return Ok(None);
        }
        let signed = PresigningConfig::builder().start_time(clock.now()).expires_in(PAUSE).build()?;
        let signed = client.get_object().bucket(bucket).key("k").presigned(signed).await?;
        Ok(Place::of(signed.uri()).map(|Place { peer, base, region }| Self {
            name: format!("{}/{}", if peer.tls { "tls" } else { "tcp" }, peer.authority).into(),
            peer,
            base,
            signer: Signer::new(&region),
            credentials,
            clock,
            pool: Pool::shared(),
            connection: connection.clone(),
            refusals: refusals.clone(),
            failures: AtomicU32::new(0),
            paused: Mutex::default(),
        }))
    }

    /// One attempt at an object. `key` is what it will be called, `whole` its key in the bucket. `None`: ask the SDK.
    pub(super) async fn get(&self, key: &str, whole: &str, bytes_max: u64) -> Option<Read> {
        if self.is_paused() {
            return None;
        }
        let attempt = self.attempt(key, whole, bytes_max).await;
        if let Err(error) = &attempt {
            tracing::debug!(%error, object.key = whole, "a direct request came to nothing; asking through the SDK");
        }
        let failures = match &attempt {
            Err(_) | Ok(Some(Read::BrokenOff)) => self.failures.fetch_add(1, Ordering::Relaxed) + 1,
            Ok(_) => 0,
        };
        if failures == 0 || failures >= FAILURES_MAX {
            self.failures.store(0, Ordering::Relaxed);
        }
        if failures >= FAILURES_MAX {
            *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        attempt.ok().flatten()
    }

    fn is_paused(&self) -> bool {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        if paused.is_some_and(|since| since.elapsed() > PAUSE) {
            *paused = None;
        }
        paused.is_some()
    }

    /// `None`: the object is not there, which the SDK can say better.
    async fn attempt(&self, key: &str, whole: &str, bytes_max: u64) -> io::Result<Option<Read>> {
        let credentials = self.credentials.provide_credentials().await.map_err(io::Error::other)?;
        let path = encoded(self.base.clone(), whole);
        let request = self.signer.head(&self.peer.authority, &path, &credentials, self.clock.now());
        let request = request.ok_or_else(|| io::Error::other("no time to sign with"))?;
        let (mut wire, head) = self.ask(&request).await?;
        if !head.is_usual() {
            self.refusals.answered(head.status);
            if within(self.connection.read_timeout, wire.skip(&head)).await? {
                self.pool.keep(&self.name, wire);
            }
            return match head.status {
                404 => Ok(None),
                status => Err(io::Error::other(format!("HTTP {status}"))),
            };
        }
        let meta = head.meta(key);
        if meta.size > bytes_max {
            return Ok(Some(Read::TooLarge));
        }
        let slowest = Duration::from_secs(meta.size / BODY_BYTES_PER_SECOND_MIN);
        let bytes = match within(self.connection.operation_timeout + slowest, wire.body(&head)).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(%error, object.key = whole, "an object's body failed and is read again");
                return Ok(Some(Read::BrokenOff));
            }
        };
        if Wire::is_kept(&head) {
            self.pool.keep(&self.name, wire);
        }
        Ok(Some(Read::Object(Object { meta, bytes, metadata: head.metadata })))
    }

    /// Sends a request, on a connection that is there or on a new one. One that was idle may have been closed meanwhile.
    async fn ask(&self, request: &[u8]) -> io::Result<(Wire, Head)> {
        let patience = self.connection.read_timeout;
        if let Some(mut wire) = self.pool.take(&self.name) {
            match within(patience, wire.ask(request)).await {
                Ok(head) => return Ok((wire, head)),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(error),
                Err(_) => {}
            }
        }
        let mut wire = within(self.connection.connect_timeout, Box::pin(Wire::open(&self.peer))).await?;
        let head = within(patience, wire.ask(request)).await?;
        Ok((wire, head))
    }
}

async fn within<T>(patience: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[expect(clippy::disallowed_methods, reason = "proxies are set in the environment, where the SDK reads them")]
fn has_proxy() -> bool {
    PROXIES.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// What a signed URL of the key `k` tells.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    peer: Peer,
    base: String,
    region: String,
}

impl Place {
    /// `None` where requests are signed in another way than S3's plain one (access points of several regions, directory
    /// buckets, Outposts).
    fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (authority, rest) = rest.split_once('/')?;
        let (path, query) = rest.split_once('?')?;
        let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        if value("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
            return None;
        }
        let scope = value("X-Amz-Credential")?.replace("%2F", "/");
        let mut parts = scope.rsplit('/');
        let (Some("aws4_request"), Some("s3"), Some(region)) = (parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        let base = format!("/{}", path.strip_suffix('k')?);
        Some(Self { peer: Peer::parse(scheme, authority)?, base, region: region.to_owned() })
    }
}

#[cfg(test)]
mod tests;
