//! When silent folders are swept: the part of the timetable that looks for news in many at once.
//!
//! Owns when a group is swept and what becomes of those that have news. Does not own the sweep itself (`sweep`).

use std::cmp::Reverse;
use std::time::Duration;

use tokio::time::Instant;

use super::super::rhythm::cut;
use super::super::sweep::{GroupId, Swept};
use super::{Due, Stage};
use crate::checkpoint::FolderId;

impl Stage {
    /// Leaves a folder to sweeps, if it sleeps.
    pub(super) fn sleep(&mut self, id: FolderId) {
        let Some(place) = self.places.get_mut(&id).filter(|place| place.pace.is_asleep()) else { return };
        let (group, is_new) = self.sleepers.add(&place.folder);
        place.asleep = Some(group);
        if is_new {
            // The first time anywhere, so that the accounts do not come in step.
            self.sweep_after(group, cut(self.sweep_interval(), 0.1));
        }
    }

    fn sweep_interval(&self) -> Duration {
        self.config.idle_interval_max.max(self.config.poll_interval_max)
    }

    fn sweep_after(&mut self, group: GroupId, pause: Duration) {
        self.due.push(Reverse((Instant::now() + pause, Due::Sweep(group))));
    }

    pub(super) fn swept(&mut self, group: GroupId, swept: Swept) {
        for id in swept.woken {
            // Others were listed meanwhile.
            if self.places.get(&id).is_some_and(|place| place.asleep == Some(group)) {
                self.list_after(id, Duration::ZERO);
            }
        }
        for id in swept.unknown {
            if self.places.get(&id).is_some_and(|place| place.asleep == Some(group)) {
                self.list_after(id, cut(self.config.poll_interval_max, 0.0));
            }
        }
        self.sweep_after(group, cut(self.sweep_interval(), 0.9));
    }
}
