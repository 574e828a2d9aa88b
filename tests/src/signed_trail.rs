//! A trail with signed digests as CloudTrail delivers it, made in memory, with ways to tamper with it.
//!
//! Owns the throw-away signing key (tests/fixtures/digest_signing_key.der) and the objects of one account and region, by
//! their keys in the bucket. Does not own where they go: [`SignedTrail::write`] puts them into a folder,
//! [`SignedTrail::put`] into a store, and `objects` are there to be served in another way. The same plan gives the same
//! objects.
//!
//! Tampering is done on `objects` (remove, replace, exchange); a digest that the signer itself would have made otherwise
//! is made with [`SignedTrail::sign_again`].

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use orgtrail_cloud::object_store::{LocalStore, PutOptions};
use orgtrail_cloud::{Location, ObjectStore};
use orgtrail_event::digest::{
    BACKFILL_TIMESTAMP_METADATA, BackfillRef, Custody, Digest, HASH_ALGORITHM, ListedKey, LogFile, PublicKey,
    PublicKeys, SIGNATURE_ALGORITHM, SIGNATURE_ALGORITHM_METADATA, SIGNATURE_METADATA, sha256_hex, to_hex,
};
use orgtrail_event::gzip::Deflater;
use orgtrail_event::key::{DigestKey, DigestStamp, Folder, Kind, LogKey, Stamp};
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};

/// A key that signs nothing but tests.
const SIGNING_KEY: &[u8] = include_bytes!("../fixtures/digest_signing_key.der");

/// Which trail to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailPlan {
    /// The account.
    pub account: String,
    /// The region of the log files.
    pub region: String,
    /// `o-…` for an organization trail's layout.
    pub organization_id: Option<String>,
    /// The trail's name.
    pub trail: String,
    /// Its home region.
    pub home_region: String,
    /// The bucket that digests name.
    pub bucket: String,
    /// The key prefix, without a slash at its end; empty for none.
    pub prefix: String,
    /// The first digest's start, at a full hour.
    pub start: Timestamp,
    /// How many digests.
    pub hours: u32,
    /// Log files in each hour, at most 60.
    pub files_per_hour: u32,
    /// Records in each log file.
    pub records_per_file: u32,
    /// Log files have as many records as those of a real delivery had instead: see [`as_delivered`].
    pub as_delivered: bool,
    /// Digests carry our own member `orgtrail`, and each names the backfill digests made since the one before.
    pub custody: bool,
}

impl Default for TrailPlan {
    /// Six hours with two small log files each.
    fn default() -> Self {
        Self {
            account: "111122223333".to_owned(),
            region: "us-east-2".to_owned(),
            organization_id: None,
            trail: "demo".to_owned(),
            home_region: "us-east-1".to_owned(),
            bucket: "ct-bucket".to_owned(),
            prefix: String::new(),
            start: Timestamp::constant(1_772_359_200, 0), // 2026-03-01T10:00:00Z
            hours: 6,
            files_per_hour: 2,
            records_per_file: 3,
            as_delivered: false,
            custody: false,
        }
    }
}

impl TrailPlan {
    /// The trail's ARN, as the AWS CLI takes it.
    pub fn arn(&self) -> String {
        format!("arn:aws:cloudtrail:{}:{}:trail/{}", self.home_region, self.account, self.trail)
    }

    /// The end of the last digest.
    pub fn end(&self) -> Timestamp {
        self.start + SignedDuration::from_hours(i64::from(self.hours))
    }

    fn folder(&self, kind: Kind) -> Folder {
        Folder {
            prefix: self.prefix.clone(),
            organization_id: self.organization_id.clone(),
            account: self.account.clone(),
            kind,
            region: self.region.clone(),
        }
    }

    fn digest_key(&self, end: Timestamp, backfill: bool) -> String {
        let stamp = DigestStamp::new(Offset::UTC.to_datetime(end));
        DigestKey::new(self.folder(Kind::Digest), stamp, &self.trail, &self.home_region, backfill).to_string()
    }
}

/// An object with its user metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// gzip.
    pub bytes: Bytes,
    /// Lower-case names without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
}

/// The trail.
#[derive(Debug)]
pub struct SignedTrail {
    /// What was asked for.
    pub plan: TrailPlan,
    /// Everything in the bucket by its whole key.
    pub objects: BTreeMap<String, Stored>,
    /// The keys of the hourly digests, oldest first.
    pub digests: Vec<String>,
    /// The keys of the backfill digests, oldest first.
    pub backfills: Vec<String>,
    signer: Signer,
}

#[derive(Debug)]
struct Signer {
    key: RsaKeyPair,
    public: PublicKey,
    deflater_level: u8,
}

