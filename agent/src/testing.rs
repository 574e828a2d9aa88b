//! What tests share: objects on their way with a claim that nobody else holds, and an aggregator that does as told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use orgtrail_cloud::Location;
use orgtrail_cloud::object_store::LocalStore;
use orgtrail_event::key::Folder;
use orgtrail_proto::{Inbound, Ingest, MESSAGE_BYTES_MAX, Outbound, Peer, ToAgent, ToAggregator};
use orgtrail_service::budget::Budget;
use orgtrail_service::shape;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;

use crate::checkpoint::{Checkpoint, Claimed, FolderId, Listed, Verdict};
use crate::discover::Wakes;
use crate::object::{Fetched, ObjectRef, Source, SourceFolder};

pub(crate) const FOLDER: &str = "AWSLogs/111122223333/CloudTrail/eu-west-1/";

/// A folder of a source that does not exist.
pub(crate) fn folder(id: FolderId) -> Arc<SourceFolder> {
    let location: Location = "file:///nowhere".parse().unwrap();
    let config = crate::config::Source { location: Some(location.clone()), ..Default::default() };
    let source = Source::new(&config, &location, Arc::new(LocalStore::new("/nowhere")));
    Arc::new(SourceFolder::new(Arc::new(source), Folder::parse(FOLDER).unwrap(), id, Wakes::default()))
}

/// Claims an object called `key` in the checkpoint.
pub(crate) fn claimed(checkpoint: &Checkpoint, key: &str) -> ObjectRef {
    let id = checkpoint.folder("file:///nowhere", FOLDER, "111122223333", "eu-west-1", None).unwrap();
    let listed = Listed {
        key: key.to_owned(),
        day: jiff::civil::date(2024, 5, 1),
        size: 10,
        etag: "e".into(),
        last_modified: "2024-05-01T12:00:00Z".parse().unwrap(),
        verdict: Verdict::Take { stamp: 1 },
    };
    let Claimed { mut taken, .. } = checkpoint.claim(id, vec![listed]).unwrap();
    let (listed, claim) = taken.pop().expect("not claimed yet");
    let Listed { key, size, etag, last_modified, .. } = listed;
    ObjectRef { folder: folder(id), key, size, etag, last_modified, stamp: 1, lane: claim.lane, claim }
}

/// The object with `size` bytes that are no gzip, for stages that do not look at them.
pub(crate) fn with_bytes(object: ObjectRef, size: usize) -> Fetched {
    let permit = Budget::new(shape::Bytes::mib(1)).try_acquire(1).expect("a fresh budget has room");
    let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
    let gzip = Bytes::from(bytes);
    Fetched {
        object,
        sha256: [7; 32],
        inflated_bytes: size as u64,
        gzip,
        digest: None,
        statement: None,
        _held: permit.into(),
    }
}

/// An object on its way whose checkpoint is gone.
pub(crate) fn fetched(key: &str, size: usize) -> Fetched {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(dir.path(), std::time::Duration::from_secs(3600)).unwrap();
    with_bytes(claimed(&checkpoint, key), size)
}

/// What an aggregator does about a message on its n-th stream, from 0. An error breaks the stream off.
type Behaviour = Box<dyn FnMut(usize, ToAggregator) -> Vec<Result<ToAgent, Status>> + Send>;

/// An aggregator on a loopback port.
pub(crate) struct FakeAggregator {
    pub(crate) address: SocketAddr,
    _serving: JoinSet<()>,
}

struct Fake {
    streams: Mutex<usize>,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl FakeAggregator {
    pub(crate) async fn start(
        behaviour: impl FnMut(usize, ToAggregator) -> Vec<Result<ToAgent, Status>> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fake = Fake { streams: Mutex::new(0), behaviour: Arc::new(Mutex::new(Box::new(behaviour))) };
        let service = orgtrail_proto::service(Arc::new(fake), MESSAGE_BYTES_MAX);
        let server = tonic::transport::Server::builder().add_service(service);
        let mut serving = JoinSet::new();
        serving.spawn(async move { server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap() });
        Self { address, _serving: serving }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

#[tonic::async_trait]
impl Ingest for Fake {
    async fn open(&self, _: Peer, inbound: Inbound) -> Result<Outbound, Status> {
        let number = {
            let mut streams = self.streams.lock().unwrap();
            *streams += 1;
            *streams - 1
        };
        let behaviour = Arc::clone(&self.behaviour);
        let answers = inbound.flat_map(move |message| {
            let said = match message {
                Ok(message) => (behaviour.lock().unwrap())(number, message),
                Err(status) => vec![Err(status)],
            };
            stream::iter(said)
        });
        Ok(Box::pin(answers))
    }
}

pub(crate) fn welcome(epoch: u64) -> Vec<Result<ToAgent, Status>> {
    vec![Ok(ToAgent::Welcome { epoch, message_bytes_max: MESSAGE_BYTES_MAX })]
}

pub(crate) fn keys(message: &ToAggregator) -> Vec<String> {
    match message {
        ToAggregator::Batch(batch) => batch.objects.iter().map(|object| object.reference.key.clone()).collect(),
        ToAggregator::Part(part) => vec![part.reference.key.clone()],
        ToAggregator::Hello(_) | ToAggregator::Flush => Vec::new(),
    }
}

/// A folder as kill -9 leaves it: what is in its files at this moment.
pub(crate) fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
