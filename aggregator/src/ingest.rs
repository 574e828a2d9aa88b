//! Hops 6 to 8: agents' streams in, answers out.
//!
//! Owns who may speak, the scanning of what they send, and one answer for every object. Does not own what is a duplicate
//! or what is durable (that is the journal), nor any state that outlives a stream.
//!
//! Backpressure: a stream isn't read further while its batches and the memory budget are taken; HTTP/2 flow control passes
//! that on to the agent. Cancellation: a stream that breaks drops its unanswered batches; what of them reached the journal is
//! recognised when the agent sends it again.

pub(crate) mod agents;
mod assemble;
mod naming;
pub(crate) mod scan;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, FuturesUnordered, StreamExt};
use orgtrail_event::selector::Selection;
use orgtrail_proto::{Batch, Disposition, Hello, Inbound, Ingest, Object, Outbound, Peer, ToAgent, ToAggregator};
use orgtrail_service::budget::Budget;
use orgtrail_service::clock::Clock;
use orgtrail_service::health::Health;
use orgtrail_service::quarantine::{Entry, Id, Quarantine};
use orgtrail_service::workers::Workers;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::config;
use crate::journal::{self, Journal, Prepared, Seq};
use crate::metrics::Metrics;
use crate::seal;
use agents::{Accounts, Agents};
use assemble::Assembly;
use scan::{Bad, Rejection, Scan, Scanner};

/// The part of health that a full journal degrades.
const PART: &str = "journal";

/// How long a new stream may take to say who it is.
const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// Batches of one stream that are worked on at once.
const BATCHES_MAX: usize = 8;

/// When an agent should offer an object again that could not be taken now.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Answers every stream; see the module's description.
pub(crate) struct Service {
    agents: Agents,
    context: Context,
    settings: config::Ingest,
    memory: Budget,
    streams: Arc<Semaphore>,
    scanners: Arc<Scanners>,
}

/// As many scanners as there are workers, each with its buffers: for what agents send and for replays.
pub(crate) struct Scanners {
    idle: Mutex<Vec<Scanner>>,
    inflated_bytes_max: usize,
    selections: Arc<[Selection]>,
}

/// The parts of the process that ingest works with.
pub(crate) struct Context {
    pub(crate) journal: Journal,
    pub(crate) quarantine: Arc<Quarantine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Health,
    /// Where objects are scanned.
    pub(crate) workers: Arc<Workers>,
    /// Everything below this seq is to be delivered without waiting.
    pub(crate) flush: watch::Sender<Seq>,
    pub(crate) cancel: CancellationToken,
}

impl Service {
    pub(crate) fn new(config: &config::Config, scanners: Arc<Scanners>, context: Context) -> Self {
        Self {
            agents: Agents::new(&config.agents),
            context,
            memory: Budget::new(config.ingest.memory),
            streams: Arc::new(Semaphore::new(config.ingest.streams_max)),
            settings: config.ingest.clone(),
            scanners,
        }
    }
}

/// What a stream's driver needs; the stream of answers owns it, so a broken stream ends it.
struct Stream {
    service: Arc<Service>,
    accounts: Arc<Accounts>,
    assembly: Assembly,
    _place: OwnedSemaphorePermit,
}

/// Newtype, so that the trait can be implemented for a shared service.
pub(crate) struct Shared(pub(crate) Arc<Service>);

#[tonic::async_trait]
impl Ingest for Shared {
    async fn open(&self, peer: Peer, mut inbound: Inbound) -> Result<Outbound, Status> {
        let service = Arc::clone(&self.0);
        let Ok(place) = Arc::clone(&service.streams).try_acquire_owned() else {
            return Err(Status::resource_exhausted("too many streams are open (ingest.streams_max)"));
        };
        let hello = match tokio::time::timeout(HELLO_WITHIN, inbound.next()).await {
            Ok(Some(Ok(ToAggregator::Hello(hello)))) => hello,
            Ok(Some(Err(status))) => return Err(status),
            _ => return Err(Status::invalid_argument("a stream begins with Hello")),
        };
        let accounts = service.admit(&peer, &hello)?;
        let (answers, outbound) = mpsc::channel(BATCHES_MAX);
        let assembly = Assembly::new(service.settings.object_bytes_max.as_u64());
        let driver =
            Stream { service, accounts: Arc::new(accounts), assembly, _place: place }.run(hello, inbound, answers);
        // The driver says something itself only when it ends the stream with a status.
        let end = stream::once(driver).filter_map(|ended| std::future::ready(ended.err().map(Err)));
        Ok(Box::pin(stream::select(ReceiverStream::new(outbound).map(Ok), end)))
    }
}

