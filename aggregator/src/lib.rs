//! The aggregator: takes what agents send, removes duplicates, and delivers it as organization trails.
//!
//! One object's way: `ingest` (may this agent speak for it, what is in it) → `journal` (what is new; one atomic, fsynced
//! write) → acknowledgement; then each trail on its own: `deliver` (plan → encode → put → advance). `app` wires them.
//! See docs/ARCHITECTURE.md for the invariants (I1–I12) cited in the code.

pub mod app;
pub mod cloudwatch;
pub mod config;
mod deliver;
pub mod digest;
mod ingest;
pub mod journal;
mod lifecycle;
mod metrics;
mod notify;
mod outside;
pub mod replay;
pub mod seal;
pub mod status;
mod trail;
pub mod usage;

pub use app::App;
pub use config::Config;
pub use outside::{Bytes, Incoming, Outside, Wire, World};
