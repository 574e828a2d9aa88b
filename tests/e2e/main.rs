//! End to end on local folders: the real processes over real files, judged by what lies in the delivered trail.

#![allow(clippy::unwrap_used)]

mod agents;
mod backfill;
mod cloudwatch;
mod completeness;
mod console;
mod cost;
mod crash;
mod custody;
mod deploy;
mod digests;
mod doctor;
mod event_history;
mod journal;
mod lake;
mod lake_engines;
mod lake_verbs;
mod late;
mod main_path;
mod memory;
mod organizations;
mod reference;
mod replay;
mod sealing;
mod selectors;
mod sources;
mod trails;
mod validate;
mod verbs;
