#!/usr/bin/env bash
# Guess:    a short IPv4 address that the resolver and iptables both accept is one host to both.
# Happens:  the C library puts the missing zeros in the middle, iptables puts them at the end:
#           "10.1" is the host 10.0.0.1 to whoever asks the resolver, and 10.1.0.0 in a rule. A rule
#           that was written for a host one has just pinged by that name never meets it.
# Versions: iptables 1.8.9 (Debian 12's) against any glibc.
# Source:   inet_aton(3): in a.b the last part is read as 24 bits; iptables' libxtables/xtables.c,
#           __numeric_to_ipaddr: fills the parts from the left. iptables-translate, which is run
#           here, parses rules with the same library and changes nothing.
set -uo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
(cd "$dir" && apt-get -o APT::Sandbox::User=root download -qq \
  iptables=1.8.9-2 libxtables12=1.8.9-2 libnftnl11=1.2.4-2 libmnl0=1.0.4-3 &&
  for deb in *.deb; do dpkg-deb -x "$deb" root || exit; done) >&2 || exit 3
libs=$(echo "$dir"/root/usr/lib/*-linux-gnu)
translate() {
  LD_LIBRARY_PATH=$libs XTABLES_LIBDIR=$libs/xtables \
    "$dir/root/usr/sbin/xtables-nft-multi" iptables-translate "$@"
}

seen=$(for address in 10.1 10.1.2; do
  resolved=$(getent ahostsv4 "$address" | awk 'NR == 1 { print $1 }')
  rule=$(translate -A FORWARD -s "$address" -j ACCEPT | grep -o 'saddr [0-9.]*')
  echo "$address: getaddrinfo ${resolved}, iptables ${rule#saddr }"
done)
want='10.1: getaddrinfo 10.0.0.1, iptables 10.1.0.0
10.1.2: getaddrinfo 10.1.0.2, iptables 10.1.2.0'
printf '%s\n' "$seen"
[ "$seen" = "$want" ]
