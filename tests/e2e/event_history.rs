//! An account without any trail, through the real processes and the SDK: its event history is served as CloudTrail serves
//! it, and every event is delivered once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use orgtrail_tests::event_history::EventHistory;
use orgtrail_tests::process::Process;
use orgtrail_tests::site::Site;

const ACCOUNT: &str = "111122223333";
const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];
/// A day's windows at two calls a second, and the pauses after refusals.
const WITHIN: Duration = Duration::from_secs(240);

fn start(site: &Site) -> Process {
    let env = [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("NO_PROXY", "127.0.0.1"),
    ];
    let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let config = site.root().join("agent.toml").display().to_string();
    Process::start("orgtrail-agent", &["--config", &config], &env, site.root()).unwrap()
}

fn wait(what: &str, agent: &Process, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < WITHIN, "not within {WITHIN:?}: {what}\n{}", agent.output());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Some events near the end of the last windows that have settled, more than a page in one of them. The windows before
/// them on that day are empty, and looked at too.
fn fill(history: &EventHistory) -> (String, BTreeSet<String>) {
    #[allow(clippy::disallowed_methods, reason = "the agent tells what has settled by the wall clock")]
    let now = jiff::Timestamp::now();
    let settled = now.as_second().div_euclid(900) * 900 - 900;
    let mut ids = BTreeSet::new();
    for region in REGIONS {
        for (window, events) in [(1, 3), (2, 120), (4, 1)] {
            for n in 0..events {
                let (at, id) = (settled - window * 900 + n * 7, format!("{region}-{window}-{n}"));
                let time = jiff::Timestamp::from_second(at).unwrap();
                let record = format!(
                    "{{\"eventVersion\":\"1.08\",\"eventID\":\"{id}\", \"eventTime\":\"{time:.0}\",\
                     \"awsRegion\":\"{region}\",\"eventCategory\":\"Management\",\"recipientAccountId\":\"{ACCOUNT}\"}}"
                );
                history.put(region, at, &id, &record);
                ids.insert(id);
            }
        }
    }
    let first = jiff::Timestamp::from_second(settled - 4 * 900).unwrap();
    (first.strftime("%Y-%m-%d").to_string(), ids)
}

#[test]
fn an_account_without_a_trail_is_taken_from_its_event_history_once_over_pages_refusals_and_a_crash() {
    let history = EventHistory::start().unwrap();
    let (day, ids) = fill(&history);
    let mut site = Site::new();
    site.aggregator_more = "[deliver]\nmerge_wait = \"200ms\"\n".to_owned();
    let source = format!(
        "[[sources]]\nkind = \"lookup_events\"\naccounts = [\"{ACCOUNT}\"]\nregions = [\"{}\"]\nstart = \"{day}\"\n\
         region = \"us-east-1\"\nendpoint_url = \"{}\"\n",
        REGIONS.join("\", \""),
        history.url()
    );
    site.write_agent("agent.toml", "acme", &source).unwrap();
    site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = start(&site);
    wait("some windows are read", &agent, || history.calls().answered >= 6);
    agent.kill();

    let mut agent = start(&site);
    let delivered = || site.delivered().map(|found| found.counts).unwrap_or_default();
    wait("all events are delivered", &agent, || delivered().len() >= ids.len());
    let settled = || site.agent_status().is_ok_and(|status| status.objects.in_flight == 0);
    wait("all windows are read", &agent, settled);
    assert!(agent.stop().unwrap().success(), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success(), "{}", aggregator.output());
    let delivered = delivered();
    assert_eq!(delivered.keys().cloned().collect::<BTreeSet<_>>(), ids);
    assert!(delivered.values().all(|count| *count == 1), "{delivered:?}");
    let status = site.agent_status().unwrap();
    assert!(status.objects.is_conserved() && status.objects.quarantined.is_empty(), "{:?}", status.objects);
    let calls = history.calls();
    assert!(calls.further_pages >= 4 && calls.throttled > 0, "{calls:?}");
    assert!(calls.throttled <= calls.answered / 2, "the agent keeps to the pace by itself: {calls:?}");
}
