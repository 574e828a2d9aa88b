//! What only shows against something that speaks AWS's protocols: the conformance suites on the AWS implementations, roles
//! and expiry, regions, encryption, and answers that break off.
//!
//! Two emulators judge, since each has mistakes of its own. What neither can judge (KMS keys of other accounts, bucket
//! policies that name roles) is not tested here.

#![allow(clippy::unwrap_used, reason = "what a test needs and does not get fails it")]

mod emulator_cloudwatch;
mod emulator_doctor;
mod emulator_faults;
mod emulator_lake;
mod emulator_lifecycle;
mod emulator_ministack;
mod emulator_moto;
mod emulator_notifications;
mod emulator_organizations;
mod emulator_pipeline;
mod emulator_queue;
mod emulator_replay;
mod emulator_roles;
mod emulator_sealing;
mod emulator_seams;
mod emulator_throttle;
mod emulator_topic;
mod emulator_validation;
mod emulator_verdicts;

use orgtrail_cloud::admin::Admin;
use orgtrail_cloud::object_store::ListRequest;
use orgtrail_cloud::{Connection, Location, ObjectStore, open_store};
use orgtrail_tests::emulator::{Account, Emulator, bucket_name};
use orgtrail_tests::process::Process;
use orgtrail_tests::site::Site;
use std::sync::Arc;

/// A new bucket in a new account: its connection and name.
async fn new_bucket(emulator: &Emulator) -> (Connection, String) {
    let connection = emulator.connection(&emulator.account());
    let bucket = new_bucket_in(&connection).await;
    (connection, bucket)
}

/// A new bucket in an account: its name.
async fn new_bucket_in(connection: &Connection) -> String {
    let bucket = bucket_name();
    Admin::open(connection).await.create_bucket(&bucket).await;
    bucket
}

/// The store at a bucket's prefix.
async fn store(bucket: &str, prefix: &str, connection: &Connection) -> Arc<dyn ObjectStore> {
    let location = Location::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
    open_store(&location, connection).await.unwrap()
}

/// The emulators judge by the wall clock.
#[allow(clippy::disallowed_methods)]
fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// A process of a site, with an account's credentials.
fn start(emulator: &Emulator, account: &Account, site: &Site, program: &str, config: &str, more: &[&str]) -> Process {
    let env: Vec<_> = emulator.child_env(account).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let config = site.root().join(config).display().to_string();
    let arguments: Vec<_> = ["--config", &config].into_iter().chain(more.iter().copied()).collect();
    Process::start(program, &arguments, &env, site.root()).unwrap()
}

/// The aggregator of a site, listening.
fn start_aggregator(emulator: &Emulator, account: &Account, site: &Site) -> Process {
    let mut aggregator = start(emulator, account, site, "orgtrail-aggregator", "aggregator.toml", &[]);
    aggregator.wait_for("aggregator is up").unwrap();
    aggregator
}

/// Every key of a store.
async fn keys(store: &dyn ObjectStore) -> Vec<String> {
    let (mut keys, mut request) = (Vec::new(), ListRequest::default());
    loop {
        let page = store.list(&request).await.unwrap();
        keys.extend(page.objects.into_iter().map(|object| object.key));
        match page.next {
            Some(next) => request.continuation = Some(next),
            None => return keys,
        }
    }
}
