#!/usr/bin/env bash
# Guess:    what bash itself quotes, with ${value@Q}, or what a sysconfig file says in plain
#           shell syntax, means the same in a file for EnvironmentFile=.
# Happens:  quotes count only where a value begins or other quotes have just ended. Of the idiom
#           'a'\''b' that makes a''b', not a'b; --log="a b" keeps its quotes; and "a" "b" is ab,
#           where sh takes b for a command.
# Versions: systemd 252 (Debian 12's); the same states are in the parser of later versions.
# Source:   src/basic/env-file.c, states PRE_VALUE, VALUE and VALUE_ESCAPE: after a backslash
#           outside quotes a value has begun, and a quote inside one is a character like any other.
#           systemd.exec(5), EnvironmentFile=, says so of values that begin unquoted, not of the
#           idiom. The generator that is run here reads environment.d/*.conf with that same parser.
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
value="the node's"
cat >"$dir/environment.d/values.conf" <<CONF
FINDING_IDIOM=${value@Q}
FINDING_WORD=--log="a b"
FINDING_PAIR="a" "b"
CONF

# Read back from the generator's own quoting, which is sh's.
seen=$(cat "$dir/environment.d/values.conf"
  eval "$(env XDG_CONFIG_HOME="$dir" "$reader" | grep '^FINDING_')"
  echo "systemd reads: $FINDING_IDIOM | $FINDING_WORD | $FINDING_PAIR")
want=$(cat <<'WANT'
FINDING_IDIOM='the node'\''s'
FINDING_WORD=--log="a b"
FINDING_PAIR="a" "b"
systemd reads: the node''s' | --log="a b" | ab
WANT
)
printf '%s\n' "$seen"
[ "$seen" = "$want" ]
