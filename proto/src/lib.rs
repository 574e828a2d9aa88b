//! The link between agents and the aggregator.
//!
//! Owns the wire format (`orgtrail/v1/*.proto`), the domain messages that both ends speak, and their checking, which
//! happens once, on receipt. The generated code stays private. Does not own connections' life (who reconnects, who may
//! speak for whom): that is the agent's `ship` and the aggregator's `ingest`.

mod client;
pub mod message;
mod server;
mod wire;

pub use client::{Client, Link};
pub use message::{
    Backfill, Batch, Disposition, Hello, Object, ObjectRef, Part, ToAgent, ToAggregator, VerifiedDigest,
};
pub use server::{Inbound, Ingest, Outbound, Peer, service};
pub use wire::Malformed;

/// Version of the protocol that this build speaks; `Hello` carries it and the aggregator refuses another. What each version
/// means stands in `ingest.proto`.
pub const PROTOCOL: u32 = 3;

/// Largest gRPC message that both ends accept unless configured otherwise: well above a full batch, well below what a
/// process's memory would notice.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The generated code; nothing outside this crate sees it.
mod generated {
    #![allow(missing_docs, unreachable_pub, clippy::all, unused_qualifications)]
    tonic::include_proto!("orgtrail.v1");
}
