#!/usr/bin/env bash
# Runs a step in wallarm-fast.pyz by a Python that is there: run.sh start|stop|verdict
set -euo pipefail

file=${BASH_SOURCE[0]%run.sh}wallarm-fast.pyz
fail() {
  echo "::error title=Wallarm FAST%3A Cannot start::$1"
  exit 2
}

[ -f "$file" ] || fail "native/wallarm-fast.pyz is missing; use a release, or run make zipapp and git add --force the file"
cache=${RUNNER_TOOL_CACHE:-/nonexistent}/Python
for python in python3 python "$cache"/3.*/*/bin/python3 "$cache"/3.*/*/python.exe; do
  # -I and -S: without what PYTHONPATH and PYTHONHOME name, which may be of the workspace, or broken
  if "$python" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    exec "$python" -I -S "$file" "$1" # in place of this shell, so that it gets the signals
  fi
done
fail "there is no Python 3.11 or newer; run actions/setup-python before, or use the action without native/"
