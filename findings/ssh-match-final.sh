#!/usr/bin/env bash
# Guess:    a `Match final` block that applies to no host changes nothing.
# Happens:  the mere presence of the word makes ssh read the whole configuration a second time, and
#           in that pass `Host` is compared with the HostName found in the first. A `Host 10.0.0.*`
#           block that did not apply to the alias `web` now does.
# Versions: OpenSSH 9.2p1 (Debian 12's; the one installed is used if it is that).
# Source:   ssh_config(5) says of `final` that it requests the second reading, not that Host
#           patterns change their meaning; OpenSSH's ssh.c, main(): process_config_files() again,
#           with the host name that the first pass has left.
set -uo pipefail
case $(ssh -V 2>&1) in OpenSSH_9.2p1*) ;; *) echo "not OpenSSH 9.2p1" >&2; exit 3 ;; esac
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT

cat >"$dir/without" <<'CONF'
Host web
  HostName 10.0.0.5
Host 10.0.0.*
  Port 2022
CONF
{ cat "$dir/without"; printf 'Match final host nowhere.example\n  Compression yes\n'; } >"$dir/with"

seen=$(for file in without with; do
  echo "$file Match final: $(ssh -F "$dir/$file" -G web </dev/null 2>/dev/null |
    grep -E '^(port|compression) ' | sort | tr '\n' ' ')"
done)
want='without Match final: compression no port 22 
with Match final: compression no port 2022 '
printf '%s\n' "$seen"
[ "$seen" = "$want" ]
