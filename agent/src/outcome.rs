//! The account of a run: what became of every object, as `--once` prints it.
//!
//! Owns the table and the exit code that it stands for. The numbers are the ledger's, since the checkpoint was made.

use std::fmt;
use std::time::Duration;

use orgtrail_service::run::Exit;
use orgtrail_service::shape::{Bytes, humane};

use crate::status::Objects;

/// Quarantined objects named in an account.
pub const NAMED_MAX: usize = 50;

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Every object that was there is settled, and everything acknowledged is at every destination.
    pub complete: bool,
    /// The ledger.
    pub objects: Objects,
    /// Objects acknowledged and not known to be delivered.
    pub undelivered: u64,
    /// Entries in the quarantine, oldest first, at most [`NAMED_MAX`].
    pub quarantined: Vec<QuarantinedObject>,
    /// How many entries there are.
    pub quarantined_total: u64,
    /// How long the run took.
    pub elapsed: Duration,
}

/// An object in the quarantine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuarantinedObject {
    /// Its location and key.
    pub subject: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, exactly.
    pub detail: String,
}

impl Outcome {
    /// The process's exit code: complete, complete but for the quarantine, or not complete.
    pub fn exit(&self) -> Exit {
        match (self.complete, self.quarantined_total) {
            (true, 0) => Exit::Ok,
            (true, _) => Exit::Partial,
            (false, _) => Exit::Failed,
        }
    }
}

/// An aligned table, without a line break at its end.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Objects { listed, done, delivered, skipped, quarantined, in_flight, bytes, .. } = &self.objects;
        let mut lines = vec![("objects listed".to_owned(), *listed, String::new())];
        let size = format!("  {}", Bytes(*bytes));
        lines.push(("  delivered".into(), *delivered, if *done == *delivered { size.clone() } else { String::new() }));
        if done > delivered {
            lines.push(("  acknowledged, not delivered".into(), done - delivered, size));
        }
        lines.extend(skipped.iter().map(|(reason, count)| (format!("  skipped, {reason}"), *count, String::new())));
        lines.extend(quarantined.iter().map(|(reason, n)| (format!("  quarantined, {reason}"), *n, String::new())));
        if *in_flight > 0 {
            lines.push(("  in flight".into(), *in_flight, String::new()));
        }
        let width = lines.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        let digits = lines.iter().map(|(_, count, _)| count.to_string().len()).max().unwrap_or(0);
        for (name, count, note) in &lines {
            writeln!(f, "{name:width$}  {count:>digits$}{note}")?;
        }
        if self.quarantined_total > 0 {
            writeln!(f, "in quarantine:")?;
        }
        let reasons = self.quarantined.iter().map(|object| object.reason.len()).max().unwrap_or(0);
        for QuarantinedObject { subject, reason, detail } in &self.quarantined {
            writeln!(f, "  {reason:reasons$}  {subject}  {detail}")?;
        }
        let more = self.quarantined_total.saturating_sub(self.quarantined.len() as u64);
        if more > 0 {
            writeln!(f, "  … and {more} more: orgtrail quarantine list")?;
        }
        let end = if self.complete { "complete" } else { "not complete" };
        write!(f, "{end} after {}", humane(self.elapsed))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn outcome() -> Outcome {
        let objects = Objects {
            listed: 1210,
            done: 1200,
            delivered: 1200,
            skipped: BTreeMap::from([("digest".into(), 8)]),
            quarantined: BTreeMap::from([("not_gzip".into(), 2)]),
            bytes: 3 << 20,
            ..Objects::default()
        };
        let object = QuarantinedObject {
            subject: "s3://b/k".into(),
            reason: "not_gzip".into(),
            detail: "inflate gzip: the input is not gzip".into(),
        };
        let elapsed = Duration::from_secs(65);
        Outcome { complete: true, objects, undelivered: 0, quarantined: vec![object], quarantined_total: 2, elapsed }
    }

    #[test]
    fn the_account_adds_up_and_names_what_is_in_quarantine() {
        let expected = "\
objects listed           1210
  delivered              1200  3 MiB
  skipped, digest           8
  quarantined, not_gzip     2
in quarantine:
  not_gzip  s3://b/k  inflate gzip: the input is not gzip
  … and 1 more: orgtrail quarantine list
complete after 1m 5s";
        assert_eq!(outcome().to_string(), expected);
    }

    #[test]
    fn the_exit_code_says_whether_a_person_should_look() {
        assert_eq!(outcome().exit(), Exit::Partial);
        assert_eq!(Outcome { quarantined_total: 0, ..outcome() }.exit(), Exit::Ok);
        assert_eq!(Outcome { complete: false, ..outcome() }.exit(), Exit::Failed);
    }

    #[test]
    fn what_is_left_of_an_unfinished_run_is_said() {
        let objects = Objects { listed: 5, done: 3, delivered: 1, in_flight: 2, ..Objects::default() };
        let text = Outcome { objects, ..Outcome::default() }.to_string();
        for said in ["acknowledged, not delivered  2", "in flight                    2", "not complete after"] {
            assert!(text.contains(said), "`{said}` in:\n{text}");
        }
    }
}
