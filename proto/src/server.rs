//! The aggregator's end of the link: a trait to implement, and the tonic service that calls it.

use std::pin::Pin;
use std::sync::Arc;

use tonic::codegen::tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::generated as wire;
use crate::generated::ingest_server::{Ingest as GeneratedIngest, IngestServer};
use crate::message::{ToAgent, ToAggregator};

/// A stream of checked messages from one agent. A malformed message is an error item that ends the stream.
pub type Inbound = Pin<Box<dyn Stream<Item = Result<ToAggregator, Status>> + Send>>;

/// What goes back to one agent. An error item ends the stream.
pub type Outbound = Pin<Box<dyn Stream<Item = Result<ToAgent, Status>> + Send>>;

/// Who is at the other end, as the transport knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A plaintext connection: nothing is known of the peer.
    Plaintext,
    /// Mutual TLS: the client's certificate chain, DER, leaf first.
    Certificate(Vec<Vec<u8>>),
}

/// What the aggregator does with a link.
#[tonic::async_trait]
pub trait Ingest: Send + Sync + 'static {
    /// Called once per stream. An `Err` refuses the stream.
    async fn open(&self, peer: Peer, inbound: Inbound) -> Result<Outbound, Status>;
}

/// The tonic service for an [`Ingest`]; `message_bytes_max` bounds a message in either direction.
pub fn service<I: Ingest>(ingest: Arc<I>, message_bytes_max: usize) -> IngestServer<impl GeneratedIngest> {
    IngestServer::new(Adapter { ingest })
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(message_bytes_max)
}

struct Adapter<I> {
    ingest: Arc<I>,
}

#[tonic::async_trait]
impl<I: Ingest> GeneratedIngest for Adapter<I> {
    type OpenStream = Pin<Box<dyn Stream<Item = Result<wire::AggregatorMessage, Status>> + Send>>;

    async fn open(
        &self,
        request: Request<Streaming<wire::AgentMessage>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let peer = match request.peer_certs() {
            Some(chain) => Peer::Certificate(chain.iter().map(|der| der.as_ref().to_vec()).collect()),
            None => Peer::Plaintext,
        };
        let inbound = request.into_inner().map(|message| {
            ToAggregator::try_from(message?).map_err(|malformed| Status::invalid_argument(malformed.to_string()))
        });
        let outbound = self.ingest.open(peer, Box::pin(inbound)).await?;
        Ok(Response::new(Box::pin(outbound.map(|message| message.map(Into::into)))))
    }
}
