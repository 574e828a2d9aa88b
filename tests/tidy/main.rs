//! What the house promises about its own source tree, checked: who may depend on whom, how files open, how long they get,
//! what they are called, and that the architecture page speaks of what is there.
//!
//! Every check lists all its violations as `file:line: what`, so that they can be mended in one go. Nothing is compiled or
//! run here; the tree is read as text.

#![allow(clippy::unwrap_used, reason = "a check that cannot read the tree has failed")]

mod dependencies;
mod docs;
mod files;
mod functions;
mod rust_text;
mod tree;

/// Fails with all violations, or passes when there are none.
fn expect_none(violations: &[String]) {
    assert!(violations.is_empty(), "{} violation(s):\n{}", violations.len(), violations.join("\n"));
}
