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

use super::chain::GapKind;
use super::entry::{EntryKey, FolderId, State as Standing};
use super::proof::{MISSING, RowId, Wanted};
use super::statement::{self, Statement};
use super::transaction::Transaction;
use super::{Checkpoint, Error, State, open};
use crate::object::Named;

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
            if statement.files.is_empty() && !held.contains(&statement.trail) && self.joins(folder, &statement)? {
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
    fn joins(&mut self, folder: FolderId, statement: &Statement) -> Result<bool, Error> {
        let Some(chain) = self.state.proofs.chains.get(&(folder, statement.trail.clone())) else { return Ok(false) };
        let (since, named) = (chain.since, chain.named_between(statement).map(str::to_owned));
        let between = match statement.end < since {
            true if !statement.backfill => self.between(folder, statement.end, since),
            _ => Between::LookedAt,
        };
        match between {
            Between::UnderWay => return Ok(false),
            Between::LookedAt if !statement.backfill => {
                let lost = match named {
                    Some(named) => match self.lost(folder, &named)? {
                        None => return Ok(false),
                        lost => lost,
                    },
                    None => None,
                };
                self.chain(folder, statement, |chain| chain.extend_back(statement, lost));
            }
            _ => self.chain(folder, statement, |chain| chain.fill(statement)),
        }
        Ok(true)
    }

    /// What became of a digest that is named and did not join; none where it is still on its way.
    fn lost(&self, folder: FolderId, key: &str) -> Result<Option<(GapKind, String)>, Error> {
        let missing = (GapKind::DigestMissing, "the digest after it names it".to_owned());
        let Some(named) = Named::read(key) else { return Ok(Some(missing)) };
        let entry = self.known(folder, EntryKey::new(folder, named.date, key))?;
        Ok(match entry.map(|entry| entry.state) {
            Some(Standing::Claimed) => None,
            Some(Standing::Quarantined { reason, .. }) if &*reason != MISSING => {
                Some((GapKind::DigestInvalid, format!("in quarantine as {reason}")))
            }
            _ => Some(missing),
        })
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::statement::Previous;
    use super::super::{Listed, ListedTo, Outcome, Settled, Span, Verdict};
    use super::*;

    const HOUR: i64 = 3600;
    /// Live listings begin with the digest of this hour since the epoch.
    const LIVE: i64 = 25 * 24;

    fn key(hour: i64) -> String {
        let at = Timestamp::from_second(hour * HOUR).unwrap().to_zoned(TimeZone::UTC);
        let (day, stamp) = (at.strftime("%Y/%m/%d"), at.strftime("%Y%m%dT%H%M%SZ"));
        format!("AWSLogs/1/CloudTrail-Digest/r/{day}/111122223333_CloudTrail-Digest_r_t_r_{stamp}.json.gz")
    }

    /// The digest that ends at an hour.
    fn statement(hour: i64) -> Statement {
        Statement {
            key: key(hour),
            trail: "t".into(),
            start: (hour - 1) * HOUR,
            end: hour * HOUR,
            backfill: false,
            signature: format!("s{hour}"),
            previous: Some(Previous { key: key(hour - 1), signature: format!("s{}", hour - 1) }),
            files: Vec::new(),
            read_at: i64::MAX,
            placed: false,
        }
    }

    struct Bench {
        _dir: tempfile::TempDir,
        checkpoint: Checkpoint,
        digests: FolderId,
    }

    impl Bench {
        /// Its live digests are taken.
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let checkpoint = Checkpoint::open(dir.path(), Duration::from_secs(3600)).unwrap();
            let from = day(LIVE * HOUR);
            let digests =
                checkpoint.folder("s3://b", "AWSLogs/111122223333/CloudTrail-Digest/r/", "1", "r", from).unwrap();
            let bench = Self { _dir: dir, checkpoint, digests };
            bench.take(LIVE..LIVE + 3);
            bench.checkpoint.listed(digests, Timestamp::from_second(LIVE * HOUR).unwrap(), ListedTo::End).unwrap();
            bench.compare();
            bench
        }

        fn take(&self, hours: std::ops::Range<i64>) {
            for hour in hours {
                let last_modified = Timestamp::from_second(hour * HOUR).unwrap();
                let (day, verdict) = (day(hour * HOUR).unwrap(), Verdict::Take { stamp: hour * HOUR });
                let listed = Listed { key: key(hour), day, size: 1, etag: "e".into(), last_modified, verdict };
                let (_, claim) = self.checkpoint.claim(self.digests, vec![listed]).unwrap().taken.pop().unwrap();
                let (statement, outcome) = (Some(Box::new(statement(hour))), Outcome::Acked { seq: 0 });
                let settled =
                    Settled { claim, etag: "e".into(), sha256: Some([1; 32]), statement, stamp: None, outcome };
                self.checkpoint.settle(&[settled]).unwrap();
            }
            self.checkpoint.delivered(1).unwrap();
        }

        fn compare(&self) {
            while let [row] = self.checkpoint.due(false)[..] {
                self.checkpoint.compare(row).unwrap();
            }
        }

        fn backfill(&self, first: i64, last: i64, hours: &[(i64, i64)]) {
            let (first, last) = (day(first * HOUR).unwrap(), day(last * HOUR).unwrap());
            self.checkpoint.open_past(self.digests, Span { first, last, log_groups: false }).unwrap();
            for (from, to) in hours {
                self.take(*from..*to);
                self.compare();
            }
            self.checkpoint.close_past(self.digests, (first, last), false).unwrap();
            self.compare();
        }

        /// The chain's beginning in hours, and what is missing.
        fn chain(&self) -> (i64, Vec<(GapKind, Option<String>)>) {
            let chain = self.checkpoint.proofs().remove(0).chains.remove(0);
            (chain.since / HOUR, chain.gaps.into_iter().map(|gap| (gap.kind, gap.key)).collect())
        }

        fn pending(&self) -> usize {
            self.checkpoint.db.scan_prefix(b"d").count()
        }
    }

    #[test]
    fn a_month_of_digests_joins_the_live_ones_in_whatever_order_it_comes() {
        let bench = Bench::new();
        assert_eq!(bench.chain(), (LIVE - 1, vec![]));
        // As listings have them: the oldest first, many more than are looked at in one comparison.
        bench.backfill(0, LIVE - 1, &[(1, 300), (500, LIVE), (300, 500)]);
        assert_eq!((bench.chain(), bench.pending()), ((0, vec![]), 0));
    }

    #[test]
    fn a_digest_that_is_missing_in_the_past_is_named_once_its_days_are_taken() {
        let bench = Bench::new();
        bench.backfill(LIVE - 48, LIVE - 1, &[(LIVE - 48, LIVE - 20), (LIVE - 19, LIVE)]);
        let missing = (GapKind::DigestMissing, Some(key(LIVE - 20)));
        assert_eq!((bench.chain(), bench.pending()), ((LIVE - 49, vec![missing]), 0));
    }

    #[test]
    fn digests_with_days_between_that_nobody_took_move_nothing_until_those_are_taken() {
        let bench = Bench::new();
        bench.backfill(0, 47, &[(1, 48)]);
        assert_eq!((bench.chain(), bench.pending()), ((LIVE - 1, vec![]), 0));
        bench.backfill(48, LIVE - 1, &[(48, LIVE)]);
        assert_eq!(bench.chain(), (47, vec![]));
    }
}
