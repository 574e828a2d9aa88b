//! Opens a location after looking at who asks and where it is.

use std::sync::Arc;

use orgtrail_cloud::object_store::bucket_region;
use orgtrail_cloud::partition::Partition;
use orgtrail_cloud::{Connection, Location, ObjectStore, open_store};

use super::Context;
use super::advice::{self, Scene};
use super::check::{Advice, Chain};
use super::credentials;
use super::statement::Wanted;

const BUCKET: &str = "bucket";
const FOLDER: &str = "folder";

/// A location that can be reached.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) scene: Scene,
    /// The bucket and the prefix in it; none for a folder.
    pub(super) bucket: Option<(String, String)>,
}

impl Place {
    pub(super) fn partition(&self) -> Partition {
        let of_who = self.scene.who.as_deref().and_then(Partition::of_arn);
        of_who.or_else(|| self.scene.region.as_deref().map(Partition::of_region)).unwrap_or(Partition::Aws)
    }

    /// What a call needs, where it needs anything of AWS.
    pub(super) fn wanted(&self, make: fn(Partition, &str, &str) -> Wanted) -> Option<Wanted> {
        self.bucket.as_ref().map(|(bucket, prefix)| make(self.partition(), bucket, prefix))
    }

    /// What to do about a failed call.
    pub(super) fn advice(
        &self,
        error: &orgtrail_cloud::Error,
        make: fn(Partition, &str, &str) -> Wanted,
    ) -> Vec<Advice> {
        match self.wanted(make) {
            Some(wanted) => advice::of(error, &wanted, &self.scene),
            None => {
                vec![Advice::text("look at the folder's owner and mode: the process's user must be able to use it")]
            }
        }
    }
}

/// Walks credentials and bucket; none where one failed, which the chain tells.
pub(super) async fn reach(
    location: &Location,
    connection: &Connection,
    chain: &mut Chain,
    context: &Context,
) -> Option<Place> {
    let mut scene = Scene { who: None, region: connection.region.clone() };
    let bucket = match location {
        Location::S3 { bucket, prefix } => {
            let Some(who) = credentials::walk(connection, chain, context).await else {
                chain.skip_all(&[BUCKET]);
                return None;
            };
            scene.who = Some(who);
            if !region(location, connection, &mut scene, chain, context).await {
                return None;
            }
            Some((bucket.clone(), prefix.clone()))
        }
        Location::File { root } => {
            if let Err(error) = std::fs::read_dir(root) {
                let text = "make the folder, mount it, or let the process's user read it";
                chain.fail(FOLDER, format!("read {}: {error}", root.display()), vec![Advice::text(text)]);
                return None;
            }
            chain.ok(FOLDER, root.display().to_string());
            None
        }
        Location::EventHistory { .. } => None,
    };
    match open_store(location, connection).await {
        Ok(store) => Some(Place { store, scene, bucket }),
        Err(error) => {
            chain.fail(BUCKET, error.to_string(), Vec::new());
            None
        }
    }
}

/// Where the bucket is, against where it was said to be; false where it can't be had.
async fn region(
    location: &Location,
    connection: &Connection,
    scene: &mut Scene,
    chain: &mut Chain,
    context: &Context,
) -> bool {
    let found = context.call("find the region of", &location.to_string(), bucket_region(location, connection)).await;
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let wanted = Wanted::list(Partition::Aws, "BUCKET", "");
            chain.fail(BUCKET, error.to_string(), advice::of(&error, &wanted, scene));
            return false;
        }
    };
    let whose = [
        ("the caller", scene.who.as_deref().and_then(Partition::of_arn)),
        ("the bucket", found.as_deref().map(Partition::of_region)),
    ];
    if !credentials::one_partition(&whose, chain) {
        return false;
    }
    match (&connection.region, &found) {
        (Some(configured), Some(found)) if configured != found => {
            let detail = format!("{location} is in {found}, configured is {configured}");
            let text = format!(
                "write region = \"{found}\": objects are found there all the same, but keys, and STS for roles, are asked in {configured}"
            );
            chain.fail(BUCKET, detail, vec![Advice::text(text)]);
        }
        (_, Some(found)) => chain.ok(BUCKET, format!("{location} in {found}")),
        (_, None) => chain.ok(BUCKET, location.to_string()),
    }
    scene.region = found.or(scene.region.take());
    true
}
