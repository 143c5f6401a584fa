# Delete an etcd key by etcd's HTTP API, unless somebody has changed it since it was written.
# Usage: etcd-key.sh API URL KEY VALUE CA CERT CERT-KEY   (the last three may be empty)
# Runs after lib.sh.
set -u
api=$1 url=$2 key=$3 value=$4 ca=$5 cert=$6 cert_key=$7
if [ "$api" = v2 ]; then
  said=$(etcd -G -X DELETE --data-urlencode "prevValue=$value" "$url/v2/keys$key") || exit
  case $said in *'"action":"compareAndDelete"'*) echo "$key is gone"; exit ;; esac
else
  here=$(b64 "$key")
  same="{\"key\":\"$here\",\"target\":\"VALUE\",\"result\":\"EQUAL\",\"value\":\"$(b64 "$value")\"}"
  gone="{\"request_delete_range\":{\"key\":\"$here\"}}"
  said=$(etcd -d "{\"compare\":[$same],\"success\":[$gone]}" "$url/v3/kv/txn") || exit
  case $said in *'"succeeded":true'*) echo "$key is gone"; exit ;; esac
fi
echo "$key was changed since, and stays: $said" | head -c 400
exit 1
