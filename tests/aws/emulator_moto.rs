//! On moto: the suites again, for a second opinion.

use crate::{new_bucket, now_ms, store};
use orgtrail_cloud::admin::Admin;
use orgtrail_cloud::log_sink::CloudWatchSink;
use orgtrail_cloud::{Connection, conformance, open_key_service};
use orgtrail_tests::emulator::Emulator;

#[tokio::test]
async fn s3_conforms_under_a_prefix() {
    let Some(emulator) = Emulator::moto() else { return };
    let (connection, bucket) = new_bucket(emulator).await;
    conformance::object_store::all(&*store(&bucket, "some/prefix", &connection).await).await;
}

#[tokio::test]
async fn kms_conforms() {
    let Some(emulator) = Emulator::moto() else { return };
    let connection = emulator.connection(&emulator.account());
    let key = Admin::open(&connection).await.create_key().await;
    let service = open_key_service(&key, &connection).await.unwrap();
    conformance::key_service::data_keys_are_new_and_come_back(&*service, &key).await;
    conformance::key_service::another_context_is_refused(&*service, &key).await;
    // Not asked: damaged ciphertexts, which moto answers with AccessDenied where KMS says InvalidCiphertext.
}

#[tokio::test]
async fn cloudwatch_logs_conforms_and_rejects_by_age() {
    let Some(emulator) = Emulator::moto() else { return };
    // Streams have the same names in every run of a suite, and moto has one account: each test has a region of its own.
    let connection = Connection { region: Some("ap-south-1".into()), ..emulator.connection(&emulator.account()) };
    let sink = CloudWatchSink::open(&connection).await.unwrap();
    let admin = Admin::open(&connection).await;
    conformance::log_sink::all(&sink, &admin, now_ms()).await;
    // Not asked: events too old, whose end moto gives as the last index where CloudWatch Logs gives the one after it.
    conformance::log_sink::events_too_new_are_rejected_alone(&sink, &admin, now_ms()).await;
}
