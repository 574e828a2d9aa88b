//! Who waits, who goes on, and that nothing is lost on the way.

use std::time::Duration;

use orgtrail_event::key::Folder;
use tokio::time::timeout;

use super::*;
use crate::checkpoint::{Checkpoint, Claimed, Listed, Verdict};

struct Bench {
    _dir: tempfile::TempDir,
    checkpoint: Checkpoint,
    named: usize,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(dir.path(), Duration::from_secs(3600)).unwrap();
        Self { _dir: dir, checkpoint, named: 0 }
    }

    fn object(&mut self, account: &str) -> ObjectRef {
        let path = format!("AWSLogs/{account}/CloudTrail/eu-west-1/");
        let id = self.checkpoint.folder("file:///nowhere", &path, account, "eu-west-1", None).unwrap();
        self.named += 1;
        let key = format!("{path}{}", self.named);
        let listed = Listed {
            key: key.clone(),
            day: jiff::civil::date(2024, 5, 1),
            size: 1,
            etag: String::new(),
            last_modified: jiff::Timestamp::UNIX_EPOCH,
            verdict: Verdict::Take { stamp: 1 },
        };
        let Claimed { mut taken, .. } = self.checkpoint.claim(id, vec![listed]).unwrap();
        let (_, claim) = taken.pop().unwrap();
        let source = Arc::clone(&crate::testing::folder(id).source);
        let folder =
            Arc::new(SourceFolder::new(source, Folder::parse(&path).unwrap(), id, crate::discover::Wakes::default()));
        let last_modified = jiff::Timestamp::UNIX_EPOCH;
        ObjectRef { folder, key, size: 1, etag: String::new(), last_modified, stamp: 1, lane: Lane::Live, claim }
    }

    /// Objects that somebody works on.
    fn free(&self) -> usize {
        let ids = ["111111111111", "222222222222"].map(|account| {
            let path = format!("AWSLogs/{account}/CloudTrail/eu-west-1/");
            self.checkpoint.folder("file:///nowhere", &path, account, "eu-west-1", None).unwrap()
        });
        ids.iter().map(|id| self.checkpoint.unnamed(*id).unwrap().len()).sum()
    }
}

const NOISY: &str = "111111111111";
const QUIET: &str = "222222222222";

fn two() -> Bounds {
    Bounds { objects: 100, objects_per_key: 2 }
}

async fn is_waiting(future: &mut (impl Future + Unpin)) -> bool {
    timeout(Duration::from_millis(1), future).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn what_passes_by_does_not_wait_for_a_backfill_and_goes_back() {
    let mut bench = Bench::new();
    let (sender, mut receiver) = channel(two());
    let past = |object| ObjectRef { lane: Lane::Backfill { log_groups: false }, ..object };
    for _ in 0..3 {
        sender.pass(past(bench.object(NOISY))).await.unwrap();
    }
    sender.pass(bench.object(NOISY)).await.unwrap();
    assert_eq!(bench.free(), 1, "the third had no room");
    assert_eq!(std::iter::from_fn(|| receiver.try_recv()).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_full_waits_alone() {
    let mut bench = Bench::new();
    let (sender, mut receiver) = channel(two());
    sender.send(bench.object(NOISY)).await.unwrap();
    sender.send(bench.object(NOISY)).await.unwrap();
    let mut third = Box::pin(sender.send(bench.object(NOISY)));
    assert!(is_waiting(&mut third).await);
    sender.send(bench.object(QUIET)).await.unwrap();
    assert!(receiver.try_recv().is_some());
    third.await.unwrap();
    assert_eq!(std::iter::from_fn(|| receiver.try_recv()).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_given_up_gives_the_claim_back() {
    let mut bench = Bench::new();
    let (sender, mut receiver) = channel(two());
    sender.send(bench.object(NOISY)).await.unwrap();
    sender.send(bench.object(NOISY)).await.unwrap();
    let mut third = Box::pin(sender.send(bench.object(NOISY)));
    assert!(is_waiting(&mut third).await);
    assert_eq!(bench.free(), 0);
    drop(third);
    assert_eq!(bench.free(), 1);
    let held: Vec<_> = std::iter::from_fn(|| receiver.try_recv()).collect();
    assert_eq!(held.len(), 2, "it was not put in");
}

#[tokio::test(start_paused = true)]
async fn the_places_that_are_left_are_shared_with_those_who_have_little() {
    let mut bench = Bench::new();
    let (sender, mut receiver) = channel(Bounds { objects: 8, objects_per_key: 100 });
    for _ in 0..4 {
        sender.send(bench.object(NOISY)).await.unwrap();
    }
    let mut fifth = Box::pin(sender.send(bench.object(NOISY)));
    assert!(is_waiting(&mut fifth).await, "one key gets half of the places");
    for _ in 0..2 {
        sender.send(bench.object(QUIET)).await.unwrap();
    }
    assert!(is_waiting(&mut fifth).await);
    for _ in 0..4 {
        assert!(receiver.try_recv().is_some());
    }
    fifth.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_when_pages_have_taken_every_place() {
    let mut bench = Bench::new();
    let (sender, mut receiver) = channel(Bounds { objects: 4, objects_per_key: 100 });
    let quiet = bench.object(QUIET);
    let page = (0..10).map(|_| bench.object(NOISY)).collect();
    let noisy = bench.object(NOISY).folder;
    let mut places = sender.places(&noisy, Lane::Live, 1000).unwrap();
    assert!(sender.places(&quiet.folder, Lane::Live, 1000).is_none(), "one page at a time goes beyond the bound");
    let mut other = Box::pin(sender.room(&quiet.folder, Lane::Live));
    assert!(is_waiting(&mut other).await);
    places.shrink_to(2);
    other.await.unwrap();
    places.put(page).unwrap();
    let mut waiting = Box::pin(sender.send(quiet));
    for left in (4..10).rev() {
        assert!(is_waiting(&mut waiting).await, "{left}");
        receiver.try_recv().unwrap();
    }
    assert!(is_waiting(&mut waiting).await);
    receiver.try_recv().unwrap();
    waiting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn everything_that_was_put_in_comes_out_before_the_end() {
    let mut bench = Bench::new();
    let (sender, mut receiver) = channel(two());
    let other = sender.clone();
    sender.send(bench.object(NOISY)).await.unwrap();
    drop(sender);
    other.send(bench.object(QUIET)).await.unwrap();
    drop(other);
    let mut count = 0;
    while receiver.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, 2);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_comes_while_it_is_waited_for_is_heard() {
    let (sender, mut receiver) = channel(two());
    let mut next = Box::pin(receiver.recv());
    assert!(is_waiting(&mut next).await);
    drop(sender);
    assert!(next.await.is_none());
}

#[tokio::test(start_paused = true)]
async fn without_a_receiver_every_claim_goes_back_and_nobody_waits() {
    let mut bench = Bench::new();
    let (sender, receiver) = channel(two());
    sender.send(bench.object(NOISY)).await.unwrap();
    sender.send(bench.object(NOISY)).await.unwrap();
    let folder = Arc::clone(&bench.object(NOISY).folder);
    let (mut send, mut room) = (Box::pin(sender.send(bench.object(NOISY))), Box::pin(sender.room(&folder, Lane::Live)));
    assert!(is_waiting(&mut send).await && is_waiting(&mut room).await);
    drop(receiver);
    assert_eq!((send.await, room.await), (Err(Closed), Err(Closed)));
    assert_eq!(bench.free(), 4);
}
