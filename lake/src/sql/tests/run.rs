//! The bounds of a running query, and its figures.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use futures::StreamExt;
use orgtrail_service::shape::Bytes;
use parquet::arrow::ArrowWriter;

use super::{record, records};
use crate::kind::Kind;
use crate::sql::testing::{batch, engine_with, refused, rows};
use crate::sql::{Config, Engine, Exception};

#[tokio::test]
async fn a_query_that_runs_too_long_ends() {
    let config = Config { timeout: Duration::from_millis(50), ..Config::default() };
    let engine = engine_with(&config, &records());
    let endless = "SELECT count(*) FROM generate_series(1, 100000000) a CROSS JOIN generate_series(1, 100000000) b";
    assert_eq!(refused(&engine, endless).await, "QueryTimedOut: the query ran longer than query.timeout, 50ms");
}

#[tokio::test]
async fn as_many_queries_run_as_may_and_a_dropped_one_makes_room() {
    let config = Config { queries_max: 1, ..Config::default() };
    let engine = engine_with(&config, &records());
    let run = engine.query("SELECT * FROM events").await.unwrap();
    let error = engine.query("SELECT 1").await.err().unwrap();
    assert_eq!(error.exception, Exception::MaxConcurrentQueries);
    drop(run);
    assert_eq!(rows(&engine, "SELECT 1").await, ["1"]);
}

#[tokio::test]
async fn memory_is_bounded_and_sorting_goes_to_disk() {
    let folder = tempfile::tempdir().unwrap();
    let spill_dir = folder.path().join("spill");
    let config = Config { memory: Bytes::mib(64), spill_dir: Some(spill_dir.clone()), ..Config::default() };
    let engine = engine_with(&config, &records());
    let sorted = "SELECT repeat(CAST(value AS varchar), 60) AS x FROM generate_series(100000, 350000) ORDER BY 1";
    let mut run = engine.query(sorted).await.unwrap();
    while let Some(batch) = run.batches.next().await {
        batch.unwrap();
    }
    assert!(run.statistics.figures().spilled_bytes > 0);
    assert!(spill_dir.exists());
    let little = Config { spill_max: Bytes::mib(1), ..config };
    let engine = engine_with(&little, &records());
    let error = refused(&engine, sorted).await;
    assert!(error.starts_with("QueryResourcesExhausted: "), "{error}");
}

/// An engine whose event data store `events` is a Parquet file of 3,000 records.
fn engine_of_file(config: &Config, folder: &Path) -> Engine {
    let path = folder.join("1.parquet");
    let name = |index: usize| format!("{index:0400x}");
    let records: Vec<_> =
        (0..3_000).map(|index| record("2026-03-01T00:00:00Z", "s3.amazonaws.com", &name(index), "")).collect();
    let batch = batch(Kind::Events, &records);
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let engine = engine_with(config, &[]);
    let url = ListingTableUrl::parse(path.to_str().unwrap()).unwrap();
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()));
    let table = ListingTableConfig::new(url).with_listing_options(options).with_schema(batch.schema());
    let store = engine.stores().into_iter().find(|store| store.name == "events").unwrap();
    engine.register(&store, Arc::new(ListingTable::try_new(table).unwrap())).unwrap();
    engine
}

#[tokio::test]
async fn figures_count_bytes_rows_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine_of_file(&Config::default(), folder.path());
    let run = engine.query("SELECT eventname FROM events WHERE eventname LIKE '%7'").await.unwrap();
    let statistics = run.statistics.clone();
    assert_eq!(statistics.figures().rows_out, 0);
    run.collect().await.unwrap();
    let figures = statistics.figures();
    assert_eq!((figures.rows_scanned, figures.rows_out), (3_000, 188), "{figures:?}");
    assert!((1_000_000..2_000_000).contains(&figures.bytes_scanned), "{figures:?}");
    assert_eq!(statistics.figures().elapsed, figures.elapsed, "it stands still when the query is over");
}

#[tokio::test]
async fn a_query_that_reads_too_much_ends() {
    let folder = tempfile::tempdir().unwrap();
    for (scan_max, is_over) in [(None, false), (Some(Bytes::mib(2)), false), (Some(Bytes::mib(1)), true)] {
        let engine = engine_of_file(&Config { scan_max, ..Config::default() }, folder.path());
        let run = engine.query("SELECT eventname, count(*) FROM events GROUP BY 1").await.unwrap();
        match run.collect().await {
            Ok(_) => assert!(!is_over),
            Err(error) => {
                assert!(is_over, "{error}");
                assert_eq!(error.exception, Exception::ScanLimit);
                assert!(error.message.contains("more than query.scan_max, 1 MiB"), "{error}");
            }
        }
    }
}

#[test]
fn what_configuration_says_is_checked() {
    assert!(Config::default().problems().is_empty());
    let wrong = Config {
        memory: Bytes::mib(1),
        timeout: Duration::ZERO,
        queries_max: 0,
        scan_max: Some(Bytes(0)),
        ..Config::default()
    };
    let keys: Vec<_> = wrong.problems().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["memory", "timeout", "queries_max", "scan_max"]);
}
