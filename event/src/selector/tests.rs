//! CloudTrail's rules one by one.

#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn the_default_takes_all_management_events_and_nothing_else() {
    let selection = Selection::compile(&Selectors::default(), &[], &Scope::default()).unwrap();
    let header = Header::default();
    assert!(selection.keeps(&header, "111122223333", "us-east-1"));
}
