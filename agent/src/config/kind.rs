//! What a source is, and what its configuration needs for that.
//!
//! Owns the kinds' names, the check of what goes with which, and the location by which a source is known. Does not own
//! opening them (`crate::kind`).

use orgtrail_cloud::{Connection, Location};
use orgtrail_service::config::Problems;
use serde::Deserialize;

use super::Source;

/// Where a source's events are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// In a bucket, or a folder that stands for one, in CloudTrail's own layout.
    #[default]
    Bucket,
    /// In an account's event history, which LookupEvents serves: 90 days of management events.
    LookupEvents,
    /// In files of any names and forms.
    ExportedLogs,
}

impl SourceKind {
    pub(super) fn check(self, source: &Source, problems: &mut Problems) {
        if self == Self::Bucket {
            return;
        }
        if source.digest_keys.is_some() {
            problems.push("digest_keys", "only trails sign digests: remove it, or write kind = \"bucket\"");
        }
        if source.notifications.is_some() {
            problems.push("notifications", "only buckets tell of new objects: remove it, or write kind = \"bucket\"");
        }
        match (self, &source.location) {
            (Self::LookupEvents, Some(_)) => {
                problems.push("location", "an event history is in no bucket or folder: remove it");
            }
            (Self::LookupEvents, None) if source.accounts.len() > 1 => {
                problems.push("accounts", "a connection sees one account's event history: write a source for each");
            }
            (Self::ExportedLogs, Some(Location::File { .. })) if source.connection != Connection::default() => {
                problems.push("location", "a folder needs no role, region or endpoint: remove them");
            }
            (Self::ExportedLogs, None | Some(Location::S3 { .. } | Location::EventHistory { .. })) => {
                problems.push("location", "missing, or no folder; write file:///folder")
            }
            _ => {}
        }
    }
}

impl Source {
    /// The location by which logs, status, checkpoint and aggregator know the source. An event history goes by its account,
    /// or where only its credentials tell that, by what they are.
    pub(crate) fn place(&self) -> Option<Location> {
        if self.kind != SourceKind::LookupEvents {
            return self.location.clone();
        }
        let of_role = || {
            let role = self.connection.role_arn.as_deref()?;
            role.split(':').nth(4).filter(|account| !account.is_empty()).map(str::to_owned)
        };
        let of = self.accounts.first().cloned().or_else(of_role);
        let of = of.or_else(|| self.connection.profile.clone()).unwrap_or_else(|| "this-account".to_owned());
        Some(Location::EventHistory { of })
    }
}
