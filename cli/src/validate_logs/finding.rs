//! What validation tells: verdicts in the AWS CLI's words, and findings of our own.

use jiff::Timestamp;
use orgtrail_event::digest::{DigestFault, LogFault};
use serde::Serialize;

use super::time::{display, hours_between};

/// What was found out, in the order in which it is told.
#[derive(Debug)]
pub(super) enum Event {
    /// So many digests were listed for a chain.
    Listed(usize),
    /// A digest.
    Digest(Box<JudgedDigest>),
    /// A log file of the digest before.
    Log {
        /// `s3://…`
        name: String,
        /// Whether it is whole.
        result: Result<(), LogFault>,
    },
    /// A digest's chain begins there, and an older one ends earlier: nothing was delivered between, by the signer's word.
    Gap {
        /// Among backfill digests.
        backfill: bool,
        /// The older one's end.
        from: Timestamp,
        /// The newer one's start.
        until: Timestamp,
    },
    /// What the AWS CLI doesn't look for.
    Finding(Finding),
    /// Copies are read from elsewhere than they were delivered to.
    Moved {
        /// `s3://bucket/prefix` that the digests name.
        from: String,
    },
}

/// A digest with its verdict.
#[derive(Debug)]
pub(super) struct JudgedDigest {
    pub(super) name: String,
    pub(super) backfill: bool,
    pub(super) result: Result<Span, DigestFault>,
}

/// What is told of a valid digest.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) fingerprint: String,
    /// The source digests in its custody.
    pub(super) sources: Vec<Source>,
}

/// A verified digest of a source.
#[derive(Debug, Serialize)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) verified_at: String,
    pub(super) fingerprint: String,
    pub(super) log_files: usize,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Something was changed or taken away.
    Invalid,
    /// It may be in order; a person has to know.
    Warning,
    /// It is in order.
    Note,
}

/// Something about a chain, a digest or a log file that the AWS CLI doesn't tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The object that it is about, or the chain's folder.
    pub(super) name: String,
    pub(super) what: What,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// No digest is there for a time, though the digest after it names one before it.
    Deleted { from: Timestamp, until: Timestamp },
    /// The newest digest that is there ends too early.
    NewestMissing { ends: Timestamp, until: Timestamp },
    /// There is no digest at all.
    NoDigest { from: Timestamp, until: Timestamp },
    /// The digest before is not the one that this one was made after.
    PreviousHash,
    /// The signature of the digest before is another.
    PreviousSignature,
    /// It begins at another time than the digest before ends.
    Discontinuous { starts: Timestamp, previous_ends: Timestamp },
    /// The digest says another account, or time, than its key, or lists another account's or region's log file.
    Unlike { says: String, key: String },
    /// A backfill digest that the chain names isn't there.
    BackfillMissing { named_by: String },
    /// A backfill digest isn't the one that the chain names.
    BackfillOther { named_by: String },
    /// The digest's custody is wrong.
    Custody(String),
    /// No digest lists a log file that lies in validated hours.
    Unlisted,
    /// A chain starts there, although there are older digests.
    Restart,
}

impl Finding {
    pub(super) fn severity(&self) -> Severity {
        match self.what {
            What::Unlisted => Severity::Warning,
            What::Restart => Severity::Note,
            _ => Severity::Invalid,
        }
    }

    /// The word for it in JSON.
    pub(super) fn kind(&self) -> &'static str {
        match self.what {
            What::Deleted { .. } => "digests_deleted",
            What::NewestMissing { .. } => "newest_digests_missing",
            What::NoDigest { .. } => "no_digests",
            What::PreviousHash => "previous_hash",
            What::PreviousSignature => "previous_signature",
            What::Discontinuous { .. } => "discontinuous",
            What::Unlike { .. } => "unlike_its_key",
            What::BackfillMissing { .. } => "backfill_digest_missing",
            What::BackfillOther { .. } => "backfill_digest_other",
            What::Custody(_) => "custody",
            What::Unlisted => "log_file_unlisted",
            What::Restart => "chain_restart",
        }
    }

    /// The first column: never the AWS CLI's words, so that its lines can be told from these.
    fn subject(&self) -> &'static str {
        match self.what {
            What::BackfillMissing { .. } | What::BackfillOther { .. } => "Backfill digest",
            What::Unlisted => "Unlisted log file",
            What::Custody(_) => "Custody",
            _ => "Digest chain",
        }
    }

    /// The last column.
    pub(super) fn detail(&self) -> String {
        match &self.what {
            What::Deleted { from, until } => format!(
                "INVALID: digest files were deleted: none is there between {} and {}",
                display(*from),
                display(*until)
            ),
            What::NewestMissing { ends, until } => format!(
                "INVALID: the newest digest files are missing: the last one ends at {}, {} h before {}",
                display(*ends),
                hours_between(*ends, *until),
                display(*until)
            ),
            What::NoDigest { from, until } => {
                format!("INVALID: no digest file between {} and {}", display(*from), display(*until))
            }
            What::PreviousHash => "INVALID: the digest before it is not the one whose hash it holds".to_owned(),
            What::PreviousSignature => {
                "INVALID: the digest before it is not the one whose signature it holds".to_owned()
            }
            What::Discontinuous { starts, previous_ends } => format!(
                "INVALID: it starts at {}, but the digest before it ends at {}",
                display(*starts),
                display(*previous_ends)
            ),
            What::Unlike { says, key } => format!("INVALID: it says {says}, but its place is {key}'s"),
            What::BackfillMissing { named_by } => format!("INVALID: not found, but named by {named_by}"),
            What::BackfillOther { named_by } => format!("INVALID: not the one that is named by {named_by}"),
            What::Custody(why) => format!("INVALID: {why}"),
            What::Unlisted => "no digest file lists it".to_owned(),
            What::Restart => "a chain starts here: it names no digest before it".to_owned(),
        }
    }

    /// The line, tab-separated as the AWS CLI's are.
    pub(super) fn line(&self) -> String {
        format!("{}\t{}\t{}", self.subject(), self.name, self.detail())
    }
}
