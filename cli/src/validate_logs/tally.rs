//! What was counted, and what it means for the exit status.

use jiff::Timestamp;
use serde::Serialize;

use super::chain::Range;
use super::finding::{Event, Severity};

/// Valid and invalid files of one sort.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Ratio {
    pub(super) valid: u64,
    pub(super) invalid: u64,
}

impl Ratio {
    fn count(&mut self, valid: bool) {
        if valid { self.valid += 1 } else { self.invalid += 1 }
    }

    pub(super) fn total(self) -> u64 {
        self.valid + self.invalid
    }
}

/// Counts over all chains.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    range: Range,
    pub(super) digests: Ratio,
    pub(super) backfills: Ratio,
    pub(super) logs: Ratio,
    /// Findings that are invalid.
    pub(super) findings: u64,
    pub(super) warnings: u64,
    pub(super) restarts: u64,
    /// The time that valid digests are about, within what was asked for.
    pub(super) found: Option<(Timestamp, Timestamp)>,
}

impl Tally {
    pub(super) fn new(range: Range) -> Self {
        let (none, found) = (Ratio::default(), None);
        Self { range, digests: none, backfills: none, logs: none, findings: 0, warnings: 0, restarts: 0, found }
    }

    pub(super) fn count(&mut self, event: &Event) {
        match event {
            Event::Digest(judged) => {
                let ratio = if judged.backfill { &mut self.backfills } else { &mut self.digests };
                ratio.count(judged.result.is_ok());
                if let Ok(span) = &judged.result {
                    let (start, end) = (span.start.max(self.range.start), span.end.min(self.range.end));
                    let (from, until) = self.found.unwrap_or((start, end));
                    self.found = Some((from.min(start), until.max(end)));
                }
            }
            Event::Log { result, .. } => self.logs.count(result.is_ok()),
            Event::Finding(finding) => match finding.severity() {
                Severity::Invalid => self.findings += 1,
                Severity::Warning => self.warnings += 1,
                Severity::Note => self.restarts += 1,
            },
            Event::Listed(_) | Event::Gap { .. } | Event::Moved { .. } => {}
        }
    }

    /// Whether anything is INVALID.
    pub(super) fn is_invalid(&self) -> bool {
        self.digests.invalid + self.backfills.invalid + self.logs.invalid + self.findings > 0
    }
}
