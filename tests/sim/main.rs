//! The simulation: both real processes in one, on a paused clock, against a world in memory that fails in every way it can,
//! and against a model of what must come of it. See docs/reliability.md.
//!
//! ```text
//! cargo test -p orgtrail-tests --test sim                 the seeds of seeds.txt, then 300 others
//! SIM_SEEDS=5000 cargo test -p orgtrail-tests --test sim  more of them
//! SIM_SEED=17 cargo test -p orgtrail-tests --test sim     one, again; SIM_TIMES=20 so often
//! ```
//! SIM_FIRST begins at another seed than 1, SIM_FAILURES ends after another number of failures than 10.

#![allow(clippy::unwrap_used, reason = "a panic is how a test ends")]

mod check;
mod deliver;
mod digests;
mod disk;
mod link;
mod model;
mod operations;
mod past;
mod post;
mod process;
mod proved;
mod run;
mod seeds;
mod settings;
mod vouched;
mod world;

#[test]
fn every_seed_ends_as_the_model_says() {
    seeds::run_all();
}
