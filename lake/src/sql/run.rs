//! A running query: its batches within the bounds of configuration, and what it has read so far.
//!
//! Dropping a [`Run`] stops the query: the plan's tasks belong to the stream.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::physical_plan::ExecutionPlan;
use futures::{Stream, StreamExt};
use orgtrail_service::shape::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, interval, sleep_until};

use super::error::{Exception, QueryError};
use super::rewrite::OutputNames;

/// How often a query's figures are compared with its bounds.
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// The bounds of one query.
pub(super) struct Limits {
    pub(super) timeout: Duration,
    pub(super) scan_max: Option<Bytes>,
}

/// A query that was planned and runs as its batches are asked for.
pub struct Run {
    /// The answer's columns.
    pub schema: SchemaRef,
    /// The answer. An error ends it; it becomes a [`QueryError`] by `into()`.
    pub batches: SendableRecordBatchStream,
    /// What the query has done so far. Stays readable when the batches are gone.
    pub statistics: Statistics,
}

impl Run {
    pub(super) fn new(
        plan: Arc<dyn ExecutionPlan>,
        inner: SendableRecordBatchStream,
        names: &OutputNames,
        limits: &Limits,
        started: Instant,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let schema = renamed(&inner.schema(), names);
        let inner = Inner { batches: inner, _permit: Some(permit) };
        Self::begin(Some(plan), inner, schema, limits, started)
    }

    /// What another engine answers. What it reads for that isn't known; the time is bounded all the same.
    pub(crate) fn elsewhere(batches: SendableRecordBatchStream, timeout: Duration, started: Instant) -> Self {
        let (schema, limits) = (batches.schema(), Limits { timeout, scan_max: None });
        Self::begin(None, Inner { batches, _permit: None }, schema, &limits, started)
    }

    fn begin(
        plan: Option<Arc<dyn ExecutionPlan>>,
        inner: Inner,
        schema: SchemaRef,
        limits: &Limits,
        started: Instant,
    ) -> Self {
        let shared = Shared { plan, started, rows_out: AtomicU64::new(0), elapsed: OnceLock::new() };
        let statistics = Statistics(Arc::new(shared));
        let mut checks = interval(CHECK_EVERY);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let batches = Bounded {
            inner: Some(inner),
            schema: Arc::clone(&schema),
            timeout: limits.timeout,
            deadline: Box::pin(sleep_until(started + limits.timeout)),
            scan_max: limits.scan_max,
            checks,
            statistics: statistics.clone(),
        };
        Self { schema, batches: Box::pin(batches), statistics }
    }

    /// Runs it to the end.
    ///
    /// # Errors
    /// The query fails or goes beyond a bound.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>, QueryError> {
        let mut batches = Vec::new();
        while let Some(batch) = self.batches.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    }
}

/// The answer's columns under the names that the query gives them.
fn renamed(schema: &Schema, names: &OutputNames) -> SchemaRef {
    let names = names.apply(schema.fields().iter().map(|field| field.name().as_str()));
    let field = |(field, name): (&Arc<Field>, String)| field.as_ref().clone().with_name(name);
    Arc::new(Schema::new(schema.fields().iter().zip(names).map(field).collect::<Vec<_>>()))
}

/// What a query has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bytes read of event data stores' files, compressed: Lake's `BytesScanned`.
    pub bytes_scanned: u64,
    /// Rows that were looked at in row groups that could not be passed over: Lake's `EventsScanned`.
    pub rows_scanned: u64,
    /// Rows of the answer so far.
    pub rows_out: u64,
    /// Bytes that were written to disk because memory did not suffice.
    pub spilled_bytes: u64,
    /// The time since the query was given, until it ended.
    pub elapsed: Duration,
}

/// A handle to a query's figures. They can be read while it runs, for a progress line, and afterwards.
#[derive(Clone)]
pub struct Statistics(Arc<Shared>);

struct Shared {
    /// None for another engine's.
    plan: Option<Arc<dyn ExecutionPlan>>,
    started: Instant,
    rows_out: AtomicU64,
    elapsed: OnceLock<Duration>,
}

