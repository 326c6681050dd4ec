#!/usr/bin/env bash
# The demo study, from a fresh Debian 12 machine to the RQ1-RQ3 tables: installs what is missing, builds, starts a coordinator
# and a worker on loopback, submits the sweep, shows its progress and prints the tables. Run it again: finished stages are
# kept, so an interrupted run goes on and a finished one takes seconds.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
cd "$repository"

usage() {
  cat <<TEXT
usage: deploy/demo/run.sh [options]
  --full          every question on every model with more samples; uses sparrow-13m when BITSWEEP_SHARED has it
  --output DIR    database, tables, logs and worker cache (default: demo-output)
  --keep          leave the coordinator and the worker running at the end
  --listen H:P    gRPC address of the coordinator (default: a free port on 127.0.0.1)
  --http H:P      page and metrics (default: 127.0.0.1:7472, or a free port where that is taken)
  --slots N       stages at a time (default: one a core)
  --clean         forget earlier results first
  --no-install    do not install Debian packages
  --help
TEXT
}

full=0 keep=0 clean=0 install=1
output=demo-output listen=127.0.0.1:0 http="" slots=$(nproc)
while [ $# -gt 0 ]; do
  case "$1" in
    --full) full=1 ;;
    --keep) keep=1 ;;
    --clean) clean=1 ;;
    --no-install) install=0 ;;
    --output | --listen | --http | --slots)
      [ $# -ge 2 ] || { echo "run.sh: $1 needs a value" >&2; exit 2; }
      case "$1" in --output) output=$2 ;; --listen) listen=$2 ;; --http) http=$2 ;; --slots) slots=$2 ;; esac
      shift ;;
    --help | -h) usage; exit 0 ;;
    *) echo "run.sh: unknown option '$1'" >&2; usage >&2; exit 2 ;;
  esac
  shift
done

say() { printf '\n== %s\n' "$*"; }

# 1. Packages and build.
if [ "$install" = 1 ]; then
  deploy/install-packages.sh run build
fi
say "building (first time: several minutes)"
if [ ! -f build/release/CMakeCache.txt ]; then
  # GoogleTest is not among the packages that a demo needs.
  cmake --preset release -DBITSWEEP_TESTS=OFF >/dev/null
fi
cmake --build --preset release --target bitsweepd bitsweep-worker bitsweep-engine bitsweep-grade bitsweep -- --quiet
bin=$repository/build/release/bin

# 2. Where things go.
if [ "$clean" = 1 ]; then
  rm -rf "$output"
fi
mkdir -p "$output/logs" "$output/tables"
output=$(cd "$output" && pwd)
model_roots=(--model-root deploy/demo/models)
sweep_file=deploy/demo/study.yaml
if [ "$full" = 1 ]; then
  sweep_file=deploy/demo/study-full.yaml
  large=${BITSWEEP_SHARED:-../shared}/demo-study/models
  if [ -f "$large/sparrow-13m/config.json" ]; then
    model_roots+=(--model-root "$large")
  else
    echo "skipped: sparrow-13m, because $large/sparrow-13m is not there (set BITSWEEP_SHARED to the folder that has demo-study/)"
    # Beside the original, because the paths in a sweep file are relative to it.
    sed -e '/id: sparrow-13m/d' -e 's/, sparrow-13m//g' "$sweep_file" >deploy/demo/study-full.local.yaml
    sweep_file=deploy/demo/study-full.local.yaml
  fi
fi

# 3. Coordinator and worker. Both are stopped when this script ends, however it ends.
coordinator_pid="" worker_pid=""
stop_all() {
  local code=$?
  trap - EXIT INT TERM
  if [ "$keep" = 1 ] && [ "$code" -eq 0 ]; then
    disown -a
    exit 0
  fi
  for pid in $worker_pid $coordinator_pid; do
    kill -TERM "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  if [ "$code" -eq 130 ]; then
    echo "interrupted: what is finished is kept in $output; run the same command again to go on"
  fi
  exit "$code"
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Waits until the log of a process has a line with the given words, or the process has ended.
await_line() { # pid log words
  local waited=0
  until grep -q "$3" "$2" 2>/dev/null; do
    if ! kill -0 "$1" 2>/dev/null; then
      echo "run.sh: the process ended before it said '$3'; its log:" >&2
      tail -n 20 "$2" >&2
      return 1
    fi
    sleep 0.1
    waited=$((waited + 1))
    [ "$waited" -lt 600 ] || { echo "run.sh: no '$3' within 60 s in $2" >&2; return 1; }
  done
}

start_coordinator() { # http address
  : >"$output/logs/coordinator.log"
  # Ctrl-C reaches the whole foreground group; setsid lets this script stop things in order instead.
  setsid "$bin/bitsweepd" --data-dir "$output" --listen "$listen" --http "$1" 2>>"$output/logs/coordinator.log" >/dev/null &
  coordinator_pid=$!
  await_line "$coordinator_pid" "$output/logs/coordinator.log" "listening on"
}

say "starting the coordinator and a worker"
if [ -n "$http" ]; then
  start_coordinator "$http"
else
  start_coordinator 127.0.0.1:7472 2>/dev/null || start_coordinator 127.0.0.1:0
fi
server=$(sed -n 's/.*listening on \([^ ]*\).*/\1/p' "$output/logs/coordinator.log" | tail -n 1)
page=$(sed -n 's/.*serving http on \([^ ]*\).*/\1/p' "$output/logs/coordinator.log" | tail -n 1)
export BITSWEEP_SERVER=$server
: >"$output/logs/worker.log"
setsid "$bin/bitsweep-worker" --server "$server" --cache-dir "$output/worker-cache" "${model_roots[@]}" --slots "$slots" \
  --name demo 2>>"$output/logs/worker.log" >/dev/null &
worker_pid=$!
await_line "$worker_pid" "$output/logs/worker.log" "registered as"
echo "coordinator $server, page http://$page/, metrics http://$page/metrics"

# 4. The sweep: an unfinished one goes on, else it is submitted (finished stages are cached).
say "the study ($sweep_file)"
name=$(sed -n 's/^name: *//p' "$sweep_file")
state=$("$bin/bitsweep" status "$name" --output json 2>/dev/null | sed -n 's/.*"state": *"\([a-z]*\)".*/\1/p' | head -n 1 || true)
case "$state" in
  planning | running | paused)
    echo "going on with the unfinished sweep '$name'"
    "$bin/bitsweep" watch "$name" ;;
  *) "$bin/bitsweep" submit "$sweep_file" --watch ;;
esac

# 5. Tables.
say "tables"
"$bin/bitsweep" tables "$name" --format csv --output-dir "$output/tables" >/dev/null
"$bin/bitsweep" tables "$name" --format markdown --output-dir "$output/tables" >/dev/null
for table in "$output"/tables/*.md; do
  cat "$table"
  echo
done
echo "database  $output/bitsweep.db"
echo "tables    $output/tables/"
echo "logs      $output/logs/"
if [ "$keep" = 1 ]; then
  echo "page      http://$page/   (coordinator $coordinator_pid and worker $worker_pid go on; kill $worker_pid $coordinator_pid ends them)"
  echo "try       BITSWEEP_SERVER=$server $bin/bitsweep cells $name"
else
  echo "page      run again with --keep and open http://${http:-127.0.0.1:7472}/"
fi
