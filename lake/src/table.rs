//! A Delta Lake table: opening, the files that are in it, and commits.
//!
//! Owns how tables are created and what a commit may meet. Does not own what files hold ([`crate::write`]) or which commits
//! there are. A crash leaves files that no commit names; the vacuum takes them away.
//!
//! A commit is one object, put only where there is none of that name: in a bucket and in a folder alike, of two writers one
//! wins, and the other looks whether what it did still holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Schema, SchemaRef};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add, StructType, Transaction};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use orgtrail_cloud::ObjectStore;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::error::Error;
use crate::store::Store;

/// The application under which imports are numbered in a table's transactions.
pub(crate) const IMPORTS: &str = "orgtrail.import";

/// Paths in a table are relative, and the store begins at the table: its address says nothing more.
const ADDRESS: &str = "orgtrail:///";

/// The log is listed again after this time at least: commits that nobody looked at for a month are gone from it.
const LISTED_MAX: Duration = Duration::from_secs(60 * 60);

/// A table, as of the last time it was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    name: String,
    delta: DeltaTable,
    store: Arc<Store>,
    partition: Vec<String>,
    /// When its log was listed.
    listed: Instant,
}

impl Table {
    /// Opens the table at a place, and creates it where there is none.
    pub(crate) async fn open_or_create(
        name: &str,
        store: Arc<dyn ObjectStore>,
        schema: &Schema,
        partition: &str,
    ) -> Result<Self, Error> {
        if let Some(table) = Self::open(name, Arc::clone(&store), schema, partition).await? {
            return Ok(table);
        }
        let columns: StructType =
            schema.try_into_kernel().map_err(|source| Error::Rows { table: name.to_owned(), source })?;
        let create = CreateBuilder::new()
            .with_log_store(log_store(Arc::new(Store::new(Arc::clone(&store)))))
            .with_table_name(name)
            .with_columns(columns.fields().cloned())
            .with_partition_columns([partition])
            .with_save_mode(SaveMode::Ignore)
            .with_configuration(properties());
        match create.await {
            // Another process may have created it at the same moment.
            Ok(_) | Err(DeltaTableError::Transaction { .. }) => {}
            Err(error) => return Err(Error::table("create", name, error)),
        }
        let table = Self::open(name, store, schema, partition).await?;
        table.ok_or_else(|| Error::Foreign {
            table: name.to_owned(),
            what: "it was created and is not there".to_owned(),
        })
    }

    /// Opens the table at a place; none where there is none.
    pub(crate) async fn open(
        name: &str,
        store: Arc<dyn ObjectStore>,
        schema: &Schema,
        partition: &str,
    ) -> Result<Option<Self>, Error> {
        let store = Arc::new(Store::new(store));
        let mut delta = DeltaTable::new(log_store(Arc::clone(&store)));
        let failed = |error| Error::table("open", name, error);
        if !delta.verify_deltatable_existence().await.map_err(failed)? {
            return Ok(None);
        }
        delta.load().await.map_err(failed)?;
        let table =
            Self { name: name.to_owned(), delta, store, partition: vec![partition.to_owned()], listed: Instant::now() };
        table.check(schema)?;
        Ok(Some(table))
    }

    /// A table of another writer, or of another version of ours, is not written to.
    fn check(&self, schema: &Schema) -> Result<(), Error> {
        let foreign = |what: String| Err(Error::Foreign { table: self.name.clone(), what });
        let snapshot = self.snapshot()?;
        let there = snapshot.snapshot().arrow_schema();
        for field in schema.fields() {
            if there.field_with_name(field.name()).is_err() {
                return foreign(format!(
                    "the table has no column {}; give the event data store a location of its own",
                    field.name()
                ));
            }
        }
        Ok(())
    }

