//! An organization's accounts as they come and go, through the real processes: found, excluded, new, closed, and told of by
//! one queue.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orgtrail_agent::status::Organization;
use orgtrail_event::gzip::Deflater;
use orgtrail_tests::process::Process;
use orgtrail_tests::site::Site;
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(60);

/// The file that stands for AWS Organizations, and a bucket for each account.
struct Acme {
    site: Site,
    /// What was put for accounts that are read.
    expected: BTreeSet<String>,
    files: u32,
}

impl Acme {
    fn new(template_more: &str, discover: &str) -> Self {
        let mut site = Site::new();
        site.agent_more = format!("[discover]\n{discover}");
        site.aggregator_more = "[deliver]\nmerge_wait = \"200ms\"\n".to_owned();
        let root = site.root().display();
        let organization = format!(
            "[[organizations]]\nname = \"acme\"\naccounts_file = \"file://{root}/accounts.json\"\n\
             exclude = {{ accounts = [\"999999999999\"] }}\nrefresh_interval = \"300ms\"\ndrain = \"4s\"\n\
             [organizations.source]\nlocation = \"file://{root}/sources/trail-{{account}}\"\n{template_more}"
        );
        site.write_agent("agent.toml", "acme", &organization).unwrap();
        site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
        Self { site, expected: BTreeSet::new(), files: 0 }
    }

    /// Writes the list as `aws organizations list-accounts` prints it.
    fn list(&self, accounts: &[(&str, &str)]) {
        let account = |(id, status): &(&str, &str)| {
            let arn = format!("arn:aws:organizations::{id}:account/o-exampleorg1/{id}");
            json!({"Id": id, "Arn": arn, "Name": id, "Email": "a@example.com", "Status": status})
        };
        let list = json!({"Accounts": accounts.iter().map(account).collect::<Vec<_>>()});
        let (unfinished, file) = (self.site.root().join("accounts.new"), self.site.root().join("accounts.json"));
        fs::write(&unfinished, list.to_string()).unwrap();
        fs::rename(unfinished, file).unwrap();
    }

    fn bucket(&self, account: &str) -> PathBuf {
        self.site.sources().join(format!("trail-{account}"))
    }

    /// Delivers a log file of one record as CloudTrail would; its path. Of an account that is not read, it is not expected.
    fn deliver(&mut self, account: &str, is_read: bool) -> PathBuf {
        self.files += 1;
        let (n, day) = (self.files, "2026/03/01");
        let id = format!("{account}-{n}");
        let record = format!(
            "{{\"eventVersion\":\"1.08\",\"eventID\":\"{id}\",\"eventTime\":\"2026-03-01T11:04:00Z\",\
             \"awsRegion\":\"eu-west-1\",\"recipientAccountId\":\"{account}\"}}"
        );
        let name = format!("{account}_CloudTrail_eu-west-1_20260301T1105Z_AbCdEf01234567{n:02}.json.gz");
        let path = self.bucket(account).join(format!("AWSLogs/{account}/CloudTrail/eu-west-1/{day}/{name}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let unfinished = self.site.root().join("unfinished");
        fs::write(&unfinished, Deflater::new(6).deflate(format!("{{\"Records\":[{record}]}}").as_bytes())).unwrap();
        fs::rename(unfinished, &path).unwrap();
        if is_read {
            self.expected.insert(id);
        }
        path
    }

    /// Waits until the trail holds everything expected.
    fn delivered(&self, agent: &Process) {
        let wanted =
            || self.site.delivered().is_ok_and(|found| self.expected.iter().all(|id| found.counts.contains_key(id)));
        wait("everything expected is delivered", agent, wanted);
    }

    fn organization(&self, agent: &Process, what: &str, holds: impl Fn(&Organization) -> bool) {
        let told = || self.site.agent_status().is_ok_and(|status| status.organizations.first().is_some_and(&holds));
        wait(what, agent, told);
    }

    /// Exactly what was expected is in the trail, once.
    fn assert_exact(&self) {
        let delivered = self.site.delivered().unwrap();
        assert_eq!(delivered.counts.keys().cloned().collect::<BTreeSet<_>>(), self.expected);
        assert!(delivered.counts.values().all(|count| *count == 1), "{:?}", delivered.counts);
        let status = self.site.agent_status().unwrap();
        assert!(status.objects.is_conserved(), "{:?}", status.objects);
        assert_eq!(status.objects.delivered, self.expected.len() as u64);
    }
}

fn wait(what: &str, agent: &Process, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < WITHIN, "not within {WITHIN:?}: {what}\n{}", agent.output());
        std::thread::sleep(Duration::from_millis(50));
    }
}

