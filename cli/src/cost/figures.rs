//! Sums over the usage ledger: by account, service, event name and class, and by pair of source folders. Pure.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use orgtrail_aggregator::usage::{Class, Count, Day, Names, Table};
use serde::Serialize;

use super::prices::Prices;

/// What events are summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    /// The account that the events are of.
    Account,
    /// The service: `eventSource`.
    Source,
    /// `eventSource` and `eventName`.
    Name,
    /// What CloudTrail's bill tells apart.
    Category,
}

impl By {
    pub(super) const ALL: [Self; 4] = [Self::Account, Self::Source, Self::Name, Self::Category];

    fn of(self, names: &Names) -> String {
        match self {
            Self::Account => names.account.clone(),
            Self::Source => names.source.clone(),
            Self::Name => format!("{} {}", names.source, names.name),
            Self::Category => names.class.name().to_owned(),
        }
    }
}

/// Events, and what CloudTrail's list price of them is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Sum {
    #[serde(flatten)]
    pub(super) count: Count,
    pub(super) cloudtrail_usd: f64,
}

impl Sum {
    fn add(&mut self, class: Class, count: &Count, prices: &Prices) {
        self.count.add(count);
        self.cloudtrail_usd += prices.events(class, count);
    }
}

/// One line of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Line {
    pub(super) what: String,
    #[serde(flatten)]
    pub(super) sum: Sum,
}

/// Two source folders that held copies of the same events.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Pair {
    pub(super) one: String,
    pub(super) other: String,
    /// The trails that digests name for the folders.
    pub(super) trails: BTreeSet<String>,
    pub(super) accounts: BTreeMap<String, u64>,
    /// Further copies.
    pub(super) copies: u64,
    pub(super) management: u64,
    pub(super) bytes: u64,
    /// What CloudTrail charges for them.
    pub(super) cloudtrail_usd: f64,
}

/// All rows of the days asked for.
#[derive(Debug, Default)]
pub(super) struct Figures {
    rows: BTreeMap<Names, Count>,
    pub(super) days: BTreeSet<jiff::civil::Date>,
}

impl Figures {
    pub(super) fn add(&mut self, days: Vec<Day>) {
        for day in days {
            self.days.insert(day.day);
            for row in day.rows {
                self.rows.entry(row.names).or_default().add(&row.count);
            }
        }
    }

    fn of(&self, table: Table) -> impl Iterator<Item = (&Names, &Count)> {
        self.rows.iter().filter(move |(names, _)| names.table == table)
    }

    /// The events, as names and counts.
    pub(super) fn events(&self) -> impl Iterator<Item = (&Names, &Count)> {
        self.of(Table::Events)
    }

    pub(super) fn total(&self, prices: &Prices) -> Sum {
        let mut total = Sum::default();
        self.events().for_each(|(names, count)| total.add(names.class, count, prices));
        total
    }

