//! The signed digests of a generated organization: for each account and region, one for every hour from the first delivery
//! to the last, chained, listing what was delivered in it.
//!
//! The key is a test key that everybody has; its public part stands in [`PUBLIC_KEYS`], as ListPublicKeys prints it. Files of
//! both trails stand in one chain, where CloudTrail would write one for each. Damaged copies are listed nowhere. Owns the
//! digests' contents and signatures; does not own putting them in place, nor what an hour's files are (`run`).

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use orgtrail_event::digest::{
    Digest, HASH_ALGORITHM, ListedKey, LogFile, PublicKey, PublicKeys, SIGNATURE_ALGORITHM,
    SIGNATURE_ALGORITHM_METADATA, SIGNATURE_METADATA, sha256_hex, to_hex,
};
use orgtrail_event::log_file::{self, Item, Limits};
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};

use super::organization::Organization;
use super::{Plan, time};

/// Where the public key stands in the output folder.
pub const PUBLIC_KEYS: &str = "public-keys.json";

/// PKCS #8. It protects nothing: whoever has this source has the key.
const KEY: &[u8] = include_bytes!("digest-key.der");

const HOUR: i64 = 3600;

/// What is delivered, until it is listed.
#[derive(Default)]
pub(super) struct Digests {
    /// By account, region and hour.
    delivered: BTreeMap<(usize, usize, i64), Vec<LogFile>>,
}

/// A digest to put in place.
pub(super) struct Signed {
    pub account: usize,
    pub key: String,
    pub json: Vec<u8>,
    pub metadata: BTreeMap<&'static str, String>,
}

impl Digests {
    /// A file was put under `key` at `delivered`, Unix seconds.
    pub(super) fn add(&mut self, place: (usize, usize), delivered: i64, bucket: &str, key: &str, json: &[u8]) {
        let (oldest, newest) = event_times(json);
        let file = LogFile {
            s3_bucket: bucket.to_owned(),
            s3_object: key.to_owned(),
            hash_value: sha256_hex(json),
            hash_algorithm: HASH_ALGORITHM.to_owned(),
            newest_event_time: newest,
            oldest_event_time: oldest,
        };
        let hour = delivered.div_euclid(HOUR);
        self.delivered.entry((place.0, place.1, hour)).or_default().push(file);
    }

    /// Hands all digests to `put`, chain by chain.
    pub(super) fn write(
        mut self,
        plan: &Plan,
        organization: &Organization,
        put: &mut dyn FnMut(Signed) -> io::Result<()>,
    ) -> io::Result<()> {
        let key = key_pair()?;
        let fingerprint = public_key()?.fingerprint().to_owned();
        for account in 0..organization.accounts.len() {
            for region in 0..plan.regions.len() {
                let mut previous: Option<(Digest, String, String)> = None;
                for hour in hours(plan) {
                    let files = self.delivered.remove(&(account, region, hour)).unwrap_or_default();
                    let digest = digest(plan, organization, (account, region), hour, files, &fingerprint, &previous);
                    let json = digest.to_json();
                    let hash = sha256_hex(&json);
                    let mut signature = vec![0; key.public().modulus_len()];
                    let text = digest.string_to_sign(&hash);
                    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
                        .map_err(|_| io::Error::other("sign a digest: the key is of no use"))?;
                    let signature = to_hex(&signature);
                    let metadata = BTreeMap::from([
                        (SIGNATURE_METADATA, signature.clone()),
                        (SIGNATURE_ALGORITHM_METADATA, SIGNATURE_ALGORITHM.to_owned()),
                    ]);
                    put(Signed { account, key: digest.digest_s3_object.clone(), json, metadata })?;
                    previous = Some((digest, hash, signature));
                }
            }
        }
        Ok(())
    }
}

/// How many digests a plan has.
pub(super) fn count(plan: &Plan, organization: &Organization) -> u64 {
    (organization.accounts.len() * plan.regions.len() * hours(plan).count()) as u64
}

/// The list of the one public key, valid as long as anything is delivered.
pub(super) fn public_keys(plan: &Plan) -> io::Result<String> {
    let at = |seconds: i64| Timestamp::from_second(seconds).map_err(io::Error::other);
    let (start, end) = (at(plan.first_stamp() - 24 * HOUR)?, at(plan.last_stamp() + 24 * HOUR)?);
    Ok(PublicKeys::from_iter([ListedKey::new(public_key()?, start, end)]).to_json())
}

fn key_pair() -> io::Result<RsaKeyPair> {
    RsaKeyPair::from_pkcs8(KEY).map_err(|error| io::Error::other(error.to_string()))
}

fn public_key() -> io::Result<PublicKey> {
    PublicKey::from_der(key_pair()?.public_key().as_ref()).map_err(io::Error::other)
}

/// Hours since 1970 in which something may be delivered, for which there are digests.
fn hours(plan: &Plan) -> std::ops::Range<i64> {
    let first = plan.first_stamp().div_euclid(HOUR);
    if plan.digests { first..plan.last_stamp().div_euclid(HOUR) + 1 } else { first..first }
}

fn digest(
    plan: &Plan,
    organization: &Organization,
    (account, region): (usize, usize),
    hour: i64,
    log_files: Vec<LogFile>,
    fingerprint: &str,
    previous: &Option<(Digest, String, String)>,
) -> Digest {
    let (source, region) = (organization.source(account), &plan.regions[region]);
    let account = &organization.accounts[account].id;
    let (start, end) = (hour * HOUR, (hour + 1) * HOUR);
    let name = time::iso(end).replace(['-', ':'], "");
    let object = format!(
        "{}{}/{account}_CloudTrail-Digest_{region}_acme-trail_us-east-1_{name}.json.gz",
        source.region_folder(account, "CloudTrail-Digest", region),
        time::day_folder(end)
    );
    let times = |pick: fn(&LogFile) -> &Option<String>| log_files.iter().filter_map(move |file| pick(file).clone());
    let before = previous.as_ref();
    Digest {
        aws_account_id: account.clone(),
        digest_start_time: time::iso(start),
        digest_end_time: time::iso(end),
        digest_s3_bucket: source.bucket.clone(),
        digest_s3_object: object,
        digest_public_key_fingerprint: fingerprint.to_owned(),
        digest_signature_algorithm: SIGNATURE_ALGORITHM.to_owned(),
        newest_event_time: times(|file| &file.newest_event_time).max(),
        oldest_event_time: times(|file| &file.oldest_event_time).min(),
        previous_digest_s3_bucket: before.map(|(digest, ..)| digest.digest_s3_bucket.clone()),
        previous_digest_s3_object: before.map(|(digest, ..)| digest.digest_s3_object.clone()),
        previous_digest_hash_value: before.map(|(_, hash, _)| hash.clone()),
        previous_digest_hash_algorithm: before.map(|_| HASH_ALGORITHM.to_owned()),
        previous_digest_signature: before.map(|(.., signature)| signature.clone()),
        log_files,
        orgtrail: None,
    }
}

/// The oldest and the newest `eventTime` of a file.
fn event_times(json: &[u8]) -> (Option<String>, Option<String>) {
    let items = log_file::read(json, &Limits::default()).into_iter().flatten();
    let (mut oldest, mut newest) = (None, None);
    for item in items {
        let Item::Record(record) = item else { continue };
        let Some(time) = record.header.event_time.map(|time| time.into_owned()) else { continue };
        if oldest.as_ref().is_none_or(|oldest| time < *oldest) {
            oldest = Some(time.clone());
        }
        newest = newest.max(Some(time));
    }
    (oldest, newest)
}
