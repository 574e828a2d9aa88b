//! What the parser takes for SQL: as little beyond Trino's grammar as the parser allows.

use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::error::QueryError;
use super::source::Source;

/// How deep parentheses and the like may be nested in a statement.
const DEPTH_MAX: usize = 100;

/// The dialect of CloudTrail Lake.
#[derive(Debug)]
pub(super) struct Lake;

impl Dialect for Lake {
    fn is_identifier_start(&self, char: char) -> bool {
        char.is_alphabetic() || char == '_'
    }

    fn is_identifier_part(&self, char: char) -> bool {
        char.is_alphanumeric() || matches!(char, '_' | '$' | '@')
    }

    fn is_delimited_identifier_start(&self, char: char) -> bool {
        char == '"'
    }

    fn supports_lambda_functions(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_within_after_array_aggregation(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }
}

/// Parses one statement. A semicolon behind it is allowed.
pub(super) fn parse(tokens: &[TokenWithSpan], source: Source<'_>) -> Result<Statement, QueryError> {
    let mut parser = Parser::new(&Lake).with_recursion_limit(DEPTH_MAX).with_tokens_with_locations(tokens.to_vec());
    let statement = parser.parse_statement().map_err(|error| QueryError::of_parser(&error, source))?;
    while parser.consume_token(&Token::SemiColon) {}
    let next = parser.peek_token();
    match next.token {
        Token::EOF => Ok(statement),
        token => Err(QueryError::invalid(format!("expected the end of the statement, found: {token}"))
            .at(source.place(next.span))),
    }
}