    /// Lines, the most events first.
    pub(super) fn lines(&self, by: By, prices: &Prices) -> Vec<Line> {
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for (names, count) in self.events() {
            sums.entry(by.of(names)).or_default().add(names.class, count, prices);
        }
        let mut lines: Vec<_> = sums.into_iter().map(|(what, sum)| Line { what, sum }).collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.sum.count.events));
        lines
    }

    /// Pairs, the most copies first. Which of two folders brought an event first says nothing, so a pair is one both ways.
    pub(super) fn pairs(&self, trails: &BTreeMap<String, BTreeSet<String>>, prices: &Prices) -> Vec<Pair> {
        let mut pairs: BTreeMap<(String, String), Pair> = BTreeMap::new();
        for (names, count) in self.of(Table::Copies) {
            let (one, other) =
                (names.source.clone().min(names.name.clone()), names.source.clone().max(names.name.clone()));
            let pair = pairs.entry((one.clone(), other.clone())).or_insert_with(|| Pair {
                trails: [&one, &other].into_iter().filter_map(|root| trails.get(root)).flatten().cloned().collect(),
                one,
                other,
                accounts: BTreeMap::new(),
                copies: 0,
                management: 0,
                bytes: 0,
                cloudtrail_usd: 0.0,
            });
            *pair.accounts.entry(names.account.clone()).or_default() += count.events;
            pair.copies += count.events;
            pair.management += if names.class.is_management() { count.events } else { 0 };
            pair.bytes += count.bytes;
            pair.cloudtrail_usd += prices.copies(names.class, count.events);
        }
        let mut pairs: Vec<_> = pairs.into_values().collect();
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.copies));
        pairs
    }

    /// Management events of the accounts that have Insights, which CloudTrail analyses for a price; first copies only.
    pub(super) fn analysed(&self) -> u64 {
        let with: BTreeSet<_> =
            self.events().filter(|(names, _)| names.class == Class::Insight).map(|(names, _)| &names.account).collect();
        let analysed = self.events().filter(|(names, _)| names.class.is_management() && with.contains(&names.account));
        analysed.map(|(_, count)| count.events - count.duplicates).sum()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use orgtrail_aggregator::usage::Row;

    use super::*;

    /// `table account source name class events duplicates`.
    pub(in super::super) fn figures(rows: &[(Table, &str, &str, &str, Class, u64, u64)]) -> Figures {
        let row =
            |(table, account, source, name, class, events, duplicates): &(_, &str, &str, &str, _, u64, u64)| Row {
                names: Names {
                    table: *table,
                    account: (*account).to_owned(),
                    source: (*source).to_owned(),
                    name: (*name).to_owned(),
                    class: *class,
                },
                count: Count {
                    events: *events,
                    bytes: events * 10,
                    duplicates: *duplicates,
                    duplicate_bytes: duplicates * 10,
                },
            };
        let mut figures = Figures::default();
        let day = |day: i8| jiff::civil::date(2026, 3, day);
        figures.add(vec![Day { day: day(1), rows: rows.iter().map(row).collect() }, Day { day: day(2), rows: vec![] }]);
        figures
    }

    #[test]
    fn every_table_sums_to_the_same_total() {
        use Class::{Data, Insight, ManagementRead, ManagementWrite};
        let figures = figures(&[
            (Table::Events, "1", "s3", "GetObject", Data, 100_000, 0),
            (Table::Events, "1", "kms", "Decrypt", ManagementRead, 50_000, 25_000),
            (Table::Events, "2", "kms", "Decrypt", ManagementRead, 10, 0),
            (Table::Events, "2", "iam", "CreateUser", ManagementWrite, 5, 0),
            (Table::Events, "2", "iam", "CreateUser", Insight, 1, 0),
        ]);
        let prices = Prices::load(None).unwrap();
        let total = figures.total(&prices);
        assert_eq!((total.count.events, total.count.duplicates), (150_016, 25_000));
        assert!((total.cloudtrail_usd - 0.6).abs() < 1e-9, "{}", total.cloudtrail_usd);
        for by in By::ALL {
            let lines = figures.lines(by, &prices);
            assert_eq!(lines.iter().map(|line| line.sum.count.events).sum::<u64>(), 150_016, "{by:?}");
            assert!(lines.is_sorted_by(|a, b| a.sum.count.events >= b.sum.count.events));
        }
        assert_eq!(figures.lines(By::Name, &prices)[0].what, "s3 GetObject");
        assert_eq!(figures.analysed(), 15, "only account 2 has Insights");
    }

    #[test]
    fn a_pair_is_one_both_ways_and_costs_what_the_further_copies_cost() {
        let figures = figures(&[
            (Table::Copies, "1", "s3://a", "s3://b", Class::ManagementRead, 60_000, 0),
            (Table::Copies, "2", "s3://b", "s3://a", Class::ManagementWrite, 40_000, 0),
            (Table::Copies, "2", "s3://b", "s3://a", Class::Data, 100_000, 0),
            (Table::Copies, "2", "s3://b", "s3://b", Class::Data, 1, 0),
        ]);
        let trails = BTreeMap::from([("s3://a".to_owned(), BTreeSet::from(["audit".to_owned()]))]);
        let pairs = figures.pairs(&trails, &Prices::load(None).unwrap());
        assert_eq!((pairs.len(), pairs[0].copies, pairs[0].management), (2, 200_000, 100_000));
        assert!((pairs[0].cloudtrail_usd - 2.1).abs() < 1e-9);
        assert_eq!(pairs[0].accounts, [("1".to_owned(), 60_000), ("2".to_owned(), 140_000)].into());
        assert_eq!(pairs[0].trails, ["audit".to_owned()].into());
        assert_eq!((pairs[1].one.as_str(), pairs[1].other.as_str()), ("s3://b", "s3://b"));
    }
}
