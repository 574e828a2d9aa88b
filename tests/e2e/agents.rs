//! Who may speak, and for which accounts (I8).

use orgtrail_cli::generate::{Manifest, Plan};
use orgtrail_tests::authority::Authority;
use orgtrail_tests::process::Process;
use orgtrail_tests::site::Site;

fn generated() -> (Site, Manifest) {
    Site::generated(&Plan { hours: 2, corrupt_share: 0.0, ..Plan::default() }.with_records(1_500)).unwrap()
}

fn source_lines(site: &Site, manifest: &Manifest) -> String {
    let sources = manifest.sources.iter();
    sources
        .map(|source| format!("[[sources]]\nlocation = \"file://{}\"\n", source.folder(&site.sources()).display()))
        .collect()
}

#[test]
fn an_agent_is_not_heard_for_anothers_account() {
    let (site, manifest) = generated();
    let own: Vec<_> = manifest.by_account.keys().skip(1).collect();
    let foreign = manifest.by_account.keys().next().unwrap();
    site.write_aggregator(&format!("[[agents]]\nname = \"acme\"\naccounts = {own:?}\n")).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 2, "{output}");
    let delivered = site.delivered().unwrap();
    assert_eq!(delivered.unique(), manifest.records - manifest.by_account[foreign]);
    let (_, list, _) = site.verb(&["quarantine", "list"]).unwrap();
    assert!(list.contains("not_authorized") && list.contains(foreign.as_str()), "{list}");

    // Registered at last, the objects are fetched again.
    site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
    let (code, _, _) = site.verb(&["quarantine", "retry", "--all", "--reason", "not_authorized"]).unwrap();
    assert_eq!(code, 0);
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    site.assert_delivered_exactly(&manifest).unwrap();
}

/// A site whose link is mutual TLS; the agent shows a certificate for `certified` and says it is `said`.
fn over_tls(certified: &str, said: &str) -> (Site, Manifest, Process, Process) {
    let (mut site, manifest) = generated();
    let authority = Authority::new(&site.root().join("tls")).unwrap();
    let server = authority.sign("aggregator", &["localhost"]).unwrap();
    let client = authority.sign("agent", &[certified]).unwrap();
    site.aggregator_more = format!("[tls]\n{server}");
    site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
    site.write_agent("agent.toml", said, &source_lines(&site, &manifest)).unwrap();
    let path = site.root().join("agent.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("http://127.0.0.1", "https://localhost");
    let text = text.replace("[[sources]]", &format!("[aggregator.tls]\n{client}[[sources]]"));
    // Only the first one: the table stands before the sources.
    let text = text.replacen(&format!("[aggregator.tls]\n{client}"), "\u{1}", 1);
    let text = text
        .replace(&format!("[aggregator.tls]\n{client}"), "")
        .replace('\u{1}', &format!("[aggregator.tls]\n{client}"));
    std::fs::write(&path, text).unwrap();
    let aggregator = site.aggregator().unwrap();
    let agent = site.agent_once().unwrap();
    (site, manifest, aggregator, agent)
}

#[test]
fn mutual_tls_carries_the_main_job() {
    let (site, manifest, mut aggregator, mut agent) = over_tls("acme", "acme");
    assert_eq!(agent.wait().unwrap().code(), Some(0), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success());
    site.assert_delivered_exactly(&manifest).unwrap();
}

#[test]
fn a_certificate_for_another_name_is_refused_and_told() {
    let (site, _, aggregator, agent) = over_tls("eve", "acme");
    let mut aggregator = aggregator.expecting_errors();
    aggregator.wait_for("refused an agent").unwrap();
    let mut agent = agent.expecting_errors();
    assert!(agent.is_running(), "it keeps trying: {}", agent.output());
    assert!(!site.trail_dir().exists(), "nothing was delivered");
    let began = std::time::Instant::now();
    while !site.agent_status().is_ok_and(|status| status.link.trouble.as_deref().is_some_and(|why| why.contains("eve")))
    {
        assert!(began.elapsed().as_secs() < 30, "the agent's status doesn't say why");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn an_agent_that_is_not_registered_is_refused() {
    let (site, manifest) = generated();
    site.write_agent("agent.toml", "stranger", &source_lines(&site, &manifest)).unwrap();
    let mut aggregator = site.aggregator().unwrap().expecting_errors();
    let mut agent = site.agent_once().unwrap().expecting_errors();
    aggregator.wait_for("refused an agent").unwrap();
    assert!(agent.is_running());
}
