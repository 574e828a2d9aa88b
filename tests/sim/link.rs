//! The link between agent and aggregator, in memory: connections that can be refused, held up and cut.
//!
//! What is on its way when a connection is cut is lost, in either direction: an answer that the aggregator has given and the
//! agent never sees.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use orgtrail_aggregator::{Incoming, Wire};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::Service;
use tonic::transport::{Channel, Endpoint, Error, Uri};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the agent.
    Up,
    /// To the agent: answers.
    Down,
}

/// The network; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Network(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Moves when every connection is to be cut.
    cuts: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    listener: Option<mpsc::Sender<io::Result<Wire>>>,
    refused_until: Instant,
    held_until: [Instant; 2],
    carried: [u64; 2],
    random: StdRng,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        let now = Instant::now();
        let random = StdRng::seed_from_u64(seed);
        let state = State { listener: None, refused_until: now, held_until: [now; 2], carried: [0; 2], random };
        Self(Arc::new(Shared { state: Mutex::new(state), cuts: watch::Sender::new(0) }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.0.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// No connection comes about for so long.
    pub(crate) fn refuse(&self, span: Duration) {
        self.lock().refused_until = Instant::now() + span;
    }

    /// Nothing arrives that way for so long.
    pub(crate) fn hold(&self, way: Way, span: Duration) {
        self.lock().held_until[way as usize] = Instant::now() + span;
    }

    /// All is well from here on.
    pub(crate) fn heal(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        (state.refused_until, state.held_until) = (now, [now; 2]);
    }

    /// Bytes that arrived that way since the beginning.
    pub(crate) fn carried(&self, way: Way) -> u64 {
        self.lock().carried[way as usize]
    }

    /// The aggregator takes connections.
    pub(crate) fn listen(&self) -> Incoming {
        let (sender, receiver) = mpsc::channel(16);
        self.lock().listener = Some(sender);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 7443));
        let connections = Box::pin(ReceiverStream::new(receiver).map(|wire| wire));
        Incoming { address, connections }
    }

    /// The aggregator is gone.
    pub(crate) fn unlisten(&self) {
        self.lock().listener = None;
        self.cut();
    }

    /// A connection of the agent.
    pub(crate) async fn connect(&self, endpoint: &Endpoint) -> Result<Channel, Error> {
        endpoint.connect_with_connector(Connector(self.clone())).await
    }

    async fn dial(self) -> io::Result<TokioIo<DuplexStream>> {
        sleep(Duration::from_millis(5)).await;
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let (listener, seed) = {
            let mut state = self.lock();
            if Instant::now() < state.refused_until {
                return Err(refused());
            }
            let seed = state.random.random();
            (state.listener.clone().ok_or_else(refused)?, seed)
        };
        let (agent, near) = tokio::io::duplex(64 << 10);
        let (far, aggregator) = tokio::io::duplex(64 << 10);
        listener.send(Ok(Wire::new(aggregator))).await.map_err(|_| refused())?;
        self.forward(near, far, seed);
        Ok(TokioIo::new(agent))
    }

    #[expect(clippy::disallowed_methods, reason = "the network is no process of ours")]
    fn forward(&self, near: DuplexStream, far: DuplexStream, seed: u64) {
        let (near_read, near_write) = tokio::io::split(near);
        let (far_read, far_write) = tokio::io::split(far);
        let mut cuts = self.0.cuts.subscribe();
        let up = carry(self.clone(), Way::Up, near_read, far_write, seed);
        let down = carry(self.clone(), Way::Down, far_read, near_write, !seed);
        tokio::spawn(async move {
            let cut = async {
                cuts.borrow_and_update();
                drop(cuts.changed().await);
            };
            tokio::select! {
                () = up => {}
                () = down => {}
                () = cut => {}
            }
        });
    }
}

async fn carry(
    network: Network,
    way: Way,
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    seed: u64,
) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut chunk = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        sleep(Duration::from_millis(random.random_range(0..8))).await;
        loop {
            let until = network.lock().held_until[way as usize];
            if until <= Instant::now() {
                break;
            }
            sleep_until(until).await;
        }
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
        network.lock().carried[way as usize] += count as u64;
    }
}

/// Makes tonic's connections.
struct Connector(Network);

type Dialing = Pin<Box<dyn Future<Output = io::Result<TokioIo<DuplexStream>>> + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<DuplexStream>;
    type Error = io::Error;
    type Future = Dialing;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Dialing {
        Box::pin(self.0.clone().dial())
    }
}
