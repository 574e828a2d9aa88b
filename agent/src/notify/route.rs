//! From what a message names to what a source holds.
//!
//! Owns the mapping of bucket and key to source and folder, and which objects of a source are taken. Keeps nothing, calls
//! nothing.

use std::sync::Arc;

use jiff::Timestamp;
use orgtrail_event::key::Folder;

use super::envelope;
use crate::checkpoint::{Listed, Verdict};
use crate::discover::Folders;
use crate::object::{Named, Source};

/// Where an object belongs.
#[derive(Debug)]
pub(super) enum Route {
    /// To a folder of a source.
    Take(Box<Taken>),
    /// To a source that does not take it: no key of CloudTrail's, another account or region. Why, for the log.
    Pass(&'static str),
    /// To no source.
    Foreign,
}

/// An object that a source takes.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) source: Arc<Source>,
    pub(super) folder: Folder,
    pub(super) listed: Listed,
}

/// Finds the source of an object, which was there at `seen`.
pub(super) fn route(folders: &Folders, object: &envelope::Named, seen: Timestamp) -> Route {
    let Some((source, key)) = folders.source_of(&object.bucket, &object.key) else { return Route::Foreign };
    let Some(named) = Named::read(key) else { return Route::Pass("no key of CloudTrail's") };
    let Folder { account, region, .. } = &named.folder;
    if !source.accounts.takes(account) || !(source.regions.is_empty() || source.regions.contains(region)) {
        return Route::Pass("an account or region that is not taken");
    }
    let verdict = match &named {
        named if named.is_digest() && source.keyring.is_none() => Verdict::Skip("digest"),
        named => Verdict::Take { stamp: named.stamp },
    };
    let listed = Listed {
        key: key.to_owned(),
        day: named.date,
        size: object.size,
        etag: object.etag.clone(),
        last_modified: seen,
        verdict,
    };
    Route::Take(Box::new(Taken { source, folder: named.folder, listed }))
}
