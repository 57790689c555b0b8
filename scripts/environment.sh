# Sourced by demo.sh and test.sh. Gives `make_environment FOLDER WHAT`:
# a virtual environment with posemend installed from this tree, made once and
# made anew only when what it depends on has changed.

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3.14 python3 python; do
        [ -n "$candidate" ] || continue
        command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
    done
    echo "posemend: no Python 3.11 or newer with the venv module was found." >&2
    echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: PYTHON=/path/to/python $0" >&2
    return 1
}

# make_environment FOLDER WHAT, e.g. make_environment .venv-test ".[dev]"
make_environment() {
    local folder=$1 what=$2 python stamp
    python=$(find_python) || return 1
    # the folder's own path is part of it: a moved environment does not work
    stamp=$({ cat pyproject.toml constraints.txt; "$python" --version; pwd; echo "$what"; } |
        "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
    if [ -x "$folder/bin/python" ] && [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ]; then
        return 0
    fi
    echo "Making $folder (once) ..." >&2
    rm -rf "$folder"
    "$python" -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e "$what" >&2
    echo "$stamp" >"$folder/stamp" # last, so that an install that broke off is done again
}
