#!/bin/sh
# Measures everything that only a GPU can show, in at most 8 minutes; `bench/gpu.sh --help`.
root=$(dirname "$0")/..
if [ -z "$PYTHON" ] && [ -x "$root/.venv/bin/python" ]; then PYTHON=$root/.venv/bin/python; fi
exec "${PYTHON:-python3}" "$root/bench/gpu.py" "$@"
