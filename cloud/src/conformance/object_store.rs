//! What every object store promises.

use crate::object_store::{ListPage, ListRequest, ObjectMeta, ObjectStore, PAGE_MAX, PutOptions};
use crate::{Disposition, ErrorKind};
use bytes::Bytes;
use std::collections::BTreeMap;

/// Runs every case.
pub async fn all(store: &dyn ObjectStore) {
    keys_are_listed_in_byte_order(store).await;
    listing_starts_after_a_key_that_need_not_exist(store).await;
    listing_pages_through_everything_once(store).await;
    a_delimiter_rolls_keys_up(store).await;
    another_delimiter_rolls_keys_up_too(store).await;
    odd_keys_come_back_as_they_were(store).await;
    bytes_and_metadata_come_back_as_stored(store).await;
    a_file_is_put_as_its_bytes_are(store).await;
    an_empty_object_is_an_object(store).await;
    get_is_bounded(store).await;
    parts_are_read(store).await;
    absent_objects_are_not_found(store).await;
    overwriting_replaces_the_whole_object(store).await;
    if_absent_has_one_winner(store).await;
    deleting_may_be_repeated(store).await;
}

async fn put(store: &dyn ObjectStore, key: &str, bytes: &'static [u8]) {
    store.put(key, Bytes::from_static(bytes), &PutOptions::default()).await.unwrap();
}

async fn list(store: &dyn ObjectStore, request: ListRequest) -> ListPage {
    store.list(&request).await.unwrap()
}

fn under(prefix: &str) -> ListRequest {
    ListRequest { prefix: prefix.to_owned(), ..ListRequest::default() }
}

fn keys(page: &ListPage) -> Vec<&str> {
    page.objects.iter().map(|object| object.key.as_str()).collect()
}

/// `a-b` comes before `a/b`, and folders make no difference.
pub async fn keys_are_listed_in_byte_order(store: &dyn ObjectStore) {
    let sorted = ["order/A", "order/a-b", "order/a.b", "order/a/b", "order/a/c/d", "order/a0", "order/b", "order/ü"];
    for key in sorted.iter().rev() {
        put(store, key, b"x").await;
    }
    assert_eq!(keys(&list(store, under("order/")).await), sorted);
    // A prefix need not end at a slash.
    assert_eq!(keys(&list(store, under("order/a/c")).await), ["order/a/c/d"]);
    assert_eq!(keys(&list(store, under("order/a")).await), &sorted[1..6]);
    assert_eq!(keys(&list(store, under("order/none/")).await), [""; 0]);
}

/// In the middle of a folder, between two keys, and past the end.
pub async fn listing_starts_after_a_key_that_need_not_exist(store: &dyn ObjectStore) {
    let sorted = ["after/1/a", "after/1/b", "after/1/c", "after/2", "after/3/a"];
    for key in sorted {
        put(store, key, b"x").await;
    }
    for (start, first) in [
        ("after/", 0),
        ("after/1/a", 1),
        ("after/1/bb", 2),
        ("after/1/c", 3),
        ("after/1/~", 3),
        ("after/2", 4),
        ("b", 5),
    ] {
        let request = ListRequest { start_after: Some(start.to_owned()), ..under("after/") };
        assert_eq!(keys(&list(store, request).await), &sorted[first..], "after {start}");
    }
}

/// Over a page border: nothing twice, nothing missing, no page too long.
pub async fn listing_pages_through_everything_once(store: &dyn ObjectStore) {
    let mut expected: Vec<String> = (0..PAGE_MAX + 3).map(|n| format!("pages/{}/{n:04}", n % 3)).collect();
    expected.sort();
    for key in &expected {
        put(store, key, b"x").await;
    }
    let mut found = Vec::new();
    let mut request = under("pages/");
    loop {
        let page = list(store, request.clone()).await;
        assert!(page.objects.len() <= PAGE_MAX);
        found.extend(page.objects.into_iter().map(|object| object.key));
        request.continuation = page.next;
        if request.continuation.is_none() {
            break;
        }
        assert!(found.len() < 2 * expected.len(), "the listing runs in circles");
    }
    assert_eq!(found, expected);
}

/// How accounts, regions and days are found without listing all their objects.
pub async fn a_delimiter_rolls_keys_up(store: &dyn ObjectStore) {
    for key in ["roll/1/a/x", "roll/1/b", "roll/10/c", "roll/2/d", "roll/file"] {
        put(store, key, b"x").await;
    }
    let page = list(store, ListRequest { delimiter: Some('/'), ..under("roll/") }).await;
    assert_eq!(page.common_prefixes, ["roll/1/", "roll/10/", "roll/2/"]);
    assert_eq!(keys(&page), ["roll/file"]);
    let page = list(store, ListRequest { delimiter: Some('/'), ..under("roll/1") }).await;
    assert_eq!(page.common_prefixes, ["roll/1/", "roll/10/"]);
    assert_eq!(keys(&page), [""; 0]);
    let page = list(store, ListRequest { delimiter: Some('/'), ..under("roll/1/") }).await;
    assert_eq!(page.common_prefixes, ["roll/1/a/"]);
    assert_eq!(keys(&page), ["roll/1/b"]);
}

