//! Where records come from, as a number beside each seen-key: the location and folder of a source's trail.
//!
//! Owns the numbers, which never change their meaning, and the names of the trails that digests say deliver there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::Error;
use super::store::{Batch, Store};

/// One that is not known: from before origins were kept, or beyond [`ORIGINS_MAX`].
pub(super) const UNKNOWN: u16 = 0;

/// Origins that are told apart: some per trail and bucket.
const ORIGINS_MAX: usize = 4_095;

/// Trails that are named for one origin.
const TRAILS_MAX: usize = 16;

/// What is stored of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    root: String,
    trails: BTreeSet<String>,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// By number less one.
    origins: Vec<Origin>,
    numbers: HashMap<String, u16>,
}

impl Origins {
    pub(super) fn open(store: &Store) -> Result<Self, Error> {
        let mut stored: BTreeMap<u16, Origin> = BTreeMap::new();
        for (number, origin) in store.metas::<Origin>("origin/")? {
            let number = number.parse().map_err(|_| Error::Corrupt(format!("origin {number}")))?;
            stored.insert(number, origin);
        }
        let mut origins = Self::default();
        for (number, origin) in stored {
            if usize::from(number) != origins.origins.len() + 1 {
                return Err(Error::Corrupt(format!("origin {number} stands where another is due")));
            }
            origins.numbers.insert(origin.root.clone(), number);
            origins.origins.push(origin);
        }
        Ok(origins)
    }

    /// The number of an origin; a new one is written with the batch.
    pub(super) fn number(&mut self, batch: &mut Batch<'_>, root: &str) -> u16 {
        if let Some(number) = self.numbers.get(root) {
            return *number;
        }
        let Some(number) = u16::try_from(self.origins.len() + 1).ok().filter(|_| self.origins.len() < ORIGINS_MAX)
        else {
            return UNKNOWN;
        };
        let origin = Origin { root: root.to_owned(), trails: BTreeSet::new() };
        batch.put_meta(&format!("origin/{number}"), &origin);
        self.numbers.insert(root.to_owned(), number);
        self.origins.push(origin);
        number
    }

    /// A digest says that this trail delivers there. Whether that is news.
    pub(super) fn delivers(&mut self, batch: &mut Batch<'_>, number: u16, trail: &str) -> bool {
        let Some(origin) = usize::from(number).checked_sub(1).and_then(|index| self.origins.get_mut(index)) else {
            return false;
        };
        if origin.trails.len() >= TRAILS_MAX || !origin.trails.insert(trail.to_owned()) {
            return false;
        }
        batch.put_meta(&format!("origin/{number}"), origin);
        true
    }

    /// Its location and folder.
    pub(super) fn root(&self, number: u16) -> &str {
        let origin = usize::from(number).checked_sub(1).and_then(|index| self.origins.get(index));
        origin.map_or(crate::usage::OTHER, |origin| &origin.root)
    }

    /// The trails of each origin that digests name any for.
    pub(super) fn trails(&self) -> BTreeMap<String, BTreeSet<String>> {
        let named = self.origins.iter().filter(|origin| !origin.trails.is_empty());
        named.map(|origin| (origin.root.clone(), origin.trails.clone())).collect()
    }
}
