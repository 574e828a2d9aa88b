//! `orgtrail verify-query-results`: what `aws cloudtrail verify-query-results` does, for results that orgtrail delivered and
//! for those that CloudTrail Lake did.
//!
//! Owns the command line and where public keys come from. Does not own what is verified, which is the lake's. Only reads.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use jiff::Timestamp;
use orgtrail_cloud::{Connection, Location, open_store};
use orgtrail_event::digest::PublicKeys;
use orgtrail_lake::results::{self, VerifyError};
use orgtrail_service::run::Exit;

use crate::keys::configured;
use crate::runtime::block_on;
use crate::terminal::end;
use crate::validate_logs::keys::Keys;

/// Verify delivered query results: that each file has the hash in result_sign.json, and that this is signed.
///
/// Prints `Successfully validated sign and query result files`, as the AWS CLI does.
///
/// Exit codes: 0 all is as it was delivered, 1 it isn't, or could not be verified.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["location", "local_export_path", "s3_bucket"]))]
pub struct Arguments {
    /// The folder of result_sign.json, s3://bucket/prefix or file:///folder.
    #[arg(long, value_name = "URL")]
    location: Option<Location>,
    /// The local folder of result_sign.json, as the AWS CLI takes it.
    #[arg(long, value_name = "FOLDER")]
    local_export_path: Option<PathBuf>,
    /// The bucket, as the AWS CLI takes it.
    #[arg(long, value_name = "BUCKET")]
    s3_bucket: Option<String>,
    /// The prefix of result_sign.json in the bucket.
    #[arg(long, value_name = "PREFIX", requires = "s3_bucket")]
    s3_prefix: Option<String>,
    /// What `aws cloudtrail list-public-keys` or `orgtrail keys list --json` printed. Default: CloudTrail is asked, in the
    /// region that the results name.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    public_keys: Option<PathBuf>,
    /// Configuration file or folder with an aggregator, whose trails' signing keys are known.
    #[arg(long, value_name = "DIR|FILE")]
    config: Option<PathBuf>,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> ExitCode {
    end(block_on(verify(arguments)).map(|()| {
        println!("Successfully validated sign and query result files");
        Exit::Ok
    }))
}

async fn verify(arguments: &Arguments) -> anyhow::Result<()> {
    let location = location(arguments)?;
    let keys = Known(match (&arguments.public_keys, &arguments.config) {
        (Some(file), _) => Keys::from_file(file)?,
        (None, Some(config)) => Keys::File(config.clone(), configured(config)?.0.into()),
        (None, None) => Keys::cloudtrail(Connection::default()),
    });
    let store = open_store(&location, &Connection::default()).await?;
    results::verify(store.as_ref(), "", &keys).await?;
    Ok(())
}

fn location(arguments: &Arguments) -> anyhow::Result<Location> {
    if let Some(location) = &arguments.location {
        return Ok(location.clone());
    }
    if let Some(folder) = &arguments.local_export_path {
        let folder = std::fs::canonicalize(folder).with_context(|| format!("open {}", folder.display()))?;
        return Ok(Location::try_from(folder.as_path())?);
    }
    let bucket = arguments.s3_bucket.as_deref().unwrap_or_default();
    Ok(format!("s3://{bucket}/{}", arguments.s3_prefix.as_deref().unwrap_or_default()).parse()?)
}

struct Known(Keys);

impl results::Keys for Known {
    async fn of(&self, region: &str, start: Timestamp, end: Timestamp) -> Result<PublicKeys, VerifyError> {
        let keys = self.0.of(region, start, end).await.map_err(|error| VerifyError::Keys(format!("{error:#}")))?;
        Ok((*keys).clone())
    }
}
