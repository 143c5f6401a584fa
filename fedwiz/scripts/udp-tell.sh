# Report whose lines the unit of udp-listen.sh has received, and stop it.
# Usage: udp-tell.sh NAME COUNT   (COUNT: the senders; it waits briefly for the last ones)
# Prints `heard NUMBER` for each line `NAME NUMBER`, then `end`; `gone` if the unit has ended.
set -u
name=$1 count=$2
heard() { grep -aoE "$name [0-9]{1,6}" "/run/$name/heard" 2>/dev/null | sort -u; }
tries=0
until [ "$(heard | wc -l)" -ge "$count" ] || [ $tries -ge 5 ]; do
  tries=$((tries + 1))
  sleep 0.1
done
systemctl -q is-active "$name.service" || { echo gone; exit 0; }
heard | sed 's/.* /heard /'
systemctl stop "$name.service"
echo end
