//! The embedded engine: which event data stores there are, what queries may use, and the way from a statement to a running
//! query.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::execution::context::{SessionConfig, SessionContext};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_plan::execute_stream;
use datafusion::sql::parser::Statement;
use orgtrail_service::clock::Clock;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::catalog::Catalog;
use super::config::Config;
use super::describe::{ColumnDescription, describe};
use super::error::{Exception, QueryError};
use super::memory::QueryMemory;
use super::rewrite::{self, Context, Rewritten};
use super::run::{Limits, Run};
use super::runs::CountRuns;
use super::source::Source;
use super::unnest::UnnestPlanner;
use super::{dialect, functions, tokens};
use crate::kind::Kind;

/// The longest statement, in characters ("QueryStatement" of `StartQuery` in the API reference).
pub(super) const STATEMENT_CHARACTERS_MAX: usize = 10_000;

/// What an event data store goes by in queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreName {
    /// Its name.
    pub name: String,
    /// Its id, a UUID. Queries written for CloudTrail Lake name it.
    pub id: String,
    /// What it holds.
    pub kind: Kind,
}

/// Answers queries over event data stores. Cheap to clone; the clones share their bounds.
#[derive(Clone)]
pub struct Engine {
    context: SessionContext,
    catalog: Arc<RwLock<Catalog>>,
    functions: Arc<HashSet<String>>,
    running: Arc<Semaphore>,
    config: Config,
    clock: Arc<dyn Clock>,
}

