//! A trail of an aggregator: put, read and delete an object in its place, and sign.
//!
//! What is written: one object of some bytes below `AWSLogs/[o-…/]orgtrail-doctor/` of the trail's location, where the policies
//! of a trail allow it and nothing looks for logs, encrypted as the trail's own and deleted at the end. With `--read-only`
//! none of it.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use orgtrail_aggregator::config::TrailConfig;
use orgtrail_cloud::object_store::{KmsEncryption, PutOptions};
use orgtrail_cloud::partition::Partition;
use orgtrail_cloud::server_clock::Reading;
use orgtrail_cloud::{ErrorKind, Location, open_signer};
use orgtrail_event::digest::PublicKey;

use super::advice::{self, Scene};
use super::check::{Advice, Chain, Check};
use super::statement::{Holder, Service, Wanted};
use super::store::{Place, reach};
use super::{Context, clock, credentials, machine};

const PUT: &str = "put";
const READ_BACK: &str = "get";
const CLOCK: &str = "clock";
const DELETE: &str = "delete";
const SIGN: &str = "signing key";
const TOPIC: &str = "topic";

/// What is put.
const PROBE: &[u8] = b"orgtrail doctor puts this object, reads it and deletes it.\n";

/// Walks one `[[trails]]` table.
pub(super) async fn trail(config: &TrailConfig, context: &Context) -> Vec<Check> {
    let mut chain = Chain::new(format!("trail {}", config.name));
    let mut scene = Scene { who: None, region: config.connection.region.clone() };
    if let Some(location) = &config.location {
        scene.who = destination(config, location, &mut chain, context).await;
    }
    if let Some(key) = &config.signing_key_id {
        sign(key, config, scene, &mut chain, context).await;
    }
    if let Some(topic) = &config.sns_topic {
        announce(topic, config, &mut chain, context).await;
    }
    chain.end()
}

/// Who delivers, where that was found out.
async fn destination(
    config: &TrailConfig,
    location: &Location,
    chain: &mut Chain,
    context: &Context,
) -> Option<String> {
    let connection = &config.connection;
    let key = config.kms_key_id.as_deref().and_then(Partition::of_arn);
    let mut named = vec![("region", connection.region.as_deref().map(Partition::of_region)), ("kms_key_id", key)];
    let roles = connection.roles();
    named.extend(roles.iter().map(|role| (role.role_arn.as_str(), Partition::of_arn(&role.role_arn))));
    if !credentials::one_partition(&named, chain) {
        chain.skip_all(&[PUT, READ_BACK, DELETE]);
        return None;
    }
    // The first delivery makes a folder that is not there.
    if let Location::File { root } = location
        && !root.exists()
    {
        absent(root, chain, context);
        return None;
    }
    let Some(place) = reach(location, connection, chain, context).await else {
        chain.skip_all(&[PUT, READ_BACK, DELETE]);
        return None;
    };
    if context.read_only {
        [PUT, READ_BACK, DELETE].into_iter().for_each(|hop| chain.skip(hop, "--read-only"));
    } else {
        put_and_get(config, &place, chain, context).await;
    }
    place.scene.who
}

fn absent(root: &Path, chain: &mut Chain, context: &Context) {
    let above = root.ancestors().find(|folder| folder.exists()).unwrap_or(root);
    match machine::writable(above, context.read_only) {
        Ok(()) => chain.ok(PUT, format!("{} will be made by the first delivery", root.display())),
        Err(error) => {
            let text = format!("make {}, and let the aggregator's user write there", root.display());
            chain.fail(PUT, format!("write to {}: {error}", above.display()), vec![Advice::text(text)]);
        }
    }
}

