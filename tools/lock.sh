#!/usr/bin/env bash
# lock.sh UV: renew the three lock files. Each has the newest versions that fit; what is served has those
# that were tested.
set -euo pipefail

uv=$1
compile() { # FILE, then what is locked
  local file=$1
  shift
  { echo "# Locked versions with hashes, for Python 3.11 to 3.13. Written by: make lock"
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
      ${CONSTRAINT:+--constraint "$CONSTRAINT"} "$@"; } > "$file.new"
  mv "$file.new" "$file"
}
compile requirements-dev.lock pyproject.toml --group dev --all-extras
compile tools/requirements.lock --group supply --group site
CONSTRAINT=requirements-dev.lock compile requirements.lock pyproject.toml
