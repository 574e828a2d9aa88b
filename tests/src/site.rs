//! A site to test on: a folder with generated deliveries, configuration files, state folders and the trail, as an operator
//! would lay it out on one machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use orgtrail_agent::status::Status as AgentStatus;
use orgtrail_aggregator::status::Status as AggregatorStatus;
use orgtrail_cli::generate::{EventIds, Manifest, Plan, Source, event_ids, generate};
use orgtrail_cli::port::free_port;
use orgtrail_service::state_dir::read_status;

use crate::process::Process;

/// The organization of every site.
pub const ORGANIZATION: &str = "o-exampleorg1";

/// See the module's description. Gone when dropped.
#[derive(Debug)]
pub struct Site {
    root: tempfile::TempDir,
    port: u16,
    /// Further lines of `aggregator.toml`, behind everything else.
    pub aggregator_more: String,
    /// Further lines of `agent.toml`.
    pub agent_more: String,
    /// The lines of `[[trails]]` that follow its name.
    pub trail: String,
}

/// Every file below a folder, as its path from there, in order; the store's own hidden files aside. None where there is no
/// such folder.
pub fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_none_or(|name| !name.to_string_lossy().starts_with('.')) {
                found.push(path.strip_prefix(root).expect("it was found there").display().to_string());
            }
        }
    }
    found.sort_unstable();
    found
}

