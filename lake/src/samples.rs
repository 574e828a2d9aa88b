//! Sample queries: those that CloudTrail Lake documents, and what its dashboards and auditors ask.
//!
//! Owns their words and how one is found. What they answer is tested over a few records.

mod statements;
#[cfg(test)]
mod tests;

use crate::kind::Kind;

/// What stands for the event data store in a sample's statement.
const PLACEHOLDER: &str = "$EDS";

/// A sample query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// A short name.
    pub name: &'static str,
    /// What it tells, in a sentence.
    pub description: &'static str,
    /// The kind of event data store that it asks.
    pub kind: Kind,
    sql: &'static str,
}

impl Sample {
    /// The statement, over the event data store of this name or id.
    pub fn statement(&self, event_data_store: &str) -> String {
        self.sql.replace(PLACEHOLDER, &format!("\"{}\"", event_data_store.replace('"', "\"\"")))
    }
}

/// Every sample, by topic.
pub fn all() -> &'static [Sample] {
    statements::ALL
}

/// The samples that have words of the phrase, and how well each fits (above 0, at most 1); the best first. As
/// `SearchSampleQueries` of CloudTrail's API; its measure isn't documented.
pub fn search(phrase: &str) -> Vec<(&'static Sample, f64)> {
    let words: Vec<String> = words(phrase).collect();
    let mut found: Vec<(&Sample, f64)> = all()
        .iter()
        .map(|sample| (sample, relevance(sample, &words)))
        .filter(|(_, relevance)| *relevance > 0.0)
        .collect();
    found.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    found
}

/// The part of the words that the sample has; in its name they count fully, in its description and statement less.
fn relevance(sample: &Sample, words: &[String]) -> f64 {
    let texts = [(sample.name, 1.0), (sample.description, 0.7), (sample.sql, 0.4)];
    let weight = |word: &String| {
        let has = |text: &str| text.to_lowercase().contains(stem(word));
        texts.iter().filter(|(text, _)| has(text)).map(|(_, weight)| *weight).fold(0.0, f64::max)
    };
    let sum: f64 = words.iter().map(weight).sum();
    if words.is_empty() { 0.0 } else { sum / words.len() as f64 }
}

/// The words that tell something.
fn words(phrase: &str) -> impl Iterator<Item = String> + '_ {
    const EMPTY: [&str; 16] =
        ["a", "all", "an", "and", "by", "did", "for", "from", "in", "is", "of", "on", "that", "the", "to", "was"];
    phrase
        .split(|char: char| !char.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| !word.is_empty() && !EMPTY.contains(&word.as_str()))
}

/// `logins` finds `login`.
fn stem(word: &str) -> &str {
    if word.len() > 3 { word.strip_suffix('s').unwrap_or(word) } else { word }
}
