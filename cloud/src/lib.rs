//! The outside world as seams: object stores, key services, signers, log sinks, topics, queues, organizations, regions
//! and event history, each a trait with an AWS implementation, a local one and, for tests, one in memory (feature `fake`), all judged by the same conformance suite.
//!
//! Owns: everything that names an AWS SDK, where credentials come from, and which failure is worth another attempt.
//! Does not own: what is stored. No type of the trail's domain is known here.

#[cfg(feature = "fake")]
pub mod admin;
pub mod cloudtrail;
#[cfg(any(test, feature = "fake"))]
pub mod conformance;
pub mod connection;
mod credentials;
mod durable;
pub mod error;
pub mod identity;
mod key_file;
pub mod key_service;
mod kms;
pub mod lifecycle;
pub mod location;
pub mod log_sink;
pub mod lookup;
pub mod object_store;
pub mod organization;
pub mod partition;
pub mod public_keys;
pub mod queue;
pub mod regions;
pub mod server_clock;
pub mod signer;
#[cfg(test)]
mod stub;
pub mod topic;

pub use connection::{Connection, CredentialSource, RoleStep};
pub use error::{Disposition, Error, ErrorKind};
pub use identity::{Identity, caller_identity, caller_identity_and_time};
pub use key_service::{KeyService, open_key_service};
pub use location::Location;
pub use log_sink::LogSink;
pub use lookup::{Lookup, open_lookup};
pub use object_store::{ObjectStore, open_store};
pub use organization::{Organization, open_organization};
pub use public_keys::PublicKeySource;
pub use queue::{Queue, open_queue};
pub use regions::{Regions, open_regions};
pub use server_clock::ServerClock;
pub use signer::{Signer, open_signer};
pub use topic::{Topic, open_topic};
