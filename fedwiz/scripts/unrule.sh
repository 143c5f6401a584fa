# Take away rules of iptables; those that have gone already are passed over.
# Usage: unrule.sh   (standard input: lines as `nat -D POSTROUTING -s 10.16.0.0/16 -j RETURN`)
set -u
while read -r table rule; do
  # xargs takes the quotes of `iptables -S` apart.
  printf '%s\n' "$rule" | xargs iptables -w 5 -t "$table" 2>/dev/null && echo "iptables -t $table $rule"
done
exit 0
