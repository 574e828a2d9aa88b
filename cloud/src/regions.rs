//! The regions seam: which regions an account has, and which failures say that a region is closed to it.
//!
//! Owns: the trait, a region's state, and telling a region that is closed (not enabled, or denied by policy) from one
//! that fails. Does not own: which regions are read.

pub(crate) mod aws;
#[cfg(any(test, feature = "fake"))]
pub(crate) mod fake;

pub use aws::AwsRegions;
#[cfg(any(test, feature = "fake"))]
pub use fake::FakeRegions;

use crate::{Connection, Error, ErrorKind};
use async_trait::async_trait;
use std::fmt::{self, Debug};
use std::sync::Arc;

/// Whether an account can use a region. Source: Account Management API reference, `Region` (`RegionOptStatus`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegionStatus {
    /// An opt-in region that was enabled.
    Enabled,
    /// A region that every account has.
    EnabledByDefault,
    /// An opt-in region that is being enabled, which can take hours.
    Enabling,
    /// One that is being disabled.
    Disabling,
    /// An opt-in region that is not enabled.
    Disabled,
    /// A state that orgtrail does not know.
    Other(String),
}

impl RegionStatus {
    /// AWS's own word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Enabled => "ENABLED",
            Self::EnabledByDefault => "ENABLED_BY_DEFAULT",
            Self::Enabling => "ENABLING",
            Self::Disabling => "DISABLING",
            Self::Disabled => "DISABLED",
            Self::Other(word) => word,
        }
    }

    /// Reads AWS's own word.
    pub fn parse(word: &str) -> Self {
        let known = [Self::Enabled, Self::EnabledByDefault, Self::Enabling, Self::Disabling, Self::Disabled];
        let mut known = known.into_iter().filter(|status| status.as_str() == word);
        known.next().unwrap_or_else(|| Self::Other(word.to_owned()))
    }

    /// Does the region answer now? Events of a region that is being disabled are still there.
    pub fn is_usable(&self) -> bool {
        matches!(self, Self::Enabled | Self::EnabledByDefault | Self::Disabling)
    }
}

impl fmt::Display for RegionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A region of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// `eu-central-1`.
    pub name: String,
    /// Whether the account can use it.
    pub status: RegionStatus,
}

/// A place that lists an account's regions.
#[async_trait]
pub trait Regions: Send + Sync + Debug {
    /// Every region of the partition with its state for an account: the connection's own for `None`, else a member of
    /// its organization, which only the management account and delegated administrators may ask for. In the order of
    /// names.
    async fn list(&self, account: Option<&str>) -> Result<Vec<Region>, Error>;
}

/// The regions that a connection sees, from AWS Account Management. Calls nothing yet.
pub async fn open_regions(connection: &Connection) -> Arc<dyn Regions> {
    Arc::new(AwsRegions::open(connection).await)
}

/// Why a region is closed to an account: no failure of ours, and nothing that another attempt changes soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// The account has not enabled it, and AWS says so.
    NotEnabled,
    /// The region does not know the credentials: it is not enabled, or they are not valid anywhere. Where
    /// [`crate::caller_identity`] in another region works with the same connection, it is not enabled.
    NotKnownThere,
    /// An explicit deny in a service control policy, as organizations close regions that they don't use.
    DeniedByPolicy,
}

impl Closed {
    /// Reads it out of a failed call in that region; `None` where the failure says nothing of the kind.
    ///
    /// Source: "Common errors" of the EC2 and CloudTrail API references for the codes, IAM user guide, "Troubleshoot
    /// access denied error messages", for the sentence about policies.
    pub fn of(error: &Error) -> Option<Self> {
        match error.service_code() {
            Some("OptInRequired" | "RegionDisabledException") => return Some(Self::NotEnabled),
            // What STS says when a role is assumed is about the credentials before, not about this region.
            Some("UnrecognizedClientException" | "InvalidClientTokenId" | "AuthFailure")
                if !error.is_of_credentials() =>
            {
                return Some(Self::NotKnownThere);
            }
            _ => {}
        }
        let by_policy = error.detail_text().contains("explicit deny in a service control policy");
        (*error.kind() == ErrorKind::Denied && by_policy).then_some(Self::DeniedByPolicy)
    }

    /// A short name for metric labels and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotEnabled | Self::NotKnownThere => "region_not_enabled",
            Self::DeniedByPolicy => "denied_by_policy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(code: &str, message: &str) -> Error {
        Error::new(ErrorKind::Denied, "look up", "events").detail(format!("{code}: {message}")).code(Some(code.into()))
    }

    #[test]
    fn closed_regions_are_told_from_failures() {
        assert_eq!(Closed::of(&failed("OptInRequired", "x")), Some(Closed::NotEnabled));
        assert_eq!(Closed::of(&failed("UnrecognizedClientException", "x")), Some(Closed::NotKnownThere));
        assert_eq!(Closed::of(&failed("InvalidClientTokenId", "x").of_credentials()), None);
        let scp = "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: cloudtrail:LookupEvents with an explicit deny in a service control policy";
        assert_eq!(Closed::of(&failed("AccessDeniedException", scp)), Some(Closed::DeniedByPolicy));
        assert_eq!(Closed::of(&failed("AccessDeniedException", "no identity-based policy allows it")), None);
    }

    #[test]
    fn states_are_read_and_only_some_can_be_used() {
        for (word, usable) in [
            ("ENABLED", true),
            ("ENABLED_BY_DEFAULT", true),
            ("ENABLING", false),
            ("DISABLING", true),
            ("DISABLED", false),
            ("NEW", false),
        ] {
            let status = RegionStatus::parse(word);
            assert_eq!((status.as_str(), status.is_usable()), (word, usable));
        }
    }
}
