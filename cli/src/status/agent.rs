//! The agent's part of the status: the object ledger, lag per account and region, the link.

use jiff::Timestamp;
use orgtrail_agent::backfill::job::Job;
use orgtrail_agent::status::{Objects, Organization, Row, Source, Status};

use super::{reasons, requests, since};
use crate::terminal::{count, table};

/// Accounts of an organization that are named one by one.
const NAMED_MAX: usize = 20;

/// The text, and whether it needs a person.
pub(crate) fn text(status: &Status, now: Timestamp, running: bool) -> (String, bool) {
    let mut parts = vec![ledger(&status.objects), rows(status, now)];
    parts.extend(sources(status));
    parts.extend(status.organizations.iter().map(|organization| of_organization(organization, now)));
    parts.extend(status.backfills.iter().map(backfill));
    parts.extend(requests::text(status, now));
    let link = &status.link;
    parts.push(format!(
        "aggregator: {} {}\nwatched: {} folders, {} days open\nquarantine: {}",
        link.endpoint,
        match (running, link.connected) {
            (true, true) => "connected",
            (false, true) => "was connected",
            (_, false) => link.trouble.as_deref().unwrap_or("not connected"),
        },
        count(status.folders.watched),
        count(status.folders.days_open),
        reasons(&status.quarantine, "empty"),
    ));
    for (part, reason) in &status.degraded {
        parts.push(format!("degraded: {part}: {reason}"));
    }
    let attention = !status.objects.is_conserved() || !status.quarantine.is_empty() || !status.degraded.is_empty();
    (parts.join("\n\n"), attention)
}

/// `listed = done + skipped + quarantined + in flight`, and how many of those done are delivered.
pub(crate) fn ledger(objects: &Objects) -> String {
    let header = ["OBJECTS", "LISTED", "DONE", "SKIPPED", "QUARANTINED", "IN FLIGHT", "DELIVERED", "BALANCED"];
    let balanced = if objects.is_conserved() { "yes" } else { "NO" };
    let mut row = vec!["all".to_owned()];
    row.extend(cells(objects));
    row.push(balanced.to_owned());
    format!(
        "{}\nskipped: {}\nquarantined: {}",
        table(1, &header, vec![row]),
        reasons(&objects.skipped, "nothing"),
        reasons(&objects.quarantined, "nothing")
    )
}

fn rows(status: &Status, now: Timestamp) -> String {
    let row = |row: &Row| {
        let mut cell = vec![row.account.clone(), row.region.clone(), row.source.clone()];
        cell.extend(cells(&row.objects));
        cell.push(since(row.newest_stamp.unwrap_or(0), now));
        cell.push(since(row.last_listed.unwrap_or(0), now));
        cell
    };
    let header = [
        "ACCOUNT",
        "REGION",
        "SOURCE",
        "LISTED",
        "DONE",
        "SKIPPED",
        "QUARANTINED",
        "IN FLIGHT",
        "DELIVERED",
        "NEWEST FILE",
        "LISTED AGO",
    ];
    table(3, &header, status.rows.iter().map(row).collect())
}

/// The sources by the layouts of their keys; a source with several has a line for each.
fn sources(status: &Status) -> Option<String> {
    let line = |source: &Source, (layout, folders): (&String, &u64)| {
        vec![source.name.clone(), source.location.clone(), layout.clone(), count(*folders)]
    };
    let lines: Vec<_> =
        status.sources.iter().flat_map(|source| source.layouts.iter().map(move |found| line(source, found))).collect();
    (!lines.is_empty()).then(|| table(3, &["SOURCE", "LOCATION", "LAYOUT", "FOLDERS"], lines))
}

fn of_organization(organization: &Organization, now: Timestamp) -> String {
    let Organization { name, listed_at, trouble, read, excluded, gone, draining, silent, refused } = organization;
    let mut text = format!(
        "organization {name}: {} accounts read, {} excluded, {} draining, {} gone; listed {} ago",
        count(*read),
        count(*excluded),
        count(draining.len() as u64),
        count(*gone),
        since(listed_at.unwrap_or(0), now),
    );
    if let Some(trouble) = trouble {
        text += &format!("\n  the last list is used: {trouble}");
    }
    for (what, accounts) in [("draining", draining), ("deliver nothing", silent), ("refused", refused)] {
        if !accounts.is_empty() {
            let named = accounts.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = accounts.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            text += &format!("\n  {what}: {named}{more}");
        }
    }
    text
}

fn backfill(job: &Job) -> String {
    let waits = job.progress.waits_for.as_ref().map(|what| format!("; waits for {what}")).unwrap_or_default();
    format!(
        "backfill {}: {}, {} of {} objects{waits}",
        job.id,
        job.range.source,
        count(job.progress.objects),
        count(job.plan.objects),
    )
}

fn cells(objects: &Objects) -> [String; 6] {
    [
        count(objects.listed),
        count(objects.done),
        count(objects.skipped.values().sum()),
        count(objects.quarantined.values().sum()),
        count(objects.in_flight),
        count(objects.delivered),
    ]
}
