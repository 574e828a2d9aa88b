//! On ministack with authorization: who may assume a role, what the role may do, and for how long.

use crate::store;
use bytes::Bytes;
use orgtrail_cloud::admin::Admin;
use orgtrail_cloud::object_store::{ListRequest, PutOptions};
use orgtrail_cloud::{Connection, Disposition, ErrorKind, RoleStep};
use orgtrail_tests::emulator::{Account, Emulator, bucket_name};
use serde_json::json;
use std::time::Duration;

const EXTERNAL_ID: &str = "acme-7f2e";

/// A bucket with one object in the owner's account, and a role there that the collector may assume with an external id
/// to read under one prefix.
struct Source {
    collector: Account,
    bucket: String,
    role_arn: String,
}

async fn new_source(emulator: &Emulator) -> Source {
    let (owner, collector) = (emulator.account(), emulator.account());
    let bucket = bucket_name();
    let connection = emulator.connection(&owner);
    Admin::open(&connection).await.create_bucket(&bucket).await;
    let own = store(&bucket, "", &connection).await;
    for key in ["AWSLogs/1/a", "private/b"] {
        own.put(key, Bytes::from_static(b"x"), &PutOptions::default()).await.unwrap();
    }
    let statements = json!([
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{bucket}/AWSLogs/*")},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": format!("arn:aws:s3:::{bucket}"),
         "Condition": {"StringLike": {"s3:prefix": "AWSLogs/*"}}},
    ]);
    let role_arn = emulator.create_role(&owner, "orgtrail-agent", &collector, Some(EXTERNAL_ID), statements).unwrap();
    Source { collector, bucket, role_arn }
}

impl Source {
    fn connection(&self, emulator: &Emulator, external_id: Option<&str>) -> Connection {
        Connection {
            role_arn: Some(self.role_arn.clone()),
            external_id: external_id.map(str::to_owned),
            session_name: Some("orgtrail-test".into()),
            ..emulator.connection(&self.collector)
        }
    }
}

#[tokio::test]
async fn a_role_is_assumed_with_its_external_id_and_may_do_what_its_policy_says() {
    let Some(emulator) = Emulator::ministack(true) else { return };
    let source = new_source(emulator).await;
    let store = store(&source.bucket, "", &source.connection(emulator, Some(EXTERNAL_ID))).await;
    assert_eq!(&store.get("AWSLogs/1/a", 10).await.unwrap().bytes[..], b"x");
    let under = |prefix: &str| ListRequest { prefix: prefix.into(), ..ListRequest::default() };
    assert_eq!(store.list(&under("AWSLogs/")).await.unwrap().objects.len(), 1);
    for refused in [
        store.get("private/b", 10).await.unwrap_err(),
        store.list(&under("private/")).await.unwrap_err(),
        store.put("AWSLogs/1/a", Bytes::new(), &PutOptions::default()).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), &ErrorKind::Denied, "{refused}");
        assert_eq!(refused.disposition(), Disposition::Retry);
        assert!(refused.to_string().contains(&source.bucket), "{refused}");
    }
}

#[tokio::test]
async fn a_wrong_or_missing_external_id_is_refused_and_named_as_the_reason() {
    let Some(emulator) = Emulator::ministack(true) else { return };
    let source = new_source(emulator).await;
    for external_id in [Some("acme-0000"), None] {
        let store = store(&source.bucket, "", &source.connection(emulator, external_id)).await;
        let error = store.get("AWSLogs/1/a", 10).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Denied, "{error}");
        let text = error.to_string();
        assert!(text.contains("AssumeRole") && text.contains("AccessDenied"), "{text}");
    }
}

#[tokio::test]
async fn roles_are_assumed_one_after_the_other() {
    let Some(emulator) = Emulator::ministack(true) else { return };
    let (hub, owner, collector) = (emulator.account(), emulator.account(), emulator.account());
    let bucket = bucket_name();
    let connection = emulator.connection(&owner);
    Admin::open(&connection).await.create_bucket(&bucket).await;
    store(&bucket, "", &connection).await.put("a", Bytes::new(), &PutOptions::default()).await.unwrap();
    let read = json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]);
    let last = emulator.create_role(&owner, "reader", &hub, None, read).unwrap();
    let hop = json!([{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": last}]);
    let first = emulator.create_role(&hub, "hub", &collector, Some(EXTERNAL_ID), hop).unwrap();
    let direct = Connection { role_arn: Some(last.clone()), ..emulator.connection(&collector) };
    let error = store(&bucket, "", &direct).await.head("a").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Denied, "{error}");
    let step = RoleStep {
        role_arn: first,
        external_id: Some(EXTERNAL_ID.into()),
        session_name: None,
        session_duration: Some(Duration::from_secs(900)),
    };
    let chained = Connection { role_chain: vec![step], ..direct };
    assert_eq!(chained.problems(), []);
    assert_eq!(store(&bucket, "", &chained).await.head("a").await.unwrap().size, 0);
}

#[tokio::test]
async fn credentials_that_ran_out_are_told_from_those_that_were_refused() {
    // Alone: every role that anybody assumes makes ministack forget the sessions that ran out.
    let Some(emulator) = Emulator::ministack_alone(true) else { return };
    let source = new_source(&emulator).await;
    let base = emulator.connection(&source.collector);
    let short = Admin::open(&base).await.assume_role(&source.role_arn, EXTERNAL_ID, 2).await;
    let store = store(&source.bucket, "", &Connection { credentials: short, ..base }).await;
    assert_eq!(&store.get("AWSLogs/1/a", 10).await.unwrap().bytes[..], b"x");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let error = store.get("AWSLogs/1/a", 10).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ExpiredCredentials, "{error}");
    assert_eq!(error.disposition(), Disposition::Retry);
}

#[tokio::test]
async fn a_role_is_assumed_again_before_its_credentials_run_out() {
    let Some(emulator) = Emulator::ministack(true) else { return };
    let source = new_source(emulator).await;
    let connection =
        Connection { session_duration: Some(Duration::from_secs(2)), ..source.connection(emulator, Some(EXTERNAL_ID)) };
    let store = store(&source.bucket, "", &connection).await;
    for _ in 0..3 {
        assert_eq!(&store.get("AWSLogs/1/a", 10).await.unwrap().bytes[..], b"x");
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
}
