//! The end of the demo: what was delivered becomes an event data store, and three questions are asked of it.

use std::path::Path;

use anyhow::{Context as _, ensure};
use orgtrail_lake::Lake;
use orgtrail_lake::output::{Format, Output, Surroundings};
use orgtrail_service::clock::system;
use orgtrail_service::run::Exit;
use tokio_util::sync::CancellationToken;

use crate::lake::{configuration, import};

/// The questions, of different kinds: a count, a needle's haystack, and JSON inside of columns.
const QUESTIONS: [(&str, &str); 3] = [
    (
        "What is called most?",
        "SELECT eventSource, eventName, count(*) AS calls FROM events GROUP BY eventSource, eventName ORDER BY calls DESC LIMIT 5",
    ),
    (
        "Who is refused, and what for?",
        "SELECT userIdentity.arn AS principal, errorCode, count(*) AS calls FROM events \
         WHERE errorCode IS NOT NULL GROUP BY userIdentity.arn, errorCode ORDER BY calls DESC LIMIT 5",
    ),
    (
        "Which sign-ins to the console failed?",
        "SELECT date_trunc('hour', eventTime) AS hour, sourceIPAddress, element_at(additionalEventData, 'MFAUsed') AS mfa, \
         count(*) AS failures FROM events WHERE eventName = 'ConsoleLogin' \
         AND element_at(responseElements, 'ConsoleLogin') = 'Failure' \
         GROUP BY date_trunc('hour', eventTime), sourceIPAddress, element_at(additionalEventData, 'MFAUsed') \
         ORDER BY failures DESC, hour LIMIT 5",
    ),
];

/// Imports the trail, and asks.
pub(super) async fn import_and_ask(dir: &Path, cancel: CancellationToken) -> anyhow::Result<()> {
    let config = configuration(&dir.join("lake.toml"))?;
    let done = import(config.clone(), cancel).await.context("import the trail into the lake")?;
    ensure!(done == Exit::Ok, "something of the trail could not be read");
    let lake = Lake::open(&config, system()).await?;
    for (question, statement) in QUESTIONS {
        println!("\n{question}\n  {statement}");
        let run = lake.engine().query(statement).await.context("ask the lake")?;
        Output::stdout(Format::Table).write(run.batches, &Surroundings::default()).await.context("ask the lake")?;
    }
    println!();
    Ok(())
}
