//! A lake to test on: a folder with a trail's objects and a configuration over them, as `orgtrail lake` reads it.
//!
//! Owns the folder, what is put into the trail, and how verbs are run on it. The trail may be any folder: one that a
//! [`crate::site::Site`] delivered, or one that a test writes itself.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use orgtrail_event::gzip::Deflater;
use serde_json::Value;

use crate::process::{Process, run};

/// The account of records that don't name one.
pub const ACCOUNT: &str = "111122223333";

/// See the module's description. Gone when dropped.
#[derive(Debug)]
pub struct LakeSite {
    root: tempfile::TempDir,
    trail: PathBuf,
    delivered: std::cell::Cell<u32>,
}

impl LakeSite {
    /// A lake over a folder with a trail, with this behind the event data store's `location`.
    pub fn over(trail: &Path, more: &str) -> Result<Self> {
        let root = tempfile::tempdir()?;
        let site = Self { root, trail: trail.to_owned(), delivered: 0.into() };
        site.configure(more)?;
        Ok(site)
    }

    /// A lake over a trail of its own, in which nothing is yet.
    pub fn new(more: &str) -> Result<Self> {
        let root = tempfile::tempdir()?;
        let trail = root.path().join("trail");
        std::fs::create_dir(&trail)?;
        let site = Self { root, trail, delivered: 0.into() };
        site.configure(more)?;
        Ok(site)
    }

    /// Writes the configuration: one event data store `events`, and `more` behind its location.
    pub fn configure(&self, more: &str) -> Result<()> {
        let text = format!(
            "[[trails]]\nname = \"org-trail\"\nlocation = \"file://{}\"\n\n[[event_data_stores]]\nname = \"events\"\n\
             location = \"file://{}\"\n{more}",
            self.trail.display(),
            self.table().display()
        );
        std::fs::write(self.root().join("lake.toml"), text).context("write lake.toml")
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The folder of the event data store's table.
    pub fn table(&self) -> PathBuf {
        self.root().join("events")
    }

    /// Puts a log file with these records under a day, `2026/03/01`, of [`ACCOUNT`].
    pub fn deliver(&self, day: &str, records: &[Value]) -> Result<()> {
        self.delivered.set(self.delivered.get() + 1);
        let mut json = String::from("{\"Records\":[");
        for (index, record) in records.iter().enumerate() {
            write!(json, "{}{record}", if index == 0 { "" } else { "," })?;
        }
        json.push_str("]}");
        let (stamp, unique) = (day.replace('/', ""), self.delivered.get());
        let name = format!("{ACCOUNT}_CloudTrail_us-east-1_{stamp}T0005Z_{unique:016}.json.gz");
        self.put(&format!("AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/{day}/{name}"), json.as_bytes())
    }

    /// Puts an object into the trail, compressed.
    pub fn put(&self, key: &str, json: &[u8]) -> Result<()> {
        let path = self.trail.join(key);
        let folder = path.parent().context("a key has a folder")?;
        std::fs::create_dir_all(folder)?;
        // Beside its place first: an importer that runs must not see half of it.
        let beside = self.root().join(".delivering");
        std::fs::write(&beside, Deflater::new(6).deflate(json))?;
        std::fs::rename(beside, path).context("deliver")
    }

    /// Runs a verb: exit code, standard output, standard error.
    pub fn verb(&self, verb: &[&str]) -> Result<(i32, String, String)> {
        run("orgtrail", &self.arguments(verb))
    }

    /// Runs a verb that has to end well, for its standard output.
    pub fn said(&self, verb: &[&str]) -> Result<String> {
        let (code, output, errors) = self.verb(verb)?;
        anyhow::ensure!(code == 0, "{verb:?} ended with {code}:\n{output}{errors}");
        Ok(output)
    }

    /// Imports what is there.
    pub fn import(&self) -> Result<()> {
        self.said(&["lake", "--once"]).map(drop)
    }

    /// The answer to a query as CSV, without its header.
    pub fn ask(&self, statement: &str) -> Result<String> {
        let output = self.said(&["query", "--output", "csv", statement])?;
        Ok(output.split_once('\n').map_or(String::new(), |(_, rows)| rows.to_owned()))
    }

    /// Starts a verb that runs on.
    pub fn start(&self, verb: &[&str]) -> Result<Process> {
        Process::start("orgtrail", &self.arguments(verb), &[], self.root())
    }

    /// The verb's name, `--config`, and the rest.
    fn arguments<'a>(&'a self, verb: &[&'a str]) -> Vec<&'a str> {
        let config = self.root().to_str().expect("a temporary folder's name is text");
        [&verb[..1], &["--config", config], &verb[1..]].concat()
    }

    /// As if so much time had passed since files were taken out of the table: what its log says of when.
    pub fn age(&self, time: Duration) -> Result<()> {
        for entry in std::fs::read_dir(self.table().join("_delta_log"))? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let mut aged = String::new();
            for line in std::fs::read_to_string(&path)?.lines() {
                let mut action: Value = serde_json::from_str(line)?;
                if let Some(at) = action.pointer_mut("/remove/deletionTimestamp") {
                    let then = at.as_i64().context("a time in milliseconds")? - i64::try_from(time.as_millis())?;
                    *at = then.into();
                }
                writeln!(aged, "{action}")?;
            }
            std::fs::write(&path, aged)?;
        }
        Ok(())
    }

    /// What `event-data-stores` says is in it.
    pub fn content(&self) -> Result<Value> {
        let said: Value = serde_json::from_str(&self.said(&["event-data-stores", "--json"])?)?;
        Ok(said["event_data_stores"][0]["content"].clone())
    }
}

/// A management event at a time, with these members besides or instead of the usual ones.
pub fn record(id: &str, time: &str, source: &str, name: &str, more: &Value) -> Value {
    let mut record = serde_json::json!({
        "eventVersion": "1.11", "eventTime": time, "eventSource": source, "eventName": name, "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.7", "userAgent": "aws-cli", "eventID": id, "eventType": "AwsApiCall",
        "managementEvent": true, "readOnly": false, "recipientAccountId": ACCOUNT, "eventCategory": "Management",
        "userIdentity": { "type": "IAMUser", "arn": format!("arn:aws:iam::{ACCOUNT}:user/ana"), "accountId": ACCOUNT, "userName": "ana" },
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        record[name] = value.clone();
    }
    record
}
