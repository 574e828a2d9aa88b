//! A bucket that is only read, served from memory over HTTP with as much of S3 as validation needs, and CloudTrail's
//! ListPublicKeys beside it.
//!
//! For measuring: an emulator in Python is the slowest part of anything that reads from it at once, and then only itself
//! is measured. Judges nothing: signatures of requests are not looked at. One thread a connection; all end with the process.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use crate::signed_trail::Stored;

/// Keys and prefixes on a page of a listing, as in S3.
const PAGE_MAX: usize = 1000;

/// The largest request body that is read: ListPublicKeys has a hundred bytes.
const BODY_BYTES_MAX: u64 = 64 << 10;

/// The server.
#[derive(Debug)]
pub struct ServedBucket {
    address: SocketAddr,
}

#[derive(Debug)]
struct Content {
    bucket: String,
    objects: BTreeMap<String, Stored>,
    public_keys: String,
    latency: Duration,
}

impl ServedBucket {
    /// Serves these objects under a bucket's name, and these public keys (a document as `list-public-keys` prints it). Each
    /// answer waits for `latency`, as one from afar does.
    pub fn start(
        bucket: &str,
        objects: BTreeMap<String, Stored>,
        public_keys: String,
        latency: Duration,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let content = Arc::new(Content { bucket: bucket.to_owned(), objects, public_keys, latency });
        std::thread::Builder::new().name("served-bucket".to_owned()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let content = Arc::clone(&content);
                // A connection that breaks is the client's end.
                std::thread::spawn(move || drop(serve(&stream, &content)));
            }
        })?;
        Ok(Self { address })
    }

    /// The endpoint of S3 and of CloudTrail.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// One request.
struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    target: String,
}

fn serve(stream: &TcpStream, content: &Content) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader)? {
        std::thread::sleep(content.latency);
        writer.write_all(&content.answer(&request))?;
    }
    Ok(())
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query.split('&').filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")));
    let query = query.map(|(name, value)| (decode(name), decode(value))).collect();
    let mut request = Request { method, path: decode(path), query, target: String::new() };
    let mut body = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header == "\r\n" {
            break;
        }
        let Some((name, value)) = header.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            body = value.trim().parse().unwrap_or_default();
        } else if name.eq_ignore_ascii_case("x-amz-target") {
            value.trim().clone_into(&mut request.target);
        }
    }
    io::copy(&mut reader.take(BODY_BYTES_MAX.min(body)), &mut io::sink())?;
    Ok(Some(request))
}

impl Content {
    fn answer(&self, request: &Request) -> Vec<u8> {
        if request.target.ends_with("ListPublicKeys") {
            return response(
                "200 OK",
                "Content-Type: application/x-amz-json-1.1\r\n",
                self.keys_with_numbers().as_bytes(),
            );
        }
        let path = request.path.trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        if bucket != self.bucket {
            return missing("NoSuchBucket");
        }
        if !key.is_empty() {
            return match self.objects.get(key) {
                Some(stored) => object(stored),
                None => missing("NoSuchKey"),
            };
        }
        if request.method == "HEAD" {
            return response("200 OK", "x-amz-bucket-region: us-east-1\r\n", b"");
        }
        if request.query.contains_key("location") {
            return xml("<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>");
        }
        self.list(&request.query)
    }

    /// The service writes times as numbers, and the AWS CLI reads no others.
    fn keys_with_numbers(&self) -> String {
        let mut list: serde_json::Value = serde_json::from_str(&self.public_keys).expect("a list of keys is JSON");
        for key in list["PublicKeyList"].as_array_mut().into_iter().flatten() {
            (key["ValidityStartTime"], key["ValidityEndTime"]) = (946_684_800.into(), 4_102_444_800_i64.into());
        }
        list.to_string()
    }

    /// ListObjects, both versions.
    fn list(&self, query: &BTreeMap<String, String>) -> Vec<u8> {
        let text = |name: &str| query.get(name).map_or("", String::as_str);
        let prefix = text("prefix");
        let after =
            [text("marker"), text("start-after"), text("continuation-token")].into_iter().max().unwrap_or_default();
        let (mut body, mut last, mut count, mut truncated) = (String::new(), "", 0, false);
        let mut rolled = String::new();
        let from = if after >= prefix { Bound::Excluded(after) } else { Bound::Included(prefix) };
        for (key, stored) in self.objects.range::<str, _>((from, Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(prefix) else { break };
            let delimiter = Some(text("delimiter")).filter(|delimiter| !delimiter.is_empty());
            let folder = delimiter.and_then(|by| Some(&key[..prefix.len() + rest.find(by)? + by.len()]));
            if folder.is_some_and(|folder| folder == rolled) {
                last = key;
                continue;
            }
            if count == PAGE_MAX {
                truncated = true;
                break;
            }
            (count, last) = (count + 1, key);
            let written = match folder {
                Some(folder) => {
                    folder.clone_into(&mut rolled);
                    write!(body, "<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>")
                }
                None => write!(
                    body,
                    "<Contents><Key>{key}</Key><LastModified>2026-03-01T00:00:00.000Z</LastModified><ETag>&quot;0&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                    stored.bytes.len()
                ),
            };
            written.expect("a string takes all text");
        }
        let next = match (truncated, query.contains_key("list-type")) {
            (true, true) => format!("<NextContinuationToken>{last}</NextContinuationToken>"),
            _ => String::new(),
        };
        xml(&format!(
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{}</Name><Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount><MaxKeys>{PAGE_MAX}</MaxKeys><EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated>{next}{body}</ListBucketResult>",
            self.bucket
        ))
    }
}

fn object(stored: &Stored) -> Vec<u8> {
    let mut headers = String::from(
        "Content-Type: binary/octet-stream\r\nETag: \"0\"\r\nLast-Modified: Sun, 01 Mar 2026 00:00:00 GMT\r\n",
    );
    for (name, value) in &stored.metadata {
        write!(headers, "x-amz-meta-{name}: {value}\r\n").expect("a string takes all text");
    }
    response("200 OK", &headers, &stored.bytes)
}

fn missing(code: &str) -> Vec<u8> {
    let body =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>none</Message></Error>");
    response("404 Not Found", "Content-Type: application/xml\r\n", body.as_bytes())
}

fn xml(body: &str) -> Vec<u8> {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{body}");
    response("200 OK", "Content-Type: application/xml\r\n", body.as_bytes())
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nx-amz-request-id: 0\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Percent escapes; keys hold nothing else that is encoded.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let code = after.first_chunk::<2>().and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
