//! How far a trail's digests prove that nothing is missing, in one account and region.
//!
//! Pure. Owns the chain (which digest follows which), the gaps in it, and when a gap is over. Does not own whether a log
//! file was taken (`proof`) nor what is done about a gap (`completeness`).

use serde::{Deserialize, Serialize};

use super::statement::{Previous, Statement};

/// Gaps kept one by one for each chain; more are counted.
pub(super) const GAPS_MAX: usize = 1000;

/// What is wrong with a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// A digest that the next one names is not at the source.
    DigestMissing,
    /// A digest is there and its signature does not hold, or it cannot be read.
    DigestInvalid,
    /// A digest names another one before it than the one that is there.
    ChainBroken,
    /// A chain of digests began anew: log file validation, or the trail itself, was off.
    NotCovered,
    /// A log file that a digest lists is not at the source.
    LogMissing,
    /// A log file is there with other content than its digest says.
    LogHashDiffers,
    /// A log file that a digest lists is there and could not be taken; the quarantine says why.
    LogQuarantined,
}

impl GapKind {
    /// As in JSON and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DigestMissing => "digest_missing",
            Self::DigestInvalid => "digest_invalid",
            Self::ChainBroken => "chain_broken",
            Self::NotCovered => "not_covered",
            Self::LogMissing => "log_missing",
            Self::LogHashDiffers => "log_hash_differs",
            Self::LogQuarantined => "log_quarantined",
        }
    }

    fn is_between_digests(self) -> bool {
        matches!(self, Self::DigestMissing | Self::DigestInvalid | Self::ChainBroken | Self::NotCovered)
    }
}

/// Something that is not proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// What it is.
    pub kind: GapKind,
    /// The stretch of time, Unix seconds: of a log file, its digest's.
    pub start: i64,
    /// Unix seconds.
    pub end: i64,
    /// The object, below the source's location; none where no single one is to blame.
    pub key: Option<String>,
    /// The hex SHA-256 that the digest says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected: Option<String>,
    /// What a person should know.
    pub detail: String,
}

/// The digests of one trail in one account and region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chain {
    pub(crate) trail: String,
    /// What lies between these was looked at: Unix seconds.
    pub(crate) since: i64,
    pub(crate) until: i64,
    /// The digest that the oldest one names before it.
    #[serde(default)]
    pub(super) before: Option<Previous>,
    /// The newest digest of the chain.
    pub(crate) head: String,
    /// Its signature, hex.
    pub(crate) signature: String,
    /// Verified, backfill digests included.
    pub(crate) digests: u64,
    /// Log files that are what their digests say.
    pub(crate) log_files: u64,
    pub(crate) gaps: Vec<Gap>,
    /// Gaps that were not kept one by one.
    pub(crate) gaps_more: u64,
}

/// Where a statement belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Right behind the head.
    Next,
    /// Behind the head, and another chain begins with it.
    Restart,
    /// Before the head: it came late, or belongs to no chain.
    Late,
    /// It names another digest before it than the head.
    Behind,
}

impl Chain {
    pub(super) fn begin(statement: &Statement) -> Self {
        Self {
            trail: statement.trail.clone(),
            since: statement.start,
            until: statement.end,
            before: statement.previous.clone(),
            head: statement.key.clone(),
            signature: statement.signature.clone(),
            digests: 1,
            log_files: 0,
            gaps: Vec::new(),
            gaps_more: 0,
        }
    }

    pub(super) fn place(&self, statement: &Statement) -> Place {
        match &statement.previous {
            _ if statement.backfill || statement.end <= self.until => Place::Late,
            None => Place::Restart,
            Some(previous) if previous.signature == self.signature => Place::Next,
            Some(_) => Place::Behind,
        }
    }

    /// The statement's digest is the head now. What lies between is told by `between`.
    pub(super) fn advance(&mut self, statement: &Statement, between: Option<(GapKind, Option<String>, String)>) {
        if let Some((kind, key, detail)) = between {
            self.add(Gap { kind, start: self.until, end: statement.start, key, expected: None, detail });
        }
        self.digests += 1;
        self.until = statement.end;
        (self.head, self.signature) = (statement.key.clone(), statement.signature.clone());
    }

    /// A digest that came late: what it covers is no gap any more.
    pub(super) fn fill(&mut self, statement: &Statement) {
        self.digests += 1;
        if statement.backfill {
            return;
        }
        let mut left = Vec::with_capacity(self.gaps.len());
        for gap in self.gaps.drain(..) {
            if !gap.kind.is_between_digests() || gap.end <= statement.start || gap.start >= statement.end {
                left.push(gap);
                continue;
            }
            if gap.start < statement.start {
                left.push(Self::before(gap.start, statement));
            }
            if gap.end > statement.end {
                left.push(Gap { start: statement.end, ..gap });
            }
        }
        self.gaps = left;
    }

