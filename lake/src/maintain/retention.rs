//! Retention: events older than an event data store keeps them go, whole days at a time, and nothing that is protected.
//!
//! Owns what is due and what keeps it. A day goes when its last moment is older than the retention, so that nothing goes too
//! early; for other engines a day is there or not, as both are one commit each. The bytes go with the vacuum.

use std::collections::BTreeMap;

use deltalake_core::kernel::Action;
use deltalake_core::kernel::Add;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::protocol::DeltaOperation;
use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::Serialize;

use super::compact::removed;
use crate::error::Error;
use crate::event_data_store::Config;
use crate::schema::EVENT_DAY;
use crate::table::Table;

/// A day that is past retention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expiry {
    /// The UTC day of the events.
    pub day: Date,
    /// Files, rows and bytes of it.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What keeps it all the same; none if it goes.
    pub kept_by: Option<String>,
}

/// What retention does next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Events of this day and later are kept.
    pub keeps_from: Date,
    /// The days before it that are there.
    pub days: Vec<Expiry>,
}

/// The first day whose events are kept on `today`.
fn keeps_from(config: &Config, today: Date) -> Date {
    let days = i64::try_from(config.retention_days()).unwrap_or(i64::MAX);
    today.checked_sub(days.days()).unwrap_or(Date::MIN)
}

/// What keeps a day that is past retention.
fn kept_by(config: &Config, day: Date) -> Option<String> {
    if config.termination_protection {
        return Some("termination protection".to_owned());
    }
    let holds = |hold: &&crate::event_data_store::Hold| {
        hold.from.is_none_or(|from| day >= from) && hold.to.is_none_or(|to| day < to)
    };
    config.holds.iter().find(holds).map(|hold| format!("hold \"{}\"", hold.name))
}

/// The first day whose events are still imported; none where something keeps older ones, too.
pub(crate) fn first_day(config: &Config, today: Date) -> Option<Date> {
    let is_kept_longer = config.termination_protection || !config.holds.is_empty();
    (!is_kept_longer).then(|| keeps_from(config, today))
}

/// What is past retention, and what becomes of it.
pub(crate) fn plan(table: &Table, config: &Config, today: Date) -> Result<Plan, Error> {
    let keeps_from = keeps_from(config, today);
    let mut days: BTreeMap<Date, Expiry> = BTreeMap::new();
    for file in table.files()? {
        let Some(day) = day(&file).filter(|day| *day < keeps_from) else { continue };
        let kept_by = kept_by(config, day);
        let expiry = days.entry(day).or_insert(Expiry { day, files: 0, rows: 0, bytes: 0, kept_by });
        expiry.files += 1;
        expiry.rows += crate::scan::rows(&file).unwrap_or_default() as u64;
        expiry.bytes += u64::try_from(file.size).unwrap_or_default();
    }
    Ok(Plan { keeps_from, days: days.into_values().collect() })
}

/// Carries a plan out. Gives the number of days that went.
pub(crate) async fn expire(table: &mut Table, plan: &Plan) -> Result<usize, Error> {
    let going: Vec<_> = plan.days.iter().filter(|day| day.kept_by.is_none()).map(|expiry| expiry.day).collect();
    let files = table.files()?;
    let gone = files.iter().filter(|file| day(file).is_some_and(|day| going.contains(&day)));
    let actions: Vec<_> = gone.map(|file| Action::Remove(removed(file, true))).collect();
    if actions.is_empty() {
        return Ok(0);
    }
    let predicate = format!("{EVENT_DAY} < '{}'", plan.keeps_from);
    let operation = DeltaOperation::Delete { predicate: Some(predicate) };
    table.commit(actions, operation, CommitProperties::default()).await?;
    Ok(going.len())
}

fn day(file: &Add) -> Option<Date> {
    file.partition_values.get(EVENT_DAY)?.as_deref()?.parse().ok()
}
