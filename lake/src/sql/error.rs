//! Why a query can't be answered: AWS's exception where there is one, what is wrong, and where in the statement.

use std::fmt;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::source::Source;
use super::suggest;
use crate::kind::Kind;
use crate::schema;

/// What kind of failure it is. The first five are exceptions of CloudTrail's API (`StartQuery` in the API reference).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exception {
    /// `InvalidQueryStatementException`: the statement isn't valid, or isn't a `SELECT`.
    InvalidQueryStatement,
    /// `InvalidParameterException`: the statement is too long.
    InvalidParameter,
    /// `EventDataStoreNotFoundException`: no event data store has that name or id.
    EventDataStoreNotFound,
    /// `MaxConcurrentQueriesException`: as many queries run as may.
    MaxConcurrentQueries,
    /// The query ran longer than `query.timeout`; Lake's status `TIMED_OUT`.
    TimedOut,
    /// The query read more than `query.scan_max`.
    ScanLimit,
    /// The query needed more than `query.memory` and `query.spill_max`.
    ResourcesExhausted,
    /// A failure while it ran: a value that can't be cast, a file that can't be read. Lake's status `FAILED`.
    Failed,
}

impl Exception {
    /// The name that a client sees.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidQueryStatement => "InvalidQueryStatementException",
            Self::InvalidParameter => "InvalidParameterException",
            Self::EventDataStoreNotFound => "EventDataStoreNotFoundException",
            Self::MaxConcurrentQueries => "MaxConcurrentQueriesException",
            Self::TimedOut => "QueryTimedOut",
            Self::ScanLimit => "QueryScanLimitExceeded",
            Self::ResourcesExhausted => "QueryResourcesExhausted",
            Self::Failed => "QueryFailed",
        }
    }
}

/// A place in a statement. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column of the first character.
    pub column: u64,
    /// How many characters of the line are meant; at least 1.
    pub length: u64,
    /// The line's text.
    pub text: String,
}

/// Why a query can't be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// What kind of failure.
    pub exception: Exception,
    /// What is wrong and what to do, without the place.
    pub message: String,
    /// Where in the statement, if that is known.
    pub place: Option<Place>,
}

impl QueryError {
    pub(super) fn new(exception: Exception, message: impl Into<String>) -> Self {
        Self { exception, message: message.into(), place: None }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Exception::InvalidQueryStatement, message)
    }

    pub(super) fn at(self, place: Option<Place>) -> Self {
        Self { place, ..self }
    }

    /// A parser's error, whose message ends in the place.
    pub(super) fn of_parser(error: &ParserError, source: Source<'_>) -> Self {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
            ParserError::RecursionLimitExceeded => "the statement is nested too deeply",
        };
        let (message, place) = split_location(text);
        Self::invalid(message).at(place.and_then(|location| source.place_at(location)))
    }

    /// A planner's error. `tokens` are the statement's, to find the identifier that it names.
    pub(super) fn of_planner(error: &DataFusionError, source: Source<'_>, tokens: &[TokenWithSpan]) -> Self {
        let diagnosed = error.diagnostic().and_then(|diagnostic| diagnostic.span).map(|span| {
            let location = |at: datafusion::common::Location| Location::new(at.line, at.column);
            Span::new(location(span.start), location(span.end))
        });
        let root = error.find_root();
        if let DataFusionError::SchemaError(error, _) = root
            && let SchemaError::FieldNotFound { field, valid_fields } = error.as_ref()
        {
            let known = valid_fields.iter().map(|column| column.name.as_str());
            let help = suggest::sentence(&field.name, known);
            let span = span_of(&field.name, tokens).or(diagnosed);
            let message = format!("there is no column '{}'{help}", field.name);
            return Self::invalid(message).at(span.and_then(|span| source.place(span)));
        }
        if let Some((column, member, span)) = member_of_text(root, tokens) {
            let message = format!("{column} is JSON text, not a row: write element_at({column}, '{member}')");
            return Self::invalid(message).at(source.place(span));
        }
        match root {
            DataFusionError::ResourcesExhausted(_) => Self::of_run(error),
            root => Self::invalid(plain_message(root)).at(diagnosed.and_then(|span| source.place(span))),
        }
    }

    /// An error of a running query.
    pub(super) fn of_run(error: &DataFusionError) -> Self {
        if let Some(own) = find_own(error) {
            return own.clone();
        }
        match error.find_root() {
            DataFusionError::ResourcesExhausted(text) => Self::new(
                Exception::ResourcesExhausted,
                format!("the query needs more memory or disk than query.memory and query.spill_max allow: {text}"),
            ),
            // The bound of disk comes as an error of writing, which has no kind of its own.
            root if plain_message(root).contains("max_temp_directory_size") => Self::new(
                Exception::ResourcesExhausted,
                "the query needs more disk than query.spill_max allows, besides query.memory",
            ),
            root => Self::new(Exception::Failed, plain_message(root)),
        }
    }
}