    /// What is missing from `start` on, before a digest that is there.
    fn before(start: i64, statement: &Statement) -> Gap {
        let key = statement.previous.as_ref().map(|previous| previous.key.clone());
        let (kind, detail) = match &key {
            Some(_) => (GapKind::DigestMissing, format!("{} names it", statement.key)),
            None => (GapKind::NotCovered, "a new chain of digests begins".to_owned()),
        };
        Gap { kind, start, end: statement.start, key, expected: None, detail }
    }

    /// The digest that the oldest one names, where it is not the statement's: something lies between.
    pub(super) fn named_between(&self, statement: &Statement) -> Option<&str> {
        let named = self.before.as_ref().filter(|_| statement.end < self.since)?;
        Some(&named.key)
    }

    /// The newest of the digests before the chain joins it. All of the time between was looked at; `lost` says what became of
    /// the digest that is named there.
    pub(super) fn extend_back(&mut self, statement: &Statement, lost: Option<(GapKind, String)>) {
        self.fill(statement);
        let named = self.before.take();
        let other = named.as_ref().filter(|named| named.signature != statement.signature);
        let between = match (&lost, other) {
            (Some((kind, detail)), _) => Some((*kind, self.since, detail.clone())),
            (None, _) if statement.end < self.since => {
                Some((GapKind::NotCovered, self.since, "a new chain of digests begins".to_owned()))
            }
            (None, Some(_)) => {
                let detail = "it is there, and another signature is named than its own".to_owned();
                Some((GapKind::ChainBroken, statement.end, detail))
            }
            (None, None) => None,
        };
        if let Some((kind, end, detail)) = between {
            let start = if kind == GapKind::ChainBroken { statement.start } else { statement.end };
            self.add(Gap { kind, start, end, key: named.map(|named| named.key), expected: None, detail });
        }
        self.since = statement.start;
        self.before.clone_from(&statement.previous);
    }

    pub(super) fn add(&mut self, gap: Gap) {
        if self.gaps.iter().any(|known| known.key.is_some() && known.key == gap.key && known.kind == gap.kind) {
            return;
        }
        if self.gaps.len() < GAPS_MAX {
            self.gaps.push(gap);
        } else {
            self.gaps_more += 1;
        }
    }

    /// The log file is there after all, with the right content. True where it was a gap.
    pub(super) fn proved(&mut self, key: &str) -> bool {
        let before = self.gaps.len();
        self.gaps.retain(|gap| gap.kind.is_between_digests() || gap.key.as_deref() != Some(key));
        let was_gap = self.gaps.len() < before;
        self.log_files += u64::from(was_gap);
        was_gap
    }

    /// The hash that the log file of a gap should have.
    pub(super) fn expected(&self, key: &str) -> Option<&str> {
        self.gaps.iter().find(|gap| gap.key.as_deref() == Some(key)).and_then(|gap| gap.expected.as_deref())
    }

