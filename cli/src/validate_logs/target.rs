//! What is validated, from the command line: the AWS CLI's way by ARN and bucket, an aggregator's trail, or a location.

use anyhow::{Context, bail, ensure};
use orgtrail_aggregator::config::TrailConfig;
use orgtrail_cloud::cloudtrail::describe_trail;
use orgtrail_cloud::{Connection, Location};
use orgtrail_event::identifier::is_account;

use super::Arguments;
use super::find::Wanted;
use super::keys::Keys;
use crate::setup::{Content, load};

/// What is validated and with which keys.
#[derive(Debug)]
pub(super) struct Target {
    /// The trail's ARN; its name or the location where that is all that is known.
    pub(super) what: String,
    pub(super) location: Location,
    pub(super) connection: Connection,
    pub(super) wanted: Wanted,
    pub(super) keys: Keys,
    /// Accept moved copies.
    pub(super) moved: bool,
}

/// An ARN such as `arn:aws:cloudtrail:us-east-1:111122223333:trail/name`, taken apart.
struct TrailArn<'a> {
    region: &'a str,
    account: &'a str,
    name: &'a str,
}

impl<'a> TrailArn<'a> {
    fn parse(arn: &'a str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let (first, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let name = resource.strip_prefix("trail/")?;
        let fits = first == "arn" && service == "cloudtrail" && is_account(account);
        (fits && ![partition, region, name].contains(&"")).then_some(Self { region, account, name })
    }
}

impl Target {
    pub(super) async fn of(arguments: &Arguments) -> anyhow::Result<Self> {
        for account in &arguments.account_id {
            ensure!(is_account(account), "--account-id {account}: not 12 digits");
        }
        match (&arguments.trail_arn, &arguments.config, &arguments.location) {
            (Some(arn), _, _) => Self::of_arn(arguments, arn).await,
            (None, Some(_), _) => Self::of_config(arguments),
            (None, None, Some(location)) => Self::of_location(arguments, location.clone()),
            (None, None, None) => bail!("give --trail-arn, --config or --location"),
        }
    }

    async fn of_arn(arguments: &Arguments, arn: &str) -> anyhow::Result<Self> {
        let parsed = TrailArn::parse(arn).with_context(|| format!("Invalid trail ARN provided: {arn}"))?;
        let connection = Connection::default();
        let location = match &arguments.s3_bucket {
            Some(bucket) => format!("s3://{bucket}/{}", arguments.s3_prefix.as_deref().unwrap_or_default()),
            None => {
                let trail = describe_trail(arn, &connection).await?;
                ensure!(
                    !(trail.is_organization && arguments.account_id.is_empty()),
                    "Missing required parameter for organization trail: '--account-id'"
                );
                format!("s3://{}/{}", trail.bucket, trail.prefix)
            }
        };
        let location: Location = location.parse()?;
        let given = |given: &[String], default: &str| match given {
            [] => vec![default.to_owned()],
            given => given.to_vec(),
        };
        let wanted = Wanted {
            accounts: given(&arguments.account_id, parsed.account),
            regions: given(&arguments.region, parsed.region),
            trail: Some(parsed.name.to_owned()),
            home_region: Some(parsed.region.to_owned()),
            at_root: true,
        };
        let keys = keys(arguments, &connection)?;
        Ok(Self { what: arn.to_owned(), location, connection, wanted, keys, moved: arguments.moved })
    }

    fn of_config(arguments: &Arguments) -> anyhow::Result<Self> {
        let config = arguments.config.as_deref().context("give --config")?;
        let files = load(config)?;
        let aggregators = files.iter().filter_map(|file| match &file.content {
            Content::Aggregator(config) => Some(config),
            _ => None,
        });
        let is_wanted = |trail: &TrailConfig| arguments.trail.as_ref().is_none_or(|name| *name == trail.name);
        let mut found: Vec<_> = aggregators
            .flat_map(|config| config.trails.iter().map(move |trail| (config, trail)))
            .filter(|(_, trail)| is_wanted(trail))
            .collect();
        let names: Vec<_> = found.iter().map(|(_, trail)| trail.name.as_str()).collect();
        ensure!(found.len() < 2, "several trails in {}: give --trail, one of {}", config.display(), names.join(", "));
        let (aggregator, trail) = found.pop().with_context(|| match &arguments.trail {
            Some(name) => format!("no trail {name} in {}", config.display()),
            None => format!("no aggregator's configuration with [[trails]] in {}", config.display()),
        })?;
        let wanted = Wanted {
            accounts: arguments.account_id.clone(),
            regions: arguments.region.clone(),
            trail: Some(trail.name.clone()),
            home_region: None,
            at_root: true,
        };
        let keys = match &arguments.public_keys {
            Some(file) => Keys::from_file(file)?,
            None => Keys::from_file(&aggregator.state_dir.join("public-keys.json")).with_context(|| {
                format!("the keys of trail {}, which the aggregator writes with its first digest", trail.name)
            })?,
        };
        let location = trail.location.clone().context("the trail has no location")?;
        let (what, connection) = (trail.name.clone(), trail.connection.clone());
        Ok(Self { what, location, connection, wanted, keys, moved: arguments.moved })
    }

    fn of_location(arguments: &Arguments, location: Location) -> anyhow::Result<Self> {
        let connection = Connection::default();
        let wanted = Wanted {
            accounts: arguments.account_id.clone(),
            regions: arguments.region.clone(),
            trail: arguments.trail.clone(),
            ..Wanted::default()
        };
        let keys = keys(arguments, &connection)?;
        Ok(Self { what: location.to_string(), location, connection, wanted, keys, moved: true })
    }
}

/// From the file that is given, else from CloudTrail.
fn keys(arguments: &Arguments, connection: &Connection) -> anyhow::Result<Keys> {
    match &arguments.public_keys {
        Some(file) => Keys::from_file(file),
        None => Ok(Keys::cloudtrail(connection.clone())),
    }
}
