//! The history of a resource: who changed it and from where, and what its configuration was before and after.
//!
//! Owns one timeline out of two kinds of event data stores: calls that name the resource, from those of events, and states
//! of its configuration, from those of configuration items. Does not own the SQL engine that both are asked through, or how
//! a timeline is printed.
//!
//! A call and the state that it led to stand beside each other by their times alone: AWS Config captures a change some
//! seconds to minutes after it was made, and names the events no more that led to it.

mod calls;
mod diff;
mod resource;
mod states;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::Serialize;

pub use self::calls::Call;
pub use self::diff::Change;
pub use self::states::State;
use crate::error::Error;
use crate::kind::Kind;
use crate::lake::Lake;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// An id, a name or an ARN.
    pub resource: String,
    /// The first moment. Default: the beginning.
    pub from: Option<Timestamp>,
    /// The moment after the last. Default: no end.
    pub to: Option<Timestamp>,
    /// Whether data events count, such as each object put into a bucket.
    pub data_events: bool,
    /// Entries of each kind at most; the newest are kept.
    pub limit: usize,
}

/// A moment of a resource's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Entry {
    /// Somebody made a call that names it.
    Call(Call),
    /// Its configuration was captured.
    State(State),
}

impl Entry {
    /// When.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Call(call) => call.at,
            Self::State(state) => state.at,
        }
    }
}

/// The history of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// From the oldest to the newest; of one moment, calls first.
    pub entries: Vec<Entry>,
    /// What else it goes by and was looked for.
    pub names: Vec<String>,
    /// There are older entries than these, beyond the limit.
    pub is_cut: bool,
}

/// Asks all event data stores of both kinds.
///
/// # Errors
/// There is none of either kind, or a query failed.
pub async fn history(lake: &Lake, question: &Question) -> Result<History, Error> {
    let of = |kind: Kind| {
        let stores = lake.stores().iter().filter(move |store| store.config.kind == kind);
        stores.map(|store| store.config.name.as_str()).collect::<Vec<_>>()
    };
    let (configurations, events) = (of(Kind::ConfigurationItem), of(Kind::Events));
    if configurations.is_empty() && events.is_empty() {
        let what = "no event data store of kind Events or ConfigurationItem is configured";
        return Err(Error::Request(what.to_owned()));
    }
    let mut resource = resource::Resource::new(&question.resource);
    let mut history = History::default();
    for store in configurations {
        let found = states::ask(lake.engine(), store, &resource, question).await?;
        history.is_cut |= found.is_cut;
        found.states.iter().for_each(|state| state.tell(&mut resource));
        let is_asked = |state: &State| question.from.is_none_or(|from| state.at >= from);
        history.entries.extend(found.states.into_iter().filter(is_asked).map(Entry::State));
    }
    for store in events {
        let (calls, is_cut) = calls::ask(lake.engine(), store, &resource, question).await?;
        history.is_cut |= is_cut;
        history.entries.extend(calls.into_iter().map(Entry::Call));
    }
    history.entries.sort_by_key(|entry| (entry.at(), matches!(entry, Entry::State(_))));
    history.names = resource.names;
    Ok(history)
}

/// An event data store's name in a statement.
fn table(store: &str) -> String {
    format!("\"{}\"", store.replace('"', "\"\""))
}

/// A text in a statement.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn literals(texts: &[String]) -> String {
    texts.iter().map(|text| literal(text)).collect::<Vec<_>>().join(", ")
}

/// A moment in a statement.
fn moment(at: Timestamp) -> String {
    format!("TIMESTAMP {}", literal(&at.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string()))
}
