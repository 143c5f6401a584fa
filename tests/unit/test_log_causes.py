"""Log lines in, causes out."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwiz.model.log_causes import LOG_CAUSES, cause_of

LINES = {
    # flanneld, as its versions print them
    "flag provided but not defined: -iptables-resync": "flag",
    "E0722 main.go:349] Couldn't fetch network config: 100: Key not found "
    "(/coreos.com) [7]": "no-config",
    "failed to acquire lease: 100: Key not found "
    "(/coreos.com/network/subnets/10.16.5.0-24) [9]": "lease-gone",
    "flannel config not found in etcd store. Did you create your config "
    "using etcdv3 API?": "other-api",
    "Couldn't fetch network config: etcdserver: key not found": "other-api",
    "client: response is invalid json. The endpoint is probably not valid etcd "
    "cluster endpoint.": "v2-off",
    "Couldn't fetch network config: client: etcd cluster is unavailable or misconfigured; error "
    "#0: dial tcp 10.77.0.10:2379: getsockopt: connection refused": "refused",
    "error #0: dial tcp 10.77.0.10:2379: connect: no route to host": "no-route",
    "error #0: dial tcp 10.77.0.10:2379: i/o timeout": "timeout",
    "context deadline exceeded": "timeout",
    "x509: certificate signed by unknown authority": "certificate",
    "error #0: remote error: tls: bad certificate": "certificate",
    "etcdserver: user name is empty": "credentials",
    "Couldn't fetch network config: 104: Not a directory "
    "(/coreos.com/network/config) [7]": "prefix",
    "failed to get default interface: Unable to find default route": "no-default-route",
    "Could not find valid interface matching eth7": "no-interface",
    "unknown backend type: vxlam": "backend-type",
    "Error registering network: failed to acquire lease: out of subnets": "no-subnets",
    "failed to acquire lease: subnet already exists": "race",
    "Couldn't fetch network config: invalid CIDR address: 10.16": "cidr",
    "json: cannot unmarshal string into Go struct field Config.SubnetLen "
    "of type uint": "config-json",
    "invalid character '\\'' looking for beginning of value": "config-json",
    "unexpected end of JSON input": "config-json",
    "Couldn't fetch network config: SubnetLen must be less than /31": "network-shape",
    "HostSubnet is larger network than Network": "network-shape",
    "SubnetMin is not on a SubnetLen boundary: 10.60.85.5": "network-shape",
    "please define a correct Network parameter": "network-shape",
    "Error registering network: operation not supported": "kernel",
    "Failed to check br_netfilter: stat /proc/sys/net/bridge/bridge-nf-call-iptables: no such "
    "file or directory": "br-netfilter",
    "Lease has been revoked. Shutting down daemon.": "revoked",
    "panic: close of closed channel": "stop-panic",
    "can't connect to etcd: no cert file found": "needs-cert",
    "your PublicIP differs from interface IP, meaning that probably you're on a NAT": "nat",
    "Error adding route to 10.16.5.0/24 via 10.1.1.1: network is unreachable": "unreachable-peer",
    # docker
    "conflicting options: -b & --bip mutually exclusive": "docker-options",
    "bridge ip (172.17.0.1) does not match existing bridge "
    "configuration 10.1.5.1": "docker-options",
    "unable to configure the Docker daemon with file /etc/docker/daemon.json: the following "
    "directives are specified both as a flag and in the configuration file: bip": "daemon-json",
    "failed to start daemon: Error initializing network controller: networks have overlapping "
    "IPv4": "docker-overlap",
    "failed to start daemon: Error initializing network controller: list bridge "
    "addresses failed": "docker-start",
    'failed to find iptables: exec: "iptables": executable file not found in $PATH': "iptables",
    "ERROR: Your routing table already contains the subnet": "old-route",
    "UDP: bad checksum. From 192.168.122.36:35531 to 192.168.122.77:8472 ulen 82": "vxlan-checksum",
    # dnf
    "Error: Unable to find a match: flannel": "no-package",
    "No match for argument: flannel": "no-package",
    "Waiting for process with pid 4711 to finish.": "dnf-lock",
    "waiting for process 4711, which works with packages: /usr/bin/dnf -y upgrade": "dnf-lock",
    "Waiting for a lock on the system repository. The following processes are ...": "dnf-lock",
    "Curl error (6): Couldn't resolve host name: Could not resolve host: mirrors.example": "no-dns",
    "Cannot download repomd.xml: Cannot download repodata/repomd.xml: All "
    "mirrors were tried": "mirror",
    "[Errno 2] malformed lock file found: /var/lib/dnf/rpmdb_lock.pid.": "dnf-lock-file",
    "dnf ended with status 137; see what it said there": "dnf-killed",
    "Error: GPG check FAILED": "checksum",
    "Public key for flannel-0.9.0-7.rpm is not installed": "checksum",
    "sha256sum: WARNING: 1 computed checksum did NOT match": "checksum",
    "At least 12MB more space needed on the / filesystem.": "no-room",
    "- installing package flannel-0.9.0 needs 4KB more space on the / filesystem": "no-room",
    "Error: Some packages from local repository have incorrect checksum": "checksum",
    "Refusing to reload, not enough space available on /run/systemd.": "disk-full",
    "install: error writing '/etc/x': No space left on device": "disk-full",
    "Failed to start transient service unit: Unit fedwiz-package-20261123-164603-88c6.service "
    "not found.": "run-full",
    "install: cannot create regular file '/usr/x': Read-only file system": "read-only",
    # systemd, sudo, ssh
    "flanneld.service: start operation timed out. Terminating.": "start-timeout",
    "Dependency failed for docker.service - Docker Application "
    "Container Engine.": "docker-dependency",
    "Failed to start flanneld.service: Unit flanneld.service not found.": "no-unit",
    "sudo: a password is required": "sudo",
    "avc:  denied  { execute } for  pid=1 comm=flanneld": "selinux",
    "Host key verification failed.": "host-key",
    "root@192.168.122.77: Permission denied (publickey,password).": "ssh-auth",
    "Connection reset by 192.168.122.77 port 22": "ssh-lost",
    "ssh: connect to host fed-node1 port 22: Connection refused": "ssh-lost",
}


@pytest.mark.parametrize(("line", "name"), LINES.items(), ids=range(len(LINES)))
def test_cause_of_a_line(line: str, name: str) -> None:
    cause = cause_of([line])
    assert cause is not None
    assert cause.name == name


def test_every_cause_has_a_line_that_shows_it() -> None:
    assert {cause.name for _, cause in LOG_CAUSES} == set(LINES.values())


FINE = """\
CLI flags config: {etcdEndpoints:http://fed-master:2379 etcdPrefix:/coreos.com/network}
Created subnet manager: Etcd Local Manager with Previous Subnet: 10.16.29.0/24
Installing signal handlers
Found network config - Backend type: vxlan
Determining IP address of default interface
Using interface with name eth0 and address 192.168.122.77
Defaulting external address to interface address (192.168.122.77)
VXLAN config: VNI=1 Port=0 GBP=false Learning=false DirectRouting=false
Found lease (10.16.29.0/24) for current IP (192.168.122.77), reusing
Setting up masking rules
Changing default FORWARD chain policy to ACCEPT
Wrote subnet file to /run/flannel/subnet.env
Running backend.
Waiting for 22h59m59.9s to renew lease
Watching for new subnet leases
Started flanneld.service - Flanneld overlay address etcd agent.
API listen on /run/docker.sock
Docker daemon commit=297e128 graphdriver=overlay2 version=20.10.24
Daemon has completed initialization
Last metadata expiration check: 0:12:07 ago on Mon 01 Jan 2024 10:00:00 AM UTC.
Dependencies resolved.
Installed: flannel-0.9.0-7.fc32.x86_64
Complete!
starting flanneld
FLANNEL_SUBNET=10.16.29.1/24
""".splitlines()


@pytest.mark.parametrize("line", FINE)
def test_a_line_of_a_run_that_goes_well_has_no_cause(line: str) -> None:
    assert cause_of([line]) is None


def test_the_reason_counts_and_not_what_follows_from_it() -> None:
    log = [
        "Running Docker",
        "Dependency failed for docker.service - Docker Application Container Engine.",
        "flanneld.service: start operation timed out. Terminating.",
        "Couldn't fetch network config: 100: Key not found (/coreos.com) [7]",
    ]
    cause = cause_of(log)
    assert cause is not None
    assert cause.name == "no-config"
    assert cause_of(reversed(log)) == cause


@pytest.mark.parametrize("cause", [cause for _, cause in LOG_CAUSES], ids=lambda cause: cause.name)
def test_a_cause_is_a_sentence_and_something_to_do(cause: object) -> None:
    name, sentence, remedy = (getattr(cause, key) for key in ("name", "sentence", "remedy"))
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert sentence
    assert remedy
    assert not sentence.endswith(".")
    assert not remedy.endswith(".")


def test_once_the_other_dnf_has_ended_it_is_not_the_reason() -> None:
    log = ["waiting for process 4711, which works with packages: dnf", "Error: GPG check FAILED"]
    cause = cause_of(log)
    assert cause is not None
    assert cause.name == "checksum"


LATER = {
    "checksum": (
        "Librepo error: Cannot download flannel.rpm: All mirrors were tried",
        "Downloading successful, but checksum doesn't match.",
    ),
    "mirror": (
        "Curl error (7): Couldn't connect to server for http://192.0.2.1/repodata/repomd.xml",
        "No match for argument: flannel",
    ),
}


@pytest.mark.parametrize(("name", "log"), LATER.items(), ids=LATER)
def test_what_dnf_says_besides_is_not_the_reason(name: str, log: tuple[str, ...]) -> None:
    cause = cause_of(log)
    assert cause is not None
    assert cause.name == name


def test_names_differ() -> None:
    names = [cause.name for _, cause in LOG_CAUSES]
    assert len(set(names)) == len(names)


@given(st.lists(st.text()))
def test_any_text_is_answered(lines: list[str]) -> None:
    cause = cause_of(lines)
    assert cause is None or cause in [cause for _, cause in LOG_CAUSES]


def test_a_hostile_line_takes_no_time() -> None:
    assert cause_of(["iptables " * 20_000, "bridge ip " * 20_000, "bip bridge " * 20_000]) is None
