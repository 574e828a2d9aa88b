//! The agent: finds what CloudTrail delivered in each account and region, and ships it to the aggregator, byte for byte.
//!
//! One stage a module, each handing to the next over a bounded channel: `discover` -> `fetch` -> `batch` -> `ship`. The
//! `checkpoint` remembers what was taken and how far it came; `app` wires. Does not own parsing records, removing
//! duplicates or delivering: those are the aggregator's. The agent stays small, as it runs in other people's accounts.

mod app;
pub mod backfill;
mod batch;
mod checkpoint;
mod completeness;
mod config;
mod discover;
mod drain;
mod export;
mod fetch;
mod intake;
mod keyring;
mod kind;
mod limits;
mod lookup;
mod metrics;
mod notify;
mod object;
mod organizations;
mod outcome;
mod outside;
mod prices;
mod quarantine;
mod report;
mod ship;
pub mod status;
#[cfg(test)]
mod testing;

pub use app::{App, Options};
pub use checkpoint::Progress;
pub use config::{Aggregator, Config, DigestKeys, Organization, Selection, Source, SourceKind};
pub use organizations::{Preview, preview};
pub use outcome::{NAMED_MAX, Outcome, QuarantinedObject};
pub use outside::{Outside, World};
pub use ship::{GreetError, GreetStep, greet};
