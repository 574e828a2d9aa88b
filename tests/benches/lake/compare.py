"""Runs the eight audit queries on orgtrail and on other engines over the same data, and prints their CPU time side by side.

    compare.py --orgtrail PROGRAM --config DIR --table FOLDER [--json FOLDER] [--rounds 5] [--repeat 4]

CPU time is user and system time of the process and its threads, in milliseconds: the middle of some rounds, in each of
which every engine runs every query in turn. DuckDB and chDB are asked in a process that has run the query before;
orgtrail's figure is what one more statement takes in a process that has run it before, and what such a process takes to
start stands below the table. All use two threads. DuckDB over the log files (`--json`) is run once; with `--json-part N` it
reads one file in N, and its figure is N times what that takes: it reads all of every file for every query.

An answer that differs from the first engine's is an error.
"""
import argparse
import datetime
import glob
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "..", "src", "engines")]
import duckdb  # noqa: E402
from ask import live_files  # noqa: E402
from queries import QUERIES, text  # noqa: E402

THREADS = 2


def cpu(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def plain(value):
    """A value as all engines would print it."""
    if value is None or value == "\\N":
        return ""
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    text = str(value).replace("T", " ").replace("Z", "") if str(value)[:2] == "20" and "T" in str(value)[:11] else str(value)
    return text[:19] if text[:2] == "20" and text[10:11] == " " else text


class Orgtrail:
    name = dialect = "orgtrail"

    def __init__(self, program, config, repeat):
        self.command, self.repeat, self.starts = [program, "query", "--config", config, "--output", "json"], repeat, []

    def run(self, statements):
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(";\n".join(statements) + ";\n")
            file.flush()
            begun = cpu(resource.RUSAGE_CHILDREN)
            done = subprocess.run([*self.command, "--file", file.name], capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{statements[0]}\n{done.stdout}{done.stderr}")
            return cpu(resource.RUSAGE_CHILDREN) - begun, done.stdout

    def answer(self, statement):
        return [list(json.loads(line).values()) for line in self.run([statement])[1].splitlines() if line.startswith("{")]

    def measure(self, statement):
        once, _ = self.run([statement])
        more, _ = self.run([statement] * (1 + self.repeat))
        each = (more - once) / self.repeat
        self.starts.append(once - each)
        return each


class Duckdb:
    name = dialect = "duckdb"

    def __init__(self, files, repeat):
        self.repeat, self.connection = repeat, duckdb.connect()
        self.connection.execute(f"SET TimeZone = 'UTC'; SET threads = {THREADS}")
        source = f"read_parquet({files!r}, hive_partitioning = true, hive_types = {{'eventday': DATE}})"
        self.connection.execute(f"CREATE VIEW events AS SELECT * FROM {source}")

    def answer(self, statement):
        return rows(self.connection, statement)

    def measure(self, statement):
        rows(self.connection, statement)
        begun = cpu(resource.RUSAGE_SELF)
        for _ in range(self.repeat):
            rows(self.connection, statement)
        return (cpu(resource.RUSAGE_SELF) - begun) / self.repeat


def rows(connection, statement):
    table = connection.sql(statement).to_arrow_table()
    return [list(row) for row in zip(*(column.to_pylist() for column in table.columns))]


class Chdb:
    name = dialect = "chdb"

    def __init__(self, files, repeat):
        import chdb.session

        self.repeat, self.session = repeat, chdb.session.Session()
        # A glob says all files there are; only those that the table's log names count.
        self.folder = tempfile.TemporaryDirectory()
        for file in files:
            day = os.path.join(self.folder.name, os.path.basename(os.path.dirname(file)))
            os.makedirs(day, exist_ok=True)
            os.symlink(os.path.abspath(file), os.path.join(day, os.path.basename(file)))
        self.session.query(f"SET max_threads = {THREADS}, use_hive_partitioning = 1, session_timezone = 'UTC'")
        self.session.query("CREATE DATABASE IF NOT EXISTS lake ENGINE = Atomic")
        self.session.query(f"CREATE VIEW lake.events AS SELECT * FROM file('{self.folder.name}/*/*.parquet', 'Parquet')")
        self.session.query("USE lake")

    def answer(self, statement):
        lines = str(self.session.query(statement, "JSONCompactEachRow")).splitlines()
        return [json.loads(line) for line in lines]

    def measure(self, statement):
        self.session.query(statement, "JSONCompactEachRow")
        begun = cpu(resource.RUSAGE_SELF)
        for _ in range(self.repeat):
            self.session.query(statement, "JSONCompactEachRow")
        return (cpu(resource.RUSAGE_SELF) - begun) / self.repeat


class DuckdbJson(Duckdb):
    """Over the log files as they were delivered, with no more read of a record than the queries ask for."""

    name, dialect = "duckdb, .json.gz", "json"
    COLUMNS = """STRUCT(eventSource VARCHAR, eventName VARCHAR, eventTime VARCHAR, eventID VARCHAR, errorCode VARCHAR,
        sourceIPAddress VARCHAR, requestParameters JSON, responseElements JSON,
        userIdentity STRUCT(arn VARCHAR, accessKeyId VARCHAR))[]"""

    def __init__(self, folder, part):
        self.part, self.connection = part, duckdb.connect()
        self.connection.execute(f"SET TimeZone = 'UTC'; SET threads = {THREADS}")
        files = sorted(glob.glob(os.path.join(folder, "**", "*_CloudTrail_*.json.gz"), recursive=True))[::part]
        source = f"read_json({files!r}, format = 'unstructured', maximum_object_size = 100000000, "
        source += f"columns = {{'Records': '{' '.join(self.COLUMNS.split())}'}})"
        self.connection.execute(f"CREATE VIEW records AS SELECT unnest(Records) AS r FROM {source}")

    def measure(self, statement):
        begun = cpu(resource.RUSAGE_SELF)
        rows(self.connection, statement)
        return (cpu(resource.RUSAGE_SELF) - begun) * self.part


def values_of(connection):
    """What the needles are: something from the middle of the data, the same for the same data."""
    one = lambda statement: rows(connection, statement)[0][0]
    day = one("SELECT quantile_disc(eventday, 0.5) FROM events")
    key = one(f"""SELECT min(useridentity.accesskeyid) FROM events WHERE eventday = DATE '{day}'
        AND useridentity.accesskeyid LIKE 'ASIA%'""")
    event = one(f"SELECT min(eventid) FROM events WHERE eventday = DATE '{day}' AND eventname = 'RunInstances'")
    group = one(f"""SELECT min(json_extract_string(requestparameters, '$.groupId')) FROM events
        WHERE eventname = 'AuthorizeSecurityGroupIngress'""")
    return {"day": str(day), "from": f"{day} 10:00:00", "to": f"{day} 11:00:00", "key": key, "event": event, "group": group}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--orgtrail", help="the program; without it only the others are measured")
    arguments.add_argument("--config", help="the folder with lake.toml")
    arguments.add_argument("--table", required=True, help="the folder of the Delta table")
    arguments.add_argument("--json", help="the folder of the log files")
    arguments.add_argument("--json-part", type=int, default=1, help="read one of so many log files")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--repeat", type=int, default=4)
    arguments.add_argument("--only", help="queries whose name holds this")
    given = arguments.parse_args()
    files = live_files(given.table)
    engines = [Orgtrail(given.orgtrail, given.config, given.repeat)] if given.orgtrail else []
    engines += [Duckdb(files, given.repeat), Chdb(files, given.repeat)]
    values = values_of(next(engine for engine in engines if engine.name == "duckdb").connection)
    names = [name for name in QUERIES if not given.only or given.only in name]
    taken = {(name, engine.name): [] for name in names for engine in engines}
    differing = 0
    for name in names:
        first = None
        for engine in engines:
            answer = [[plain(value) for value in row] for row in engine.answer(text(name, engine.dialect, values))]
            first = answer if first is None else first
            if answer != first or not answer:
                differing += 1
                print(f"{name}: {engine.name} answers {answer[:3]}, {engines[0].name} {first[:3]}", file=sys.stderr)
    for _ in range(given.rounds):
        for name in names:
            for engine in engines:
                taken[name, engine.name].append(engine.measure(text(name, engine.dialect, values)))
    if given.json:
        engines.append(DuckdbJson(given.json, given.json_part))
        for name in names:
            taken[name, engines[-1].name] = [engines[-1].measure(text(name, "json", values))]
    show(names, engines, taken)
    if engines[0].name == "orgtrail":
        print(f"\norgtrail takes {statistics.median(engines[0].starts) * 1000:.0f} ms of CPU to start and to read the table's log.")
    sys.exit(1 if differing else 0)


def show(names, engines, taken):
    head = ["CPU ms"] + [engine.name for engine in engines] + [f"{engine.name} ×" for engine in engines[1:]]
    lines = [head]
    for name in names:
        middle = [statistics.median(taken[name, engine.name]) * 1000 for engine in engines]
        figures = [f"{one:.0f}" if one >= 10 else f"{one:.1f}" for one in middle]
        lines.append([name] + figures + [f"{one / max(middle[0], 0.01):.1f}" for one in middle[1:]])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        cells = [line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    main()
