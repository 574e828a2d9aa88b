//! The operator's command, `orgtrail`: one file a verb. It can run every role in one process.
//!
//! Owns the command line, what a person sees on the terminal, and the demo's organization. Does not own what the processes
//! do: a verb calls them, or reads what they left in their state folders.

pub mod athena;
pub mod backfill;
pub mod completeness;
pub mod config_check;
pub mod cost;
pub mod demo;
pub mod doctor;
pub mod event_data_stores;
pub mod generate;
pub mod history;
pub mod iam_policy;
mod jobs;
pub mod keys;
pub mod lake;
pub mod lookup_events;
pub mod port;
pub mod quarantine;
pub mod query;
pub mod replay;
mod runtime;
pub mod selectors;
pub mod setup;
pub mod state;
pub mod status;
pub mod terminal;
pub mod up;
pub mod validate_logs;
pub mod verify_query_results;
