# Set variables in an environment file; every other line and comment stays.
# Usage: sysconfig.sh FILE SEEN NAME VALUE [NAME VALUE]...   (no quotes, $ or newlines in a VALUE)
#   SEEN: the first digits of the SHA-256 of the file that the plan saw; absent; or any
# A file that somebody has changed since is left alone: exit status 75.
set -eu
file=$1 seen=$2; shift 2
mkdir -p "${file%/*}"
file=$(readlink -f "$file") # a symlink stays one
new=${file%/*}/.${file##*/}.fedwiz # beside it, for the rename; nobody reads it
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT PIPE TERM
now=absent
if [ -e "$file" ]; then
  now=$(head -c 65536 "$file" | sha256sum) # all that is read of one
  cp -a "$file" "$new"
else install -m 0644 /dev/null "$new"; fi
while [ $# -gt 1 ]; do
  if LC_ALL=C grep -qa "^[[:blank:]]*$1=" "$new"; then # -a: a NUL must not begin a line
    value=$(printf '%s' "$2" | sed 's/[\\|&]/\\&/g')
    LC_ALL=C sed -i "s|^[[:blank:]]*$1=.*|$1=\"$value\"|" "$new"
  else
    # A last line without a newline would swallow what is appended.
    [ -z "$(tail -c 1 "$new")" ] || echo >>"$new"
    printf '%s="%s"\n' "$1" "$2" >>"$new"
  fi
  shift 2
done
cmp -s "$new" "$file" && exit # a retry finds it done
case $seen in any) ;; *) case $now in "$seen"*) ;; *)
  now="it is gone"
  [ ! -e "$file" ] || now=$(stat -c 'it has %s bytes of %U, written at %.19y' "$file")
  echo "$file was changed since the plan was made: $now; look at it, then make a new plan"
  exit 75 ;;
esac ;; esac
sync "$new"
mv -fT "$new" "$file"
if [ -e /sys/fs/selinux/enforce ]; then restorecon "$file"; fi