impl Statistics {
    /// The figures now.
    pub fn figures(&self) -> Figures {
        let elapsed = self.0.elapsed.get().copied().unwrap_or_else(|| self.0.started.elapsed());
        let mut figures = Figures { elapsed, rows_out: self.0.rows_out.load(Ordering::Relaxed), ..Figures::default() };
        if let Some(plan) = &self.0.plan {
            add_figures(plan.as_ref(), &mut figures);
        }
        figures
    }

    fn end(&self) {
        self.0.elapsed.get_or_init(|| self.0.started.elapsed());
    }
}

/// Adds what the operators of a plan have counted.
fn add_figures(plan: &dyn ExecutionPlan, figures: &mut Figures) {
    let is_scan = plan.children().is_empty();
    if let Some(metrics) = plan.metrics() {
        let sum = |name: &str| metrics.sum_by_name(name).map_or(0, |sum| sum.as_usize() as u64);
        figures.spilled_bytes += metrics.spilled_bytes().unwrap_or_default() as u64;
        if is_scan {
            figures.bytes_scanned += sum("bytes_scanned");
            // Rows that a filter inside the scan dropped were looked at too.
            figures.rows_scanned += metrics.output_rows().unwrap_or_default() as u64 + sum("pushdown_rows_pruned");
        }
    }
    plan.children().into_iter().for_each(|child| add_figures(child.as_ref(), figures));
}

struct Inner {
    batches: SendableRecordBatchStream,
    /// Lets the next query run when this one is over.
    _permit: Option<OwnedSemaphorePermit>,
}

/// The batches of a query, until it goes beyond a bound.
struct Bounded {
    /// None when it is over.
    inner: Option<Inner>,
    schema: SchemaRef,
    timeout: Duration,
    deadline: Pin<Box<Sleep>>,
    scan_max: Option<Bytes>,
    checks: Interval,
    statistics: Statistics,
}

impl Bounded {
    fn exceeded(&mut self, context: &mut Context<'_>) -> Option<QueryError> {
        if self.deadline.as_mut().poll(context).is_ready() {
            let message = format!("the query ran longer than query.timeout, {:?}", self.timeout);
            return Some(QueryError::new(Exception::TimedOut, message));
        }
        let scan_max = self.scan_max?;
        let mut is_due = false;
        // Polled until it isn't ready, so that it wakes this task.
        while self.checks.poll_tick(context).is_ready() {
            is_due = true;
        }
        is_due.then(|| self.over_scan_max(scan_max)).flatten()
    }

    fn over_scan_max(&self, scan_max: Bytes) -> Option<QueryError> {
        let scanned = self.statistics.figures().bytes_scanned;
        (scanned > scan_max.as_u64()).then(|| {
            let message = format!(
                "the query read {scanned} bytes, more than query.scan_max, {scan_max}: bound eventtime, or name fewer columns"
            );
            QueryError::new(Exception::ScanLimit, message)
        })
    }

    fn end(&mut self) {
        self.inner = None;
        self.statistics.end();
    }

    fn rename(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), batch.columns().to_vec(), &rows)?;
        self.statistics.0.rows_out.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        Ok(batch)
    }
}

impl Stream for Bounded {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.inner.is_none() {
            return Poll::Ready(None);
        }
        if let Some(error) = this.exceeded(context) {
            this.end();
            return Poll::Ready(Some(Err(error.into())));
        }
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let next = std::task::ready!(inner.batches.poll_next_unpin(context));
        // A short query ends before the first check.
        let over = this.scan_max.and_then(|scan_max| this.over_scan_max(scan_max));
        let next = match (over, next) {
            (Some(error), _) => Some(Err(error.into())),
            (None, Some(Ok(batch))) => Some(this.rename(&batch)),
            (None, Some(Err(error))) => Some(Err(error)),
            (None, None) => None,
        };
        if !matches!(next, Some(Ok(_))) {
            this.end();
        }
        Poll::Ready(next)
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        self.statistics.end();
    }
}

impl RecordBatchStream for Bounded {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
