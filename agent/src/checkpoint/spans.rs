//! Stretches of days before a folder's live listings: which of them backfills have taken, or are taking.
//!
//! Pure. Owns the arithmetic, and the lane that objects of such days go in.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::object::Lane;

/// Days that a backfill takes, or took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(crate) first: Date,
    /// Inclusive.
    pub(crate) last: Date,
    /// Log groups get the records too.
    pub(crate) log_groups: bool,
}

impl Span {
    fn holds(&self, day: Date) -> bool {
        self.first <= day && day <= self.last
    }
}

/// Disjoint spans in the order of their days; neighbours of one kind are one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Spans(Vec<Span>);

impl Spans {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, day: Date) -> Option<&Span> {
        self.0.iter().find(|span| span.holds(day))
    }

    /// Adds the span's days; of days that are there already, the new kind holds.
    pub(super) fn insert(&mut self, span: Span) {
        self.remove(span.first, span.last);
        self.0.push(span);
        self.0.sort_unstable_by_key(|span| span.first);
        self.0.dedup_by(|next, before| {
            let joins =
                before.last.tomorrow().is_ok_and(|day| day == next.first) && before.log_groups == next.log_groups;
            if joins {
                before.last = next.last;
            }
            joins
        });
    }

    pub(super) fn remove(&mut self, first: Date, last: Date) {
        let mut left = Vec::with_capacity(self.0.len() + 1);
        for span in self.0.drain(..) {
            if span.last < first || last < span.first {
                left.push(span);
                continue;
            }
            if let Some(before) = first.yesterday().ok().filter(|before| span.first <= *before) {
                left.push(Span { last: before, ..span });
            }
            if let Some(after) = last.tomorrow().ok().filter(|after| *after <= span.last) {
                left.push(Span { first: after, ..span });
            }
        }
        self.0 = left;
    }

    /// Whether one of these days is in a span.
    pub(super) fn touches(&self, first: Date, last: Date) -> bool {
        self.0.iter().any(|span| span.first <= last && first <= span.last)
    }

    /// The stretches of these days that are in no span, oldest first.
    pub(super) fn rest(&self, first: Date, last: Date) -> Vec<(Date, Date)> {
        let mut rest = Vec::new();
        let mut from = first;
        for span in self.0.iter().filter(|span| span.first <= last && first <= span.last) {
            if let Ok(before) = span.first.yesterday()
                && from <= before
            {
                rest.push((from, before));
            }
            match span.last.tomorrow() {
                Ok(next) => from = next,
                Err(_) => return rest,
            }
        }
        if from <= last {
            rest.push((from, last));
        }
        rest
    }
}

/// The days before a folder's live listings, as far as backfills have to do with them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Past {
    /// All objects of these are settled, and their entries are gone.
    pub(super) taken: Spans,
    /// These are being taken: objects have entries until their day is taken.
    pub(super) open: Spans,
}

impl Past {
    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.open.is_empty()
    }

    /// Whether a backfill takes the day, or took it.
    pub(super) fn holds(&self, day: Date) -> bool {
        self.span(day).is_some()
    }

    /// The lane of the day's objects, whoever hands them on.
    pub(super) fn lane(&self, day: Date) -> Lane {
        self.span(day).map_or(Lane::Live, |span| Lane::Backfill { log_groups: span.log_groups })
    }

    fn span(&self, day: Date) -> Option<&Span> {
        self.open.get(day).or_else(|| self.taken.get(day))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn day(day: i8) -> Date {
        date(2026, 3, day)
    }

    fn span(first: i8, last: i8) -> Span {
        Span { first: day(first), last: day(last), log_groups: false }
    }

    #[test]
    fn neighbours_join_and_what_is_taken_out_leaves_two() {
        let mut spans = Spans::default();
        for (first, last) in [(10, 12), (1, 3), (4, 5), (20, 22)] {
            spans.insert(span(first, last));
        }
        assert_eq!(spans.0, [span(1, 5), span(10, 12), span(20, 22)]);
        assert_eq!(spans.rest(day(3), day(25)), [(day(6), day(9)), (day(13), day(19)), (day(23), day(25))]);
        assert_eq!(spans.rest(day(10), day(12)), []);
        assert!(spans.touches(day(12), day(15)) && !spans.touches(day(13), day(19)));
        spans.remove(day(3), day(10));
        assert_eq!(spans.0, [span(1, 2), span(11, 12), span(20, 22)]);
        assert_eq!(spans.get(day(11)), Some(&span(11, 12)));
        assert_eq!(spans.get(day(3)), None);
    }

    #[test]
    fn the_newest_word_on_a_day_says_whether_log_groups_get_it() {
        let mut past = Past::default();
        assert_eq!(past.lane(day(1)), Lane::Live);
        past.taken.insert(span(1, 9));
        past.taken.insert(Span { log_groups: true, ..span(5, 6) });
        assert_eq!(past.lane(day(5)), Lane::Backfill { log_groups: true });
        assert_eq!(past.lane(day(7)), Lane::Backfill { log_groups: false });
        assert_eq!(past.taken.0.len(), 3);
    }
}
