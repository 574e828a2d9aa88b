//! One suite a seam, which every implementation has to pass: the fakes and the local ones in this crate's own tests, the
//! AWS ones against emulators in the tests crate.
//!
//! Each case is a function of its own, so that a run can leave out what its other side can't judge; `all` runs every
//! case. A case fails by panicking. Cases of one suite share a place without disturbing one another.

#![allow(clippy::unwrap_used, reason = "a case fails by panicking")]

pub mod key_service;
pub mod log_sink;
pub mod object_store;
pub mod organization;
pub mod queue;
pub mod signer;
pub mod topic;
