"""What log lines of flanneld, docker, dnf, ssh and systemd mean."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fedwiz.util.sanitize import MAX_LINE_CHARS

OPEN = "on etcd's host: firewall-cmd --add-port=2379/tcp, and once more with --permanent"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something failed."""

    name: str
    """Stable, kebab-case."""

    sentence: str
    """What is wrong, as a clause."""

    remedy: str
    """One thing to do about it."""


def _row(pattern: str, name: str, sentence: str, remedy: str) -> tuple[re.Pattern[str], Cause]:
    return re.compile(pattern, re.IGNORECASE), Cause(name, sentence, remedy)


LOG_CAUSES: tuple[tuple[re.Pattern[str], Cause], ...] = (
    # The machine itself: these make everything after them fail, so they come first.
    _row(
        r"no space left on device|not enough space available on /",
        "disk-full",
        "a file system on the host is full",
        "make room, e.g. `dnf clean all`, and see `df -h`",
    ),
    _row(
        # systemd 252 logs this where the unit's file does not fit into /run.
        r"failed to start transient service unit: unit \S+ not found",
        "run-full",
        "systemd could not keep the unit: as a rule a file system on the host is full",
        "make room in /run, and see `df -h`",
    ),
    _row(
        r"read-only file system",
        "read-only",
        "a file system on the host is read-only",
        "see `mount` and `dmesg`; on an ostree system layer packages with rpm-ostree",
    ),
    _row(
        r"\d+\s?[kmg]?b more space (?:needed|on)\b",
        "no-room",  # rpm's message is the same for both
        "a file system on the host is full, or read-only",
        "make room, e.g. `dnf clean all`, and see `df -h` and `mount`",
    ),
    _row(
        r"a (?:terminal|password) is required|incorrect password attempt|is not in the sudoers|"
        r"sudo: \d+ incorrect",
        "sudo",
        "sudo did not let the user become root",
        "set ssh.sudo, and see FEDWIZ_SUDO_PASSWORD and the host's sudoers",
    ),
    # ssh
    _row(
        r"host key verification failed|remote host identification has changed",
        "host-key",
        "the host's key is unknown or has changed",
        "compare its fingerprint with the host's own, then put it into known_hosts",
    ),
    _row(
        r"permission denied \((?:publickey|password|keyboard)",
        "ssh-auth",
        "the host refuses the key or the password",
        "see ssh.user and ssh.identity, and `ssh-add -l`",
    ),
    _row(
        r"ssh: connect to host|connection (?:reset|closed) by \S+ port \d+|send disconnect",
        "ssh-lost",
        "the connection to the host was cut or refused",
        "see that sshd runs there; running the install again continues where it stopped",
    ),
    # dnf
    _row(
        r"could not resolve host(?!.*etcd)|temporary failure in name resolution",
        "no-dns",
        "the host can't resolve a name that it needs",
        "see /etc/resolv.conf there, or put the name into /etc/hosts",
    ),
    # dnf 5 tries all mirrors for a package whose checksum does not match.
    _row(
        r"gpg check failed|public key for .* is not installed|no digest|"
        r"(?:pgp|signature) .*(?:failed|not ok|bad)|checksum (?:doesn't|does not) match|"
        r"computed checksum did not match|incorrect checksum|sha256sum: .*did not match",
        "checksum",
        "a package or a file is not what it should be: signature or checksum differ",
        "see the repository's keys (`dnf repolist -v`), or flannel.sha256 against the file",
    ),
    # If a repository can't be read, dnf also reports that it finds no flannel.
    _row(
        r"cannot (?:prepare|download) .*(?:repo|repomd)|failed to download metadata|"
        r"all mirrors (?:were|have been) (?:already )?tried|no urls in mirrorlist|"
        r"curl error \(\d+\)",
        "mirror",
        "the host can't read its package repositories, or one of them",
        "see the host's way out and its proxy (`dnf repolist -v`), or install from a file",
    ),
    _row(
        r"unable to find a match: flannel|no match for argument: flannel|"
        r"no package flannel available",
        "no-package",
        "no repository of the host has a flannel package",
        'set flannel.source to "rpm" or "binary", and flannel.path to a file that you have',
    ),
    _row(
        r"malformed lock file",
        "dnf-lock-file",
        "a lock file of dnf's is damaged: an earlier dnf was cut short",
        "see that no dnf runs there, then rm -f /var/cache/dnf/*.pid /var/lib/dnf/*.pid",
    ),
    _row(
        r"dnf ended with status 137|dnf\b.* killed\b",
        "dnf-killed",
        "dnf was killed, by hand or for lack of memory",
        "see `dmesg` there, and run the install again",
    ),
    # If dnf waited for another one, what happened afterwards is the cause.
    _row(
        r"waiting for process (?:with pid )?\d|waiting for a lock on the system repo|"
        r"failed to obtain (?:the )?(?:rpm )?.*lock|another app is "
        r"currently holding|can't create (?:transaction|.*\.rpm) lock|\.rpm\.lock",
        "dnf-lock",
        "another dnf or rpm is at work on the host",
        "let it end, see `ps -C dnf,dnf5,packagekitd`, and run the install again",
    ),
    # docker
    _row(
        r"unable to configure the docker daemon with file",
        "daemon-json",
        "docker refuses /etc/docker/daemon.json: no JSON, or it repeats a flag",
        "remove bip, bridge, mtu and ip-masq from it, and see `dockerd --validate`",
    ),
    _row(
        r"-b & --bip mutually exclusive|bridge ip .*does not match|"
        r"bip.*bridge.*mutually exclusive|flag provided more than once|specified both as a flag",
        "docker-options",
        "docker was told its bridge or its address twice",
        "remove --bip, --bridge and --mtu from /etc/sysconfig/docker* and daemon.json",
    ),
    _row(
        r"networks? have overlapping|overlaps with (?:other one|existing)|"
        r"pool overlaps|no available network|could not find an available, non-overlapping",
        "docker-overlap",
        "docker's new subnet overlaps one of docker's other networks",
        "docker network ls, then remove or renumber that network, or choose another network.cidr",
    ),
    _row(
        r"iptables(?:\.service)?[\"']?: executable file not found|failed to find iptables|"
        r"iptables binary was not found|(?<!-)iptables: (?:no such file|command not found)|"
        r"can't initialize iptables table|exec: \"iptables\"",
        "iptables",
        "there is no iptables that works on the host",
        "dnf -y install iptables-nft && alternatives --auto iptables",
    ),
    _row(
        r"routing table already contains the subnet",
        "old-route",
        "an earlier flannel's route to the node's own subnet is still there",
        "ip route del the `via` route that `ip route` shows for FLANNEL_SUBNET, then try again",
    ),
    # the kernel
    _row(
        r"udp: bad checksum\. from ",
        "vxlan-checksum",
        "the checksums that the network card writes into flannel's packets are wrong: pings work, "
        "and TCP and DNS time out",
        "ethtool -K flannel.1 tx-checksum-ip-generic off on every node, and a udev rule that "
        "does it at each boot",
    ),
    # flanneld: its configuration
    _row(
        r"flag provided but not defined",
        "flag",
        "this flanneld does not know one of its flags, and ended at once",
        "see `flanneld --help` and flannel.options",
    ),
    _row(
        r"did you create your config using etcdv3 api|etcdserver: key not found|"
        r"config not found in etcd store",
        "other-api",
        "flannel reads etcd's v3 API, and the configuration is not there",
        "write it through v3 (ETCDCTL_API=3 etcdctl put), under the prefix that flanneld has",
    ),
    _row(
        r"100: key not found \(.*/subnets",
        "lease-gone",
        "flannel lost its lease while it asked for it; its next start works",
        "systemctl restart flanneld",
    ),
    _row(
        r"100: key not found",
        "no-config",
        "flannel reads etcd's v2 API, and the configuration is not there",
        "write it through v2 (ETCDCTL_API=2 etcdctl set), under the prefix that flanneld has",
    ),
    _row(
        r"104: not a directory",
        "prefix",
        "flanneld's prefix is not a folder in etcd: it may end in /config",
        "set etcd.prefix to the key without /config",
    ),
    _row(
        r"response is invalid json",
        "v2-off",
        "etcd does not serve the v2 API that this flannel reads",
        "put ETCD_ENABLE_V2=true into /etc/etcd/etcd.conf, or use flannel 0.21.3 or later",
    ),
    _row(
        r"no cert file found",
        "needs-cert",
        "this flannel can't use etcd without a client certificate",
        "use another flannel: 0.21.3 or later, or one before 0.18",
    ),
    _row(
        r"x509: |certificate signed by unknown authority|certificate verify failed|bad certificate|"
        r"unable to get local issuer|tls: ",
        "certificate",
        "etcd's certificate and the one that flannel trusts or shows do not go together",
        "set etcd.ca_file, etcd.cert_file and etcd.key_file, and see that they are on the host",
    ),
    _row(
        r"etcdserver: (?:authentication failed|user name is empty|permission denied|"
        r"invalid auth token)|110: the request requires user authentication|"
        r"insufficient credentials",
        "credentials",
        "etcd refuses the user or the password",
        "set etcd.user, and give its password in FEDWIZ_ETCD_PASSWORD",
    ),
    _row(
        r"connection refused",
        "refused",
        "nothing listens at etcd's endpoint, or on its host's loopback only",
        "see `ss -ltn sport = :2379` on the master, and ETCD_LISTEN_CLIENT_URLS",
    ),
    _row(
        r"no route to host",
        "no-route",
        "a firewall refuses the way to etcd, or there is none",
        OPEN,
    ),
    _row(
        r"i/o timeout|context deadline exceeded|connection timed out|etcd.* timed out",
        "timeout",
        "etcd does not answer in time: something on the way drops the packets",
        OPEN,
    ),
    _row(
        r"unable to find default route|failed to get default interface",
        "no-default-route",
        "the host has no default route, so flannel finds no interface",
        "set `interface` of the host",
    ),
    _row(
        r"could not find valid interface|failed to find (?:any valid )?interface|"
        r"error looking up interface",
        "no-interface",
        "the host has no interface as flannel was told, or it has no address",
        "set `interface` of the host; `ip -4 address` there shows them",
    ),
    _row(
        r"probably you're on a nat|your publicip differs from interface ip",
        "nat",
        "host-gw does not work where the published address is not the interface's own",
        "set backend.type to vxlan, or `interface` of the host",
    ),
    _row(
        r"unknown backend type",
        "backend-type",
        "this flannel does not know the backend in its configuration",
        "set backend.type to vxlan, or use a newer flannel",
    ),
    _row(
        r"out of subnets",
        "no-subnets",
        "all subnets of the network are leased",
        "delete the leases of hosts that are gone, or take a larger network",
    ),
    _row(
        r"subnet already exists",
        "race",
        "two nodes chose one subnet at the same moment; its next start works",
        "systemctl restart flanneld",
    ),
    _row(
        r"must be less than /31|must accommodate at least four subnets|too small.*minimum|"
        r"not on a subnetlen boundary|subnet(?:min|max) is not in the range|"
        r"hostsubnet is larger network|define a correct network",
        "network-shape",
        "flannel refuses the network's shape: length, first or last subnet",
        "see network.subnet_len, network.subnet_min and network.subnet_max, and write it again",
    ),
    _row(
        r"invalid cidr address",
        "cidr",
        "the network in etcd is not a network",
        "write the configuration again: network.cidr is like 10.16.0.0/16",
    ),
    _row(
        r"cannot unmarshal|invalid character|unexpected end of json input|"
        r"couldn't fetch network config|failed to (?:retrieve|read) network config",
        "config-json",
        "flannel can't read its configuration in etcd: no JSON, or a number in quotes",
        "write the configuration again; nobody else may write that key",
    ),
    _row(
        r"failed to check br_netfilter|bridge-nf-call-iptables: no such file",
        "br-netfilter",
        "the kernel module br_netfilter is not loaded",
        "modprobe br_netfilter, and put it into /etc/modules-load.d/",
    ),
    _row(
        r"operation not supported|failed to create vxlan|unknown device type|module .* not found|"
        r"/dev/net/tun",
        "kernel",
        "the kernel has not what the backend needs",
        "dnf -y install kernel-modules-$(uname -r), or set backend.type to another one",
    ),
    _row(
        r"error adding route.*(?:invalid argument|network is unreachable)|network is unreachable",
        "unreachable-peer",
        "a peer is not on this host's link, so no route can lead to it",
        "set backend.type to vxlan, or put every node on one network",
    ),
    _row(
        r"lease has been revoked|lease expired",
        "revoked",
        "the node's lease was deleted or ran out, and flanneld ended",
        "systemctl restart flanneld, and see that the hosts' clocks agree",
    ),
    _row(
        r"close of closed channel|index out of range",
        "stop-panic",
        "this flannel panics when it is stopped or its lease goes; a normal stop looks failed",
        "systemctl reset-failed flanneld",
    ),
    # systemd
    _row(
        r"flanneld\.service: start operation timed out|start operation timed out\. terminating|"
        r"job for flanneld\.service failed because a timeout",
        "start-timeout",
        "flanneld did not get ready in time: it waits for etcd or for its configuration",
        "see `journalctl -u flanneld` there, and `fedwiz check` for etcd",
    ),
    _row(
        r"dependency failed for .*(?:docker|container engine)",
        "docker-dependency",
        "docker did not start because flanneld did not",
        "see `journalctl -u flanneld` there",
    ),
    _row(
        r"unit flanneld\.service (?:not found|could not be found)|"
        r"unit file flanneld\.service does not exist",
        "no-unit",
        "there is no flanneld.service: the package brought none, or is not there",
        "see `rpm -ql flanneld flannel`, or set flannel.source to another one",
    ),
    _row(
        r"avc:\s+denied",
        "selinux",
        "SELinux denied something",
        "restorecon the file, and see `ausearch -m avc -ts recent`",
    ),
    _row(
        r"failed to start daemon|error starting daemon",
        "docker-start",
        "docker did not start",
        "see `journalctl -u docker` there",
    ),
)
"""Ordered: a row further up is the cause of one further down."""


def cause_of(lines: Iterable[str]) -> Cause | None:
    """The first cause, in the order of `LOG_CAUSES`, that any line matches; None: unknown."""
    texts = [line[:MAX_LINE_CHARS] for line in lines]
    return next(
        (cause for pattern, cause in LOG_CAUSES if any(pattern.search(line) for line in texts)),
        None,
    )
