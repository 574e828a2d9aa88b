//! A bucket's lifecycle rules: one of ours beside those that others made.
//!
//! Owns: reading them, putting one rule among them or taking it away, and telling what that would change. Does not own: what
//! S3 does under them, nor which rule a trail wants.
//!
//! S3 keeps one configuration a bucket and replaces it whole. So the rules that are there are sent back as the SDK read
//! them, with the bucket's own setting for small objects, and nothing is sent where nothing changes. Two things can't be
//! kept: what S3 invents after this SDK was made, and a change that another makes between our reading and our writing,
//! because S3 has no condition for it.

mod rules;
pub use rules::{BucketRules, LifecycleRule};

use crate::error::classify;
use crate::object_store::S3Store;
use crate::{Connection, Error, ErrorKind, Location};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata as _;

/// The verb of an error of reading the rules.
pub const READ: &str = "get the lifecycle rules of";
const WRITE: &str = "put a lifecycle rule on";
const REMOVE: &str = "remove a lifecycle rule from";

/// The rules of the bucket behind a location; none where the bucket has no configuration. `Invalid` for a folder, which
/// has no lifecycle. Needs `s3:GetLifecycleConfiguration`.
pub async fn lifecycle_rules(location: &Location, connection: &Connection) -> Result<BucketRules, Error> {
    let store = store(READ, location, connection)?;
    read(store.client().await?, &store).await
}

/// Puts a rule among the bucket's own, in the place of the one with its id if there is one. Returns what was changed, as
/// `BucketRules::plan` says it; empty where the rule was there already and nothing was written. Needs
/// `s3:GetLifecycleConfiguration` and `s3:PutLifecycleConfiguration`.
pub async fn put_lifecycle_rule(
    location: &Location,
    connection: &Connection,
    rule: &LifecycleRule,
) -> Result<Vec<String>, Error> {
    let store = store(WRITE, location, connection)?;
    if let Some((field, why)) = rule.problems().into_iter().next() {
        let subject = format!("s3://{}", store.bucket());
        return Err(Error::new(ErrorKind::Invalid, WRITE, subject).detail(format!("{field}: {why}")));
    }
    let client = store.client().await?;
    let there = read(client, &store).await?;
    let plan = there.plan(rule);
    if !plan.is_empty() {
        write(WRITE, client, &store, there.with(rule)).await?;
    }
    Ok(plan)
}

/// Takes the rule with this id and prefix away from the bucket's own. Returns what was changed, as
/// `BucketRules::plan_without` says it; empty where it wasn't there and nothing was written. Needs
/// `s3:GetLifecycleConfiguration` and, where it is there, `s3:PutLifecycleConfiguration`.
pub async fn remove_lifecycle_rule(
    location: &Location,
    connection: &Connection,
    id: &str,
    prefix: &str,
) -> Result<Vec<String>, Error> {
    let store = store(REMOVE, location, connection)?;
    let client = store.client().await?;
    let there = read(client, &store).await?;
    let plan = there.plan_without(id, prefix);
    if plan.is_empty() {
        return Ok(plan);
    }
    let left = there.without(id, prefix);
    if left.is_empty() {
        // S3 takes no configuration without a rule.
        let removed = client.delete_bucket_lifecycle().bucket(store.bucket()).send().await;
        removed.map_err(|error| classify::sdk(REMOVE, format!("s3://{}", store.bucket()), error))?;
    } else {
        write(REMOVE, client, &store, left).await?;
    }
    Ok(plan)
}

fn store(verb: &'static str, location: &Location, connection: &Connection) -> Result<S3Store, Error> {
    match location {
        Location::S3 { bucket, prefix } => Ok(S3Store::new(bucket, prefix, connection)),
        Location::File { .. } | Location::EventHistory { .. } => {
            Err(Error::new(ErrorKind::Invalid, verb, location.to_string()).detail(
                "a folder has no lifecycle rules: remove `lifecycle`, or clean old day folders up by other means",
            ))
        }
    }
}

async fn read(client: &Client, store: &S3Store) -> Result<BucketRules, Error> {
    match client.get_bucket_lifecycle_configuration().bucket(store.bucket()).send().await {
        Ok(answer) => Ok(BucketRules::new(answer)),
        Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => Ok(BucketRules::default()),
        Err(error) => Err(classify::sdk(READ, format!("s3://{}", store.bucket()), error)),
    }
}

async fn write(verb: &'static str, client: &Client, store: &S3Store, rules: BucketRules) -> Result<(), Error> {
    let (configuration, smallest) = rules.into_configuration();
    let put = client.put_bucket_lifecycle_configuration().bucket(store.bucket());
    put.lifecycle_configuration(configuration)
        .set_transition_default_minimum_object_size(smallest)
        .send()
        .await
        .map(drop)
        .map_err(|error| classify::sdk(verb, format!("s3://{}", store.bucket()), error))
}
