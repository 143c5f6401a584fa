#!/usr/bin/env bash
# Guess:    a netaddr IPAddress is a value, like an int or ipaddress.IPv4Address: it hashes, it
#           compares, and `address += 1` binds the name to a new address.
# Happens:  `+=` changes the object itself. A list that collected three addresses holds one of them
#           three times, and a set no longer finds the member that it still lists.
# Versions: netaddr 1.3.0.
# Source:   netaddr/ip/__init__.py, IPAddress.__iadd__ (sets self._value, returns self) and
#           BaseIP.__hash__ (hashes that value); IPNetwork.__iadd__ does the same.
set -uo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
{ python3 -m venv "$dir/v" && "$dir/v/bin/pip" install -q netaddr==1.3.0; } >&2 || exit 3

seen=$("$dir/v/bin/python" - <<'PY'
import ipaddress

import netaddr

for kind in (netaddr.IPAddress, ipaddress.IPv4Address):
    address, collected = kind("10.5.0.1"), []
    for _ in range(3):
        collected.append(address)
        address += 1
    first = kind("10.5.0.1")
    nodes = {first}
    first += 1
    found = next(iter(nodes)) in nodes
    print(kind.__module__.split(".")[0], *collected, "| in the set:", *nodes, found)
PY
)
want='netaddr 10.5.0.4 10.5.0.4 10.5.0.4 | in the set: 10.5.0.2 False
ipaddress 10.5.0.1 10.5.0.2 10.5.0.3 | in the set: 10.5.0.1 True'
printf '%s\n' "$seen"
[ "$seen" = "$want" ]