impl Signer {
    fn new() -> Self {
        let key = RsaKeyPair::from_der(SIGNING_KEY).expect("the fixture is a key");
        let public = PublicKey::from_der(key.public_key().as_ref()).expect("the fixture is an RSA key");
        Self { key, public, deflater_level: 1 }
    }

    fn sign(&self, text: &str) -> String {
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).expect("it signs");
        to_hex(&signature)
    }

    /// The digest's object.
    fn store(&self, digest: &Digest, made: Option<Timestamp>) -> Stored {
        let json = digest.to_json();
        let signature = self.sign(&digest.string_to_sign(&sha256_hex(&json)));
        let mut metadata = BTreeMap::from([
            (SIGNATURE_METADATA.to_owned(), signature),
            (SIGNATURE_ALGORITHM_METADATA.to_owned(), SIGNATURE_ALGORITHM.to_owned()),
        ]);
        if let Some(made) = made {
            metadata
                .insert(BACKFILL_TIMESTAMP_METADATA.to_owned(), made.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string());
        }
        Stored { bytes: self.gzip(&json), metadata }
    }

    fn gzip(&self, content: &[u8]) -> Bytes {
        Deflater::new(self.deflater_level).deflate(content).into()
    }
}

/// The list that `aws cloudtrail list-public-keys` would print for this module's key.
pub fn public_keys_json() -> String {
    public_keys().to_json()
}

/// The key that signs, valid for all time.
pub fn public_keys() -> PublicKeys {
    let (start, end) = (Timestamp::constant(946_684_800, 0), Timestamp::constant(4_102_444_800, 0));
    [ListedKey::new(Signer::new().public, start, end)].into_iter().collect()
}

impl SignedTrail {
    /// Makes it.
    pub fn make(plan: &TrailPlan) -> Self {
        let (objects, digests, backfills) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut trail = Self { plan: plan.clone(), objects, digests, backfills, signer: Signer::new() };
        for hour in 0..plan.hours {
            trail.add_hour(hour);
        }
        trail
    }

    /// The public key's fingerprint.
    pub fn fingerprint(&self) -> &str {
        self.signer.public.fingerprint()
    }

    /// The digest under a key, as it is stored now.
    pub fn digest(&self, key: &str) -> Digest {
        Digest::from_json(&self.content(key)).expect("it is a digest")
    }

    /// The uncompressed content of an object.
    pub fn content(&self, key: &str) -> Vec<u8> {
        let mut content = Vec::new();
        let stored = self.objects.get(key).unwrap_or_else(|| panic!("no object {key}"));
        orgtrail_event::gzip::Inflater::new().inflate(&stored.bytes, 1 << 30, &mut content).expect("it is gzip");
        content
    }

    /// The keys of the log files of the `hour`-th digest.
    pub fn logs(&self, hour: usize) -> Vec<String> {
        self.digest(&self.digests[hour]).log_files.into_iter().map(|file| file.s3_object).collect()
    }

    /// Gives an object other content; metadata stays.
    pub fn replace_content(&mut self, key: &str, content: &[u8]) {
        let bytes = self.signer.gzip(content);
        self.objects.get_mut(key).unwrap_or_else(|| panic!("no object {key}")).bytes = bytes;
    }

    /// Gives an object other bytes; metadata stays.
    pub fn replace_bytes(&mut self, key: &str, bytes: impl Into<Bytes>) {
        self.objects.get_mut(key).unwrap_or_else(|| panic!("no object {key}")).bytes = bytes.into();
    }

    /// Has the signer make a digest otherwise. Digests after it still hold what they held of it.
    pub fn sign_again(&mut self, key: &str, edit: impl FnOnce(&mut Digest)) {
        let mut digest = self.digest(key);
        edit(&mut digest);
        let made = key.ends_with("_backfill.json.gz").then(|| self.plan.end());
        let stored = self.signer.store(&digest, made);
        self.objects.insert(key.to_owned(), stored);
    }

    /// As [`SignedTrail::sign_again`], and the digests after it are made anew, so that the chain holds.
    pub fn sign_again_with_chain(&mut self, hour: usize, edit: impl FnOnce(&mut Digest)) {
        self.sign_again(&self.digests[hour].clone(), edit);
        for hour in hour + 1..self.digests.len() {
            let (hash, signature) = self.hash_and_signature(&self.digests[hour - 1]);
            self.sign_again(&self.digests[hour].clone(), |digest| {
                if digest.previous_digest_s3_object.is_some() {
                    digest.previous_digest_hash_value = Some(hash);
                    digest.previous_digest_signature = Some(signature);
                }
            });
        }
    }

