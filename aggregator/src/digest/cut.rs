//! Which digest of an account and region comes next: what is late first, then interval by interval up to the end asked for.

use super::build::Span;
use crate::journal::digests::Chain;

/// Most files in one digest; what is over is listed in a backfill digest of the hour.
pub(super) const FILES_MAX: usize = 20_000;

/// Most source digests named in one digest; what is over waits for the next.
pub(super) const SOURCE_DIGESTS_MAX: usize = 1000;

/// Most backfill digests between two others: their names go into the next.
pub(super) const BACKFILLS_MAX: usize = 10_000;

/// Time in intervals, which begin with the hour: in hours, unless configured otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval(pub(super) i64);

impl Interval {
    /// The start of the interval that the second lies in.
    pub(super) fn start(self, second: i64) -> i64 {
        second - second.rem_euclid(self.0)
    }

    /// Its end, exclusively.
    pub(super) fn end(self, second: i64) -> i64 {
        self.start(second) + self.0
    }

    /// A chain that begins with the interval that ends at `end`, or that `end` lies in.
    pub(super) fn begin(self, end: i64) -> Chain {
        Chain { next_start: self.start(end - 1), previous: None, backfills: Vec::new() }
    }

    /// What the next digest is about, given the stamp of the oldest file that no digest lists; none when everything up to
    /// `end` is covered. `taken` digests with the names that would be first are there already.
    pub(super) fn next(self, chain: &Chain, oldest_stamp: Option<i64>, end: i64, taken: i64) -> Option<Span> {
        if let Some(stamp) = oldest_stamp
            && stamp < chain.next_start
            && chain.backfills.len() < BACKFILLS_MAX
        {
            return Some(Span { start: self.start(stamp), end: self.end(stamp) + taken, backfill: true });
        }
        (chain.next_start < end).then(|| {
            let start = chain.next_start;
            Span { start, end: end.min(self.end(start)) + taken, backfill: false }
        })
    }

    /// Files up to here, exclusively, belong to the digest.
    pub(super) fn files_before(self, chain: &Chain, span: Span) -> i64 {
        if span.backfill { chain.next_start.min(self.end(span.start)) } else { span.end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const HOURS: Interval = Interval(HOUR);

    fn chain(next_start: i64) -> Chain {
        Chain { next_start, previous: None, backfills: vec![] }
    }

    #[test]
    fn a_new_chain_begins_with_the_hour_that_is_cut() {
        assert_eq!(HOURS.begin(10 * HOUR).next_start, 9 * HOUR);
        assert_eq!(HOURS.begin(10 * HOUR + 5).next_start, 10 * HOUR);
    }

    #[test]
    fn hours_come_one_after_the_other_and_none_is_left_out() {
        let mut at = chain(3 * HOUR + 30);
        let mut ends = vec![];
        while let Some(span) = HOURS.next(&at, None, 6 * HOUR, 0) {
            assert_eq!((span.start, span.backfill), (at.next_start, false));
            ends.push(span.end);
            at.next_start = span.end;
        }
        assert_eq!(ends, [4 * HOUR, 5 * HOUR, 6 * HOUR]);
    }

    #[test]
    fn a_late_file_gets_a_backfill_digest_of_its_own_hour() {
        let span = HOURS.next(&chain(10 * HOUR), Some(3 * HOUR + 60), 11 * HOUR, 0).expect("a digest");
        assert_eq!(span, Span { start: 3 * HOUR, end: 4 * HOUR, backfill: true });
        let again = HOURS.next(&chain(10 * HOUR), Some(3 * HOUR + 60), 11 * HOUR, 2).expect("a digest");
        assert_eq!(again.end, 4 * HOUR + 2, "the third of its hour");
        assert_eq!(HOURS.files_before(&chain(10 * HOUR), span), 4 * HOUR);
    }

    #[test]
    fn within_an_unfinished_hour_only_what_was_cut_is_late() {
        // Stopped at 10:30, and a file of 10:20 came after.
        let half = chain(10 * HOUR + 1800);
        let span = HOURS.next(&half, Some(10 * HOUR + 1200), 11 * HOUR, 0).expect("a digest");
        assert!(span.backfill);
        assert_eq!(HOURS.files_before(&half, span), 10 * HOUR + 1800, "a file of 10:40 is in time");
    }
}
