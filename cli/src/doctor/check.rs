//! What a check found, and the chain of checks of one thing: what fails skips what depends on it.

use serde::Serialize;
use serde_json::Value;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// It works.
    Ok,
    /// It works, and a person should look.
    Warning,
    /// It does not work.
    Failed,
    /// It was not tried.
    Skipped,
}

/// What to do, and where it is a policy: the statement to paste.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Advice {
    pub(super) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) statement: Option<Value>,
}

impl Advice {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), statement: None }
    }

    pub(super) fn statement(text: impl Into<String>, statement: Value) -> Self {
        Self { text: text.into(), statement: Some(statement) }
    }
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Check {
    /// What was looked at: `source acme 111122223333/eu-west-1`.
    pub(super) subject: String,
    /// Which step: `assume role`, `list`, `get`.
    pub(super) hop: &'static str,
    pub(super) outcome: Outcome,
    pub(super) detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) advice: Vec<Advice>,
}

impl Check {
    /// Were both left out for the same reason?
    pub(super) fn is_skipped_as(one: &Self, other: &Self) -> bool {
        let skipped = |check: &Self| check.outcome == Outcome::Skipped && check.advice.is_empty();
        skipped(one) && skipped(other) && one.detail == other.detail
    }
}

/// The checks of one thing, in their order.
#[derive(Debug)]
pub(super) struct Chain {
    subject: String,
    checks: Vec<Check>,
}

impl Chain {
    pub(super) fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), checks: Vec::new() }
    }

    pub(super) fn ok(&mut self, hop: &'static str, detail: impl Into<String>) {
        self.push(hop, Outcome::Ok, detail, Vec::new());
    }

    pub(super) fn warn(&mut self, hop: &'static str, detail: impl Into<String>, advice: Vec<Advice>) {
        self.push(hop, Outcome::Warning, detail, advice);
    }

    pub(super) fn fail(&mut self, hop: &'static str, detail: impl Into<String>, advice: Vec<Advice>) {
        self.push(hop, Outcome::Failed, detail, advice);
    }

    pub(super) fn skip(&mut self, hop: &'static str, why: impl Into<String>) {
        self.push(hop, Outcome::Skipped, why, Vec::new());
    }

    /// Not tried, with what it needs.
    pub(super) fn skip_advised(&mut self, hop: &'static str, why: impl Into<String>, advice: Vec<Advice>) {
        self.push(hop, Outcome::Skipped, why, advice);
    }

    /// The hops that the last failure leaves out.
    pub(super) fn skip_all(&mut self, hops: &[&'static str]) {
        let failed = self.checks.iter().rfind(|check| check.outcome == Outcome::Failed).map_or("", |check| check.hop);
        for hop in hops {
            self.skip(hop, format!("needs `{failed}`, which failed"));
        }
    }

    pub(super) fn has_failed(&self, hop: &str) -> bool {
        self.checks.iter().any(|check| check.hop == hop && check.outcome == Outcome::Failed)
    }

    pub(super) fn end(self) -> Vec<Check> {
        self.checks
    }

    fn push(&mut self, hop: &'static str, outcome: Outcome, detail: impl Into<String>, advice: Vec<Advice>) {
        self.checks.push(Check { subject: self.subject.clone(), hop, outcome, detail: detail.into(), advice });
    }
}
