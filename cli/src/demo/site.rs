//! What a demo's folder needs to be a site: keys, and the configuration files of all roles.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use orgtrail_cloud::key_service::LocalKeyService;
use orgtrail_cloud::signer::LocalSigner;

use super::ORGANIZATION;
use crate::generate::{Manifest, PUBLIC_KEYS};
use crate::port::free_port;

const HEAD: &str = "# Written by `orgtrail demo`. Every key: docs/configuration.md\n";

/// Writes keys and configuration files, unless they are there: they are the operator's once written.
pub(super) fn configure(dir: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let keys = dir.join("keys");
    std::fs::create_dir_all(&keys).with_context(|| format!("make {}", keys.display()))?;
    let (signing, sealing) = (keys.join("signing.pem"), keys.join("sealing.key"));
    if !signing.exists() {
        LocalSigner::create(&signing)?;
    }
    if !sealing.exists() {
        LocalKeyService::create(&sealing)?;
    }
    let port = free_port()?;
    let aggregator = aggregator(dir, port);
    let files =
        [("agent.toml", agent(dir, port, manifest)), ("aggregator.toml", aggregator), ("console.toml", console(dir)?)];
    let lake_toml = dir.join("lake.toml");
    if !lake_toml.exists() {
        std::fs::write(&lake_toml, lake(dir)).with_context(|| format!("write {}", lake_toml.display()))?;
    }
    // Agent and aggregator share a port: both or neither.
    if dir.join("agent.toml").exists() && dir.join("aggregator.toml").exists() {
        return Ok(());
    }
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

fn agent(dir: &Path, port: u16, manifest: &Manifest) -> String {
    let at = dir.display();
    let mut text = format!(
        "{HEAD}name = \"demo\"\nstate_dir = \"{at}/state/agent\"\n\n[aggregator]\nendpoint = \"http://127.0.0.1:{port}\"\n"
    );
    for source in &manifest.sources {
        let location = source.folder(&dir.join("sources"));
        write!(
            text,
            "\n[[sources]]\nname = \"{}\"\nlocation = \"file://{}\"\ndigest_keys = \"file://{at}/sources/{PUBLIC_KEYS}\"\n",
            source.bucket,
            location.display()
        )
        .expect("text grows");
    }
    text
}

fn aggregator(dir: &Path, port: u16) -> String {
    let at = dir.display();
    format!(
        r#"{HEAD}state_dir = "{at}/state/aggregator"
listen = "127.0.0.1:{port}"

[[agents]]
name = "demo"
accounts = ["*"]

# An hour's digests are written half an hour after it; a demo doesn't wait for that.
[digests]
on_stop = true

# Nothing readable on the aggregator's own disk.
[seal]
key_id = "file://{at}/keys/sealing.key"

[[trails]]
name = "org-trail"
organization_id = "{ORGANIZATION}"
location = "file://{at}/org-trail"
event_selectors = "all"
signing_key_id = "file://{at}/keys/signing.pem"
sns_topic = "file://{at}/notifications.ndjson"

[trails.cloudwatch_logs]
location = "file://{at}/cloudwatch-logs"
"#
    )
}

fn lake(dir: &Path) -> String {
    let at = dir.display();
    format!(
        r#"{HEAD}[[trails]]
name = "org-trail"
location = "file://{at}/org-trail"

[[event_data_stores]]
name = "events"
location = "file://{at}/lake/events"
"#
    )
}

fn console(dir: &Path) -> anyhow::Result<String> {
    let at = dir.display();
    let port = free_port()?;
    Ok(format!(
        r#"{HEAD}[console]
listen = "127.0.0.1:{port}"

[[console.trails]]
name = "org-trail"
organization_id = "{ORGANIZATION}"
account_id = "000000000000"
home_region = "us-east-1"
location = "file://{at}/org-trail"
public_keys = "{at}/state/aggregator/public-keys.json"
has_custom_event_selectors = true
"#
    ))
}
