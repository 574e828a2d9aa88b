//! What a backfill has to do, found by listing without claiming anything.

use super::job::Plan;
use super::place::stretches;
use super::{Place, Stop, Work};
use crate::checkpoint::{Untaken, Verdict};

impl Work {
    /// Adds a place to the plan.
    pub(super) async fn plan(&self, place: Place) -> Result<(), Stop> {
        let (first, last) = self.read(|job| (job.range.from, job.range.last()));
        let mut plan = Plan::default();
        for folder in place.logs.iter().chain(&place.digests) {
            let id = folder.id;
            let Untaken { ranges, left, live, taken } =
                self.checkpoint(move |checkpoint| Ok(checkpoint.untaken(id, first, last))).await?;
            plan.places = plan.places.max(u64::from(left > 0));
            plan.days += left + live + taken;
            plan.days_live += live;
            plan.days_taken += taken;
            for range in ranges {
                let mut pages = self.pages(folder, range);
                let mut oldest = None;
                while let Some(page) = pages.next().await? {
                    oldest = oldest.or(page.first().map(|listed| listed.day));
                    for listed in page.iter().filter(|listed| matches!(listed.verdict, Verdict::Take { .. })) {
                        plan.objects += 1;
                        plan.bytes += listed.size;
                    }
                }
                plan.lists += pages.requests;
                // Where it begins; its pages once more; and the first page of each stretch after the first.
                let looked = u64::from(stretches(range) > 1);
                let taken = oldest.map_or(1, |oldest| stretches((oldest, range.1)));
                plan.lists_to_take += looked + pages.requests + taken - 1;
            }
        }
        self.change(|job| job.plan.add(&plan));
        Ok(())
    }
}
