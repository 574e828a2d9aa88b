//! The agent's end of the link: one stream, messages in and out.

use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::codegen::tokio_stream::{Stream, StreamExt};
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::generated as wire;
use crate::generated::ingest_client::IngestClient;
use crate::message::{ToAgent, ToAggregator};

/// Opens links over a channel.
#[derive(Debug, Clone)]
pub struct Client {
    inner: IngestClient<Channel>,
}

impl Client {
    /// `message_bytes_max` bounds what this end sends and takes in one message.
    pub fn new(channel: Channel, message_bytes_max: usize) -> Self {
        let inner = IngestClient::new(channel)
            .max_decoding_message_size(message_bytes_max)
            .max_encoding_message_size(message_bytes_max);
        Self { inner }
    }

    /// Opens a link; `outbound` must begin with `Hello`. The link ends when `outbound` does, or with a status.
    pub async fn open(&mut self, outbound: impl Stream<Item = ToAggregator> + Send + 'static) -> Result<Link, Status> {
        let response = self.inner.open(outbound.map(wire::AgentMessage::from)).await?;
        Ok(Link { inner: response.into_inner() })
    }
}

/// What the aggregator says on one stream, checked. A malformed message ends the stream.
#[derive(Debug)]
pub struct Link {
    inner: Streaming<wire::AggregatorMessage>,
}

impl Stream for Link {
    type Item = Result<ToAgent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.inner).poll_next(cx).map(|item| {
            item.map(|message| {
                ToAgent::try_from(message?).map_err(|malformed| Status::invalid_argument(malformed.to_string()))
            })
        })
    }
}
