//! KMS throttles a running aggregator in all that it does with keys: it seals, encrypts and signs.

use std::time::{Duration, Instant};

use orgtrail_cli::generate::{Plan, generate};
use orgtrail_cloud::admin::Admin;
use orgtrail_cloud::{Connection, ObjectStore};
use orgtrail_event::gzip::Inflater;
use orgtrail_event::key::{ObjectKey, classify};
use orgtrail_event::log_file::{Item, Limits, read};
use orgtrail_tests::emulator::{Emulator, REGION};
use orgtrail_tests::fault_proxy::{FaultProxy, Mode};
use orgtrail_tests::site::{ORGANIZATION, Site};

use crate::{keys, new_bucket_in, start_aggregator, store};

const PATIENCE: Duration = Duration::from_secs(90);

/// Different and all records of a trail, and its digests.
async fn held(trail: &dyn ObjectStore) -> (usize, u64, u64) {
    let (mut ids, mut records, mut digests) = (std::collections::HashSet::new(), 0, 0);
    for key in keys(trail).await {
        if let ObjectKey::Digest(_) | ObjectKey::BackfillDigest(_) = classify(&key) {
            digests += 1;
            continue;
        }
        let mut json = Vec::new();
        let gzip = trail.get(&key, 1 << 30).await.unwrap().bytes;
        Inflater::new().inflate(&gzip, 1 << 30, &mut json).unwrap();
        for item in read(&json, &Limits::default()).unwrap() {
            let Item::Record(record) = item else { panic!("{key}: {item:?}") };
            ids.insert(record.header.event_id.unwrap().into_owned());
            records += 1;
        }
    }
    (ids.len(), records, digests)
}

fn until(site: &Site, what: impl Fn(&[String]) -> bool) {
    let began = Instant::now();
    loop {
        let degraded = site.aggregator_status().map(|status| status.health.degraded).unwrap_or_default();
        let parts: Vec<_> = degraded.into_iter().map(|part| format!("{}: {}", part.part, part.reason)).collect();
        if what(&parts) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "health says: {parts:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kms_that_throttles_sealing_encrypting_and_signing_is_told_in_health_and_costs_nothing() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let proxy = FaultProxy::start(emulator.address()).await.unwrap();
    let account = emulator.account();
    let connection: Connection = emulator.connection(&account);
    let bucket = new_bucket_in(&connection).await;
    let admin = Admin::open(&connection).await;
    let (sealing, encrypting, signing) =
        (admin.create_key().await, admin.create_key().await, admin.create_rsa_key(true).await);
    let plan = Plan { hours: 3, corrupt_share: 0.0, ..Plan::default() }.with_records(1_500);
    let mut site = Site::new();
    let manifest = generate(&plan, &site.sources(), &mut |_| ()).unwrap();
    let reached = format!("region = \"{REGION}\"\nendpoint_url = \"{}\"\n", proxy.url());
    site.trail = format!(
        "organization_id = \"{ORGANIZATION}\"\nevent_selectors = \"all\"\nlocation = \"s3://{bucket}\"\n{reached}\
         kms_key_id = \"{encrypting}\"\nsigning_key_id = \"{signing}\"\n"
    );
    site.aggregator_more = format!(
        "[deliver]\nmerge_wait = \"200ms\"\n[digests]\non_stop = true\ninterval = \"1m\"\ndelay = \"1s\"\n\
         [seal]\nkey_id = \"{sealing}\"\nrecheck = \"200ms\"\n{reached}"
    );
    site.configure(&manifest.sources).unwrap();
    let mut aggregator = start_aggregator(emulator, &account, &site);

    // What S3 and KMS themselves answer then.
    proxy.fail("PUT /", Mode::SlowDown, u32::MAX);
    proxy.fail(" kms", Mode::Throttled, u32::MAX);
    let mut agent = site.agent().unwrap();
    until(&site, |parts| {
        let tells = |part: &str, code: &str| parts.iter().any(|one| one.starts_with(part) && one.contains(code));
        tells("trail org-trail: ", "SlowDown") && tells("seal: ", "ThrottlingException")
    });
    // Sealing goes on with the data key at hand: everything is taken.
    let all = manifest.records_written + manifest.insight_records;
    let began = Instant::now();
    while site.aggregator_status().map_or(0, |status| status.records.read) < all {
        assert!(began.elapsed() < PATIENCE, "{}", aggregator.output());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(held(&*store(&bucket, "", &connection).await).await, (0, 0, 0), "nothing is delivered meanwhile");
    assert!(agent.is_running() && aggregator.is_running());

    // Encrypted puts are taken again; signing is still throttled.
    proxy.heal();
    proxy.fail("TrentService.Sign", Mode::Throttled, u32::MAX);
    proxy.fail("TrentService.GetPublicKey", Mode::Throttled, u32::MAX);
    until(&site, |parts| {
        let [only] = parts else { return false };
        only.starts_with("trail org-trail digests: ") && only.contains("ThrottlingException")
    });
    proxy.heal();
    until(&site, <[String]>::is_empty);
    agent.kill();
    let mut agent = site.agent_once().unwrap();
    assert_eq!(agent.wait().unwrap().code(), Some(0), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success(), "{}", aggregator.output());

    let all = manifest.records + manifest.insight_records;
    let (unique, records, digests) = held(&*store(&bucket, "", &connection).await).await;
    assert_eq!((unique as u64, records), (all, all));
    let trail = &site.aggregator_status().unwrap().trails[0];
    assert!(trail.balanced && trail.pending == 0 && trail.delivered == all, "{trail:#?}");
    let counted = trail.digests.clone().unwrap();
    assert!(digests > 0 && digests == counted.digests + counted.backfill_digests, "{digests}, {counted:?}");
}