impl Engine {
    /// An engine without event data stores. `clock` says what `now()` is.
    ///
    /// # Errors
    /// The folder to spill to can't be made.
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, QueryError> {
        let failed =
            |error: DataFusionError| QueryError::new(Exception::Failed, format!("start the query engine: {error}"));
        let mut disk = DiskManagerBuilder::default().with_max_temp_directory_size(config.spill_max.as_u64());
        if let Some(folder) = &config.spill_dir {
            std::fs::create_dir_all(folder).map_err(|error| {
                QueryError::new(Exception::Failed, format!("make query.spill_dir {}: {error}", folder.display()))
            })?;
            disk.set_mode(DiskManagerMode::Directories(vec![folder.clone()]));
        }
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(QueryMemory::new(config.memory.as_usize())))
            .with_metadata_cache_limit(config.memory.as_usize() / 8)
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(failed)?;
        let state = SessionStateBuilder::new()
            .with_config(session(config))
            .with_runtime_env(runtime)
            .with_default_features()
            .with_physical_optimizer_rule(Arc::new(CountRuns))
            .build();
        let context = SessionContext::new_with_state(state);
        for function in functions::all() {
            context.register_udf(function.as_ref().clone());
        }
        context.register_relation_planner(Arc::new(UnnestPlanner::default())).map_err(failed)?;
        let functions = Arc::new(function_names(&context));
        Ok(Self {
            context,
            catalog: Arc::default(),
            functions,
            running: Arc::new(Semaphore::new(config.queries_max)),
            config: config.clone(),
            clock,
        })
    }

    /// Adds an event data store, in place of another with the same name. Queries that run keep what they have.
    ///
    /// # Errors
    /// The engine can't take the table.
    pub fn register(&self, store: &StoreName, table: Arc<dyn TableProvider>) -> Result<(), QueryError> {
        let name = TableReference::bare(store.name.to_lowercase());
        self.context.deregister_table(name.clone())?;
        self.context.register_table(name, table)?;
        self.catalog.write().unwrap_or_else(PoisonError::into_inner).add(store.clone());
        Ok(())
    }

    /// The event data stores, by name.
    pub fn stores(&self) -> Vec<StoreName> {
        self.catalog().stores().to_vec()
    }

    /// The columns of an event data store, given by name, id or ARN.
    ///
    /// # Errors
    /// There is no such event data store.
    pub async fn describe(&self, name: &str) -> Result<Vec<ColumnDescription>, QueryError> {
        let catalog = self.catalog();
        let Some(store) = catalog.find(name) else {
            let message = format!("there is no event data store '{name}'{}", catalog.help(name));
            return Err(QueryError::new(Exception::EventDataStoreNotFound, message));
        };
        let table = self.context.table_provider(TableReference::bare(store.name.to_lowercase())).await?;
        Ok(describe(store.kind, &table.schema()))
    }

    /// Checks and plans a statement. It runs as the answer's batches are asked for, and stops when they are dropped.
    ///
    /// # Errors
    /// The statement isn't valid, names what doesn't exist, or as many queries run as may.
    pub async fn query(&self, statement: &str) -> Result<Run, QueryError> {
        let started = Instant::now();
        let Ok(permit) = self.running.clone().try_acquire_owned() else {
            let message =
                format!("{} queries run already, as many as query.queries_max allows", self.config.queries_max);
            return Err(QueryError::new(Exception::MaxConcurrentQueries, message));
        };
        let (plan, names) = self.plan(statement).await?;
        let limits = Limits { timeout: self.config.timeout, scan_max: self.config.scan_max };
        let batches = execute_stream(Arc::clone(&plan), self.context.task_ctx())?;
        Ok(Run::new(plan, batches, &names, &limits, started, permit))
    }

    async fn plan(
        &self,
        statement: &str,
    ) -> Result<(Arc<dyn datafusion::physical_plan::ExecutionPlan>, rewrite::OutputNames), QueryError> {
        let length = statement.chars().count();
        if length > STATEMENT_CHARACTERS_MAX {
            let message =
                format!("the statement has {length} characters; at most {STATEMENT_CHARACTERS_MAX} are allowed");
            return Err(QueryError::new(Exception::InvalidParameter, message));
        }
        let source = Source(statement);
        let catalog = self.catalog();
        let tokens = tokens::tokens(source, &catalog.names())?;
        let parsed = dialect::parse(&tokens, source)?;
        let context = Context { source, catalog: &catalog, functions: &self.functions, now: self.clock.now() };
        let Rewritten { statement, names } = rewrite::rewrite(parsed, &context)?;
        let of_planner = |error: DataFusionError| QueryError::of_planner(&error, source, &tokens);
        let state = self.context.state();
        let plan = state.statement_to_plan(Statement::Statement(Box::new(statement))).await.map_err(of_planner)?;
        let plan = state.create_physical_plan(&plan).await.map_err(of_planner)?;
        Ok((plan, names))
    }

    fn catalog(&self) -> Catalog {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How queries are planned: SQL as Trino means it, and Parquet read as our files are written.
fn session(config: &Config) -> SessionConfig {
    let mut session = SessionConfig::new().with_information_schema(false);
    let options = session.options_mut();
    // What each sort keeps for merging: little enough that all sorts of a small memory have theirs.
    let merging = options.execution.sort_spill_reservation_bytes;
    options.execution.sort_spill_reservation_bytes = merging.min(config.memory.as_usize() / 32);
    options.sql_parser.collect_spans = true;
    options.sql_parser.default_null_ordering = "nulls_last".to_owned();
    // What functions give is Utf8, and so is what is cast to text.
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.parquet.reorder_filters = true;
    // Where half of the rows are groups of their own, grouping them twice saves nothing. A batch tells.
    options.execution.skip_partial_aggregation_probe_ratio_threshold = 0.5;
    options.execution.skip_partial_aggregation_probe_rows_threshold = options.execution.batch_size.get();
    session
}

fn function_names(context: &SessionContext) -> HashSet<String> {
    let state = context.state();
    let scalar = state.scalar_functions().keys();
    let higher = state.higher_order_functions().keys();
    let aggregate = state.aggregate_functions().keys();
    let window = state.window_functions().keys();
    let table = state.table_functions().keys();
    // Parts of the planner's grammar that look like functions.
    let grammar = ["coalesce", "extract", "unnest", "grouping", "map", "row", "struct"].map(str::to_owned);
    scalar.chain(higher).chain(aggregate).chain(window).chain(table).cloned().chain(grammar).collect()
}