const OFTEN: &str = "poll_interval_min = \"100ms\"\npoll_interval_max = \"500ms\"\nidle_interval_max = \"500ms\"\n\
                     refresh_interval = \"500ms\"\n";

#[test]
fn accounts_of_an_organization_come_and_go_while_the_agent_runs_and_each_object_is_delivered_once() {
    let mut acme = Acme::new("", OFTEN);
    let [one, two, new, never] = ["111111111111", "222222222222", "333333333333", "999999999999"];
    acme.list(&[(one, "ACTIVE"), (two, "ACTIVE"), (never, "ACTIVE")]);
    for (account, is_read) in [(one, true), (two, true), (never, false)] {
        acme.deliver(account, is_read);
    }
    let mut aggregator = acme.site.aggregator().unwrap();
    let mut agent = acme.site.agent().unwrap();
    acme.delivered(&agent);

    // A new account, of which there are files before it is listed.
    acme.deliver(new, true);
    acme.list(&[(one, "ACTIVE"), (two, "ACTIVE"), (new, "ACTIVE"), (never, "ACTIVE")]);
    acme.delivered(&agent);
    acme.deliver(new, true);
    acme.delivered(&agent);

    // A closed one delivers a while longer, also over a crash of the agent.
    acme.list(&[(one, "ACTIVE"), (two, "SUSPENDED"), (new, "ACTIVE"), (never, "ACTIVE")]);
    acme.organization(&agent, "it drains", |organization| organization.draining == [two]);
    agent.kill();
    acme.deliver(two, true);
    let mut agent = acme.site.agent().unwrap();
    acme.delivered(&agent);
    acme.organization(&agent, "it is gone", |organization| {
        (organization.read, organization.excluded, organization.gone) == (2, 1, 1)
    });
    acme.deliver(two, false);
    acme.deliver(never, false);
    acme.deliver(one, true);
    acme.delivered(&agent);
    std::thread::sleep(Duration::from_secs(1));
    assert!(agent.stop().unwrap().success(), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success(), "{}", aggregator.output());
    acme.assert_exact();
}

fn tell(queue: &Path, n: u32, acme: &Acme, account: &str, object: &Path) {
    let bucket = acme.bucket(account);
    let key = object.strip_prefix(&bucket).unwrap().display().to_string();
    let message = json!({"s3Bucket": format!("file://{}", bucket.display()), "s3ObjectKey": [key]});
    fs::write(queue.join(format!(".{n}")), message.to_string()).unwrap();
    fs::rename(queue.join(format!(".{n}")), queue.join(format!("{n}.json"))).unwrap();
}

#[test]
fn one_queue_tells_of_all_accounts_and_messages_from_before_the_start_are_no_foreign_ones() {
    // Listings would find nothing new for hours.
    let rarely = "poll_interval_min = \"2h\"\npoll_interval_max = \"2h\"\nidle_interval_max = \"2h\"\n";
    let mut acme = Acme::new("[organizations.source.notifications]\nqueue = \"file://QUEUE\"\n", rarely);
    let queue = acme.site.root().join("queue");
    fs::create_dir(&queue).unwrap();
    let config = acme.site.root().join("agent.toml");
    let text = fs::read_to_string(&config).unwrap().replace("QUEUE", &queue.display().to_string());
    fs::write(&config, text).unwrap();
    let [one, two] = ["111111111111", "222222222222"];
    acme.list(&[(one, "ACTIVE"), (two, "ACTIVE")]);
    for account in [one, two] {
        let object = acme.deliver(account, true);
        tell(&queue, acme.files, &acme, account, &object);
    }
    let mut aggregator = acme.site.aggregator().unwrap();
    let mut agent = acme.site.agent().unwrap();
    acme.delivered(&agent);
    for account in [two, one, two] {
        let object = acme.deliver(account, true);
        tell(&queue, acme.files, &acme, account, &object);
    }
    acme.delivered(&agent);
    let messages = || acme.site.agent_status().ok()?.notifications.first()?.messages.get("taken").copied();
    wait("the messages go", &agent, || messages() == Some(5));
    assert!(agent.stop().unwrap().success(), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success(), "{}", aggregator.output());
    let status = acme.site.agent_status().unwrap();
    let told = &status.notifications[0];
    assert_eq!((told.sources.as_slice(), told.messages.len()), (&["acme".to_owned()][..], 1), "{:?}", told.messages);
    acme.assert_exact();
}
