//! The console: answers the questions of CloudTrail's own clients about orgtrail's trails.
//!
//! Owns the HTTP service that speaks AWS's protocol (JSON 1.1), and what it says: which trails there are, and which public
//! keys their digests are signed with. Does not own delivering, signing or validating: it only reads.

mod api;
mod app;
mod caller;
mod config;
mod error;
mod listener;
mod metrics;
mod operations;
mod public_keys;
mod trail;

pub use self::app::App;
pub use self::config::{Config, ConsoleConfig, TrailConfig};
