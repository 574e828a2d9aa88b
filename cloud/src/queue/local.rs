//! A folder as queue, where there is no SQS: one file a message, for whoever writes files into it.
//!
//! Owns: the folder and the leases in it. Does not own: who writes. A writer makes its file elsewhere on the same file
//! system, or under a name that begins with a dot, and renames it into the folder; names that begin with a dot are no
//! messages.
//!
//! A message is lent by renaming it to `.leased/TOKEN.DEADLINE.COUNT.SENT.NAME`, so that of several readers exactly one gets
//! it. One whose deadline is over is lent again, whoever held it and whether that process still lives. Nothing is kept in
//! memory. Names are not synced: what a power failure takes back is a deletion, and that message comes again.

use super::{BODY_BYTES_MAX, Depth, Failure, Message, Queue, Receive, check_batch, check_receive, subject};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use jiff::Timestamp;
use std::collections::HashMap;
use std::fs::{self, DirEntry, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The folder of what is lent.
const LEASED: &str = ".leased";

/// Pause between two looks into the folder while waiting.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Most bytes of a name that a lease carries on: a file's name has 255, and the rest of a lease's up to 80.
const NAME_BYTES_MAX: usize = 160;

/// A folder that stands for a queue.
#[derive(Clone, Debug)]
pub struct LocalQueue {
    root: PathBuf,
    id: String,
}

impl LocalQueue {
    /// The queue in this folder, which must be there by the first call. `Invalid` where the path is not absolute.
    pub fn new(root: &Path) -> Result<Self, Error> {
        let id = format!("file://{}", root.display());
        match path_problem(root) {
            None => Ok(Self { root: root.to_owned(), id }),
            Some(why) => Err(Error::new(ErrorKind::Invalid, "open", subject(&id)).detail(why)),
        }
    }

    /// Runs on a thread that may wait for the disk.
    async fn on_disk<T: Send + 'static>(
        &self,
        verb: &'static str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let root = self.root.clone();
        match tokio::task::spawn_blocking(move || work(&root)).await {
            Ok(Ok(done)) => Ok(done),
            // Only the folder can be absent: what vanishes in it is passed over.
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::io(verb, subject(&self.id), error).with_kind(ErrorKind::ContainerMissing))
            }
            Ok(Err(error)) => Err(Error::io(verb, subject(&self.id), error)),
            Err(stopped) => Err(Error::new(ErrorKind::Other, verb, subject(&self.id)).source(stopped)),
        }
    }

    fn failures(&self, verb: &'static str, missing: Vec<String>) -> Vec<Failure> {
        let error = || Error::new(ErrorKind::NotFound, verb, subject(&self.id)).detail("the message is not lent to us");
        missing.into_iter().map(|receipt| Failure { receipt, error: error() }).collect()
    }
}

#[async_trait]
impl Queue for LocalQueue {
    fn id(&self) -> &str {
        &self.id
    }

    async fn receive(&self, request: &Receive) -> Result<Vec<Message>, Error> {
        check_receive(&self.id, request)?;
        let (began, Receive { messages_max, wait, visibility }) = (Instant::now(), *request);
        loop {
            let messages = self.on_disk("receive from", move |root| take(root, messages_max, visibility)).await?;
            let left = wait.saturating_sub(began.elapsed());
            if !messages.is_empty() || left.is_zero() {
                return Ok(messages);
            }
            tokio::time::sleep(left.min(LOOK_INTERVAL)).await;
        }
    }

    async fn extend(&self, receipts: &[String], visibility: Duration) -> Result<Vec<Failure>, Error> {
        let verb = "extend messages of";
        check_batch(verb, &self.id, receipts, visibility)?;
        let receipts = receipts.to_vec();
        let deadline_ms = now_ms() + ms(visibility);
        let missing = self.on_disk(verb, move |root| {
            each(root, receipts, |path, lease| {
                fs::rename(path, path.with_file_name(Lease { deadline_ms, ..lease }.file_name()))
            })
        });
        Ok(self.failures(verb, missing.await?))
    }

