//! A replay out of a trail in S3 into another bucket that was added later, with the real processes.

use std::collections::BTreeMap;

use orgtrail_cli::generate::{Plan, generate};
use orgtrail_cloud::ObjectStore;
use orgtrail_event::digest::sha256_hex;
use orgtrail_tests::emulator::{Emulator, REGION};
use orgtrail_tests::fault_proxy::{FaultProxy, Mode};
use orgtrail_tests::site::{ORGANIZATION, Site};
use serde_json::Value;

use crate::{keys, new_bucket_in, start_aggregator, store};

/// Names and hashes of everything in a store.
async fn objects(store: &dyn ObjectStore) -> BTreeMap<String, String> {
    let mut objects = BTreeMap::new();
    for key in keys(store).await {
        let bytes = store.get(&key, 1 << 30).await.unwrap().bytes;
        objects.insert(key, sha256_hex(&bytes));
    }
    objects
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_was_added_gets_what_the_trails_bucket_holds_past_throttling_and_breaks() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let proxy = FaultProxy::start(emulator.address()).await.unwrap();
    let account = emulator.account();
    let connection = emulator.connection(&account);
    let (trail, mirror) = (new_bucket_in(&connection).await, new_bucket_in(&connection).await);
    let plan = Plan { accounts: 2, hours: 3, corrupt_share: 0.0, ..Plan::default() }.with_records(600);
    let mut site = Site::new();
    let manifest = generate(&plan, &site.sources(), &mut |_| ()).unwrap();
    let lines = |bucket: &str| {
        format!(
            "organization_id = \"{ORGANIZATION}\"\nevent_selectors = \"all\"\nlocation = \"s3://{bucket}/audit\"\n\
             region = \"{REGION}\"\nendpoint_url = \"{}\"\n",
            proxy.url()
        )
    };
    site.trail = lines(&trail);
    site.configure(&manifest.sources).unwrap();
    let mut aggregator = start_aggregator(emulator, &account, &site);
    let mut agent = site.agent_once().unwrap();
    assert_eq!(agent.wait().unwrap().code(), Some(0), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success(), "{}", aggregator.output());
    let held = objects(&*store(&trail, "audit", &connection).await).await;
    // Somebody else's object beside the trail is no part of it.
    let beside = store(&trail, "", &connection).await;
    beside.put("AWSLogs/note.txt", "note".into(), &Default::default()).await.unwrap();

    site.trail = format!("{}[[trails]]\nname = \"mirror\"\n{}", lines(&trail), lines(&mirror));
    site.configure(&manifest.sources).unwrap();
    let mut aggregator = start_aggregator(emulator, &account, &site);
    proxy.fail("list-type=2", Mode::SlowDown, 4);
    proxy.fail(format!("GET /{trail}/audit/"), Mode::CutBody(40), 3);
    proxy.fail(format!("GET /{trail}/audit/"), Mode::SlowDown, 8);
    proxy.fail(format!("PUT /{mirror}/audit/"), Mode::SlowDown, 8);
    for round in 1..=2 {
        let ask = ["replay", "--trail", "org-trail", "--destination", "mirror", "--from", "2000-01-01", "--json"];
        let (code, said, errors) = site.verb(&[&ask[..], &["--to", "2100-01-01"]].concat()).unwrap();
        assert_eq!(code, 0, "{said}\n{errors}\n{}", aggregator.output());
        let progress = serde_json::from_str::<Value>(&said).unwrap()["progress"].clone();
        let counts = ["taken", "records", "failed"].map(|name| progress[name].as_u64().unwrap());
        let all = manifest.records + manifest.insight_records;
        assert_eq!(counts, [held.len() as u64, all, 0], "round {round}: {progress}");
        let copy = objects(&*store(&mirror, "audit", &connection).await).await;
        assert!(copy == held, "round {round}: the same names and the same bytes, none twice");
    }
    assert!(aggregator.stop().unwrap().success());
    let status = site.aggregator_status().unwrap();
    assert!(status.trails.iter().all(|trail| trail.balanced && trail.pending == 0), "{:?}", status.trails);
    assert_eq!(objects(&*store(&trail, "audit", &connection).await).await, held, "the trail is only read");
}
