# Insert an accept rule at the top of an nftables chain, or delete it.
# Usage: nft-accept.sh on FAMILY TABLE CHAIN MATCH...   |   nft-accept.sh off FAMILY TABLE CHAIN
# The rule is found by its comment.
set -u
do=$1 family=$2 table=$3 chain=$4; shift 4
if [ "$do" = on ]; then
  nft insert rule "$family" "$table" "$chain" "$@" accept comment '"fedwiz"'
  exit
fi
handles=$(nft -a list chain "$family" "$table" "$chain" |
  sed -n 's/.* comment "fedwiz" # handle \([0-9]*\)$/\1/p')
for handle in $handles; do
  nft delete rule "$family" "$table" "$chain" handle "$handle" || exit
done
