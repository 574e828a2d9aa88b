//! The test harness: what the end-to-end, AWS and simulation tests share.

pub mod emulator;
pub mod fault_proxy;
