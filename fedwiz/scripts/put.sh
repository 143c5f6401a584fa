# Write a file from standard input: whole or not at all, and only if it is as the plan saw it.
# Usage: put.sh MODE FILE SEEN WHOLE
#   SEEN: how the SHA-256 of the file's text begins that the plan saw; absent; or any
#   WHOLE: how the SHA-256 of what comes begins; or line: it is one line, and whole with its end
# A file that somebody has changed since is left as it is: exit status 75.
set -u
mode=$1 file=$2 seen=$3 whole=$4
umask 022
mkdir -p "${file%/*}" && file=$(readlink -f "$file") || exit 1 # a link stays one
new=${file%/*}/.${file##*/}.fedwiz # beside it, for the rename; never read by anybody
umask 077
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT TERM
rm -f "$new" # of one that was killed

fail() { echo "$*"; exit 1; }
one_line() { [ "$(wc -l <"$new")" -eq 1 ] && [ -z "$(tail -c 1 "$new")" ]; }
cat >"$new" || fail "$file could not be written, and is as it was"
if [ "$whole" = line ]; then one_line
else case $(sha256sum <"$new") in "$whole"*) ;; *) false ;; esac; fi ||
  fail "what was sent for $file did not arrive whole, and the file is as it was; run again"

as_seen() {
  [ "$seen" != any ] || return 0
  if [ ! -e "$file" ]; then [ "$seen" = absent ]; return; fi
  [ "$seen" != absent ] || return
  case $(sha256sum <"$file") in "$seen"*) return ;; esac
  case $(head -c 65536 "$file" | sha256sum) in "$seen"*) return ;; esac # as much as is read of one
  return 1
}
if ! cmp -s "$new" "$file" && ! as_seen; then # who sends it again finds it done
  now="it is gone"
  [ ! -e "$file" ] || now=$(stat -c 'it has %s bytes of %U, written at %.19y' "$file")
  echo "$file was changed since the plan was made: $now; look at it, then make a new plan"
  exit 75
fi
[ ! -e "$file" ] || chown --reference="$file" "$new" || exit 1
chmod "$mode" "$new" && sync "$new" && mv -fT "$new" "$file" ||
  fail "$file could not be written, and is as it was"
if [ -e /sys/fs/selinux/enforce ]; then restorecon "$file"; fi
