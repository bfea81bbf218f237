#!/usr/bin/env bash
# wheel.sh PYTHON FOLDER [sdist]: the wheel of the last commit, or its source package. Two builds of one commit are the same bytes, wherever and
# whenever: from what is committed, not from what lies about; with the time of the commit; for any umask.
set -euo pipefail

python=$(realpath -s "$1")
mkdir -p "$2"
folder=$(realpath "$2")
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
umask 022
git -c tar.umask=0022 archive HEAD | tar -x -C "$source"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
if [ "${3:-wheel}" = sdist ]; then
  cd "$source"
  "$python" -c 'import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])' "$folder" >&2
  exit
fi
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --check-build-dependencies --wheel-dir "$folder" "$source"
