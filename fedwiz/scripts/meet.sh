# Ping many hosts in parallel, from one of this host's addresses and through one interface.
# Usage: meet.sh ADDRESS INTERFACE PEER...
# Prints `met PEER NEIGHBOUR BASE64` for each, then `end`; `noping` if there is no ping.
# NEIGHBOUR: the peer's state in the kernel's neighbour table of that interface, or `none`.
set -u
address=$1 link=$2; shift 2
if command -v ping >/dev/null; then
  # -W 3: by then the kernel has given up on a neighbour that does not answer.
  one() { timeout 8 ping -n -c 3 -i 0.2 -W 3 -I "$address" -I "$link" "$1"; }
elif command -v busybox >/dev/null; then
  one() { timeout 8 busybox ping -c 3 -W 3 -I "$address" "$1"; } # it takes only one -I
else
  echo noping
  exit 0
fi
wire() { # the state is the last word
  for state in none $(ip -4 neighbour show to "$peer" dev "$link" 2>/dev/null); do :; done
}
for peer in "$@"; do
  {
    said=$(one "$peer" 2>&1 </dev/null | tail -c 1200 | base64 | tr -d '\n')
    wire
    # No answer: 5 s after the first packet the kernel probes the neighbour itself, 3 times.
    # Wait for the result, which tells a blocked ping from an absent host.
    case $(printf %s "$said" | base64 -d) in
      *'bytes from'*) ;;
      *) for _ in 1 2 3 4 5 6 7 8 9 10; do
           case $state in DELAY | PROBE) sleep 0.5; wire ;; *) break ;; esac
         done ;;
    esac
    # One short write, so that parallel lines do not mix.
    printf 'met %s %s %s\n' "$peer" "$state" "$said"
  } &
done
wait
echo end
