#!/usr/bin/env bash
# Regenerates Tables 1 and 2, from nothing to the report.
#
#   ./run_all.sh                      all 32 cells of the smoke protocol (generated data, no network)
#   ./run_all.sh --protocol paper --seeds 5 --data-dir D
#                                     the real thing; options are those of `replicate run`
#   ./run_all.sh --cluster PROFILE --protocol paper --seeds 5 [--wait]
#                                     on SLURM; options are those of `replicate submit`
#   ./run_all.sh test                 the quick tests; `test all` for all, `test tests/models -x` for what pytest takes
#   ./run_all.sh setup                the installation alone
#
# Installs into the active virtual or conda environment (conda's base excepted), else into .venv here.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
case ${LC_ALL:-${LC_CTYPE:-${LANG:-C}}} in C | POSIX) export LC_ALL=C.UTF-8 ;; esac  # the path here may not be ASCII
export PIP_USER=0  # into the environment, whatever the user's own settings are
unset PIP_TARGET PIP_PREFIX PIP_ROOT PYTHONHOME UV_TARGET UV_PREFIX

die() { echo "run_all.sh: $*" >&2; exit 1; }

recent() { command -v "$1" >/dev/null && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if recent "$name"; then echo "$name"; return; fi
    done
    die "Python 3.11 or newer is needed, found $(python3 -V 2>&1 || true); on Debian 12 or newer: apt-get install python3 python3-venv"
}

find_environment() {  # sets env, the folder everything is installed into
    if [[ -n ${VIRTUAL_ENV:-} ]]; then
        env=$VIRTUAL_ENV
    elif [[ -n ${CONDA_PREFIX:-} && ${CONDA_DEFAULT_ENV:-base} != base ]]; then
        env=$CONDA_PREFIX
    else
        env=$PWD/.venv
        [[ -x $env/bin/python ]] || make_venv
    fi
    recent "$env/bin/python" || die "$env has no Python 3.11 or newer; deactivate it or make another one"
}

make_venv() {
    local python; python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null \
        || die "$python cannot make virtual environments; on Debian: apt-get install python3-venv"
    "$python" -m venv --clear "$env"
}

refuse_namesakes() {  # PyPI has another package of this name, which would be imported in place of this one
    local other
    for other in "$env"/lib/python3*/site-packages/replicate/; do
        [[ -e $other/__init__.py ]] && die "$other hides this project:" \
            "$env/bin/python -m pip uninstall -y replicate flexpooling-replication"
    done
    return 0
}

spell_in_ascii() {  # the project's path: Python 3.11 reads .pth files in the locale's encoding, and stops at what that lacks
    [[ $PWD == *[![:ascii:]]* ]] || return 0
    "$python" - "$env"/lib/python3*/site-packages/*_flexpooling_replication.pth <<'END'
import pathlib, sys
file = pathlib.Path(sys.argv[1])
file.write_text(f"import sys; sys.path.append({ascii(file.read_text().strip())})\n")
END
}

install() {  # once for each state of the lock, the project's metadata, its folder and the Python
    local stamp=$env/flexpooling-replication.stamp state python=$env/bin/python uv
    state=$({ cat requirements.lock pyproject.toml; echo "$PWD"; "$python" -V; } | sha256sum)
    [[ -x $env/bin/replicate && -f $stamp && $(<"$stamp") == "$state" ]] && return
    [[ $(uname -sm) == "Linux x86_64" ]] \
        || die "requirements.lock is for Linux on x86-64; here: pip install -e '.[test]', then replicate run --help"
    echo "Installing into $env (about 6 GB; needs a network)" >&2
    # uv downloads and unpacks in parallel: a fraction of pip's time
    if "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip install --quiet --disable-pip-version-check "$(grep -o '^uv==[^ ]*' requirements.lock)"
        uv=$env/bin/uv
    else
        uv=$(command -v uv) || die "$env has neither pip nor uv; remove it, or install one of them"
    fi
    # Compiled once: where PYTHONDONTWRITEBYTECODE is set, each process would spend seconds on torch's sources.
    "$uv" pip install --quiet --compile-bytecode --python "$python" -r requirements.lock
    "$uv" pip install --quiet --python "$python" --no-deps -e .
    spell_in_ascii
    echo "$state" >"$stamp"
}

run() {  # smoke, unless the options name a protocol or a campaign that has one
    local option verb=run protocol=(--protocol smoke)
    for option; do
        case $option in
            --protocol* | --campaign*) protocol=() ;;
            --cluster*) verb=submit ;;
        esac
    done
    exec "$env/bin/replicate" "$verb" ${protocol[@]+"${protocol[@]}"} "$@"
}

case ${1:-} in
    -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' run_all.sh; exit ;;
esac
find_environment
refuse_namesakes
install
case ${1:-} in
    setup) echo "$env" ;;
    test)
        shift
        processes=2
        case ${1:-} in
            "") set -- --quick ;;
            all) shift; processes=3 ;;  # one of them mostly waits for a cluster
        esac
        export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}  # a core each
        exec "$env/bin/python" -m pytest -q -n "$processes" "$@"
        ;;
    *) run "$@" ;;
esac
