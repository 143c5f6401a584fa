#!/bin/sh
# Written by fedwiz: makes docker's options of the subnet that flanneld leased.
set -eu
value() { sed -n "s/^$1=\([0-9a-z./]*\)\$/\1/p" /run/flannel/subnet.env | head -n 1; }
subnet=$(value FLANNEL_SUBNET)
mtu=$(value FLANNEL_MTU)
[ -n "$subnet" ] && [ -n "$mtu" ]
# Whoever of the two masquerades, the other must not.
masq=true; [ "$(value FLANNEL_IPMASQ)" != true ] || masq=false
umask 022
printf 'DOCKER_NETWORK_OPTIONS=" --bip=%s --ip-masq=%s --mtu=%s"\n' "$subnet" $masq "$mtu" >/run/flannel/docker
