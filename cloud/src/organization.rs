//! The organization seam: which accounts there are, where they stand in the tree, and how they are tagged.
//!
//! Owns: the trait, an account as it is listed, and the choice of implementation. Does not own: which accounts are
//! wanted, nor how they are reached.
//!
//! Promises of every implementation, judged by `conformance::organization`: every account comes once, however many pages
//! it takes, in the order of ids; tags and parents are there when they were asked for; closed accounts are listed for as
//! long as the organization lists them.

pub(crate) mod aws;
#[cfg(any(test, feature = "fake"))]
pub(crate) mod fake;
pub(crate) mod local;

pub use aws::AwsOrganization;
#[cfg(any(test, feature = "fake"))]
pub use fake::FakeOrganization;
pub use local::LocalOrganization;

use crate::{Connection, Error, ErrorKind};
use async_trait::async_trait;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::path::Path;
use std::sync::Arc;

/// Where an account stands in its life. Source: Organizations API reference, `Account` (`State`, and `Status` before it).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AccountStatus {
    /// In use.
    Active,
    /// Created, and not in use yet.
    PendingActivation,
    /// Its closing is under way.
    PendingClosure,
    /// Closed by AWS, or by its owner within the last 90 days: it delivers nothing new, and can come back.
    Suspended,
    /// Closed for good.
    Closed,
    /// A state that orgtrail does not know.
    Other(String),
}

impl AccountStatus {
    /// AWS's own word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Active => "ACTIVE",
            Self::PendingActivation => "PENDING_ACTIVATION",
            Self::PendingClosure => "PENDING_CLOSURE",
            Self::Suspended => "SUSPENDED",
            Self::Closed => "CLOSED",
            Self::Other(word) => word,
        }
    }

    /// Reads AWS's own word.
    pub fn parse(word: &str) -> Self {
        let known =
            [Self::Active, Self::PendingActivation, Self::PendingClosure, Self::Suspended, Self::Closed].into_iter();
        let mut known = known.filter(|status| status.as_str() == word);
        known.next().unwrap_or_else(|| Self::Other(word.to_owned()))
    }

    /// Can the account still write events? A state that nobody knows counts as open: reading one account too many loses
    /// nothing.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::Suspended | Self::Closed)
    }
}

impl fmt::Display for AccountStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An account of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its 12 digits.
    pub id: String,
    /// `arn:aws:organizations::MANAGEMENT:account/o-…/ID`.
    pub arn: String,
    /// The name that people gave it; empty where none is told.
    pub name: String,
    /// The root user's address; empty where none is told.
    pub email: String,
    /// Where it stands in its life.
    pub status: AccountStatus,
    /// When it became a part of the organization.
    pub joined: Option<Timestamp>,
    /// The ids of the root (`r-…`) and of the organizational units (`ou-…`) above it, from the top. Empty where parents
    /// were not asked for.
    pub ou_path: Vec<String>,
    /// Its tags. Empty where they were not asked for.
    pub tags: BTreeMap<String, String>,
}

/// What is wanted of each account beyond what a listing holds; each costs requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `tags`: a request an account.
    pub tags: bool,
    /// `ou_path`: no request where the listing holds it, else one an account and one an organizational unit.
    pub parents: bool,
}

/// A place that lists the accounts of an organization.
#[async_trait]
pub trait Organization: Send + Sync + Debug {
    /// Every account, in the order of ids. All or nothing: an error says nothing of which accounts there are.
    async fn accounts(&self, wanted: Wanted) -> Result<Vec<Account>, Error>;
}

/// The organization that `from` names: `aws` for the one of the connection's account, which must be the management
/// account or a delegated administrator; `file:///path.json` for what `aws organizations list-accounts` printed, see
/// [`LocalOrganization`]. Calls nothing yet.
pub async fn open_organization(from: &str, connection: &Connection) -> Result<Arc<dyn Organization>, Error> {
    match from.strip_prefix("file://") {
        Some(path) => Ok(Arc::new(LocalOrganization::new(Path::new(path))?)),
        None if from == "aws" => Ok(Arc::new(AwsOrganization::open(connection).await)),
        None => Err(Error::new(ErrorKind::Invalid, "open", format!("organization {from}"))
            .detail("write `aws`, or file:///path.json")),
    }
}

/// The `r-…` and `ou-…` ids of a path such as `o-…/r-…/ou-…/123456789012/`, from the top.
pub(crate) fn ou_path(path: &str) -> Vec<String> {
    let parts = path.split('/').filter(|part| part.starts_with("r-") || part.starts_with("ou-"));
    parts.map(str::to_owned).collect()
}
