//! What a person sees: what is not all right in full, the rest in a line each.

use std::collections::HashSet;

use super::Report;
use super::check::{Advice, Check, Outcome};
use crate::terminal::count;

/// Indent of advice below a check.
const INDENT: &str = "      ";

/// Prints the reports of all files. `all` shows every check.
pub(super) fn print(reports: &[Report<'_>], all: bool) {
    let mut told = HashSet::new();
    for (path, process, checks) in reports {
        println!("{} ({process})", path.display());
        for subject in checks.chunk_by(|one, other| one.subject == other.subject) {
            print_subject(subject, all, &mut told);
        }
        println!();
    }
    let total =
        |outcome| reports.iter().flat_map(|(_, _, checks)| checks).filter(|check| check.outcome == outcome).count();
    println!(
        "{} ok, {} warnings, {} failed, {} skipped",
        count(total(Outcome::Ok) as u64),
        count(total(Outcome::Warning) as u64),
        count(total(Outcome::Failed) as u64),
        count(total(Outcome::Skipped) as u64),
    );
}

fn print_subject<'a>(checks: &'a [Check], all: bool, told: &mut HashSet<&'a Advice>) {
    let Some(first) = checks.first() else { return };
    let fine = checks.iter().all(|check| matches!(check.outcome, Outcome::Ok | Outcome::Skipped));
    if fine && !all {
        let word = if checks.iter().any(|check| check.outcome == Outcome::Ok) { Outcome::Ok } else { Outcome::Skipped };
        let hops: Vec<String> = checks.iter().map(brief).collect();
        println!("  {:<8} {}: {}", name(word), first.subject, hops.join(", "));
        return;
    }
    println!("  {}", first.subject);
    for check in checks {
        println!("    {:<8} {}: {}", name(check.outcome), check.hop, check.detail);
        for advice in &check.advice {
            print_advice(advice, told);
        }
    }
}

fn brief(check: &Check) -> String {
    if check.outcome == Outcome::Skipped {
        format!("{} skipped ({})", check.hop, check.detail)
    } else {
        check.hop.to_owned()
    }
}

/// Each advice in full once: what hundreds of regions need is one statement.
fn print_advice<'a>(advice: &'a Advice, told: &mut HashSet<&'a Advice>) {
    let Some(statement) = &advice.statement else {
        println!("{INDENT}{}", advice.text);
        return;
    };
    if !told.insert(advice) {
        println!("{INDENT}{}: as above", advice.text);
        return;
    }
    println!("{INDENT}{}:", advice.text);
    let json = serde_json::to_string_pretty(statement).unwrap_or_else(|_| statement.to_string());
    json.lines().for_each(|line| println!("{INDENT}  {line}"));
}

fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Warning => "WARNING",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "skipped",
    }
}
