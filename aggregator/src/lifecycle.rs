//! Keeps buckets' lifecycle rules as the trails' configuration has them: a trail's rule there, or gone.
//!
//! Owns when that happens, once a start, and what a refusal means. Does not own the rules (`orgtrail_cloud::lifecycle`). One
//! trail after the other: S3 replaces all rules of a bucket at once, and trails may share one.
//! Cancellation: between two attempts.

use std::time::Duration;

use orgtrail_cloud::lifecycle::{self, LifecycleRule, put_lifecycle_rule, remove_lifecycle_rule};
use orgtrail_cloud::{Connection, Disposition, Error, ErrorKind, Location};
use orgtrail_service::health::Health;
use tokio_util::sync::CancellationToken;

use crate::config::TrailConfig;

const RETRY: Duration = Duration::from_secs(60);

/// What one trail wants of its bucket.
struct Wish {
    part: String,
    location: Location,
    connection: Connection,
    /// None: the configuration has no `lifecycle` (any more).
    rule: Option<LifecycleRule>,
    /// Id and prefix of the rule, wanted or not.
    name: (String, String),
}

/// Sees to the rules of all trails in S3; ends when it is cancelled.
pub(crate) fn keep(
    trails: &[TrailConfig],
    health: &Health,
    cancel: CancellationToken,
) -> impl Future<Output = anyhow::Result<()>> + Send + use<> {
    let mut wishes: Vec<_> = trails.iter().filter_map(Wish::of).collect();
    let health = health.clone();
    async move {
        loop {
            let mut left = Vec::new();
            for wish in wishes {
                if !wish.try_once(&health).await {
                    left.push(wish);
                }
            }
            wishes = left;
            if wishes.is_empty() {
                cancel.cancelled().await;
                return Ok(());
            }
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }
}

impl Wish {
    fn of(trail: &TrailConfig) -> Option<Self> {
        let location @ Location::S3 { .. } = trail.location.as_ref()? else { return None };
        Some(Self {
            part: format!("trail {} lifecycle", trail.name),
            location: location.clone(),
            connection: trail.connection.clone(),
            rule: trail.lifecycle_rule(),
            name: trail.lifecycle_rule_name(),
        })
    }

    /// Whether nothing is left to do.
    async fn try_once(&self, health: &Health) -> bool {
        match self.apply().await {
            Ok(changes) => {
                health.set_ok(&self.part);
                for change in changes {
                    tracing::info!(destination.location = %self.location, "lifecycle: {change}");
                }
                true
            }
            Err(error) if self.rule.is_none() && is_refused_reading(&error) => {
                // Permissions for lifecycle rules are needed by those alone who want one.
                tracing::info!(
                    destination.location = %self.location,
                    error = %error,
                    "lifecycle: whether rule `{}` of an earlier configuration is still on the bucket isn't known",
                    self.name.0
                );
                true
            }
            Err(error) => {
                let wanted = if self.rule.is_some() { "put" } else { "removed" };
                tracing::warn!(
                    destination.location = %self.location,
                    error = %error,
                    "lifecycle rule not {wanted}, trying again"
                );
                health.set_degraded(&self.part, error.to_string());
                false
            }
        }
    }

    async fn apply(&self) -> Result<Vec<String>, Error> {
        match &self.rule {
            Some(rule) => put_lifecycle_rule(&self.location, &self.connection, rule).await,
            None => remove_lifecycle_rule(&self.location, &self.connection, &self.name.0, &self.name.1).await,
        }
    }
}

/// Whether the rules may not be read, or the store knows no such rules. A refusal to write one away is another matter: it
/// is there.
fn is_refused_reading(error: &Error) -> bool {
    let refused = *error.kind() == ErrorKind::Denied || error.disposition() != Disposition::Retry;
    error.verb() == lifecycle::READ && refused
}
