//! One account and region of a source: its newest object, whether it can be read, and whether a digest's signature holds.

use jiff::{SignedDuration, Timestamp};
use orgtrail_cloud::Connection;
use orgtrail_cloud::object_store::ObjectMeta;
use orgtrail_cloud::public_keys::{CloudTrailKeys, PublicKeySource as _};
use orgtrail_event::digest::{Content, Digest, DigestRead, ListedKey, PublicKeys, verify_digest};
use orgtrail_event::gzip::Inflater;
use orgtrail_event::key::{Folder, Kind};

use super::check::{Advice, Chain, Check};
use super::source::LOGS;
use super::statement::{Holder, Wanted};
use super::store::Place;
use super::{Context, advice, folders};
use crate::terminal::age;

const NEWEST: &str = "newest";
const GET: &str = "get";
const GZIP: &str = "gzip";
const DIGEST: &str = "digest";

/// Largest object that is read, and its content; a log file has at most 50 MB by CloudTrail's user guide.
const OBJECT_BYTES_MAX: u64 = 64 << 20;
const CONTENT_BYTES_MAX: usize = 512 << 20;
/// How far ahead of our clock an object may be written: what NTP leaves, and more.
const AHEAD_MAX: SignedDuration = SignedDuration::from_secs(30);
/// Around a digest's end, its key is looked for; as the agent does.
const AROUND: SignedDuration = SignedDuration::from_hours(2);

/// An account and region, and its folders, one a kind.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) subject: String,
    pub(super) account: String,
    pub(super) region: String,
    pub(super) folders: Vec<Folder>,
}

/// How digests are verified.
#[derive(Debug)]
pub(super) enum Digests {
    /// Not at all.
    Unverified,
    /// The keys' file can't be read, which was told.
    Unreadable,
    Keys(PublicKeys),
    Api,
}

/// Walks one account and region.
pub(super) async fn region(
    one: &Region,
    place: &Place,
    digests: &Digests,
    connection: &Connection,
    context: &Context,
) -> Vec<Check> {
    let mut chain = Chain::new(one.subject.clone());
    match newest(one, place, context).await {
        Ok(Some(meta)) => {
            tell_age(&meta, &mut chain, context);
            get(&meta, place, &mut chain, context).await;
        }
        Ok(None) => {
            let text = format!(
                "a trail of {} delivers here only when something happened in {}; if it should have, look at the trail's \
                 LatestDeliveryError: aws cloudtrail get-trail-status --name TRAIL",
                one.account, one.region
            );
            chain.warn(NEWEST, "delivers nothing", vec![Advice::text(text)]);
        }
        Err(error) => {
            chain.fail(NEWEST, error.to_string(), place.advice(&error, Wanted::list));
            chain.skip_all(&[GET, GZIP]);
        }
    }
    digest(one, place, digests, connection, &mut chain, context).await;
    chain.end()
}

/// The newest log file, of whichever kind there is.
async fn newest(one: &Region, place: &Place, context: &Context) -> Result<Option<ObjectMeta>, orgtrail_cloud::Error> {
    for kind in LOGS {
        let Some(folder) = one.folders.iter().find(|folder| folder.kind == kind) else { continue };
        if let Some(meta) = folders::newest(place.store.as_ref(), folder, context).await? {
            return Ok(Some(meta));
        }
    }
    Ok(None)
}

fn tell_age(meta: &ObjectMeta, chain: &mut Chain, context: &Context) {
    let ahead = meta.last_modified.duration_since(context.clock.now());
    if ahead > AHEAD_MAX {
        let detail = format!("{} was written {} ahead of this machine's clock", meta.key, age(ahead.as_secs()));
        return chain.warn(NEWEST, detail, vec![Advice::text(super::clock::WRONG)]);
    }
    chain.ok(NEWEST, format!("{} ago, {}", age(-ahead.as_secs()), meta.key));
}

