//! What vouches for a trail's files: digests that list each of them once and form chains, and the announcements.

use std::collections::{BTreeMap, BTreeSet};

use orgtrail_cloud::ObjectStore as _;
use orgtrail_cloud::object_store::{ListRequest, Object};
use orgtrail_event::digest::{Digest, SIGNATURE_METADATA, sha256_hex};
use orgtrail_event::gzip::Inflater;
use orgtrail_event::key::{ObjectKey, classify};

use crate::operations::Who;
use crate::run::Run;
use crate::world::Bucket;

async fn objects(bucket: &Bucket) -> Vec<Object> {
    let mut objects = Vec::new();
    let mut request = ListRequest::default();
    loop {
        let page = bucket.store.list(&request).await.unwrap();
        for meta in page.objects {
            objects.push(bucket.store.get(&meta.key, 1 << 30).await.unwrap());
        }
        match page.next {
            Some(next) => request.continuation = Some(next),
            None => return objects,
        }
    }
}

fn inflated(object: &Object) -> Vec<u8> {
    let mut json = Vec::new();
    Inflater::new().inflate(&object.bytes, 1 << 30, &mut json).unwrap();
    json
}

/// What is wrong with the digests and the announcements of the trail that has them; nothing where it is complete.
pub(crate) async fn unvouched(run: &Run) -> Vec<String> {
    let mut wrong = Vec::new();
    if run.forgot[Who::Aggregator as usize] {
        // With its disk went the lists of what was to be digested and announced (docs/operations.md).
        return wrong;
    }
    let objects = objects(&run.world.trails[0]).await;
    let announced = run.world.topic.messages().concat();
    let mut files: BTreeMap<&str, (&Object, u32)> = BTreeMap::new();
    let mut digests: BTreeMap<&str, (Digest, &Object)> = BTreeMap::new();
    for object in &objects {
        let key = object.meta.key.as_str();
        if !announced.contains(&format!("\"{key}\"")) {
            wrong.push(format!("{key} was never announced"));
        }
        match classify(key) {
            ObjectKey::Log(_) => drop(files.insert(key, (object, 0))),
            ObjectKey::Digest(_) | ObjectKey::BackfillDigest(_) => match serde_json::from_slice(&inflated(object)) {
                Ok(digest) => drop(digests.insert(key, (digest, object))),
                Err(error) => wrong.push(format!("{key}: {error}")),
            },
            other => wrong.push(format!("{key} has no place in a trail: {other:?}")),
        }
    }
    list(&digests, &mut files, &mut wrong);
    chains(&digests, &mut wrong);
    wrong.extend(
        files
            .iter()
            .filter(|(_, (_, times))| *times != 1)
            .map(|(key, (_, times))| format!("{key} is listed in {times} digests")),
    );
    wrong.truncate(10);
    wrong
}

fn list(
    digests: &BTreeMap<&str, (Digest, &Object)>,
    files: &mut BTreeMap<&str, (&Object, u32)>,
    wrong: &mut Vec<String>,
) {
    for (digest_key, (digest, _)) in digests {
        for listed in &digest.log_files {
            let Some((object, times)) = files.get_mut(listed.s3_object.as_str()) else {
                wrong.push(format!("{digest_key} lists {}, which is not there", listed.s3_object));
                continue;
            };
            *times += 1;
            if sha256_hex(&inflated(object)) != listed.hash_value {
                wrong.push(format!("{digest_key} has another hash than {}", listed.s3_object));
            }
        }
    }
}

/// Each digest but the first of its chain names the one before it, and no two name the same.
fn chains(digests: &BTreeMap<&str, (Digest, &Object)>, wrong: &mut Vec<String>) {
    let mut named = BTreeSet::new();
    for (key, (digest, _)) in digests {
        let Some(previous) = &digest.previous_digest_s3_object else { continue };
        if !named.insert(previous) && !key.contains("backfill") {
            wrong.push(format!("{previous} is followed by more than one digest, {key} among them"));
        }
        let Some((_, before)) = digests.get(previous.as_str()) else {
            wrong.push(format!("{key} follows {previous}, which is not there"));
            continue;
        };
        let signature = before.metadata.get(SIGNATURE_METADATA);
        if digest.previous_digest_signature.as_ref() != signature {
            wrong.push(format!("{key} has another signature for {previous} than that has itself"));
        }
    }
}
