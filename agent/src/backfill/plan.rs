//! What a backfill has to do, found by listing without claiming anything.

use super::job::Plan;
use super::{Place, Stop, Work};
use crate::checkpoint::{Untaken, Verdict};

impl Work {
    /// Adds a place to the plan.
    pub(super) async fn plan(&self, place: Place) -> Result<(), Stop> {
        let (first, last) = self.read(|job| (job.range.from, job.range.last()));
        let mut plan = Plan::default();
        for folder in place.logs.iter().chain(&place.digests) {
            let id = folder.id;
            let Untaken { stretches, left, live, taken } =
                self.checkpoint(move |checkpoint| Ok(checkpoint.untaken(id, first, last))).await?;
            plan.places = plan.places.max(u64::from(left > 0));
            plan.days += left + live + taken;
            plan.days_live += live;
            plan.days_taken += taken;
            for stretch in stretches {
                let mut pages = self.pages(folder, stretch);
                while let Some(page) = pages.next().await? {
                    for listed in page.iter().filter(|listed| matches!(listed.verdict, Verdict::Take { .. })) {
                        plan.objects += 1;
                        plan.bytes += listed.size;
                    }
                }
                plan.lists += pages.requests;
            }
        }
        self.change(|job| job.plan.add(&plan));
        Ok(())
    }
}
