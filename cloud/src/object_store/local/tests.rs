//! What a folder does beyond the common promises.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::object_store::FakeStore;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

fn put_options() -> PutOptions {
    PutOptions::default()
}

async fn put(store: &dyn ObjectStore, key: &str) {
    store.put(key, Bytes::from_static(b"x"), &put_options()).await.unwrap();
}

#[tokio::test]
async fn keys_that_leave_the_folder_or_name_its_own_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::new(dir.path().join("root"));
    for key in
        ["../x", "a/../../x", "/etc/passwd", "a//b", "a/", "./a", "", "a\0b", "a/.orgtrail-meta-b", &"k".repeat(1025)]
    {
        let error = store.put(key, Bytes::new(), &put_options()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed, "{key}: {error}");
        assert_eq!(store.get(key, 10).await.unwrap_err().kind(), &ErrorKind::Malformed, "{key}");
    }
    assert!(!dir.path().join("x").exists());
    // Names that only look alike are fine.
    for key in ["..x", "a/.hidden", "..."] {
        put(&store, key).await;
    }
}

#[tokio::test]
async fn a_key_below_another_object_is_refused_by_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::new(dir.path());
    put(&store, "a").await;
    put(&store, "b/c").await;
    for key in ["a/b", "b"] {
        let error = store.put(key, Bytes::new(), &put_options()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed, "{error}");
    }
}

#[tokio::test]
async fn a_missing_folder_is_reported_and_a_missing_prefix_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::new(dir.path().join("typo"));
    let error = store.list(&ListRequest::default()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ContainerMissing, "{error}");
    fs::create_dir(dir.path().join("typo")).unwrap();
    let request = ListRequest { prefix: "AWSLogs/1/".into(), ..ListRequest::default() };
    assert_eq!(store.list(&request).await.unwrap(), ListPage::default());
}

#[tokio::test]
async fn encryption_is_refused_rather_than_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let encryption =
        crate::object_store::KmsEncryption { key_id: "k".into(), context: BTreeMap::new(), bucket_key: false };
    let options = PutOptions { encryption: Some(encryption), ..put_options() };
    let error = LocalStore::new(dir.path()).put("a", Bytes::new(), &options).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid);
}

#[tokio::test]
async fn unfinished_writes_and_links_to_folders_are_no_objects() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::new(dir.path());
    put(&store, "day/a").await;
    fs::write(dir.path().join("day/.orgtrail-put-1-1"), "half").unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("day/circle")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("day/a"), dir.path().join("day/link")).unwrap();
    let page = store.list(&ListRequest::default()).await.unwrap();
    let keys: Vec<_> = page.objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys, ["day/a", "day/link"]);
    let page = store.list(&ListRequest { delimiter: Some('/'), ..ListRequest::default() }).await.unwrap();
    assert_eq!(page.common_prefixes, ["day/"], "a bucket has no empty folders");
}

/// Killed between an object and its metadata, then started again: a digest whose signature is missing is no digest.
#[tokio::test]
async fn a_repeated_put_completes_one_that_ended_before_its_metadata() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::new(dir.path());
    let signed = |by: &str| PutOptions {
        metadata: BTreeMap::from([("signature".into(), by.into())]),
        if_absent: true,
        ..put_options()
    };
    let metadata = async |key| store.get(key, 10).await.unwrap().metadata.get("signature").cloned();
    for key in ["same", "other"] {
        fs::write(dir.path().join(key), key).unwrap();
        let error = store.put(key, Bytes::from_static(b"same"), &signed("first")).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::AlreadyExists, "{key}");
    }
    assert_eq!(metadata("same").await.as_deref(), Some("first"));
    assert_eq!(metadata("other").await, None, "it is another's object");
    store.put("same", Bytes::from_static(b"same"), &signed("second")).await.unwrap_err();
    assert_eq!(metadata("same").await.as_deref(), Some("first"), "what is whole stays as it is");
}

/// Random trees against the fake, with pages of every small size: order, pruning and tokens at once.
#[tokio::test]
async fn listing_agrees_with_a_bucket_on_random_trees() {
    for seed in 0..150 {
        let mut random = StdRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().unwrap();
        let page_max = random.random_range(1..6);
        let fake = FakeStore::new("s3://fake-bucket".parse().unwrap()).with_page_max(page_max);
        for _ in 0..random.random_range(0..25) {
            let key = random_key(&mut random);
            let path = dir.path().join(&key);
            // A folder can't hold every set of keys; leave out what it refuses.
            if fs::create_dir_all(folder_of(&path).unwrap()).and_then(|()| fs::write(&path, "x")).is_ok() {
                put(&fake, &key).await;
            }
        }
        for _ in 0..12 {
            let request = ListRequest {
                prefix: random_cut(&mut random),
                start_after: random.random_bool(0.5).then(|| random_cut(&mut random)),
                delimiter: random.random_bool(0.5).then_some('/'),
                continuation: None,
            };
            let expected = listed(async |request| fake.list(request).await.unwrap(), &request).await;
            let found =
                listed(async |request| local_walk::list(dir.path(), request, page_max).unwrap(), &request).await;
            assert_eq!(found, expected, "seed {seed}, {request:?}");
        }
    }
}

/// All pages: the keys and common prefixes on each.
async fn listed(
    page: impl AsyncFn(&ListRequest) -> ListPage,
    request: &ListRequest,
) -> Vec<(Vec<String>, Vec<String>)> {
    let mut pages = Vec::new();
    let mut request = request.clone();
    loop {
        let found = page(&request).await;
        pages.push((found.objects.into_iter().map(|object| object.key).collect(), found.common_prefixes));
        assert!(pages.len() < 100, "the listing runs in circles");
        request.continuation = found.next;
        if request.continuation.is_none() {
            return pages;
        }
    }
}

fn random_key(random: &mut StdRng) -> String {
    let part = |random: &mut StdRng| ["a", "b", "a-", "a.", "a0", "ab", "-", "~"][random.random_range(0..8)];
    let parts: Vec<_> = (0..random.random_range(1..5)).map(|_| part(random)).collect();
    parts.join("/")
}

fn random_cut(random: &mut StdRng) -> String {
    let key = random_key(random);
    let cut = random.random_range(0..=key.len());
    key[..cut].to_owned()
}