    /// Everything up to here is proved; Unix seconds.
    pub(crate) fn complete_until(&self) -> i64 {
        if self.gaps_more > 0 {
            return self.since;
        }
        let within = self.gaps.iter().filter(|gap| gap.end > self.since);
        within.map(|gap| gap.start).min().map_or(self.until, |first| first.max(self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::super::statement::Previous;
    use super::*;

    const HOUR: i64 = 3600;

    /// The digest of an hour, which names the one of the hour before.
    fn digest(hour: i64) -> Statement {
        Statement {
            key: format!("d{hour}"),
            trail: "t".into(),
            start: hour * HOUR,
            end: (hour + 1) * HOUR,
            backfill: false,
            signature: format!("s{hour}"),
            previous: Some(Previous { key: format!("d{}", hour - 1), signature: format!("s{}", hour - 1) }),
            files: Vec::new(),
            read_at: 0,
            placed: false,
        }
    }

    fn missing(chain: &mut Chain, hour: i64) {
        let statement = digest(hour);
        assert_eq!(chain.place(&statement), Place::Behind);
        chain.advance(&statement, Some((GapKind::DigestMissing, Some(format!("d{}", hour - 1)), String::new())));
    }

    fn stretches(chain: &Chain) -> Vec<(i64, i64)> {
        chain.gaps.iter().map(|gap| (gap.start / HOUR, gap.end / HOUR)).collect()
    }

    #[test]
    fn a_chain_is_complete_up_to_its_head_or_its_first_gap() {
        let mut chain = Chain::begin(&digest(0));
        assert_eq!(chain.place(&digest(1)), Place::Next);
        chain.advance(&digest(1), None);
        assert_eq!(chain.complete_until(), 2 * HOUR);
        missing(&mut chain, 5);
        assert_eq!((chain.complete_until(), chain.until), (2 * HOUR, 6 * HOUR));
        assert_eq!(chain.place(&digest(3)), Place::Late);
        assert_eq!(chain.place(&Statement { previous: None, ..digest(7) }), Place::Restart);
        assert_eq!(chain.place(&Statement { backfill: true, ..digest(7) }), Place::Late);
    }

    #[test]
    fn digests_that_come_late_take_their_stretch_out_of_the_gap() {
        let mut chain = Chain::begin(&digest(0));
        missing(&mut chain, 5);
        assert_eq!(stretches(&chain), [(1, 5)]);
        chain.fill(&digest(2));
        assert_eq!(stretches(&chain), [(1, 2), (3, 5)]);
        assert_eq!(chain.gaps.iter().map(|gap| gap.key.as_deref()).collect::<Vec<_>>(), [Some("d1"), Some("d4")]);
        chain.fill(&digest(1));
        chain.fill(&digest(4));
        assert_eq!(stretches(&chain), [(3, 4)]);
        assert_eq!(chain.complete_until(), 3 * HOUR);
        chain.fill(&digest(3));
        assert_eq!(chain.complete_until(), 6 * HOUR);
        chain.extend_back(&digest(-1), None);
        assert_eq!((chain.since, chain.complete_until()), (-HOUR, 6 * HOUR));
    }

    #[test]
    fn digests_before_the_chain_join_it_and_one_between_them_is_missed_by_name() {
        let mut chain = Chain::begin(&digest(9));
        chain.extend_back(&digest(8), None);
        assert_eq!((chain.since, chain.gaps.len()), (8 * HOUR, 0));
        assert_eq!(chain.named_between(&digest(5)), Some("d7"));
        chain.extend_back(&digest(5), Some((GapKind::DigestMissing, String::new())));
        let gap = chain.gaps[0].clone();
        assert_eq!((gap.kind, gap.key.as_deref()), (GapKind::DigestMissing, Some("d7")));
        assert_eq!((stretches(&chain), chain.complete_until()), (vec![(6, 8)], 6 * HOUR));
        chain.extend_back(&Statement { signature: "another".into(), previous: None, ..digest(4) }, None);
        assert_eq!(chain.gaps[1].kind, GapKind::ChainBroken);
        assert_eq!(chain.named_between(&digest(1)), None);
        chain.extend_back(&digest(1), None);
        assert_eq!((chain.gaps[2].kind, chain.since), (GapKind::NotCovered, HOUR));
        chain.fill(&digest(7));
        chain.fill(&digest(6));
        assert_eq!(chain.gaps.len(), 2, "found late");
    }

    #[test]
    fn what_lies_before_the_chain_does_not_hold_it_back() {
        let mut chain = Chain::begin(&digest(9));
        let kind = GapKind::LogMissing;
        chain.add(Gap { kind, start: 0, end: HOUR, key: Some("l".into()), expected: None, detail: String::new() });
        assert_eq!(chain.complete_until(), 10 * HOUR);
    }

    #[test]
    fn a_log_file_that_turns_up_closes_its_gap() {
        let mut chain = Chain::begin(&digest(0));
        let gap = Gap {
            kind: GapKind::LogMissing,
            start: 0,
            end: HOUR,
            key: Some("l".into()),
            expected: Some("ab".into()),
            detail: String::new(),
        };
        chain.add(gap.clone());
        chain.add(gap);
        assert_eq!((chain.gaps.len(), chain.complete_until(), chain.expected("l")), (1, 0, Some("ab")));
        assert!(chain.proved("l"));
        assert!(!chain.proved("l"));
        assert_eq!((chain.complete_until(), chain.log_files), (HOUR, 1));
    }

    #[test]
    fn gaps_are_bounded_and_never_forgotten() {
        let mut chain = Chain::begin(&digest(0));
        for n in 0..GAPS_MAX + 2 {
            let key = Some(format!("l{n}"));
            let kind = GapKind::LogMissing;
            chain.add(Gap { kind, start: 60, end: HOUR, key, expected: None, detail: String::new() });
        }
        assert_eq!((chain.gaps.len(), chain.gaps_more, chain.complete_until()), (GAPS_MAX, 2, 0));
    }
}
