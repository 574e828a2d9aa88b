//! What every queue promises.

use crate::ErrorKind;
use crate::queue::{BATCH_MAX, Depth, Message, Queue, Receive, VISIBILITY_MAX, WAIT_MAX};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Puts messages into the queue that is judged. The product never sends.
#[async_trait]
pub trait Sender: Sync {
    /// Sends one message.
    async fn send(&self, body: &str);
}

/// A short lease: SQS counts whole seconds.
const SHORT: Duration = Duration::from_secs(2);

const ALL: Receive =
    Receive { messages_max: BATCH_MAX, wait: Duration::from_secs(5), visibility: Duration::from_secs(60) };

/// Runs every case, one after the other, on a queue that holds nothing and that nobody else reads.
pub async fn all(queue: &dyn Queue, sender: &dyn Sender) {
    calls_outside_the_limits_are_refused(queue).await;
    messages_arrive_as_they_were_sent(queue, sender).await;
    at_most_ten_are_received_and_the_depth_is_told(queue, sender).await;
    a_message_is_hidden_until_its_time_is_over_and_then_comes_again(queue, sender).await;
    an_extended_message_stays_hidden_and_one_given_back_comes_at_once(queue, sender).await;
    what_fails_for_one_fails_for_no_other(queue, sender).await;
    a_wait_ends_with_the_first_message_or_when_it_is_over(queue, sender).await;
}

/// No call is made for none, for more than SQS takes, or for longer.
pub async fn calls_outside_the_limits_are_refused(queue: &dyn Queue) {
    let too_long = VISIBILITY_MAX + Duration::from_secs(1);
    for bad in [
        Receive { messages_max: 0, ..ALL },
        Receive { messages_max: BATCH_MAX + 1, ..ALL },
        Receive { wait: WAIT_MAX + Duration::from_secs(1), ..ALL },
        Receive { visibility: too_long, ..ALL },
    ] {
        let error = queue.receive(&bad).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid, "{error}");
    }
    for bad in [vec![], vec!["x".to_owned(); BATCH_MAX + 1]] {
        assert_eq!(queue.delete(&bad).await.unwrap_err().kind(), &ErrorKind::Invalid);
        assert_eq!(queue.extend(&bad, SHORT).await.unwrap_err().kind(), &ErrorKind::Invalid);
    }
    let error = queue.extend(&["x".to_owned()], too_long).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid, "{error}");
}

/// With text that needs escaping, lines, and of the size that SQS took of old.
pub async fn messages_arrive_as_they_were_sent(queue: &dyn Queue, sender: &dyn Sender) {
    let bodies = [
        r#"{"Records":[{"s3":{"object":{"key":"a+b%2Bc"}}}]}"#.to_owned(),
        "a&b=c <d> \"ü\" 日本 %41\n\tend".to_owned(),
        "ü".repeat(131_072),
    ];
    for body in &bodies {
        sender.send(body).await;
    }
    let messages = receive(queue, bodies.len()).await;
    assert!(messages.iter().all(|message| message.receive_count == 1 && message.sent.is_some()), "{messages:?}");
    assert_eq!(messages.iter().map(|message| &message.id).collect::<BTreeSet<_>>().len(), bodies.len());
    delete(queue, &messages).await;
    let arrived: BTreeSet<String> = messages.into_iter().map(|message| message.body).collect();
    assert_eq!(arrived, BTreeSet::from(bodies));
    is_empty(queue).await;
}

/// One more than a call takes.
pub async fn at_most_ten_are_received_and_the_depth_is_told(queue: &dyn Queue, sender: &dyn Sender) {
    for n in 0..=BATCH_MAX {
        sender.send(&n.to_string()).await;
    }
    assert_eq!(queue.depth().await.unwrap(), Depth { waiting: 11, in_work: 0 });
    let first = queue.receive(&ALL).await.unwrap();
    assert!((1..=BATCH_MAX).contains(&first.len()), "{}", first.len());
    let lent = first.len() as u64;
    assert_eq!(queue.depth().await.unwrap(), Depth { waiting: 11 - lent, in_work: lent });
    let rest = receive(queue, 11 - first.len()).await;
    let bodies: BTreeSet<_> = first.iter().chain(&rest).map(|message| message.body.clone()).collect();
    assert_eq!(bodies.len(), 11);
    delete(queue, &first).await;
    delete(queue, &rest).await;
    is_empty(queue).await;
}

/// As for a reader that died.
pub async fn a_message_is_hidden_until_its_time_is_over_and_then_comes_again(queue: &dyn Queue, sender: &dyn Sender) {
    sender.send("again").await;
    let first = queue.receive(&Receive { visibility: SHORT, ..ALL }).await.unwrap();
    let hidden = queue.receive(&Receive { wait: Duration::ZERO, ..ALL }).await.unwrap();
    assert!(hidden.is_empty(), "{hidden:?}");
    let again = receive(queue, 1).await;
    assert_eq!((&again[0].id, &again[0].body), (&first[0].id, &first[0].body));
    assert_eq!((first[0].receive_count, again[0].receive_count), (1, 2));
    delete(queue, &again).await;
    is_empty(queue).await;
}

