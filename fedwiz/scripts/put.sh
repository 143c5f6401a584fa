# Write a file from standard input: all or nothing, and only if it is as the plan saw it.
# Usage: put.sh MODE FILE SEEN WHOLE
#   SEEN: the first digits of the SHA-256 of the file that the plan saw; absent; or any
#   WHOLE: the first digits of the SHA-256 of standard input; or line: it is one complete line
# A file that somebody has changed since is left alone: exit status 75.
set -u
mode=$1 file=$2 seen=$3 whole=$4
umask 022
mkdir -p "${file%/*}" && file=$(readlink -f "$file") || exit 1 # a symlink stays one
new=${file%/*}/.${file##*/}.fedwiz # beside it, for the rename; nobody reads it
umask 077
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT PIPE TERM
rm -f "$new" # left by a killed run

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
  case $(head -c 65536 "$file" | sha256sum) in "$seen"*) return ;; esac # all that is read of one
  return 1
}
if ! cmp -s "$new" "$file" && ! as_seen; then # a retry finds it done
  now="it is gone"
  [ ! -e "$file" ] || now=$(stat -c 'it has %s bytes of %U, written at %.19y' "$file")
  echo "$file was changed since the plan was made: $now; look at it, then make a new plan"
  exit 75
fi
[ ! -e "$file" ] || chown --reference="$file" "$new" || exit 1
chmod "$mode" "$new" && sync "$new" && mv -fT "$new" "$file" ||
  fail "$file could not be written, and is as it was"
if [ -e /sys/fs/selinux/enforce ]; then restorecon "$file"; fi
