//! The client against a Flight SQL server in this process.

use std::pin::Pin;
use std::sync::Mutex;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt as _, SqlInfo, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, HandshakeRequest, HandshakeResponse, Ticket};
use datafusion::physical_plan::common::collect;
use tokio::task::JoinSet;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// `auditor:s/:@`, as base64.
const BASIC: &str = "Basic YXVkaXRvcjpzLzpA";

/// A server that has one answer for every statement, in two endpoints, and remembers statements.
#[derive(Clone, Default)]
struct Engine {
    statements: Arc<Mutex<Vec<String>>>,
    wants_password: bool,
}

impl Engine {
    fn answer() -> RecordBatch {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(vec![42]))]).unwrap()
    }

    fn let_in<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let shown = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        match !self.wants_password || shown == Some("Bearer let-in") {
            true => Ok(()),
            false => Err(Status::unauthenticated("who are you?")),
        }
    }
}

type Answer<T> = Result<Response<T>, Status>;
type Handshakes = Pin<Box<dyn futures::Stream<Item = Result<HandshakeResponse, Status>> + Send>>;

#[tonic::async_trait]
impl FlightSqlService for Engine {
    type FlightService = Self;

    async fn do_handshake(&self, request: Request<Streaming<HandshakeRequest>>) -> Answer<Handshakes> {
        if request.metadata().get("authorization").is_none_or(|value| value != BASIC) {
            return Err(Status::unauthenticated("wrong password"));
        }
        let mut response: Response<Handshakes> = Response::new(Box::pin(stream::empty()));
        response.metadata_mut().insert("authorization", "Bearer let-in".parse().unwrap());
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        self.let_in(&request)?;
        self.statements.lock().unwrap().push(query.query.clone());
        if query.query.contains("nowhere") {
            return Err(Status::invalid_argument("there is no table nowhere"));
        }
        let ticket = TicketStatementQuery { statement_handle: query.query.into() };
        let ticket = Ticket::new(prost_bytes(&ticket));
        let info = FlightInfo::new().try_with_schema(&Self::answer().schema()).unwrap();
        let endpoint = || FlightEndpoint::new().with_ticket(ticket.clone());
        Ok(Response::new(info.with_endpoint(endpoint()).with_endpoint(endpoint())))
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Answer<<Self as FlightService>::DoGetStream> {
        self.let_in(&request)?;
        let breaks = ticket.statement_handle.starts_with(b"SELECT breaks");
        let mut batches = vec![Ok(Self::answer())];
        batches.extend(breaks.then(|| Err(FlightError::from(Status::internal("a worker is gone")))));
        let data = FlightDataEncoderBuilder::new().build(stream::iter(batches)).map_err(Status::from);
        Ok(Response::new(Box::pin(data)))
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}

fn prost_bytes(ticket: &TicketStatementQuery) -> Vec<u8> {
    use arrow_flight::sql::Any;
    let Any { type_url, value } = ticket.as_any();
    // Two fields of one length each: the encoding of `Any` (protobuf, "any.proto") without naming prost.
    let field = |tag: u8, bytes: &[u8]| [&[tag, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    [field(0x0a, type_url.as_bytes()), field(0x12, &value)].concat()
}

async fn serve(engine: &Engine, serving: &mut JoinSet<()>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let server = Server::builder().add_service(FlightServiceServer::new(engine.clone()));
    serving.spawn(async move { server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap() });
    at.to_string()
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_statement_is_sent_as_it_is_and_its_endpoints_are_read_in_order() {
    let (engine, mut serving) = (Engine::default(), JoinSet::new());
    let at = serve(&engine, &mut serving).await;
    let remote = Remote::connect(&address(&format!("flightsql://{at}"))).await.unwrap();
    let rows = remote.query("SELECT 'as it is' ;", LONG).await.unwrap().batches;
    assert_eq!(rows.schema().field(0).name(), "n");
    assert_eq!(collect(rows).await.unwrap(), vec![Engine::answer(); 2]);
    assert_eq!(*engine.statements.lock().unwrap(), ["SELECT 'as it is' ;"]);
}

#[tokio::test]
async fn what_a_server_says_is_told_without_its_protocol() {
    let (engine, mut serving) = (Engine::default(), JoinSet::new());
    let at = serve(&engine, &mut serving).await;
    let remote = Remote::connect(&address(&format!("flightsql://{at}"))).await.unwrap();
    let error = remote.query("SELECT * FROM nowhere", LONG).await.err().unwrap().to_string();
    assert_eq!(error, format!("flightsql://{at}: there is no table nowhere"));
    let error = collect(remote.query("SELECT breaks", LONG).await.unwrap().batches).await.unwrap_err().to_string();
    assert!(error.contains("a worker is gone"), "{error}");
    drop(serving);
    let nobody = Remote::connect(&address("flightsql://127.0.0.1:1")).await.unwrap_err().to_string();
    assert!(nobody.starts_with("connect to flightsql://127.0.0.1:1: "), "{nobody}");
}

#[tokio::test]
async fn tables_are_made_under_their_names_unless_the_server_has_them() {
    let (engine, mut serving) = (Engine::default(), JoinSet::new());
    let at = serve(&engine, &mut serving).await;
    let remote = Remote::connect(&address(&format!("flightsql://{at}"))).await.unwrap();
    remote.make_table(&["events", "odd`name"], "file:///lake/it's").await.unwrap();
    let error = remote.make_table(&["nowhere"], "s3://b/x").await.unwrap_err().to_string();
    assert!(error.contains("event data store nowhere") && error.contains("?tables=none"), "{error}");
    let has_them = Remote::connect(&address(&format!("flightsql://{at}?tables=none"))).await.unwrap();
    has_them.make_table(&["events"], "file:///lake/events").await.unwrap();
    let made = engine.statements.lock().unwrap().clone();
    assert_eq!(
        made,
        [
            r"CREATE OR REPLACE TEMPORARY VIEW `events` USING delta OPTIONS (path 'file:///lake/it\'s')",
            r"CREATE OR REPLACE TEMPORARY VIEW `odd``name` USING delta OPTIONS (path 'file:///lake/it\'s')",
            r"CREATE OR REPLACE TEMPORARY VIEW `nowhere` USING delta OPTIONS (path 's3://b/x')",
        ]
    );
}

#[tokio::test]
async fn user_and_password_are_shown_and_not_told() {
    let (engine, mut serving) = (Engine { wants_password: true, ..Engine::default() }, JoinSet::new());
    let at = serve(&engine, &mut serving).await;
    let remote = Remote::connect(&address(&format!("flightsql://auditor:s%2F%3A%40@{at}"))).await.unwrap();
    assert_eq!(collect(remote.query("SELECT 1", LONG).await.unwrap().batches).await.unwrap().len(), 2);
    assert_eq!(format!("{:?}", remote.address()), format!("flightsql://{at}"));
    let wrong = Remote::connect(&address(&format!("flightsql://auditor:secret@{at}"))).await.unwrap_err().to_string();
    assert!(wrong.contains("wrong password") && !wrong.contains("secret"), "{wrong}");
    let nobody = Remote::connect(&address(&format!("flightsql://{at}"))).await.unwrap();
    assert!(nobody.query("SELECT 1", LONG).await.is_err());
}

#[test]
fn an_address_says_where_and_how() {
    for (text, shown, makes_tables) in [
        ("flightsql://sail:32010", "flightsql://sail:32010", true),
        ("flightsql://sail", "flightsql://sail:32010", true),
        ("flightsql+tls://u:p@sail.example.org:443?tables=none", "flightsql+tls://sail.example.org:443", false),
        ("flightsql://[::1]:5?tables=delta", "flightsql://[::1]:5", true),
    ] {
        let address = address(text);
        assert_eq!((address.to_string().as_str(), address.makes_tables), (shown, makes_tables), "{text}");
    }
    for wrong in ["sail:32010", "grpc://sail:1", "flightsql://", "flightsql://sail/x", "flightsql://sail?x=1", "x"] {
        let error = wrong.parse::<Address>().unwrap_err().to_string();
        assert!(error.contains("flightsql://host:port"), "{error}");
    }
    let error = "flightsql://u:secret@sail:99999".parse::<Address>().unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
}
