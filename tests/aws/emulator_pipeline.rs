//! The main job against AWS's protocols: the real processes, buckets instead of folders, assumed roles, SSE-KMS.

use std::path::Path;
use std::time::{Duration, Instant};

use orgtrail_cli::generate::{Manifest, Plan, Source, generate};
use orgtrail_cloud::object_store::{ListRequest, PutOptions};
use orgtrail_cloud::{Connection, ObjectStore};
use orgtrail_event::gzip::Inflater;
use orgtrail_event::log_file::{Item, Limits, read};
use orgtrail_tests::emulator::{Account, Emulator, bucket_name};
use orgtrail_tests::process::Process;
use orgtrail_tests::site::{ORGANIZATION, Site};
use serde_json::json;

use crate::{Admin, store};

const EXTERNAL_ID: &str = "acme-7f2e";

/// A generated organization in the emulator: each generated bucket in an account of its own, read through a role there.
struct Organization {
    site: Site,
    manifest: Manifest,
    collector: Account,
    sources: Vec<(String, Source, String)>,
    destination: String,
}

async fn organization(emulator: &Emulator, admin_reads: bool) -> Organization {
    let plan = Plan { hours: 3, ..Plan::default() }.with_records(1_500);
    let site = Site::new();
    let manifest = generate(&plan, &site.sources(), &mut |_| ()).unwrap();
    let collector = emulator.account();
    let mut sources = Vec::new();
    for source in &manifest.sources {
        let owner = if admin_reads { collector.clone() } else { emulator.account() };
        let bucket = bucket_name();
        let connection = emulator.connection(&owner);
        Admin::open(&connection).await.create_bucket(&bucket).await;
        upload(&site.sources().join(&source.bucket), &*store(&bucket, "", &connection).await).await;
        let statements = json!([
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{bucket}/*")},
            {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": format!("arn:aws:s3:::{bucket}")},
        ]);
        let role = if admin_reads {
            String::new()
        } else {
            emulator.create_role(&owner, "orgtrail-agent", &collector, Some(EXTERNAL_ID), statements).unwrap()
        };
        sources.push((bucket, source.clone(), role));
    }
    let destination = bucket_name();
    Admin::open(&emulator.connection(&collector)).await.create_bucket(&destination).await;
    Organization { site, manifest, collector, sources, destination }
}

async fn upload(folder: &Path, bucket: &dyn ObjectStore) {
    let mut folders = vec![folder.to_owned()];
    while let Some(dir) = folders.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.file_name().unwrap().to_str().unwrap().starts_with(".orgtrail-") {
                continue; // a digest's user metadata, which nobody asks for here
            }
            let key = path.strip_prefix(folder).unwrap().to_str().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            bucket.put(key, bytes.into(), &PutOptions::default()).await.unwrap();
        }
    }
}

impl Organization {
    /// Different records in all files, those of Insight files among them.
    fn records(&self) -> u64 {
        self.manifest.records + self.manifest.insight_records
    }

    /// Writes both configuration files; every source with this external id.
    fn configure(&mut self, emulator: &Emulator, external_id: &str, trail: &str) {
        let mut lines = String::new();
        for (bucket, source, role) in &self.sources {
            let prefix = if source.prefix.is_empty() { String::new() } else { format!("/{}", source.prefix) };
            lines.push_str(&format!(
                "[[sources]]\nlocation = \"s3://{bucket}{prefix}\"\nregion = \"us-east-1\"\nendpoint_url = \"{}\"\n",
                emulator.url()
            ));
            if !role.is_empty() {
                lines.push_str(&format!(
                    "role_arn = \"{role}\"\nexternal_id = \"{external_id}\"\nsession_name = \"orgtrail-test\"\n"
                ));
            }
        }
        self.site.write_agent("agent.toml", "acme", &lines).unwrap();
        self.site.trail = format!(
            "organization_id = \"{ORGANIZATION}\"\nlocation = \"s3://{}/audit\"\nregion = \"us-east-1\"\nevent_selectors = \"all\"\nendpoint_url = \"{}\"\n{trail}",
            self.destination,
            emulator.url()
        );
        self.site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
    }

    fn start(&self, emulator: &Emulator, program: &str, config: &str, more: &[&str]) -> Process {
        let env: Vec<_> =
            emulator.child_env(&self.collector).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let config = self.site.root().join(config).display().to_string();
        let arguments: Vec<_> = ["--config", &config].into_iter().chain(more.iter().copied()).collect();
        Process::start(program, &arguments, &env, self.site.root()).unwrap()
    }

    fn run_once(&self, emulator: &Emulator) -> (Option<i32>, String) {
        let mut aggregator = self.start(emulator, "orgtrail-aggregator", "aggregator.toml", &[]);
        aggregator.wait_for("aggregator is up").unwrap();
        let mut agent = self.start(emulator, "orgtrail-agent", "agent.toml", &["--once"]);
        let code = agent.wait().unwrap().code();
        assert!(aggregator.stop().unwrap().success(), "{}", aggregator.output());
        (code, agent.output())
    }

    /// Number of different and of all records under the destination's organization folder, and one of its keys.
    async fn delivered(&self, connection: &Connection) -> (u64, u64, String) {
        let trail = store(&self.destination, "audit", connection).await;
        let mut request = ListRequest { prefix: format!("AWSLogs/{ORGANIZATION}/"), ..ListRequest::default() };
        let (mut ids, mut records, mut any) = (std::collections::HashSet::new(), 0, String::new());
        loop {
            let page = trail.list(&request).await.unwrap();
            for object in page.objects {
                let gzip = trail.get(&object.key, 1 << 30).await.unwrap().bytes;
                let mut json = Vec::new();
                Inflater::new().inflate(&gzip, 1 << 30, &mut json).unwrap();
                for item in read(&json, &Limits::default()).unwrap() {
                    let Item::Record(record) = item else { panic!("{}: {item:?}", object.key) };
                    ids.insert(record.header.event_id.unwrap().into_owned());
                    records += 1;
                }
                any = object.key;
            }
            match page.next {
                Some(next) => request.continuation = Some(next),
                None => return (ids.len() as u64, records, any),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_read_through_roles_and_delivered_to_a_bucket() {
    let Some(emulator) = Emulator::ministack(true) else { return };
    let mut organization = organization(emulator, false).await;
    organization.configure(emulator, EXTERNAL_ID, "");
    let (code, output) = organization.run_once(emulator);
    assert!(code == Some(0) || code == Some(2), "{output}");
    let (unique, records, _) = organization.delivered(&emulator.connection(&organization.collector)).await;
    assert_eq!((unique, records), (organization.records(), organization.records()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_external_id_is_reported_and_mended_without_a_loss() {
    let Some(emulator) = Emulator::ministack(true) else { return };
    let mut organization = organization(emulator, false).await;
    organization.configure(emulator, "acme-0000", "");
    let mut aggregator = organization.start(emulator, "orgtrail-aggregator", "aggregator.toml", &[]);
    aggregator.wait_for("aggregator is up").unwrap();
    let mut agent = organization.start(emulator, "orgtrail-agent", "agent.toml", &["--once"]).expecting_errors();
    let began = Instant::now();
    let told = |status: orgtrail_agent::status::Status| status.degraded.values().any(|why| why.contains("AssumeRole"));
    while !organization.site.agent_status().is_ok_and(told) {
        assert!(began.elapsed() < Duration::from_secs(60), "the status doesn't say why: {}", agent.output());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(agent.is_running(), "a refused role is no reason to give up");
    agent.kill();
    assert!(aggregator.stop().unwrap().success());

    organization.configure(emulator, EXTERNAL_ID, "");
    let (code, output) = organization.run_once(emulator);
    assert!(code == Some(0) || code == Some(2), "{output}");
    let (unique, ..) = organization.delivered(&emulator.connection(&organization.collector)).await;
    assert_eq!(unique, organization.records());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_with_a_key_is_written_under_sse_kms() {
    for emulator in [Emulator::ministack(false), Emulator::moto()] {
        let Some(emulator) = emulator else { return };
        let mut organization = organization(emulator, true).await;
        let connection = emulator.connection(&organization.collector);
        let admin = Admin::open(&connection).await;
        let key = admin.create_key().await;
        organization.configure(emulator, "", &format!("kms_key_id = \"{key}\"\n"));
        let (code, output) = organization.run_once(emulator);
        assert!(code == Some(0) || code == Some(2), "{output}");
        let (unique, records, any) = organization.delivered(&connection).await;
        assert_eq!((unique, records), (organization.records(), organization.records()));
        let encryption = admin.object_encryption(&organization.destination, &format!("audit/{any}")).await;
        assert_eq!(encryption.algorithm, "aws:kms");
        assert_eq!(encryption.key_id.as_deref(), Some(key.as_str()));
    }
}