    async fn delete(&self, receipts: &[String]) -> Result<Vec<Failure>, Error> {
        let verb = "delete messages of";
        check_batch(verb, &self.id, receipts, Duration::ZERO)?;
        let receipts = receipts.to_vec();
        let missing = self.on_disk(verb, move |root| each(root, receipts, |path, _| fs::remove_file(path)));
        Ok(self.failures(verb, missing.await?))
    }

    async fn depth(&self) -> Result<Depth, Error> {
        self.on_disk("get the depth of", |root| {
            let now = now_ms();
            let mut depth = Depth { waiting: waiting(root)?.count() as u64, in_work: 0 };
            for (_, lease) in leases(root)? {
                *(if lease.deadline_ms <= now { &mut depth.waiting } else { &mut depth.in_work }) += 1;
            }
            Ok(depth)
        })
        .await
    }
}

/// What a lent message's file name says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lease {
    /// Drawn at random for each delivery.
    token: String,
    /// Until when it is hidden, Unix milliseconds.
    deadline_ms: u64,
    count: u32,
    /// Unix milliseconds.
    sent_ms: u64,
    name: String,
}

impl Lease {
    fn read(file_name: &str) -> Option<Self> {
        let mut parts = file_name.splitn(5, '.');
        Some(Self {
            token: parts.next()?.to_owned(),
            deadline_ms: parts.next()?.parse().ok()?,
            count: parts.next()?.parse().ok()?,
            sent_ms: parts.next()?.parse().ok()?,
            name: parts.next()?.to_owned(),
        })
    }

    fn file_name(&self) -> String {
        let Self { token, deadline_ms, count, sent_ms, name } = self;
        format!("{token}.{deadline_ms}.{count}.{sent_ms}.{name}")
    }
}

/// Lends messages: those that came back first.
fn take(root: &Path, messages_max: usize, visibility: Duration) -> io::Result<Vec<Message>> {
    let now = now_ms();
    let back = leases(root)?.filter(|(_, lease)| lease.deadline_ms <= now);
    let back = back.map(|(path, lease)| (path, Lease { count: lease.count.saturating_add(1), ..lease }));
    let mut messages = Vec::new();
    for (path, lease) in back.chain(waiting(root)?) {
        let token = format!("{:016x}", rand::random::<u64>());
        let lease = Lease { token, deadline_ms: now + ms(visibility), ..lease };
        let leased = root.join(LEASED).join(lease.file_name());
        match fs::rename(&path, &leased).and_then(|()| read(&leased)) {
            Ok(body) => messages.push(Message {
                id: lease.name,
                receipt: lease.token,
                body,
                receive_count: lease.count,
                sent: i64::try_from(lease.sent_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            }),
            // Another reader was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // It comes back; what was taken so far must not wait for that.
            Err(error) if messages.is_empty() => return Err(error),
            Err(_) => break,
        }
        if messages.len() == messages_max {
            break;
        }
    }
    Ok(messages)
}

/// A message's text. A file that is larger than any message is cut: it is none, and its reader will see that.
fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BODY_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The messages that nobody holds, as the leases that they would become.
fn waiting(root: &Path) -> io::Result<impl Iterator<Item = (PathBuf, Lease)>> {
    Ok(fs::read_dir(root)?.filter_map(Result::ok).filter_map(|entry| {
        let name = entry.file_name().into_string().ok().filter(|name| !name.starts_with('.'))?;
        let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        let sent_ms = meta.modified().map_or(0, unix_ms);
        let name = name[..name.floor_char_boundary(NAME_BYTES_MAX)].to_owned();
        Some((entry.path(), Lease { token: String::new(), deadline_ms: 0, count: 1, sent_ms, name }))
    }))
}

/// Everything that is lent.
fn leases(root: &Path) -> io::Result<impl Iterator<Item = (PathBuf, Lease)>> {
    let folder = root.join(LEASED);
    match fs::create_dir(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let lease = |entry: &DirEntry| Lease::read(entry.file_name().to_str()?);
    Ok(fs::read_dir(folder)?.filter_map(Result::ok).filter_map(move |entry| Some((entry.path(), lease(&entry)?))))
}

/// Does something to the messages with these receipts. Returns the receipts that hold nothing.
fn each(root: &Path, receipts: Vec<String>, act: impl Fn(&Path, Lease) -> io::Result<()>) -> io::Result<Vec<String>> {
    let held: HashMap<String, (PathBuf, Lease)> =
        leases(root)?.map(|(path, lease)| (lease.token.clone(), (path, lease))).collect();
    let mut missing = Vec::new();
    for receipt in receipts {
        match held.get(&receipt).map(|(path, lease)| act(path, lease.clone())) {
            Some(Ok(())) => {}
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => missing.push(receipt),
        }
    }
    Ok(missing)
}

/// The system's clock, as the one that all readers of a folder share: what SQS's own clock is to a queue.
#[expect(
    clippy::disallowed_methods,
    reason = "leases are agreed on between processes; no test stands at a moment here"
)]
fn now_ms() -> u64 {
    unix_ms(SystemTime::now())
}

fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, ms)
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

/// What is wrong with a path.
pub(super) fn path_problem(root: &Path) -> Option<String> {
    let is_folder = root.is_absolute() && root.file_name().is_some();
    (!is_folder).then(|| "write file:///absolute/folder, with three slashes".to_owned())
}

/// What tests write.
#[cfg(any(test, feature = "fake"))]
impl LocalQueue {
    /// Puts a message into the queue.
    pub fn send(&self, body: &str) -> io::Result<()> {
        let name = format!("{:016x}.json", rand::random::<u64>());
        let hidden = self.root.join(format!(".{name}"));
        fs::write(&hidden, body)?;
        fs::rename(hidden, self.root.join(name))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::queue::BATCH_MAX;

    const ALL: Receive = Receive { messages_max: BATCH_MAX, wait: Duration::ZERO, visibility: Duration::from_secs(60) };

    fn queue() -> (tempfile::TempDir, LocalQueue) {
        let dir = tempfile::tempdir().unwrap();
        let queue = LocalQueue::new(dir.path()).unwrap();
        (dir, queue)
    }

    #[tokio::test]
    async fn hidden_files_and_folders_are_no_messages_and_long_names_and_bodies_are_cut() {
        let (dir, queue) = queue();
        fs::create_dir(dir.path().join("folder")).unwrap();
        fs::write(dir.path().join(".half-written"), "x").unwrap();
        fs::write(dir.path().join("ü".repeat(120)), vec![b'x'; BODY_BYTES_MAX + 1]).unwrap();
        let messages = queue.receive(&ALL).await.unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!((messages[0].body.len(), messages[0].id.len()), (BODY_BYTES_MAX, NAME_BYTES_MAX));
        assert!(queue.delete(&[messages[0].receipt.clone()]).await.unwrap().is_empty());
        assert_eq!(queue.depth().await.unwrap(), Depth::default());
    }

    #[tokio::test]
    async fn of_many_readers_exactly_one_gets_a_message() {
        let (_dir, queue) = queue();
        for n in 0..60 {
            queue.send(&n.to_string()).unwrap();
        }
        let mut readers = tokio::task::JoinSet::new();
        let reader = async |queue: LocalQueue| {
            let mut bodies = Vec::new();
            loop {
                let messages = queue.receive(&ALL).await.unwrap();
                if messages.is_empty() {
                    return bodies;
                }
                bodies.extend(messages.into_iter().map(|message| message.body.parse::<u32>().unwrap()));
            }
        };
        for _ in 0..8 {
            readers.spawn(reader(queue.clone()));
        }
        let mut all: Vec<u32> = readers.join_all().await.concat();
        all.sort_unstable();
        assert_eq!(all, (0..60).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_a_killed_reader_held_comes_back_to_another() {
        let (dir, queue) = queue();
        queue.send("x").unwrap();
        let held = queue.receive(&Receive { visibility: Duration::from_millis(200), ..ALL }).await.unwrap();
        drop(queue);
        let other = LocalQueue::new(dir.path()).unwrap();
        let again = other.receive(&Receive { wait: Duration::from_secs(5), ..ALL }).await.unwrap();
        assert_eq!((again[0].id.clone(), again[0].sent), (held[0].id.clone(), held[0].sent));
        assert_eq!((held[0].receive_count, again[0].receive_count), (1, 2));
        assert_eq!(other.delete(&[held[0].receipt.clone()]).await.unwrap().len(), 1, "the first receipt is void");
    }
}
