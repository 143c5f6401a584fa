# Unload kernel modules that nobody uses.
# Usage: unload.sh MODULE...
for module; do
  if said=$(modprobe -r "$module" 2>&1); then echo "$module is unloaded"
  else echo "$module stays loaded, until the next boot: $said"; fi
done
exit 0
