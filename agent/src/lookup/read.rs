//! Reads one window of an event history into one log file.
//!
//! Owns the pace of calls, patience with throttling, and the file's bytes: the records as they were served, each once,
//! sorted, so that the same events give the same bytes. Does not own which windows there are.
//!
//! One window of an account and region is read at a time: more would not be faster under CloudTrail's own limit, and would
//! need more memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use orgtrail_cloud::lookup::{CALLS_PER_SECOND, Category, HistoryEvent, LookupPage, LookupRequest};
use orgtrail_cloud::{Error, ErrorKind, Lookup};
use orgtrail_event::log_file::Writer;
use serde::de::IgnoredAny;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use super::window::Window;

/// Between two calls in an account and region.
const PAUSE: Duration = Duration::from_millis(1000 / CALLS_PER_SECOND as u64);
/// Attempts at one page, the client's own within each aside. All pages before it would be lost with it.
const ATTEMPTS_MAX: u32 = 8;
/// Longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How often a window is read from the start where its pages contradict one another.
const READINGS_MAX: usize = 2;
/// Most bytes of records in a window: more than the history can serve in the time the window covers.
const RECORDS_BYTES_MAX: u64 = 256 << 20;
/// Most pages of a window, empty ones included.
const PAGES_MAX: usize = 100_000;

/// The event history of one account and region, at its pace.
#[derive(Debug)]
pub(super) struct History {
    lookup: Arc<dyn Lookup>,
    /// When the next call may be made. Held by whoever reads a window.
    pace: Mutex<Instant>,
}

/// An event in the order of the file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sorted {
    time: Option<Timestamp>,
    id: String,
    record: String,
}

/// What is known of a window by now.
#[derive(Debug, Default)]
struct Read {
    events: BTreeSet<Sorted>,
    bytes: u64,
}

impl History {
    pub(super) fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup, pace: Mutex::new(Instant::now()) }
    }

    /// One call, to see whether the region answers.
    pub(super) async fn probe(&self, now: Timestamp) -> Result<(), Error> {
        let request = LookupRequest { start: now, end: now, category: Category::Management, continuation: None };
        self.call(&mut *self.pace.lock().await, &request).await.map(drop)
    }

    /// The window as a log file, not compressed.
    pub(super) async fn read(&self, window: &Window) -> Result<Vec<u8>, Error> {
        let mut pace = self.pace.lock().await;
        let mut read = Read::default();
        for _ in 0..READINGS_MAX {
            if self.pages(&mut pace, window, &mut read).await? {
                break;
            }
        }
        Ok(read.into_file())
    }

    /// Adds all pages of the window. False where they are not in the order in which CloudTrail serves them, so that the
    /// pages may not have been of one listing.
    async fn pages(&self, pace: &mut Instant, window: &Window, read: &mut Read) -> Result<bool, Error> {
        let (mut continuation, mut newest, mut in_order) = (None, Timestamp::MAX, true);
        for _ in 0..PAGES_MAX {
            // The end is inclusive: an event right there belongs to the next window, and one of a fraction of a second
            // before it to this one, whichever way the service rounds.
            let (start, end) = (window.start, window.end());
            let request = LookupRequest { start, end, category: Category::Management, continuation };
            let page = self.page(pace, &request).await?;
            for event in page.events {
                if let Some(time) = event.time {
                    in_order &= time <= newest;
                    newest = time;
                }
                read.take(event, window)?;
            }
            continuation = page.next;
            if continuation.is_none() {
                return Ok(in_order);
            }
        }
        Err(too_much(window))
    }

    /// One page, however often it takes.
    async fn page(&self, pace: &mut Instant, request: &LookupRequest) -> Result<LookupPage, Error> {
        let mut wait = Duration::from_secs(1);
        for _ in 1..ATTEMPTS_MAX {
            match self.call(pace, request).await {
                Err(error) if matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Unavailable) => {
                    tracing::debug!(error.message = %error, "event history: waiting");
                    sleep(wait.mul_f64(rand::random_range(0.5..=1.0))).await;
                    wait = (wait * 2).min(WAIT_MAX);
                }
                other => return other,
            }
        }
        self.call(pace, request).await
    }

    async fn call(&self, pace: &mut Instant, request: &LookupRequest) -> Result<LookupPage, Error> {
        sleep_until(*pace).await;
        *pace = Instant::now() + PAUSE;
        self.lookup.page(request).await
    }
}

impl Read {
    fn take(&mut self, event: HistoryEvent, window: &Window) -> Result<(), Error> {
        if event.time.is_some_and(|time| time < window.start || time >= window.end()) {
            return Ok(());
        }
        let id = event.id.unwrap_or_default();
        let record = match event.record {
            Some(record) if is_object(&record) => record,
            // Kept as a JSON text, which is no record: the aggregator quarantines it with what it says.
            Some(text) => quoted(&text),
            None => quoted(&format!("event {id} of the event history came without its record")),
        };
        let bytes = record.len() as u64;
        if self.events.insert(Sorted { time: event.time, id, record }) {
            self.bytes += bytes;
        }
        if self.bytes > RECORDS_BYTES_MAX { Err(too_much(window)) } else { Ok(()) }
    }

    fn into_file(self) -> Vec<u8> {
        let mut file = Writer::new();
        self.events.iter().for_each(|event| file.push(event.record.as_bytes()));
        file.finish()
    }
}

fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn too_much(window: &Window) -> Error {
    Error::new(ErrorKind::TooLarge { bytes_max: RECORDS_BYTES_MAX }, "look up", window.key())
        .detail("the account writes more than its event history can serve: make a trail, and read its bucket")
}
