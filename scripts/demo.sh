#!/usr/bin/env bash
# Make the environment, run the main job on the built-in clip, say where the page is.
# Needs Python 3.11 or newer and a way to the package registry; installs no torch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

make_environment .venv "."
exec .venv/bin/posemend demo "$@"
