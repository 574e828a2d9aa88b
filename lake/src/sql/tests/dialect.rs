//! Queries as they are written for CloudTrail Lake.

use super::records;
use crate::sql::testing::{ID, ask, engine, rows};

#[tokio::test]
async fn event_data_stores_are_found_by_name_id_and_arn_in_any_case() {
    let engine = engine(&records());
    for from in [
        "events",
        "EVENTS",
        "\"Events\"",
        ID,
        &ID.to_uppercase(),
        &format!("\"{ID}\""),
        &format!("\"arn:aws:cloudtrail:us-east-1:111122223333:eventdatastore/{ID}\""),
        "cloudtrail.events",
        "events AS e",
        &format!("{ID} e"),
        "(SELECT * FROM events)",
    ] {
        assert_eq!(rows(&engine, &format!("SELECT count(*) FROM {from}")).await, ["5"], "{from}");
    }
    assert_eq!(rows(&engine, "SELECT count(*) FROM insights-2").await, ["0"]);
    assert_eq!(rows(&engine, "SELECT count(*) FROM eeee1e10-0000-1111-2222-333333333333;").await, ["0"]);
    assert_eq!(rows(&engine, "SELECT count(*) FROM events WHERE EVENTS.eventName LIKE 'Get%'").await, ["1"]);
    let joined = format!(
        "SELECT count(*) FROM {ID} a JOIN events b ON a.eventID = b.eventId LEFT JOIN insights-2 i ON i.eventid = b.eventid"
    );
    assert_eq!(rows(&engine, &joined).await, ["5"]);
}

#[tokio::test]
async fn identifiers_know_no_case_and_columns_are_called_as_they_are_written() {
    let engine = engine(&records());
    let lines = ask(
        &engine,
        r#"SELECT "eventName", EVENTSOURCE AS "Source", userIdentity.userName, useridentity.SESSIONCONTEXT.sessionIssuer.userName,
           count(*), upper(awsRegion) FROM events WHERE eventname = 'AssumeRole' GROUP BY 1, 2, 3, 4, 6"#,
    );
    assert_eq!(
        lines.await.unwrap(),
        ["eventName|Source|userName|userName_2|_col4|_col5", "AssumeRole|sts.amazonaws.com|NULL|Deploy|1|US-EAST-1"]
    );
    assert_eq!(ask(&engine, "SELECT count(*), 1, now() IS NULL FROM events").await.unwrap()[0], "_col0|_col1|_col2");
    let lines =
        ask(&engine, "SELECT a.eventName, b.eventName, a.* FROM events a JOIN events b USING (eventid) LIMIT 1");
    assert!(lines.await.unwrap()[0].starts_with("eventName|eventName_2|eventtime|eventsource|eventname_3|"));
    let lines = ask(&engine, "SELECT _col0 FROM (SELECT count(*) FROM events)").await.unwrap();
    assert_eq!(lines, ["_col0", "5"]);
}

#[tokio::test]
async fn moments_compare_with_text_and_with_one_another() {
    let engine = engine(&records());
    for (condition, count) in [
        ("eventTime > '2026-03-01 00:00:00'", "5"),
        ("eventTime >= '2026-03-02 00:00:00' AND eventTime < '2026-03-06'", "2"),
        ("eventTime BETWEEN '2026-03-01 10:15:00' AND '2026-03-01T16:53:53Z'", "2"),
        ("eventTime > timestamp '2026-03-02 00:00:00'", "2"),
        ("eventTime > CAST('2026-03-02' AS timestamp)", "2"),
        ("eventTime > from_iso8601_timestamp('2026-03-02T00:00:00Z')", "2"),
        ("eventTime > now() - interval '7' day", "4"),
        ("eventTime > date_add('day', -7, now())", "4"),
        ("eventTime > current_timestamp - INTERVAL '1' HOUR", "1"),
        ("date(eventTime) = date '2026-03-01'", "2"),
        ("date(eventTime) = current_date", "1"),
        ("eventDay = '2026-03-01'", "2"),
        ("hour(eventTime) = 16 AND year(eventTime) = 2026 AND day_of_week(eventtime) = 7", "1"),
        ("userIdentity.sessionContext.attributes.creationDate < eventTime", "1"),
    ] {
        assert_eq!(
            rows(&engine, &format!("SELECT count(*) FROM events WHERE {condition}")).await,
            [count],
            "{condition}"
        );
    }
}

