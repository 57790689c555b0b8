#!/usr/bin/env bash
# Make the test environment (with torch, on the CPU), check the style and the types, run the tests.
# Arguments go to pytest: scripts/test.sh tests/cli -k errors
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

make_environment .venv-test ".[dev]"
.venv-test/bin/ruff check .
.venv-test/bin/mypy posemend
exec .venv-test/bin/python -m pytest -q "$@"
