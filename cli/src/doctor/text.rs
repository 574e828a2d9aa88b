//! What a person sees: what is not all right in full, the rest in a line each.

use std::collections::HashSet;

use serde_json::Value;

use super::Report;
use super::check::{Advice, Check, Outcome};
use crate::terminal::count;

/// Indent of advice below a check, and of its further lines.
const ADVICE: &str = "      - ";
const BELOW: &str = "          ";

/// Things in a row that are all right and shown one by one; of an organization there are thousands.
const FINE_MAX: usize = 20;

/// Prints the reports of all files. `all` shows every check.
pub(super) fn print(reports: &[Report<'_>], all: bool) {
    let mut told = HashSet::new();
    for (path, process, checks) in reports {
        println!("{} ({process})", path.display());
        let subjects: Vec<&[Check]> = checks.chunk_by(|one, other| one.subject == other.subject).collect();
        for alike in subjects.chunk_by(|one, other| is_brief(one, all) && is_brief(other, all)) {
            for subject in alike.iter().take(FINE_MAX) {
                print_subject(subject, all, &mut told);
            }
            if let Some(more) = alike.len().checked_sub(FINE_MAX).filter(|more| *more > 0) {
                println!("  {:<8} {} more; --all shows them", name(Outcome::Ok), count(more as u64));
            }
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

/// Is one line enough for a thing?
fn is_brief(checks: &[Check], all: bool) -> bool {
    !all && checks.iter().all(|check| matches!(check.outcome, Outcome::Ok | Outcome::Skipped))
}

fn print_subject<'a>(checks: &'a [Check], all: bool, told: &mut HashSet<&'a Value>) {
    let Some(first) = checks.first() else { return };
    if is_brief(checks, all) {
        let word = if checks.iter().any(|check| check.outcome == Outcome::Ok) { Outcome::Ok } else { Outcome::Skipped };
        let hops: Vec<String> = checks.chunk_by(Check::is_skipped_as).map(brief).collect();
        println!("  {:<8} {}: {}", name(word), first.subject, hops.join(", "));
        return;
    }
    println!("  {}", first.subject);
    // What one failure leaves out is one line.
    for checks in checks.chunk_by(Check::is_skipped_as) {
        let Some(check) = checks.first() else { continue };
        let colon = if check.detail.is_empty() { "" } else { ": " };
        println!("    {:<8} {}{colon}{}", name(check.outcome), hops(checks), check.detail);
        for advice in &check.advice {
            print_advice(advice, told);
        }
    }
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

/// Each statement in full once: what hundreds of regions need is one.
fn print_advice<'a>(advice: &'a Advice, told: &mut HashSet<&'a Value>) {
    let Some(statement) = &advice.statement else {
        println!("{ADVICE}{}", advice.text);
        return;
    };
    if !told.insert(statement) {
        println!("{ADVICE}{}: as above", advice.text);
        return;
    }
    println!("{ADVICE}{}:", advice.text);
    let json = serde_json::to_string_pretty(statement).unwrap_or_else(|_| statement.to_string());
    json.lines().for_each(|line| println!("{BELOW}{line}"));
}

fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Warning => "WARNING",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "skipped",
    }
}
