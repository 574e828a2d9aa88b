//! A trail: what it is called, and where its objects lie.

use orgtrail_event::key::{DigestKey, DigestStamp, Folder, Kind, LogKey};

/// What delivery needs to know of a trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trail {
    /// CloudTrail's trail name; also the name of its destination in the journal.
    pub(crate) name: String,
    /// `o-…`, for an organization trail.
    pub(crate) organization_id: Option<String>,
    /// The account that owns the trail.
    pub(crate) account: String,
    /// The region that the trail is at home in.
    pub(crate) home_region: String,
    /// The trail's ARN, which CloudTrail gives KMS as encryption context.
    pub(crate) arn: String,
    /// The bucket's name, or the last part of a folder's path: what digests and notifications call it.
    pub(crate) bucket: String,
    /// The location's prefix in the bucket, without slashes around it.
    pub(crate) prefix: String,
}

/// The journal's name for a trail's CloudWatch Logs destination. A trail's own name holds no slash.
pub(crate) fn cloudwatch_destination(trail: &str) -> String {
    format!("{trail}/cloudwatch")
}

/// The trail that a destination belongs to.
pub(crate) fn trail_of(destination: &str) -> &str {
    destination.split('/').next().unwrap_or(destination)
}

impl Trail {
    /// Where the records of a source file go: its account, region and day, in this trail's layout.
    pub(crate) fn folder(&self, source: &LogKey) -> Folder {
        self.folder_of(&source.folder.account, &source.folder.region, source.folder.kind)
    }

    /// The key under which a source file is delivered as it is: its own name in this trail's layout.
    pub(crate) fn verbatim_key(&self, source: &LogKey) -> String {
        let mut key = source.clone();
        key.folder = self.folder(source);
        key.to_string()
    }

    /// The key of a digest, below the trail's location.
    pub(crate) fn digest_key(&self, account: &str, region: &str, end: DigestStamp, backfill: bool) -> String {
        let folder = self.folder_of(account, region, Kind::Digest);
        DigestKey::new(folder, end, &self.name, &self.home_region, backfill).to_string()
    }

    /// A key below the trail's location as the bucket knows it.
    pub(crate) fn object(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }

    /// The folder of an account's files of a kind in a region.
    pub(crate) fn folder_of(&self, account: &str, region: &str, kind: Kind) -> Folder {
        Folder {
            prefix: String::new(),
            organization_id: self.organization_id.clone(),
            account: account.to_owned(),
            kind,
            region: region.to_owned(),
        }
    }
}