/// How the days of many folders are found with one listing.
async fn another_delimiter_rolls_keys_up_too(store: &dyn ObjectStore) {
    if !store.delimits('_') {
        return;
    }
    for key in
        ["days/r1/01/a_1", "days/r1/01/a_2", "days/r1/02/a_3", "days/r2/01/a_4", "days/r2/marker", "days/r3/01/a_5"]
    {
        put(store, key, b"x").await;
    }
    let after = |after: &str| ListRequest { delimiter: Some('_'), start_after: Some(after.into()), ..under("days/") };
    let page = list(store, ListRequest { delimiter: Some('_'), ..under("days/") }).await;
    assert_eq!(page.common_prefixes, ["days/r1/01/a_", "days/r1/02/a_", "days/r2/01/a_", "days/r3/01/a_"]);
    assert_eq!(keys(&page), ["days/r2/marker"]);
    let page = list(store, after("days/r1/02")).await;
    assert_eq!(page.common_prefixes, ["days/r1/02/a_", "days/r2/01/a_", "days/r3/01/a_"]);
    let page = list(store, after("days/r2/02")).await;
    assert_eq!((page.common_prefixes, page.objects.len()), (vec!["days/r3/01/a_".to_owned()], 1));
}

/// Spaces, pluses, percent signs, quotes and letters beyond ASCII.
pub async fn odd_keys_come_back_as_they_were(store: &dyn ObjectStore) {
    let sorted = ["odd/a b", "odd/a%20b", "odd/a&<b>\"c'", "odd/a+b", "odd/a=b;c?d#e", "odd/日本"];
    for key in sorted {
        put(store, key, key.as_bytes()).await;
    }
    assert_eq!(keys(&list(store, under("odd/")).await), sorted);
    for key in sorted {
        let object = store.get(key, 100).await.unwrap();
        assert_eq!((object.meta.key.as_str(), &object.bytes[..]), (key, key.as_bytes()));
    }
}

/// `Content-Encoding: gzip` tempts clients to decompress.
pub async fn bytes_and_metadata_come_back_as_stored(store: &dyn ObjectStore) {
    let gzip = Bytes::from_static(b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0\0\0\0\0\0\0\0\0");
    let metadata = BTreeMap::from([
        ("signature".to_owned(), "00ff".to_owned()),
        ("signature-algorithm".to_owned(), "SHA256withRSA".to_owned()),
    ]);
    let options = PutOptions {
        content_type: Some("application/json"),
        content_encoding: Some("gzip"),
        metadata: metadata.clone(),
        ..PutOptions::default()
    };
    store.put("bytes/file.json.gz", gzip.clone(), &options).await.unwrap();
    let object = store.get("bytes/file.json.gz", 1000).await.unwrap();
    assert_eq!((&object.bytes, object.meta.size), (&gzip, 20));
    assert_eq!(object.metadata, metadata);
    // What belongs to an object shows nowhere else, and goes with it.
    assert_eq!(keys(&list(store, under("bytes/")).await), ["bytes/file.json.gz"]);
    put(store, "bytes/file.json.gz", b"plain").await;
    assert_eq!(store.get("bytes/file.json.gz", 1000).await.unwrap().metadata, BTreeMap::new());
}

/// Larger than any buffer on the way, with its metadata, and over what was there.
pub async fn a_file_is_put_as_its_bytes_are(store: &dyn ObjectStore) {
    let file = std::env::temp_dir().join(format!("orgtrail-put-{}-{:p}", std::process::id(), &raw const store));
    let bytes: Vec<u8> = (0..3 << 20).map(|n: u32| (n % 251) as u8).collect();
    std::fs::write(&file, &bytes).unwrap();
    let metadata = BTreeMap::from([("made".to_owned(), "here".to_owned())]);
    let options = PutOptions { metadata: metadata.clone(), ..PutOptions::default() };
    put(store, "files/result.csv.gz", b"old").await;
    store.put_file("files/result.csv.gz", &file, &options).await.unwrap();
    let object = store.get("files/result.csv.gz", 4 << 20).await.unwrap();
    assert!(object.bytes == bytes, "{} bytes came back", object.bytes.len());
    assert_eq!(object.metadata, metadata);
    let taken = PutOptions { if_absent: true, ..PutOptions::default() };
    let error = store.put_file("files/result.csv.gz", &file, &taken).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::AlreadyExists, "{error}");
    std::fs::remove_file(&file).unwrap();
    assert!(store.put_file("files/none", &file, &options).await.is_err());
    assert_eq!(keys(&list(store, under("files/")).await), ["files/result.csv.gz"]);
}

