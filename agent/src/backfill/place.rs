//! Takes the days of one account and region, newest first, a stretch at a time.
//!
//! The log files of a stretch are taken before its digests, so that a digest finds what it lists; and with them those of the
//! day before, which the first digest of the stretch lists too. A stretch is over when everything in it is delivered or in
//! quarantine and its digests are compared. So the state that a backfill keeps is bounded by a stretch of each place that
//! is worked on.

use std::sync::Arc;
use std::time::Duration;

use jiff::ToSpan as _;
use jiff::civil::Date;
use tokio::time::{Instant, sleep};

use super::{Place, Stop, Work};
use crate::checkpoint::{self, Listed, Span, Untaken};
use crate::object::{ObjectRef, SourceFolder};

/// Days of a stretch.
const STRETCH_DAYS: i64 = 31;
/// How often a place looks whether its objects are settled.
const LOOK: Duration = Duration::from_millis(300);
/// How often objects that were given back are handed on once more.
const AGAIN: Duration = Duration::from_secs(10);

/// A stretch of one place; both days inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    first: Date,
    last: Date,
    /// Where the log files begin.
    lead: Date,
}

/// What a place waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Answers,
    Deliveries,
}

impl Left {
    fn as_str(self) -> &'static str {
        match self {
            Self::Answers => "fetched",
            Self::Deliveries => "delivered",
        }
    }
}

/// Days of one folder that are being taken.
struct Opened {
    folder: Arc<SourceFolder>,
    first: Date,
    last: Date,
    /// Nobody has compared the end of the last day with the digest that lists it.
    next_unknown: bool,
}

impl Work {
    /// Takes everything of the place that is not taken yet.
    pub(super) async fn take(&self, place: Place) -> Result<(), Stop> {
        for folder in place.logs.iter().chain(&place.digests) {
            self.pass_over_empty(folder).await?;
        }
        let mut any = 0;
        while let Some(stretch) = self.newest_stretch(&place).await? {
            any = 1;
            let logs = self.open(&place.logs, stretch.lead, stretch.last).await?;
            self.hand_on_all(&logs).await?;
            self.wait_for(&place, &logs, Left::Answers).await?;
            let digests = self.open(&place.digests, stretch.first, stretch.last).await?;
            self.hand_on_all(&digests).await?;
            self.wait_for(&place, &logs, Left::Deliveries).await?;
            self.wait_for(&place, &digests, Left::Deliveries).await?;
            self.close(&digests, stretch.first).await?;
            self.compared(&place, stretch).await?;
            self.close(&logs, stretch.first).await?;
        }
        self.change(|job| job.progress.places += any);
        Ok(())
    }

    /// Long before the first object of a folder there is nothing to be taken stretch by stretch.
    async fn pass_over_empty(&self, folder: &Arc<SourceFolder>) -> Result<(), Stop> {
        let ((from, to, log_groups), id) =
            (self.read(|job| (job.range.from, job.range.last(), job.log_groups)), folder.id);
        let untaken = self.checkpoint(move |checkpoint| Ok(checkpoint.untaken(id, from, to))).await?;
        for (first, last) in untaken.ranges.into_iter().filter(|days| stretches(*days) > 1) {
            let mut pages = self.pages(folder, (first, last));
            let oldest = pages.next().await?.and_then(|page| page.first().map(|listed| listed.day));
            self.change(|job| job.progress.listed(pages.requests));
            let Some(last) = oldest.map_or(Some(last), |oldest| oldest.yesterday().ok()).filter(|last| first <= *last)
            else {
                continue;
            };
            let span = Span { first, last, log_groups };
            self.checkpoint(move |checkpoint| {
                checkpoint.open_past(id, span)?;
                checkpoint.close_past(id, (first, last), true)
            })
            .await?;
        }
        Ok(())
    }

    async fn newest_stretch(&self, place: &Place) -> Result<Option<Stretch>, Stop> {
        let (from, to) = self.read(|job| (job.range.from, job.range.last()));
        let mut newest: Option<Date> = None;
        for folder in place.logs.iter().chain(&place.digests) {
            let id = folder.id;
            let untaken = self.checkpoint(move |checkpoint| Ok(checkpoint.untaken(id, from, to))).await?;
            newest = newest.max(untaken.ranges.last().map(|(_, last)| *last));
        }
        Ok(newest.map(|last| stretch(from, last)))
    }

    /// Opens what is not taken of these days.
    async fn open(&self, folders: &[Arc<SourceFolder>], first: Date, last: Date) -> Result<Vec<Opened>, Stop> {
        let log_groups = self.read(|job| job.log_groups);
        let mut opened = Vec::new();
        for folder in folders {
            let id = folder.id;
            let Untaken { ranges, .. } =
                self.checkpoint(move |checkpoint| Ok(checkpoint.untaken(id, first, last))).await?;
            for (first, last) in ranges {
                let span = Span { first, last, log_groups };
                let was_open = self.checkpoint(move |checkpoint| checkpoint.open_past(id, span)).await?;
                opened.push(Opened { folder: Arc::clone(folder), first, last, next_unknown: !was_open });
            }
        }
        Ok(opened)
    }

