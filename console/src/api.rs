//! `POST /` in the AWS JSON 1.1 protocol: from a request to the operation that its `X-Amz-Target` names, and back.
//!
//! Owns the protocol and its bounds. Does not own what operations answer.
//!
//! A browser on the same machine is no client: without TLS a request must name a loopback host, so that a page whose name
//! was made to point here (DNS rebinding) is refused, and no answer allows another origin.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use orgtrail_service::http::close_after;
use serde_json::Value;

use crate::caller::Caller;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::operations::{Context, Entry, find};

/// Largest request body. CloudTrail's own requests stay far below.
pub(crate) const REQUEST_BYTES_MAX: usize = 1 << 20;

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");

/// What requests are answered with.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) context: Arc<Context>,
    pub(crate) metrics: Metrics,
    /// Plaintext: refuse requests that name another host than this machine's loopback interface.
    pub(crate) loopback_only: bool,
}

impl Api {
    /// The routes, to be served.
    pub(crate) fn router(self) -> Router {
        // One request a connection: what bounds a connection's life then never cuts one off that is reused.
        Router::new().route("/", post(answer)).layer(map_response(close_after)).with_state(self)
    }

    async fn outcome(&self, request: Request) -> (&'static str, Result<Value, Error>) {
        if self.loopback_only && !names_loopback(request.headers()) {
            let message = "without TLS, requests must go to localhost or a loopback address";
            return ("none", Err(Error::new("AccessDeniedException", message)));
        }
        let entry = match operation(request.headers()) {
            Ok(entry) => entry,
            Err(error) => return ("unknown", Err(error)),
        };
        let caller = Caller::of(request.headers());
        let outcome = match body(request.into_body()).await {
            Ok(body) => (entry.run)(Arc::clone(&self.context), caller, body).await,
            Err(error) => Err(error),
        };
        (entry.name, outcome)
    }
}

async fn answer(State(api): State<Api>, request: Request) -> Response {
    let request_id = request_id();
    let (operation, outcome) = api.outcome(request).await;
    let (status, code, body) = match outcome {
        Ok(value) => (StatusCode::OK, "OK", value),
        Err(error) => {
            if error.status.is_server_error() {
                tracing::warn!(operation, request.id = request_id, error = error.message, "a request failed");
            }
            (error.status, error.code, error.body())
        }
    };
    tracing::debug!(operation, request.id = request_id, outcome = code, "answered");
    api.metrics.answered(operation, code);
    let mut response = (status, body.to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

fn operation(headers: &HeaderMap) -> Result<&'static Entry, Error> {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    find(target).ok_or_else(|| {
        Error::unknown_operation(match target {
            "" => "X-Amz-Target is missing: it names the operation".to_owned(),
            target => format!("{target} is not served by orgtrail"),
        })
    })
}

/// The body as a JSON object; none at all stands for an empty one.
async fn body(body: Body) -> Result<Value, Error> {
    let bytes = to_bytes(body, REQUEST_BYTES_MAX).await.map_err(|_| Error {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        code: "RequestEntityTooLargeException",
        message: format!("the request did not arrive, or is larger than {REQUEST_BYTES_MAX} bytes"),
    })?;
    if bytes.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Error::serialization(format!("the body is no JSON: {error}")))?;
    if !value.is_object() {
        return Err(Error::serialization("the body is JSON, but no object"));
    }
    Ok(value)
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|value| value.to_str().ok()) else { return false };
    // `[::1]:7480`, `127.0.0.1:7480`, `localhost`
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A random id in the form of AWS's: a version 4 UUID.
fn request_id() -> String {
    let bits = rand::random::<u128>() & !(0xf << 76) & !(0b11 << 62) | 0x4 << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests;
