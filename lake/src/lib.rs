//! The lake: event data stores over a delivered trail, in Delta Lake tables that any engine reads, and SQL over them.
//!
//! Owns everything between a trail's delivered objects and an analyst's answer: columns, tables, imports, retention, queries.
//! Does not own the formats of log files (event), where bytes lie (cloud), or what is printed (cli).

mod kind;
mod rows;
mod schema;

pub use kind::Kind;
pub use schema::{Column, columns};