    async fn hand_on_all(&self, opened: &[Opened]) -> Result<(), Stop> {
        for Opened { folder, first, last, .. } in opened {
            let mut pages = self.pages(folder, (*first, *last));
            while let Some(page) = pages.next().await? {
                self.hand_on(folder, page).await?;
            }
            self.change(|job| job.progress.listed(pages.requests));
        }
        Ok(())
    }

    /// Waits until nothing of these days is left to come.
    async fn wait_for(&self, place: &Place, opened: &[Opened], what: Left) -> Result<(), Stop> {
        let mut again = Instant::now() + AGAIN;
        loop {
            let left = opened.iter().map(|days| {
                let (claimed, open) = self.stage.context.checkpoint.left_in(days.folder.id, days.first, days.last);
                if what == Left::Answers { claimed } else { open }
            });
            let left: u64 = left.sum();
            if left == 0 {
                return Ok(());
            }
            self.waits_for(place, &format!("{left} objects to be {}", what.as_str()));
            sleep(LOOK).await;
            if Instant::now() >= again {
                for days in opened {
                    self.hand_on_again(&days.folder).await?;
                }
                again = Instant::now() + AGAIN;
            }
        }
    }

    async fn hand_on(&self, folder: &Arc<SourceFolder>, page: Vec<Listed>) -> Result<(), Stop> {
        let id = folder.id;
        let claimed = self.checkpoint(move |checkpoint| checkpoint.claim(id, page)).await?;
        for (listed, claim) in claimed.taken {
            let Some(object) = ObjectRef::listed(folder, listed, claim) else { continue };
            let size = object.size;
            if let Some(pace) = &self.pace {
                pace.wait(size).await;
            }
            self.stage.context.out.send(object).await?;
            self.change(|job| job.progress.handed_on(size));
        }
        Ok(())
    }

    /// Objects that were claimed and given back on their way.
    async fn hand_on_again(&self, folder: &Arc<SourceFolder>) -> Result<(), Stop> {
        if folder.is_failing() {
            return Ok(()); // its listings do that, once it is better
        }
        let id = folder.id;
        for detached in self.checkpoint(move |checkpoint| checkpoint.unnamed(id)).await? {
            if let Some(object) = ObjectRef::detached(Arc::clone(folder), detached) {
                self.stage.context.out.send(object).await?;
            }
        }
        Ok(())
    }

    /// Waits until the digests of the stretch are compared with what was taken.
    async fn compared(&self, place: &Place, stretch: Stretch) -> Result<(), Stop> {
        for folder in &place.digests {
            let id = folder.id;
            loop {
                let left = self.checkpoint(move |checkpoint| checkpoint.uncompared_in(id, stretch.first, stretch.last));
                let left = left.await?;
                if left == 0 {
                    break;
                }
                self.waits_for(place, &format!("{left} digests to be compared"));
                sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Closes what was opened, from `first` on: what lies before belongs to the next stretch.
    async fn close(&self, opened: &[Opened], first: Date) -> Result<(), Stop> {
        for days in opened {
            let (id, from, last) = (days.folder.id, days.first.max(first), days.last);
            if from > last {
                continue;
            }
            let next_unknown = days.next_unknown;
            let taken =
                self.checkpoint(move |checkpoint| checkpoint.close_past(id, (from, last), next_unknown)).await?;
            let checkpoint::Taken { delivered, quarantined, skipped } = taken;
            self.change(|job| {
                job.progress.delivered += delivered;
                job.progress.quarantined += quarantined;
                job.progress.skipped += skipped;
            });
        }
        Ok(())
    }

    fn waits_for(&self, place: &Place, what: &str) {
        let Place { account, region, .. } = place;
        self.change(|job| job.progress.waits_for = Some(format!("{account}/{region}: {what}")));
    }
}

/// How many stretches these days make, both inclusive.
pub(super) fn stretches((first, last): (Date, Date)) -> u64 {
    let days = first.until(last).map_or(0, |span| i64::from(span.get_days()));
    u64::try_from(days / STRETCH_DAYS + 1).unwrap_or(1)
}

fn stretch(from: Date, last: Date) -> Stretch {
    let first = last.checked_sub((STRETCH_DAYS - 1).days()).unwrap_or(from).max(from);
    let lead = first.yesterday().unwrap_or(first).max(from);
    Stretch { first, last, lead }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn stretches_are_a_month_with_the_day_before_and_end_with_the_range() {
        let from = date(2026, 1, 10);
        let found: Vec<_> = std::iter::successors(Some(stretch(from, date(2026, 3, 20))), |before| {
            let last = before.first.yesterday().unwrap();
            (last >= from).then(|| stretch(from, last))
        })
        .map(|stretch| (stretch.first, stretch.last, stretch.lead))
        .collect();
        let expected = [
            (date(2026, 2, 18), date(2026, 3, 20), date(2026, 2, 17)),
            (date(2026, 1, 18), date(2026, 2, 17), date(2026, 1, 17)),
            (from, date(2026, 1, 17), from),
        ];
        assert_eq!(found, expected);
        assert_eq!(stretches((from, date(2026, 3, 20))), 3);
        assert_eq!([from, date(2026, 2, 9), date(2026, 2, 10)].map(|last| stretches((from, last))), [1, 1, 2]);
    }
}
