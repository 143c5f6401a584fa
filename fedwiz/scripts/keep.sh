# Back up what an install is about to change: once, all or nothing, for undo.
# Usage: keep.sh ZONE   (firewalld's, or -; standard input: what etcd holds)
set -u
files="
  /etc/sysconfig/flanneld /etc/sysconfig/fedwiz-etcd /usr/local/bin/flanneld
  /usr/local/bin/flanneld.new /usr/libexec/flannel/fedwiz-docker-opts
  /etc/systemd/system/flanneld.service /etc/systemd/system/flanneld.service.d/60-fedwiz.conf
  /etc/systemd/system/docker.service.d/60-fedwiz.conf /etc/docker/daemon.json
  /etc/systemd/system/fedwiz-forward.service /etc/modules-load.d/fedwiz.conf
  /etc/sysctl.d/90-fedwiz.conf /etc/systemd/network/50-flannel.link
  /etc/NetworkManager/conf.d/90-fedwiz.conf /run/flannel/subnet.env /run/flannel/docker
  /etc/sysconfig/flanneld.rpmsave /etc/sysconfig/flanneld.rpmnew
  /usr/lib/systemd/system/docker.service.d/flannel.conf
"
units="
  flanneld.service docker.service docker.socket etcd.service kubelet.service kube-proxy.service
  kube-apiserver.service kube-controller-manager.service kube-scheduler.service
  firewalld.service NetworkManager.service fedwiz-forward.service chronyd.service
"
sysctls="net.ipv4.ip_forward net.ipv4.conf.all.rp_filter net.bridge.bridge-nf-call-iptables"
modules="br_netfilter vxlan ipip wireguard tun"
umask 077
before=/var/lib/fedwiz/before zone=$1
[ ! -e $before ] || { echo "$before is there already, and stays as it is"; exit; }
mkdir -p -m 0700 /var/lib/fedwiz && new=$(mktemp -d $before.XXXXXX) && mkdir "$new/files" || exit 1
trap 'rm -rf "$new"' EXIT
cd "$new" || exit 1
fail() { echo "$*"; exit 1; }

: >asked && : >absent && : >modules || fail "/var/lib has no room"
for path in $files; do
  echo "$path" >>asked
  if [ -e "$path" ] || [ -L "$path" ]; then
    mkdir -p "files${path%/*}" && cp -a -- "$path" "files$path" || fail "$path could not be kept"
  fi
  while [ "$path" != / ] && [ ! -e "$path" ]; do # also the directories that an install makes for it
    grep -qxF -e "$path" absent || echo "$path" >>absent
    path=${path%/*}; path=${path:-/}
  done
done
systemctl show --property=Id,LoadState,ActiveState,UnitFileState,MainPID -- $units >units
sysctl -e $sysctls >sysctls
for module in $modules; do
  if [ -e "/sys/module/$module" ]; then echo "$module 1"; fi >>modules
done
# A built-in module has no directory of its own.
[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo "br_netfilter 1" >>modules
cat /proc/sys/kernel/hostname /etc/machine-id /proc/sys/kernel/random/boot_id >names
{ uname -r; uname -m; date +%s.%N; } >>names
ip -json -details address show >links
ip -json -4 route show table main >routes
ip address show >addresses; ip route show table all >ways # the same, for people
ip -4 -o address show dev docker0 2>/dev/null | sed -n 's/.* inet \([^ ]*\) .*/\1/p' >docker0
rpm -q --qf '%{name} %{version}-%{release}\n' flannel | grep -v ' is not ' >packages
for table in filter nat raw mangle; do
  echo "*$table"; timeout 20 iptables -w 5 -t $table -S 2>/dev/null && echo '#read'
done >rules
: >firewall
if [ "$zone" != - ] && systemctl -q is-active firewalld; then
  echo "zone $zone"
  for when in now later; do
    later=; [ $when = now ] || later=--permanent
    echo "$when ports $(firewall-cmd $later --zone="$zone" --list-ports)"
    echo "$when protocols $(firewall-cmd $later --zone="$zone" --list-protocols)"
    echo "$when sources $(firewall-cmd $later --zone=trusted --list-sources)"
  done
fi >>firewall
cat >etcd || fail "/var/lib has no room"
sync -f . 2>/dev/null
mv -T "$new" $before || fail "$before could not be made"
echo "kept in $before"
