//! What is put at the sources: new files, other versions of earlier ones, files that don't come, and digests.
//!
//! Owns that the model, the bucket and the queue hear of the same thing.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::civil::Date;
use orgtrail_cloud::ObjectStore as _;

use crate::model::{Damage, Model, Object, Record, Version};
use crate::operations::{Place, Who};
use crate::past::START;
use crate::post::Event;
use crate::run::Run;

impl Run {
    /// A new file under a key of this day.
    pub(crate) async fn deliver_as(
        &mut self,
        place: Place,
        key: String,
        day: Date,
        records: Vec<Record>,
        damage: Option<Damage>,
    ) {
        let (bytes, mut version) = self.model.version(records, damage);
        self.put_version(place.source, &key, bytes, &version).await;
        version.in_time = self.is_in_time(day);
        self.model.objects.push(Object::new(place, key, day, version));
    }

    /// A file of which digests know, and that isn't there.
    pub(crate) fn withhold(&mut self, place: Place, records: usize) {
        let now = self.world.time.now();
        let (key, day) = self.model.key(place.source, place.account, place.region, now);
        let records = self.model.fresh(records, place.account, place.region, now, false);
        let (_, version) = self.model.version(records, None);
        let missing = Object { put: false, present: false, was_missing: true, ..Object::new(place, key, day, version) };
        self.model.objects.push(missing);
    }

    /// A file is written anew under its name: with a record more and mended, or as it was.
    pub(crate) async fn rewrite(&mut self, at: usize, same: bool) {
        let Object { account, region, .. } = self.model.objects[at];
        let last = self.model.objects[at].versions.last().unwrap();
        let (mut records, damage) = (last.records.clone(), last.damage.filter(|_| same));
        if !same {
            let now = self.world.time.now();
            records.extend(self.model.fresh(1, account, region, now, false));
        }
        self.put_again(at, records, damage).await;
    }

    /// A file is there again as its digest says, or as it was at first.
    pub(crate) async fn put_back(&mut self, at: usize) {
        let object = &self.model.objects[at];
        let signed = self.model.digests.expected(object.source, &object.key);
        let version = object.versions.iter().find(|version| signed == Some(version.hash.as_str()));
        let Version { records, damage, .. } = version.unwrap_or(&object.versions[0]).clone();
        self.put_again(at, records, damage).await;
    }

    async fn put_again(&mut self, at: usize, records: Vec<Record>, damage: Option<Damage>) {
        let (bytes, mut version) = self.model.version(records, damage);
        let Object { source, day, .. } = self.model.objects[at];
        let key = self.model.objects[at].key.clone();
        self.put_version(source, &key, bytes, &version).await;
        version.in_time = self.is_in_time(day);
        let object = &mut self.model.objects[at];
        object.versions.push(version);
        (object.put, object.present) = (true, true);
    }

    /// A file vanishes from its source.
    pub(crate) async fn remove(&mut self, at: usize) {
        let object = &mut self.model.objects[at];
        (object.present, object.was_missing) = (false, true);
        self.world.sources[object.source].store.delete(&object.key).await.unwrap();
    }

    /// A digest, which may be spoilt.
    pub(crate) async fn put_digest(
        &self,
        source: usize,
        key: &str,
        gzip: Bytes,
        metadata: BTreeMap<String, String>,
        is_spoilt: bool,
    ) {
        self.put_told(source, key, gzip, metadata, Default::default(), is_spoilt).await;
    }

    /// The nth of the objects that were ever at a source.
    pub(crate) fn nth_put(&self, nth: usize) -> Option<usize> {
        let put: Vec<_> = (0..self.model.objects.len()).filter(|at| self.model.objects[*at].put).collect();
        (!put.is_empty()).then(|| put[nth % put.len()])
    }

    pub(crate) fn is_in_time(&self, day: Date) -> bool {
        if self.world.settings.past && day < START {
            return !self.asked_for_past;
        }
        Model::is_in_time(day, self.world.clocks[Who::Agent as usize].latest())
    }

    async fn put_version(&self, source: usize, key: &str, bytes: Bytes, version: &Version) {
        self.put_told(source, key, bytes, BTreeMap::new(), version.at_trails(), version.is_spoilt()).await;
    }

    /// Puts an object, and lets the queue know.
    async fn put_told(
        &self,
        source: usize,
        key: &str,
        bytes: Bytes,
        metadata: BTreeMap<String, String>,
        records: [Vec<String>; 2],
        is_spoilt: bool,
    ) {
        let size = bytes.len() as u64;
        if let Some(post) = &self.world.post {
            post.expect(source, key, size, records, is_spoilt);
        }
        self.put(source, key, bytes, metadata).await;
        if let Some(post) = &self.world.post {
            let etag = self.world.sources[source].store.head(key).await.map(|meta| meta.etag).unwrap_or_default();
            post.happened(Event { source, key: key.to_owned(), size, etag }, self.world.time.now());
        }
    }
}
