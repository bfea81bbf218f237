#!/usr/bin/env bash
# Make the virtual environment of the unmodified vantage6 server 3.11.1, which builds the database
# that the tests take over. It needs Python 3.11 and versions that do not fit beside ours.
set -euo pipefail

target=$1
python=''
for candidate in "${PYTHON:-python3}" python3.11 "$HOME"/.pyenv/versions/3.11.*/bin/python; do
  if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "reference_venv: the tests of the take-over need a python3.11 (apt-get install python3.11-venv)" >&2
  exit 1
fi
test -x "$target/bin/python" || "$python" -m venv "$target"
"$target/bin/python" -m pip install --quiet --require-hashes -r tests/takeover/requirements.lock
