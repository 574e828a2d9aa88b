//! Turns the syntax tree of a Lake query into one that DataFusion's planner understands.
//!
//! Owns what is the same for every statement: which statements are allowed, names without regard to case, event data stores,
//! lambda parameters. [`names`] owns what columns of an answer are called, [`functions`] what Trino's functions become,
//! [`from`] how `UNNEST` is put so that the planner of [`super::unnest`] sees it.

mod from;
mod functions;
mod names;

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, Ident, JoinConstraint, JoinOperator, LambdaFunctionParameter, ObjectName, ObjectNamePart,
    OneOrManyWithParens, Query, Select, SetExpr, Spanned, Statement, TableAlias, TableFactor, VisitMut, VisitorMut,
};
use jiff::Timestamp;

use super::catalog::Catalog;
use super::error::{Exception, QueryError};
use super::source::Source;
use super::suggest;

/// What a statement is judged by.
pub(super) struct Context<'a> {
    pub(super) source: Source<'a>,
    pub(super) catalog: &'a Catalog,
    /// The functions that there are, in lower case.
    pub(super) functions: &'a HashSet<String>,
    /// What `now()` is, everywhere in the statement.
    pub(super) now: Timestamp,
}

/// A statement that the planner understands, and what the columns of its answer are called where the statement says so.
pub(super) struct Rewritten {
    pub(super) statement: Statement,
    pub(super) names: OutputNames,
}

pub(super) use names::OutputNames;

/// Checks and rewrites a statement.
pub(super) fn rewrite(mut statement: Statement, context: &Context<'_>) -> Result<Rewritten, QueryError> {
    let query = match &mut statement {
        Statement::Query(query) => Some(query),
        Statement::Explain { statement, .. } => match statement.as_mut() {
            Statement::Query(query) => Some(query),
            _ => None,
        },
        _ => None,
    };
    let Some(query) = query else {
        let what = statement.to_string();
        let verb = what.split_whitespace().next().unwrap_or_default().to_uppercase();
        return Err(QueryError::invalid(format!("only SELECT statements are allowed, not {verb}"))
            .at(context.source.place_at(first_token(context.source))));
    };
    let names = OutputNames::of(query);
    let is_explained = matches!(statement, Statement::Explain { .. });
    let mut rewriter = Rewriter { context, scopes: Vec::new(), parameters: Vec::new() };
    match statement.visit(&mut rewriter) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => {
            Ok(Rewritten { statement, names: if is_explained { OutputNames::default() } else { names } })
        }
    }
}

/// Where the statement's first word stands, behind blanks and comments.
fn first_token(source: Source<'_>) -> datafusion::sql::sqlparser::tokenizer::Location {
    let blanks = source.0.len() - source.0.trim_start().len();
    let before = &source.0[..blanks];
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
    datafusion::sql::sqlparser::tokenizer::Location::new(line, column)
}

struct Rewriter<'a> {
    context: &'a Context<'a>,
    /// The names of common table expressions, from the outermost query to the innermost.
    scopes: Vec<HashSet<String>>,
    /// The parameters of lambdas, likewise.
    parameters: Vec<String>,
}

impl Rewriter<'_> {
    fn refuse<T>(
        &self,
        error: QueryError,
        span: datafusion::sql::sqlparser::tokenizer::Span,
    ) -> ControlFlow<QueryError, T> {
        ControlFlow::Break(error.at(self.context.source.place(span)))
    }

    /// Puts an event data store's own name in place of whatever it is called by.
    fn table(&self, name: &mut ObjectName, alias: &mut Option<TableAlias>) -> ControlFlow<QueryError> {
        let span = name.span();
        let parts: Option<Vec<&Ident>> = name.0.iter().map(ObjectNamePart::as_ident).collect();
        let Some(parts) = parts.filter(|parts| !parts.is_empty()) else { return ControlFlow::Continue(()) };
        let last = parts[parts.len() - 1].value.to_lowercase();
        let whole = parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".");
        if parts.len() == 1 && self.scopes.iter().any(|scope| scope.contains(&last)) {
            *name = quoted(&last).into();
            return ControlFlow::Continue(());
        }
        let Some(store) = self.context.catalog.find(&whole).or_else(|| self.context.catalog.find(&last)) else {
            let message = format!("there is no event data store '{whole}'{}", self.context.catalog.help(&whole));
            return self.refuse(QueryError::new(Exception::EventDataStoreNotFound, message), span);
        };
        *name = quoted(&store.name.to_lowercase()).into();
        // What qualifies columns is the name as it was written.
        alias.get_or_insert_with(|| TableAlias { explicit: true, name: quoted(&last), columns: Vec::new(), at: None });
        ControlFlow::Continue(())
    }

    fn check_function(&self, function: &Function) -> ControlFlow<QueryError> {
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return ControlFlow::Continue(()) };
        let lower = name.value.to_lowercase();
        if self.context.functions.contains(&lower) || functions::is_rewritten(&lower) {
            return ControlFlow::Continue(());
        }
        let known = self.context.functions.iter().map(String::as_str).chain(functions::REWRITTEN);
        let help = suggest::sentence(&lower, known);
        self.refuse(QueryError::invalid(format!("there is no function '{}'{help}", name.value)), name.span)
    }
}

