//! The part of a key that all files of one account, kind and region share.

use std::fmt;

use jiff::civil::Date;

/// The kinds of files CloudTrail delivers, each in a folder of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Management and data events.
    Log,
    /// Network activity events of VPC endpoints.
    NetworkActivity,
    /// Data events added up over five minutes.
    Aggregated,
    /// Insight events.
    Insight,
    /// Digests, hourly and backfill.
    Digest,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Log, Self::NetworkActivity, Self::Aggregated, Self::Insight, Self::Digest];

    /// The folder's name.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Log => "CloudTrail",
            Self::NetworkActivity => "CloudTrail-NetworkActivity",
            Self::Aggregated => "CloudTrail-Aggregated",
            Self::Insight => "CloudTrail-Insight",
            Self::Digest => "CloudTrail-Digest",
        }
    }

    /// The word between account and region in the file's name, the same as the folder's.
    pub const fn stem(self) -> &'static str {
        self.folder()
    }

    /// The kind whose folder has this name.
    pub fn from_folder(folder: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.folder() == folder)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.folder())
    }
}

/// How the keys of a bucket are laid out above the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layout {
    /// `AWSLogs/<account>/…`: a trail of one account.
    Plain,
    /// `AWSLogs/<o-id>/<account>/…`: an organization trail.
    Organization,
    /// `<o-id>/AWSLogs/<o-id>/<account>/…`: the organization trail that AWS Control Tower makes.
    ControlTower,
    /// Either of the first two under any other prefix.
    Prefixed,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Organization => "organization",
            Self::ControlTower => "control tower",
            Self::Prefixed => "prefixed",
        })
    }
}

/// `[prefix/]AWSLogs/[o-id/]<account>/<kind>/<region>/`
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Folder {
    /// The trail's S3 key prefix, `""` or `a/b`. It ends in a slash only where the key itself has two in a row, which
    /// a prefix given with a slash at its end brings about.
    pub prefix: String,
    /// `o-…`, in an organization trail's keys.
    pub organization_id: Option<String>,
    /// 12 digits.
    pub account: String,
    /// What the folder holds.
    pub kind: Kind,
    /// Region of the events, by CloudTrail's account of it; a record inside may name another.
    pub region: String,
}

impl Folder {
    /// The key prefix that all the folder's objects share, with a slash at its end.
    pub fn path(&self) -> String {
        Parts {
            prefix: &self.prefix,
            organization_id: self.organization_id.as_deref(),
            account: &self.account,
            kind: self.kind.folder(),
            region: &self.region,
        }
        .path()
    }

    /// The key prefix of one day's objects, with a slash at its end.
    pub fn day_path(&self, date: Date) -> String {
        format!("{}{:04}/{:02}/{:02}/", self.path(), date.year(), date.month(), date.day())
    }

    /// How the keys are laid out above the account.
    pub fn layout(&self) -> Layout {
        match (self.prefix.as_str(), self.organization_id.as_deref()) {
            ("", None) => Layout::Plain,
            ("", Some(_)) => Layout::Organization,
            (prefix, Some(organization)) if prefix == organization => Layout::ControlTower,
            _ => Layout::Prefixed,
        }
    }

    /// Reads a path down to the region, with or without a slash at its end. Read from the right, as a prefix may hold
    /// anything, `AWSLogs` included.
    pub fn parse(path: &str) -> Option<Self> {
        let parts = Parts::split(path.strip_suffix('/').unwrap_or(path))?;
        Some(Self {
            prefix: parts.prefix.to_owned(),
            organization_id: parts.organization_id.map(str::to_owned),
            account: parts.account.to_owned(),
            kind: Kind::from_folder(parts.kind)?,
            region: parts.region.to_owned(),
        })
    }
}

/// A path down to the region, in its parts: the services that deliver below `AWSLogs` with a folder for each region share
/// it.
pub(crate) struct Parts<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) organization_id: Option<&'a str>,
    pub(crate) account: &'a str,
    /// The folder between account and region, whatever it is called.
    pub(crate) kind: &'a str,
    pub(crate) region: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes a path apart that has no slash at its end.
    pub(crate) fn split(path: &'a str) -> Option<Self> {
        let (path, region) = path.rsplit_once('/')?;
        let (path, kind) = path.rsplit_once('/')?;
        let (path, account) = path.rsplit_once('/')?;
        if !is_account(account) || !is_region(region) {
            return None;
        }
        let (path, organization_id) = match path.rsplit_once('/') {
            Some((above, id)) if is_organization_id(id) => (above, Some(id)),
            _ => (path, None),
        };
        let prefix = match path.strip_suffix("AWSLogs")? {
            "" => "",
            above => above.strip_suffix('/').filter(|prefix| !prefix.is_empty())?,
        };
        Some(Self { prefix, organization_id, account, kind, region })
    }

    /// Puts it together again, with a slash at its end.
    pub(crate) fn path(&self) -> String {
        let slash = |part: &str| if part.is_empty() { "" } else { "/" };
        let Self { prefix, account, kind, region, .. } = self;
        let organization = self.organization_id.unwrap_or_default();
        let (above, below) = (slash(prefix), slash(organization));
        format!("{prefix}{above}AWSLogs/{organization}{below}{account}/{kind}/{region}/")
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Any word of lower-case letters, digits and `-`: new regions and other partitions come without notice.
pub(crate) fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// `o-` and 10 to 32 letters and digits by the AWS Organizations API; published data sets shorten it.
fn is_organization_id(text: &str) -> bool {
    text.strip_prefix("o-").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}
