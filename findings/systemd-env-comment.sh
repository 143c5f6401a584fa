#!/usr/bin/env bash
# Guess:    in a file for EnvironmentFile=, a comment ends with its line, as it does in sh and in
#           unit files, also if its last character is a backslash.
# Happens:  up to systemd 253 the backslash continues the comment: the assignment on the next line
#           is part of it and is never made. The same file sourced by sh does set the variable.
# Versions: systemd 252 (Debian 12's). Since 254 the comment ends with its line.
# Source:   systemd issue 27975 (met on Fedora CoreOS 38); src/basic/env-file.c, state
#           COMMENT_ESCAPE. The generator that is run here reads environment.d/*.conf with that same
#           parser, so that no service manager is needed to see it.
set -uo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
(cd "$dir" && apt-get -o APT::Sandbox::User=root download -qq \
  systemd=252.39-1~deb12u2 libsystemd-shared=252.39-1~deb12u2 &&
  for deb in *.deb; do dpkg-deb -x "$deb" root || exit; done) >&2 || exit 3
reader=$dir/root/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator
LD_LIBRARY_PATH=$(echo "$dir"/root/usr/lib/*-linux-gnu/systemd)
export LD_LIBRARY_PATH
! ldd "$reader" | grep 'not found' >&2 || exit 3

mkdir -p "$dir/environment.d"
cat >"$dir/environment.d/flanneld.conf" <<'CONF'
# the old endpoints were http://10.0.0.1:4001, \
FINDING_ENDPOINTS=http://10.0.0.1:2379
FINDING_PREFIX=/coreos.com/network
CONF

seen=$(
  env XDG_CONFIG_HOME="$dir" "$reader" | grep '^FINDING_' | sed 's/^/systemd: /'
  sh -c '. "$1"; set' sh "$dir/environment.d/flanneld.conf" | grep '^FINDING_' | tr -d "'" |
    sed 's/^/sh: /'
)
want='systemd: FINDING_PREFIX=/coreos.com/network
sh: FINDING_ENDPOINTS=http://10.0.0.1:2379
sh: FINDING_PREFIX=/coreos.com/network'
printf '%s\n' "$seen"
[ "$seen" = "$want" ]
