//! CloudTrail's LookupEvents, served from memory over HTTP as the service does it: pages of fifty, newest first, and no more
//! than two calls a second for a region. No emulator has it.
//!
//! One account, whoever asks; the region is the one for which the request is signed. Signatures are not looked at. One
//! thread a connection; all end with the process.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

/// Source of these: CloudTrail API reference, LookupEvents.
const PAGE_MAX: usize = 50;
const CALLS_PER_SECOND: f64 = 2.0;
const BODY_BYTES_MAX: u64 = 64 << 10;
/// One call in so many is refused as if somebody else had used the region's two.
const OTHERS_EVERY: u64 = 9;

/// The server.
#[derive(Debug)]
pub struct EventHistory {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Answered with a page.
    pub answered: u64,
    /// Pages that were not the first of their listing.
    pub further_pages: u64,
    /// Refused: too many within a second.
    pub throttled: u64,
}

#[derive(Debug, Default)]
struct State {
    /// By region: time in Unix seconds, id, and record.
    events: BTreeMap<String, Vec<(i64, String, String)>>,
    /// The calls that each region has left, and since when: two at once, and two more each second.
    left: BTreeMap<String, (f64, Instant)>,
    asked: u64,
    calls: Calls,
}

impl EventHistory {
    /// Serves an empty history.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, state) = (listener.local_addr()?, Arc::<Mutex<State>>::default());
        let shared = Arc::clone(&state);
        std::thread::Builder::new().name("event-history".to_owned()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A connection that breaks is the client's end.
                std::thread::spawn(move || drop(serve(&stream, &state)));
            }
        })?;
        Ok(Self { address, state })
    }

    /// The endpoint of CloudTrail.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds an event.
    pub fn put(&self, region: &str, unix_seconds: i64, id: &str, record: &str) {
        let event = (unix_seconds, id.to_owned(), record.to_owned());
        lock(&self.state).events.entry(region.to_owned()).or_default().push(event);
    }

    /// What was asked so far.
    pub fn calls(&self) -> Calls {
        lock(&self.state).calls
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let (mut target, mut region, mut length) = (String::new(), String::new(), 0);
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or_default(),
                "x-amz-target" => value.trim().clone_into(&mut target),
                // AWS4-HMAC-SHA256 Credential=<key>/<day>/<region>/cloudtrail/aws4_request, …
                "authorization" => value.split('/').nth(2).unwrap_or_default().clone_into(&mut region),
                _ => {}
            }
        }
        let mut body = String::new();
        (&mut reader).take(BODY_BYTES_MAX.min(length)).read_to_string(&mut body)?;
        let request: Value = serde_json::from_str(&body).unwrap_or_default();
        let (status, answer) = lock(state).answer(&target, &region, &request);
        let answer = answer.to_string();
        write!(
            writer,
            "HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        )?;
    }
}

impl State {
    fn answer(&mut self, target: &str, region: &str, request: &Value) -> (&'static str, Value) {
        if !target.ends_with(".LookupEvents") {
            return refusal("InvalidAction", "only LookupEvents is served");
        }
        self.asked += 1;
        let (left, since) = self.left.entry(region.to_owned()).or_insert((CALLS_PER_SECOND, Instant::now()));
        *left = (*left + since.elapsed().as_secs_f64() * CALLS_PER_SECOND).min(CALLS_PER_SECOND);
        *since = Instant::now();
        if *left < 1.0 || self.asked.is_multiple_of(OTHERS_EVERY) {
            self.calls.throttled += 1;
            return refusal("ThrottlingException", "Rate exceeded");
        }
        *left -= 1.0;
        let seconds = |name: &str| request[name].as_f64().map(|at| at as i64);
        let (start, end) = (seconds("StartTime").unwrap_or(i64::MIN), seconds("EndTime").unwrap_or(i64::MAX));
        let most = request["MaxResults"].as_u64().map_or(PAGE_MAX, |most| (most as usize).min(PAGE_MAX));
        // A token is of use with the request that it came with only.
        let bounds = format!("{region}/{start}/{end}/");
        let from = match request["NextToken"].as_str() {
            None => 0,
            Some(token) => match token.strip_prefix(&bounds).and_then(|from| from.parse::<usize>().ok()) {
                Some(from) => from,
                None => return refusal("InvalidNextTokenException", "the token is of another request"),
            },
        };
        let empty = Vec::new();
        let all = self.events.get(region).unwrap_or(&empty);
        let mut within: Vec<_> = all.iter().filter(|(at, ..)| (start..=end).contains(at)).collect();
        within.sort_by_key(|event| std::cmp::Reverse(event.0));
        let page: Vec<_> = within.iter().skip(from).take(most).collect();
        let events: Vec<_> = page
            .iter()
            .map(|(at, id, record)| json!({"EventId": id, "EventTime": at, "CloudTrailEvent": record}))
            .collect();
        let mut answer = json!({ "Events": events });
        if from + page.len() < within.len() {
            answer["NextToken"] = format!("{bounds}{}", from + page.len()).into();
        }
        self.calls.answered += 1;
        self.calls.further_pages += u64::from(from > 0);
        ("200 OK", answer)
    }
}

fn refusal(code: &str, message: &str) -> (&'static str, Value) {
    ("400 Bad Request", json!({"__type": code, "message": message}))
}
