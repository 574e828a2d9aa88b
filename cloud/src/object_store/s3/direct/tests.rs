//! The short way against a server that answers it as it likes, and the SDK as it should.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::object_store::{ObjectStore as _, S3Store};
use crate::{CredentialSource, ErrorKind};

fn place(url: &str) -> Option<(String, u16, bool, String, String)> {
    let Place { peer, base, region } = Place::of(url)?;
    Some((peer.host, peer.port, peer.tls, base, region))
}

#[test]
fn a_signed_url_tells_where_requests_go() {
    let query = "x-id=GetObject&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260301%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=0";
    let of = |start: &str| place(&format!("{start}/k?{query}"));
    let found =
        |host: &str, port, tls, base: &str| Some((host.to_owned(), port, tls, base.to_owned(), "eu-west-1".to_owned()));
    assert_eq!(of("https://b.s3.eu-west-1.amazonaws.com"), found("b.s3.eu-west-1.amazonaws.com", 443, true, "/"));
    assert_eq!(of("http://127.0.0.1:4566/bucket"), found("127.0.0.1", 4566, false, "/bucket/"));
    assert_eq!(of("https://[::1]:9000/minio/b"), found("::1", 9000, true, "/minio/b/"));
    // What is not to be sent there in plain text, or signed otherwise, goes the SDK's way.
    assert_eq!(of("ftp://host"), None);
    assert_eq!(of("https://user@host"), None);
    assert_eq!(of("https://host:port"), None);
    for (from, to) in [("%2Fs3%2F", "%2Fs3express%2F"), ("HMAC", "ECDSA-P256"), ("X-Amz-Credential", "Other")] {
        assert_eq!(place(&format!("https://host/k?{}", query.replace(from, to))), None, "{to}");
    }
}

/// A bucket on the loopback interface whose answers depend on the key and on who asks: the short way or the SDK.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// Who asked for what, on the how many-th connection.
type Asked = (&'static str, String, usize);

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { url: format!("http://{}", listener.local_addr().unwrap()), asked: Arc::default() };
        let asked = Arc::clone(&server.asked);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let asked = Arc::clone(&asked);
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    while let Some((who, what)) = request(&mut reader) {
                        asked.lock().unwrap().push((who, what.clone(), number));
                        let (answer, close) = answer(who, &what);
                        if reader.get_mut().write_all(answer.as_bytes()).is_err() || close {
                            return;
                        }
                    }
                });
            }
        });
        server
    }

    fn store(&self) -> S3Store {
        let (access_key_id, secret_access_key) = ("AKIA".to_owned(), "secret".to_owned());
        let credentials = CredentialSource::Static { access_key_id, secret_access_key, session_token: None };
        let (endpoint_url, region) = (Some(self.url.clone()), Some("eu-west-1".to_owned()));
        S3Store::new("b", "", &Connection { endpoint_url, region, credentials, ..Connection::default() })
    }

    /// Who asked for this, in order.
    fn who_asked(&self, key: &str) -> Vec<&'static str> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(_, what, _)| what.split('?').next() == Some(key)).map(|(who, ..)| *who).collect()
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<(&'static str, String)> {
    let (mut text, mut first) = (String::new(), String::new());
    while !text.ends_with("\r\n\r\n") {
        if reader.read_line(&mut text).ok()? == 0 {
            return None;
        }
        if first.is_empty() {
            text.clone_into(&mut first);
        }
    }
    let who = if text.contains("user-agent: orgtrail/") { "short" } else { "sdk" };
    let path = first.split(' ').nth(1)?;
    Some((who, path.strip_prefix("/b/").unwrap_or(path).to_owned()))
}

