//! A trail of an aggregator: put, read and delete an object in its place, sign, and send to its log group; and the seal.
//!
//! What is written: one object of some bytes below `orgtrail-doctor/` of the trail's location, encrypted as the trail's own
//! and deleted at the end; and in CloudWatch Logs the stream that the trail itself would make, with an event that is too old
//! to be kept. With `--read-only` none of it.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use jiff::SignedDuration;
use orgtrail_aggregator::cloudwatch::probe;
use orgtrail_aggregator::config::{Config, SealConfig, TrailConfig};
use orgtrail_cloud::object_store::{KmsEncryption, PutOptions};
use orgtrail_cloud::partition::Partition;
use orgtrail_cloud::{ErrorKind, Location, open_key_service, open_signer};
use orgtrail_event::digest::PublicKey;

use super::advice::{self, Scene};
use super::check::{Advice, Chain, Check};
use super::statement::{Holder, Wanted};
use super::store::{Place, reach};
use super::{Context, credentials, machine};
use crate::terminal::age;

const PUT: &str = "put";
const READ_BACK: &str = "get";
const CLOCK: &str = "clock";
const DELETE: &str = "delete";
const SIGN: &str = "signing key";
const LOG_GROUP: &str = "log group";
const TOPIC: &str = "topic";
const SEAL: &str = "seal key";

/// How far the store's clock and ours may be apart.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(60);
/// What is put.
const PROBE: &[u8] = b"orgtrail doctor puts this object, reads it and deletes it.\n";

/// Walks one `[[trails]]` table.
pub(super) async fn trail(config: &TrailConfig, context: &Context) -> Vec<Check> {
    let mut chain = Chain::new(format!("trail {}", config.name));
    if let Some(location) = &config.location {
        destination(config, location, &mut chain, context).await;
    }
    if let Some(key) = &config.signing_key_id {
        sign(key, config, &mut chain, context).await;
    }
    log_group(config, &mut chain, context).await;
    if let Some(topic) = &config.sns_topic {
        announce(topic, config, &mut chain, context).await;
    }
    chain.end()
}

async fn destination(config: &TrailConfig, location: &Location, chain: &mut Chain, context: &Context) {
    let connection = &config.connection;
    let key = config.kms_key_id.as_deref().and_then(Partition::of_arn);
    let mut named = vec![("region", connection.region.as_deref().map(Partition::of_region)), ("kms_key_id", key)];
    let roles = connection.roles();
    named.extend(roles.iter().map(|role| (role.role_arn.as_str(), Partition::of_arn(&role.role_arn))));
    if !credentials::one_partition(&named, chain) {
        return chain.skip_all(&[PUT, READ_BACK, DELETE]);
    }
    // The first delivery makes a folder that is not there.
    if let Location::File { root } = location
        && !root.exists()
    {
        return absent(root, chain, context);
    }
    let Some(place) = reach(location, connection, chain, context).await else {
        return chain.skip_all(&[PUT, READ_BACK, DELETE]);
    };
    if context.read_only {
        return [PUT, READ_BACK, DELETE].into_iter().for_each(|hop| chain.skip(hop, "--read-only"));
    }
    put_and_get(config, &place, chain, context).await;
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
    let key = format!("orgtrail-doctor/{}-{}", now.as_millisecond(), std::process::id());
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
        let mut advice = place.advice(&error, Wanted::deliver);
        if place.bucket.is_some() && *error.kind() == ErrorKind::Denied {
            advice.push(Advice::text(format!(
                "the doctor puts below orgtrail-doctor/; where only AWSLogs/* is to be allowed, allow {} for the test, or run with \
                 --read-only",
                place.partition().s3_arn(place.bucket.as_ref().map_or("", |(bucket, _)| bucket), "…/orgtrail-doctor/*")
            )));
        }
        chain.fail(PUT, error.to_string(), advice);
        return chain.skip_all(&[READ_BACK, CLOCK, DELETE]);
    }
    chain.ok(PUT, name.clone());
    match context.call("get", &name, place.store.get(&key, 1 << 20)).await {
        Ok(object) if object.bytes == PROBE => {
            chain.ok(READ_BACK, "the bytes are the same");
            let apart = object.meta.last_modified.duration_since(now);
            if apart.abs() > SKEW_MAX {
                let detail = format!("this machine's clock is {} off that of the store", age(apart.abs().as_secs()));
                chain.warn(CLOCK, detail, vec![Advice::text("correct it, with NTP or chrony")]);
            } else {
                chain.ok(CLOCK, "agrees with the store's");
            }
        }
        Ok(_) => chain.fail(READ_BACK, format!("{name}: other bytes came back than were put"), Vec::new()),
        Err(error) => chain.fail(READ_BACK, error.to_string(), place.advice(&error, Wanted::deliver)),
    }
    // A trail never deletes: that the doctor may not is as it should be.
    match context.call("delete", &name, place.store.delete(&key)).await {
        Ok(()) => chain.ok(DELETE, ""),
        Err(error) => {
            let text = "a trail never deletes, so s3:DeleteObject may stay refused; remove the object yourself, it is a few bytes";
            chain.warn(DELETE, error.to_string(), vec![Advice::text(text)]);
        }
    }
}

