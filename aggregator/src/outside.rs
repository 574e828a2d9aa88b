//! What an aggregator reaches outside its state folder: agents' connections, the places it delivers to, keys.
//!
//! Owns how they are opened, and nothing that is done with them. The default methods are the real thing; the simulation
//! answers them from memory.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::Context as _;
use futures::stream::{BoxStream, StreamExt as _};
use orgtrail_cloud::topic::{Topic, open_topic};
use orgtrail_cloud::{
    Connection, Error, KeyService, Location, ObjectStore, Signer, open_key_service, open_signer, open_store,
};
use orgtrail_service::workers::Workers;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Opens what lies outside. Nothing is called yet where a method says nothing else.
#[tonic::async_trait]
pub trait Outside: Send + Sync + Debug {
    /// Takes agents' connections at this address from now on.
    ///
    /// # Errors
    /// The address can't be bound.
    async fn listen(&self, address: SocketAddr) -> anyhow::Result<Incoming> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
        let address = listener.local_addr().unwrap_or(address);
        let connections = TcpListenerStream::new(listener).map(|stream| stream.map(Wire::tcp)).boxed();
        Ok(Incoming { address, connections })
    }

    /// The store that a trail is delivered to.
    ///
    /// # Errors
    /// The location can't be opened.
    async fn open_store(&self, location: &Location, connection: &Connection) -> Result<Arc<dyn ObjectStore>, Error> {
        open_store(location, connection).await
    }

    /// What signs a trail's digests.
    ///
    /// # Errors
    /// The key's file can't be read.
    async fn open_signer(&self, key_id: &str, connection: &Connection) -> Result<Arc<dyn Signer>, Error> {
        open_signer(key_id, connection).await
    }

    /// Where a trail's files are announced.
    ///
    /// # Errors
    /// The topic can't be opened.
    async fn open_topic(&self, id: &str, connection: &Connection) -> Result<Arc<dyn Topic>, Error> {
        open_topic(id, connection).await
    }

    /// The service that makes data keys for sealing.
    ///
    /// # Errors
    /// The key's file can't be read.
    async fn open_key_service(&self, key_id: &str, connection: &Connection) -> Result<Arc<dyn KeyService>, Error> {
        open_key_service(key_id, connection).await
    }

    /// The threads for what needs the processor.
    ///
    /// # Errors
    /// The machine refuses more threads.
    fn start_workers(&self) -> io::Result<Arc<Workers>> {
        Workers::start("worker")
    }
}

/// The real one.
#[derive(Debug)]
pub struct World;

impl Outside for World {}

/// The real one, for commands.
pub(crate) fn world() -> Arc<dyn Outside> {
    Arc::new(World)
}

/// Agents' connections.
pub struct Incoming {
    /// Where they come in, with the port that was taken.
    pub address: SocketAddr,
    /// One after the other.
    pub connections: BoxStream<'static, io::Result<Wire>>,
}

/// Bytes to and from one agent.
pub struct Wire {
    bytes: Pin<Box<dyn Bytes>>,
    ends: TcpConnectInfo,
}

/// Reads and writes.
pub trait Bytes: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Bytes for T {}

impl Wire {
    fn tcp(stream: tokio::net::TcpStream) -> Self {
        let ends = stream.connect_info();
        Self { bytes: Box::pin(stream), ends }
    }

    /// A connection that is no socket.
    pub fn new(bytes: impl Bytes + 'static) -> Self {
        Self { bytes: Box::pin(bytes), ends: TcpConnectInfo { local_addr: None, remote_addr: None } }
    }
}

impl Connected for Wire {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.ends.clone()
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.bytes.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.bytes.as_mut().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.bytes.as_mut().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.bytes.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bytes.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bytes.as_mut().poll_shutdown(cx)
    }
}