/// And whether the connection ends with it.
fn answer(who: &str, what: &str) -> (String, bool) {
    let ok = |headers: &str, body: &str| format!("HTTP/1.1 200 OK\r\nETag: \"e1\"\r\n{headers}\r\n\r\n{body}");
    let whole =
        ok("Content-Length: 5\r\nX-Amz-Meta-Signature: 00ff\r\nLast-Modified: Sun, 01 Mar 2026 00:00:00 GMT", "whole");
    match (what.split('?').next().unwrap_or_default(), who) {
        ("kept" | "large", _) => (whole, false),
        ("closed", _) => (whole, true),
        ("cut", "short") => (ok("Content-Length: 5", "who"), true),
        ("always-cut", _) => (ok("Content-Length: 5", "who"), true),
        ("still", "short") => (ok("Content-Length: 5", "who"), false),
        ("chunked", _) => (ok("Transfer-Encoding: chunked", "5\r\nwhole\r\n0\r\n\r\n"), false),
        ("two-lengths", "short") => (ok("Content-Length: 5\r\nContent-Length: 6", "whole!"), false),
        ("garbage", "short") => ("220 smtp ready\r\n".to_owned(), true),
        ("refused" | "throttled" | "elsewhere", "short") => {
            let status = ["403 Forbidden", "503 Slow Down", "307 Temporary Redirect"]
                [["refused", "throttled", "elsewhere"].iter().position(|name| *name == what).unwrap()];
            (format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nLocation: http://127.0.0.1:1/\r\n\r\nno"), false)
        }
        ("absent", _) => {
            let body = "<Error><Code>NoSuchKey</Code><Message>none</Message></Error>";
            (format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}", body.len()), false)
        }
        _ => (whole, false),
    }
}

#[tokio::test]
async fn objects_come_the_short_way_over_one_connection() {
    let server = Server::start();
    let store = server.store();
    for _ in 0..3 {
        let object = store.get("kept", 5).await.unwrap();
        assert_eq!((&object.bytes[..], object.meta.etag.as_str(), object.meta.size), (&b"whole"[..], "e1", 5));
        assert_eq!(object.meta.last_modified.to_string(), "2026-03-01T00:00:00Z");
        assert_eq!(object.metadata.get("signature").map(String::as_str), Some("00ff"));
    }
    assert_eq!(server.who_asked("kept"), ["short"; 3]);
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked[asked.len() - 3].2, asked[asked.len() - 1].2, "{asked:?}");
}

#[tokio::test]
async fn a_connection_that_the_other_side_closed_is_replaced() {
    let server = Server::start();
    let store = server.store();
    for _ in 0..3 {
        assert_eq!(&store.get("closed", 5).await.unwrap().bytes[..], b"whole");
    }
    assert_eq!(server.who_asked("closed"), ["short"; 3]);
}

#[tokio::test]
async fn whatever_is_not_a_whole_object_is_left_to_the_sdk() {
    let server = Server::start();
    let store = server.store();
    for key in ["cut", "chunked", "two-lengths", "garbage", "refused", "throttled", "elsewhere"] {
        let object = store.get(key, 5).await.unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_eq!(&object.bytes[..], b"whole", "{key}");
        assert_eq!(server.who_asked(key), ["short", "sdk"], "{key}");
    }
    let error = store.get("absent", 5).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("NoSuchKey"), "{error}");
}

#[tokio::test]
async fn objects_that_are_too_large_are_not_read() {
    let server = Server::start();
    let error = server.store().get("large", 4).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::TooLarge { bytes_max: 4 });
    assert_eq!(server.who_asked("large"), ["short"]);
}

#[tokio::test]
async fn what_never_answers_the_short_way_is_left_alone_for_a_while() {
    let server = Server::start();
    let store = server.store();
    for _ in 0..FAILURES_MAX {
        store.get("chunked", 5).await.unwrap();
    }
    assert_eq!(&store.get("kept", 5).await.unwrap().bytes[..], b"whole");
    assert_eq!(server.who_asked("kept"), ["sdk"]);
}

/// Four of them, as many as the SDK's way alone would make.
#[tokio::test]
async fn a_body_that_breaks_off_the_short_way_was_one_of_the_attempts() {
    let server = Server::start();
    let error = server.store().get("always-cut", 5).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Unavailable, "{error}");
    assert_eq!(server.who_asked("always-cut"), ["short", "sdk", "sdk", "sdk"]);
}

#[tokio::test]
async fn a_body_that_stands_still_is_read_again_after_seconds() {
    let (server, begun) = (Server::start(), Instant::now());
    assert_eq!(&server.store().get("still", 5).await.unwrap().bytes[..], b"whole");
    assert_eq!(server.who_asked("still"), ["short", "sdk"]);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