impl Stream {
    async fn run(mut self, hello: Hello, mut inbound: Inbound, answers: mpsc::Sender<ToAgent>) -> Result<(), Status> {
        let service = Arc::clone(&self.service);
        let _connected = service.context.metrics.agent_connected(&hello.agent);
        let mut delivered = service.context.journal.watch_delivered();
        let welcome = ToAgent::Welcome {
            epoch: service.context.journal.epoch(),
            message_bytes_max: service.settings.message_bytes_max.as_usize(),
        };
        send(&answers, welcome).await?;
        delivered.mark_changed();
        // At most one batch that waits, unread on, for its share of the memory of all streams.
        let mut waiting = FuturesUnordered::new();
        let mut working = FuturesUnordered::new();
        let mut open = true;
        while open || !waiting.is_empty() || !working.is_empty() {
            // Cancel-safe: every arm's future either loses nothing when dropped (next, changed, cancelled) or is kept in
            // `waiting` or `working` between rounds.
            tokio::select! {
                () = service.context.cancel.cancelled(), if open => open = false,
                Some(answered) = working.next(), if !working.is_empty() => {
                    send(&answers, answered?).await?;
                }
                changed = delivered.changed() => {
                    changed.map_err(|_| Status::unavailable("shutting down"))?;
                    let seq_end = *delivered.borrow_and_update();
                    send(&answers, ToAgent::Delivered { seq_end }).await?;
                }
                Some((batch, permit)) = waiting.next(), if !waiting.is_empty() => {
                    working.push(answer(Arc::clone(&service), Arc::clone(&self.accounts), batch, permit));
                }
                message = inbound.next(), if open && waiting.is_empty() && working.len() < BATCHES_MAX => match message {
                    None => open = false,
                    Some(message) => {
                        if let Some(batch) = self.receive(message?)? {
                            let memory = &service.memory;
                            waiting.push(async move {
                                let permit = memory.acquire(bytes_of(&batch)).await;
                                (batch, permit)
                            });
                        }
                    }
                },
            }
        }
        Ok(())
    }

    fn receive(&mut self, message: ToAggregator) -> Result<Option<Batch>, Status> {
        match message {
            ToAggregator::Batch(batch) => Ok(Some(batch)),
            ToAggregator::Part(part) => {
                self.assembly.push(part).map_err(|error| Status::invalid_argument(error.to_string()))
            }
            ToAggregator::Flush => {
                self.service.context.flush.send_replace(*self.service.context.journal.watch_head().borrow());
                Ok(None)
            }
            ToAggregator::Hello(_) => Err(Status::invalid_argument("Hello comes once")),
        }
    }
}

async fn send(answers: &mpsc::Sender<ToAgent>, message: ToAgent) -> Result<(), Status> {
    answers.send(message).await.map_err(|_| Status::cancelled("the agent is gone"))
}

fn bytes_of(batch: &Batch) -> u64 {
    batch.objects.iter().map(|object| object.gzip.len() as u64).sum()
}

/// Takes a batch from admission to the journal. The permit goes with it.
async fn answer(
    service: Arc<Service>,
    accounts: Arc<Accounts>,
    batch: Batch,
    _permit: orgtrail_service::budget::Permit,
) -> Result<ToAgent, Status> {
    let batch_id = batch.id;
    if let Err(full) = service.context.journal.room_for(bytes_of(&batch)) {
        return Ok(ToAgent::Answer { batch_id, dispositions: service.push_back(batch.objects.len(), &full) });
    }
    let scans = service.scan(&accounts, batch.objects).await?;
    let mut dispositions = vec![None; scans.len()];
    let mut prepared = Vec::with_capacity(scans.len());
    let mut places = Vec::with_capacity(scans.len());
    for (index, scan) in scans.into_iter().enumerate() {
        match scan {
            Scan::Reject(Rejection { reason, detail }) => {
                service.context.metrics.rejected(reason);
                dispositions[index] = Some(Disposition::Reject { reason: reason.to_owned(), detail });
            }
            Scan::Object(object, bad) => match service.quarantine_bad(&object, bad).await {
                Ok(()) => {
                    prepared.push(*object);
                    places.push(index);
                }
                Err(detail) => dispositions[index] = Some(Disposition::Retry { after: RETRY_AFTER, detail }),
            },
        }
    }
    let count = prepared.len();
    let appended = match service.context.journal.append(prepared).await {
        Ok(appended) => {
            service.context.health.set_ok(PART);
            appended.into_iter().map(|one| Disposition::Accepted { seq: one.seq, damage: one.damage }).collect()
        }
        Err(journal::Error::Stopped(why)) => return Err(Status::unavailable(why)),
        Err(full) => service.push_back(count, &full),
    };
    for (index, disposition) in places.into_iter().zip(appended) {
        dispositions[index] = Some(disposition);
    }
    let dispositions = dispositions.into_iter().map(|one| one.expect("each object was rejected, put off or appended"));
    Ok(ToAgent::Answer { batch_id, dispositions: dispositions.collect() })
}

