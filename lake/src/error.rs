//! What can go wrong with tables and imports.

use datafusion::error::DataFusionError;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::{CommitConflictError, TransactionError};
use orgtrail_cloud::Error as CloudError;

use crate::sql::QueryError;

/// Why the lake could not do something. The text says what, and where.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A place that holds objects did not answer as it should.
    #[error(transparent)]
    Store(#[from] CloudError),
    /// A table could not be opened, read or written.
    #[error("{verb} {table}: {source}")]
    Table {
        /// What was tried.
        verb: &'static str,
        /// The event data store.
        table: String,
        /// What the table format's library says.
        source: Box<DeltaTableError>,
    },
    /// Rows could not be brought into files.
    #[error("write rows of {table}: {source}")]
    Rows {
        /// The event data store.
        table: String,
        /// What the column library says.
        source: arrow::error::ArrowError,
    },
    /// A table's own rows could not be read.
    #[error("read {table}: {source}")]
    Read {
        /// The event data store.
        table: String,
        /// What the engine says.
        source: Box<DataFusionError>,
    },
    /// Somebody else changed the same rows at the same time. Nothing was lost: it is looked at again.
    #[error("{table} was changed by another process at the same time")]
    Conflict {
        /// The event data store.
        table: String,
    },
    /// A query failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// What was asked for can't be meant.
    #[error("{0}")]
    Request(String),
    /// What is in the table is not what this version writes.
    #[error("{table}: {what}")]
    Foreign {
        /// The event data store.
        table: String,
        /// What is different, and what to do about it.
        what: String,
    },
}

impl Error {
    /// A table's failure, or a conflict with another writer.
    pub(crate) fn table(verb: &'static str, table: &str, source: DeltaTableError) -> Self {
        let table = table.to_owned();
        if is_conflict(&source) {
            Self::Conflict { table }
        } else {
            Self::Table { verb, table, source: Box::new(source) }
        }
    }
}

fn is_conflict(error: &DeltaTableError) -> bool {
    let DeltaTableError::Transaction { source } = error else { return false };
    match source {
        TransactionError::CommitConflict(conflict) => !matches!(
            conflict,
            CommitConflictError::UnsupportedWriterVersion(_)
                | CommitConflictError::UnsupportedReaderVersion(_)
                | CommitConflictError::CorruptedState { .. }
        ),
        TransactionError::VersionAlreadyExists(_) | TransactionError::MaxCommitAttempts(_) => true,
        _ => false,
    }
}
