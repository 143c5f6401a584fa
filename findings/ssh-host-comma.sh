#!/usr/bin/env bash
# Guess:    `Host node1,node2` names two hosts, as `Match host node3,node4` does and as a line of
#           known_hosts does; and asyncssh, which reads the same file, takes it as ssh takes it.
# Happens:  for OpenSSH only spaces separate the patterns of `Host`: that line is one pattern with a
#           comma in it, and no host ever matches. It says nothing. asyncssh does split the line, so
#           the two connect to different ports.
# Versions: OpenSSH 9.2p1 (Debian 12's; the one installed is used if it is that), asyncssh 2.24.1.
# Source:   ssh_config(5), Host ("separated by whitespace") against Match ("comma-separated lists");
#           OpenSSH's readconf.c, oHost: match_pattern() word by word; asyncssh/config.py,
#           _match_host: joins the words with commas, for a list that is then split at commas.
set -uo pipefail
case $(ssh -V 2>&1) in OpenSSH_9.2p1*) ;; *) echo "not OpenSSH 9.2p1" >&2; exit 3 ;; esac
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
{ python3 -m venv "$dir/v" && "$dir/v/bin/pip" install -q asyncssh==2.24.1; } >&2 || exit 3

cat >"$dir/config" <<'CONF'
Host node1,node2
  Port 2201
Match host node3,node4
  Port 2203
CONF

openssh() { ssh -F "$dir/config" -G "$1" </dev/null 2>/dev/null | sed -n 's/^port //p'; }
asyncssh() {
  "$dir/v/bin/python" - "$1" "$dir/config" <<'PY'
import sys

import asyncssh

print(asyncssh.SSHClientConnectionOptions(host=sys.argv[1], config=sys.argv[2]).port)
PY
}

seen=$(for host in node1 node2 node3 node4; do
  echo "$host: ssh $(openssh "$host"), asyncssh $(asyncssh "$host")"
done)
want='node1: ssh 22, asyncssh 2201
node2: ssh 22, asyncssh 2201
node3: ssh 2203, asyncssh 2203
node4: ssh 2203, asyncssh 2203'
printf '%s\n' "$seen"
[ "$seen" = "$want" ]
