//! Verifies a digest: a signed list of log files is shipped only when its signature holds.
//!
//! Owns what each fault means to the object: what cannot be CloudTrail's work is put aside and told as an error, as somebody
//! may have changed it; a digest whose public key is not there waits for it. Does not own the checks themselves (the event
//! crate, in the AWS CLI's order) nor where keys are got (`keyring`).
//!
//! A digest that waits gives its claim back: the next listing of its folder hands it out again, and the folder's other
//! digests go on. So that days can be closed, it does not wait for ever.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use orgtrail_event::digest::{
    BACKFILL_TIMESTAMP_METADATA, Content, Digest, DigestFault, DigestRead, PublicKeys, SIGNATURE_ALGORITHM_METADATA,
    SIGNATURE_METADATA, from_hex, verify_digest,
};
use orgtrail_event::key::{ObjectKey, classify};
use orgtrail_proto::VerifiedDigest;

use super::inflate::Checked;
use super::{Bad, Patience, Shared};
use crate::checkpoint::{NamedDigest, Statement};
use crate::object::ObjectRef;

/// Reason of a digest without signature, algorithm, or the time that a backfill digest has.
const METADATA: &str = "digest_metadata";
/// Reason of a digest that is none.
const FORMAT: &str = "digest_format";
/// Reason of a digest that was signed for another place.
const MOVED: &str = "digest_moved";
/// Reason of a digest that was changed.
const SIGNATURE: &str = "digest_signature";
/// Reason of a digest whose public key never came.
const KEY: &str = "digest_key";

/// A digest whose signature holds.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) checked: Checked,
    /// For the aggregator.
    pub(super) digest: VerifiedDigest,
    /// For the checkpoint.
    pub(super) statement: Box<Statement>,
}

/// A digest as it was fetched.
#[derive(Debug)]
struct Read {
    key: String,
    home_region: String,
    gzip: Bytes,
    metadata: BTreeMap<String, String>,
}

impl Shared {
    /// What became of the digest: verified or bad; none where it was let go, to come again.
    pub(super) async fn verify(
        &self,
        object: &ObjectRef,
        gzip: &Bytes,
        metadata: BTreeMap<String, String>,
        checked: Result<Checked, Bad>,
    ) -> anyhow::Result<Option<Result<Verified, Bad>>> {
        let verdict = self.verdict(object, gzip, metadata, checked).await?;
        let outcome = match &verdict {
            None => "waiting",
            Some(Ok(_)) => "verified",
            Some(Err(bad)) => bad.reason,
        };
        self.metrics.digest(&object.folder.source.name, outcome);
        if matches!(outcome, METADATA | FORMAT | MOVED | SIGNATURE) {
            let account = &object.folder.folder.account;
            let detail = verdict.as_ref().and_then(|verdict| verdict.as_ref().err()).map(|bad| bad.detail.as_str());
            tracing::error!(
                object.key = object.subject(),
                account.id = account,
                reason = outcome,
                detail,
                "a digest does not verify: it, or the log files that it lists, may have been changed"
            );
        }
        Ok(verdict)
    }

