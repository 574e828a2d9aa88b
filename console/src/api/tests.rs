//! What a client gets from a served console, over TCP.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use orgtrail_service::clock;
use orgtrail_service::config::parse;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::App;

const CONSOLE: &str = r#"
[console]
listen = "127.0.0.1:0"
[[console.trails]]
name = "org-trail"
account_id = "111122223333"
home_region = "us-east-1"
location = "s3://bucket"
"#;

struct Running {
    address: SocketAddr,
    _set: JoinSet<anyhow::Result<()>>,
    _cancel: DropGuard,
}

async fn running(more: &str) -> Running {
    let config = parse(Path::new("console.toml"), &format!("{CONSOLE}{more}")).unwrap();
    let cancel = CancellationToken::new();
    let app = App::build(config, clock::system(), cancel.clone()).await.unwrap();
    let address = app.address();
    let mut set = JoinSet::new();
    set.spawn(app.run());
    Running { address, _set: set, _cancel: cancel.drop_guard() }
}

/// The status, the headers in small letters, and the body.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> (u16, String, String) {
    // The server may answer and close before it has read everything.
    drop(stream.write_all(request).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head[9..12].parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
}

fn post(host: &str, target: &str, body: &str) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nhost: {host}\r\nx-amz-target: {target}\r\ncontent-type: application/x-amz-json-1.1\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260301/eu-west-1/cloudtrail/aws4_request\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn call(address: SocketAddr, target: &str, body: &str) -> (u16, String, Value) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (status, head, body) = ask(stream, &post(&address.to_string(), target, body)).await;
    (status, head, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn both_forms_of_the_target_are_answered_for_the_region_of_the_signature() {
    let running = running("").await;
    for service in ["CloudTrail_20131101", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101"] {
        let target = format!("{service}.DescribeTrails");
        let (status, head, body) = call(running.address, &target, "{}").await;
        assert_eq!((status, &body["trailList"][0]["Name"]), (200, &json!("org-trail")), "{target}");
        assert!(head.contains("content-type: application/x-amz-json-1.1"), "{head}");
        let id = head.split_once("x-amzn-requestid: ").unwrap().1.lines().next().unwrap();
        assert_eq!((id.len(), id.matches('-').count(), &id[14..15]), (36, 4, "4"), "{id}");
        // eu-west-1 sees a shadow.
        let (_, _, body) = call(running.address, &target, r#"{"includeShadowTrails":false}"#).await;
        assert_eq!(body, json!({"trailList": []}));
    }
    let (status, _, body) = call(running.address, "CloudTrail_20131101.ListTrails", "").await;
    assert_eq!((status, &body["Trails"][0]["HomeRegion"]), (200, &json!("us-east-1")), "no body stands for {{}}");
}

#[tokio::test]
async fn errors_have_awss_shape() {
    let running = running("").await;
    for (target, body, code) in [
        ("CloudTrail_20131101.NoSuchOperation", "{}", "UnknownOperationException"),
        ("", "{}", "UnknownOperationException"),
        ("CloudTrail_20131101.ListTrails", "{", "SerializationException"),
        ("CloudTrail_20131101.ListTrails", "[]", "SerializationException"),
        ("CloudTrail_20131101.GetTrail", r#"{"Name":["a"]}"#, "SerializationException"),
        ("CloudTrail_20131101.GetTrail", r#"{"Name":"unknown"}"#, "TrailNotFoundException"),
        ("AWSOrganizationsV20161128.DescribeOrganization", "{}", "AWSOrganizationsNotInUseException"),
    ] {
        let (status, head, answer) = call(running.address, target, body).await;
        assert_eq!((status, answer["__type"].as_str()), (400, Some(code)), "{target} {body}");
        assert!(answer["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer}");
        assert!(head.contains("x-amzn-requestid: "), "{head}");
    }
}

#[tokio::test]
async fn a_request_over_the_bound_is_refused() {
    let running = running("").await;
    let body = format!("{{\"Name\":\"{}\"}}", "x".repeat(REQUEST_BYTES_MAX));
    let (status, _, answer) = call(running.address, "CloudTrail_20131101.GetTrail", &body).await;
    assert_eq!((status, answer["__type"].as_str()), (413, Some("RequestEntityTooLargeException")));
    let fits = format!("{{\"Name\":\"{}\"}}", "x".repeat(REQUEST_BYTES_MAX - 100));
    let (status, _, answer) = call(running.address, "CloudTrail_20131101.GetTrail", &fits).await;
    assert_eq!((status, answer["__type"].as_str()), (400, Some("InvalidTrailNameException")));
}

#[tokio::test]
async fn nothing_but_post_to_the_root_is_served() {
    let running = running("").await;
    for (request, status) in [("GET / HTTP/1.1", 405), ("OPTIONS / HTTP/1.1", 405), ("POST /x HTTP/1.1", 404)] {
        let request = format!("{request}\r\nhost: {}\r\n\r\n", running.address);
        let (answered, head, _) = ask(TcpStream::connect(running.address).await.unwrap(), request.as_bytes()).await;
        assert_eq!(answered, status, "{request}");
        assert!(!head.contains("access-control-allow"), "{head}");
    }
}

#[tokio::test]
async fn a_page_whose_name_points_here_is_refused() {
    let running = running("").await;
    for (host, status) in [
        ("localhost:7480", 200),
        ("127.0.0.1", 200),
        ("[::1]:7480", 200),
        ("rebound.example.com:7480", 400),
        ("127.0.0.1.example.com", 400),
        ("192.168.1.1:7480", 400),
    ] {
        let stream = TcpStream::connect(running.address).await.unwrap();
        let (answered, _, body) = ask(stream, &post(host, "CloudTrail_20131101.ListTrails", "{}")).await;
        assert_eq!(answered, status, "{host}: {body}");
        assert_eq!(body.contains("AccessDeniedException"), status == 400, "{host}: {body}");
    }
}

/// An authority, and a client's and a server's certificate, in a folder.
struct Certificates {
    dir: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        for name in ["localhost", "client"] {
            let key = KeyPair::generate().unwrap();
            let certificate =
                CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
            std::fs::write(dir.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(dir.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self { dir }
    }

    fn certificate(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.dir.path().join(format!("{name}.pem"))).unwrap()
    }

    fn table(&self) -> String {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let (cert, key, ca) = (path("localhost.pem"), path("localhost.key"), path("ca.pem"));
        format!("[tls]\ncert_file = \"{cert}\"\nkey_file = \"{key}\"\nca_file = \"{ca}\"\n")
    }

    /// A connection under TLS that trusts the authority; with or without the client's certificate.
    async fn connect(
        &self,
        address: SocketAddr,
        with_certificate: bool,
    ) -> impl AsyncRead + AsyncWrite + Unpin + use<> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate("ca")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let key = PrivateKeyDer::from_pem_file(self.dir.path().join("client.key")).unwrap();
        let config = match with_certificate {
            true => builder.with_client_auth_cert(vec![self.certificate("client")], key).unwrap(),
            false => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }
}

#[tokio::test]
async fn under_tls_a_client_certificate_is_asked_for() {
    let certificates = Certificates::new();
    let running = running(&certificates.table()).await;
    let request = post("console.example.com", "CloudTrail_20131101.ListTrails", "{}");
    let (status, _, body) = ask(certificates.connect(running.address, true).await, &request).await;
    assert_eq!(status, 200, "{body}");

    // TLS 1.3: the client learns with its first read that its certificate was missed.
    let mut stream = certificates.connect(running.address, false).await;
    drop(stream.write_all(&request).await);
    let mut answer = Vec::new();
    assert!(stream.read_to_end(&mut answer).await.is_err() && answer.is_empty(), "{answer:?}");

    // A connection that never begins its handshake holds up nobody.
    let _silent = TcpStream::connect(running.address).await.unwrap();
    let (status, _, body) = ask(certificates.connect(running.address, true).await, &request).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let running = running("").await;
    let config =
        parse(Path::new("console.toml"), &CONSOLE.replace("127.0.0.1:0", &running.address.to_string())).unwrap();
    let error = App::build(config, clock::system(), CancellationToken::new()).await.err().unwrap();
    let said = format!("{error:#}");
    assert!(said.contains(&running.address.to_string()) && said.contains("[console]"), "{said}");
}
