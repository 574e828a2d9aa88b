//! Records from what an operator has at hand: log files as they are delivered, unpacked ones, lists, records one a line.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use orgtrail_event::gzip::Inflater;
use orgtrail_event::key::{Folder, ObjectKey, classify};
use orgtrail_event::log_file::{BadReason, Error, Item, Limits, RawRecord, read as read_log_file};
use orgtrail_event::record::Header;
use serde::de::IgnoredAny;

/// As much as an aggregator takes unless told otherwise.
const FILE_BYTES_MAX: usize = 512 << 20;

/// A file's content, inflated; `-` is standard input.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let source: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(std::fs::File::open(path).with_context(|| format!("open {}", path.display()))?),
    };
    let max = FILE_BYTES_MAX as u64;
    source.take(max + 1).read_to_end(&mut bytes).with_context(|| format!("read {}", path.display()))?;
    if bytes.len() > FILE_BYTES_MAX {
        bail!("{} is larger than {max} bytes: no log file", path.display());
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut inflated = Vec::new();
        let result = Inflater::new().inflate(&bytes, FILE_BYTES_MAX, &mut inflated);
        result.with_context(|| format!("inflate {}", path.display()))?;
        return Ok(inflated);
    }
    Ok(bytes)
}

/// Shows every record; gives what is wrong with each stretch that holds none.
pub(super) fn each(content: &[u8], mut show: impl FnMut(&RawRecord<'_>)) -> anyhow::Result<Vec<String>> {
    let mut bad = Vec::new();
    let mut all = |json: &[u8], describe: &dyn Fn(&BadReason) -> String| -> Result<(), Error> {
        for item in read_log_file(json, &Limits::default())? {
            match item {
                Item::Record(record) => show(&record),
                Item::Bad(stretch) => bad.push(describe(&stretch.reason)),
            }
        }
        Ok(())
    };
    let error = match all(content, &BadReason::to_string) {
        Ok(()) => return Ok(bad),
        Err(error) => error,
    };
    match content.trim_ascii() {
        // A list of records.
        list @ [b'[', ..] => all(&[ROOT, list, b"}"].concat(), &|reason| in_wrapping(reason, ROOT.len()))?,
        // One record, on however many lines.
        record @ [b'{', ..] if serde_json::from_slice::<IgnoredAny>(record).is_ok() => {
            all(&alone(record), &BadReason::to_string)?
        }
        lines @ [b'{', ..] => {
            for (number, line) in (1..).zip(lines.split(|byte| *byte == b'\n')) {
                if !line.trim_ascii().is_empty() {
                    let describe =
                        |reason: &BadReason| format!("line {number}: {}", in_wrapping(reason, ROOT.len() + 1));
                    all(&alone(line.trim_ascii()), &describe)?;
                }
            }
        }
        _ => return Err(error.into()),
    }
    Ok(bad)
}

/// What a log file begins with, down to its list.
const ROOT: &[u8] = b"{\"Records\":";

/// A log file with one record.
fn alone(record: &[u8]) -> Vec<u8> {
    [ROOT, b"[", record, b"]}"].concat()
}

/// What is wrong with text that had `before` bytes put in front of it.
fn in_wrapping(reason: &BadReason, before: usize) -> String {
    match reason {
        BadReason::InvalidJson { at, what } => BadReason::InvalidJson { at: at.saturating_sub(before), what },
        BadReason::InvalidUtf8 { at } => BadReason::InvalidUtf8 { at: at.saturating_sub(before) },
        other => other.clone(),
    }
    .to_string()
}

/// Where a file lies.
pub(super) struct Place(Option<Folder>);

impl Place {
    /// Of a path that ends as a delivered object's key.
    pub(super) fn of(path: &Path) -> Self {
        let path = path.to_string_lossy();
        let key = path.rfind("AWSLogs/").map_or("", |at| &path[at..]);
        Self(match classify(key) {
            ObjectKey::Log(key) | ObjectKey::Insight(key) => Some(key.folder),
            _ => None,
        })
    }

    /// Account and region of a record in this file.
    pub(super) fn of_record<'a>(&'a self, header: &'a Header<'_>) -> (&'a str, &'a str) {
        match &self.0 {
            Some(folder) => (&folder.account, &folder.region),
            None => (
                header.recipient_account_id.as_deref().unwrap_or_default(),
                header.aws_region.as_deref().unwrap_or_default(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(content: &str) -> (Vec<String>, Vec<String>) {
        let mut ids = Vec::new();
        let show = |record: &RawRecord<'_>| ids.push(record.header.event_id.clone().unwrap_or_default().into_owned());
        let bad = each(content.as_bytes(), show).expect("it can be read");
        (ids, bad)
    }

    #[test]
    fn records_are_found_in_every_form() {
        let two = (vec!["a".to_owned(), "b".to_owned()], Vec::new());
        assert_eq!(records(r#"{"Records":[{"eventID":"a"},{"eventID":"b"}]}"#), two);
        assert_eq!(records(r#" [{"eventID":"a"}, {"eventID":"b"}] "#), two);
        assert_eq!(records("{\"eventID\":\"a\"}\r\n\n{\"eventID\":\"b\"}\n"), two);
        assert_eq!(records("{\n \"eventID\":\n \"a\"}\n"), (vec!["a".to_owned()], Vec::new()));
        let bad = vec!["line 2: invalid JSON at byte 11: expected a value".to_owned()];
        assert_eq!(records("{\"eventID\":\"a\"}\n{\"eventID\":}\n{\"eventID\":\"b\"}"), (two.0, bad));
        let bad = vec!["invalid JSON at byte 12: expected a value".to_owned()];
        assert_eq!(records("[{\"eventID\":}, {\"eventID\":\"b\"}]"), (vec!["b".to_owned()], bad));
        assert!(each(b"no JSON", |_| {}).is_err() && each(b"", |_| {}).is_err());
    }

    #[test]
    fn account_and_region_are_the_folders_or_else_the_records() {
        let name = "111122223333_CloudTrail_us-west-2_20260301T1005Z_abcdefghijklmnop.json.gz";
        let path = format!("/data/bucket/AWSLogs/o-exampleorgid/111122223333/CloudTrail/us-west-2/2026/03/01/{name}");
        let header = Header {
            recipient_account_id: Some("444455556666".into()),
            aws_region: Some("us-east-1".into()),
            ..Header::default()
        };
        assert_eq!(Place::of(Path::new(&path)).of_record(&header), ("111122223333", "us-west-2"));
        assert_eq!(Place::of(Path::new("file.json")).of_record(&header), ("444455556666", "us-east-1"));
        assert_eq!(Place::of(Path::new("file.json")).of_record(&Header::default()), ("", ""));
    }
}
