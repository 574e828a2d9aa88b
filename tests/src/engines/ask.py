"""Puts SQL statements to an engine and prints each answer as a line of JSON: a list of rows, a row a list of values.

    ask.py duckdb NAME=FOLDER[,NAME=FOLDER…] STATEMENT…     over the files that the Delta tables' logs name
    ask.py flight HOST:PORT STATEMENT…                      over Arrow Flight SQL
"""
import json
import os
import sys
import urllib.parse


def live_files(table):
    """The data files of the newest version, by the protocol: the last checkpoint, then the commits behind it."""
    import duckdb

    log = os.path.join(table, "_delta_log")
    live, behind = {}, -1
    pointer = os.path.join(log, "_last_checkpoint")
    if os.path.exists(pointer):
        behind = json.load(open(pointer))["version"]
        checkpoint = os.path.join(log, f"{behind:020}.checkpoint.parquet")
        for (path,) in duckdb.sql(f"SELECT add.path FROM read_parquet('{checkpoint}') WHERE add.path IS NOT NULL").fetchall():
            live[path] = True
    for name in sorted(os.listdir(log)):
        version, _, ending = name.partition(".")
        if ending != "json" or not version.isdigit() or int(version) <= behind:
            continue
        for line in open(os.path.join(log, name)):
            action = json.loads(line)
            if "add" in action:
                live[action["add"]["path"]] = True
            elif "remove" in action:
                live.pop(action["remove"]["path"], None)
    return [os.path.join(table, urllib.parse.unquote(path)) for path in live]


def duckdb_rows(tables, statements):
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET threads = 2")
    for table in tables.split(","):
        name, _, folder = table.partition("=")
        files = live_files(folder)
        if not files:
            sys.exit(f"{folder} has no data files")
        source = f"read_parquet({files!r}, hive_partitioning = true, hive_types = {{'eventday': DATE}})"
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {source}")
    for statement in statements:
        yield said(statement, lambda: rows_of(connection.sql(statement).to_arrow_table()))


def flight_rows(address, statements):
    from pyarrow import flight

    def field(number, value):
        value = value if isinstance(value, bytes) else value.encode()
        length, rest = b"", len(value)
        while rest > 127:
            length, rest = length + bytes([rest & 127 | 128]), rest >> 7
        return bytes([number << 3 | 2]) + length + bytes([rest]) + value

    client = flight.connect(f"grpc://{address}")
    for statement in statements:
        # google.protobuf.Any around CommandStatementQuery, whose first field is the statement.
        kind = "type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
        command = field(1, kind) + field(2, field(1, statement))

        def ask():
            info = client.get_flight_info(flight.FlightDescriptor.for_command(command))
            return [row for endpoint in info.endpoints for row in rows_of(client.do_get(endpoint.ticket).read_all())]

        yield said(statement, ask)


def said(statement, ask):
    try:
        return ask()
    except Exception as error:
        sys.exit(f"{statement}\n{error}")


def rows_of(table):
    return [list(row) for row in zip(*(column.to_pylist() for column in table.columns))]


if __name__ == "__main__":
    engine, where, *statements = sys.argv[1:]
    ask = {"duckdb": duckdb_rows, "flight": flight_rows}[engine]
    for rows in ask(where, statements):
        print(json.dumps(rows, default=str))
