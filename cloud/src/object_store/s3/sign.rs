//! Signature Version 4 of a GET without query and body ("Authenticating Requests", S3 API reference).
//!
//! Owns the request's head and the key of a day, which is derived once. Does not own credentials, nor where the request
//! goes. Judged by the AWS CLI's own signatures in the tests below, and by the emulator that checks signatures.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use jiff::Timestamp;
use jiff::tz::Offset;
use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, sign};

/// SHA-256 of no body.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Who asks, for access logs.
const USER_AGENT: &str = concat!("orgtrail/", env!("CARGO_PKG_VERSION"));

/// Signs for one region.
#[derive(Debug)]
pub(super) struct Signer {
    region: String,
    last: Mutex<Option<Arc<DayKey>>>,
}

/// A signing key: good for one day, region and secret.
#[derive(Debug)]
struct DayKey {
    day: String,
    credentials: Credentials,
    key: Key,
}

impl Signer {
    pub(super) fn new(region: &str) -> Self {
        Self { region: region.to_owned(), last: Mutex::default() }
    }

    /// The head of a GET for a path, percent-encoded as by [`encoded`]. `None` where the clock shows no time.
    pub(super) fn head(&self, host: &str, path: &str, credentials: &Credentials, now: SystemTime) -> Option<Vec<u8>> {
        let now = Offset::UTC.to_datetime(Timestamp::try_from(now).ok()?);
        let day = format!("{:04}{:02}{:02}", now.year(), now.month(), now.day());
        let time = format!("{day}T{:02}{:02}{:02}Z", now.hour(), now.minute(), now.second());
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let token = credentials.session_token();
        let mut signed = format!("host:{host}\nx-amz-content-sha256:{EMPTY_SHA256}\nx-amz-date:{time}\n");
        let mut names = "host;x-amz-content-sha256;x-amz-date".to_owned();
        if let Some(token) = token {
            writeln!(signed, "x-amz-security-token:{token}").ok()?;
            names.push_str(";x-amz-security-token");
        }
        let request =
            hex(digest(&SHA256, format!("GET\n{path}\n\n{signed}\n{names}\n{EMPTY_SHA256}").as_bytes()).as_ref());
        let key = self.key(&day, credentials);
        let signature = sign(&key.key, format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{request}").as_bytes());
        let (id, signature) = (credentials.access_key_id(), hex(signature.as_ref()));
        let mut head = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {USER_AGENT}\r\nx-amz-content-sha256: {EMPTY_SHA256}\r\n\
             x-amz-date: {time}\r\nauthorization: AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, \
             Signature={signature}\r\n"
        );
        if let Some(token) = token {
            write!(head, "x-amz-security-token: {token}\r\n").ok()?;
        }
        head.push_str("\r\n");
        Some(head.into_bytes())
    }

    fn key(&self, day: &str, credentials: &Credentials) -> Arc<DayKey> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.day == day
            && last.credentials.secret_access_key() == credentials.secret_access_key()
        {
            return Arc::clone(last);
        }
        let step = |key: &[u8], part: &str| sign(&Key::new(HMAC_SHA256, key), part.as_bytes());
        let first = step(format!("AWS4{}", credentials.secret_access_key()).as_bytes(), day);
        let service = step(step(first.as_ref(), &self.region).as_ref(), "s3");
        let key = Key::new(HMAC_SHA256, step(service.as_ref(), "aws4_request").as_ref());
        let derived = Arc::new(DayKey { day: day.to_owned(), credentials: credentials.clone(), key });
        *last = Some(Arc::clone(&derived));
        derived
    }
}

/// A key as it stands in a path: all but slashes and unreserved characters (RFC 3986) percent-encoded, added to `path`.
pub(super) fn encoded(mut path: String, key: &str) -> String {
    path.reserve(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push('%');
            path.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]));
            path.push(char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]));
        }
    }
    path
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// What botocore's `S3SigV4Auth` makes of the same request.
    #[test]
    fn signatures_are_those_of_the_aws_cli() {
        let path = encoded("/".to_owned(), "AWSLogs/a b+c=ü/file~1.json.gz");
        assert_eq!(path, "/AWSLogs/a%20b%2Bc%3D%C3%BC/file~1.json.gz");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_359_205); // 2026-03-01T10:00:05Z
        let (id, secret) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let signer = Signer::new("eu-west-1");
        for (token, expected) in [
            (None, "f768270aabe607e9e16253aba2e460ae05c5fe47c968921cd8d972e9c31af135"),
            (Some("to/ken+=="), "b4b6a0dcaaf4e7ac67356ed9ad1b15d0ac0cc4414cbc59e1827b4f4fa7e3e1df"),
        ] {
            let credentials = Credentials::new(id, secret, token.map(str::to_owned), None, "test");
            let head = signer.head("bkt.s3.eu-west-1.amazonaws.com", &path, &credentials, now).unwrap();
            let head = String::from_utf8(head).unwrap();
            let names = if token.is_some() { ";x-amz-security-token" } else { "" };
            let signed = format!(
                "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260301/eu-west-1/s3/aws4_request, \
                 SignedHeaders=host;x-amz-content-sha256;x-amz-date{names}, Signature={expected}\r\n"
            );
            assert!(head.contains(&signed), "{head}");
            assert!(head.starts_with(&format!("GET {path} HTTP/1.1\r\n")) && head.ends_with("\r\n\r\n"), "{head}");
        }
    }

    #[test]
    fn another_day_or_secret_is_another_key() {
        let (signer, credentials) = (Signer::new("r"), |secret| Credentials::new("id", secret, None, None, "test"));
        let key = |day, secret| Arc::as_ptr(&signer.key(day, &credentials(secret)));
        let first = key("20260301", "a");
        assert_eq!(key("20260301", "a"), first);
        let held = signer.last.lock().unwrap().clone().unwrap();
        assert_ne!(key("20260302", "a"), Arc::as_ptr(&held));
        assert_ne!(key("20260301", "b"), first);
    }
}
