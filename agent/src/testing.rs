//! Objects for tests: on their way through the stages, with a claim that nobody else holds.

use std::sync::Arc;

use bytes::Bytes;
use orgtrail_cloud::Location;
use orgtrail_cloud::object_store::LocalStore;
use orgtrail_event::key::Folder;
use orgtrail_service::budget::Budget;
use orgtrail_service::shape;

use crate::checkpoint::{Checkpoint, Claimed, FolderId, Listed, Verdict};
use crate::object::{Fetched, ObjectRef, Source, SourceFolder};

pub(crate) const FOLDER: &str = "AWSLogs/111122223333/CloudTrail/eu-west-1/";

/// A folder of a source that does not exist.
pub(crate) fn folder(id: FolderId) -> Arc<SourceFolder> {
    let location: Location = "file:///nowhere".parse().unwrap();
    let config = crate::config::Source { location: Some(location.clone()), ..Default::default() };
    let source = Source::new(&config, &location, Arc::new(LocalStore::new("/nowhere")));
    Arc::new(SourceFolder::new(Arc::new(source), Folder::parse(FOLDER).unwrap(), id))
}

/// Claims an object called `key` in the checkpoint.
pub(crate) fn claimed(checkpoint: &Checkpoint, key: &str) -> ObjectRef {
    let id = checkpoint.folder("file:///nowhere", FOLDER, "111122223333", "eu-west-1").unwrap();
    let listed = Listed {
        key: key.to_owned(),
        day: jiff::civil::date(2024, 5, 1),
        size: 10,
        etag: "e".into(),
        last_modified: "2024-05-01T12:00:00Z".parse().unwrap(),
        verdict: Verdict::Take { stamp: 1 },
    };
    let Claimed { mut taken, .. } = checkpoint.claim(id, vec![listed]).unwrap();
    let (listed, claim) = taken.pop().expect("not claimed yet");
    let Listed { key, size, etag, last_modified, .. } = listed;
    ObjectRef { folder: folder(id), key, size, etag, last_modified, stamp: 1, claim }
}

/// The object with `size` bytes that are no gzip, for stages that do not look at them.
pub(crate) async fn with_bytes(object: ObjectRef, size: usize) -> Fetched {
    let permit = Budget::new(shape::Bytes::mib(1)).acquire(1).await;
    let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
    let gzip = Bytes::from(bytes);
    Fetched { object, sha256: [7; 32], inflated_bytes: size as u64, gzip, _permit: permit }
}

/// An object on its way whose checkpoint is gone.
pub(crate) fn fetched(key: &str, size: usize) -> Fetched {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(dir.path(), std::time::Duration::from_secs(3600)).unwrap();
    let object = claimed(&checkpoint, key);
    let mut fetched = Box::pin(with_bytes(object, size));
    let waker = std::task::Waker::noop();
    match fetched.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
        std::task::Poll::Ready(fetched) => fetched,
        std::task::Poll::Pending => unreachable!("a fresh budget has room"),
    }
}
