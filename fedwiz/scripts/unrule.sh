# Restore iptables rules; skip those that are there, or gone, already.
# Usage: unrule.sh   (standard input: lines as `nat -D POSTROUTING -s 10.16.0.0/16 -j RETURN`)
set -u
rule() { # TABLE RULE: xargs undoes the quoting of `iptables -S`
  printf '%s\n' "$2" | xargs iptables -w 5 -t "$1" 2>/dev/null
}
while read -r table rule; do
  case $rule in
    "-I "*) ! rule "$table" "-C ${rule#-I }" || continue ;;
  esac
  rule "$table" "$rule" && echo "iptables -t $table $rule"
done
exit 0
