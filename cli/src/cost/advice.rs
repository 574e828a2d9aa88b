//! What each trail keeps, and what it and the trails that feed it would save by leaving more out. Pure: figures come from the
//! usage ledger and the record ledger, and what is assumed beyond them is said.

use std::borrow::Cow;

use orgtrail_aggregator::config::TrailConfig;
use orgtrail_aggregator::status::TrailStatus;
use orgtrail_aggregator::usage::{Class, Count, Names};
use orgtrail_event::record::Header;
use orgtrail_event::selector::Selection;
use serde::Serialize;

use super::figures::Figures;
use super::prices::Prices;

/// Names of data events that are looked at: the busiest.
const DATA_NAMES: usize = 5;

/// What a trail's selectors keep, since it was configured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Keeps {
    pub(super) trail: String,
    /// Records that its destination holds or will.
    pub(super) kept: u64,
    /// Records that its selectors passed over.
    pub(super) filtered: u64,
    /// Whether it goes to CloudWatch Logs, where each byte is billed.
    pub(super) log_group: bool,
}

/// Something that could be left out of a trail, on the days asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Advice {
    pub(super) trail: String,
    pub(super) leave_out: String,
    /// Events that the trail takes now, duplicates aside. None: it leaves them out already.
    pub(super) events: u64,
    /// Bytes of their JSON.
    pub(super) bytes: u64,
    /// What its log group is billed for them.
    pub(super) log_group_usd: f64,
    /// What CloudTrail charges where the sources' own trails don't leave them out, further copies of management events
    /// included.
    pub(super) source_usd: f64,
}

struct Candidate {
    leave_out: String,
    is: Box<dyn Fn(&Names) -> bool>,
}

pub(super) fn keeps(trail: &TrailConfig, status: &TrailStatus) -> Keeps {
    let (kept, filtered) = (status.delivered + status.pending, status.filtered);
    Keeps { trail: trail.name.clone(), kept, filtered, log_group: trail.cloudwatch_logs.is_some() }
}

/// All of it for one trail, the most events first; what comes to nothing is left away.
pub(super) fn advice(trail: &TrailConfig, selection: &Selection, figures: &Figures, prices: &Prices) -> Vec<Advice> {
    let of = |candidate: Candidate| {
        let (mut kept, mut source_usd) = (Count::default(), 0.0);
        for (names, count) in figures.events().filter(|(names, _)| (candidate.is)(names)) {
            source_usd += prices.events(names.class, count);
            if takes(trail, selection, names) {
                kept.add(count);
            }
        }
        let bytes = kept.bytes - kept.duplicate_bytes;
        Advice {
            trail: trail.name.clone(),
            leave_out: candidate.leave_out,
            events: kept.events - kept.duplicates,
            bytes,
            log_group_usd: if trail.cloudwatch_logs.is_some() { prices.logs(bytes) } else { 0.0 },
            source_usd,
        }
    };
    let mut advice: Vec<_> = candidates(figures).into_iter().map(of).collect();
    advice.retain(|one| one.events > 0 || one.source_usd > 0.0);
    advice.sort_by_key(|one| std::cmp::Reverse(one.events));
    advice
}

fn candidates(figures: &Figures) -> Vec<Candidate> {
    let management_of = |source: &'static str| Candidate {
        leave_out: format!("management events of {source}"),
        is: Box::new(move |names: &Names| names.class.is_management() && names.source == source),
    };
    let mut candidates = vec![
        // The two that CloudTrail's own basic selectors can leave out (ExcludeManagementEventSources).
        management_of("kms.amazonaws.com"),
        management_of("rdsdata.amazonaws.com"),
        Candidate {
            leave_out: "read-only management events".to_owned(),
            is: Box::new(|names| names.class == Class::ManagementRead),
        },
    ];
    let mut data = std::collections::BTreeMap::<(&str, &str), u64>::new();
    for (names, count) in figures.events().filter(|(names, _)| names.class == Class::Data) {
        *data.entry((&names.source, &names.name)).or_default() += count.events;
    }
    let mut data: Vec<_> = data.into_iter().collect();
    data.sort_by_key(|(_, events)| std::cmp::Reverse(*events));
    candidates.extend(data.into_iter().take(DATA_NAMES).map(|((source, name), _)| {
        let (source, name) = (source.to_owned(), name.to_owned());
        Candidate {
            leave_out: format!("data events {source} {name}"),
            is: Box::new(move |names| names.class == Class::Data && names.source == source && names.name == name),
        }
    }));
    candidates
}

