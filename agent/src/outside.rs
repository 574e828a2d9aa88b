//! What an agent reaches outside its machine: the stores of its sources, their queues, event histories, organizations and
//! the aggregator.
//!
//! Owns how they are opened, and nothing that is done with them. The default methods are the real thing; the simulation
//! answers them from memory.

use std::fmt::Debug;
use std::sync::Arc;

use orgtrail_cloud::{
    Connection, Error, Identity, Location, Lookup, ObjectStore, Organization, Queue, Regions, caller_identity,
    open_lookup, open_organization, open_queue, open_regions, open_store,
};
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

    /// A queue that tells of new objects. Calls nothing yet.
    ///
    /// # Errors
    /// The id can't be opened.
    async fn open_queue(&self, id: &str, connection: &Connection) -> Result<Arc<dyn Queue>, Error> {
        open_queue(id, connection).await
    }

    /// The event history of a region. Calls nothing yet.
    ///
    /// # Errors
    /// It can't be opened.
    async fn open_lookup(&self, region: &str, connection: &Connection) -> Result<Arc<dyn Lookup>, Error> {
        open_lookup(region, connection).await
    }

    /// The regions of an account. Calls nothing yet.
    async fn open_regions(&self, connection: &Connection) -> Arc<dyn Regions> {
        open_regions(connection).await
    }

    /// Who a connection is.
    ///
    /// # Errors
    /// There are no credentials, or STS refuses them.
    async fn caller_identity(&self, connection: &Connection) -> Result<Identity, Error> {
        caller_identity(connection).await
    }

    /// The organization that `from` names: `aws`, or the file of its accounts. Calls nothing yet.
    ///
    /// # Errors
    /// It names none.
    async fn open_organization(&self, from: &str, connection: &Connection) -> Result<Arc<dyn Organization>, Error> {
        open_organization(from, connection).await
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
