//! Where objects live, as written in configuration: `s3://bucket[/prefix]` or `file:///absolute/path`.
//!
//! Owns: the two notations and their errors. Does not own: reaching the place (`object_store`), nor what the keys below
//! it mean.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// A place that holds objects. Keys given to a store are relative to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Location {
    /// A bucket, or everything under one prefix of it.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The prefix without a leading or trailing slash; empty for the whole bucket.
        prefix: String,
    },
    /// A folder of the local file system that stands for a bucket.
    File {
        /// The folder: absolute, without `.` and `..`.
        root: PathBuf,
    },
    /// The event history of an account, which CloudTrail keeps for 90 days. Only a name: it is not written so in
    /// configuration, and no store opens it.
    EventHistory {
        /// The account, or whatever else tells it from others.
        of: String,
    },
}

/// Why a text is no location.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParseError {
    /// Neither notation.
    #[error("`{0}` is no location: write s3://bucket/prefix or file:///absolute/path")]
    Scheme(String),
    /// No such bucket can exist. The rules are those of the S3 user guide, "Bucket naming rules", with the older, wider
    /// ones of us-east-1 let through.
    #[error("`{0}` is no bucket name: write s3://bucket/prefix with 3 to 255 of a-z A-Z 0-9 . _ -")]
    Bucket(String),
    /// A relative path, or one with a host before it.
    #[error("`{0}` has no absolute path: write file:///absolute/path, with three slashes")]
    Relative(String),
    /// A path that climbs.
    #[error("`{0}` has `.` or `..` in its path: write the plain absolute path")]
    Climbs(String),
}

impl Location {
    /// The prefix inside the bucket, without slashes around it; empty for a folder.
    pub fn prefix(&self) -> &str {
        match self {
            Self::S3 { prefix, .. } => prefix,
            Self::File { .. } | Self::EventHistory { .. } => "",
        }
    }

    /// The name of an object at this place, for messages: `s3://bucket/prefix/key`.
    pub fn object(&self, key: &str) -> String {
        let mut name = self.to_string();
        if !name.ends_with('/') {
            name.push('/');
        }
        name.push_str(key);
        name
    }

    fn parse_s3(rest: &str, whole: &str) -> Result<Self, ParseError> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if !(3..=255).contains(&bucket.len()) || !bucket.bytes().all(allowed) || bucket.starts_with('.') {
            return Err(ParseError::Bucket(whole.to_owned()));
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
    }

    fn parse_file(rest: &str, whole: &str) -> Result<Self, ParseError> {
        if !rest.starts_with('/') || rest.contains('\0') {
            return Err(ParseError::Relative(whole.to_owned()));
        }
        // `components` drops `.` in the middle silently, so look at the text itself.
        if rest.split('/').any(|part| part == "." || part == "..") {
            return Err(ParseError::Climbs(whole.to_owned()));
        }
        Ok(Self::File { root: Path::new(rest).components().collect() })
    }
}

impl FromStr for Location {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if let Some(rest) = text.strip_prefix("s3://") {
            Self::parse_s3(rest, text)
        } else if let Some(rest) = text.strip_prefix("file://") {
            Self::parse_file(rest, text)
        } else {
            Err(ParseError::Scheme(text.to_owned()))
        }
    }
}

impl TryFrom<String> for Location {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Location> for String {
    fn from(location: Location) -> Self {
        location.to_string()
    }
}

/// The location of a local folder. The path must be absolute and plain, as in the text form.
impl TryFrom<&Path> for Location {
    type Error = ParseError;

    fn try_from(path: &Path) -> Result<Self, ParseError> {
        let text = format!("file://{}", path.display());
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(ParseError::Climbs(text));
        }
        if !path.is_absolute() {
            return Err(ParseError::Relative(text));
        }
        Ok(Self::File { root: path.components().collect() })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::File { root } => write!(f, "file://{}", root.display()),
            Self::EventHistory { of } => write!(f, "event-history://{of}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Location, ParseError> {
        text.parse()
    }

    #[test]
    fn both_notations_are_read_and_written_back() {
        for (text, again) in [
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("s3://my.bucket-1/a/b/", "s3://my.bucket-1/a/b"),
            ("file:///srv/trail/", "file:///srv/trail"),
            ("file:///with space/ü", "file:///with space/ü"),
            ("file:///", "file:///"),
        ] {
            let location = parse(text).unwrap();
            assert_eq!(location.to_string(), again);
            assert_eq!(parse(again).unwrap(), location);
        }
    }

    #[test]
    fn errors_say_what_to_write() {
        assert!(parse("/srv/trail").unwrap_err().to_string().contains("file:///absolute/path"));
        assert!(parse("file://srv/trail").unwrap_err().to_string().contains("three slashes"));
        assert!(parse("file:///a/../b").unwrap_err().to_string().contains("plain absolute path"));
        assert!(parse("s3://").unwrap_err().to_string().contains("s3://bucket/prefix"));
        assert!(parse("event-history://111122223333").is_err(), "a name, not for configuration");
        assert!(parse("s3://arn:aws:s3:::x").unwrap_err().to_string().contains("no bucket name"));
    }

    #[test]
    fn an_object_is_named_below_its_location() {
        assert_eq!(parse("s3://bucket/a").unwrap().object("k/l"), "s3://bucket/a/k/l");
        assert_eq!(parse("file:///").unwrap().object("k"), "file:///k");
    }

    #[test]
    fn a_location_is_a_string_in_configuration() {
        let location: Location = serde_json::from_str("\"s3://bucket/a\"").unwrap();
        assert_eq!(serde_json::to_string(&location).unwrap(), "\"s3://bucket/a\"");
        assert!(serde_json::from_str::<Location>("\"bucket\"").is_err());
    }
}
