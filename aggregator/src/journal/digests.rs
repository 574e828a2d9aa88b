//! What digests are made of: delivered files that none lists yet, source digests that none names yet, and each chain's end.
//!
//! Rows are text under `trail NUL account NUL region NUL …`. A digest is written down before it is put and taken off the list
//! with what it lists in one atomic write, so that a crash neither leaves an hour out nor lists a file twice.

use std::collections::BTreeMap;

use orgtrail_event::digest::{BackfillRef, SourceDigest};
use serde::{Deserialize, Serialize};

use super::ledger::Place;
use super::store::{Batch, Space};
use super::{DeliveredFile, Error, Journal, Seq, Shared, lock};

/// Where the digests of one account and region stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chain {
    /// End of the last digest and start of the next, Unix seconds.
    pub(crate) next_start: i64,
    /// The last digest; none where the chain begins.
    pub(crate) previous: Option<Previous>,
    /// Backfill digests since then.
    #[serde(default)]
    pub(crate) backfills: Vec<BackfillRef>,
}

/// What was written of a trail's digests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestCount {
    /// Hourly digests in the bucket.
    pub digests: u64,
    /// Backfill digests in the bucket.
    pub backfill_digests: u64,
    /// End of the newest hourly digest, Unix seconds.
    pub newest_end: i64,
}

/// What a digest says of the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Previous {
    pub(crate) bucket: String,
    pub(crate) object: String,
    pub(crate) hash_value: String,
    pub(crate) signature: String,
}

/// A digest that is signed and not known to be in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlannedDigest {
    pub(crate) place: Place,
    /// Its key below the trail's location.
    pub(crate) key: String,
    /// The digest's JSON.
    pub(crate) json: String,
    /// Hex.
    pub(crate) signature: String,
    /// When it was made, in a backfill digest's metadata.
    pub(crate) backfill_timestamp: Option<String>,
    /// Rows that it lists and names: gone with it.
    pub(crate) files: Vec<String>,
    pub(crate) custody: Vec<String>,
    /// Where the chain stands after it.
    pub(crate) chain: Chain,
}

impl Journal {
    /// The chains of a trail.
    pub(crate) fn chains(&self, trail: &str) -> Result<BTreeMap<Place, Chain>, Error> {
        let rows = self.shared.store.metas::<Chain>(&format!("chain/{trail}/"))?;
        let place = |name: &str| name.split_once('/').map(|(account, region)| (account.to_owned(), region.to_owned()));
        Ok(rows.into_iter().filter_map(|(name, chain)| Some((place(&name)?, chain))).collect())
    }

