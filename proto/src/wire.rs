//! Domain messages to and from the generated ones. Checks happen here and only here, on receipt.

use std::time::Duration;

use crate::generated as wire;
use crate::message::{
    Backfill, Batch, Disposition, Hello, Object, ObjectRef, Part, ToAgent, ToAggregator, VerifiedDigest,
};

/// Hexadecimal digits of a signature at most: those of a key of 8192 bits. CloudTrail's have 2048.
const SIGNATURE_DIGITS_MAX: usize = 2048;
/// Hexadecimal digits of a fingerprint, an MD5.
const FINGERPRINT_DIGITS: usize = 32;

/// A message that the peer should never have sent.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// A field that every message of the kind must carry is not there.
    #[error("message without {0}")]
    Missing(&'static str),
    /// A field holds something it can't.
    #[error("{field} is {got}, expected {expected}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What it holds.
        got: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// The peer speaks another version.
    #[error("peer speaks protocol {0}, this build speaks {ours}: bring both to the same release", ours = crate::PROTOCOL)]
    Protocol(u32),
}

impl From<ToAggregator> for wire::AgentMessage {
    fn from(message: ToAggregator) -> Self {
        use wire::agent_message::Body;
        let body = match message {
            ToAggregator::Hello(hello) => {
                Body::Hello(wire::Hello { protocol: crate::PROTOCOL, agent: hello.agent, software: hello.software })
            }
            ToAggregator::Batch(batch) => {
                Body::Batch(wire::Batch { id: batch.id, objects: batch.objects.into_iter().map(Into::into).collect() })
            }
            ToAggregator::Part(part) => Body::Part(wire::Part {
                id: part.id,
                r#ref: Some(part.reference.into()),
                offset: part.offset,
                gzip_bytes: part.gzip_bytes,
                slice: part.slice,
                digest: part.digest.map(Into::into),
                backfill: part.backfill.map(Into::into),
            }),
            ToAggregator::Flush => Body::Flush(wire::Flush {}),
        };
        Self { body: Some(body) }
    }
}

impl TryFrom<wire::AgentMessage> for ToAggregator {
    type Error = Malformed;

    fn try_from(message: wire::AgentMessage) -> Result<Self, Malformed> {
        use wire::agent_message::Body;
        Ok(match message.body.ok_or(Malformed::Missing("a body"))? {
            Body::Hello(hello) if hello.protocol != crate::PROTOCOL => return Err(Malformed::Protocol(hello.protocol)),
            Body::Hello(hello) => Self::Hello(Hello { agent: hello.agent, software: hello.software }),
            Body::Batch(batch) => Self::Batch(Batch {
                id: batch.id,
                objects: batch.objects.into_iter().map(object).collect::<Result<_, _>>()?,
            }),
            Body::Part(part) => Self::Part(checked_part(part)?),
            Body::Flush(_) => Self::Flush,
        })
    }
}

