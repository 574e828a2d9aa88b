//! Gathers what the agent has to say about itself out of the parts that know it.
//!
//! Owns nothing but the gathering. Called off the async threads: it takes the checkpoint's lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use orgtrail_service::clock::Clock;
use orgtrail_service::health::Health;
use orgtrail_service::quarantine::Quarantine;

use crate::checkpoint::{Checkpoint, Row};
use crate::completeness;
use crate::discover::Folders;
use crate::object::Source;
use crate::organizations::Board;
use crate::prices::Spent;
use crate::status::{self, Link, Objects, Status};
use crate::{backfill, notify, ship};

/// The parts that know.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    pub(crate) name: String,
    pub(crate) endpoint: String,
    pub(crate) checkpoint: Arc<Checkpoint>,
    pub(crate) quarantine: Arc<Quarantine>,
    pub(crate) folders: Folders,
    pub(crate) link: ship::Handle,
    pub(crate) notifications: Vec<notify::Face>,
    pub(crate) spent: Spent,
    pub(crate) health: Health,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) completeness: completeness::Report,
    pub(crate) organizations: Board,
    pub(crate) backfills: backfill::Board,
}

impl Reporter {
    pub(crate) fn status(&self) -> Status {
        let (seen, sources) = self.folders.seen();
        let mut objects = Objects::default();
        let mut rows = Vec::new();
        for row in self.checkpoint.rows() {
            let counts = counts(&row);
            objects.add(&counts);
            let watched = sources.get(&row.key.location).map(|source| &source.name);
            let name = watched.unwrap_or(&row.key.location);
            let seen = seen.get(&row.key);
            let layouts = seen.map(|seen| seen.layouts.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
            rows.push(status::Row {
                source: name.clone(),
                account: row.key.account,
                region: row.key.region,
                layout: layouts.unwrap_or_default(),
                objects: counts,
                newest_stamp: row.ledger.newest_stamp,
                last_listed: seen.and_then(|seen| seen.last_listed),
            });
        }
        rows.sort_by(|a, b| (&a.source, &a.account, &a.region).cmp(&(&b.source, &b.account, &b.region)));
        let watched = self.checkpoint.watched();
        let report = self.health.report();
        Status {
            name: self.name.clone(),
            objects,
            quarantine: self.quarantine.counts(),
            rows,
            completeness: self.completeness(&sources),
            sources: sources.into_values().collect(),
            organizations: self.organizations.read(),
            link: self.link(),
            folders: status::Folders {
                watched: self.folders.len() as u64,
                known: watched.folders as u64,
                days_open: watched.days_open as u64,
            },
            skipped_regions: self.skipped_regions(),
            notifications: self.notifications.iter().map(notify::Face::status).collect(),
            backfills: self.backfills.jobs(),
            requests: self.spent.by_operation(),
            exported_logs: self.exported_logs(),
            degraded: report.degraded.into_iter().map(|part| (part.part, part.reason)).collect(),
        }
    }

    fn skipped_regions(&self) -> Vec<status::SkippedRegion> {
        let sources = self.folders.sources();
        let of = |source: &Arc<Source>| source.notes.skipped.as_ref().map(|skipped| skipped.list(&source.name));
        sources.iter().filter_map(of).flatten().collect()
    }

    fn completeness(&self, sources: &BTreeMap<String, status::Source>) -> Vec<status::Completeness> {
        let mut rows = self.completeness.rows(self.clock.now());
        for row in &mut rows {
            if let Some(source) = sources.get(&row.source) {
                row.source.clone_from(&source.name);
            }
        }
        let key = |row: &status::Completeness| {
            (row.source.clone(), row.account.clone(), row.region.clone(), row.trail.clone())
        };
        rows.sort_by_cached_key(key);
        rows
    }

    fn exported_logs(&self) -> Vec<status::ExportedLogs> {
        let sources = self.folders.sources();
        let of = |source: &Arc<Source>| source.notes.exported.as_ref().map(|tally| tally.get(&source.name));
        sources.iter().filter_map(of).collect()
    }

    fn link(&self) -> Link {
        let state = self.link.state();
        let (epoch, delivered_seq_end) = self.checkpoint.epoch();
        Link {
            endpoint: self.endpoint.clone(),
            connected: state.connected,
            trouble: state.trouble,
            epoch,
            delivered_seq_end,
            undelivered: self.checkpoint.progress().borrow().undelivered,
        }
    }
}

fn counts(row: &Row) -> Objects {
    let texts = |counts: &BTreeMap<Box<str>, u64>| counts.iter().map(|(reason, n)| (reason.to_string(), *n)).collect();
    let ledger = &row.ledger;
    Objects {
        listed: ledger.listed,
        done: ledger.done,
        delivered: ledger.delivered,
        skipped: texts(&ledger.skipped),
        quarantined: texts(&ledger.quarantined),
        in_flight: row.in_flight,
        changed: ledger.changed,
        bytes: ledger.bytes,
    }
}
