//! `orgtrail lake --config DIR`: imports what trails deliver into event data stores, and looks after their tables.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use orgtrail_lake::{App, Config};
use orgtrail_service::clock;
use orgtrail_service::run::{Exit, Shell, run as shell};
use tokio_util::sync::CancellationToken;

use crate::setup::{Content, load};
use crate::terminal::{count, progress, table};

/// Import what trails deliver into event data stores, and look after their tables, until a signal.
///
/// Exit codes: 0 done, or stopped in good order; 1 failed (the last ERROR line says why); 2 with --once something could not be
/// read (`orgtrail query` on "NAME$objects" names it); 78 the configuration is wrong; 130 ended by a second signal.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder with a lake's configuration file (or the file).
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// Import everything that is there, look after the tables once, and end.
    #[arg(long)]
    once: bool,
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> ExitCode {
    let config = match configuration(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("orgtrail: {error:#}");
            return Exit::Config.into();
        }
    };
    let (log, grace) = (config.log.clone(), config.grace_period);
    let settings = |_: &Config| Shell { process: "orgtrail-lake", version: env!("CARGO_PKG_VERSION"), log, grace };
    shell(Ok(config), settings, |config, cancel| async move {
        let app = App::build(config, clock::system(), cancel.clone()).await?;
        if arguments.once {
            return once(app).await;
        }
        app.run().await?;
        Ok(Exit::Ok)
    })
}

/// The lake's configuration among the files of a folder.
pub fn configuration(config: &Path) -> anyhow::Result<Config> {
    let files = load(config)?;
    let mut lakes = files.into_iter().filter_map(|file| match file.content {
        Content::Lake(config) => Some(*config),
        Content::Agent(_) | Content::Aggregator(_) | Content::Console(_) => None,
    });
    match (lakes.next(), lakes.next()) {
        (Some(lake), None) => Ok(lake),
        (None, _) => bail!("{}: no lake's configuration file, which has [[event_data_stores]]", config.display()),
        (Some(_), Some(_)) => bail!("{}: more than one lake's configuration file; name the one", config.display()),
    }
}

/// Imports everything once, and prints what came in.
pub async fn once(app: App) -> anyhow::Result<Exit> {
    let stores = app.progress();
    let bar = progress("rows imported", 0);
    let show = async {
        loop {
            bar.set_position(stores.iter().map(|store| store.now().rows).sum());
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    // Cancel-safe: `show` only draws.
    let done = tokio::select! {
        done = app.once() => done,
        () = show => Ok(()),
    };
    bar.finish_and_clear();
    let mut problems = false;
    let row = |store: &orgtrail_lake::Progress| {
        let now = store.now();
        problems |= now.unreadable + now.bad > 0;
        let figures = [now.objects, now.rows, now.unreadable, now.bad];
        std::iter::once(store.event_data_store.clone()).chain(figures.map(count)).collect()
    };
    let rows = stores.iter().map(row).collect();
    println!("{}", table(1, &["EVENT DATA STORE", "OBJECTS", "ROWS", "UNREADABLE", "BAD STRETCHES"], rows));
    done?;
    Ok(if problems { Exit::Partial } else { Exit::Ok })
}

/// Import everything that is there, in a verb that goes on.
pub async fn import(config: Config, cancel: CancellationToken) -> anyhow::Result<Exit> {
    let app = App::build(config, clock::system(), cancel).await.context("open the lake")?;
    once(app).await
}
