//! A sealed value opens in its own place only, and a data key seals only so often.

use std::collections::HashSet;

use orgtrail_cloud::key_service::FakeKeyService;
use orgtrail_service::clock;

use super::keeper::{Source, context};
use super::*;

const KEY: &str = "fake-key";

async fn source(service: &FakeKeyService) -> Source {
    Source::fake(service.clone(), KEY)
}

/// A seal with one data key, listed in the folder's `seal.json`.
async fn seal(dir: &Path, service: &FakeKeyService) -> Seal {
    let source = source(service).await;
    let mut stored = Stored::load(dir).unwrap().unwrap_or_else(|| Stored::new(KEY));
    let mut keys = source.open_all(&stored, dir).await.unwrap();
    let context = context(dir, &["org-trail".to_owned()]);
    let (data_key, listed) = source.draw(stored.next_id(), context, &*clock::system(), dir).await.unwrap();
    stored.add(listed);
    stored.save(dir).unwrap();
    keys.insert(data_key.id, Arc::new(data_key));
    Seal(Some(Arc::new(Ring::new(dir, stored, keys).unwrap())))
}

#[tokio::test]
async fn a_value_comes_back_and_says_nothing_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let service = FakeKeyService::new(KEY);
    let seal = seal(dir.path(), &service).await;
    for value in [&b""[..], b"x", &[7; 100_000]] {
        let sealed = seal.seal("payloads", b"1", Bytes::copy_from_slice(value)).unwrap();
        assert_eq!(sealed.len(), value.len() + 33, "1 version, 4 id, 12 nonce, 16 tag");
        assert!(value.len() < 8 || !sealed.windows(8).any(|part| part == &value[..8]));
        assert_eq!(seal.unseal("payloads", b"1", sealed).unwrap(), value);
    }
    let plain = Seal::off();
    let value = Bytes::from_static(b"as it is");
    assert_eq!(plain.seal("payloads", b"1", value.clone()).unwrap(), value);
    assert_eq!(plain.unseal("payloads", b"1", value.clone()).unwrap(), value);
}

#[tokio::test]
async fn every_changed_byte_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let seal = seal(dir.path(), &FakeKeyService::new(KEY)).await;
    let sealed = seal.seal("heads", b"1", Bytes::from_static(b"a head")).unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.to_vec();
        changed[at] ^= 1;
        let opened = seal.unseal("heads", b"1", changed.into());
        assert!(matches!(opened, Err(Error::Damaged { .. })), "byte {at}: {opened:?}");
        let cut_off = seal.unseal("heads", b"1", sealed.slice(..at));
        assert!(matches!(cut_off, Err(Error::Damaged { .. })), "cut at {at}: {cut_off:?}");
    }
}

#[tokio::test]
async fn a_value_opens_in_its_own_place_only() {
    let dir = tempfile::tempdir().unwrap();
    let seal = seal(dir.path(), &FakeKeyService::new(KEY)).await;
    let sealed = seal.seal("heads", b"1", Bytes::from_static(b"a head")).unwrap();
    for (space, key) in [("heads", &b"2"[..]), ("known", b"1"), ("head", b"s1"), ("heads", b""), ("", b"heads1")] {
        let opened = seal.unseal(space, key, sealed.clone());
        assert!(matches!(opened, Err(Error::Damaged { .. })), "{space} {key:?}: {opened:?}");
    }
    seal.unseal("heads", b"1", sealed).unwrap();
}

#[tokio::test]
async fn what_was_sealed_before_opens_after_a_restart_and_under_a_new_data_key() {
    let dir = tempfile::tempdir().unwrap();
    let service = FakeKeyService::new(KEY);
    let first = seal(dir.path(), &service).await;
    let sealed = first.seal("heads", b"1", Bytes::from_static(b"a head")).unwrap();
    let second = seal(dir.path(), &service).await;
    assert_eq!(second.unseal("heads", b"1", sealed.clone()).unwrap(), &b"a head"[..]);
    let again = second.seal("heads", b"1", Bytes::from_static(b"a head")).unwrap();
    assert_ne!(
        key_id_of("heads", &again).unwrap(),
        key_id_of("heads", &sealed).unwrap(),
        "no process seals with a found key"
    );
    assert!(first.unseal("heads", b"1", again).is_err(), "a data key that it never had");
}

#[tokio::test]
async fn a_data_key_bound_to_another_context_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let service = FakeKeyService::new(KEY);
    seal(dir.path(), &service).await;
    let mut stored = Stored::load(dir.path()).unwrap().unwrap();
    let context = &mut stored.data_keys[0].context;
    assert_eq!(context["orgtrail:state-dir"], dir.path().to_string_lossy());
    assert_eq!(context["orgtrail:trails"], "org-trail");
    context.insert("orgtrail:state-dir".to_owned(), "/elsewhere".to_owned());
    let opened = source(&service).await.open_all(&stored, dir.path()).await;
    assert!(matches!(opened, Err(Error::KeyService { .. })), "{:?}", opened.map(|keys| keys.len()));
}

#[tokio::test]
async fn no_nonce_comes_twice() {
    let dir = tempfile::tempdir().unwrap();
    let seal = seal(dir.path(), &FakeKeyService::new(KEY)).await;
    let mut seen = HashSet::new();
    for _ in 0..20_000 {
        let sealed = seal.seal("heads", b"1", Bytes::from_static(b"same")).unwrap();
        assert!(seen.insert(sealed[HEADER_LEN..BODY_AT].to_vec()));
    }
}

#[tokio::test]
async fn data_keys_that_nothing_names_are_dropped_and_the_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let service = FakeKeyService::new(KEY);
    let mut sealed = Vec::new();
    let mut last = seal(dir.path(), &service).await;
    for n in 0..KEYS_KEPT {
        if n % 20 == 0 {
            sealed.push(last.seal("heads", b"1", Bytes::from_static(b"a head")).unwrap());
        }
        last = seal(dir.path(), &service).await;
    }
    assert!(last.wants_pruning());
    last.keep_only(data_keys_of(sealed.iter().cloned()).unwrap()).unwrap();
    assert_eq!(Stored::load(dir.path()).unwrap().unwrap().data_keys.len(), sealed.len() + 1);
    let again = seal(dir.path(), &service).await;
    for value in sealed {
        assert_eq!(again.unseal("heads", b"1", value).unwrap(), &b"a head"[..]);
    }
    let ids: Vec<_> = Stored::load(dir.path()).unwrap().unwrap().data_keys.iter().map(|key| key.id).collect();
    assert!(ids.is_sorted() && ids.last() > Some(&(KEYS_KEPT as u32)), "an id is never given twice: {ids:?}");
}

/// `cargo test -p orgtrail-aggregator --release sealing_costs -- --ignored --nocapture`
#[tokio::test]
#[ignore = "prints a measurement"]
async fn sealing_costs() {
    let dir = tempfile::tempdir().unwrap();
    let seal = seal(dir.path(), &FakeKeyService::new(KEY)).await;
    for (len, count) in [(300, 200_000), (20_000, 50_000), (200_000, 5_000)] {
        let value = Bytes::from(vec![7; len]);
        let began = std::time::Instant::now();
        for _ in 0..count {
            let sealed = seal.seal("payloads", &[0; 8], value.clone()).unwrap();
            assert_eq!(seal.unseal("payloads", &[0; 8], sealed).unwrap().len(), len);
        }
        let each = began.elapsed().as_secs_f64() / f64::from(count);
        println!("{len} bytes: {:.2} µs to seal and open, {:.0} MB/s", each * 1e6, len as f64 / each / 1e6);
    }
}
