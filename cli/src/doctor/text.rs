//! What a person sees: what is not all right in full, the rest in a line each.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::Report;
use super::check::{Advice, Check, Outcome};
use crate::terminal::count;

/// Indent of advice below a check, and of its further lines.
const ADVICE: &str = "      - ";
const BELOW: &str = "          ";

/// Things in a row that are all right and shown one by one; of an organization there are thousands.
const FINE_MAX: usize = 20;

/// The reports of all files. `all` shows every check.
pub(super) fn of(reports: &[Report<'_>], all: bool) -> String {
    let mut page = Page { text: String::new(), told: HashSet::new(), all };
    for (path, process, checks) in reports {
        page.line(format_args!("{} ({process})", path.display()));
        page.file(checks);
        page.line(format_args!(""));
    }
    let total = |outcome| {
        let checks = reports.iter().flat_map(|(_, _, checks)| checks);
        checks.filter(|check| check.outcome == outcome).count() as u64
    };
    let warnings = total(Outcome::Warning);
    page.line(format_args!(
        "{} ok, {} {}, {} failed, {} skipped",
        count(total(Outcome::Ok)),
        count(warnings),
        if warnings == 1 { "warning" } else { "warnings" },
        count(total(Outcome::Failed)),
        count(total(Outcome::Skipped)),
    ));
    page.text
}

struct Page<'a> {
    text: String,
    /// Statements that stand above already.
    told: HashSet<&'a Value>,
    all: bool,
}

impl<'a> Page<'a> {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("a string takes what is written to it");
    }

    fn file(&mut self, checks: &'a [Check]) {
        let all = self.all;
        let subjects: Vec<&[Check]> = checks.chunk_by(|one, other| one.subject == other.subject).collect();
        for alike in subjects.chunk_by(|one, other| is_brief(one, all) && is_brief(other, all)) {
            alike.iter().take(FINE_MAX).for_each(|subject| self.subject(subject));
            if let Some(more) = alike.len().checked_sub(FINE_MAX).filter(|more| *more > 0) {
                self.line(format_args!("  {:<8} {} more; --all shows them", name(Outcome::Ok), count(more as u64)));
            }
        }
    }

    fn subject(&mut self, checks: &'a [Check]) {
        let Some(first) = checks.first() else { return };
        if is_brief(checks, self.all) {
            let is_ok = checks.iter().any(|check| check.outcome == Outcome::Ok);
            let word = if is_ok { Outcome::Ok } else { Outcome::Skipped };
            let hops: Vec<String> = checks.chunk_by(Check::is_skipped_as).map(brief).collect();
            return self.line(format_args!("  {:<8} {}: {}", name(word), first.subject, hops.join(", ")));
        }
        self.line(format_args!("  {}", first.subject));
        // What one failure leaves out is one line.
        for checks in checks.chunk_by(Check::is_skipped_as) {
            let Some(check) = checks.first() else { continue };
            let colon = if check.detail.is_empty() { "" } else { ": " };
            self.line(format_args!("    {:<8} {}{colon}{}", name(check.outcome), hops(checks), check.detail));
            check.advice.iter().for_each(|advice| self.advice(advice));
        }
    }

    /// Each statement in full once: what hundreds of regions need is one.
    fn advice(&mut self, advice: &'a Advice) {
        let Some(statement) = &advice.statement else {
            return self.line(format_args!("{ADVICE}{}", advice.text));
        };
        if !self.told.insert(statement) {
            return self.line(format_args!("{ADVICE}{}: as above", advice.text));
        }
        self.line(format_args!("{ADVICE}{}:", advice.text));
        let json = serde_json::to_string_pretty(statement).unwrap_or_else(|_| statement.to_string());
        json.lines().for_each(|line| self.line(format_args!("{BELOW}{line}")));
    }
}

/// Is one line enough for a thing?
fn is_brief(checks: &[Check], all: bool) -> bool {
    !all && checks.iter().all(|check| matches!(check.outcome, Outcome::Ok | Outcome::Skipped))
}

/// Of checks that are all right, or were left out for one reason.
fn brief(checks: &[Check]) -> String {
    match checks.first() {
        Some(check) if check.outcome == Outcome::Skipped => format!("{} skipped ({})", hops(checks), check.detail),
        _ => hops(checks),
    }
}

fn hops(checks: &[Check]) -> String {
    let hops: Vec<&str> = checks.iter().map(|check| check.hop).collect();
    hops.join(", ")
}

fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Warning => "WARNING",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "skipped",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::doctor::check::Chain;

    fn fine(subject: &str) -> Vec<Check> {
        let mut chain = Chain::new(subject);
        chain.ok("newest", "4 min ago");
        chain.ok("get", "12 bytes");
        chain.end()
    }

    fn refused(subject: &str) -> Vec<Check> {
        let mut chain = Chain::new(subject);
        chain.ok("credentials", "");
        let advice =
            vec![Advice::statement(format!("{subject} needs"), json!({"Effect": "Allow"})), Advice::text("look")];
        chain.fail("bucket", "no", advice);
        chain.skip_all(&["list", "get"]);
        chain.end()
    }

    #[test]
    fn what_is_fine_is_a_line_and_what_is_not_says_what_to_do() {
        let checks = [fine("source a"), refused("source b"), refused("source c")].concat();
        let text = of(&[(Path::new("/etc/agent.toml"), "orgtrail-agent", checks)], false);
        let expected = "\
/etc/agent.toml (orgtrail-agent)
  ok       source a: newest, get
  source b
    ok       credentials
    FAILED   bucket: no
      - source b needs:
          {
            \"Effect\": \"Allow\"
          }
      - look
    skipped  list, get: needs `bucket`, which failed
  source c
    ok       credentials
    FAILED   bucket: no
      - source c needs: as above
      - look
    skipped  list, get: needs `bucket`, which failed

4 ok, 0 warnings, 2 failed, 4 skipped
";
        assert_eq!(text, expected);
    }

    #[test]
    fn of_thousands_that_are_fine_the_first_are_shown_unless_all_are_wanted() {
        let many: Vec<Check> = (0..1_234).flat_map(|number| fine(&format!("source {number}"))).collect();
        let report = [(Path::new("/etc/agent.toml"), "orgtrail-agent", many)];
        let text = of(&report, false);
        assert_eq!(text.lines().filter(|line| line.contains("source ")).count(), FINE_MAX);
        assert!(text.contains("  ok       1,214 more; --all shows them\n"), "{text}");
        assert_eq!(of(&report, true).lines().filter(|line| line.contains("source ")).count(), 1_234);
    }
}