    async fn verdict(
        &self,
        object: &ObjectRef,
        gzip: &Bytes,
        metadata: BTreeMap<String, String>,
        checked: Result<Checked, Bad>,
    ) -> anyhow::Result<Option<Result<Verified, Bad>>> {
        let bad = |reason, detail: String| Ok(Some(Err(Bad { reason, detail })));
        let checked = match checked {
            Ok(checked) => checked,
            Err(wrong) if wrong.reason == "too_large" => return Ok(Some(Err(wrong))),
            Err(wrong) => return bad(FORMAT, wrong.detail),
        };
        let (ObjectKey::Digest(named) | ObjectKey::BackfillDigest(named)) = classify(&object.key) else {
            return bad(FORMAT, "its key is no digest's".into());
        };
        let needed = [SIGNATURE_METADATA, SIGNATURE_ALGORITHM_METADATA];
        let needed = needed.into_iter().chain(named.backfill.then_some(BACKFILL_TIMESTAMP_METADATA));
        if let Some(missing) = needed.into_iter().find(|name| !metadata.contains_key(*name)) {
            return bad(METADATA, format!("the object's user metadata has no `{missing}`"));
        }
        let Some(keyring) = &object.folder.source.keyring else {
            return bad(KEY, "the source has no digest_keys any more".into());
        };
        // A backfill digest is made long after its hour.
        let made = metadata.get(BACKFILL_TIMESTAMP_METADATA).and_then(|time| time.parse::<Timestamp>().ok());
        let end = Timestamp::from_second(named.end.unix_seconds()).unwrap_or_default();
        let region = &named.folder.region;
        let read =
            Read { key: object.key.clone(), home_region: named.home_region.clone(), gzip: gzip.clone(), metadata };
        let read = Arc::new(read);
        let mut verified = self.check(&read, keyring.known(region)).await?;
        if let Err(DigestFault::KeyNotFound { fingerprint, .. }) = &verified {
            match keyring.look_up(region, fingerprint, made.unwrap_or(end)).await {
                Ok(keys) => verified = self.check(&read, keys).await?,
                Err(why) => {
                    object.folder.failed_for_keys(&self.health, &why);
                    return Ok(None);
                }
            }
        }
        let (digest, hash) = match verified {
            Ok(verified) => verified,
            Err(DigestFault::KeyNotFound { fingerprint, .. } | DigestFault::KeyUnloadable { fingerprint }) => {
                return Ok(self.without_key(object, &fingerprint, made.map_or(end, |made| made.max(end))));
            }
            Err(fault) => return bad(reason(&fault), format!("{fault}")),
        };
        if from_hex(&hash).as_deref() != Some(&checked.sha256) {
            return bad(FORMAT, "something stands behind its first gzip member".into());
        }
        let signature = read.metadata.get(SIGNATURE_METADATA).cloned().unwrap_or_default();
        let now = self.clock.now();
        let verified_at = now.as_second();
        let name =
            NamedDigest { key: &object.key, trail: &named.trail, backfill: named.backfill, signature: &signature };
        let Some(statement) = Statement::new(&name, &digest, now.as_millisecond()) else {
            return bad(FORMAT, "its times are none".into());
        };
        let public_key_fingerprint = digest.digest_public_key_fingerprint;
        let digest = VerifiedDigest { signature, public_key_fingerprint, verified_at };
        Ok(Some(Ok(Verified { checked, digest, statement: Box::new(statement) })))
    }

    /// Reads and verifies off the async threads.
    async fn check(
        &self,
        read: &Arc<Read>,
        keys: Arc<PublicKeys>,
    ) -> anyhow::Result<Result<(Digest, String), DigestFault>> {
        let (turn, read) = (self.inflate.turn().await?, Arc::clone(read));
        let verified = tokio::task::spawn_blocking(move || {
            let Read { key, home_region, gzip, metadata } = &*read;
            let object = DigestRead {
                bucket: "",
                key,
                gz: gzip,
                signature: None,
                signature_algorithm: None,
                backfill_timestamp: None,
                home_region,
                // A source may be a copy, and its location may have a prefix of its own: the key has to agree from
                // `AWSLogs` on.
                moved: true,
            };
            let object = object.with_metadata(|name| metadata.get(name).map(String::as_str));
            let verified = verify_digest(&object, &keys, &mut Content::new());
            drop(turn);
            verified
        });
        verified.await.context("verify a digest")
    }

    /// The digest's key is not listed: it may be, later.
    fn without_key(&self, object: &ObjectRef, fingerprint: &str, made: Timestamp) -> Option<Result<Verified, Bad>> {
        let detail = format!("no public key with fingerprint {fingerprint} in digest_keys");
        let waits = match self.patience {
            Patience::None => false,
            Patience::For(patience) => {
                let patience = SignedDuration::try_from(patience).unwrap_or(SignedDuration::MAX);
                self.clock.now().duration_since(made) < patience
            }
        };
        if waits {
            object.folder.waits_for_key(&self.health, &format!("{}: {detail}", object.subject()));
            return None;
        }
        let advice = format!("{detail}; add it, then `orgtrail quarantine retry --all --reason {KEY}`");
        Some(Err(Bad { reason: KEY, detail: advice }))
    }
}

fn reason(fault: &DigestFault) -> &'static str {
    match fault {
        DigestFault::Signature | DigestFault::SignatureOddLength | DigestFault::SignatureNotHex => SIGNATURE,
        DigestFault::Moved => MOVED,
        DigestFault::InvalidFormat | DigestFault::NotFound => FORMAT,
        DigestFault::KeyNotFound { .. } | DigestFault::KeyUnloadable { .. } => KEY,
    }
}
