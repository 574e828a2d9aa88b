//! The agent's queues and what its requests cost.

use jiff::Timestamp;
use orgtrail_agent::status::{Notifications, Requests, Status};

use super::{reasons, since};
use crate::terminal::{count, table};

/// Both tables, where there is something to say.
pub(super) fn text(status: &Status, now: Timestamp) -> Vec<String> {
    let mut parts = Vec::new();
    if !status.notifications.is_empty() {
        parts.push(queues(&status.notifications, now));
    }
    if !status.requests.is_empty() {
        parts.push(requests(status));
    }
    parts
}

fn queues(queues: &[Notifications], now: Timestamp) -> String {
    let row = |queue: &Notifications| {
        vec![
            queue.queue.clone(),
            queue.waiting.map_or_else(|| "-".to_owned(), count),
            count(queue.in_work),
            since(queue.oldest_sent.unwrap_or(0), now),
            reasons(&queue.messages, "none"),
        ]
    };
    let header = ["QUEUE", "WAITING", "IN WORK", "OLDEST", "MESSAGES SINCE START"];
    table(1, &header, queues.iter().map(row).collect())
}

fn requests(status: &Status) -> String {
    let row = |(operation, spent): (&String, &Requests)| {
        vec![operation.clone(), count(spent.requests), format!("${:.6}", spent.dollars)]
    };
    let mut rows: Vec<_> = status.requests.iter().map(row).collect();
    let all: f64 = status.requests.values().map(|spent| spent.dollars).sum();
    let requests = status.requests.values().map(|spent| spent.requests).sum();
    rows.push(vec!["all".to_owned(), count(requests), format!("${all:.6}")]);
    table(1, &["REQUESTS SINCE START", "NUMBER", "LIST PRICE"], rows)
}
