//! Through a proxy that breaks answers: what is retried, what is given up, and how long it takes.

use crate::store;
use bytes::Bytes;
use orgtrail_cloud::admin::Admin;
use orgtrail_cloud::object_store::{ListRequest, PutOptions};
use orgtrail_cloud::{Connection, ErrorKind, ObjectStore};
use orgtrail_tests::emulator::{Emulator, bucket_name};
use orgtrail_tests::fault_proxy::{FaultProxy, Mode};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LEN: usize = 300_000;

/// A store with one object, reached through a proxy.
async fn behind_proxy() -> Option<(FaultProxy, Arc<dyn ObjectStore>)> {
    let emulator = Emulator::ministack(false)?;
    let proxy = FaultProxy::start(emulator.address()).await.unwrap();
    let direct = emulator.connection(&emulator.account());
    let bucket = bucket_name();
    Admin::open(&direct).await.create_bucket(&bucket).await;
    let connection = Connection {
        endpoint_url: Some(proxy.url()),
        read_timeout: Duration::from_secs(1),
        operation_timeout: Duration::from_secs(20),
        ..direct
    };
    let store = store(&bucket, "", &connection).await;
    store.put("object", body(), &PutOptions::default()).await.unwrap();
    Some((proxy, store))
}

fn body() -> Bytes {
    (0..LEN).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn an_object_whose_body_breaks_off_is_read_again() {
    let Some((proxy, store)) = behind_proxy().await else { return };
    proxy.fail("/object", Mode::CutBody(100_000), 2);
    assert_eq!(store.get("object", LEN as u64).await.unwrap().bytes, body());
    assert_eq!(proxy.requests("GET "), 3);
}

#[tokio::test]
async fn an_object_whose_body_always_breaks_off_is_given_up_as_unavailable() {
    let Some((proxy, store)) = behind_proxy().await else { return };
    proxy.fail("/object", Mode::CutBody(0), 100);
    let error = store.get("object", LEN as u64).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("body"), "{error}");
    assert_eq!(proxy.requests("GET "), 4, "as many attempts as documented");
}

#[tokio::test]
async fn an_object_whose_body_stalls_is_read_again() {
    let Some((proxy, store)) = behind_proxy().await else { return };
    proxy.fail("/object", Mode::StallBody(1000), 1);
    let begun = Instant::now();
    assert_eq!(store.get("object", LEN as u64).await.unwrap().bytes, body());
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn resets_and_requests_to_slow_down_are_retried() {
    let Some((proxy, store)) = behind_proxy().await else { return };
    proxy.fail("/object", Mode::Reset, 1);
    proxy.fail("/object", Mode::SlowDown, 1);
    assert_eq!(store.get("object", LEN as u64).await.unwrap().bytes, body());
    proxy.fail("PUT ", Mode::SlowDown, 2);
    store.put("other", body(), &PutOptions::default()).await.unwrap();
    proxy.fail("list-type=2", Mode::SlowDown, 100);
    let error = store.list(&ListRequest::default()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Throttled, "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() {
    let Some((proxy, store)) = behind_proxy().await else { return };
    proxy.fail("/object", Mode::Stall, 100);
    let begun = Instant::now();
    let error = store.get("object", LEN as u64).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Unavailable, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
