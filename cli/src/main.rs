//! `orgtrail <verb>`: parses the command line and dispatches.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use orgtrail_cli::terminal::BROKEN_PIPE;
use orgtrail_cli::{
    athena, backfill, completeness, config_check, cost, demo, doctor, event_data_stores, history, iam_policy, keys,
    lake, lookup_events, quarantine, query, replay, selectors, state, status, up, validate_logs, verify_query_results,
};
use orgtrail_service::run::arguments;

/// Imports hold a third less memory with it than with the system's allocator, and queries are a little quicker
/// (docs/performance.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// An organization trail that you own.
///
/// Exit codes of every verb: 0 done, 1 failed, 2 done but something is quarantined, unbalanced or degraded, 64 wrong usage,
/// 78 a configuration is wrong, 130 ended by a second signal.
#[derive(Parser)]
#[command(name = "orgtrail", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a small organization's deliveries and run the whole path over them.
    Demo(demo::Arguments),
    /// Run all roles of a folder's configuration files in one process.
    Up(up::Arguments),
    /// The ledger, lag, and quarantine of the processes on this machine.
    Status(status::Arguments),
    /// How far digests prove that nothing is missing, and what is.
    Completeness(completeness::Arguments),
    /// What could not be processed: list, show, retry, drop.
    #[command(subcommand)]
    Quarantine(quarantine::Verb),
    /// Keys that sign digests and seal the aggregator's disk: create, list, public.
    #[command(subcommand)]
    Keys(keys::Verb),
    /// The state folder of a stopped aggregator: reseal.
    #[command(subcommand)]
    State(state::Verb),
    /// Validate log files and digests.
    ValidateLogs(Box<validate_logs::Arguments>),
    /// Verify delivered query results and their signature.
    VerifyQueryResults(verify_query_results::Arguments),
    /// Which records a trail takes, and why: test.
    #[command(subcommand)]
    Selectors(selectors::Verb),
    /// Deliver again what a trail holds, to another destination.
    Replay(Box<replay::Arguments>),
    /// Take the days of a source that lie before its live listings.
    Backfill(Box<backfill::Arguments>),
    /// Volume, duplicate trails, requests and what selectors would save.
    Cost(cost::Arguments),
    /// Import what trails deliver into event data stores.
    Lake(lake::Arguments),
    /// What is in each event data store.
    EventDataStores(event_data_stores::Arguments),
    /// Delete events past retention, or say what would be deleted.
    Retention(event_data_stores::RetentionArguments),
    /// Ask event data stores in SQL.
    Query(Box<query::Arguments>),
    /// Look events up by their attributes, over all accounts and regions.
    LookupEvents(Box<lookup_events::Arguments>),
    /// Print events as they are imported.
    Tail(Box<lookup_events::TailArguments>),
    /// Wait until an event is in the lake.
    Wait(Box<lookup_events::WaitArguments>),
    /// Who changed a resource, and what its configuration was before and after.
    History(history::Arguments),
    /// The least IAM policy that recorded usage needs.
    IamPolicy(iam_policy::Arguments),
    /// Statements that make the lake known to Amazon Athena: ddl.
    #[command(subcommand)]
    Athena(athena::Verb),
    /// Walk each hop for real, and name what is missing.
    Doctor(doctor::Arguments),
    /// Configuration files.
    #[command(subcommand)]
    Config(ConfigVerb),
}

#[derive(Subcommand)]
enum ConfigVerb {
    /// Check configuration files offline; all problems at once, each with line and key.
    Check(config_check::Arguments),
}

/// A reader that has seen enough, such as `head`, ends the verb without a word, as it does with other commands.
#[expect(clippy::disallowed_methods, reason = "a panic in a print leaves nothing to flush, and main is not reached")]
fn end_when_nobody_reads() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            std::process::exit(i32::from(BROKEN_PIPE));
        }
        tell(panic);
    }));
}

fn main() -> ExitCode {
    end_when_nobody_reads();
    let arguments: Arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    match arguments.verb {
        Verb::Demo(arguments) => demo::run(arguments),
        Verb::Up(arguments) => up::run(arguments),
        Verb::Status(arguments) => status::run(arguments),
        Verb::Completeness(arguments) => completeness::run(arguments),
        Verb::Quarantine(verb) => quarantine::run(verb),
        Verb::Keys(verb) => keys::run(verb),
        Verb::State(verb) => state::run(verb),
        Verb::ValidateLogs(arguments) => validate_logs::run(*arguments),
        Verb::VerifyQueryResults(arguments) => verify_query_results::run(&arguments),
        Verb::Selectors(verb) => selectors::run(verb),
        Verb::Replay(arguments) => replay::run(&arguments),
        Verb::Backfill(arguments) => backfill::run(&arguments),
        Verb::Cost(arguments) => cost::run(&arguments),
        Verb::Lake(arguments) => lake::run(arguments),
        Verb::EventDataStores(arguments) => event_data_stores::run(&arguments),
        Verb::Retention(arguments) => event_data_stores::run_retention(&arguments),
        Verb::Query(arguments) => query::run(&arguments),
        Verb::LookupEvents(arguments) => lookup_events::run(&arguments),
        Verb::Tail(arguments) => lookup_events::run_tail(&arguments),
        Verb::Wait(arguments) => lookup_events::run_wait(&arguments),
        Verb::History(arguments) => history::run(&arguments),
        Verb::IamPolicy(arguments) => iam_policy::run(&arguments),
        Verb::Athena(verb) => athena::run(verb),
        Verb::Doctor(arguments) => doctor::run(&arguments),
        Verb::Config(ConfigVerb::Check(arguments)) => config_check::run(arguments),
    }
}
