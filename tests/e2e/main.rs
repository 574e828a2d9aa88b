//! End to end on local folders: the real processes over real files, judged by what lies in the delivered trail.

#![allow(clippy::unwrap_used)]

mod agents;
mod crash;
mod journal;
mod late;
mod main_path;
mod reference;
mod selectors;
mod validate;
mod verbs;