fn object(object: wire::Object) -> Result<Object, Malformed> {
    Ok(Object {
        reference: reference(object.r#ref)?,
        gzip: object.gzip,
        digest: digest(object.digest)?,
        backfill: object.backfill.map(Into::into),
    })
}

impl From<Object> for wire::Object {
    fn from(object: Object) -> Self {
        let Object { reference, gzip, digest, backfill } = object;
        Self { r#ref: Some(reference.into()), gzip, digest: digest.map(Into::into), backfill: backfill.map(Into::into) }
    }
}

impl From<Backfill> for wire::Backfill {
    fn from(Backfill { log_groups }: Backfill) -> Self {
        Self { log_groups }
    }
}

impl From<wire::Backfill> for Backfill {
    fn from(wire::Backfill { log_groups }: wire::Backfill) -> Self {
        Self { log_groups }
    }
}

impl From<VerifiedDigest> for wire::VerifiedDigest {
    fn from(digest: VerifiedDigest) -> Self {
        let VerifiedDigest { signature, public_key_fingerprint, verified_at } = digest;
        Self { signature, public_key_fingerprint, verified_at }
    }
}

fn digest(digest: Option<wire::VerifiedDigest>) -> Result<Option<VerifiedDigest>, Malformed> {
    let Some(wire::VerifiedDigest { signature, public_key_fingerprint, verified_at }) = digest else {
        return Ok(None);
    };
    let digits = signature.len();
    if !(2..=SIGNATURE_DIGITS_MAX).contains(&digits)
        || !digits.is_multiple_of(2)
        || !signature.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        let got = format!("{digits} characters that are no hexadecimal bytes or too many");
        return Err(Malformed::Invalid { field: "digest.signature", got, expected: "hexadecimal digits" });
    }
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if public_key_fingerprint.len() != FINGERPRINT_DIGITS || !public_key_fingerprint.bytes().all(is_digit) {
        return Err(Malformed::Invalid {
            field: "digest.public_key_fingerprint",
            got: format!("{} characters", public_key_fingerprint.len()),
            expected: "32 lower-case hexadecimal digits",
        });
    }
    Ok(Some(VerifiedDigest { signature, public_key_fingerprint, verified_at }))
}

fn checked_part(part: wire::Part) -> Result<Part, Malformed> {
    let end = part.offset.checked_add(part.slice.len() as u64);
    if part.slice.is_empty() || end.is_none_or(|end| end > part.gzip_bytes) {
        return Err(Malformed::Invalid {
            field: "part",
            got: format!("{} bytes at {} of {}", part.slice.len(), part.offset, part.gzip_bytes),
            expected: "a slice inside the object",
        });
    }
    Ok(Part {
        id: part.id,
        reference: reference(part.r#ref)?,
        offset: part.offset,
        gzip_bytes: part.gzip_bytes,
        slice: part.slice,
        digest: digest(part.digest)?,
        backfill: part.backfill.map(Into::into),
    })
}

impl From<ObjectRef> for wire::ObjectRef {
    fn from(reference: ObjectRef) -> Self {
        Self {
            source: reference.source,
            key: reference.key,
            etag: reference.etag,
            sha256: reference.sha256.to_vec().into(),
            inflated_bytes: reference.inflated_bytes,
            last_modified: reference.last_modified,
        }
    }
}

fn reference(reference: Option<wire::ObjectRef>) -> Result<ObjectRef, Malformed> {
    let reference = reference.ok_or(Malformed::Missing("ref"))?;
    if reference.key.is_empty() {
        return Err(Malformed::Missing("ref.key"));
    }
    let sha256 = <[u8; 32]>::try_from(reference.sha256.as_ref()).map_err(|_| Malformed::Invalid {
        field: "ref.sha256",
        got: format!("{} bytes", reference.sha256.len()),
        expected: "32 bytes",
    })?;
    Ok(ObjectRef {
        source: reference.source,
        key: reference.key,
        etag: reference.etag,
        sha256,
        inflated_bytes: reference.inflated_bytes,
        last_modified: reference.last_modified,
    })
}

impl From<ToAgent> for wire::AggregatorMessage {
    fn from(message: ToAgent) -> Self {
        use wire::aggregator_message::Body;
        let body = match message {
            ToAgent::Welcome { epoch, message_bytes_max } => {
                Body::Welcome(wire::Welcome { epoch, message_bytes_max: message_bytes_max as u64 })
            }
            ToAgent::Answer { batch_id, dispositions } => Body::Answer(wire::Answer {
                batch_id,
                dispositions: dispositions.into_iter().map(Into::into).collect(),
            }),
            ToAgent::Delivered { seq_end } => Body::Delivered(wire::Delivered { seq_end }),
        };
        Self { body: Some(body) }
    }
}

impl TryFrom<wire::AggregatorMessage> for ToAgent {
    type Error = Malformed;

    fn try_from(message: wire::AggregatorMessage) -> Result<Self, Malformed> {
        use wire::aggregator_message::Body;
        Ok(match message.body.ok_or(Malformed::Missing("a body"))? {
            Body::Welcome(welcome) => Self::Welcome {
                epoch: welcome.epoch,
                message_bytes_max: usize::try_from(welcome.message_bytes_max).unwrap_or(usize::MAX),
            },
            Body::Answer(answer) => Self::Answer {
                batch_id: answer.batch_id,
                dispositions: answer.dispositions.into_iter().map(disposition).collect::<Result<_, _>>()?,
            },
            Body::Delivered(delivered) => Self::Delivered { seq_end: delivered.seq_end },
        })
    }
}

impl From<Disposition> for wire::Disposition {
    fn from(disposition: Disposition) -> Self {
        use wire::disposition::Outcome;
        let outcome = match disposition {
            Disposition::Accepted { seq, damage } => {
                Outcome::Accepted(wire::Accepted { seq, damage: damage.unwrap_or_default() })
            }
            Disposition::Reject { reason, detail } => Outcome::Reject(wire::Reject { reason, detail }),
            Disposition::Retry { after, detail } => {
                let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                Outcome::Retry(wire::Retry { after_ms, detail })
            }
        };
        Self { outcome: Some(outcome) }
    }
}

fn disposition(disposition: wire::Disposition) -> Result<Disposition, Malformed> {
    use wire::disposition::Outcome;
    Ok(match disposition.outcome.ok_or(Malformed::Missing("an outcome"))? {
        Outcome::Accepted(accepted) => Disposition::Accepted {
            seq: accepted.seq,
            damage: (!accepted.damage.is_empty()).then_some(accepted.damage),
        },
        Outcome::Reject(reject) => Disposition::Reject { reason: reject.reason, detail: reject.detail },
        Outcome::Retry(retry) => {
            Disposition::Retry { after: Duration::from_millis(retry.after_ms), detail: retry.detail }
        }
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn a_reference() -> ObjectRef {
        ObjectRef {
            source: "s3://bucket".into(),
            key: "AWSLogs/k".into(),
            etag: "e".into(),
            sha256: [7; 32],
            inflated_bytes: 9,
            last_modified: -1,
        }
    }

    fn a_digest() -> VerifiedDigest {
        VerifiedDigest {
            signature: "a6ac88FF".into(),
            public_key_fingerprint: "2a34fabdffb91a6d74db62321c9e1d5f".into(),
            verified_at: 1_772_363_000,
        }
    }

    proptest! {
        #[test]
        fn agent_messages_survive_the_wire(gzip: Vec<u8>, key in ".+", sha256: [u8; 32], id: u64) {
            let reference = ObjectRef { key, sha256, ..a_reference() };
            let object = Object { reference, gzip: Bytes::from(gzip), digest: None, backfill: None };
            let digest = Object { digest: Some(a_digest()), ..object.clone() };
            let backfilled = |log_groups| Object { backfill: Some(Backfill { log_groups }), ..object.clone() };
            let objects = vec![object.clone(), digest, backfilled(false), backfilled(true)];
            let message = ToAggregator::Batch(Batch { id, objects });
            let back = ToAggregator::try_from(wire::AgentMessage::from(message.clone()));
            prop_assert_eq!(back.expect("well formed"), message);
        }

        #[test]
        fn answers_survive_the_wire(batch_id: u64, seq: u64, ms in 0u64..1 << 40, detail: String) {
            let message = ToAgent::Answer {
                batch_id,
                dispositions: vec![
                    Disposition::Accepted { seq, damage: None },
                    Disposition::Reject { reason: "not_json".into(), detail: detail.clone() },
                    Disposition::Retry { after: Duration::from_millis(ms), detail },
                ],
            };
            let back = ToAgent::try_from(wire::AggregatorMessage::from(message.clone()));
            prop_assert_eq!(back.expect("well formed"), message);
        }
    }

    #[test]
    fn another_protocol_is_refused_by_name() {
        let hello = wire::Hello { protocol: 99, agent: "a".into(), software: String::new() };
        let message = wire::AgentMessage { body: Some(wire::agent_message::Body::Hello(hello)) };
        let error = ToAggregator::try_from(message).expect_err("refused");
        assert!(error.to_string().contains("protocol 99"), "{error}");
    }

    #[test]
    fn what_is_said_of_a_digest_is_checked() {
        let received = |digest: VerifiedDigest| {
            let gzip = Bytes::from_static(b"1");
            let part = Part {
                id: 1,
                reference: a_reference(),
                offset: 0,
                gzip_bytes: 1,
                slice: gzip,
                digest: Some(digest),
                backfill: Some(Backfill { log_groups: true }),
            };
            ToAggregator::try_from(wire::AgentMessage::from(ToAggregator::Part(part)))
        };
        let ToAggregator::Part(part) = received(a_digest()).expect("well formed") else { panic!("a part") };
        assert_eq!((part.digest, part.backfill), (Some(a_digest()), Some(Backfill { log_groups: true })));
        for signature in ["", "abc", "zz", &"ab".repeat(1025)] {
            let error = received(VerifiedDigest { signature: signature.into(), ..a_digest() }).expect_err("refused");
            assert!(error.to_string().contains("digest.signature"), "{error}");
        }
        for fingerprint in ["", "2A34FABDFFB91A6D74DB62321C9E1D5F", "2a34fabdffb91a6d74db62321c9e1d5f00"] {
            let digest = VerifiedDigest { public_key_fingerprint: fingerprint.into(), ..a_digest() };
            let error = received(digest).expect_err("refused");
            assert!(error.to_string().contains("digest.public_key_fingerprint"), "{error}");
        }
    }

    #[test]
    fn a_part_outside_its_object_is_refused() {
        let part = |offset, slice: &'static [u8]| {
            let part = wire::Part {
                id: 1,
                r#ref: Some(a_reference().into()),
                offset,
                gzip_bytes: 4,
                slice: Bytes::from_static(slice),
                digest: None,
                backfill: None,
            };
            ToAggregator::try_from(wire::AgentMessage { body: Some(wire::agent_message::Body::Part(part)) })
        };
        assert!(part(0, b"1234").is_ok());
        for bad in [part(1, b"1234"), part(u64::MAX, b"1"), part(0, b"")] {
            assert!(bad.is_err());
        }
    }
}
