//! Why a record is taken or passed over, for people and as JSON.

use std::fmt;

use serde::Serialize;

use super::rule::{Failed, Rule, Test};
use super::view::View;

/// What a selection says of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What [`super::Selection::keeps`] says.
    pub kept: bool,
    /// If it is kept, the first clause that keeps it; if it is passed over, each that might have kept it. Never empty.
    pub clauses: Vec<Clause>,
}

/// A clause of the configuration, and what of it decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clause {
    /// Its key, such as `advanced_event_selectors[1]`, `event_selectors[0].data_resources[0]` or `accounts`.
    pub at: String,
    /// The selector's name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// If the record is kept, what matched; may be empty, as of a selector for all management events. If it is passed over,
    /// the first condition that it doesn't meet.
    pub conditions: Vec<Condition>,
}

/// A condition and what the record has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// The field: as in selectors, or `account` and `region` for those of the object's folder.
    pub field: String,
    /// `Equals`, `NotStartsWith`, ….
    pub operator: &'static str,
    /// The value that matched, or all of which none did.
    pub values: Vec<String>,
    /// What the record has in the field; empty if it has nothing.
    pub found: Vec<String>,
}

impl Clause {
    pub(super) fn new(at: impl Into<String>, conditions: Vec<Condition>) -> Self {
        Self { at: at.into(), name: None, conditions }
    }

    /// Of a rule that the record meets.
    pub(super) fn kept_by(rule: &Rule, view: &View<'_, '_>) -> Self {
        let hit = |test: &Test| {
            let (operator, value) = test.judge(view).ok()??;
            Some(Condition {
                field: test.field.name().to_owned(),
                operator: operator.name(),
                values: vec![value.to_owned()],
                found: test.found(view),
            })
        };
        Self { at: rule.at.clone(), name: rule.name.clone(), conditions: rule.tests.iter().filter_map(hit).collect() }
    }

    /// Of a rule that the record doesn't meet.
    pub(super) fn passed_over_by(rule: &Rule, failed: Failed<'_>, view: &View<'_, '_>) -> Self {
        let test = failed.test;
        let condition = |operator, values| Condition {
            field: test.field.name().to_owned(),
            operator,
            values,
            found: test.found(view),
        };
        let conditions = match failed.hit {
            Some((operator, value)) => vec![condition(operator.name(), vec![value.to_owned()])],
            None => {
                let of = |values: &super::rule::Values| {
                    condition(values.operator.name(), values.values().map(str::to_owned).collect())
                };
                test.select.iter().map(of).collect()
            }
        };
        Self { at: rule.at.clone(), name: rule.name.clone(), conditions }
    }
}

/// More values than this are counted.
const VALUES_SHOWN: usize = 3;

fn list(values: &[String]) -> String {
    let shown: Vec<_> = values.iter().take(VALUES_SHOWN).map(String::as_str).collect();
    let more = values.len().saturating_sub(VALUES_SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

impl fmt::Display for Clause {
    /// `advanced_event_selectors[1] "S3": resources.ARN StartsWith arn:aws:s3:::b/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at)?;
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        for (index, condition) in self.conditions.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { ", " })?;
            write!(f, "{} {} {}", condition.field, condition.operator, list(&condition.values))?;
        }
        Ok(())
    }
}

impl fmt::Display for Explanation {
    /// The clauses; behind those that pass a record over, what it has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, clause) in self.clauses.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{clause}")?;
            let Some(condition) = clause.conditions.first().filter(|_| !self.kept) else { continue };
            match condition.found.as_slice() {
                [] => f.write_str(" (has none)")?,
                found => write!(f, " (has {})", list(found))?,
            }
        }
        Ok(())
    }
}
