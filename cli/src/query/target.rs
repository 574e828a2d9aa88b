//! Who is asked, and one statement from being sent to its rows being where they were wanted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use orgtrail_cloud::Connection;
use orgtrail_lake::flight::Remote;
use orgtrail_lake::output::{Output, Surroundings};
use orgtrail_lake::results::{Delivery, query_id};
use orgtrail_lake::sql::{ColumnDescription, FUNCTIONS, Figures, Run};
use orgtrail_lake::{Config, Lake};
use orgtrail_service::clock::system;

use super::complete::{Words, paths};
use super::progress::Progress;
use super::{Arguments, Results};
use crate::lake::configuration;

/// The file that is looked for where nobody says, and where.
const FILE: &str = "lake.toml";
const FOLDERS: [&str; 2] = [".", "/etc/orgtrail"];

/// Who is asked, and where answers go.
pub(super) struct Target {
    pub(super) engine: Asked,
    config: Config,
    delivery: Option<Delivery>,
    timeout: Duration,
    scratch: PathBuf,
}

/// The embedded engine, or another one.
pub(super) enum Asked {
    Embedded(Box<Lake>),
    Remote(Box<Remote>),
}

/// An answered statement.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) figures: Figures,
    /// Where the rows are, if not on standard output.
    pub(super) to: Option<String>,
    /// Columns that are text because the format has no type for them.
    pub(super) as_text: Vec<String>,
    /// Another engine's: what it scanned is not known.
    pub(super) is_remote: bool,
}

impl Target {
    pub(super) async fn open(arguments: &Arguments, mut config: Config) -> anyhow::Result<Self> {
        if let Some(timeout) = arguments.timeout {
            config.query.timeout = timeout;
        }
        if let Some(scan_max) = arguments.scan_max {
            config.query.scan_max = Some(scan_max);
        }
        let scratch = config.query.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
        let delivery = match &arguments.results {
            None => None,
            Some(Results(location)) => {
                let results = config.query.results.clone().unwrap_or_default();
                Some(results.open(location.clone(), scratch.clone()).await?)
            }
        };
        let engine = match &arguments.engine {
            None => Asked::Embedded(Box::new(Lake::open(&config, system()).await?)),
            Some(address) => {
                let remote = Remote::connect(address).await?;
                for store in &config.event_data_stores {
                    let Some(location) = &store.location else { continue };
                    let names: Vec<&str> =
                        [Some(store.name.as_str()), store.id.as_deref()].into_iter().flatten().collect();
                    remote.make_table(&names, &location.to_string()).await?;
                }
                Asked::Remote(Box::new(remote))
            }
        };
        let timeout = config.query.timeout;
        Ok(Self { engine, config, delivery, timeout, scratch })
    }

    /// Asks, and brings the rows where they are wanted. Dropped before its end it leaves no file that has its name, and no
    /// results that are signed.
    pub(super) async fn answer(&mut self, statement: &str, output: &Output) -> anyhow::Result<Answered> {
        let Run { batches, statistics, .. } = match &mut self.engine {
            Asked::Embedded(lake) => {
                // What was imported since the last statement.
                lake.refresh().await?;
                lake.engine().query(statement).await?
            }
            Asked::Remote(remote) => remote.query(statement, self.timeout).await?,
        };
        let progress = Progress::begin(&statistics);
        let (to, as_text) = match &self.delivery {
            Some(delivery) => {
                let delivered = delivery.deliver(&query_id()?, batches, &*system()).await?;
                (Some(delivered.folder), Vec::new())
            }
            None => {
                let around = self.surroundings(&progress);
                let written = output.write(batches, &around).await?;
                ((!output.is_stdout()).then(|| output.to_string()), written.as_text)
            }
        };
        drop(progress);
        let is_remote = matches!(self.engine, Asked::Remote(_));
        Ok(Answered { figures: statistics.figures(), to, as_text, is_remote })
    }
}

impl Target {
    fn surroundings(&self, progress: &Progress) -> Surroundings {
        Surroundings {
            terminal_width: terminal_width(),
            scratch: self.scratch.clone(),
            connection: self.connection(),
            before_printing: Some(Arc::new(progress.end())),
        }
    }

    /// How a bucket is reached that `--output` names: as that of delivered results, where there is one.
    fn connection(&self) -> Connection {
        self.config.query.results.as_ref().map(|results| results.connection.clone()).unwrap_or_default()
    }

    /// The configuration.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// An event data store's columns.
    pub(super) async fn describe(&self, name: &str) -> anyhow::Result<Vec<ColumnDescription>> {
        match &self.engine {
            Asked::Embedded(lake) => Ok(lake.engine().describe(name).await?),
            Asked::Remote(remote) => bail!("{} knows its columns: ask it DESCRIBE {name};", remote.address()),
        }
    }

    /// What Tab offers.
    pub(super) async fn words(&self) -> Words {
        let mut words = Words::default();
        match &self.engine {
            Asked::Embedded(lake) => {
                for store in lake.engine().stores() {
                    let columns = lake.engine().describe(&store.name).await.unwrap_or_default();
                    words.columns.extend(columns.iter().flat_map(|column| paths(&column.name, &column.data_type)));
                    words.tables.push(store.name);
                }
                let names = FUNCTIONS.iter().filter_map(|function| function.usage.split_once('('));
                words.functions = names.map(|(name, _)| name.to_owned()).collect();
            }
            Asked::Remote(_) => words.tables = self.config.event_data_stores.iter().map(|s| s.name.clone()).collect(),
        }
        for names in [&mut words.columns, &mut words.functions] {
            names.sort();
            names.dedup();
        }
        words
    }
}

/// The lake that is configured here.
pub(super) fn configured(given: Option<&Path>) -> anyhow::Result<Config> {
    if let Some(path) = given {
        return configuration(path);
    }
    let found = FOLDERS.iter().map(|folder| Path::new(folder).join(FILE)).find(|path| path.is_file());
    configuration(&found.with_context(|| format!("no {FILE} in {}: write --config DIR", FOLDERS.join(" or ")))?)
}

/// Characters of a line of standard output, where that is a terminal.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