async fn get(meta: &ObjectMeta, place: &Place, chain: &mut Chain, context: &Context) {
    let name = place.store.location().object(&meta.key);
    let object = match context.call("get", &name, place.store.get(&meta.key, OBJECT_BYTES_MAX)).await {
        Ok(object) => object,
        Err(error) => {
            chain.fail(GET, error.to_string(), place.advice(&error, Wanted::read));
            return chain.skip_all(&[GZIP]);
        }
    };
    chain.ok(GET, format!("{} bytes", object.bytes.len()));
    let mut content = Vec::new();
    match Inflater::new().inflate(&object.bytes, CONTENT_BYTES_MAX, &mut content) {
        Ok(_) => chain.ok(GZIP, format!("{} bytes of JSON", content.len())),
        Err(error) => {
            let text = "the agent will put it into its quarantine: orgtrail quarantine list. Whoever writes to the bucket beside \
                        CloudTrail, or copied it, damaged it";
            chain.fail(GZIP, format!("{name}: {error}"), vec![Advice::text(text)]);
        }
    }
}

async fn digest(
    one: &Region,
    place: &Place,
    digests: &Digests,
    connection: &Connection,
    chain: &mut Chain,
    context: &Context,
) {
    let Some(folder) = one.folders.iter().find(|folder| folder.kind == Kind::Digest) else { return };
    match digests {
        Digests::Unverified => {
            return chain.skip(DIGEST, "there are digests; without `digest_keys` they are not verified");
        }
        Digests::Unreadable => return chain.skip(DIGEST, "needs `digest keys`, which failed"),
        Digests::Keys(_) | Digests::Api => {}
    }
    let object = async {
        let Some(meta) = folders::newest(place.store.as_ref(), folder, context).await? else { return Ok(None) };
        context.call("get", &meta.key, place.store.get(&meta.key, OBJECT_BYTES_MAX)).await.map(Some)
    };
    let object = match object.await {
        Ok(Some(object)) => object,
        Ok(None) => return chain.skip(DIGEST, "none was delivered yet"),
        Err(error) => return chain.fail(DIGEST, error.to_string(), place.advice(&error, Wanted::read)),
    };
    let of_api;
    let keys = match digests {
        Digests::Keys(keys) => keys,
        _ => match listed(&object.bytes, &one.region, connection, context).await {
            Ok(keys) => {
                of_api = keys;
                &of_api
            }
            Err(error) => {
                let wanted =
                    Wanted::new("OrgtrailKeys", &["cloudtrail:ListPublicKeys"], "*".to_owned(), Holder::Account);
                return chain.fail(DIGEST, error.to_string(), advice::of(&error, &wanted, &place.scene));
            }
        },
    };
    // As the agent: a source may be a copy, so the key has to agree from `AWSLogs` on.
    let read = DigestRead {
        bucket: "",
        key: &object.meta.key,
        gz: &object.bytes,
        signature: None,
        signature_algorithm: None,
        backfill_timestamp: None,
        home_region: &one.region,
        moved: true,
    };
    let read = read.with_metadata(|name| object.metadata.get(name).map(String::as_str));
    match verify_digest(&read, keys, &mut Content::new()) {
        Ok((digest, _)) => {
            chain.ok(DIGEST, format!("the signature holds, key {}", digest.digest_public_key_fingerprint))
        }
        Err(fault) => {
            let text = "`public key not found`: the list is too old, or of another region; anything else: the digest was changed \
                        after CloudTrail signed it, or copied without its metadata";
            chain.fail(DIGEST, format!("{}: {fault}", object.meta.key), vec![Advice::text(text)]);
        }
    }
}

/// The keys that CloudTrail lists for the time of a digest.
async fn listed(
    gz: &[u8],
    region: &str,
    connection: &Connection,
    context: &Context,
) -> Result<PublicKeys, orgtrail_cloud::Error> {
    let mut content = Content::new();
    let digest = content.digest(gz).and_then(|json| Digest::from_json(json).ok());
    let end = digest.and_then(|digest| digest.digest_end_time.parse::<Timestamp>().ok());
    let at = end.unwrap_or_else(|| context.clock.now());
    let from = at.checked_sub(AROUND).unwrap_or(Timestamp::MIN);
    let to = at.checked_add(AROUND).unwrap_or(Timestamp::MAX);
    let listed = async {
        let source = CloudTrailKeys::open(region, connection).await?;
        source.list(from, to).await
    };
    let listed = context.call("list", "public keys", listed).await?;
    let mut keys = PublicKeys::new();
    for key in listed {
        keys.add(ListedKey::served(key.fingerprint, key.der, key.valid_from, key.valid_until));
    }
    Ok(keys)
}
