//! The one error of this crate, and the one place that decides whether a failure is worth another attempt.
//!
//! Owns: the kinds of failure the rest of orgtrail tells apart, and their disposition. Does not own: reading them out of
//! the SDK's answers (`classify`), nor retrying: the SDK retries inside an operation, the stages retry around it.

pub(crate) mod classify;

use std::fmt;

/// What a stage does with the work that met an error. The same three words are on the wire, in metrics and in logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// The same call can succeed later: wait and repeat, and show the error while it lasts.
    Retry,
    /// This one input can never succeed, others can: quarantine it.
    Reject,
    /// Nothing can succeed until the configuration is changed.
    Fatal,
}

impl Disposition {
    /// The word used on the wire, in metric labels and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Reject => "reject",
            Self::Fatal => "fatal",
        }
    }
}

/// The failures that callers tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The object isn't there.
    NotFound,
    /// What holds the objects isn't there: bucket, folder, log group, stream or key. Somebody can still create it.
    ContainerMissing,
    /// Authorization refused, or no credentials found. Policies are repaired while we run, so this is worth retrying.
    Denied,
    /// The credentials ran out and were not replaced in time.
    ExpiredCredentials,
    /// Told to slow down.
    Throttled,
    /// Not reached, timed out, broke off, or failed on the other side.
    Unavailable,
    /// The bucket lives in another region, where this connection does not look.
    WrongRegion {
        /// The bucket's own region, when the answer said so.
        region: Option<String>,
    },
    /// A put with `if_absent` found an object under the key.
    AlreadyExists,
    /// The object is larger than the caller allows.
    TooLarge {
        /// The caller's bound, in bytes.
        bytes_max: u64,
    },
    /// This input can never be accepted: an impossible object key, a ciphertext that no key here made, a log batch over
    /// the limits.
    Malformed,
    /// The request itself is wrong, whatever the input: configuration.
    Invalid,
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// A short name for metric labels and logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::ContainerMissing => "container_missing",
            Self::Denied => "denied",
            Self::ExpiredCredentials => "expired_credentials",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::WrongRegion { .. } => "wrong_region",
            Self::AlreadyExists => "already_exists",
            Self::TooLarge { .. } => "too_large",
            Self::Malformed => "malformed",
            Self::Invalid => "invalid",
            Self::Other => "other",
        }
    }

    /// What to do with the work. An unknown failure is retried: giving up on it could lose data.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::ContainerMissing
            | Self::Denied
            | Self::ExpiredCredentials
            | Self::Throttled
            | Self::Unavailable
            | Self::Other => Disposition::Retry,
            Self::NotFound | Self::AlreadyExists | Self::TooLarge { .. } | Self::Malformed => Disposition::Reject,
            Self::WrongRegion { .. } | Self::Invalid => Disposition::Fatal,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::ContainerMissing => f.write_str("no such place"),
            Self::Denied => f.write_str("access denied"),
            Self::ExpiredCredentials => f.write_str("credentials expired"),
            Self::Throttled => f.write_str("throttled"),
            Self::Unavailable => f.write_str("unavailable"),
            Self::WrongRegion { region: Some(region) } => write!(f, "the bucket is in region {region}"),
            Self::WrongRegion { region: None } => f.write_str("the bucket is in another region"),
            Self::AlreadyExists => f.write_str("already exists"),
            Self::TooLarge { bytes_max } => write!(f, "larger than {bytes_max} bytes"),
            Self::Malformed => f.write_str("can't be accepted"),
            Self::Invalid => f.write_str("invalid request"),
            Self::Other => f.write_str("failed"),
        }
    }
}

/// A failed call: what was attempted, on what, and how it failed. Reads `get s3://b/k: access denied (AccessDenied: …;
/// request id …)`.
pub struct Error(Box<Inner>);

