#!/bin/sh
# Turns flannel's subnet.env into options for the docker daemon.
usage() {
    cat >&2 <<EOF
$0 [-f FLANNEL-ENV-FILE] [-d DOCKER-ENV-FILE] [-i] [-c] [-m] [-k COMBINED-KEY]

Generate Docker daemon options based on flannel env file
OPTIONS:
    -f  Path to flannel env file. Defaults to /run/flannel/subnet.env
    -d  Path to Docker env file to write to. Defaults to /run/docker_opts.env
    -i  Output each Docker option as individual var. e.g. DOCKER_OPT_MTU=1500
    -c  Output combined Docker options into DOCKER_OPTS var
    -k  Set the combined options key to this value (default DOCKER_OPTS=)
    -m  Do not output --ip-masq (useful for older Docker version)
EOF
    exit 1
}

from=/run/flannel/subnet.env
to=/run/docker_opts.env
key=DOCKER_OPTS
single= combined= masq=yes
while getopts f:d:icmk: option; do
    case $option in
    f) from=$OPTARG ;;
    d) to=$OPTARG ;;
    i) single=yes ;;
    c) combined=yes ;;
    m) masq= ;;
    k) key=$OPTARG ;;
    *) usage ;;
    esac
done
if [ -z "$single$combined" ]; then
    single=yes combined=yes
fi

# With no file there are no options, and still no failure: that is how flannel's own behaves.
[ -f "$from" ] && . "$from"

bip= opposite= mtu=
[ -n "$FLANNEL_SUBNET" ] && bip=--bip=$FLANNEL_SUBNET
[ -n "$FLANNEL_MTU" ] && mtu=--mtu=$FLANNEL_MTU
if [ -n "$masq" ]; then
    case $FLANNEL_IPMASQ in
    true) opposite=--ip-masq=false ;;
    false) opposite=--ip-masq=true ;;
    esac
fi

mkdir -p "$(dirname "$to")"
{
    if [ -n "$single" ]; then
        [ -n "$bip" ] && echo "DOCKER_OPT_BIP=\"$bip\""
        [ -n "$opposite" ] && echo "DOCKER_OPT_IPMASQ=\"$opposite\""
        [ -n "$mtu" ] && echo "DOCKER_OPT_MTU=\"$mtu\""
    fi
    if [ -n "$combined" ]; then
        eval "all=\$$key"
        for each in $bip $opposite $mtu; do
            all="$all $each"
        done
        echo "$key=\"$all\""
    fi
} >"$to"
