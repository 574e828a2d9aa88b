//! Event selectors: which records a trail takes.
//!
//! Owns CloudTrail's selectors, basic, advanced and for Insights, in their JSON and in TOML; CloudTrail's rules for them,
//! all of whose violations are told at once; and the decision for a record, with a reason on request. Does not own
//! configuration files, or what becomes of a record that a trail passes over.
//!
//! Rules and limits are those of the CloudTrail API reference (`EventSelector`, `AdvancedFieldSelector`,
//! `InsightSelector`) and the user guide. What they leave open is decided here and said in docs/selectors.md: values are
//! compared letter by letter; a selector that tests a field which the record doesn't have takes it only by operators
//! that begin with `Not`; of several resources, those of the selector's type count, and any of them may match.

mod build;
mod check;
mod document;
mod explain;
mod field;
mod rule;
mod scope;
mod view;

use std::fmt;

pub use self::document::{
    AdvancedEventSelector, AdvancedFieldSelector, DataResource, DocumentError, EventSelector, InsightCategory,
    InsightSelector, InsightType, ReadWriteType, Selectors,
};
pub use self::explain::{Clause, Condition, Explanation};
use self::rule::Rule;
pub use self::scope::Scope;
use self::view::View;
use crate::record::{Category, Header};

/// One thing that is wrong with selectors or a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The key, such as `advanced_event_selectors[1].field_selectors[0].equals`.
    pub at: String,
    /// The exception with which CloudTrail refuses it; None for keys that CloudTrail doesn't have.
    pub exception: Option<&'static str>,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl Invalid {
    fn ours(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: at.into(), exception: None, message: message.into() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)?;
        match self.exception {
            Some(exception) => write!(f, " ({exception})"),
            None => Ok(()),
        }
    }
}

/// A trail's selectors and scope, checked, in the form in which records are tested. Testing allocates nothing, but for
/// strings that stand in the record with escapes.
#[derive(Clone, Debug)]
pub struct Selection {
    scope: Scope,
    /// `event_selectors = "all"`.
    everything: bool,
    /// The key under which the selectors stand.
    key: &'static str,
    management: Vec<Rule>,
    data: Vec<Rule>,
    network_activity: Vec<Rule>,
    insights: Vec<InsightRule>,
}

/// Insights of one type about one category.
#[derive(Clone, Debug)]
struct InsightRule {
    at: String,
    insight_type: InsightType,
    category: InsightCategory,
}

impl Selection {
    /// Checks selectors and scope as CloudTrail would, and prepares them.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the selectors.
    pub fn compile(selectors: &Selectors, insights: &[InsightSelector], scope: &Scope) -> Result<Self, Vec<Invalid>> {
        let mut problems = Vec::new();
        check::selectors(selectors, &mut problems);
        check::insights(insights, &mut problems);
        scope.check(&mut problems);
        if problems.is_empty() { Ok(build::selection(selectors, insights, scope)) } else { Err(problems) }
    }

    /// Whether the trail takes the record. `account` and `region` are those of the folder of its object.
    pub fn keeps(&self, header: &Header<'_>, account: &str, region: &str) -> bool {
        if self.scope.admits(header, account, region).is_err() {
            return false;
        }
        if self.everything {
            return true;
        }
        match header.category() {
            Category::Insight => self.insights.iter().any(|rule| rule.matches(header)),
            category => match self.rules(&category, header) {
                Some((rules, view)) => rules.iter().any(|rule| rule.judge(&view).is_ok()),
                None => false,
            },
        }
    }

    /// What [`Selection::keeps`] says, and why.
    pub fn explain(&self, header: &Header<'_>, account: &str, region: &str) -> Explanation {
        if let Err(outside) = self.scope.admits(header, account, region) {
            let (at, condition) = self.scope.explain(outside, header, account, region);
            return Explanation { kept: false, clauses: vec![Clause::new(at, vec![condition])] };
        }
        if self.everything {
            return Explanation { kept: true, clauses: vec![Clause::new(self.key, Vec::new())] };
        }
        match header.category() {
            Category::Insight => self.explain_insight(header),
            category => self.explain_event(&category, header),
        }
    }

    /// The alternatives for a category. None: no selector can name it.
    fn rules<'h, 'a>(&self, category: &Category, header: &'h Header<'a>) -> Option<(&[Rule], View<'h, 'a>)> {
        Some(match category {
            Category::Management => (&self.management, View::Record(header)),
            Category::Data => (&self.data, View::Record(header)),
            Category::NetworkActivity => (&self.network_activity, View::Record(header)),
            // Data events added up: what takes the events takes their sum.
            Category::Aggregated => (&self.data, View::Aggregated(header)),
            Category::Insight | Category::Other(_) => return None,
        })
    }

    fn explain_event(&self, category: &Category, header: &Header<'_>) -> Explanation {
        let mut clauses = Vec::new();
        if let Some((rules, view)) = self.rules(category, header) {
            for rule in rules {
                match rule.judge(&view) {
                    Ok(()) => return Explanation { kept: true, clauses: vec![Clause::kept_by(rule, &view)] },
                    Err(failed) => clauses.push(Clause::passed_over_by(rule, failed, &view)),
                }
            }
        }
        if clauses.is_empty() {
            let named = [
                (Category::Management, !self.management.is_empty()),
                (Category::Data, !self.data.is_empty()),
                (Category::NetworkActivity, !self.network_activity.is_empty()),
            ];
            let values =
                named.into_iter().filter(|(_, named)| *named).map(|(named, _)| named.name().to_owned()).collect();
            clauses.push(Clause::new(self.key, vec![equals("eventCategory", values, Some(category.name()))]));
        }
        Explanation { kept: false, clauses }
    }

    fn explain_insight(&self, header: &Header<'_>) -> Explanation {
        let found = header.insight_type();
        let of_type = |rule: &InsightRule| {
            equals("insightDetails.insightType", vec![rule.insight_type.name().to_owned()], found.as_deref())
        };
        if let Some(rule) = self.insights.iter().find(|rule| rule.matches(header)) {
            return Explanation { kept: true, clauses: vec![Clause::new(&rule.at, vec![of_type(rule)])] };
        }
        let mut clauses = Vec::new();
        for rule in &self.insights {
            let condition = if found.as_deref() == Some(rule.insight_type.name()) {
                let category = header.insight_source_category();
                let category = category.as_deref().unwrap_or(InsightCategory::Management.name());
                equals("insightDetails.sourceEventCategory", vec![rule.category.name().to_owned()], Some(category))
            } else {
                of_type(rule)
            };
            clauses.push(Clause::new(&rule.at, vec![condition]));
        }
        if clauses.is_empty() {
            let condition = equals("insightDetails.insightType", Vec::new(), found.as_deref());
            clauses.push(Clause::new("insight_selectors", vec![condition]));
        }
        Explanation { kept: false, clauses }
    }
}

impl InsightRule {
    /// Insights that don't say what events they are about are older than those about data events.
    fn matches(&self, header: &Header<'_>) -> bool {
        if header.insight_type().as_deref() != Some(self.insight_type.name()) {
            return false;
        }
        let category = header.insight_source_category();
        category.as_deref().unwrap_or(InsightCategory::Management.name()) == self.category.name()
    }
}

fn equals(field: &str, values: Vec<String>, found: Option<&str>) -> Condition {
    let found = found.into_iter().map(str::to_owned).collect();
    Condition { field: field.to_owned(), operator: field::Operator::Equals.name(), values, found }
}

#[cfg(test)]
mod tests;