struct Inner {
    verb: &'static str,
    subject: String,
    kind: ErrorKind,
    detail: String,
    code: Option<String>,
    of_credentials: bool,
    request_id: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a call: `verb` says what was attempted (`get`), `subject` on what (`s3://b/k`).
    pub fn new(kind: ErrorKind, verb: &'static str, subject: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            verb,
            subject: subject.into(),
            kind,
            detail: String::new(),
            code: None,
            of_credentials: false,
            request_id: None,
            source: None,
        }))
    }

    /// Adds what the other side said, or what to do about it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// Adds what to do about it, after what the other side said.
    #[must_use]
    pub fn advice(mut self, advice: impl AsRef<str>) -> Self {
        if !self.0.detail.is_empty() {
            self.0.detail.push_str("; ");
        }
        self.0.detail.push_str(advice.as_ref());
        self
    }

    /// Adds the id under which AWS support finds the request.
    #[must_use]
    pub fn request_id(mut self, id: Option<String>) -> Self {
        self.0.request_id = id;
        self
    }

    /// Adds the service's own code, which stands in `detail` already.
    #[must_use]
    pub fn code(mut self, code: Option<String>) -> Self {
        self.0.code = code;
        self
    }

    /// Marks a call that was never made because there was nothing to sign it with.
    #[must_use]
    pub(crate) fn of_credentials(mut self) -> Self {
        self.0.of_credentials = true;
        self
    }

    /// Adds the error underneath. Display does not repeat it.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Another kind, where the call knows better than the code what a code means.
    #[must_use]
    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Which failure this is.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// What to do with the work.
    pub fn disposition(&self) -> Disposition {
        self.0.kind.disposition()
    }

    /// The code that the service answered with (`AccessDenied`), where it answered with one.
    pub fn service_code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Did getting credentials fail (no credentials at all, or a role that could not be assumed) and not the call?
    pub fn is_of_credentials(&self) -> bool {
        self.0.of_credentials
    }

    /// What the other side said.
    pub fn detail_text(&self) -> &str {
        &self.0.detail
    }

    /// What was attempted.
    pub fn verb(&self) -> &'static str {
        self.0.verb
    }

    /// On what it was attempted.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// A failure of the local file system.
    pub(crate) fn io(verb: &'static str, subject: impl Into<String>, error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Denied,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            // A file stands where the key needs a folder, or the other way round: no later attempt changes that.
            Io::NotADirectory | Io::IsADirectory | Io::InvalidFilename => ErrorKind::Malformed,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, verb, subject).detail(error.to_string()).source(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { verb, subject, kind, detail, request_id, .. } = &*self.0;
        write!(f, "{verb} {subject}: {kind}")?;
        match (detail.is_empty(), request_id) {
            (true, None) => Ok(()),
            (false, None) => write!(f, " ({detail})"),
            (true, Some(id)) => write!(f, " (request id {id})"),
            (false, Some(id)) => write!(f, " ({detail}; request id {id})"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self}")?;
        if let Some(source) = &self.0.source {
            write!(f, "; source: {source:?}")?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_says_what_on_what_why_and_the_request_id() {
        let error =
            Error::new(ErrorKind::Denied, "get", "s3://b/k").detail("AccessDenied: no").request_id(Some("R1".into()));
        assert_eq!(error.to_string(), "get s3://b/k: access denied (AccessDenied: no; request id R1)");
        assert_eq!(Error::new(ErrorKind::Throttled, "put", "s3://b/k").to_string(), "put s3://b/k: throttled");
    }

    #[test]
    fn refused_and_expired_are_retried_and_only_the_input_is_rejected() {
        for kind in [ErrorKind::Denied, ErrorKind::ExpiredCredentials, ErrorKind::Throttled, ErrorKind::Other] {
            assert_eq!(kind.disposition(), Disposition::Retry, "{kind}");
        }
        assert_eq!(ErrorKind::NotFound.disposition(), Disposition::Reject);
        assert_eq!(ErrorKind::ContainerMissing.disposition(), Disposition::Retry);
        assert_eq!(ErrorKind::Invalid.disposition(), Disposition::Fatal);
    }
}
