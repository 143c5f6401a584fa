# Count a pair's packets hop by hop through this host, and report the host's network state.
# Usage: trace.sh on NAME SECONDS RAW MANGLE SECURITY    (each: lines `-I CHAIN MATCH...`, or empty)
#        trace.sh off NAME
# The rules have no target: they only count.  After SECONDS they go by themselves.
# Prints lines `KEY BASE64`: counts, rules, stats; with `on` also flanneld, log, sysctls, policy,
# routes, nft; `end` is the last.
set -u
do=$1 name=$2
say() { printf '%s %s\n' "$1" "$(base64 | tr -d '\n')"; }

# Removes the rules, which are found by their comment; $0 is the name.
tidy='for table in raw mangle security; do
  rules=$(iptables-save -t $table 2>/dev/null | grep -F -- "--comment \"$0:" | sed -n "s/^-A/-D/p")
  [ -z "$rules" ] || printf "*%s\n%s\nCOMMIT\n" $table "$rules" | iptables-restore -w 5 -n
done'
add() { # TABLE RULES
  [ -n "$2" ] || return 0
  printf '*%s\n%s\nCOMMIT\n' "$1" "$2" | iptables-restore -w 5 -n 2>&1 | head -c 300
}
counts() {
  for table in raw mangle security; do
    iptables-save -c -t $table 2>/dev/null | grep -F -- "--comment \"$name:"
  done
}
moving() { # Packet counters: those that differ between `on` and `off` have moved.
  for table in filter raw mangle; do
    iptables-save -c -t $table 2>/dev/null |
      grep -E '^\*|^:[^ ]+ (DROP|ACCEPT) |-j (DROP|REJECT)( |$)'
  done | head -c 200000 | say rules
  cat /proc/net/snmp /proc/net/netstat | say stats
}

if [ "$do" = on ]; then
  life=$3
  systemd-run --quiet --unit="$name" --on-active="$life" --timer-property=AccuracySec=1s \
    sh -c "$tidy; :" "$name" >/dev/null 2>&1 ||
    setsid sh -c "sleep $life; $tidy" "$name" </dev/null >/dev/null 2>&1 &
  moving
  systemctl show flanneld.service \
    --property=ActiveState,SubState,Result,ExecMainStatus,NRestarts | say flanneld
  journalctl -u flanneld.service -n 200 --no-pager -o cat 2>/dev/null | tail -c 20000 | say log
  sysctl -a -r '^net\.ipv4\.conf\..*\.rp_filter$' 2>/dev/null | head -c 20000 | say sysctls
  ip -4 rule show | head -c 4000 | say policy
  ip -4 route show | head -c 60000 | say routes
  nft -a list ruleset 2>/dev/null | grep -E '^table|^	chain|hook|drop|reject' |
    head -c 60000 | say nft
  # Last, so that the output above is not counted.
  { add raw "$4"; add mangle "$5"; add security "$6"; } | say error
else
  counts | say counts
  moving
  sh -c "$tidy" "$name" >/dev/null 2>&1
  systemctl stop "$name.timer" >/dev/null 2>&1
fi
say end </dev/null
