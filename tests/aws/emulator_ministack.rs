//! On ministack: the suites, encryption and regions.

use crate::{new_bucket, now_ms, store};
use bytes::Bytes;
use orgtrail_cloud::admin::{Admin, ObjectEncryption};
use orgtrail_cloud::conformance;
use orgtrail_cloud::log_sink::CloudWatchSink;
use orgtrail_cloud::object_store::{KmsEncryption, ListRequest, PutOptions};
use orgtrail_cloud::{Connection, CredentialSource, Disposition, ErrorKind, open_key_service};
use orgtrail_tests::emulator::{Emulator, bucket_name};
use std::collections::BTreeMap;

#[tokio::test]
async fn s3_conforms_in_a_whole_bucket_and_under_a_prefix() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let (connection, bucket) = new_bucket(emulator).await;
    conformance::object_store::all(&*store(&bucket, "", &connection).await).await;
    let (connection, bucket) = new_bucket(emulator).await;
    let prefixed = store(&bucket, "some/prefix", &connection).await;
    // Neighbours of the prefix are none of its objects, nor is the mark of a "folder".
    let whole = store(&bucket, "", &connection).await;
    for key in ["some/prefix2/x", "some/prefix", "some/prefix/", "some/other/x"] {
        whole.put(key, Bytes::new(), &PutOptions::default()).await.unwrap();
    }
    assert_eq!(prefixed.list(&ListRequest::default()).await.unwrap().objects, []);
    conformance::object_store::all(&*prefixed).await;
    prefixed.put("k", Bytes::new(), &PutOptions::default()).await.unwrap();
    assert!(whole.head("some/prefix/k").await.is_ok());
}

#[tokio::test]
async fn kms_conforms() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let connection = emulator.connection(&emulator.account());
    let admin = Admin::open(&connection).await;
    let key = admin.create_key().await;
    let service = open_key_service(&key, &connection).await.unwrap();
    // Not asked: a ciphertext changed in one byte, which ministack takes, as it does not authenticate them.
    conformance::key_service::data_keys_are_new_and_come_back(&*service, &key).await;
    conformance::key_service::another_context_is_refused(&*service, &key).await;
    conformance::key_service::what_is_no_ciphertext_is_refused(&*service).await;
    let absent = key.rsplit_once('/').unwrap().0.to_owned() + "/00000000-0000-4000-8000-000000000000";
    conformance::key_service::an_absent_key_is_missing(&*service, &absent).await;
    // A key that is switched off can be switched on again: wait, don't give up.
    admin.disable_key(&key).await;
    let error = service.generate_data_key(&key, &BTreeMap::new()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Denied, "{error}");
}

#[tokio::test]
async fn cloudwatch_logs_conforms() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let connection = emulator.connection(&emulator.account());
    let sink = CloudWatchSink::open(&connection).await.unwrap();
    let admin = Admin::open(&connection).await;
    // Not asked: rejection by age, which ministack does not do. Batches over a limit never leave orgtrail.
    conformance::log_sink::all(&sink, &admin, now_ms()).await;
}

#[tokio::test]
async fn an_encrypted_put_is_seen_as_encrypted_with_that_key() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let (connection, bucket) = new_bucket(emulator).await;
    let admin = Admin::open(&connection).await;
    let key_id = admin.create_key().await;
    let store = store(&bucket, "trail", &connection).await;
    let context = BTreeMap::from([("aws:cloudtrail:arn".to_owned(), "arn:aws:cloudtrail:…".to_owned())]);
    let options = PutOptions {
        content_type: Some("application/json"),
        content_encoding: Some("gzip"),
        encryption: Some(KmsEncryption { key_id: key_id.clone(), context, bucket_key: true }),
        bucket_owner_full_control: true,
        ..PutOptions::default()
    };
    store.put("a", Bytes::from_static(b"secret"), &options).await.unwrap();
    let encryption = admin.object_encryption(&bucket, "trail/a").await;
    assert_eq!(encryption, ObjectEncryption { algorithm: "aws:kms".into(), key_id: Some(key_id) });
    let (content_type, content_encoding) = admin.object_content(&bucket, "trail/a").await;
    assert_eq!((content_type.as_deref(), content_encoding.as_deref()), (Some("application/json"), Some("gzip")));
    assert_eq!(&store.get("a", 10).await.unwrap().bytes[..], b"secret");
}

#[tokio::test]
async fn a_bucket_is_found_in_its_own_region_whatever_is_configured() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let account = emulator.account();
    let there = Connection { region: Some("eu-central-1".into()), ..emulator.connection(&account) };
    let bucket = bucket_name();
    Admin::open(&there).await.create_bucket(&bucket).await;
    for region in [Some("us-west-2".to_owned()), Some("eu-central-1".to_owned()), None] {
        let connection = Connection { region, ..emulator.connection(&account) };
        let store = store(&bucket, "", &connection).await;
        store.put("a", Bytes::from_static(b"x"), &PutOptions::default()).await.unwrap();
        assert_eq!(&store.get("a", 10).await.unwrap().bytes[..], b"x");
    }
}

#[tokio::test]
async fn an_absent_bucket_is_missing_until_it_is_made() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let connection = emulator.connection(&emulator.account());
    let bucket = bucket_name();
    let store = store(&bucket, "", &connection).await;
    for _ in 0..2 {
        let error = store.list(&ListRequest::default()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::ContainerMissing, "{error}");
        assert!(error.to_string().contains(&bucket), "{error}");
    }
    Admin::open(&connection).await.create_bucket(&bucket).await;
    assert_eq!(store.list(&ListRequest::default()).await.unwrap().objects, []);
}

#[tokio::test]
async fn a_token_file_is_exchanged_for_a_role_and_read_again_each_time() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let account = emulator.account();
    let administrator = emulator.connection(&account);
    let bucket = bucket_name();
    Admin::open(&administrator).await.create_bucket(&bucket).await;
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    let connection = Connection {
        web_identity_token_file: Some(token_file.clone()),
        role_arn: Some(format!("arn:aws:iam::{}:role/from-outside", account.id)),
        credentials: CredentialSource::Chain,
        ..administrator
    };
    let store = store(&bucket, "", &connection).await;
    let error = store.list(&ListRequest::default()).await.unwrap_err();
    assert!(error.to_string().contains("token"), "{error}");
    assert_eq!(error.disposition(), Disposition::Retry);
    std::fs::write(&token_file, "header.payload.signature\n").unwrap();
    store.put("a", Bytes::new(), &PutOptions::default()).await.unwrap();
}
