# Delete the backup and all else of fedwiz on this host.
# Usage: forget.sh [LEFT]...   (what stays, and why)
set -u
for left; do echo "left as it is: $left"; done
if [ -d /run/fedwiz ]; then # but for the lock: somebody may hold it
  find /run/fedwiz -mindepth 1 ! -name 'lock*' -delete
  rmdir /run/fedwiz 2>/dev/null
fi
rm -rf /var/lib/fedwiz
