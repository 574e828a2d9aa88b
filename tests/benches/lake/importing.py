"""Imports a trail's objects with `orgtrail lake --once` and prints what that took beside reading the same objects alone.

    importing.py PROGRAM CONFIG TABLE OBJECTS

Reading alone is gzip and JSON in Python's own C code, of one file in twenty: a floor that any machine has.
"""
import glob
import gzip
import json
import os
import resource
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(here, "..", "..", "src", "engines")]
from ask import live_files  # noqa: E402

program, config, table, objects = sys.argv[1:]


def cpu(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


files = sorted(glob.glob(os.path.join(objects, "**", "*_CloudTrail_*.json.gz"), recursive=True))
compressed = sum(os.path.getsize(file) for file in files)
began = time.monotonic()
subprocess.run([program, "lake", "--config", config, "--once"], check=True)
wall, taken = time.monotonic() - began, cpu(resource.RUSAGE_CHILDREN)
memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024

import duckdb  # noqa: E402

stored = live_files(table)
rows = duckdb.sql(f"SELECT sum(num_rows) FROM parquet_file_metadata({stored!r})").fetchall()[0][0]
kept = sum(os.path.getsize(file) for file in stored)
begun, inflated = cpu(resource.RUSAGE_SELF), 0
sample = files[::20]
for file in sample:
    body = gzip.open(file).read()
    inflated += len(body)
    json.loads(body)
alone = (cpu(resource.RUSAGE_SELF) - begun) / sum(os.path.getsize(file) for file in sample) * compressed
print(f"{rows:,} records of {len(files):,} objects, {compressed / 1e6:,.0f} MB compressed")
print(f"import: {taken:.1f} s of CPU, {rows / taken:,.0f} records a CPU second, {wall:.1f} s of wall time, {memory:,.0f} MiB at most")
print(f"gzip and JSON in Python alone: {alone:.1f} s of CPU, {rows / alone:,.0f} records a CPU second")
print(f"stored: {len(stored)} files, {kept / 1e6:,.0f} MB, {kept / rows:.0f} bytes a record, {kept / compressed:.2f} of the objects' bytes")
