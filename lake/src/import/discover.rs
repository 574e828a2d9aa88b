//! Finding a trail's objects.
//!
//! Owns listings: everything that lies in a trail, or the days that may still get objects, of the folders that are known.
//! Both look at keys alone; what was imported before is not known here. Nothing of it lasts.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{Span, ToSpan as _};
use orgtrail_cloud::object_store::{ListRequest, ObjectMeta};
use orgtrail_cloud::{Error, ErrorKind, ObjectStore};
use orgtrail_event::configuration::key as configuration_key;
use orgtrail_event::key::{Kind as FolderKind, classify};

use crate::kind::Kind;

/// An object that holds what an event data store of some kind is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Which of the event data store's trails it lies in.
    pub(crate) trail: usize,
    /// Its key, relative to the trail's location.
    pub(crate) key: String,
    /// Changes when it is overwritten.
    pub(crate) etag: String,
    /// Bytes, compressed.
    pub(crate) size: u64,
    /// Whose folder it lies in, and of which region and day.
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) date: Date,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Everything that lies in the trails.
    Everything,
    /// The days that may still get objects, in the folders that are known.
    OpenDays,
}

/// One trail, and the folders that were seen in it.
#[derive(Debug)]
pub(crate) struct Trail {
    pub(crate) store: Arc<dyn ObjectStore>,
    index: usize,
    kind: Kind,
    folders: BTreeSet<String>,
}

impl Trail {
    pub(crate) fn new(index: usize, kind: Kind, store: Arc<dyn ObjectStore>) -> Self {
        Self { store, index, kind, folders: BTreeSet::new() }
    }

    /// Starts to look. `today` and the `lateness` before it are the days that may still get objects.
    pub(crate) fn look(&self, reach: Reach, today: Date, lateness_days: u32) -> Listing {
        let prefixes = match reach {
            Reach::Everything => vec![String::new()],
            Reach::OpenDays => {
                let days = (0..=lateness_days).rev().filter_map(|ago| {
                    let ago: Span = i64::from(ago).days();
                    today.checked_sub(ago).ok()
                });
                let days: Vec<_> = days.collect();
                let of =
                    |folder: &String| days.iter().map(|day| day_prefix(self.kind, folder, *day)).collect::<Vec<_>>();
                self.folders.iter().flat_map(of).collect()
            }
        };
        Listing { prefixes: prefixes.into_iter(), request: None }
    }

    /// The next page's objects; None behind the last.
    pub(crate) async fn next(&mut self, listing: &mut Listing) -> Result<Option<Vec<Found>>, Error> {
        let request = match listing.request.take() {
            Some(request) => request,
            None => match listing.prefixes.next() {
                Some(prefix) => ListRequest { prefix, ..ListRequest::default() },
                None => return Ok(None),
            },
        };
        let page = match self.store.list(&request).await {
            // A trail that nothing was delivered to yet.
            Err(error) if *error.kind() == ErrorKind::ContainerMissing && request.prefix.is_empty() => return Ok(None),
            page => page?,
        };
        let found = page.objects.into_iter().filter_map(|object| self.found(object)).collect();
        listing.request = page.next.map(|next| ListRequest { continuation: Some(next), ..request });
        Ok(Some(found))
    }

    fn found(&mut self, object: ObjectMeta) -> Option<Found> {
        let place = place(self.kind, &object.key)?;
        if !self.folders.contains(&place.folder) {
            self.folders.insert(place.folder);
        }
        let (account, region, date) = (place.account, place.region, place.date);
        let ObjectMeta { key, etag, size, .. } = object;
        Some(Found { trail: self.index, key, etag, size, account, region, date })
    }
}

/// A listing under way.
#[derive(Debug)]
pub(crate) struct Listing {
    prefixes: std::vec::IntoIter<String>,
    request: Option<ListRequest>,
}

struct Place {
    folder: String,
    account: String,
    region: String,
    date: Date,
}

/// Where an object of a kind lies; None for objects that hold something else.
fn place(kind: Kind, key: &str) -> Option<Place> {
    if kind == Kind::ConfigurationItem {
        let key = configuration_key::classify(key)?;
        let folder = key.place.path();
        return Some(Place { folder, account: key.place.account, region: key.place.region, date: key.date });
    }
    let key = classify(key).into_log()?;
    let is_wanted = match key.folder.kind {
        FolderKind::Log => kind != Kind::Insight,
        FolderKind::NetworkActivity | FolderKind::Aggregated => kind == Kind::Events,
        FolderKind::Insight => kind == Kind::Events || kind == Kind::Insight,
        FolderKind::Digest => false,
    };
    let folder = key.folder.path();
    is_wanted.then_some(Place { folder, account: key.folder.account, region: key.folder.region, date: key.date })
}

fn day_prefix(kind: Kind, folder: &str, day: Date) -> String {
    let (year, month, day) = (day.year(), day.month(), day.day());
    match kind {
        // AWS Config writes months and days without a leading zero.
        Kind::ConfigurationItem => format!("{folder}{year}/{month}/{day}/"),
        _ => format!("{folder}{year:04}/{month:02}/{day:02}/"),
    }
}
