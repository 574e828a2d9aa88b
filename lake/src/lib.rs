//! The lake: event data stores over a delivered trail, in Delta Lake tables that any engine reads, and SQL over them.
//!
//! Owns everything between a trail's delivered objects and an analyst's answer: columns, tables, imports, retention, queries.
//! Does not own the formats of log files (event), where bytes lie (cloud), or what is printed (cli).

mod app;
pub mod athena;
mod config;
mod error;
mod event_data_store;
pub mod flight;
pub mod history;
mod iam_policy;
mod import;
mod keeper;
mod kind;
mod lake;
mod lookup;
mod maintain;
mod metrics;
pub mod output;
mod overview;
pub mod results;
mod rows;
pub mod samples;
mod scan;
mod schema;
pub mod sql;
mod store;
mod table;
mod tail;
mod write;

pub use app::{App, Progress};
pub use config::Config;
pub use error::Error;
pub use iam_policy::{Needed, Usage, iam_policy};
pub use import::ImportedNow;
pub use kind::Kind;
pub use lake::Lake;
pub use lookup::{Attribute, Event, Lookup, PAGE, Page, Resource, lookup_events};
pub use maintain::{Expiry, Plan};
pub use overview::{Content, Overview, apply_retention, overview};
pub use schema::{Column, columns};
pub use tail::Tail;