/// Whether the trail takes such events, as far as their names tell. Which data events it takes depends on their resources,
/// which no row names: they are taken to be taken.
fn takes(trail: &TrailConfig, selection: &Selection, names: &Names) -> bool {
    if !names.class.is_management() {
        return true;
    }
    let region = trail.home_region.as_deref().unwrap_or("us-east-1");
    let header = Header {
        event_category: Some(Cow::Borrowed("Management")),
        management_event: Some(true),
        read_only: Some(names.class == Class::ManagementRead),
        event_source: Some(Cow::Borrowed(&names.source)),
        event_name: Some(Cow::Borrowed(&names.name)),
        event_type: Some(Cow::Borrowed("AwsApiCall")),
        aws_region: Some(Cow::Borrowed(region)),
        recipient_account_id: Some(Cow::Borrowed(&names.account)),
        ..Header::default()
    };
    selection.keeps(&header, &names.account, region)
}

#[cfg(test)]
mod tests {
    use orgtrail_aggregator::usage::Table;
    use orgtrail_service::config::parse;

    use super::*;
    use crate::cost::figures::tests::figures;

    /// A trail with these lines.
    fn trail(lines: &str) -> TrailConfig {
        let text = format!(
            "state_dir = \"/s\"\nlisten = \"127.0.0.1:1\"\n[[agents]]\nname = \"a\"\naccounts = [\"*\"]\n[[trails]]\nname = \
             \"one-trail\"\naccount_id = \"111122223333\"\nhome_region = \"eu-west-1\"\nlocation = \"file:///t\"\n{lines}\n"
        );
        let config: orgtrail_aggregator::Config = parse(std::path::Path::new("a.toml"), &text).expect("valid");
        config.trails[0].clone()
    }

    fn told(lines: &str) -> Vec<(String, u64, u64)> {
        use Class::{Data, ManagementRead, ManagementWrite};
        let kms = "kms.amazonaws.com";
        let figures = figures(&[
            (Table::Events, "111122223333", kms, "Decrypt", ManagementRead, 300_000, 100_000),
            (Table::Events, "111122223333", kms, "CreateKey", ManagementWrite, 10, 0),
            (Table::Events, "111122223333", "iam.amazonaws.com", "ListUsers", ManagementRead, 1_000, 0),
            (Table::Events, "111122223333", "s3.amazonaws.com", "GetObject", Data, 1_000_000, 0),
        ]);
        let trail = trail(lines);
        let selection = trail.selection().expect("valid");
        let advice = advice(&trail, &selection, &figures, &Prices::load(None).unwrap());
        advice.into_iter().map(|one| (one.leave_out, one.events, (one.source_usd * 100.0).round() as u64)).collect()
    }

    #[test]
    fn what_a_trail_would_save_is_what_it_takes_now() {
        let of = |what: &str, events, cents| (what.to_owned(), events, cents);
        let expected = [
            of("data events s3.amazonaws.com GetObject", 1_000_000, 100),
            of("read-only management events", 201_000, 200),
            of("management events of kms.amazonaws.com", 200_010, 200),
        ];
        assert_eq!(told("event_selectors = \"all\""), expected);
        let without_kms = "[[trails.event_selectors]]\nexclude_management_event_sources = [\"kms.amazonaws.com\"]";
        let told = told(without_kms);
        assert_eq!(told[1], of("read-only management events", 1_000, 200));
        assert_eq!(
            told[2],
            of("management events of kms.amazonaws.com", 0, 200),
            "the sources' own trails may still take it"
        );
    }
}