/// Under the receipt that it came with, twice.
pub async fn an_extended_message_stays_hidden_and_one_given_back_comes_at_once(queue: &dyn Queue, sender: &dyn Sender) {
    sender.send("long work").await;
    let held = queue.receive(&Receive { visibility: SHORT, ..ALL }).await.unwrap();
    let receipt = [held[0].receipt.clone()];
    for _ in 0..2 {
        assert!(queue.extend(&receipt, Duration::from_secs(60)).await.unwrap().is_empty());
    }
    let hidden = queue.receive(&Receive { wait: SHORT + Duration::from_secs(1), ..ALL }).await.unwrap();
    assert!(hidden.is_empty(), "{hidden:?}");
    assert!(queue.extend(&receipt, Duration::ZERO).await.unwrap().is_empty());
    let again = receive(queue, 1).await;
    assert_eq!(again[0].id, held[0].id);
    delete(queue, &again).await;
    is_empty(queue).await;
}

/// A receipt that nobody gave out between two good ones.
pub async fn what_fails_for_one_fails_for_no_other(queue: &dyn Queue, sender: &dyn Sender) {
    for body in ["one", "two"] {
        sender.send(body).await;
    }
    let held = receive(queue, 2).await;
    let receipts = [held[0].receipt.clone(), "no-receipt".to_owned(), held[1].receipt.clone()];
    let failed_to_extend = queue.extend(&receipts, Duration::from_secs(60)).await.unwrap();
    let failed_to_delete = queue.delete(&receipts).await.unwrap();
    for failures in [failed_to_extend, failed_to_delete] {
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert_eq!(failures[0].receipt, "no-receipt");
        assert_eq!(failures[0].error.kind(), &ErrorKind::NotFound, "{failures:?}");
    }
    is_empty(queue).await;
}

/// A long poll.
pub async fn a_wait_ends_with_the_first_message_or_when_it_is_over(queue: &dyn Queue, sender: &dyn Sender) {
    let began = Instant::now();
    let none = queue.receive(&Receive { wait: Duration::from_secs(1), ..ALL }).await.unwrap();
    assert!(none.is_empty());
    let waiting = queue.receive(&Receive { wait: WAIT_MAX, ..ALL });
    let sending = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        sender.send("came while we waited").await;
    };
    let (received, ()) = tokio::join!(waiting, sending);
    assert_eq!(received.as_ref().unwrap()[0].body, "came while we waited");
    assert!(began.elapsed() < WAIT_MAX, "{:?}", began.elapsed());
    delete(queue, &received.unwrap()).await;
    is_empty(queue).await;
}

/// Somebody can still make it.
pub async fn an_absent_queue_is_missing(absent: &dyn Queue) {
    let receipt = ["x".to_owned()];
    let errors = [
        absent.receive(&Receive { wait: Duration::ZERO, ..ALL }).await.unwrap_err(),
        absent.extend(&receipt, SHORT).await.unwrap_err(),
        absent.delete(&receipt).await.unwrap_err(),
        absent.depth().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), &ErrorKind::ContainerMissing, "{error}");
    }
}

/// So many messages, in as many calls as it takes: SQS may give out fewer than there are.
async fn receive(queue: &dyn Queue, count: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    for _ in 0..10 {
        messages.extend(queue.receive(&ALL).await.unwrap());
        if messages.len() >= count {
            break;
        }
    }
    assert_eq!(messages.len(), count, "{messages:?}");
    messages
}

async fn delete(queue: &dyn Queue, messages: &[Message]) {
    for some in messages.chunks(BATCH_MAX) {
        let receipts: Vec<String> = some.iter().map(|message| message.receipt.clone()).collect();
        let failures = queue.delete(&receipts).await.unwrap();
        assert!(failures.is_empty(), "{failures:?}");
    }
}

async fn is_empty(queue: &dyn Queue) {
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{FakeQueue, LocalQueue};
    use crate::{Connection, open_queue};

    #[async_trait]
    impl Sender for FakeQueue {
        async fn send(&self, body: &str) {
            Self::send(self, body);
        }
    }

    #[async_trait]
    impl Sender for LocalQueue {
        async fn send(&self, body: &str) {
            Self::send(self, body).unwrap();
        }
    }

    #[tokio::test]
    async fn the_fake_conforms_and_fails_when_told() {
        let queue = FakeQueue::default();
        all(&queue, &queue).await;
        queue.fail("receive", ErrorKind::Throttled, 1);
        assert_eq!(queue.receive(&ALL).await.unwrap_err().kind(), &ErrorKind::Throttled);
        assert!(queue.receive(&Receive { wait: Duration::ZERO, ..ALL }).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_folder_conforms() {
        let dir = tempfile::tempdir().unwrap();
        let id = format!("file://{}", dir.path().display());
        let queue = open_queue(&id, &Connection::default()).await.unwrap();
        assert_eq!(queue.id(), id);
        all(&*queue, &LocalQueue::new(dir.path()).unwrap()).await;
        let absent = LocalQueue::new(&dir.path().join("absent")).unwrap();
        an_absent_queue_is_missing(&absent).await;
    }

    #[tokio::test]
    async fn what_is_no_queue_is_refused_with_what_to_write() {
        for id in ["logs", "file://relative", "file:///", "arn:aws:sns:us-east-1:111122223333:logs"] {
            let error = open_queue(id, &Connection::default()).await.unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains("file:///"), "{error}");
            assert!(crate::queue::id_problem(id).is_some_and(|why| error.to_string().contains(&why)));
        }
    }
}