    /// Adds a log file of the `hour`-th hour that its digest doesn't list, and a backfill digest that does. With custody
    /// the chain from the next digest on is made anew to name it. Gives the log file's key.
    pub fn add_late_log(&mut self, hour: u32) -> String {
        let start = self.plan.start + SignedDuration::from_hours(i64::from(hour));
        let nth = self.backfills.len() as i64 + 1;
        let end = start + SignedDuration::from_hours(1) + SignedDuration::from_secs(nth);
        let file = self.add_log(start + SignedDuration::from_mins(59), &format!("late{nth}"));
        let (key, late) = (self.plan.digest_key(end, true), file.s3_object.clone());
        let digest = self.new_digest(&key, start, end, vec![file]);
        let stored = self.signer.store(&digest, Some(self.plan.end()));
        self.objects.insert(key.clone(), stored);
        self.backfills.push(key.clone());
        if self.plan.custody && (hour as usize) + 1 < self.digests.len() {
            let (hash_value, signature) = self.hash_and_signature(&key);
            let named = BackfillRef { s3_bucket: self.plan.bucket.clone(), s3_object: key, hash_value, signature };
            self.sign_again_with_chain(hour as usize + 1, |digest| {
                digest.orgtrail.get_or_insert_with(Custody::new).backfill_digests.push(named);
            });
        }
        late
    }

    /// Adds a log file that no digest lists. Gives its key.
    pub fn add_unlisted_log(&mut self, stamp: Timestamp) -> String {
        self.add_log(stamp, "planted").s3_object
    }

    /// Writes everything into a folder that stands for the bucket.
    pub async fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let store = LocalStore::new(folder);
        for (key, stored) in &self.objects {
            if !stored.metadata.is_empty() {
                put(&store, key, stored).await?;
                continue;
            }
            // A month of log files would take minutes to sync one by one.
            let path = folder.join(key);
            std::fs::create_dir_all(path.parent().context("a key has a folder")?)?;
            std::fs::write(&path, &stored.bytes).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }

    /// Puts everything into a store of the whole bucket.
    pub async fn put(&self, store: &dyn ObjectStore) -> anyhow::Result<()> {
        for (key, stored) in &self.objects {
            put(store, key, stored).await?;
        }
        Ok(())
    }

    fn add_hour(&mut self, hour: u32) {
        let start = self.plan.start + SignedDuration::from_hours(i64::from(hour));
        let end = start + SignedDuration::from_hours(1);
        let step = 60 / self.plan.files_per_hour.clamp(1, 60);
        let files = (0..self.plan.files_per_hour)
            .map(|file| self.add_log(start + SignedDuration::from_mins(i64::from(file * step)), "regular"))
            .collect();
        let key = self.plan.digest_key(end, false);
        let mut digest = self.new_digest(&key, start, end, files);
        if let Some(previous) = self.digests.last() {
            let (hash, signature) = self.hash_and_signature(previous);
            digest.previous_digest_s3_bucket = Some(self.plan.bucket.clone());
            digest.previous_digest_s3_object = Some(previous.clone());
            digest.previous_digest_hash_value = Some(hash);
            digest.previous_digest_hash_algorithm = Some(HASH_ALGORITHM.to_owned());
            digest.previous_digest_signature = Some(signature);
        }
        let stored = self.signer.store(&digest, None);
        self.objects.insert(key.clone(), stored);
        self.digests.push(key);
    }

    fn add_log(&mut self, stamp: Timestamp, what: &str) -> LogFile {
        let time = Offset::UTC.to_datetime(stamp);
        let unique = &sha256_hex(format!("{what}/{stamp}/{}", self.plan.region).as_bytes())[..16];
        let key = LogKey::new(self.plan.folder(Kind::Log), time.date(), Stamp::new(time), unique).to_string();
        let content = records(&self.plan, stamp);
        let stored = Stored { bytes: self.signer.gzip(content.as_bytes()), metadata: BTreeMap::new() };
        self.objects.insert(key.clone(), stored);
        LogFile {
            s3_bucket: self.plan.bucket.clone(),
            s3_object: key,
            hash_value: sha256_hex(content.as_bytes()),
            hash_algorithm: HASH_ALGORITHM.to_owned(),
            newest_event_time: Some(text(stamp)),
            oldest_event_time: Some(text(stamp - SignedDuration::from_mins(4))),
        }
    }

