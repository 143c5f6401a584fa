# Forget what was kept: there is nothing left of fedwiz on this host.
# Usage: forget.sh [LEFT]...   (what stays, and why, in words)
set -u
for left; do echo "left as it is: $left"; done
if [ -d /run/fedwiz ]; then # a lock that somebody holds must stay the one that others find
  find /run/fedwiz -mindepth 1 ! -name 'lock*' -delete
  rmdir /run/fedwiz 2>/dev/null
fi
rm -rf /var/lib/fedwiz
