//! On moto: an organization of more accounts than a page holds, in a tree, with tags, and with one that is closed; and one
//! whose accounts are read by the real processes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use orgtrail_cloud::admin::Admin;
use orgtrail_cloud::object_store::PutOptions;
use orgtrail_cloud::organization::{Account, AccountStatus, AwsOrganization, Organization as _, Wanted};
use orgtrail_cloud::{Connection, conformance};
use orgtrail_event::gzip::Deflater;
use orgtrail_tests::emulator::{Emulator, bucket_name};
use orgtrail_tests::process::Process;
use orgtrail_tests::site::Site;

/// Accounts that are made beside the management account.
const MADE: usize = 45;

/// A management account of its own: moto takes any role, and gives it its account.
fn management(emulator: &Emulator) -> (String, Connection) {
    let id = rand::random_range(100_000_000_000_u64..1_000_000_000_000).to_string();
    let role_arn = Some(format!("arn:aws:iam::{id}:role/orgtrail"));
    (id, Connection { role_arn, ..emulator.connection(&emulator.account()) })
}

fn find<'a>(accounts: &'a [Account], id: &str) -> &'a Account {
    accounts.iter().find(|account| account.id == id).unwrap()
}

#[tokio::test]
async fn an_organization_over_many_pages_on_the_emulator_is_listed_whole() {
    let Some(emulator) = Emulator::moto() else { return };
    let (management, connection) = management(emulator);
    let admin = Admin::open(&connection).await;
    let root = admin.create_organization().await;
    let unit = admin.create_unit(&root, "workloads").await;
    let inner = admin.create_unit(&unit, "prod").await;
    let mut made = Vec::new();
    for n in 0..MADE {
        made.push(admin.create_account(&format!("a{n}")).await);
    }
    admin.move_account(&made[3], &root, &inner).await;
    admin.tag_account(&made[3], "env", "prod").await;
    admin.close_account(&made[5]).await;

    // moto gives everything on one page unless it is asked for less; AWS never more than 20.
    let organization = AwsOrganization::open(&connection).await.with_page_accounts(20);
    let listed = organization.accounts(Wanted { tags: true, parents: true }).await.unwrap();
    let mut ids: Vec<&String> = made.iter().chain([&management]).collect();
    ids.sort();
    assert_eq!(listed.iter().map(|account| &account.id).collect::<Vec<_>>(), ids);
    let moved = find(&listed, &made[3]);
    assert_eq!((moved.name.as_str(), moved.email.as_str()), ("a3", "a3@example.com"));
    assert_eq!(moved.ou_path, [root.clone(), unit, inner]);
    assert_eq!(moved.tags["env"], "prod");
    assert!(moved.arn.contains(&management) && moved.joined.is_some(), "{moved:?}");
    assert_eq!(find(&listed, &made[4]).ou_path, [root]);
    assert_eq!(find(&listed, &made[4]).status, AccountStatus::Active);
    assert_eq!(find(&listed, &made[5]).status, AccountStatus::Suspended);

    conformance::organization::all(&organization, &listed).await;
}

const REGION: &str = "us-east-1";

/// A log file of one record, put into the account's own bucket as CloudTrail delivers it.
async fn deliver(bucket: &str, account: &str, id: &str, connection: &Connection) {
    let record = format!(
        r#"{{"eventVersion":"1.08","eventID":"{id}","eventTime":"2026-03-01T11:04:00Z","awsRegion":"{REGION}","recipientAccountId":"{account}"}}"#
    );
    let file = Deflater::new(6).deflate(format!(r#"{{"Records":[{record}]}}"#).as_bytes());
    let key = format!(
        "AWSLogs/{account}/CloudTrail/{REGION}/2026/03/01/{account}_CloudTrail_{REGION}_20260301T1105Z_{id}.json.gz"
    );
    let location = format!("s3://{bucket}").parse().unwrap();
    let store = orgtrail_cloud::open_store(&location, connection).await.unwrap();
    store.put(&key, file.into(), &PutOptions::default()).await.unwrap();
}

/// Waits until the trail holds exactly these records.
fn delivered(site: &Site, agent: &Process, ids: &[&str]) {
    let began = Instant::now();
    let wanted: BTreeSet<_> = ids.iter().map(|id| (*id).to_owned()).collect();
    loop {
        let found = site.delivered().map(|found| found.counts).unwrap_or_default();
        assert!(found.values().all(|count| *count == 1), "{found:?}");
        if found.into_keys().collect::<BTreeSet<_>>() == wanted {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "not delivered: {wanted:?}\n{}", agent.output());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test]
async fn accounts_of_an_organization_on_the_emulator_are_read_each_with_its_role_and_a_new_one_soon() {
    let Some(emulator) = Emulator::moto() else { return };
    let (account, buckets) = (emulator.account(), bucket_name());
    let (management, connection) = management(emulator);
    let admin = Admin::open(&connection).await;
    admin.create_organization().await;
    let of = |id: &str| Connection {
        role_arn: Some(format!("arn:aws:iam::{id}:role/reader")),
        ..emulator.connection(&account)
    };
    let made = async |name: &str, event: &str| {
        let id = admin.create_account(name).await;
        let bucket = format!("{buckets}-{id}");
        Admin::open(&of(&id)).await.create_bucket(&bucket).await;
        deliver(&bucket, &id, event, &of(&id)).await;
        id
    };
    let one = made("one", "AbCdEf0123456701").await;
    let never = made("never", "AbCdEf0123456799").await;
    let mut site = Site::new();
    site.aggregator_more = "[deliver]\nmerge_wait = \"200ms\"\n".to_owned();
    let organization = format!(
        "[[organizations]]\nname = \"acme\"\nregion = \"{REGION}\"\nrole_arn = \"arn:aws:iam::{management}:role/orgtrail\"\n\
         refresh_interval = \"1s\"\nexclude = {{ accounts = [\"{management}\", \"{never}\"] }}\n\
         [organizations.source]\nlocation = \"s3://{buckets}-{{account}}\"\nregion = \"{REGION}\"\nrole_name = \"reader\"\n"
    );
    site.write_agent("agent.toml", "acme", &organization).unwrap();
    site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
    let mut aggregator = site.aggregator().unwrap();
    let env = emulator.child_env(&account).into_iter().map(|(name, value)| (name.to_owned(), value));
    let env: Vec<_> = env.chain([("AWS_ENDPOINT_URL".to_owned(), emulator.url())]).collect();
    let config = site.root().join("agent.toml").display().to_string();
    let mut agent = Process::start("orgtrail-agent", &["--config", &config], &env, site.root()).unwrap();
    delivered(&site, &agent, &["AbCdEf0123456701"]);
    made("two", "AbCdEf0123456702").await;
    delivered(&site, &agent, &["AbCdEf0123456701", "AbCdEf0123456702"]);
    assert!(agent.stop().unwrap().success());
    let status = site.agent_status().unwrap();
    assert!(status.objects.is_conserved(), "{:?}", status.objects);
    assert!(status.rows.iter().any(|row| row.account == one), "{:?}", status.rows);
    assert!(aggregator.stop().unwrap().success());
}