    /// Looks for commits of others. Says whether there were any.
    pub(crate) async fn refresh(&mut self) -> Result<bool, Error> {
        // Commits are numbered without gaps: where the next isn't there, there is none.
        if self.listed.elapsed() < LISTED_MAX && !self.has_commit(self.version() + 1).await? {
            return Ok(false);
        }
        let before = self.version();
        self.delta.update_state().await.map_err(|error| Error::table("read", &self.name, error))?;
        self.listed = Instant::now();
        Ok(self.version() != before)
    }

    async fn has_commit(&self, number: u64) -> Result<bool, Error> {
        let commit = Path::from(format!("_delta_log/{number:020}.json"));
        match self.store.head(&commit).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(Error::table("read", &self.name, error.into())),
        }
    }

    /// What the event data store is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The number of the last commit that is known.
    pub(crate) fn version(&self) -> u64 {
        self.delta.version().unwrap_or_default()
    }

    /// Its objects.
    pub(crate) fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Its columns, the partition's included.
    pub(crate) fn schema(&self) -> Result<SchemaRef, Error> {
        Ok(self.snapshot()?.snapshot().arrow_schema())
    }

    /// The library's own handle.
    pub(crate) fn delta(&self) -> &DeltaTable {
        &self.delta
    }

    /// The columns that it is partitioned by.
    pub(crate) fn partition(&self) -> &[String] {
        &self.partition
    }

    /// The files that are in it.
    pub(crate) fn files(&self) -> Result<Vec<Add>, Error> {
        let files = self.snapshot()?.log_data().into_iter().map(|file| Add {
            path: file.path().into_owned(),
            partition_values: file.partition_values_map(),
            size: file.size(),
            modification_time: file.modification_time(),
            stats: file.stats(),
            ..Add::default()
        });
        Ok(files.collect())
    }

    /// The number of the last import that is in it; 0 where there is none yet.
    pub(crate) async fn last_import(&self) -> Result<i64, Error> {
        let version = self.snapshot()?.transaction_version(&*self.delta.log_store(), IMPORTS).await;
        Ok(version.map_err(|error| Error::table("read", &self.name, error))?.unwrap_or(0))
    }

    /// Commits rows that came in, as import `number`. Fails with [`Error::Conflict`] if that import is there already.
    pub(crate) async fn commit_import(
        &mut self,
        number: i64,
        adds: Vec<Add>,
        metadata: HashMap<String, Value>,
    ) -> Result<(), Error> {
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(self.partition.clone()),
            predicate: None,
        };
        let properties = CommitProperties::default()
            .with_metadata(metadata)
            .with_application_transaction(Transaction::new(IMPORTS, number));
        self.commit(adds.into_iter().map(Action::Add).collect(), operation, properties).await
    }

    /// Commits actions. Fails with [`Error::Conflict`] if they don't hold any more after what others committed meanwhile.
    pub(crate) async fn commit(
        &mut self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        properties: CommitProperties,
    ) -> Result<(), Error> {
        let snapshot = self.snapshot()?;
        let commit = CommitBuilder::from(properties).with_actions(actions);
        let done = commit.build(Some(snapshot), self.delta.log_store(), operation).await;
        let done = done.map_err(|error| Error::table("commit to", &self.name, error))?;
        self.delta.state = Some(done.snapshot());
        Ok(())
    }

    fn snapshot(&self) -> Result<&deltalake_core::table::state::DeltaTableState, Error> {
        self.delta.snapshot().map_err(|error| Error::table("read", &self.name, error))
    }
}

fn log_store(store: Arc<Store>) -> LogStoreRef {
    let address = Url::parse(ADDRESS).expect("a constant");
    default_logstore(Arc::clone(&store) as _, store, &address, &StorageConfig::default())
}

/// What is said to every engine that writes to the table.
fn properties() -> [(String, Option<String>); 2] {
    let of = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    [
        // The columns that files are skipped by; the first that carry statistics.
        of("delta.dataSkippingNumIndexedCols", "5"),
        of("delta.checkpointInterval", "50"),
    ]
}

#[cfg(test)]
mod tests;
