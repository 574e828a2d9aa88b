//! Connections of AWS's clients: bounded in number and time, and under TLS where that is configured.
//!
//! The handshake is part of a connection's reading and writing, so that a slow one holds up nobody else and has the same
//! time as everything else on that connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use orgtrail_service::http::listener::{Bounded, Connection};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// Takes connections, with or without TLS.
pub(crate) struct Listener {
    inner: Bounded,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    pub(crate) fn new(inner: Bounded, tls: Option<Arc<ServerConfig>>) -> Self {
        Self { inner, tls: tls.map(TlsAcceptor::from) }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        let (connection, address) = self.inner.accept().await;
        let stream = match &self.tls {
            None => Stream::Plain(connection),
            Some(tls) => Stream::Handshake(Box::new(tls.accept(connection))),
        };
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection.
pub(crate) enum Stream {
    Plain(Connection),
    Handshake(Box<Accept<Connection>>),
    Secure(Box<TlsStream<Connection>>),
}

impl Stream {
    /// What to read from and write to, once the handshake is over.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Duplex>>> {
        if let Self::Handshake(handshake) = self {
            let stream = ready!(Pin::new(handshake.as_mut()).poll(cx))
                .inspect_err(|error| tracing::info!(error = %error, "a client was refused in the TLS handshake"))?;
            *self = Self::Secure(Box::new(stream));
        }
        Poll::Ready(match self {
            Self::Plain(connection) => Ok(Pin::new(connection)),
            Self::Secure(stream) => Ok(Pin::new(stream.as_mut())),
            Self::Handshake(_) => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ready(cx))?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_ready(cx))?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ready(cx))?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ready(cx))?.poll_shutdown(cx)
    }
}