#[tokio::test]
async fn functions_of_moments_answer_as_in_trino() {
    let engine = engine(&records());
    for (call, value) in [
        ("date_trunc('hour', eventTime)", "2026-03-01T16:00:00Z"),
        ("date_add('month', 1, timestamp '2026-01-31 01:00:00')", "2026-02-28T01:00:00Z"),
        ("date_add('week', -1, date '2026-03-08')", "2026-03-01"),
        ("date_add('hour', 8, eventTime)", "2026-03-02T00:53:53Z"),
        ("date_diff('hour', timestamp '2026-03-01 00:00:00', eventTime)", "16"),
        ("date_diff('day', eventTime, now())", "6"),
        ("date_diff('month', date '2026-01-31', date '2026-02-28')", "1"),
        ("date_diff('month', date '2026-01-15', date '2026-03-14')", "1"),
        ("date_diff('year', date '2026-03-08', date '2020-03-09')", "-5"),
        ("to_iso8601(eventTime)", "2026-03-01T16:53:53.000Z"),
        ("format_datetime(eventTime, 'yyyy-MM-dd HH:mm')", "2026-03-01 16:53"),
        ("date_format(eventTime, '%Y/%m/%d %H')", "2026/03/01 16"),
        ("CAST(eventTime AS varchar)", "2026-03-01 16:53:53.000"),
        ("CAST(12 AS varchar)", "12"),
        ("CAST(now() AS varchar)", "2026-03-08 12:00:00.000"),
        ("day_of_week(date '2026-03-02')", "1"),
        ("TRY(CAST('x' AS timestamp)) IS NULL", "true"),
        ("try_cast('2026-03-01' AS date)", "2026-03-01"),
        ("try_cast('x' AS bigint)", "NULL"),
    ] {
        let statement = format!("SELECT {call} FROM events WHERE eventname = 'GetObject'");
        assert_eq!(rows(&engine, &statement).await, [value], "{call}");
    }
}

#[tokio::test]
async fn members_of_json_columns_are_text_without_quotes_and_json_otherwise() {
    let engine = engine(&records());
    let statement = "SELECT element_at(requestParameters, 'bucketName'), requestparameters['key'], element_at(requestParameters, 'x-amz-acl'),
        element_at(requestparameters, 'BUCKETNAME') FROM events WHERE eventsource = 's3.amazonaws.com' ORDER BY eventtime";
    assert_eq!(rows(&engine, statement).await, ["logs|NULL|private|NULL", "[\"other\"]|a/b|NULL|NULL"]);
    let group = |call: &str| format!("SELECT {call} FROM events WHERE eventname LIKE 'Authorize%'");
    for (call, value) in [
        ("json_extract_scalar(requestParameters, '$.ipPermissions.items[0].ipRanges.items[0].cidrIp')", "0.0.0.0/0"),
        ("json_extract(requestParameters, '$.ipPermissions.items[1]')", "{\"fromPort\":443}"),
        ("json_extract(requestParameters, '$.groupId')", "\"sg-1\""),
        ("CAST(json_extract(requestParameters, '$.groupId') AS varchar)", "sg-1"),
        ("CAST(json_extract_scalar(requestParameters, '$.ipPermissions.items[0].fromPort') AS bigint) + 1", "23"),
        ("json_array_length(json_extract(requestParameters, '$.ipPermissions.items'))", "2"),
        ("json_extract_scalar(element_at(requestParameters, 'ipPermissions'), '$.items[1].fromPort')", "443"),
        ("json_extract_scalar(json_parse('{\"a\":{\"b\":[true]}}'), '$[\"a\"].b[0]')", "true"),
        ("json_array_contains('[1, \"a\", null]', 'a')", "true"),
        ("json_array_contains('[1, \"a\", null]', 1)", "true"),
        ("json_extract(NULL, '$.a') IS NULL", "true"),
        ("json_extract('{\"a\":null}', '$.a') IS NULL", "true"),
        ("cardinality(CAST(json_extract(requestParameters, '$.ipPermissions.items') AS array(json)))", "2"),
        ("element_at(responseelements, 'a')", "NULL"),
        ("url_decode('%7B%22a%22%3A1%7D+b%zz')", "{\"a\":1} b%zz"),
    ] {
        assert_eq!(rows(&engine, &group(call)).await, [value], "{call}");
    }
}

#[tokio::test]
async fn json_is_read_in_every_layout_of_text() {
    let engine = engine(&records());
    for layout in ["Utf8", "LargeUtf8", "Utf8View"] {
        let statement = format!(
            "SELECT element_at(j, 'key'), json_extract_scalar(j, concat('$.', 'key')), json_extract(j, '$.key') FROM
             (SELECT arrow_cast(requestparameters, '{layout}') AS j FROM events WHERE eventname = 'GetObject')"
        );
        assert_eq!(rows(&engine, &statement).await, ["a/b|a/b|\"a/b\""], "{layout}");
    }
    let by_row = "SELECT element_at(requestparameters, if(eventname = 'GetObject', 'key', 'Host')) FROM events WHERE eventsource LIKE 's3%' ORDER BY 1";
    assert_eq!(rows(&engine, by_row).await, ["a/b", "logs.s3.amazonaws.com"]);
}