    /// Accounts and regions with files that no digest lists.
    pub(crate) fn places_with_files(&self, trail: &str) -> Result<Vec<Place>, Error> {
        let prefix = format!("{trail}\0");
        let mut places = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = self.shared.store.rows::<DeliveredFile>(Space::Files, prefix.as_bytes(), after.as_deref(), 1)?;
            let Some((_, file)) = rows.into_iter().next() else { return Ok(places) };
            // Beyond every row of this place: no key holds such a byte.
            let mut beyond = place_prefix(trail, &file.place).into_bytes();
            beyond.push(0xff);
            after = Some(beyond);
            places.push(file.place);
        }
    }

    /// Files of one account and region that no digest lists and whose stamp is before `before`, oldest first, at most
    /// `count` of them, with their rows' keys.
    pub(crate) fn unlisted_files(
        &self,
        trail: &str,
        place: &Place,
        before: i64,
        count: usize,
    ) -> Result<Vec<(String, DeliveredFile)>, Error> {
        let rows = self.rows_of(Space::Files, &place_prefix(trail, place), count)?;
        Ok(rows.into_iter().take_while(|(_, file): &(_, DeliveredFile)| file.stamp < before).collect())
    }

    /// Files that a digest in the bucket lists already are off the list, by their rows' keys.
    pub(crate) fn forget_files(&self, rows: &[String]) -> Result<(), Error> {
        let mut batch = self.shared.store.batch();
        rows.iter().for_each(|key| batch.remove_row(Space::Files, key.as_bytes()));
        batch.commit()
    }

    /// Source digests of one account and region that no digest names.
    pub(crate) fn unnamed_source_digests(
        &self,
        trail: &str,
        place: &Place,
        count: usize,
    ) -> Result<Vec<(String, SourceDigest)>, Error> {
        self.rows_of(Space::Custody, &place_prefix(trail, place), count)
    }

    /// Digests that were written down and may not be in the bucket.
    pub(crate) fn planned_digests(&self, trail: &str) -> Result<Vec<PlannedDigest>, Error> {
        let rows = self.shared.store.metas(&format!("digest/{trail}/"))?;
        Ok(rows.into_iter().map(|(_, planned)| planned).collect())
    }

    /// Begins chains: from here on their hours have digests, however long it takes until the first is signed.
    pub(crate) fn begin_chains(&self, trail: &str, chains: &[(Place, Chain)]) -> Result<(), Error> {
        let mut batch = self.shared.store.batch();
        for (place, chain) in chains {
            batch.put_meta(&name("chain", trail, place), chain);
        }
        batch.commit()
    }

    /// Writes digests down; they are on disk when this returns (I7). One for each account and region.
    pub(crate) fn store_digests(&self, trail: &str, planned: &[PlannedDigest]) -> Result<(), Error> {
        let mut batch = self.shared.store.batch();
        for digest in planned {
            batch.put_meta(&name("digest", trail, &digest.place), digest);
        }
        batch.commit()
    }

    /// A digest's name was taken: it is to be made again.
    pub(crate) fn drop_digest(&self, trail: &str, place: &Place) -> Result<(), Error> {
        let mut batch = self.shared.store.batch();
        batch.remove_meta(&name("digest", trail, place));
        batch.commit()
    }

    /// The digests are in the bucket (I4): the chains move on, what they list is off the lists, and they are announced.
    pub(crate) fn digests_put(&self, trail: &str, put: &[PlannedDigest]) -> Result<(), Error> {
        let shared = &self.shared;
        let mut batch = shared.store.batch();
        for digest in put {
            batch.put_meta(&name("chain", trail, &digest.place), &digest.chain);
            batch.remove_meta(&name("digest", trail, &digest.place));
            digest.files.iter().for_each(|key| batch.remove_row(Space::Files, key.as_bytes()));
            digest.custody.iter().for_each(|key| batch.remove_row(Space::Custody, key.as_bytes()));
        }
        let announces = shared.destinations.iter().any(|one| one.name == trail && one.announces);
        let keys: Vec<_> = put.iter().map(|digest| digest.key.clone()).collect();
        let announced = if announces { shared.outbox.put(&mut batch, trail, &keys) } else { 0 };
        let mut count = lock(&shared.books).digests.get(trail).cloned().unwrap_or_default();
        for digest in put {
            let backfill = u64::from(digest.backfill_timestamp.is_some());
            count.backfill_digests += backfill;
            count.digests += 1 - backfill;
            if backfill == 0 {
                count.newest_end = count.newest_end.max(digest.chain.next_start);
            }
        }
        batch.put_meta(&format!("digests/{trail}"), &count);
        batch.commit()?;
        lock(&shared.books).digests.insert(trail.to_owned(), count);
        shared.outbox.committed(announced);
        Ok(())
    }

    fn rows_of<T: serde::de::DeserializeOwned>(
        &self,
        space: Space,
        prefix: &str,
        count: usize,
    ) -> Result<Vec<(String, T)>, Error> {
        let rows = self.shared.store.rows(space, prefix.as_bytes(), None, count)?;
        rows.into_iter()
            .map(|(key, value)| {
                let key = String::from_utf8(key).map_err(|_| Error::Corrupt("key of a row is not text".to_owned()))?;
                Ok((key, value))
            })
            .collect()
    }
}

impl Shared {
    /// Keeps a verified source digest for every trail that writes digests.
    pub(super) fn put_custody(&self, batch: &mut Batch<'_>, place: &Place, seq: Seq, digest: &SourceDigest) {
        for trail in self.destinations.iter().filter(|one| one.digests) {
            let key = format!("{}{seq:020}", place_prefix(&trail.name, place));
            batch.put_row(Space::Custody, key.as_bytes(), digest);
        }
    }
}

/// The row of a file: by its stamp, so that those of an hour stand together.
pub(super) fn files_key(trail: &str, file: &DeliveredFile) -> Vec<u8> {
    let stamp = file.stamp.max(0);
    format!("{}{stamp:012}\0{}", place_prefix(trail, &file.place), file.key).into_bytes()
}

fn place_prefix(trail: &str, (account, region): &Place) -> String {
    format!("{trail}\0{account}\0{region}\0")
}

fn name(what: &str, trail: &str, (account, region): &Place) -> String {
    format!("{what}/{trail}/{account}/{region}")
}