impl VisitorMut for Rewriter<'_> {
    type Break = QueryError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<QueryError> {
        if let SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) = query.body.as_ref() {
            return self.refuse(QueryError::invalid("only SELECT statements are allowed"), query.span());
        }
        let mut scope = HashSet::new();
        for table in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            lower_alias(&mut table.alias);
            scope.insert(table.alias.name.value.clone());
        }
        self.scopes.push(scope);
        names::name_columns(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<QueryError> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<QueryError> {
        if select.into.is_some() {
            return self.refuse(QueryError::invalid("SELECT INTO is not allowed"), select.span());
        }
        from::gather_unnest(&mut select.from);
        for join in select.from.iter_mut().flat_map(|table| &mut table.joins) {
            lower_using(&mut join.join_operator);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<QueryError> {
        match factor {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => alias.iter_mut().for_each(lower_alias),
            _ => {}
        }
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => self.table(name, alias),
            TableFactor::NestedJoin { table_with_joins, .. } => {
                table_with_joins.joins.iter_mut().for_each(|join| lower_using(&mut join.join_operator));
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        match expr {
            Expr::Identifier(name) => lower(name),
            Expr::CompoundIdentifier(parts) => {
                parts.iter_mut().for_each(lower);
                // The planner knows a lambda's parameters by themselves only.
                if self.parameters.contains(&parts[0].value) {
                    let root = Expr::Identifier(parts[0].clone());
                    *expr = parts[1..].iter().fold(root, |from, part| functions::member(from, &part.value));
                }
            }
            Expr::Lambda(lambda) => {
                for parameter in lambda_parameters(&mut lambda.params) {
                    lower(&mut parameter.name);
                    self.parameters.push(parameter.name.value.clone());
                }
            }
            Expr::Function(function) => return self.check_function(function),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        if let Expr::Lambda(lambda) = expr {
            let count = lambda_parameters(&mut lambda.params).len();
            self.parameters.truncate(self.parameters.len() - count);
        }
        functions::rewrite(expr, self.context.now);
        ControlFlow::Continue(())
    }
}

fn lambda_parameters(parameters: &mut OneOrManyWithParens<LambdaFunctionParameter>) -> &mut [LambdaFunctionParameter] {
    match parameters {
        OneOrManyWithParens::One(one) => std::slice::from_mut(one),
        OneOrManyWithParens::Many(many) => many,
    }
}

/// Lake's identifiers know no case, even in quotes; all our columns are lower case.
fn lower(name: &mut Ident) {
    name.value = name.value.to_lowercase();
}

fn lower_alias(alias: &mut TableAlias) {
    lower(&mut alias.name);
    alias.columns.iter_mut().for_each(|column| lower(&mut column.name));
}

fn lower_using(operator: &mut JoinOperator) {
    let constraint = match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => constraint,
        _ => return,
    };
    let JoinConstraint::Using(columns) = constraint else { return };
    for part in columns.iter_mut().flat_map(|column| &mut column.0) {
        if let ObjectNamePart::Identifier(name) = part {
            lower(name);
        }
    }
}

/// An identifier that the planner takes as it stands.
fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}
