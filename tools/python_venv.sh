#!/usr/bin/env bash
# python_venv.sh VERSION FOLDER LOCKFILE: a virtual environment with that Python for programs of the
# releases that the tests drive or compare with; they need versions that do not fit beside ours.
# python_venv.sh VERSION: print which Python that would be.
set -euo pipefail

version=$1
python=''
for candidate in "${PYTHON:-python3}" "python$version" "$HOME/.pyenv/versions/$version".*/bin/python; do
  if command -v "$candidate" >/dev/null && [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$version" ]; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "there is no python$version here (apt-get install python$version-venv, or pyenv install $version)" >&2
  exit 1
fi
if [ $# -eq 1 ]; then
  echo "$python"
  exit
fi
target=$2 lock=$3
test -x "$target/bin/python" || "$python" -m venv "$target"
# The lock file is complete: nothing is to be resolved, and an extra that it names needs no line.
"$target/bin/python" -m pip install --quiet --no-deps --require-hashes -r "$lock"
