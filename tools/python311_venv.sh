#!/usr/bin/env bash
# python311_venv.sh FOLDER LOCKFILE: a virtual environment for programs of the 3.x release that the
# tests drive or compare with. They need Python 3.11, an old setuptools, and versions that do not
# fit beside ours.
set -euo pipefail

target=$1 lock=$2
python=''
for candidate in "${PYTHON:-python3}" python3.11 "$HOME"/.pyenv/versions/3.11.*/bin/python; do
  if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "$target: these tests need a python3.11 (apt-get install python3.11-venv)" >&2
  exit 1
fi
test -x "$target/bin/python" || "$python" -m venv "$target"
"$target/bin/python" -m pip install --quiet --require-hashes -r "$lock"
