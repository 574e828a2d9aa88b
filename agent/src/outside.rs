//! What an agent reaches outside its machine: the stores of its sources and the aggregator.
//!
//! Owns how they are opened, and nothing that is done with them. The default methods are the real thing; the simulation
//! answers them from memory.

use std::fmt::Debug;
use std::sync::Arc;

use orgtrail_cloud::{Connection, Error, Location, ObjectStore, open_store};
use tonic::transport::{self, Channel, Endpoint};

/// Opens what lies outside.
#[tonic::async_trait]
pub trait Outside: Send + Sync + Debug {
    /// The store that a source's log files are in. Calls nothing yet.
    ///
    /// # Errors
    /// The location can't be opened.
    async fn open_store(&self, location: &Location, connection: &Connection) -> Result<Arc<dyn ObjectStore>, Error> {
        open_store(location, connection).await
    }

    /// A connection to the aggregator.
    ///
    /// # Errors
    /// It can't be made.
    async fn connect(&self, endpoint: &Endpoint) -> Result<Channel, transport::Error> {
        endpoint.connect().await
    }
}

/// The real one.
#[derive(Debug)]
pub struct World;

impl Outside for World {}
