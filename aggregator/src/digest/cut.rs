//! Which digest of an account and region comes next: what is late first, then hour by hour up to the end asked for.

use super::build::{HOUR, Span, hour_of};
use crate::journal::digests::Chain;

/// Most files in one digest; what is over is listed in a backfill digest of the hour.
pub(super) const FILES_MAX: usize = 20_000;

/// Most source digests named in one digest; what is over waits for the next.
pub(super) const SOURCE_DIGESTS_MAX: usize = 1000;

/// Most backfill digests between two others: their names go into the next.
pub(super) const BACKFILLS_MAX: usize = 10_000;

/// A chain that begins with the hour that ends at `end`, or that `end` lies in.
pub(super) fn begin(end: i64) -> Chain {
    Chain { next_start: hour_of(end - 1), previous: None, backfills: Vec::new() }
}

/// What the next digest is about, given the stamp of the oldest file that no digest lists; none when everything up to `end`
/// is covered. `taken` digests with the names that would be first are there already.
pub(super) fn next(chain: &Chain, oldest_stamp: Option<i64>, end: i64, taken: i64) -> Option<Span> {
    if let Some(stamp) = oldest_stamp
        && stamp < chain.next_start
        && chain.backfills.len() < BACKFILLS_MAX
    {
        let start = hour_of(stamp);
        return Some(Span { start, end: start + HOUR + taken, backfill: true });
    }
    (chain.next_start < end).then(|| {
        let start = chain.next_start;
        Span { start, end: end.min(hour_of(start) + HOUR) + taken, backfill: false }
    })
}

/// Files up to here, exclusively, belong to the digest.
pub(super) fn files_before(chain: &Chain, span: Span) -> i64 {
    if span.backfill { chain.next_start.min(hour_of(span.start) + HOUR) } else { span.end }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(next_start: i64) -> Chain {
        Chain { next_start, previous: None, backfills: vec![] }
    }

    #[test]
    fn a_new_chain_begins_with_the_hour_that_is_cut() {
        assert_eq!(begin(10 * HOUR).next_start, 9 * HOUR);
        assert_eq!(begin(10 * HOUR + 5).next_start, 10 * HOUR);
    }

    #[test]
    fn hours_come_one_after_the_other_and_none_is_left_out() {
        let mut at = chain(3 * HOUR + 30);
        let mut ends = vec![];
        while let Some(span) = next(&at, None, 6 * HOUR, 0) {
            assert_eq!((span.start, span.backfill), (at.next_start, false));
            ends.push(span.end);
            at.next_start = span.end;
        }
        assert_eq!(ends, [4 * HOUR, 5 * HOUR, 6 * HOUR]);
    }

    #[test]
    fn a_late_file_gets_a_backfill_digest_of_its_own_hour() {
        let span = next(&chain(10 * HOUR), Some(3 * HOUR + 60), 11 * HOUR, 0).expect("a digest");
        assert_eq!(span, Span { start: 3 * HOUR, end: 4 * HOUR, backfill: true });
        let again = next(&chain(10 * HOUR), Some(3 * HOUR + 60), 11 * HOUR, 2).expect("a digest");
        assert_eq!(again.end, 4 * HOUR + 2, "the third of its hour");
        assert_eq!(files_before(&chain(10 * HOUR), span), 4 * HOUR);
    }

    #[test]
    fn within_an_unfinished_hour_only_what_was_cut_is_late() {
        // Stopped at 10:30, and a file of 10:20 came after.
        let half = chain(10 * HOUR + 1800);
        let span = next(&half, Some(10 * HOUR + 1200), 11 * HOUR, 0).expect("a digest");
        assert!(span.backfill);
        assert_eq!(files_before(&half, span), 10 * HOUR + 1800, "a file of 10:40 is in time");
    }
}
