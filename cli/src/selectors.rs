//! `orgtrail selectors test`: which records of some log files a trail takes, and why.

mod input;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use orgtrail_aggregator::config::TrailConfig;
use orgtrail_event::log_file::RawRecord;
use orgtrail_event::selector::{Explanation, InsightSelector, Invalid, Scope, Selection, Selectors};
use orgtrail_service::run::Exit;
use serde_json::{Value, json};

use self::input::Place;
use crate::setup::{Content, load};
use crate::terminal::{count, end, table};

/// Larger than any real document of selectors; a wrong path should not be read into memory.
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

/// What to do with selectors.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say of every record in some log files whether a trail takes it, and by which clause.
    Test(Test),
}

/// Say of every record in some log files whether a trail takes it, and by which clause.
///
/// Account and region are those of the folder if the file's path is that of a delivered object
/// (`…AWSLogs/…/<account>/CloudTrail/<region>/…`), else those in the record. Without selectors, CloudTrail's default is
/// tested.
///
/// Exit codes: 0 every record was read, 1 a file can't be read or is no log file, 2 some stretch of a file holds no readable
/// record, 64 wrong usage, 78 the selectors or the configuration are wrong.
#[derive(Debug, Args)]
pub struct Test {
    /// Configuration file, or folder with configuration files: test a trail of its aggregator.
    #[arg(long, value_name = "DIR|FILE", conflicts_with_all = ["selectors", "insights"])]
    config: Option<PathBuf>,
    /// The trail's name; needed if there are several.
    #[arg(long, value_name = "NAME", requires = "config")]
    trail: Option<String>,
    /// What `aws cloudtrail get-event-selectors` printed.
    #[arg(long, value_name = "FILE.json")]
    selectors: Option<PathBuf>,
    /// What `aws cloudtrail get-insight-selectors` printed.
    #[arg(long, value_name = "FILE.json")]
    insights: Option<PathBuf>,
    /// One JSON document: each record's outcome, and the counts.
    #[arg(long)]
    json: bool,
    /// CloudTrail log files, gzip or not, or records one a line; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the verb.
pub fn run(verb: Verb) -> ExitCode {
    let Verb::Test(test) = verb;
    match selection(&test) {
        Ok(selection) => end(run_test(&test, &selection)),
        Err(error) => {
            eprintln!("orgtrail: {error:#}");
            Exit::Config.into()
        }
    }
}

fn selection(test: &Test) -> anyhow::Result<Selection> {
    if let Some(config) = &test.config {
        return of_trail(config, test.trail.as_deref());
    }
    let selectors = match &test.selectors {
        None => Selectors::default(),
        Some(path) => Selectors::from_json(&document(path)?).with_context(|| path.display().to_string())?,
    };
    let insights = match &test.insights {
        None => Vec::new(),
        Some(path) => InsightSelector::list_from_json(&document(path)?).with_context(|| path.display().to_string())?,
    };
    Selection::compile(&selectors, &insights, &Scope::default()).map_err(|invalid| wrong(&invalid))
}

fn document(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(|| format!("open {}", path.display()))?;
    file.take(DOCUMENT_BYTES_MAX).read_to_string(&mut text).with_context(|| format!("read {}", path.display()))?;
    Ok(text)
}

fn of_trail(config: &Path, name: Option<&str>) -> anyhow::Result<Selection> {
    let files = load(config)?;
    let trails: Vec<&TrailConfig> = files
        .iter()
        .filter_map(|file| if let Content::Aggregator(config) = &file.content { Some(&config.trails) } else { None })
        .flatten()
        .collect();
    let names = trails.iter().map(|trail| trail.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = match (name, trails.as_slice()) {
        (Some(name), _) => trails.iter().find(|trail| trail.name == name),
        (None, [only]) => Some(only),
        (None, []) => bail!("no aggregator's file in {}, which has [[trails]]", config.display()),
        (None, _) => bail!("name one of the trails with --trail: {names}"),
    };
    let Some(trail) = found else {
        bail!("no trail \"{}\" in {}: there are {names}", name.unwrap_or_default(), config.display());
    };
    trail.selection().map_err(|invalid| wrong(&invalid))
}

fn wrong(invalid: &[Invalid]) -> anyhow::Error {
    let lines: Vec<_> = invalid.iter().map(Invalid::to_string).collect();
    anyhow::anyhow!("the selectors are wrong:\n{}", lines.join("\n"))
}

/// What came of all records.
#[derive(Default)]
struct Outcome {
    kept: u64,
    passed_over: u64,
    unreadable: u64,
    rows: Vec<Vec<String>>,
    documents: Vec<Value>,
}

fn run_test(test: &Test, selection: &Selection) -> anyhow::Result<Exit> {
    let mut outcome = Outcome::default();
    for path in &test.files {
        let content = input::read(path)?;
        let place = Place::of(path);
        let bad = input::each(&content, |record| {
            let (account, region) = place.of_record(&record.header);
            let explanation = selection.explain(&record.header, account, region);
            outcome.take(test.json, path, record, &explanation);
        });
        for reason in bad.with_context(|| path.display().to_string())? {
            eprintln!("orgtrail: {}: {reason}", path.display());
            outcome.unreadable += 1;
        }
    }
    outcome.print(test.json)?;
    Ok(if outcome.unreadable == 0 { Exit::Ok } else { Exit::Partial })
}

impl Outcome {
    fn take(&mut self, as_json: bool, path: &Path, record: &RawRecord<'_>, explanation: &Explanation) {
        *(if explanation.kept { &mut self.kept } else { &mut self.passed_over }) += 1;
        let header = &record.header;
        // Insights have names of their own only inside.
        let name = header.event_name.clone().or_else(|| header.insight_details.text("eventName"));
        let source = header.event_source.clone().or_else(|| header.insight_details.text("eventSource"));
        if as_json {
            self.documents.push(json!({
                "file": path,
                "eventID": header.event_id,
                "eventTime": header.event_time,
                "eventName": name,
                "eventSource": source,
                "eventCategory": header.category().name(),
                "kept": explanation.kept,
                "clauses": explanation.clauses,
            }));
            return;
        }
        // What a caller of AWS chose must not steer a terminal.
        let cell = |text: Option<&str>| text.unwrap_or("-").replace(char::is_control, "\u{fffd}");
        self.rows.push(vec![
            cell(header.event_time.as_deref()),
            cell(name.as_deref()),
            cell(source.as_deref()),
            if explanation.kept { "kept" } else { "passed over" }.to_owned(),
            cell(Some(&explanation.to_string())),
        ]);
    }

    fn print(&mut self, as_json: bool) -> anyhow::Result<()> {
        let records = self.kept + self.passed_over;
        if as_json {
            let counts = json!({
                "records": records,
                "kept": self.kept,
                "passed_over": self.passed_over,
                "unreadable": self.unreadable,
            });
            let document = json!({"records": self.documents, "counts": counts});
            println!("{}", serde_json::to_string_pretty(&document)?);
            return Ok(());
        }
        if records > 0 {
            println!("{}\n", table(5, &["TIME", "EVENT", "SOURCE", "OUTCOME", "BY"], std::mem::take(&mut self.rows)));
        }
        let unreadable = match self.unreadable {
            0 => String::new(),
            stretches => format!("; {} unreadable", count(stretches)),
        };
        println!(
            "{} records: {} kept, {} passed over{unreadable}",
            count(records),
            count(self.kept),
            count(self.passed_over)
        );
        Ok(())
    }
}
