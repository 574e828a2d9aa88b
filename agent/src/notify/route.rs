//! From what a message names to what a source holds.
//!
//! Owns the mapping of bucket and key to source and folder, and which objects of a source are taken. Keeps nothing, calls
//! nothing.

use std::sync::Arc;

use jiff::Timestamp;
use orgtrail_event::key::Folder;

use super::{bucket_of, envelope};
use crate::checkpoint::{Listed, Verdict};
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
pub(super) fn route(sources: &[Arc<Source>], object: &envelope::Named, seen: Timestamp) -> Route {
    // Locations don't overlap, so there is one source at most.
    let holder = sources.iter().find_map(|source| Some((source, key_in(source, &object.bucket, &object.key)?)));
    let Some((source, key)) = holder else { return Route::Foreign };
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
    Route::Take(Box::new(Taken { source: Arc::clone(source), folder: named.folder, listed }))
}

/// The key below the source's location, where the object lies there.
fn key_in<'a>(source: &Source, bucket: &str, key: &'a str) -> Option<&'a str> {
    let (ours, prefix) = bucket_of(source.store.location());
    if ours != bucket {
        return None;
    }
    if prefix.is_empty() { Some(key) } else { key.strip_prefix(prefix)?.strip_prefix('/') }
}
