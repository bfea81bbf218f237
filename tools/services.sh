#!/usr/bin/env bash
# What the tests talk to: PostgreSQL, Redis, RabbitMQ, and nginx if possible. Installs what is missing (Debian and
# Ubuntu, as root) and starts what does not answer. Nothing happens when all of it is there.
#
# PostgreSQL is only installed: when the standard port answers no test login, tests/postgres.py
# starts a private cluster, and an existing one is never touched.
set -euo pipefail

say() { printf 'services: %s\n' "$*" >&2; }

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

has_postgres() { command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

missing=()
answers 5432 || has_postgres || missing+=(postgresql)
answers 6379 || command -v redis-server >/dev/null || missing+=(redis-server)
answers 5672 || command -v rabbitmq-server >/dev/null || missing+=(rabbitmq-server)
command -v curl >/dev/null || missing+=(curl)

if ((${#missing[@]})); then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    say "please install ${missing[*]}: the tests need them, and only root can install them here"
    exit 1
  fi
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq </dev/null
  apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2
fi

# The alerts and the metrics are checked with promtool where it is there or can be had.
if ! command -v promtool >/dev/null; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null ||
    ! RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      prometheus </dev/null >&2; then
    say "promtool is not installed: alerts and metrics will not be checked with it"
  fi
fi

# The documented proxy is tried where nginx is there or can be had; elsewhere that test is skipped.
if ! PATH=$PATH:/usr/sbin command -v nginx >/dev/null; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null ||
    ! RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      nginx-light </dev/null >&2; then
    say "nginx is not installed: its documented configuration will not be tried"
  fi
fi

# The console is tried in a browser where Chromium is there or can be had; elsewhere those tests are skipped.
if ! command -v chromium >/dev/null; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null ||
    ! RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      chromium </dev/null >&2; then
    say "Chromium is not installed: the console will not be tried in a browser"
  fi
fi

# start NAME PORT COMMAND...: run the command, then wait until the port answers.
start() {
  local name=$1 port=$2
  shift 2
  answers "$port" && return
  say "starting $name"
  "$@" </dev/null >/dev/null 2>&1 || true
  for _ in $(seq 120); do
    answers "$port" && return
    sleep 0.5
  done
  say "$name does not answer on port $port; tried: $*"
  exit 1
}

start Redis 6379 redis-server --bind 127.0.0.1 --port 6379 --save '' --appendonly no --daemonize yes
if [ "$(id -u)" -eq 0 ] && command -v service >/dev/null; then
  start RabbitMQ 5672 service rabbitmq-server start
else
  start RabbitMQ 5672 rabbitmq-server -detached
fi