async fn put_and_get(config: &TrailConfig, place: &Place, chain: &mut Chain, context: &Context) {
    let now = context.clock.now();
    let organization = config.organization_id.as_ref().map_or_else(String::new, |id| format!("{id}/"));
    let key = format!("AWSLogs/{organization}orgtrail-doctor/{}-{}", now.as_millisecond(), std::process::id());
    let name = place.store.location().object(&key);
    let options = PutOptions {
        content_type: Some("text/plain"),
        encryption: config.kms_key_id.as_ref().map(|key_id| KmsEncryption {
            key_id: key_id.clone(),
            context: BTreeMap::from([("aws:cloudtrail:arn".to_owned(), config.arn())]),
            bucket_key: config.bucket_key,
        }),
        bucket_owner_full_control: true,
        if_absent: true,
        ..PutOptions::default()
    };
    if let Err(error) = context.call("put", &name, place.store.put(&key, Bytes::from_static(PROBE), &options)).await {
        let advice = place.advice(&error, Wanted::deliver);
        chain.fail(PUT, error.to_string(), advice);
        return chain.skip_all(&[READ_BACK, CLOCK, DELETE]);
    }
    let put_at = context.clock.now();
    chain.ok(PUT, name.clone());
    match context.call("get", &name, place.store.get(&key, 1 << 20)).await {
        Ok(object) if object.bytes == PROBE => {
            chain.ok(READ_BACK, "the bytes are the same");
            let written = object.meta.last_modified.into();
            clock::tell(Reading::new(written, now.into(), put_at.into()), "the store's", chain);
        }
        Ok(_) => chain.fail(READ_BACK, format!("{name}: other bytes came back than were put"), Vec::new()),
        Err(error) => chain.fail(READ_BACK, error.to_string(), place.advice(&error, Wanted::deliver)),
    }
    match context.call("delete", &name, place.store.delete(&key)).await {
        Ok(()) => chain.ok(DELETE, ""),
        // A trail never deletes.
        Err(error) if *error.kind() == ErrorKind::Denied && place.bucket.is_some() => {
            chain.ok(DELETE, format!("refused, as it should be; {} bytes stay at {name}", PROBE.len()));
        }
        Err(error) => {
            let text = format!("remove {name} yourself, it is {} bytes", PROBE.len());
            chain.warn(DELETE, error.to_string(), vec![Advice::text(text)]);
        }
    }
}

async fn sign(key: &str, config: &TrailConfig, mut scene: Scene, chain: &mut Chain, context: &Context) {
    let is_file = key.starts_with("file://");
    if !is_file && scene.who.is_none() {
        // Whoever delivers signs: what failed there fails here.
        if !matches!(config.location, Some(Location::S3 { .. })) {
            scene.who = credentials::walk(&config.connection, chain, context).await;
        }
        if credentials::failed(chain) {
            return chain.skip_all(&[SIGN]);
        }
    }
    let signed = async {
        let signer = open_signer(key, &config.connection).await?;
        let der = signer.public_key().await?;
        let signature = signer.sign(PROBE).await?;
        Ok((der, signature))
    };
    match context.call("sign with", key, signed).await {
        Ok((der, signature)) => match PublicKey::from_der(&der) {
            Ok(public) if public.verify(PROBE, &signature) => {
                chain.ok(SIGN, format!("signs, fingerprint {}", public.fingerprint()))
            }
            _ => chain.fail(SIGN, format!("{key}: its signature does not verify with its public key"), Vec::new()),
        },
        Err(error) => {
            let wanted = Wanted::new("OrgtrailSigns", &["kms:Sign", "kms:GetPublicKey"], key.to_owned(), Holder::Key);
            let mut advice = advice::of(&error, &wanted, &scene);
            if *error.kind() == ErrorKind::Invalid && advice.is_empty() {
                advice.push(Advice::text("it must be an RSA_2048 key with KeyUsage SIGN_VERIFY"));
            }
            if is_file {
                advice =
                    vec![Advice::text("make one: orgtrail keys create, and let the aggregator's user alone read it")];
            }
            chain.fail(SIGN, error.to_string(), advice);
        }
    }
}

async fn announce(topic: &str, config: &TrailConfig, chain: &mut Chain, context: &Context) {
    if let Some(path) = topic.strip_prefix("file://") {
        let folder = Path::new(path).parent().unwrap_or(Path::new("/"));
        return match machine::writable(folder, context.read_only) {
            Ok(()) => chain.ok(TOPIC, topic.to_owned()),
            Err(error) => {
                let text = "make the folder, and let the aggregator's user write there";
                chain.fail(TOPIC, format!("write to {}: {error}", folder.display()), vec![Advice::text(text)]);
            }
        };
    }
    // Whatever is published reaches subscribers: there is no way to try it in silence.
    let its = Partition::of_arn(topic);
    let here = config.connection.region.as_deref().map(Partition::of_region);
    if credentials::one_partition(&[("region", here), (topic, its)], chain) {
        let region = topic.split(':').nth(3).unwrap_or("REGION");
        let key = its.unwrap_or(Partition::Aws).arn("kms", region, "ACCOUNT", "key/KEY-ID");
        let through = Wanted::key_through(Service::Sns, &["kms:GenerateDataKey", "kms:Decrypt"], &key, region);
        let advice = vec![
            Advice::statement("the trail's role needs", Wanted::publish(topic).identity()),
            Advice::statement("and, for the key of a topic that is encrypted with one", through.identity()),
        ];
        chain.skip_advised(TOPIC, "nothing is published to try it", advice);
    }
}
