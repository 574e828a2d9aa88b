//! Other engines that read our tables, as the second opinion on every answer: DuckDB over the files that a table's own log
//! names, and Sail, a distributed engine, with several workers behind its Flight SQL server.
//!
//! Owns: their Python environment, the questions put to them, and Sail's process. Does not own tables, or what the answers
//! should be. Neither shares code with us on the way from the log to the rows: DuckDB has its own Parquet reader and the
//! log is read by `engines/ask.py`, Sail has its own reader of Delta Lake's log.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use orgtrail_cli::port::free_port;

use crate::python;

/// What is installed.
const REQUIREMENTS: &str = "lake-requirements.lock";

/// How long Sail may take to listen. Idle it takes a second.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// An answer: a row is its values in the order of the columns, as JSON; what JSON has no form for is text.
pub type Rows = Vec<Vec<serde_json::Value>>;

/// The engines' Python environment.
#[derive(Debug)]
pub struct Engines {
    environment: PathBuf,
}

impl Engines {
    /// The process's engines, installed on first use. `None`: skip the test.
    pub fn installed() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Engines>> = OnceLock::new();
        let install = || {
            let environment = python::install(REQUIREMENTS);
            Engines { environment: environment.unwrap_or_else(|error| panic!("install {REQUIREMENTS}: {error:#}")) }
        };
        SHARED.get_or_init(|| python::is_there_for("other engines").then(install)).as_ref()
    }

    /// Runs a Python program and gives what it printed.
    pub fn python(&self, program: &str, arguments: &[&str]) -> Result<String> {
        python::run(Command::new(self.environment.join("bin/python")).args(["-c", program]).args(arguments))
    }

    /// Asks DuckDB about Delta tables in folders, each under a name. One answer a statement.
    pub fn duckdb(&self, tables: &[(&str, &Path)], statements: &[&str]) -> Result<Vec<Rows>> {
        let tables: Vec<_> = tables.iter().map(|(name, folder)| format!("{name}={}", folder.display())).collect();
        let tables = tables.join(",");
        let mut arguments = vec!["duckdb", tables.as_str()];
        arguments.extend(statements);
        answers(&self.python(ASK, &arguments)?)
    }

    /// Starts Sail's Flight SQL server before a cluster of so many workers on this machine.
    pub fn sail(&'static self, workers: usize, log_dir: &Path) -> Result<Sail> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let log_path = log_dir.join(format!("sail-{}.log", address.port()));
        let log = File::create(&log_path)?;
        let leash = python::leashed(&self.environment.join("bin/sail"))
            .args(["flight", "server", "--ip", "127.0.0.1", "--port", &address.port().to_string()])
            .env("SAIL_MODE", "local-cluster")
            .env("SAIL_CLUSTER__WORKER_INITIAL_COUNT", workers.to_string())
            .env("SAIL_CLUSTER__WORKER_MAX_COUNT", workers.to_string())
            .env("NO_PROXY", "127.0.0.1")
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start Sail")?;
        let sail = Sail { engines: self, address, leash };
        let begun = Instant::now();
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            if begun.elapsed() > START_DEADLINE {
                let log = std::fs::read_to_string(&log_path).unwrap_or_default();
                bail!("Sail does not listen within {START_DEADLINE:?}; {}:\n{log}", log_path.display());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(sail)
    }
}

/// A running Sail. Ends when it is dropped.
#[derive(Debug)]
pub struct Sail {
    engines: &'static Engines,
    address: SocketAddr,
    /// The shell that holds the server. Waiting for it closes its input first.
    leash: Child,
}

impl Sail {
    /// Where its Flight SQL server listens, `127.0.0.1:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes a Delta table known under a name, for every connection from now on.
    pub fn register(&self, name: &str, table: &Path) -> Result<()> {
        let statement = format!("CREATE TABLE {name} USING delta LOCATION 'file://{}'", table.display());
        self.ask(&[&statement]).map(drop)
    }

    /// Asks it in Spark's SQL. One answer a statement.
    pub fn ask(&self, statements: &[&str]) -> Result<Vec<Rows>> {
        let address = self.address.to_string();
        let mut arguments = vec!["flight", address.as_str()];
        arguments.extend(statements);
        answers(&self.engines.python(ASK, &arguments)?)
    }
}

impl Drop for Sail {
    fn drop(&mut self) {
        if let Err(error) = self.leash.wait() {
            python::tell(&format!("wait for Sail: {error}"));
        }
    }
}

/// How another engine writes what we write as CloudTrail Lake does. Only for what the sample queries need: a statement's
/// meaning is the same, its functions have other names.
#[derive(Clone, Copy, Debug)]
pub enum Dialect {
    /// Sail's.
    Spark,
    /// DuckDB's.
    DuckDb,
}

impl Dialect {
    /// A statement of ours in this dialect.
    pub fn of(self, statement: &str) -> String {
        let functions: &[(&str, &str)] = match self {
            Self::Spark => &[
                ("events CROSS JOIN UNNEST(resources) AS t(r)", "(SELECT *, explode(resources) AS r FROM events)"),
                (
                    "events CROSS JOIN UNNEST(CAST(json_extract(requestParameters, '$.ipPermissions.items') AS array(varchar))) AS t(rule)",
                    "(SELECT *, explode(from_json(get_json_object(requestParameters, '$.ipPermissions.items'), 'array<string>')) AS rule FROM events)",
                ),
                ("element_at(", "get_json_object("),
                ("json_extract_scalar(", "get_json_object("),
                ("arbitrary(", "any_value("),
            ],
            Self::DuckDb => &[
                (
                    "CAST(json_extract(requestParameters, '$.ipPermissions.items') AS array(varchar))",
                    "CAST(json_extract(requestParameters, '$.ipPermissions.items[*]') AS varchar[])",
                ),
                ("element_at(", "json_extract_string("),
                ("json_extract_scalar(", "json_extract_string("),
                ("regexp_like(", "regexp_matches("),
            ],
        };
        let mut text = functions.iter().fold(statement.to_owned(), |text, (ours, theirs)| text.replace(ours, theirs));
        for column in ["requestParameters", "responseElements", "additionalEventData"] {
            // A member's name, where we take one, is a path there.
            text = text.replace(&format!("({column}, '"), &format!("({column}, '$."));
        }
        text.replace("'$.$.", "'$.")
    }
}

/// The program that asks.
const ASK: &str = include_str!("engines/ask.py");

fn answers(printed: &str) -> Result<Vec<Rows>> {
    printed.lines().map(|line| serde_json::from_str(line).with_context(|| format!("read the answer {line}"))).collect()
}
