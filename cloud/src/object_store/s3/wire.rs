//! One HTTP/1.1 connection, plain or TLS: a request's head goes out, an answer with a length comes in.
//!
//! Owns reading an answer and nothing of what it means. What S3 never sends with an object (chunks, no length, another
//! version of HTTP) is [`Head::is_usual`] no object; the caller asks in another way then. An error leaves the connection
//! unusable; dropping a call half-way too, so whoever drops one drops the connection with it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::timestamp;
use crate::object_store::ObjectMeta;

/// The buffer of a connection: an answer's head, and the body where it fits too. Most log files do.
const BUFFER_BYTES: usize = 16 << 10;

/// S3 has some twenty headers and user metadata of 2 KB.
const HEADERS_MAX: usize = 96;

/// The first allocation for a body, whatever length it announces.
const RESERVE_MAX: usize = 16 << 20;

/// How long a body may stand still: as long as the SDK waits.
const STILL_MAX: Duration = Duration::from_secs(5);

/// The longest body of a refusal that is read so that its connection can be kept.
const REFUSAL_BYTES_MAX: u64 = 8 << 10;

/// Where connections go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    /// `host[:port]` as in a URL: the header `Host`.
    pub(super) authority: String,
    /// Name or address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
}

/// A connection that nothing is outstanding on.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What an answer begins with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Bytes of the body. `None`: it ends in another way.
    pub(super) length: Option<u64>,
    pub(super) etag: String,
    pub(super) last_modified: String,
    pub(super) metadata: BTreeMap<String, String>,
    keep: bool,
    /// Bytes of the head itself.
    bytes: usize,
}

impl Peer {
    /// Takes a URL's scheme and authority apart.
    pub(super) fn parse(scheme: &str, authority: &str) -> Option<Self> {
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let port_of = |text: &str| text.strip_prefix(':').map(|port| port.parse().ok());
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) = bracketed.split_once(']')?;
                (host, port_of(rest))
            }
            None => {
                let end = authority.find(':').unwrap_or(authority.len());
                (&authority[..end], port_of(&authority[end..]))
            }
        };
        let port = port.unwrap_or(Some(if tls { 443 } else { 80 }))?;
        let plain = !host.is_empty() && !authority.contains('@');
        plain.then(|| Self { authority: authority.to_owned(), host: host.to_owned(), port, tls })
    }
}

impl Head {
    /// Whether it is an object's, as S3 sends it.
    pub(super) fn is_usual(&self) -> bool {
        self.status == 200 && self.length.is_some()
    }

    /// What a listing would tell.
    pub(super) fn meta(&self, key: &str) -> ObjectMeta {
        let modified = aws_smithy_types::DateTime::from_str(&self.last_modified, Format::HttpDate).ok();
        ObjectMeta {
            key: key.to_owned(),
            size: self.length.unwrap_or_default(),
            etag: self.etag.trim_matches('"').to_owned(),
            last_modified: timestamp(modified.as_ref()),
        }
    }

    /// `None` where more must be read first.
    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut answer = httparse::Response::new(&mut headers);
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let httparse::Status::Complete(bytes) = answer.parse(bytes).map_err(invalid)? else { return Ok(None) };
        let mut head =
            Self { status: answer.code.unwrap_or_default(), keep: answer.version == Some(1), bytes, ..Self::default() };
        let (mut lengths, mut chunked) = (Vec::new(), false);
        for header in answer.headers {
            let value =
                || std::str::from_utf8(header.value).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
            let name = header.name.to_ascii_lowercase();
            match name.as_str() {
                "content-length" => lengths.push(value()?.parse::<u64>().map_err(|_| io::ErrorKind::InvalidData)?),
                "transfer-encoding" => chunked = true,
                "connection" => head.keep &= !value()?.to_ascii_lowercase().contains("close"),
                "etag" => value()?.clone_into(&mut head.etag),
                "last-modified" => value()?.clone_into(&mut head.last_modified),
                name => {
                    if let Some(name) = name.strip_prefix("x-amz-meta-") {
                        head.metadata.insert(name.to_owned(), value()?.to_owned());
                    }
                }
            }
        }
        head.length = match lengths[..] {
            [length] if !chunked => Some(length),
            _ => None,
        };
        Ok(Some(head))
    }
}