impl Service {
    fn admit(&self, peer: &Peer, hello: &Hello) -> Result<Accounts, Status> {
        self.agents.admit(peer, &hello.agent).map_err(|refused| {
            tracing::error!(agent.name = hello.agent, error = %refused, "refused an agent");
            Status::permission_denied(refused.to_string())
        })
    }

    /// The journal can't take these now: their agent waits, and readiness says why. Of a refused key its keeper says so.
    fn push_back(&self, objects: usize, why: &journal::Error) -> Vec<Disposition> {
        self.context.metrics.pushed_back.inc_by(objects as u64);
        if !matches!(why, journal::Error::Refused(_)) {
            self.context.health.set_degraded(PART, why.to_string());
        }
        vec![Disposition::Retry { after: RETRY_AFTER, detail: why.to_string() }; objects]
    }

    /// Scans on a worker.
    async fn scan(self: &Arc<Self>, accounts: &Arc<Accounts>, objects: Vec<Object>) -> Result<Vec<Scan>, Status> {
        let service = Arc::clone(self);
        let accounts = Arc::clone(accounts);
        let scanned = self.context.workers.run(move || {
            let mut scanner = service.scanners.take();
            let scans = objects.into_iter().map(|object| service.scan_one(&mut scanner, &accounts, object)).collect();
            service.scanners.give_back(scanner);
            scans
        });
        scanned.await.map_err(|panic| Status::internal(panic.to_string()))
    }

    fn scan_one(&self, scanner: &mut Scanner, accounts: &Accounts, object: Object) -> Scan {
        let name = match scan::name(&object) {
            Ok(name) => name,
            Err(rejection) => return Scan::Reject(rejection),
        };
        let account = name.account();
        if !accounts.contain(account) {
            let detail = format!("this agent is not registered for account {account}: see [[agents]] accounts");
            return Scan::Reject(Rejection { reason: "not_authorized", detail });
        }
        scanner.scan(object, name)
    }

    /// Puts bad stretches into quarantine, durably, before their file goes on (I10).
    async fn quarantine_bad(&self, object: &Prepared, bad: Vec<Bad>) -> Result<(), String> {
        if bad.is_empty() {
            return Ok(());
        }
        let now = self.context.clock.now();
        let entries: Vec<_> = bad.into_iter().map(|bad| Self::entry(object, bad, now)).collect();
        let quarantine = Arc::clone(&self.context.quarantine);
        let journal = self.context.journal.clone();
        let put = tokio::task::spawn_blocking(move || {
            entries.into_iter().try_for_each(|mut entry| {
                // Its bytes are a record's (I9).
                journal.seal().seal_payload(&mut entry)?;
                quarantine.put(entry).map(drop).map_err(seal::Error::from)
            })
        });
        let put = put.await.map_err(|panic| panic.to_string())?;
        put.map_err(|error| {
            tracing::error!(object.key = object.reference.key, error = %error, "put a bad record into quarantine");
            error.to_string()
        })
    }

    fn entry(object: &Prepared, bad: Bad, now: jiff::Timestamp) -> Entry {
        let reference = &object.reference;
        let subject = format!("{}/{}#{}", reference.source, reference.key, bad.offset);
        let id = Id::of(&[subject.as_bytes(), reference.etag.as_bytes()]);
        let mut entry = Entry::new(id, "bad_record", subject, bad.detail, now);
        entry.fields = BTreeMap::from([
            ("account.id".to_owned(), object.place.0.clone()),
            ("object.etag".to_owned(), reference.etag.clone()),
            ("record.bytes".to_owned(), bad.len.to_string()),
        ]);
        entry.payload = Some(bad.bytes);
        entry
    }
}

impl Scanners {
    /// `selections` are those of the trails, in the order in which the journal was told their names.
    pub(crate) fn new(inflated_bytes_max: usize, selections: Arc<[Selection]>) -> Self {
        Self { idle: Mutex::default(), inflated_bytes_max, selections }
    }

    pub(crate) fn take(&self) -> Scanner {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| Scanner::new(self.inflated_bytes_max, Arc::clone(&self.selections)))
    }

    pub(crate) fn give_back(&self, scanner: Scanner) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(scanner);
    }
}
