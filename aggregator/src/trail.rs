//! A trail: what it is called, and where its objects lie.

use orgtrail_event::key::{Folder, LogKey};

/// What delivery needs to know of a trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trail {
    /// CloudTrail's trail name; also the destination's name in the journal.
    pub(crate) name: String,
    /// `o-…`, for an organization trail.
    pub(crate) organization_id: Option<String>,
    /// The trail's ARN, which CloudTrail gives KMS as encryption context.
    pub(crate) arn: String,
}

impl Trail {
    /// Where the records of a source file go: its account, region and day, in this trail's layout.
    pub(crate) fn folder(&self, source: &LogKey) -> Folder {
        Folder {
            prefix: String::new(),
            organization_id: self.organization_id.clone(),
            account: source.folder.account.clone(),
            kind: source.folder.kind,
            region: source.folder.region.clone(),
        }
    }

    /// The key under which a source file is delivered as it is: its own name in this trail's layout.
    pub(crate) fn verbatim_key(&self, source: &LogKey) -> String {
        let mut key = source.clone();
        key.folder = self.folder(source);
        key.to_string()
    }
}
