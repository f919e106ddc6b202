#!/usr/bin/env bash
# The first call on the machine: first.sh PART SECONDS   (from now, at which training must have ended)
set -uo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
part=$1 until=$(($(date +%s) + $2))
export W=${LEASE_FOLDER:-/dev/shm/lease} PYTHONUNBUFFERED=1
export OUT=${OUT:-$W/out} TORCHINDUCTOR_CACHE_DIR=$W/inductor TRITON_CACHE_DIR=$W/triton
mkdir -p "$W/project" "$W/data" "$W/pictures" "$OUT"
python=python3 quick=()
if [[ ${LEASE:-} == pretend ]]; then
    python=${PYTHON:-.venv/bin/python} quick=(--quick)
else
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$W/site" "$part"/wheels/*.whl || exit 9
    export PYTHONPATH=$W/site
fi
cp -r replicate experiments benchmarks tests pyproject.toml "$W/project/" && cp "$part/commit" "$W/project/.commit"
cp -r "$part"/*/ "$W/pictures/" && rm -rf "$W/pictures/wheels"
cd "$W/project" || exit 9
export PYTHONPATH=$W/project${PYTHONPATH:+:$PYTHONPATH} PYTHON=$(command -v "$python" || echo "$OLDPWD/$python")
"$PYTHON" -m benchmarks.lease.images unpack "$W/pictures" "$W/data" 2>&1 &
if [[ ${LEASE:-} != pretend ]]; then  # beside the checks: four trunks at once, into one cache
    for cell in table1/cifar10/avgpool table1/fashion-mnist/avgpool table2/cifar10/flexpool-reg-dropout table2/fashion-mnist/flexpool; do
        timeout 90 "$PYTHON" -m benchmarks.lease.warm "$cell" >>"$OUT/compile.log" 2>&1 &
    done
fi
timeout 180 "$PYTHON" -m benchmarks --only gpu "${quick[@]}" --output "$OUT/speed.md" 2>&1 | tee "$OUT/speed.log"
wait
tail -n 8 "$OUT/compile.log" 2>/dev/null
engine=$(grep -oE 'REPLICATE_ENGINE=[a-z]+' "$OUT/speed.log" | tail -n 1)
export "${engine:-REPLICATE_ENGINE=captured}"
setsid nohup bash benchmarks/lease/train.sh "$until" >"$OUT/../train.log" 2>&1 </dev/null &
sleep "${LEASE_LOOK:-15}"
cat "$OUT/../train.log"; ls "$W/data"
