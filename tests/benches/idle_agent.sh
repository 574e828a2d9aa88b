#!/usr/bin/env bash
# What an agent takes that watches many silent accounts, 17 regions each: resident memory, CPU, requests, every 15 s.
#
#     tests/benches/idle_agent.sh one|each [ACCOUNTS] [SECONDS] [AGENT]
#
# `one` bucket for all, or `each` account a bucket and a role of its own. Nothing leaves the machine.
set -euo pipefail
layout=${1:?one or each} accounts=${2:-2000} seconds=${3:-360} agent=${4:-target/release/orgtrail-agent}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d) port=$((20000 + RANDOM % 10000))
export AWS_ACCESS_KEY_ID=AKIAEXAMPLE AWS_SECRET_ACCESS_KEY=secret AWS_EC2_METADATA_DISABLED=true

source_of() { # NAME BUCKET
    printf '[[sources]]\nname = "%s"\nlocation = "s3://%s"\nregion = "us-east-1"\nendpoint_url = "http://127.0.0.1:%s"\n' \
        "$1" "$2" "$port"
}
{
    printf 'name = "idle"\nstate_dir = "%s/state"\n[aggregator]\nendpoint = "http://127.0.0.1:9"\n' "$dir"
    if [ "$layout" = one ]; then
        source_of all all-logs
    else
        for number in $(seq -f '%012g' 1 "$accounts"); do
            source_of "a$number" "logs-$number"
            printf 'role_arn = "arn:aws:iam::%s:role/trail"\nexternal_id = "example"\n' "$number"
        done
    fi
} >"$dir/agent.toml"

python3 "$here/only_lists.py" "$port" "$accounts" "$layout" &
server=$!
sleep 1
"$agent" --config "$dir/agent.toml" >"$dir/log" 2>&1 &
process=$!
trap 'kill "$process" "$server"; rm -rf "$dir"' EXIT
printf '%8s %10s %10s %12s  %s\n' SECONDS 'RSS MiB' 'CPU s' 'STATUS MiB' REQUESTS
for now in $(seq 15 15 "$seconds"); do
    sleep 15
    rss=$(awk '/VmRSS/ { printf "%d", $2 / 1024 }' "/proc/$process/status")
    cpu=$(awk -v tick="$(getconf CLK_TCK)" '{ printf "%.2f", ($14 + $15) / tick }' "/proc/$process/stat")
    status=$(stat -c %s "$dir/state/status.json" 2>/dev/null || echo 0)
    requests=$(python3 -c 'import sys, urllib.request as web; print(web.urlopen(sys.argv[1]).read().decode())' \
        "http://127.0.0.1:$port/counts")
    printf '%8d %10d %10s %12d  %s\n' "$now" "$rss" "$cpu" $((status >> 20)) "$requests"
done