impl Site {
    /// An empty site.
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let trail = format!(
            "organization_id = \"{ORGANIZATION}\"\nlocation = \"file://{}\"\nevent_selectors = \"all\"\n",
            root.path().join("org-trail").display()
        );
        let agent_more =
            "[discover]\npoll_interval_min = \"100ms\"\npoll_interval_max = \"1s\"\nidle_interval_max = \"1s\"\n"
                .to_owned();
        Self { root, port: free_port().expect("a free port"), aggregator_more: String::new(), agent_more, trail }
    }

    /// A site with generated deliveries.
    pub fn generated(plan: &Plan) -> anyhow::Result<(Self, Manifest)> {
        let site = Self::new();
        let manifest = generate(plan, &site.sources(), &mut |_| ())?;
        site.configure(&manifest.sources)?;
        Ok((site, manifest))
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Where the buckets are.
    pub fn sources(&self) -> PathBuf {
        self.root().join("sources")
    }

    /// Where the trail is delivered to.
    pub fn trail_dir(&self) -> PathBuf {
        self.root().join("org-trail")
    }

    /// The agent's or aggregator's state folder.
    pub fn state(&self, process: &str) -> PathBuf {
        self.root().join("state").join(process)
    }

    /// Writes both configuration files, with a source for each generated one.
    pub fn configure(&self, sources: &[Source]) -> anyhow::Result<()> {
        let locations: Vec<_> = sources.iter().map(|source| source.folder(&self.sources())).collect();
        self.configure_locations(&locations)
    }

    /// Writes both configuration files, with a `file://` source for each folder.
    pub fn configure_locations(&self, folders: &[PathBuf]) -> anyhow::Result<()> {
        let lines = folders.iter().map(|folder| format!("[[sources]]\nlocation = \"file://{}\"\n", folder.display()));
        self.write_agent("agent.toml", "acme", &lines.collect::<String>())?;
        self.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n")
    }

    /// Writes an agent's configuration with these sources.
    pub fn write_agent(&self, file: &str, name: &str, sources: &str) -> anyhow::Result<()> {
        let text = format!(
            "name = \"{name}\"\nstate_dir = \"{}\"\n[aggregator]\nendpoint = \"http://127.0.0.1:{}\"\n{sources}{}",
            self.state(name).display(),
            self.port,
            self.agent_more
        );
        std::fs::write(self.root().join(file), text).context("write the agent's configuration")
    }

    /// Writes the aggregator's configuration with these agents.
    pub fn write_aggregator(&self, agents: &str) -> anyhow::Result<()> {
        let text = format!(
            "state_dir = \"{}\"\nlisten = \"127.0.0.1:{}\"\n{agents}[[trails]]\nname = \"org-trail\"\n{}{}",
            self.state("aggregator").display(),
            self.port,
            self.trail,
            self.aggregator_more
        );
        std::fs::write(self.root().join("aggregator.toml"), text).context("write the aggregator's configuration")
    }

    /// Starts the aggregator and waits until it listens.
    pub fn aggregator(&self) -> anyhow::Result<Process> {
        let mut process = self.start("orgtrail-aggregator", "aggregator.toml", &[])?;
        process.wait_for("aggregator is up")?;
        Ok(process)
    }

    /// Starts the agent to run on.
    pub fn agent(&self) -> anyhow::Result<Process> {
        self.start("orgtrail-agent", "agent.toml", &[])
    }

    /// Starts the agent with `--once`.
    pub fn agent_once(&self) -> anyhow::Result<Process> {
        self.start("orgtrail-agent", "agent.toml", &["--once"])
    }

    /// Starts a program with one of the configuration files.
    pub fn start(&self, program: &str, config: &str, more: &[&str]) -> anyhow::Result<Process> {
        let config = self.root().join(config).display().to_string();
        let arguments: Vec<_> = ["--config", &config].into_iter().chain(more.iter().copied()).collect();
        Process::start(program, &arguments, &[], self.root())
    }

    /// Runs both processes until everything that is there is delivered; the agent's exit code and output.
    pub fn run_once(&self) -> anyhow::Result<(i32, String)> {
        let mut aggregator = self.aggregator()?;
        let mut agent = self.agent_once()?;
        let code = agent.wait()?.code().unwrap_or(-1);
        let output = agent.output();
        ensure!(aggregator.stop()?.success(), "the aggregator did not stop in good order:\n{}", aggregator.output());
        Ok((code, output))
    }

    /// Every eventID in the delivered trail.
    pub fn delivered(&self) -> anyhow::Result<EventIds> {
        event_ids(&self.trail_dir()).context("read the delivered trail")
    }

    /// What the agent last said.
    pub fn agent_status(&self) -> anyhow::Result<AgentStatus> {
        let snapshot = read_status(&self.state("acme"))?.context("the agent has said nothing")?;
        Ok(serde_json::from_value(snapshot.value)?)
    }

    /// What the aggregator last said.
    pub fn aggregator_status(&self) -> anyhow::Result<AggregatorStatus> {
        let snapshot = read_status(&self.state("aggregator"))?.context("the aggregator has said nothing")?;
        Ok(serde_json::from_value(snapshot.value)?)
    }

    /// Runs an operator's verb on this site.
    pub fn verb(&self, verb: &[&str]) -> anyhow::Result<(i32, String, String)> {
        self.verb_with(verb, &[])
    }

    /// The same with further environment variables.
    pub fn verb_with(&self, verb: &[&str], env: &[(&'static str, String)]) -> anyhow::Result<(i32, String, String)> {
        let root = self.root().display().to_string();
        let arguments: Vec<_> = verb.iter().copied().chain(["--config", &root]).collect();
        crate::process::run_with("orgtrail", &arguments, env)
    }

    /// Asserts the promise: every record of the sources is in the trail, none twice, and the ledgers say so.
    pub fn assert_delivered_exactly(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let delivered = self.delivered()?;
        ensure!(delivered.unreadable.is_empty(), "unreadable in the trail: {:?}", delivered.unreadable);
        let doubled = delivered.counts.values().filter(|count| **count > 1).count();
        ensure!(doubled == 0, "{doubled} records were delivered more than once");
        let unique = delivered.unique();
        ensure!(unique == manifest.records, "{unique} records were delivered, {} were made", manifest.records);
        let source = event_ids(&self.sources()).context("read the sources")?;
        let lost = source.counts.keys().filter(|id| !delivered.counts.contains_key(*id)).count();
        ensure!(lost == 0, "{lost} records are lost");
        let status = self.aggregator_status()?;
        let trail = &status.trails[0];
        ensure!(trail.balanced && trail.pending == 0, "the record ledger doesn't balance: {status:#?}");
        let expected = manifest.records + manifest.insight_records;
        ensure!(trail.delivered == expected, "the ledger says {} were delivered", trail.delivered);
        Ok(())
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}
