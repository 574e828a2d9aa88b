//! A stand-in for AWS's services, for what no emulator has: CloudTrail's public keys, and refusals as the services write
//! them.

#![allow(clippy::unwrap_used, reason = "a stand-in that can't do its part has failed")]

use crate::{Connection, CredentialSource};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// A server that gives answers in their order, a connection each, and ends with the last.
pub(crate) struct Stub {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    /// A server on the loopback interface with these statuses and bodies.
    pub(crate) fn answering(answers: &'static [(u16, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stub = Self { url: format!("http://{}", listener.local_addr().unwrap()), requests: Arc::default() };
        let requests = stub.requests.clone();
        std::thread::spawn(move || {
            for (status, body) in answers {
                let mut reader = BufReader::new(listener.accept().unwrap().0);
                let (mut request, mut length) = (String::new(), 0);
                while !request.ends_with("\r\n\r\n") {
                    let from = request.len();
                    reader.read_line(&mut request).unwrap();
                    if let Some(value) = request[from..].to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut content = vec![0; length];
                reader.read_exact(&mut content).unwrap();
                request.push_str(&String::from_utf8(content).unwrap());
                requests.lock().unwrap().push(request);
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
                let stream = reader.get_mut();
                write!(stream, "{head}content-type: application/x-amz-json-1.1\r\n\r\n{body}").unwrap();
            }
        });
        stub
    }

    /// A connection to it.
    pub(crate) fn connection(&self) -> Connection {
        Connection {
            endpoint_url: Some(self.url.clone()),
            credentials: CredentialSource::Static {
                access_key_id: "AKIA".into(),
                secret_access_key: "secret".into(),
                session_token: None,
            },
            ..Connection::default()
        }
    }

    /// What was asked: heads and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}
