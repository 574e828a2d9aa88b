//! The test harness: what the end-to-end, AWS and simulation tests share.

pub mod authority;
pub mod emulator;
pub mod engines;
pub mod event_history;
pub mod fault_proxy;
pub mod lake_site;
pub mod process;
mod python;
pub mod served_bucket;
pub mod signed_trail;
pub mod site;
