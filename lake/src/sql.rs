//! SQL over event data stores, as CloudTrail Lake answers it: Trino's `SELECT`, within bounds.
//!
//! Owns the dialect (what is rewritten, the functions that DataFusion lacks), the bounds of a query (memory, spill, scan,
//! time), its errors with their place in the statement, and its statistics. Does not own how an event data store is read
//! (`scan`), or how rows are printed (`output`).
//!
//! A statement goes through tokens ([`tokens`]), the parser with our dialect ([`dialect`]), rewrites of the syntax tree
//! ([`rewrite`]), DataFusion's planner with our `UNNEST` ([`unnest`]) and our functions ([`functions`]), and runs as its
//! stream is polled ([`run`]).

mod catalog;
mod config;
mod describe;
mod dialect;
mod engine;
mod error;
mod functions;
mod memory;
mod rewrite;
mod run;
mod runs;
mod source;
mod suggest;
mod tokens;
mod unnest;

pub use config::Config;
pub use describe::{ColumnDescription, FUNCTIONS, FunctionDescription};
pub use engine::{Engine, StoreName};
pub use error::{Exception, Place, QueryError};
pub use run::{Figures, Run, Statistics};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
