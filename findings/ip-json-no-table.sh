#!/usr/bin/env bash
# Guess:    `ip -json route show table N` for a table without routes prints [], or nothing where the
#           table is unknown: what is on standard output is JSON or is empty.
# Happens:  for a table that nobody has put a route into yet it prints a lone "[" and stops, with
#           status 2. As soon as one route was in it and is gone again, the answer is [].
# Versions: iproute2 6.1.0 (Debian 12's), on Linux 4.20 or later.
# Source:   iproute2 issue 32 (the kernel refuses to dump a table that does not exist); iproute2's
#           ip/iproute.c, iproute_list_flush_or_save: new_json_obj() is called before the dump, and
#           a failed dump returns without delete_json_obj(). Only reads.
set -uo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
(cd "$dir" && apt-get -o APT::Sandbox::User=root download -qq \
  iproute2=6.1.0-3 libbpf1=1:1.1.2-0+deb12u1 libelf1=0.188-2.1 libmnl0=1.0.4-3 \
  libbsd0=0.11.7-2 libmd0=1.0.4-2 &&
  for deb in *.deb; do dpkg-deb -x "$deb" root || exit; done) >&2 || exit 3
LD_LIBRARY_PATH=$(echo "$dir"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH
ip=$dir/root/bin/ip
[ -x "$ip" ] || ip=$dir/root/sbin/ip
! ldd "$ip" | grep 'not found' >&2 || exit 3

seen=$(for table in local 1234567890; do
  json=$("$ip" -json -4 route show table "$table" 2>/dev/null)
  status=$?
  kind="no JSON: $json"
  printf '%s' "$json" | python3 -m json.tool >/dev/null 2>&1 && kind=JSON
  echo "table $table: status $status, $kind"
done)
want='table local: status 0, JSON
table 1234567890: status 2, no JSON: ['
printf '%s\n' "$seen"
[ "$seen" = "$want" ]