/// A planner's or operator's message without DataFusion's words around it.
fn plain_message(error: &DataFusionError) -> String {
    let text = match error {
        DataFusionError::Plan(text)
        | DataFusionError::NotImplemented(text)
        | DataFusionError::Execution(text)
        | DataFusionError::Configuration(text) => text.clone(),
        error => error.strip_backtrace(),
    };
    text.split("\n\nbacktrace:").next().unwrap_or_default().trim_end().to_owned()
}

fn find_own(error: &DataFusionError) -> Option<&QueryError> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(own) = error.downcast_ref() {
            return Some(own);
        }
        // A boxed error stands for itself, not for its source.
        if let Some(DataFusionError::External(inner)) = error.downcast_ref()
            && let Some(own) = inner.downcast_ref()
        {
            return Some(own);
        }
        next = error.source();
    }
    None
}

/// The identifier `name` in the statement, whichever case it is written in.
fn span_of(name: &str, tokens: &[TokenWithSpan]) -> Option<Span> {
    let is_it =
        |token: &&TokenWithSpan| matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case(name));
    tokens.iter().find(is_it).map(|token| token.span)
}

/// The first `column.member` of a column that holds text, if that is what the planner stumbles over.
fn member_of_text<'a>(error: &DataFusionError, tokens: &'a [TokenWithSpan]) -> Option<(&'a str, &'a str, Span)> {
    if !plain_message(error).contains("type Utf8 is not Struct") {
        return None;
    }
    let is_text = |name: &str| {
        let columns = Kind::ALL.iter().flat_map(|kind| schema::columns(*kind));
        columns
            .into_iter()
            .any(|column| column.field.name().eq_ignore_ascii_case(name) && *column.field.data_type() == DataType::Utf8)
    };
    tokens.windows(3).find_map(|window| match [&window[0].token, &window[1].token, &window[2].token] {
        [Token::Word(column), Token::Period, Token::Word(member)] if is_text(&column.value) => {
            let span = Span::new(window[0].span.start, window[2].span.end);
            Some((column.value.as_str(), member.value.as_str(), span))
        }
        _ => None,
    })
}

/// Splits `… at Line: 1, Column: 5`.
fn split_location(text: &str) -> (&str, Option<Location>) {
    let Some((message, place)) = text.rsplit_once(" at Line: ") else { return (text, None) };
    let Some((line, column)) = place.split_once(", Column: ") else { return (text, None) };
    match (line.trim().parse(), column.trim().parse()) {
        (Ok(line), Ok(column)) => (message, Some(Location::new(line, column))),
        _ => (text, None),
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.exception.name(), self.message)?;
        let Some(Place { line, column, length, text }) = &self.place else { return Ok(()) };
        let blanks = " ".repeat(usize::try_from(column - 1).unwrap_or_default());
        let carets = "^".repeat(usize::try_from(*length).unwrap_or(1).min(text.chars().count().max(1)));
        write!(f, "\n  at line {line}, column {column}\n  {text}\n  {blanks}{carets}")
    }
}

impl std::error::Error for QueryError {}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        Self::of_run(&error)
    }
}

impl From<QueryError> for DataFusionError {
    fn from(error: QueryError) -> Self {
        Self::External(Box::new(error))
    }
}
