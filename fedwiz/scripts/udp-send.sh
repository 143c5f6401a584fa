# Send a line to a UDP port of many hosts, three times each; bash can do UDP itself.
# Usage: udp-send.sh PORT LINE PEER...
# Prints `sent PEER BASE64` (the error) for each, then `end`; `nobash` if there is no bash.
set -u
command -v bash >/dev/null || { echo nobash; exit 0; }
exec bash -c '
port=$1 line=$2; shift 2
declare -A to said
for peer; do
  # One socket each: the answer of a peer (`Connection refused`) shows at the next write.
  exec {fd}>"/dev/udp/$peer/$port" && to[$peer]=$fd
done 2>/dev/null
for peer; do
  [[ -n ${to[$peer]-} ]] || said[$peer]=$( { : >"/dev/udp/$peer/$port"; } 2>&1)
done
for turn in 1 2 3; do
  for peer in "${!to[@]}"; do
    why=$( { printf "%s\n" "$line" >&"${to[$peer]}"; } 2>&1) || said[$peer]=$why
  done
  [[ $turn = 3 ]] || sleep 0.1
done
for peer; do
  printf "sent %s %s\n" "$peer" "$(printf %s "${said[$peer]-}" | tail -c 300 | base64 | tr -d "\n")"
done
echo end' udp-send "$@"
