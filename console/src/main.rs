//! `orgtrail-console --config FILE`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use orgtrail_console::{App, Config};
use orgtrail_service::run::{Exit, Shell, arguments, run};
use orgtrail_service::{clock, config};

/// Answers what CloudTrail's clients ask about orgtrail's trails, such as `aws cloudtrail validate-logs`.
///
/// Exit codes: 0 stopped in good order, 1 failed (the last ERROR line says why), 64 wrong usage,
/// 78 the configuration is wrong, 130 ended by a second signal.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file; see docs/console.md.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let shell = |config: &Config| Shell {
        process: "orgtrail-console",
        version: env!("CARGO_PKG_VERSION"),
        log: config.log.clone(),
        grace: config.grace_period,
    };
    run(config::load(&arguments.config), shell, |config, cancel| async move {
        App::build(config, clock::system(), cancel).await?.run().await?;
        Ok(Exit::Ok)
    })
}
