//! The domain messages of the link, in plain Rust types. A value of one of these that came off the wire has been checked.

use std::time::Duration;

use bytes::Bytes;

/// What an agent says.
#[derive(Debug, Clone, PartialEq)]
pub enum ToAggregator {
    /// Always the first message of a stream.
    Hello(Hello),
    /// Whole objects.
    Batch(Batch),
    /// A slice of one object that is larger than a message may be.
    Part(Part),
    /// Deliver what the journal holds now, without waiting for more to merge it with.
    Flush,
}

/// What the aggregator says.
#[derive(Debug, Clone, PartialEq)]
pub enum ToAgent {
    /// Answer to `Hello`.
    Welcome {
        /// Names this opening of the aggregator's journal. Another epoch than last time: what was acknowledged and isn't known
        /// to be delivered is to be offered again.
        epoch: u64,
        /// Largest gRPC message that the aggregator takes, in bytes.
        message_bytes_max: usize,
    },
    /// Answer to a batch, or to the last part of an object.
    Answer {
        /// The batch's id.
        batch_id: u64,
        /// One for each object of the batch, in its order.
        dispositions: Vec<Disposition>,
    },
    /// Every destination holds all objects with a seq below this.
    Delivered {
        /// First seq that is not known to be delivered.
        seq_end: u64,
    },
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq)]
pub struct Hello {
    /// The agent's name. Under mutual TLS it must be a DNS name of the client certificate.
    pub agent: String,
    /// Software version, for logs.
    pub software: String,
}

/// Where an object came from and what it claims to be.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectRef {
    /// Location of the source, e.g. `s3://bucket/prefix`.
    pub source: String,
    /// Key below the source location.
    pub key: String,
    /// The source's entity tag.
    pub etag: String,
    /// SHA-256 of the inflated bytes, as CloudTrail's digests name it.
    pub sha256: [u8; 32],
    /// Length of the inflated bytes.
    pub inflated_bytes: u64,
    /// When the source stored it, Unix seconds.
    pub last_modified: i64,
}

/// What the agent found out about a digest of CloudTrail's: its signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedDigest {
    /// The signature as it stands in the object's user metadata, hexadecimal.
    pub signature: String,
    /// The key that it was verified with, as digests name it: 32 lower-case hexadecimal digits.
    pub public_key_fingerprint: String,
    /// When, Unix seconds.
    pub verified_at: i64,
}

/// An operator's backfill brought the object, not live listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backfill {
    /// Log groups are to get its records too.
    pub log_groups: bool,
}

/// An object: where it is from, and its gzip bytes, untouched.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Where it came from.
    pub reference: ObjectRef,
    /// The gzip bytes of the log file, Insight file or digest.
    pub gzip: Bytes,
    /// Set for digests and for nothing else.
    pub digest: Option<VerifiedDigest>,
    /// Set for what a backfill brings.
    pub backfill: Option<Backfill>,
}

/// Objects that are sent and answered together.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Unique within the stream.
    pub id: u64,
    /// The objects.
    pub objects: Vec<Object>,
}

/// A slice of one object. Parts of one object come in order with nothing in between.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Unique within the stream, the same for all parts of the object.
    pub id: u64,
    /// The object.
    pub reference: ObjectRef,
    /// Where in the gzip bytes the slice begins.
    pub offset: u64,
    /// Length of the whole object's gzip bytes.
    pub gzip_bytes: u64,
    /// The slice.
    pub slice: Bytes,
    /// As in [`Object`], on every part.
    pub digest: Option<VerifiedDigest>,
    /// As in [`Object`], on every part.
    pub backfill: Option<Backfill>,
}

impl Part {
    /// Whether the object is complete with this part.
    pub fn is_last(&self) -> bool {
        self.offset + self.slice.len() as u64 == self.gzip_bytes
    }
}

/// What the aggregator says of one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Disposition {
    /// In the journal, on disk.
    Accepted {
        /// Place in the journal; see [`ToAgent::Delivered`].
        seq: u64,
        /// Why only some records of the file could be read, if so: the object is to be quarantined, its readable records
        /// go on.
        damage: Option<String>,
    },
    /// Will never be taken as it is: to be quarantined.
    Reject {
        /// A snake_case word, e.g. `not_json`.
        reason: String,
        /// What exactly is wrong.
        detail: String,
    },
    /// Nothing is wrong with the object; offer it again after a while.
    Retry {
        /// How long to wait.
        after: Duration,
        /// Why.
        detail: String,
    },
}