    fn new_digest(&self, key: &str, start: Timestamp, end: Timestamp, log_files: Vec<LogFile>) -> Digest {
        Digest {
            aws_account_id: self.plan.account.clone(),
            digest_start_time: text(start),
            digest_end_time: text(end),
            digest_s3_bucket: self.plan.bucket.clone(),
            digest_s3_object: key.to_owned(),
            digest_public_key_fingerprint: self.fingerprint().to_owned(),
            digest_signature_algorithm: SIGNATURE_ALGORITHM.to_owned(),
            newest_event_time: log_files.iter().filter_map(|file| file.newest_event_time.clone()).max(),
            oldest_event_time: log_files.iter().filter_map(|file| file.oldest_event_time.clone()).min(),
            previous_digest_s3_bucket: None,
            previous_digest_s3_object: None,
            previous_digest_hash_value: None,
            previous_digest_hash_algorithm: None,
            previous_digest_signature: None,
            log_files,
            orgtrail: self.plan.custody.then(Custody::new),
        }
    }

    fn hash_and_signature(&self, key: &str) -> (String, String) {
        (sha256_hex(&self.content(key)), self.objects[key].metadata[SIGNATURE_METADATA].clone())
    }
}

async fn put(store: &dyn ObjectStore, key: &str, stored: &Stored) -> anyhow::Result<()> {
    let options = PutOptions { metadata: stored.metadata.clone(), ..PutOptions::default() };
    store.put(key, stored.bytes.clone(), &options).await.with_context(|| format!("put {key}"))
}

/// The location of a folder.
pub fn location(folder: &Path) -> String {
    Location::try_from(folder).map(|location| location.to_string()).expect("tests use absolute paths")
}

fn text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How many records the log files of a real account had, 3,872 of them in 13 regions: half up to 5, nine of ten up to 16, all
/// but one in a hundred up to 33, the largest 622. `place` from 0 to 1 is where a file stands among them by size.
fn as_delivered(place: f64) -> u32 {
    const QUANTILES: [(f64, f64); 5] = [(0.0, 1.0), (0.5, 5.0), (0.9, 16.0), (0.99, 33.0), (1.0, 622.0)];
    let above = QUANTILES.iter().position(|(quantile, _)| place < *quantile).unwrap_or(QUANTILES.len() - 1);
    let ((low, fewest), (high, most)) = (QUANTILES[above - 1], QUANTILES[above]);
    // Evenly on a logarithmic scale, as the few large ones are.
    let records = fewest * (most / fewest).powf((place - low) / (high - low));
    records.round() as u32
}

/// A log file's content, about 1.2 KB a record; ids differ between records as they do in real ones.
fn records(plan: &TrailPlan, stamp: Timestamp) -> String {
    let (account, region, time) = (&plan.account, &plan.region, text(stamp));
    let mut json = String::from("{\"Records\":[");
    let place = sha256_hex(format!("{region}/{stamp}").as_bytes());
    let place = f64::from(u32::from_str_radix(&place[..8], 16).unwrap_or_default()) / f64::from(u32::MAX);
    let count = if plan.as_delivered { as_delivered(place.min(0.999_9)) } else { plan.records_per_file };
    for number in 0..count {
        let id = sha256_hex(format!("{region}/{stamp}/{number}").as_bytes());
        let (event, request, host) = (&id[..12], &id[12..24], u8::from_str_radix(&id[24..26], 16).unwrap_or_default());
        let name = ["StopInstances", "DescribeInstances", "CreateTags", "RunInstances"][number as usize % 4];
        let comma = if number == 0 { "" } else { "," };
        json.push_str(&format!(
            r#"{comma}{{"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole","principalId":"AROAEXAMPLEEXAMPLE01:deploy-{number}","arn":"arn:aws:sts::{account}:assumed-role/Deployer/deploy-{number}","accountId":"{account}","accessKeyId":"ASIAEXAMPLEEXAMPLE01","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROAEXAMPLEEXAMPLE01","arn":"arn:aws:iam::{account}:role/Deployer","accountId":"{account}","userName":"Deployer"}},"attributes":{{"creationDate":"{time}","mfaAuthenticated":"false"}}}}}},"eventTime":"{time}","eventSource":"ec2.amazonaws.com","eventName":"{name}","awsRegion":"{region}","sourceIPAddress":"198.51.100.{host}","userAgent":"aws-cli/2.30.0 md/awscrt#0.27 ua/2.1 os/linux md/arch#x86_64","requestParameters":{{"instancesSet":{{"items":[{{"instanceId":"i-0{event}"}}]}},"force":false}},"responseElements":null,"requestID":"{request}-0000-4000-8000-{event}","eventID":"{event}-0000-4000-8000-{request}","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{account}","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"ec2.{region}.amazonaws.com"}}}}"#
        ));
    }
    json.push_str("]}");
    json
}
