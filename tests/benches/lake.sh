#!/usr/bin/env bash
# What an import costs, and eight audit queries on orgtrail, DuckDB and chDB over the same Parquet files, and on DuckDB over
# the log files themselves. CPU time of the processes; ratios of one run hold on a noisy machine, absolute figures don't.
#
#     tests/benches/lake.sh [FOLDER] [RECORDS]      # default: a new folder, 3,100,000 records; 6 GB of disk
#
# FOLDER keeps the data and the tables for the next run. Reading the log files themselves takes most of the time: RAW=16 reads
# one in sixteen and multiplies, RAW=no leaves them out. Nothing leaves the machine but the engines' installation from PyPI.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
folder=${1:-$(mktemp -d)} records=${2:-3100000}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$root"
cargo build --release --quiet --locked --bin orgtrail
program="$root/target/release/orgtrail"
if [ ! -e "$folder/data/manifest.json" ]; then
    rm -rf "$folder/data"
    cargo build --release --quiet --locked --example lake_data
    "$root/target/release/examples/lake_data" "$folder/data" "$records"
fi
if [ ! -e "$folder/venv/complete" ]; then
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$here/lake/requirements.lock"
    touch "$folder/venv/complete"
fi
python="$folder/venv/bin/python"
if [ ! -e "$folder/imported" ]; then
    rm -rf "$folder/events" "$folder/config"
    mkdir -p "$folder/config"
    cat >"$folder/config/lake.toml" <<TOML
[[trails]]
name = "trails"
location = "file://$folder/data/acme-trails"
[[trails]]
name = "payments"
location = "file://$folder/data/acme-payments-audit/prod/audit"
[[event_data_stores]]
name = "events"
location = "file://$folder/events"
retention = "3653d"
[query]
timeout = "10m"
TOML
    "$python" "$here/lake/importing.py" "$program" "$folder/config" "$folder/events" "$folder/data"
    touch "$folder/imported"
fi
raw=(--json "$folder/data" --json-part "${RAW:-1}")
[ "${RAW:-1}" != no ] || raw=()
"$python" "$here/lake/compare.py" --orgtrail "$program" --config "$folder/config" --table "$folder/events" "${raw[@]}"
