#!/bin/sh
# Measures everything that only a GPU can show, in at most 8 minutes; `bench/gpu.sh --help`.
cd "$(dirname "$0")/.." || exit
if [ -z "$PYTHON" ] && [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; fi
exec "${PYTHON:-python3}" bench/gpu.py "$@"