impl Wire {
    /// Connects, with TLS where it is asked for.
    pub(super) async fn open(peer: &Peer) -> io::Result<Self> {
        let tcp = TcpStream::connect((peer.host.as_str(), peer.port)).await?;
        tcp.set_nodelay(true)?;
        let stream = if peer.tls {
            let name = ServerName::try_from(peer.host.clone()).map_err(io::Error::other)?;
            Stream::Tls(Box::new(TlsConnector::from(trust()?).connect(name, tcp).await?))
        } else {
            Stream::Plain(tcp)
        };
        Ok(Self { stream, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// Sends a request and reads the head of its answer.
    pub(super) async fn ask(&mut self, request: &[u8]) -> io::Result<Head> {
        self.buffer.clear();
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(request).await?,
            Stream::Tls(stream) => {
                stream.write_all(request).await?;
                stream.flush().await?;
            }
        }
        loop {
            if self.buffer.len() == self.buffer.capacity() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer's head is too long"));
            }
            self.stream.read(&mut self.buffer).await?;
            if let Some(head) = Head::parse(&self.buffer)? {
                return Ok(head);
            }
        }
    }

    /// Reads the body that belongs to a head. It must have a length, which the caller has found to be small enough.
    pub(super) async fn body(&mut self, head: &Head) -> io::Result<Bytes> {
        let length = head.length.and_then(|length| usize::try_from(length).ok()).ok_or(io::ErrorKind::InvalidData)?;
        let ends = head.bytes.saturating_add(length);
        if ends <= self.buffer.capacity() {
            while self.buffer.len() < ends {
                self.stream.read_on(&mut self.buffer).await?;
            }
            let body = self.buffer.get(head.bytes..ends).filter(|_| self.buffer.len() == ends);
            return body.map(Bytes::copy_from_slice).ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
        let mut body = Vec::with_capacity(length.min(RESERVE_MAX));
        body.extend_from_slice(&self.buffer[head.bytes..]);
        while body.len() < length {
            // Never more than is to come: what is behind it would be another answer.
            body.reserve_exact((length - body.len()).min(RESERVE_MAX));
            self.stream.read_on(&mut body).await?;
        }
        if body.len() == length { Ok(body.into()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Whether the connection can be used again after an answer that is no object: reads its body where that is short.
    pub(super) async fn skip(&mut self, head: &Head) -> io::Result<bool> {
        match head.length {
            Some(length) if head.keep && length <= REFUSAL_BYTES_MAX => self.body(head).await.map(|_| true),
            _ => Ok(false),
        }
    }

    /// Whether the other side keeps the connection open after this answer.
    pub(super) fn is_kept(head: &Head) -> bool {
        head.keep
    }
}

impl Stream {
    /// Reads once, and gives up where nothing comes.
    async fn read_on(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        let read = tokio::time::timeout(STILL_MAX, self.read(into)).await;
        read.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the body stands still")))
    }

    /// Reads once, at least one byte.
    async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        async fn once(stream: &mut (impl AsyncRead + Unpin), into: &mut Vec<u8>) -> io::Result<()> {
            match stream.read_buf(into).await? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(()),
            }
        }
        match self {
            Self::Plain(stream) => once(stream, into).await,
            Self::Tls(stream) => once(stream.as_mut(), into).await,
        }
    }
}

/// The certificates that the machine trusts, read once: the same as the SDK's.
fn trust() -> io::Result<Arc<ClientConfig>> {
    static TRUST: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(trust) = TRUST.get() {
        return Ok(Arc::clone(trust));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::clone(TRUST.get_or_init(|| Arc::new(config))))
}
