//! The tables of `orgtrail cost`.

use bytesize::ByteSize;

use super::advice::{Advice, Keeps};
use super::figures::{By, Line, Pair};
use super::requests::Requests;
use super::{Breakdown, Document};
use crate::terminal::{count, table};

/// The whole text.
pub(super) fn text(document: &Document, only: Option<By>, top: usize) -> String {
    let mut parts = vec![headline(document)];
    parts.extend(document.breakdowns.iter().map(|breakdown| lines(breakdown, top)));
    if only.is_none() {
        parts.push(pairs(&document.duplicate_trails, top));
        parts.push(requests(&document.requests));
        parts.push(selectors(&document.selectors, &document.suggestions));
        parts.push(format!(
            "Prices: AWS's list as of {}, us-east-1, before discounts; --prices gives others. Bytes are of JSON, before gzip.",
            document.prices.as_of
        ));
    }
    parts.join("\n\n")
}

fn headline(document: &Document) -> String {
    let total = &document.total.count;
    let days = match (document.first_day, document.last_day) {
        (Some(first), Some(last)) => format!("{} days with events, {first} to {last}", document.days),
        _ => "no day with events".to_owned(),
    };
    let mut text = format!(
        "{days} (UTC, the days on which CloudTrail delivered the files)\n{} events read, {} of them duplicates, {} of JSON; \
         CloudTrail's list price for them: {} USD",
        count(total.events),
        count(total.duplicates),
        ByteSize(total.bytes),
        usd(document.total.cloudtrail_usd),
    );
    if document.insights_usd > 0.0 {
        text += &format!(
            "\nInsights: {} more, for each type that is on, where accounts have any",
            usd(document.insights_usd)
        );
    }
    if document.outside.events > 0 {
        text += &format!(
            "\nNot in these figures: {} records of days that are not kept, or from before the usage ledger",
            count(document.outside.events)
        );
    }
    if document.balanced == Some(false) {
        text += &format!("\nUNBALANCED: the record ledger says that {} records were read", count(document.read));
    }
    text
}

fn lines(breakdown: &Breakdown, top: usize) -> String {
    let total: u64 = breakdown.lines.iter().map(|line| line.sum.count.events).sum();
    let row = |line: &Line| {
        let of = &line.sum.count;
        vec![
            line.what.clone(),
            count(of.events),
            share(of.events, total),
            count(of.duplicates),
            ByteSize(of.bytes).to_string(),
            usd(line.sum.cloudtrail_usd),
        ]
    };
    let what = match breakdown.by {
        By::Account => "ACCOUNT",
        By::Source => "SERVICE",
        By::Name => "EVENT",
        By::Category => "CATEGORY",
    };
    let header = [what, "EVENTS", "SHARE", "DUPLICATES", "JSON", "CLOUDTRAIL USD"];
    let shown = breakdown.lines.iter().take(top).map(row).collect();
    table(1, &header, shown) + &more(breakdown.lines.len(), top)
}

fn pairs(pairs: &[Pair], top: usize) -> String {
    if pairs.is_empty() {
        return "Duplicate trails: none found; no event came twice".to_owned();
    }
    let row = |pair: &Pair| {
        vec![
            pair.one.clone(),
            if pair.one == pair.other { "the same folder".to_owned() } else { pair.other.clone() },
            count(pair.accounts.len() as u64),
            count(pair.copies),
            count(pair.management),
            ByteSize(pair.bytes).to_string(),
            usd(pair.cloudtrail_usd),
        ]
    };
    let header = ["DUPLICATE TRAILS", "AND", "ACCOUNTS", "FURTHER COPIES", "MANAGEMENT", "JSON", "CLOUDTRAIL USD"];
    let mut text = table(2, &header, pairs.iter().take(top).map(row).collect()) + &more(pairs.len(), top);
    for pair in pairs.iter().take(top).filter(|pair| !pair.trails.is_empty()) {
        let trails: Vec<_> = pair.trails.iter().map(String::as_str).collect();
        text += &format!("\n{}: digests name {}", pair.one, trails.join(", "));
    }
    if pairs.iter().any(|pair| pair.one == pair.other) {
        text += "\nIn one folder: two trails that share it, or files that were delivered twice, which CloudTrail doesn't bill";
    }
    text
}

fn requests(requests: &[Requests]) -> String {
    let row = |one: &Requests| {
        vec![one.whose.clone(), one.kind.clone(), one.but.to_owned(), count(one.requests), usd(one.usd)]
    };
    let header = ["OUR REQUESTS", "KIND", "", "REQUESTS", "USD"];
    table(3, &header, requests.iter().map(row).collect())
}

fn selectors(keeps: &[Keeps], advice: &[Advice]) -> String {
    let row = |one: &Keeps| {
        let all = one.kept + one.filtered;
        vec![one.trail.clone(), count(one.kept), share(one.kept, all), count(one.filtered)]
    };
    let header = ["SELECTORS OF TRAIL", "KEPT", "SHARE", "PASSED OVER"];
    let mut text = table(1, &header, keeps.iter().map(row).collect());
    let row = |one: &Advice| {
        vec![
            one.trail.clone(),
            one.leave_out.clone(),
            if one.events == 0 { "left out already".to_owned() } else { count(one.events) },
            ByteSize(one.bytes).to_string(),
            usd(one.log_group_usd),
            usd(one.source_usd),
        ]
    };
    if !advice.is_empty() {
        let header = ["LEAVE OUT OF", "WHAT", "EVENTS", "JSON", "LOG GROUP USD", "AT THE SOURCES USD"];
        text += "\n\n";
        text += &table(2, &header, advice.iter().map(row).collect());
        text += "\nAt the sources: if their own trails left it out. Lines overlap: don't add them. Which data events a trail takes \
                 depends on their resources, which the ledger doesn't keep: it is taken to take all.";
    }
    text
}

fn more(lines: usize, top: usize) -> String {
    if lines > top { format!("\n{} more; see --top", count((lines - top) as u64)) } else { String::new() }
}

fn share(part: u64, of: u64) -> String {
    if of == 0 { "-".to_owned() } else { format!("{:.1} %", part as f64 / of as f64 * 100.0) }
}

fn usd(amount: f64) -> String {
    match amount {
        0.0 => "0".to_owned(),
        small if small < 0.01 => "<0.01".to_owned(),
        amount => format!("{amount:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_neither_hidden_nor_exaggerated() {
        assert_eq!([0.0, 0.001, 0.01, 12.345].map(usd), ["0", "<0.01", "0.01", "12.35"]);
        assert_eq!((share(1, 3), share(0, 0)), ("33.3 %".to_owned(), "-".to_owned()));
        assert_eq!((more(3, 3), more(5, 3)), (String::new(), "\n2 more; see --top".to_owned()));
    }
}
