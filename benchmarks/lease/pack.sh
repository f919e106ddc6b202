#!/usr/bin/env bash
# At home, before the machine is there: pack.sh CACHE DATASET... makes .lease/1, .lease/2, ...
# CACHE is the folder of `replicate data prepare`. The first data set travels with the tools in part 1, every other one in halves.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
cache=$1; shift
python=${PYTHON:-.venv/bin/python}
limit=$((66 * 1000 * 1000))  # of a call, the checkout included
git diff --quiet HEAD -- replicate experiments || { echo "commit first: records name the code that trained" >&2; exit 1; }
grep -qx /.lease/ .git/info/exclude || echo /.lease/ >>.git/info/exclude
rm -rf .lease
mkdir -p .lease/1/wheels
git log -1 --format=%H -- replicate experiments >.lease/1/commit
# what a machine with PyTorch usually lacks, in the versions of the lock, for its Python
"$python" -m pip download -q --no-deps --only-binary=:all: --python-version "${LEASE_PYTHON:-3.12}" --implementation cp \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 -d .lease/1/wheels \
    $(grep -oE '^(pydantic|pydantic-core|annotated-types|typing-inspection|typing-extensions|msgspec|isal|submitit)==[^ ]+' requirements.lock)
"$python" -m benchmarks.lease.images pack "$cache" .lease "$@"
tree=$(git ls-files -z -co --exclude-standard | xargs -0 stat -c %s | awk '{s += $1} END {print s}')
for part in .lease/*/; do
    bytes=$(($(du -sb "$part" | cut -f1) + tree))
    echo "$part $((bytes / 1000000)) MB with the checkout"
    ((bytes < limit)) || { echo "too large" >&2; exit 1; }
done
