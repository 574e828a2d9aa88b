//! `orgtrail query`: SQL over event data stores, by the embedded engine or by another one over Arrow Flight SQL.
//!
//! Owns the command line, the order of statements and what goes to standard error. Does not own SQL, formats or delivery,
//! which are the lake's. Changes nothing but the files and objects that it is told to write.

mod complete;
mod input;
mod print;
mod progress;
mod shell;
mod target;

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use orgtrail_cloud::Location;
use orgtrail_cloud::location::ParseError;
use orgtrail_lake::flight::Address;
use orgtrail_lake::output::{Output, WriteError};
use orgtrail_lake::sql::{Exception, QueryError};
use orgtrail_service::run::Exit;
use orgtrail_service::shape::Bytes;

use self::input::{Split, split};
use self::target::{Target, configured};
use crate::runtime::until_signal;
use crate::terminal::end;

/// More than any file of statements.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Ask event data stores in SQL, as CloudTrail Lake takes it.
///
/// Without SQL on a terminal: a shell, with history, Tab and \? for help.
///
/// Rows go to standard output; what a query scanned, which is what CloudTrail Lake bills, goes to standard error.
///
/// Exit codes: 0 all statements were answered; 1 one failed, went beyond a bound, or its rows could not be written; 64 the
/// command line or a statement is wrong; 78 the configuration is wrong; 130 interrupted.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Statements, with a semicolon between two.
    #[arg(value_name = "SQL", conflicts_with_all = ["file", "samples"])]
    sql: Option<String>,
    /// Folder with lake.toml, or such a file. Default: the current folder if it has one, else /etc/orgtrail.
    #[arg(long, value_name = "DIR|FILE")]
    config: Option<PathBuf>,
    /// Ask this engine instead of the embedded one: flightsql://[user:password@]host[:port] or flightsql+tls://…. The
    /// statement is sent as it is, in the engine's own dialect; event data stores are made known to it first, in the way that
    /// Sail knows, unless ?tables=none stands behind the port.
    #[arg(long, value_name = "URL")]
    engine: Option<Address>,
    /// table, csv, json, parquet or orc on standard output; or a file, file:///… or s3://bucket/key, whose extension says
    /// which. A file is there whole or not at all.
    #[arg(long, short, value_name = "FORMAT|FILE", default_value = "table")]
    output: Output,
    /// The statements of a file; - for standard input.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print sample queries, or those about something, and ask nothing.
    #[arg(long, value_name = "PHRASE", num_args = 0..=1, default_missing_value = "")]
    samples: Option<String>,
    /// Deliver the rows as CloudTrail Lake does, as gzipped CSV with a signature, below s3://bucket/prefix or file:///folder; -
    /// for the location of [query.results].
    #[arg(long, value_name = "LOCATION", value_parser = results, conflicts_with = "output")]
    results: Option<Results>,
    /// How long one statement may run, such as 30s. Default: the configuration's.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// How many bytes one statement may scan, such as 10GiB. Default: the configuration's.
    #[arg(long, value_name = "BYTES", conflicts_with = "engine")]
    scan_max: Option<Bytes>,
}

/// Where results are delivered to. None: where the configuration says.
#[derive(Clone, Debug)]
struct Results(Option<Location>);

fn results(text: &str) -> Result<Results, ParseError> {
    Ok(Results(if text == "-" { None } else { Some(text.parse()?) }))
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> ExitCode {
    match start(arguments) {
        Err(error) if is_broken_pipe(&error) => ExitCode::from(crate::terminal::BROKEN_PIPE),
        Err(error) if is_wrong_statement(&error) => {
            eprintln!("orgtrail: {error:#}");
            Exit::Usage.into()
        }
        result => end(result),
    }
}

fn start(arguments: &Arguments) -> anyhow::Result<Exit> {
    if let Some(phrase) = &arguments.samples {
        print!("{}", print::samples(phrase));
        return Ok(Exit::Ok);
    }
    let to_terminal = std::io::stdout().is_terminal();
    let format = arguments.output.format();
    ensure!(
        format.is_text() || !arguments.output.is_stdout() || !to_terminal,
        "{} is nothing for a terminal: write --output results.{0}, or into a pipe",
        format.name()
    );
    let text = text(arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let config = match configured(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("orgtrail: {error:#}");
            return Ok(Exit::Config);
        }
    };
    let mut target = runtime.block_on(Target::open(arguments, config))?;
    let Some(text) = text else {
        return shell::run(&runtime, &mut target, &arguments.output);
    };
    let statements = statements(&text)?;
    ensure!(
        statements.len() == 1 || arguments.output.is_stdout(),
        "{} statements would be written to one place; write one, or --output with a format alone",
        statements.len()
    );
    for statement in &statements {
        match runtime.block_on(until_signal(target.answer(statement, &arguments.output)))? {
            Some(answered) => eprintln!("{}", print::summary(&answered?)),
            None => return Ok(Exit::Interrupted),
        }
    }
    Ok(Exit::Ok)
}

/// What is asked. `None`: a person will tell.
fn text(arguments: &Arguments) -> anyhow::Result<Option<String>> {
    match (&arguments.sql, &arguments.file) {
        (Some(sql), _) => Ok(Some(sql.clone())),
        (None, Some(file)) if file != Path::new("-") => read(file).map(Some),
        (None, None) if std::io::stdin().is_terminal() => Ok(None),
        (None, _) => {
            let mut text = String::new();
            std::io::stdin().take(FILE_BYTES_MAX).read_to_string(&mut text).context("read standard input")?;
            Ok(Some(text))
        }
    }
}

/// The text of a file of statements.
fn read(file: &Path) -> anyhow::Result<String> {
    let size = std::fs::metadata(file).with_context(|| format!("read {}", file.display()))?.len();
    ensure!(size <= FILE_BYTES_MAX, "{} is larger than any file of statements: {size} bytes", file.display());
    std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))
}

/// The statements of a text; the last one needs no semicolon.
fn statements(text: &str) -> anyhow::Result<Vec<String>> {
    let Split { mut statements, rest, .. } = split(text);
    if !rest.is_empty() {
        statements.push(rest);
    }
    ensure!(!statements.is_empty(), "there is no statement: write orgtrail query \"SELECT …\"");
    Ok(statements)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<WriteError>().is_some_and(WriteError::is_broken_pipe)
}

/// Whether the person who asked has to change the statement.
fn is_wrong_statement(error: &anyhow::Error) -> bool {
    let is_wrong = |error: &QueryError| {
        matches!(
            error.exception,
            Exception::InvalidQueryStatement | Exception::InvalidParameter | Exception::EventDataStoreNotFound
        )
    };
    error.downcast_ref().is_some_and(is_wrong)
}
