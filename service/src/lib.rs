//! What every orgtrail process does, whatever its role: load its configuration, keep named tasks, shut down, log,
//! count, answer health checks, own a state folder, put aside what it cannot process, speak TLS.
//!
//! It knows no domain type (no record, no trail, no agent) and depends on no other crate of the workspace, so
//! that each process reads the same way and a fix here is a fix everywhere.

pub mod budget;
pub mod clock;
pub mod config;
pub mod disk;
pub mod disk_space;
pub mod durable;
pub mod health;
pub mod http;
pub mod jobs;
pub mod quarantine;
pub mod run;
pub mod shape;
pub mod state_dir;
pub mod tasks;
pub mod telemetry;
pub mod tls;
pub mod workers;