/// Nothing in it, but listed, found and read.
pub async fn an_empty_object_is_an_object(store: &dyn ObjectStore) {
    put(store, "empty/object", b"").await;
    assert_eq!(store.get("empty/object", 0).await.unwrap().bytes, Bytes::new());
    assert_eq!(store.head("empty/object").await.unwrap().size, 0);
    assert_eq!(keys(&list(store, under("empty/")).await), ["empty/object"]);
}

/// The bound is inclusive, and going over it is the object's fault.
pub async fn get_is_bounded(store: &dyn ObjectStore) {
    put(store, "bound/ten", b"0123456789").await;
    assert_eq!(store.get("bound/ten", 10).await.unwrap().bytes.len(), 10);
    let each = store.read_each(&["bound/ten".to_owned(), "bound/none".to_owned(), "bound/ten".to_owned()], 10).await;
    let lengths: Vec<_> = each.iter().map(|one| one.as_ref().ok().map(Bytes::len)).collect();
    assert_eq!(lengths, [Some(10), None, Some(10)], "one that is not there leaves the others alone");
    let error = store.get("bound/ten", 9).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::TooLarge { bytes_max: 9 });
    assert_eq!(error.disposition(), Disposition::Reject);
}

/// Also one that ends behind the object's end.
pub async fn parts_are_read(store: &dyn ObjectStore) {
    put(store, "part/ten", b"0123456789").await;
    for (range, part) in [(0..4, "0123"), (3..10, "3456789"), (8..20, "89"), (5..5, "")] {
        assert_eq!(store.get_range("part/ten", range.clone()).await.unwrap(), part, "{range:?}");
    }
    assert_eq!(store.get_range("part/none", 0..1).await.unwrap_err().kind(), &ErrorKind::NotFound);
}

/// Also below a key that is an object, and for what is only the beginning of keys.
pub async fn absent_objects_are_not_found(store: &dyn ObjectStore) {
    put(store, "absent/folder/object", b"x").await;
    for key in ["absent/no", "absent/folder", "absent/folder/object/below"] {
        let error = store.get(key, 10).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::NotFound, "{error}");
        assert!(error.to_string().starts_with("get ") && error.to_string().contains(key), "{error}");
        assert_eq!(store.head(key).await.unwrap_err().kind(), &ErrorKind::NotFound);
    }
}

/// New bytes, new size, new etag, and one object still.
pub async fn overwriting_replaces_the_whole_object(store: &dyn ObjectStore) {
    put(store, "over/object", b"the first, longer one").await;
    let first = store.head("over/object").await.unwrap();
    put(store, "over/object", b"the second").await;
    let second = store.get("over/object", 100).await.unwrap();
    assert_eq!(&second.bytes[..], b"the second");
    assert_ne!(first.etag, second.meta.etag);
    // Listing, head and get agree, times to the second: HTTP headers carry no more.
    let seen = |meta: &ObjectMeta| (meta.key.clone(), meta.size, meta.etag.clone(), meta.last_modified.as_second());
    let page = list(store, under("over/")).await;
    assert_eq!(page.objects.iter().map(seen).collect::<Vec<_>>(), [seen(&second.meta)]);
    assert_eq!(seen(&store.head("over/object").await.unwrap()), seen(&second.meta));
}

/// Of several at once too.
pub async fn if_absent_has_one_winner(store: &dyn ObjectStore) {
    let options = PutOptions { if_absent: true, ..PutOptions::default() };
    let race = |bytes: &'static [u8]| store.put("once/object", Bytes::from_static(bytes), &options);
    let (a, b, c, d) = tokio::join!(race(b"a"), race(b"b"), race(b"c"), race(b"d"));
    let results = [a, b, c, d];
    let winner = results.iter().position(Result::is_ok).unwrap();
    for (index, result) in results.iter().enumerate() {
        let error = result.as_ref().err().map(|error| error.kind().clone());
        assert_eq!(error, (index != winner).then_some(ErrorKind::AlreadyExists), "{results:?}");
    }
    assert_eq!(&store.get("once/object", 10).await.unwrap().bytes[..], [b"a", b"b", b"c", b"d"][winner]);
}

/// The second time there is nothing left to delete.
pub async fn deleting_may_be_repeated(store: &dyn ObjectStore) {
    put(store, "delete/object", b"x").await;
    put(store, "delete/other", b"x").await;
    store.delete("delete/object").await.unwrap();
    store.delete("delete/object").await.unwrap();
    store.delete("delete/never/was").await.unwrap();
    assert_eq!(store.get("delete/object", 10).await.unwrap_err().kind(), &ErrorKind::NotFound);
    assert_eq!(keys(&list(store, under("delete/")).await), ["delete/other"]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object_store::{FakeStore, LocalStore};

    #[tokio::test]
    async fn the_fake_conforms() {
        all(&FakeStore::new("s3://fake-bucket/prefix".parse().unwrap())).await;
    }

    #[tokio::test]
    async fn a_folder_conforms() {
        let dir = tempfile::tempdir().unwrap();
        all(&LocalStore::new(dir.path().join("not/there/yet"))).await;
    }
}
