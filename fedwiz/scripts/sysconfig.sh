# Set variables in an environment file; every other line and comment stays.
# Usage: sysconfig.sh FILE NAME VALUE [NAME VALUE]...   (no quotes, $ or newlines in a VALUE)
set -eu
file=$1; shift
[ -e "$file" ] || install -D -m 0644 /dev/null "$file"
while [ $# -gt 1 ]; do
  if grep -q "^[[:space:]]*$1=" "$file"; then
    value=$(printf '%s' "$2" | sed 's/[\\|&]/\\&/g')
    sed -i "s|^[[:space:]]*$1=.*|$1=\"$value\"|" "$file"
  else
    # A last line without its newline would swallow what is appended.
    [ -z "$(tail -c 1 "$file")" ] || echo >>"$file"
    printf '%s="%s"\n' "$1" "$2" >>"$file"
  fi
  shift 2
done
