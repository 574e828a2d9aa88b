"""The eight audit queries, in each engine's dialect. `{key}`, `{event}`, `{group}`, `{from}`, `{to}`, `{day}` are filled in by
compare.py with values out of the data."""

# Every engine gets the predicate on the partition column where the question has a time: orgtrail derives it.
QUERIES = {
    "count by name": {
        "any": """SELECT eventsource, eventname, count(*) AS n FROM events
            GROUP BY eventsource, eventname ORDER BY n DESC, eventsource, eventname LIMIT 20""",
        "json": """SELECT r.eventSource, r.eventName, count(*) AS n FROM records
            GROUP BY 1, 2 ORDER BY n DESC, 1, 2 LIMIT 20""",
    },
    "who touched a security group": {
        "any": """SELECT useridentity.arn AS arn, eventname, count(*) AS n FROM events
            WHERE eventsource = 'ec2.amazonaws.com' AND eventname IN ('AuthorizeSecurityGroupIngress', 'CreateNetworkInterface')
            AND requestparameters LIKE '%{group}%' GROUP BY useridentity.arn, eventname ORDER BY n DESC, arn, eventname LIMIT 20""",
        "json": """SELECT r.userIdentity.arn, r.eventName, count(*) AS n FROM records
            WHERE r.eventSource = 'ec2.amazonaws.com' AND r.eventName IN ('AuthorizeSecurityGroupIngress', 'CreateNetworkInterface')
            AND CAST(r.requestParameters AS VARCHAR) LIKE '%{group}%' GROUP BY 1, 2 ORDER BY n DESC, 1, 2 LIMIT 20""",
    },
    "failed console logins": {
        "orgtrail": """SELECT sourceipaddress, count(*) AS n FROM events
            WHERE eventname = 'ConsoleLogin' AND element_at(responseelements, 'ConsoleLogin') = 'Failure'
            GROUP BY sourceipaddress ORDER BY n DESC, sourceipaddress LIMIT 20""",
        "duckdb": """SELECT sourceipaddress, count(*) AS n FROM events
            WHERE eventname = 'ConsoleLogin' AND json_extract_string(responseelements, '$.ConsoleLogin') = 'Failure'
            GROUP BY sourceipaddress ORDER BY n DESC, sourceipaddress LIMIT 20""",
        "chdb": """SELECT sourceipaddress, count(*) AS n FROM events
            WHERE eventname = 'ConsoleLogin' AND JSONExtractString(assumeNotNull(responseelements), 'ConsoleLogin') = 'Failure'
            GROUP BY sourceipaddress ORDER BY n DESC, sourceipaddress LIMIT 20""",
        "json": """SELECT r.sourceIPAddress, count(*) AS n FROM records
            WHERE r.eventName = 'ConsoleLogin' AND json_extract_string(r.responseElements, '$.ConsoleLogin') = 'Failure'
            GROUP BY 1 ORDER BY n DESC, 1 LIMIT 20""",
    },
    "top errors by principal and day": {
        "any": """SELECT eventday, useridentity.arn AS arn, errorcode, count(*) AS n FROM events WHERE errorcode IS NOT NULL
            GROUP BY eventday, useridentity.arn, errorcode ORDER BY n DESC, eventday, arn, errorcode LIMIT 20""",
        "json": """SELECT CAST(r.eventTime[:10] AS DATE), r.userIdentity.arn, r.errorCode, count(*) AS n FROM records
            WHERE r.errorCode IS NOT NULL GROUP BY 1, 2, 3 ORDER BY n DESC, 1, 2, 3 LIMIT 20""",
    },
    "needle: access key": {
        "any": """SELECT eventtime, eventname, sourceipaddress FROM events WHERE useridentity.accesskeyid = '{key}'
            ORDER BY eventtime, eventname, sourceipaddress""",
        "json": """SELECT r.eventTime, r.eventName, r.sourceIPAddress FROM records WHERE r.userIdentity.accessKeyId = '{key}'
            ORDER BY 1, 2, 3""",
    },
    "needle: event id": {
        "any": "SELECT eventtime, eventname, requestparameters FROM events WHERE eventid = '{event}'",
        "json": "SELECT r.eventTime, r.eventName, CAST(r.requestParameters AS VARCHAR) FROM records WHERE r.eventID = '{event}'",
    },
    "JSON path": {
        "orgtrail": """SELECT json_extract_scalar(requestparameters, '$.roleArn') AS role, count(*) AS n FROM events
            WHERE eventsource = 'sts.amazonaws.com' AND eventname = 'AssumeRole' GROUP BY 1 ORDER BY n DESC, role LIMIT 20""",
        "duckdb": """SELECT json_extract_string(requestparameters, '$.roleArn') AS role, count(*) AS n FROM events
            WHERE eventsource = 'sts.amazonaws.com' AND eventname = 'AssumeRole' GROUP BY 1 ORDER BY n DESC, role LIMIT 20""",
        "chdb": """SELECT JSONExtract(requestparameters, 'roleArn', 'Nullable(String)') AS role, count(*) AS n FROM events
            WHERE eventsource = 'sts.amazonaws.com' AND eventname = 'AssumeRole' GROUP BY 1 ORDER BY n DESC, role LIMIT 20""",
        "json": """SELECT json_extract_string(r.requestParameters, '$.roleArn') AS role, count(*) AS n FROM records
            WHERE r.eventSource = 'sts.amazonaws.com' AND r.eventName = 'AssumeRole' GROUP BY 1 ORDER BY n DESC, 1 LIMIT 20""",
    },
    "one hour": {
        "orgtrail": """SELECT eventsource, count(*) AS n FROM events WHERE eventtime >= '{from}' AND eventtime < '{to}'
            GROUP BY eventsource ORDER BY n DESC, eventsource LIMIT 20""",
        "duckdb": """SELECT eventsource, count(*) AS n FROM events WHERE eventday = DATE '{day}'
            AND eventtime >= TIMESTAMPTZ '{from}+00' AND eventtime < TIMESTAMPTZ '{to}+00'
            GROUP BY eventsource ORDER BY n DESC, eventsource LIMIT 20""",
        "chdb": """SELECT eventsource, count(*) AS n FROM events WHERE eventday = toDate('{day}')
            AND eventtime >= toDateTime64('{from}', 6, 'UTC') AND eventtime < toDateTime64('{to}', 6, 'UTC')
            GROUP BY eventsource ORDER BY n DESC, eventsource LIMIT 20""",
        "json": """SELECT r.eventSource, count(*) AS n FROM records WHERE r.eventTime >= replace('{from}', ' ', 'T') || 'Z'
            AND r.eventTime < replace('{to}', ' ', 'T') || 'Z' GROUP BY 1 ORDER BY n DESC, 1 LIMIT 20""",
    },
}


def text(query, engine, values):
    """A query for an engine: its own text, or the one that all take."""
    texts = QUERIES[query]
    filled = texts[engine] if engine in texts else texts["any"]
    for name, value in values.items():
        filled = filled.replace("{" + name + "}", value)
    return " ".join(filled.split())
