//! Which statements a comparison looks at, and how those before the beginning of their chain join it.
//!
//! A chain begins with the first digest that was verified. What is verified later and lies before it, because it was fetched
//! later or a backfill brought it, joins newest first, each only when all of its log files are accounted for: so the chain's
//! beginning moves back over what is proved, and over nothing else. Owns that order. Does not own the chain's rules (`chain`)
//! nor what becomes of a log file (`proof`).

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::entry::FolderId;
use super::proof::{RowId, Wanted};
use super::statement::{self, Statement};
use super::transaction::Transaction;
use super::{Checkpoint, Error, State, open};

/// Statements of one trail that are looked at in one comparison, on either side of its chain's beginning.
const STATEMENTS_MAX: usize = 256;

/// The statements of one digest folder that are looked at now.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Oldest first.
    pub(super) after: Vec<Statement>,
    /// Before the beginning of their chain, newest first.
    pub(super) before: Vec<Statement>,
    /// There are more of either.
    pub(super) more_after: bool,
    pub(super) more_before: bool,
}

/// What is known of the time between two digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    /// Nobody took its days.
    Unknown,
    /// Its digests may be on their way.
    UnderWay,
    /// What was there was taken.
    LookedAt,
}

impl Checkpoint {
    pub(super) fn statements(&self, state: &State, folder: FolderId) -> Result<Lines, Error> {
        let chains = state.proofs.chains.range((folder, String::new())..).take_while(|((id, _), _)| *id == folder);
        let line = |trail: &str, since: i64| statement::lines_from(folder, trail, since.saturating_add(1));
        let begins: HashMap<_, _> = chains
            .map(|((_, trail), chain)| (statement::trail_lines(folder, trail), line(trail, chain.since)))
            .collect();
        let mut lines = Lines::default();
        let (mut from, end) = (statement::lines(folder), behind(&statement::lines(folder)));
        while let Some(first) = self.db.range(from..end.clone()).next().transpose()? {
            let trail = first.0[..statement::trail_lines(folder, "").len()].to_vec();
            let (begin, next) = (begins.get(&trail).unwrap_or(&trail).clone(), behind(&trail));
            let read = |found: &mut Vec<Statement>, line: Result<(sled::IVec, sled::IVec), sled::Error>| {
                let (key, value) = line?;
                found.push(open::from_json(&key, &value)?);
                Ok::<_, Error>(())
            };
            let counts = (lines.after.len(), lines.before.len());
            for line in self.db.range(begin.clone()..next.clone()).take(STATEMENTS_MAX) {
                read(&mut lines.after, line)?;
            }
            for line in self.db.range(trail..begin).rev().take(STATEMENTS_MAX) {
                read(&mut lines.before, line)?;
            }
            lines.more_after |= lines.after.len() - counts.0 == STATEMENTS_MAX;
            lines.more_before |= lines.before.len() - counts.1 == STATEMENTS_MAX;
            from = next;
        }
        Ok(lines)
    }
}

impl Transaction<'_> {
    /// Statements that lie before their chain, newest first: takes off the files that are accounted for, and lets join what
    /// can. Answers whether something did.
    pub(super) fn join_before(
        &mut self,
        row: RowId,
        folder: FolderId,
        before: Vec<Statement>,
        wanted: &mut Wanted,
    ) -> Result<bool, Error> {
        let mut joined = false;
        // Trails of which an older statement would leave out one that is not accounted for.
        let mut held = BTreeSet::new();
        for mut statement in before {
            let had = statement.files.len();
            self.judge(row, folder, &mut statement, wanted)?;
            if statement.files.is_empty() && !held.contains(&statement.trail) && self.joins(folder, &statement) {
                self.unstate(folder, &statement);
                joined = true;
                continue;
            }
            if statement.files.len() < had {
                self.restate(folder, &statement);
            }
            if !statement.backfill {
                held.insert(statement.trail);
            }
        }
        Ok(joined)
    }

    /// Whether the statement has its place now.
    fn joins(&mut self, folder: FolderId, statement: &Statement) -> bool {
        let chain = self.state.proofs.chains.get(&(folder, statement.trail.clone()));
        let Some(since) = chain.map(|chain| chain.since) else { return false };
        let between = match statement.end < since {
            true if !statement.backfill => self.between(folder, statement.end, since),
            _ => Between::LookedAt,
        };
        match between {
            Between::UnderWay => return false,
            Between::LookedAt if !statement.backfill => {
                self.chain(folder, statement, |chain| chain.extend_back(statement));
            }
            _ => self.chain(folder, statement, |chain| chain.fill(statement)),
        }
        true
    }

    /// Between two times, Unix seconds, by the days that digests lie in: those of their ends.
    fn between(&self, folder: FolderId, from: i64, to: i64) -> Between {
        let meta = &self.state.folders[folder.0 as usize].meta;
        let (Some(first), Some(last)) = (day(from), day(to)) else { return Between::Unknown };
        if self.is_busy(folder) || meta.past.open.touches(first, last) {
            return Between::UnderWay;
        }
        let mut days = first.series(jiff::Span::new().days(1)).take_while(|day| *day <= last);
        if days.all(|day| meta.takes(day)) { Between::LookedAt } else { Between::Unknown }
    }
}

fn day(second: i64) -> Option<Date> {
    Some(Timestamp::from_second(second).ok()?.to_zoned(TimeZone::UTC).date())
}

/// The first key that does not begin so.
fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    while let Some(last) = key.pop() {
        if last < u8::MAX {
            key.push(last + 1);
            break;
        }
    }
    key
}