#[tokio::test]
async fn resources_are_unnested() {
    let engine = engine(&records());
    let one =
        "SELECT eventName, r.arn FROM events CROSS JOIN UNNEST(resources) AS t(r) WHERE r.type = 'AWS::S3::Bucket'";
    assert_eq!(ask(&engine, one).await.unwrap(), ["eventName|arn", "CreateBucket|arn:aws:s3:::logs"]);
    let fields = "SELECT t.arn, t.type FROM events e CROSS JOIN UNNEST(e.resources) AS t ORDER BY 1";
    assert_eq!(
        rows(&engine, fields).await,
        ["arn:aws:s3:::logs|AWS::S3::Bucket", "arn:aws:s3:::logs/a|AWS::S3::Object"]
    );
    let named =
        "SELECT a, n FROM events, UNNEST(resources) WITH ORDINALITY AS t(acc, ty, a, p, n) ORDER BY n DESC LIMIT 1";
    assert_eq!(rows(&engine, named).await, ["arn:aws:s3:::logs/a|2"]);
    let grouped = "SELECT R.\"ARN\", count(*) AS n FROM events CROSS JOIN UNNEST(resources) AS T(R) GROUP BY r.arn ORDER BY r.arn";
    assert_eq!(rows(&engine, grouped).await, ["arn:aws:s3:::logs|1", "arn:aws:s3:::logs/a|1"]);
    let left = "SELECT count(*), count(r.arn) FROM events LEFT JOIN UNNEST(resources) AS t(r) ON TRUE";
    assert_eq!(rows(&engine, left).await, ["6|2"]);
    let json = "SELECT json_extract_scalar(item, '$.fromPort') AS port FROM events
        CROSS JOIN UNNEST(CAST(json_extract(requestParameters, '$.ipPermissions.items') AS array(varchar))) AS t(item)
        WHERE eventname = 'AuthorizeSecurityGroupIngress' ORDER BY port";
    assert_eq!(rows(&engine, json).await, ["22", "443"]);
    let constant = "SELECT x + 1 FROM UNNEST(ARRAY[1, 2]) AS t(x)";
    assert_eq!(rows(&engine, constant).await, ["2", "3"]);
    let twice =
        "SELECT count(*) FROM events a CROSS JOIN UNNEST(a.resources) AS t(r) CROSS JOIN UNNEST(a.resources) AS u(s)";
    assert_eq!(rows(&engine, twice).await, ["4"]);
}

#[tokio::test]
async fn arrays_are_asked_with_lambdas_and_positions() {
    let engine = engine(&records());
    for (call, value) in [
        ("any_match(resources, r -> r.arn LIKE '%/a')", "true"),
        ("any_match(resources, R -> r.Type = 'x')", "false"),
        ("all_match(resources, r -> r.arn LIKE 'arn:%')", "true"),
        ("none_match(resources, r -> r.arn LIKE 'arn:%')", "false"),
        ("cardinality(filter(resources, r -> r.accountid = recipientaccountid))", "1"),
        ("contains(transform(resources, r -> r.type), 'AWS::S3::Object')", "true"),
        ("element_at(resources, 1).arn", "arn:aws:s3:::logs"),
        ("resources[2].arn", "arn:aws:s3:::logs/a"),
        ("element_at(resources, -1).type", "AWS::S3::Object"),
        ("element_at(resources, 3) IS NULL", "true"),
        ("cardinality(resources)", "2"),
        ("element_at(split('a,b', ','), 2)", "b"),
        ("split_part('a/b/c', '/', 2)", "b"),
        ("contains(ARRAY[1, 2], 2)", "true"),
        ("contains(ARRAY['a'], eventname)", "false"),
        ("array_join(slice(ARRAY['a', 'b', 'c'], 2, 2), '-')", "b-c"),
    ] {
        let statement = format!("SELECT {call} FROM events WHERE eventname = 'CreateBucket'");
        assert_eq!(rows(&engine, &statement).await, [value], "{call}");
    }
}

