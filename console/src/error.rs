//! What a client is told when a request can't be answered, in the shape that AWS's clients read.
//!
//! Owns the shape and the codes that are not one operation's own. Source of the shape: the AWS JSON 1.1 protocol, `__type`
//! and `message`.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) status: StatusCode,
    /// AWS's name, such as `TrailNotFoundException`.
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Error {
    /// The client's mistake: an error of the operation's own.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into() }
    }

    /// A member has a value that it can't have, or is missing.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    /// The body is no JSON of the operation's shape.
    pub(crate) fn serialization(message: impl Into<String>) -> Self {
        Self::new("SerializationException", message)
    }

    /// There is no such operation here.
    pub(crate) fn unknown_operation(message: impl Into<String>) -> Self {
        Self::new("UnknownOperationException", message)
    }

    /// Not the client's mistake; clients try again.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code: "InternalFailure", message: message.into() }
    }

    pub(crate) fn body(&self) -> Value {
        json!({ "__type": self.code, "message": self.message })
    }
}
