//! One digest's document, out of what it lists and the chain that it continues. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orgtrail_event::digest::{
    BackfillRef, Custody, Digest, HASH_ALGORITHM, LogFile, SIGNATURE_ALGORITHM, SourceDigest, Sources, sha256_hex,
};
use orgtrail_event::key::DigestStamp;

use crate::journal::DeliveredFile;
use crate::journal::digests::{Chain, Previous};
use crate::journal::ledger::Place;
use crate::trail::Trail;

/// What a digest is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Unix seconds.
    pub(super) start: i64,
    /// Unix seconds; names the digest.
    pub(super) end: i64,
    pub(super) backfill: bool,
}

/// A digest to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    /// Below the trail's location.
    pub(super) key: String,
    pub(super) json: String,
    /// Hex SHA-256 of the JSON.
    pub(super) hash_value: String,
    pub(super) string_to_sign: String,
    pub(super) span: Span,
}

/// Makes the document.
pub(super) fn draft(
    trail: &Trail,
    place: &Place,
    span: Span,
    fingerprint: &str,
    chain: &Chain,
    files: &[DeliveredFile],
    source_digests: Vec<SourceDigest>,
) -> Draft {
    let key = trail.digest_key(&place.0, &place.1, stamp(span.end), span.backfill);
    let previous = chain.previous.as_ref().filter(|_| !span.backfill);
    let times = files.iter().filter_map(|file| file.event_times);
    let custody = Custody {
        log_files: files
            .iter()
            .map(|file| Sources { s3_object: trail.object(&file.key), sources: file.sources.clone() })
            .collect(),
        source_digests,
        backfill_digests: if span.backfill { Vec::new() } else { chain.backfills.clone() },
        ..Custody::new()
    };
    let digest = Digest {
        aws_account_id: place.0.clone(),
        digest_start_time: time(span.start),
        digest_end_time: time(span.end),
        digest_s3_bucket: trail.bucket.clone(),
        digest_s3_object: trail.object(&key),
        digest_public_key_fingerprint: fingerprint.to_owned(),
        digest_signature_algorithm: SIGNATURE_ALGORITHM.to_owned(),
        newest_event_time: times.clone().map(|(_, newest)| newest).max().map(time),
        oldest_event_time: times.map(|(oldest, _)| oldest).min().map(time),
        previous_digest_s3_bucket: previous.map(|previous| previous.bucket.clone()),
        previous_digest_s3_object: previous.map(|previous| previous.object.clone()),
        previous_digest_hash_value: previous.map(|previous| previous.hash_value.clone()),
        previous_digest_hash_algorithm: previous.map(|_| HASH_ALGORITHM.to_owned()),
        previous_digest_signature: previous.map(|previous| previous.signature.clone()),
        log_files: files.iter().map(|file| log_file(trail, file)).collect(),
        orgtrail: Some(custody),
    };
    let json = digest.to_json();
    let hash_value = sha256_hex(&json);
    let string_to_sign = digest.string_to_sign(&hash_value);
    let json = String::from_utf8(json).expect("JSON is UTF-8");
    Draft { key, json, hash_value, string_to_sign, span }
}

/// Where the chain stands once the digest is in the bucket.
pub(super) fn after(chain: &Chain, trail: &Trail, draft: &Draft, signature: &str) -> Chain {
    let (bucket, object) = (trail.bucket.clone(), trail.object(&draft.key));
    let (hash_value, signature) = (draft.hash_value.clone(), signature.to_owned());
    if draft.span.backfill {
        let mut chain = chain.clone();
        chain.backfills.push(BackfillRef { s3_bucket: bucket, s3_object: object, hash_value, signature });
        return chain;
    }
    let previous = Previous { bucket, object, hash_value, signature };
    Chain { next_start: draft.span.end, previous: Some(previous), backfills: Vec::new() }
}

fn log_file(trail: &Trail, file: &DeliveredFile) -> LogFile {
    LogFile {
        s3_bucket: trail.bucket.clone(),
        s3_object: trail.object(&file.key),
        hash_value: file.sha256.clone(),
        hash_algorithm: HASH_ALGORITHM.to_owned(),
        newest_event_time: file.event_times.map(|(_, newest)| time(newest)),
        oldest_event_time: file.event_times.map(|(oldest, _)| time(oldest)),
    }
}

fn time(second: i64) -> String {
    Timestamp::from_second(second).unwrap_or_default().to_string()
}

fn stamp(second: i64) -> DigestStamp {
    let time = Timestamp::from_second(second).unwrap_or_default();
    DigestStamp::new(TimeZone::UTC.to_datetime(time))
}
