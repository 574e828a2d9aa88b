//! Other engines over Arrow Flight SQL: Sail's server, or any other that reads Delta tables.
//!
//! Owns: the address, one connection, statements over it, and what makes our tables known to Sail. Does not own the engine's
//! dialect: a statement is sent as it is.
//!
//! Only what a server answers on the connection itself is read: endpoints that name other servers are asked of this one, as
//! most servers want it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::FlightInfo;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;
use tonic::transport::{Channel, ClientTlsConfig};
use url::Url;

use crate::sql::Run;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of one message from the server: a batch of wide rows is a few MiB.
const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// The port of Sail, and of most other servers.
const PORT: u16 = 32010;

/// Where a server is: `flightsql://[user:password@]host[:port][?tables=none]`, or `flightsql+tls://…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    tls: bool,
    user: Option<(String, String)>,
    /// Whether event data stores are made known to the server before the first statement, as Delta tables in Spark's SQL,
    /// which Sail takes. `?tables=none` says that the server has them already.
    pub makes_tables: bool,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Without the password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { "+tls" } else { "" };
        write!(f, "flightsql{tls}://{}:{}", self.host, self.port)
    }
}

/// The text is no address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no engine: write flightsql://host:port, or flightsql+tls://user:password@host:port ({why})")]
pub struct AddressError {
    text: String,
    why: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = |why| {
            // What stands before `@` may hold a password.
            let shown = match text.split_once('@') {
                Some((scheme, rest)) => {
                    format!("{}://…@{rest}", scheme.split_once("://").map_or("", |(scheme, _)| scheme))
                }
                None => text.to_owned(),
            };
            AddressError { text: shown, why }
        };
        let url = Url::parse(text).map_err(|_| wrong("it is no URL"))?;
        let tls = match url.scheme() {
            "flightsql" => false,
            "flightsql+tls" => true,
            _ => return Err(wrong("another scheme")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it has no host"))?.to_owned();
        if !matches!(url.path(), "" | "/") {
            return Err(wrong("it has a path"));
        }
        let makes_tables = match url.query() {
            None | Some("tables=delta") => true,
            Some("tables=none") => false,
            Some(_) => return Err(wrong("behind `?` can stand tables=delta or tables=none")),
        };
        let decoded = |text: &str| percent_decoded(text).ok_or_else(|| wrong("its user is not percent-encoded"));
        let user = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some((decoded(user)?, decoded(password.unwrap_or_default())?)),
        };
        Ok(Self { host, port: url.port().unwrap_or(PORT), tls, user, makes_tables })
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                rest = after;
            }
            (b'%', _) => return None,
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It isn't there, or does not let us in.
    #[error("connect to {address}: {why}")]
    Connect {
        /// The server.
        address: String,
        /// What happened.
        why: String,
    },
    /// It refused a statement, or broke off.
    #[error("{address}: {why}")]
    Statement {
        /// The server.
        address: String,
        /// What it says.
        why: String,
    },
    /// An event data store can't be made known to it.
    #[error(
        "{address}: make event data store {name} known: {why}; a server that has its tables already is given as {address}?tables=none"
    )]
    Table {
        /// The server.
        address: String,
        /// The event data store.
        name: String,
        /// What the server says.
        why: String,
    },
}

/// A connection to a server.
#[derive(Clone, Debug)]
pub struct Remote {
    address: Address,
    client: FlightSqlServiceClient<Channel>,
}

impl Remote {
    /// Connects, and shows user and password where the address has them.
    ///
    /// # Errors
    /// Nobody listens, the certificate is not trusted, or the user is refused.
    pub async fn connect(address: &Address) -> Result<Self, Error> {
        let failed = |why: String| Error::Connect { address: address.to_string(), why };
        let scheme = if address.tls { "https" } else { "http" };
        let endpoint = Channel::from_shared(format!("{scheme}://{}:{}", address.host, address.port))
            .map_err(|error| failed(error.to_string()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true);
        orgtrail_service::tls::use_ring();
        let endpoint = match address.tls {
            true => endpoint
                .tls_config(ClientTlsConfig::new().with_native_roots())
                .map_err(|error| failed(chain(&error)))?,
            false => endpoint,
        };
        let channel = endpoint.connect().await.map_err(|error| failed(chain(&error)))?;
        let inner = arrow_flight::flight_service_client::FlightServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut client = FlightSqlServiceClient::new_from_inner(inner);
        if let Some((user, password)) = &address.user {
            client.handshake(user, password).await.map_err(|error| failed(message(&error)))?;
        }
        Ok(Self { address: address.clone(), client })
    }

    /// The server's address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Makes a Delta table known under names, as views of the server's session: nothing is created that lasts, and what had
    /// the name before is still there when they are gone. Does nothing where the address says that the server has its tables.
    ///
    /// # Errors
    /// The server refuses it.
    pub async fn make_table(&self, names: &[&str], location: &str) -> Result<(), Error> {
        if !self.address.makes_tables {
            return Ok(());
        }
        for name in names {
            let statement = view(name, location);
            let refused = |why| Error::Table { address: self.address.to_string(), name: (*name).to_owned(), why };
            let rows = self.run(&statement).await.map_err(|error| refused(message(&error)))?;
            // Sail does it when the answer is read.
            rows.try_for_each(|_| async { Ok(()) }).await.map_err(|error| refused(error.to_string()))?;
        }
        Ok(())
    }

    /// Sends a statement as it is. It runs as its rows are asked for, and is ended after `timeout`.
    ///
    /// # Errors
    /// The server refuses it; what comes later is in the rows.
    pub async fn query(&self, statement: &str, timeout: Duration) -> Result<Run, Error> {
        let started = Instant::now();
        let refused = |why: String| Error::Statement { address: self.address.to_string(), why };
        let planned = tokio::time::timeout(timeout, self.run(statement)).await;
        let planned = planned.map_err(|_| refused(format!("it did not begin to answer within {timeout:?}")))?;
        let batches = planned.map_err(|error| refused(message(&error)))?;
        Ok(Run::elsewhere(batches, timeout, started))
    }

    async fn run(&self, statement: &str) -> Result<SendableRecordBatchStream, FlightError> {
        let mut client = self.client.clone();
        let info = client.execute(statement.to_owned(), None).await?;
        let schema = schema(&info)?;
        let address = self.address.to_string();
        let tickets = info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket);
        let batches = stream::iter(tickets)
            .then(move |ticket| {
                let mut client = client.clone();
                async move { client.do_get(ticket).await }
            })
            .try_flatten()
            .map_err(move |error| DataFusionError::External(format!("{address}: {}", message(&error)).into()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}

/// Sail's SQL is Spark's. A view that is temporary replaces nothing that holds data.
fn view(name: &str, location: &str) -> String {
    format!(
        "CREATE OR REPLACE TEMPORARY VIEW `{}` USING delta OPTIONS (path '{}')",
        name.replace('`', "``"),
        location.replace('\\', "\\\\").replace('\'', "\\'")
    )
}

fn schema(info: &FlightInfo) -> Result<SchemaRef, FlightError> {
    // A statement that gives no rows may have no schema.
    if info.schema.is_empty() {
        return Ok(Arc::new(Schema::empty()));
    }
    Ok(Arc::new(info.clone().try_decode_schema()?))
}

/// What a server says, without the words of the protocol around it.
fn message(error: &FlightError) -> String {
    match error {
        FlightError::Tonic(status) => status.message().to_owned(),
        error => error.to_string(),
    }
}

/// An error with its causes: the transport's own text says nothing.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let why = error.to_string();
        if !text.ends_with(&why) {
            text = format!("{text}: {why}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
