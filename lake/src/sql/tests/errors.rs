//! What a wrong statement is told.

use super::records;
use crate::sql::testing::{engine, refused};

#[tokio::test]
async fn only_select_is_allowed() {
    let engine = engine(&records());
    for statement in [
        "DELETE FROM events",
        "INSERT INTO events SELECT * FROM events",
        "CREATE TABLE t AS SELECT 1",
        "DROP TABLE events",
        "SET x = 1",
        "COPY events TO '/tmp/x'",
        "EXPLAIN DELETE FROM events",
        "WITH x AS (SELECT 1) INSERT INTO events SELECT * FROM x",
        "SELECT * INTO t FROM events",
        "SELECT 1; SELECT 2",
        "",
    ] {
        let error = refused(&engine, statement).await;
        assert!(error.starts_with("InvalidQueryStatementException: "), "{statement}: {error}");
    }
    let error = refused(&engine, " \n DROP TABLE events").await;
    assert!(error.contains("only SELECT statements are allowed, not DROP\n  at line 2, column 2"), "{error}");
}

#[tokio::test]
async fn errors_point_at_their_place() {
    let engine = engine(&records());
    assert_eq!(
        refused(&engine, "SELECT eventNme\nFROM events").await,
        "InvalidQueryStatementException: there is no column 'eventnme'; did you mean 'eventname'?\n  at line 1, column 8\n  SELECT eventNme\n         ^^^^^^^^"
    );
    assert_eq!(
        refused(&engine, "SELECT 1\n  FROM event\n").await,
        "EventDataStoreNotFoundException: there is no event data store 'event'; did you mean 'events'?\n  at line 2, column 8\n    FROM event\n         ^^^^^"
    );
    assert_eq!(
        refused(&engine, "SELECT 1 FROM 00000000-0000-0000-0000-000000000000").await,
        "EventDataStoreNotFoundException: there is no event data store '00000000-0000-0000-0000-000000000000'; there are: Insights-2, events, items\n  at line 1, column 15\n  SELECT 1 FROM 00000000-0000-0000-0000-000000000000\n                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"
    );
    assert_eq!(
        refused(&engine, "SELECT regexp_lik(eventname, 'a') FROM events").await,
        "InvalidQueryStatementException: there is no function 'regexp_lik'; did you mean 'regexp_like'?\n  at line 1, column 8\n  SELECT regexp_lik(eventname, 'a') FROM events\n         ^^^^^^^^^^"
    );
    let error = refused(&engine, "SELECT count(* FROM events").await;
    assert!(error.contains("at line 1, column 16"), "{error}");
    let error = refused(&engine, "SELECT 'abc FROM events").await;
    assert!(error.contains("at line 1, column 8"), "{error}");
    let error = refused(&engine, "SELECT useridentity.nam FROM events").await;
    assert!(error.contains("'nam'") || error.contains("nam"), "{error}");
}

#[tokio::test]
async fn what_json_needs_is_said() {
    let engine = engine(&records());
    let error = refused(&engine, "SELECT requestparameters.bucketName FROM events").await;
    assert!(error.contains("element_at(requestparameters, 'bucketName')"), "{error}");
    let error = refused(&engine, "SELECT json_extract(requestparameters, '$.a[*]') FROM events").await;
    assert!(error.contains("'$.a[*]' is no JSONPath: wildcards are not supported at character 5"), "{error}");
    let error = refused(&engine, "SELECT x FROM events CROSS JOIN UNNEST(requestparameters) AS t(x)").await;
    assert!(error.contains("UNNEST takes an array, not Utf8"), "{error}");
}

#[tokio::test]
async fn a_statement_has_a_length_and_a_depth() {
    let engine = engine(&records());
    let long = format!("SELECT '{}'", "x".repeat(10_000));
    assert_eq!(
        refused(&engine, &long).await,
        "InvalidParameterException: the statement has 10009 characters; at most 10000 are allowed"
    );
    let deep = format!("SELECT {}1{}", "(".repeat(2_000), ")".repeat(2_000));
    assert!(refused(&engine, &deep).await.contains("nested too deeply"));
}
