#!/usr/bin/env bash
# Every later call: more.sh PART brings images; more.sh - SECONDS waits that long for results, packed every ten seconds.
set -uo pipefail
W=${LEASE_FOLDER:-/dev/shm/lease} OUT=${OUT:-${LEASE_FOLDER:-/dev/shm/lease}/out}
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." || exit 9
python=python3
[[ ${LEASE:-} != pretend ]] || python=${PYTHON:-$PWD/.venv/bin/python}
keep() {
    tar -C "$W/project" -czf "$OUT/.results" results 2>/dev/null && mv "$OUT/.results" "$OUT/results.tar.gz"
    cp "$W/train.log" "$OUT/" 2>/dev/null
}
if [[ $1 != - ]]; then
    cp -r "$1"/*/ "$W/pictures/"
    PYTHONPATH=$W/project:$W/site "$python" -m benchmarks.lease.images unpack "$W/pictures" "$W/data"
else
    end=$(($(date +%s) + $2))
    while (($(date +%s) < end)) && ! tail -n 1 "$W/train.log" | grep -q '^end '; do sleep 10; keep; done
fi
keep
tail -n 40 "$W/train.log"
nvidia-smi --query-gpu=utilization.gpu,clocks.sm,power.draw,temperature.gpu,memory.used --format=csv,noheader 2>/dev/null
ls "$W/data"