#[tokio::test]
async fn functions_of_text_answer_as_in_trino() {
    let engine = engine(&records());
    for (call, value) in [
        ("regexp_like(userIdentity.arn, '^arn:.*:user/b')", "true"),
        ("regexp_extract(userIdentity.arn, 'user/(\\w+)', 1)", "bob"),
        ("regexp_extract(userIdentity.arn, 'user/(\\w+)')", "user/bob"),
        ("regexp_extract(userIdentity.arn, 'role/(\\w+)', 1)", "NULL"),
        ("regexp_replace('a1b22', '[0-9]+')", "ab"),
        ("regexp_replace('a1b2', '([0-9])', '<$1>')", "a<1>b<2>"),
        ("substr('abcdef', 2, 3)", "bcd"),
        ("substr('abcdef', -3)", "def"),
        ("substr('abcdef', -3, 2)", "de"),
        ("strpos('abc', 'c')", "3"),
        ("lower('AbC') || upper('d')", "abcD"),
        ("if(readonly, 'read', 'write')", "read"),
        ("if(readonly = false, 'write')", "NULL"),
        ("coalesce(nullif(errorcode, ''), 'none')", "AccessDenied"),
        ("greatest(1, 3, 2) + least(4, 2)", "5"),
        ("errorcode IS DISTINCT FROM 'x'", "true"),
        ("typeof(1) IS NOT NULL", "true"),
        ("round(2.567, 1)", "2.6"),
    ] {
        let statement = format!("SELECT {call} FROM events WHERE eventname = 'GetObject'");
        assert_eq!(rows(&engine, &statement).await, [value], "{call}");
    }
}

#[tokio::test]
async fn aggregates_answer_as_in_trino() {
    let engine = engine(&records());
    for (call, value) in [
        ("count_if(errorcode IS NOT NULL)", "1"),
        ("count_if(readonly) FILTER (WHERE errorcode IS NULL)", "0"),
        ("approx_distinct(userIdentity.arn)", "3"),
        ("count(DISTINCT userIdentity.arn)", "3"),
        ("max_by(eventName, eventTime)", "AuthorizeSecurityGroupIngress"),
        ("min_by(eventName, eventTime)", "CreateBucket"),
        ("arbitrary(awsRegion)", "us-east-1"),
        ("any_value(awsRegion)", "us-east-1"),
        ("cardinality(array_agg(DISTINCT eventSource))", "4"),
        ("sum(if(errorcode IS NULL, 0, 1))", "1"),
        ("bool_or(readonly)", "true"),
        ("avg(1)", "1.0"),
    ] {
        assert_eq!(rows(&engine, &format!("SELECT {call} FROM events")).await, [value], "{call}");
    }
}

#[tokio::test]
async fn queries_are_combined_and_ordered_as_in_trino() {
    let engine = engine(&records());
    let with = "WITH events AS (SELECT * FROM events WHERE readonly), n AS (SELECT count(*) AS n FROM events) SELECT N.n FROM n";
    assert_eq!(rows(&engine, with).await, ["1"]);
    let union = "SELECT eventName FROM events WHERE readonly UNION ALL SELECT 'z' UNION SELECT 'z' ORDER BY 1";
    assert_eq!(rows(&engine, union).await, ["GetObject", "z"]);
    let except = "SELECT eventName FROM events EXCEPT SELECT eventName FROM events WHERE eventsource NOT LIKE 'sts%'";
    assert_eq!(rows(&engine, except).await, ["AssumeRole"]);
    let intersect = "SELECT eventName FROM events INTERSECT SELECT 'GetObject'";
    assert_eq!(rows(&engine, intersect).await, ["GetObject"]);
    // Nulls stand last either way.
    assert_eq!(rows(&engine, "SELECT errorcode FROM events ORDER BY errorcode DESC LIMIT 1").await, ["AccessDenied"]);
    let ordered =
        "SELECT eventsource, count(*) FROM events GROUP BY eventsource HAVING count(*) > 1 ORDER BY count(*) DESC";
    assert_eq!(rows(&engine, ordered).await, ["s3.amazonaws.com|2"]);
    let distinct = "SELECT DISTINCT userIdentity.type FROM events ORDER BY userIdentity.type";
    assert_eq!(rows(&engine, distinct).await, ["AssumedRole", "IAMUser"]);
    let by_expression = "SELECT lower(eventName) FROM events ORDER BY LOWER(eventname) LIMIT 1";
    assert_eq!(rows(&engine, by_expression).await, ["assumerole"]);
    let within = "SELECT eventName FROM events WHERE userIdentity.arn IN (SELECT userIdentity.arn FROM events WHERE errorcode IS NOT NULL) ORDER BY eventTime";
    assert_eq!(rows(&engine, within).await, ["GetObject", "ConsoleLogin"]);
    let window = "SELECT eventName FROM (SELECT eventName, row_number() OVER (PARTITION BY eventSource ORDER BY eventTime DESC) AS n FROM events) WHERE n > 1";
    assert_eq!(rows(&engine, window).await, ["CreateBucket"]);
    assert!(rows(&engine, "EXPLAIN SELECT count(*) FROM events").await.len() > 1);
    let exists = "SELECT count(*) FROM events a WHERE EXISTS (SELECT 1 FROM events b WHERE b.eventid = a.eventid AND b.readonly)";
    assert_eq!(rows(&engine, exists).await, ["1"]);
}
