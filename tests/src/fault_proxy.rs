//! A proxy in front of an HTTP server that breaks chosen requests: the faults an emulator doesn't have.
//!
//! Owns: the faults. Knows of HTTP only where a request's head and an answer's body begin. Every connection carries one
//! request, so that each request meets the faults as they stand.

use orgtrail_service::clock::system;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// No request's head is longer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The connection is reset before anything is answered.
    Reset,
    /// The request is taken and never answered.
    Stall,
    /// The answer ends, connection and all, after so many bytes of its body.
    CutBody(usize),
    /// The answer stops after so many bytes of its body, and the connection stays open.
    StallBody(usize),
    /// S3's answer to too many requests, also to those that would make KMS throttle: 503 SlowDown.
    SlowDown,
    /// KMS's answer to too many requests: 400 ThrottlingException.
    Throttled,
    /// An answer of one's own: the status line's end, such as `403 Forbidden`, and the body.
    Answer(&'static str, String),
    /// The server's answer, and by its `Date` it was given so many seconds later than now. Negative ones are earlier.
    Date(i64),
}

/// A fault and the requests it is for.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Only requests that are described with this: `GET /bucket/key HTTP/1.1 s3`. The description is the first line, the
    /// operation where a header names it (`TrentService.Decrypt`), and the service that the request is signed for.
    pub request_contains: String,
    /// What happens to them.
    pub mode: Mode,
    /// How often; then it is over.
    pub times: u32,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    requests: Vec<String>,
}

/// A running proxy; it ends when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

impl FaultProxy {
    /// A proxy in front of this server, without faults yet.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::<Mutex<State>>::default();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, upstream, state.clone()));
        Ok(Self { address, state, _serving: serving })
    }

    /// Where to send requests.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a fault. The first that fits a request is used.
    pub fn fail(&self, request_contains: impl Into<String>, mode: Mode, times: u32) {
        let fault = Fault { request_contains: request_contains.into(), mode, times };
        self.state.lock().unwrap_or_else(PoisonError::into_inner).faults.push(fault);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).faults.clear();
    }

    /// How many requests had this in their description.
    pub fn requests(&self, contains: &str) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests.iter().filter(|line| line.contains(contains)).count()
    }
}

async fn serve(listener: TcpListener, upstream: SocketAddr, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let state = state.clone();
        connections.spawn(async move {
            // Either side may go away at any moment; that is what the proxy is for.
            drop(connection(client, upstream, &state).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(mut client: TcpStream, upstream: SocketAddr, state: &Mutex<State>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (head, rest) = read_head(&mut client).await?;
    match take_fault(state, description(&head)) {
        Some(Mode::Reset) => client.set_zero_linger(),
        Some(Mode::Stall) => wait_for_end(&mut client).await,
        Some(Mode::SlowDown) => {
            let body = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
            refuse(&mut client, "503 Slow Down", body).await
        }
        Some(Mode::Throttled) => {
            let body =
                r#"{"__type":"ThrottlingException","message":"You have exceeded the rate at which you may call KMS."}"#;
            refuse(&mut client, "400 Bad Request", body).await
        }
        Some(Mode::Answer(status, body)) => refuse(&mut client, status, &body).await,
        fault => {
            let mut server = TcpStream::connect(upstream).await?;
            server.set_nodelay(true)?;
            // One request a connection: the server is asked to close after it.
            let asked = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            server.write_all(asked.as_bytes()).await?;
            server.write_all(&rest).await?;
            let (mut from_client, mut to_client) = client.split();
            let (mut from_server, mut to_server) = server.split();
            let up = async {
                tokio::io::copy(&mut from_client, &mut to_server).await?;
                std::future::pending().await
            };
            tokio::select! {
                done = up => done,
                done = answer(&mut from_server, &mut to_client, fault) => done,
            }
        }
    }
}

/// Passes the answer on until its fault.
async fn answer(
    server: &mut (impl AsyncRead + Unpin),
    client: &mut (impl AsyncWrite + Unpin),
    fault: Option<Mode>,
) -> io::Result<()> {
    let (mut head, body) = read_head(server).await?;
    if let Some(Mode::Date(seconds)) = fault {
        head = dated(&head, seconds);
    }
    client.write_all(head.as_bytes()).await?;
    let (Some(Mode::CutBody(left)) | Some(Mode::StallBody(left))) = fault else {
        client.write_all(&body).await?;
        tokio::io::copy(server, client).await?;
        return client.shutdown().await;
    };
    let body = &body[..body.len().min(left)];
    client.write_all(body).await?;
    tokio::io::copy(&mut server.take((left - body.len()) as u64), client).await?;
    client.flush().await?;
    if let Some(Mode::StallBody(_)) = fault { std::future::pending().await } else { client.shutdown().await }
}

/// The head with its empty line, and what was read beyond it.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if bytes.len() > HEAD_BYTES_MAX || stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The head with a `Date` that is so many seconds from now.
fn dated(head: &str, seconds: i64) -> String {
    let date = system().now() + jiff::SignedDuration::from_secs(seconds);
    let lines = head.split_inclusive("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
    let kept: String = lines.collect();
    kept.replacen("\r\n", &format!("\r\nDate: {}\r\n", date.strftime("%a, %d %b %Y %H:%M:%S GMT")), 1)
}

async fn refuse(client: &mut TcpStream, status: &str, body: &str) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    client.write_all(format!("{head}{body}").as_bytes()).await?;
    client.shutdown().await?;
    wait_for_end(client).await
}

async fn wait_for_end(client: &mut TcpStream) -> io::Result<()> {
    tokio::io::copy(client, &mut tokio::io::sink()).await.map(drop)
}

/// What faults go by, see [`Fault::request_contains`].
fn description(head: &str) -> String {
    let mut lines = head.lines();
    let mut description = lines.next().unwrap_or_default().to_owned();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let part = match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => value,
            // Credential=KEY/DATE/REGION/SERVICE/aws4_request
            "authorization" => {
                value.split("/aws4_request").next().and_then(|scope| scope.rsplit('/').next()).unwrap_or_default()
            }
            _ => continue,
        };
        description.push(' ');
        description.push_str(part);
    }
    description
}

/// The fault for a request, which is noted.
fn take_fault(state: &Mutex<State>, line: String) -> Option<Mode> {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let fault = state.faults.iter_mut().find(|fault| fault.times > 0 && line.contains(&fault.request_contains));
    let mode = fault.map(|fault| {
        fault.times -= 1;
        fault.mode.clone()
    });
    state.requests.push(line);
    mode
}