async fn sign(key: &str, config: &TrailConfig, chain: &mut Chain, context: &Context) {
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
            let mut advice = advice::of(&error, &wanted, &Scene::default());
            if *error.kind() == ErrorKind::Invalid {
                advice.push(Advice::text("it must be an RSA_2048 key with KeyUsage SIGN_VERIFY"));
            }
            if key.starts_with("file://") {
                advice =
                    vec![Advice::text("make one: orgtrail keys create, and let the aggregator's user alone read it")];
            }
            chain.fail(SIGN, error.to_string(), advice);
        }
    }
}

async fn log_group(config: &TrailConfig, chain: &mut Chain, context: &Context) {
    let Some(logs) = &config.cloudwatch_logs else { return };
    if context.read_only {
        return chain.skip(LOG_GROUP, "--read-only");
    }
    match context.call("send to", "the log group", probe::probe(logs, config, context.clock.now())).await {
        Ok(detail) => chain.ok(LOG_GROUP, detail),
        Err(error) => {
            let arn = probe::arn(logs, config).await.unwrap_or_else(|| "*".to_owned());
            let actions = ["logs:CreateLogStream", "logs:PutLogEvents"];
            let wanted = Wanted::new("OrgtrailSendsLogs", &actions, format!("{arn}:*"), Holder::Account);
            chain.fail(LOG_GROUP, error.to_string(), advice::of(&error, &wanted, &Scene::default()));
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
        chain.skip(
            TOPIC,
            "nothing is published to try it: the role needs sns:Publish on the topic, and its key's if it has one",
        );
    }
}

/// Draws a data key and decrypts it, bound to what the aggregator's own are bound to.
pub(super) async fn seal(seal: &SealConfig, config: &Config, context: &Context) -> Vec<Check> {
    let mut chain = Chain::new("seal");
    let trails: Vec<&str> = config.trails.iter().map(|trail| trail.name.as_str()).collect();
    let bound = BTreeMap::from([
        ("orgtrail:state-dir".to_owned(), config.state_dir.to_string_lossy().into_owned()),
        ("orgtrail:trails".to_owned(), trails.join(",").chars().take(1024).collect()),
    ]);
    let drawn = async {
        let service = open_key_service(&seal.key_id, &seal.connection).await?;
        let drawn = service.generate_data_key(&seal.key_id, &bound).await?;
        let again = service.decrypt(&drawn.ciphertext, &bound).await?;
        Ok(again.bytes() == drawn.plaintext.bytes())
    };
    match context.call("draw a data key from", &seal.key_id, drawn).await {
        Ok(true) => chain.ok(SEAL, format!("{}: a data key was drawn and decrypted", seal.key_id)),
        Ok(false) => chain.fail(SEAL, format!("{}: decrypts to another key than it drew", seal.key_id), Vec::new()),
        Err(error) => {
            let actions = ["kms:GenerateDataKey", "kms:Decrypt"];
            let wanted = Wanted::new("OrgtrailSeals", &actions, seal.key_id.clone(), Holder::Key);
            let condition = serde_json::json!({"Null": {"kms:EncryptionContext:orgtrail:state-dir": "false"}});
            let wanted = Wanted { condition: Some(condition), ..wanted };
            chain.fail(SEAL, error.to_string(), advice::of(&error, &wanted, &Scene::default()));
        }
    }
    chain.end()
}
