//! `orgtrail-agent --config FILE [--once [--timeout DURATION]]`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use orgtrail_agent::{App, Config, Options};
use orgtrail_service::config;
use orgtrail_service::run::{Exit, Shell, arguments, run};

/// Ships what CloudTrail delivers to the aggregator.
///
/// Exit codes: 0 stopped in good order, or with --once everything is delivered; 1 failed (the last ERROR line says why), or
/// --once was not complete; 2 with --once everything is delivered but what is in quarantine; 64 wrong usage;
/// 78 the configuration is wrong; 130 ended by a second signal.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file; see docs/configuration.md.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Take what is there, wait until it is delivered, print the account of it, and end.
    #[arg(long)]
    once: bool,
    /// Give up after this long, such as 30m. Default: never.
    #[arg(long, value_name = "DURATION", requires = "once", value_parser = humantime::parse_duration)]
    timeout: Option<std::time::Duration>,
}

fn main() -> ExitCode {
    let Arguments { config, once, timeout } = match arguments() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let (process, version) = ("orgtrail-agent", env!("CARGO_PKG_VERSION"));
    let shell = |config: &Config| Shell { process, version, log: config.log.clone(), grace: config.grace_period };
    run(config::load(&config), shell, |config, cancel| async move {
        let options = Options { once, timeout, ..Options::default() };
        let outcome = App::build(config, options).await?.run(cancel).await?;
        if once {
            println!("{outcome}");
        }
        Ok(if once { outcome.exit() } else { Exit::Ok })
    })
}
