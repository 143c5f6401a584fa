"""Facts in, findings out."""

import json
from dataclasses import dataclass, replace

import pytest

from fedwiz.checks import CHECKS, Finding, judge
from fedwiz.facts.values import (
    ClusterFacts,
    Endpoint,
    Facts,
    File,
    Firewall,
    KubeNode,
    Link,
    Route,
    Tried,
    Unit,
)
from fedwiz.model.actions import Value
from tests.support.sample_cluster import (
    ADDRESSES,
    ANSWERS,
    BARE,
    DOCKER_UNIT,
    DONE,
    FILTER,
    MASTER,
    NODE,
    NODES,
    RUNS,
    STOPPED,
    URL,
    answered,
    lease,
    on,
    stored,
)

NAMES = [check.name for check in CHECKS]
EMPTY = ClusterFacts({name: Facts() for name in ADDRESSES})
NOWHERE = ClusterFacts({}, lost=dict.fromkeys(ADDRESSES, "Connection timed out"))


@dataclass(frozen=True)
class Row:
    """One case: what is known, and the finding that must be there."""

    check: str
    known: ClusterFacts
    level: str
    seen: str
    """Part of the sentence."""

    host: str = ""
    remedy: str = ""
    """Part of the remedy."""

    sets: tuple[str, ...] = ()


def _of(check: str, known: ClusterFacts, *sets: str) -> list[Finding]:
    said = judge(answered(*sets) if sets else ANSWERS, known)
    return [finding for finding in said if finding.check == check]


def _said(findings: list[Finding]) -> str:
    return "\n".join(map(str, findings))


def test_names_are_stable_words_and_differ() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(name == name.lower() and name.replace("-", "").isalpha() for name in NAMES)
    assert all(check.title.endswith("?") and check.judge.__doc__ for check in CHECKS)


@pytest.mark.parametrize("known", [BARE, DONE], ids=["bare", "done"])
@pytest.mark.parametrize("name", NAMES)
def test_all_is_well_and_every_check_says_so(name: str, known: ClusterFacts) -> None:
    said = _of(name, known)
    assert said
    assert {finding.level for finding in said} == {"ok"}, _said(said)


SILENT = {"reachable", "network-public", "network-capacity", "same-link", "labels", "selinux"}
"""Checks that need no facts of the hosts, or for which nothing is an answer."""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SILENT])
def test_nothing_that_could_not_be_read_passes(name: str) -> None:
    said = _of(name, EMPTY)
    assert said
    assert "ok" not in {finding.level for finding in said}, _said(said)


NO_HOST = {"reachable", "network-public", "network-capacity"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NO_HOST])
def test_without_a_host_nothing_is_judged(name: str) -> None:
    (said,) = _of(name, NOWHERE)
    assert said.level == "warn"
    assert "not judged" in said.seen


def test_of_a_lost_host_only_its_loss_is_said() -> None:
    rest = {name: facts for name, facts in BARE.hosts.items() if name != "fed-node2"}
    said = judge(ANSWERS, replace(BARE, hosts=rest, lost={"fed-node2": "no route"}))
    (lost,) = [finding for finding in said if finding.host == "fed-node2"]
    assert (lost.check, lost.level) == ("reachable", "block")
    assert {finding.level for finding in said if finding.check != "reachable"} == {"ok"}


def _links(*links: Link) -> tuple[Link, ...]:
    return (NODE.links[0], *links)


def _eth(address: str, *, name: str = "eth0", mtu: int = 1500, up: bool = True) -> Link:
    return Link(name, "52:54:00:00:00:99", mtu, up, (f"{address}/24",) if address else ())


def _unit(name: str, unit: Unit, host: str = "fed-node1") -> ClusterFacts:
    units = {**BARE.hosts[host].units, f"{name}.service": unit}
    if not unit.there:
        del units[f"{name}.service"]
    return on(host, units=units)


def _kube(*nodes: KubeNode) -> ClusterFacts:
    return on(MASTER, kube_nodes=nodes)


KUBE = BARE.hosts[MASTER].kube_nodes
GONE = Unit()
N1, N2 = "fed-node1", "fed-node2"

HOSTS = {
    "lost": Row("reachable", NOWHERE, "block", "timed out", N1, "again"),
    "not asked": Row("reachable", ClusterFacts({}), "block", "not asked", N1),
    "a run is still at work": Row(
        "in-flight",
        on(N1, in_flight=("fedwiz-switch.service",)),
        "block",
        "fedwiz-switch",
        N1,
        "wait",
    ),
    "no Fedora": Row("os", on(N1, os="debian", os_version="12"), "warn", "debian 12", N1),
    "one host name": Row(
        "distinct-names",
        on("*", hostname="localhost"),
        "block",
        "called localhost",
        remedy="hostnamectl",
    ),
    "another host name": Row(
        "distinct-names",
        on(N1, hostname="web7"),
        "warn",
        "calls itself web7",
        N1,
        "hostnamectl set-hostname fed-node1",
    ),
    "clones": Row("distinct-names", on("*", machine_id="a" * 32), "warn", "clones"),
    "one MAC": Row(
        "distinct-names",
        on(N1, links=NODE.links[:1] + BARE.hosts[N2].links[1:]),
        "block",
        "one MAC address",
    ),
    "one MAC on another card": Row(
        "distinct-names",
        on("*", links=(*NODE.links[:1], Link("eth9", "08:00:27:8d:c0:4d", 1500, True, ()))),
        "warn",
        "08:00:27:8d:c0:4d",
    ),
    "a port lets nothing in": Row(
        "udp-port",
        replace(BARE, udp=Tried(lost={(N1, N2): ""})),
        "block",
        "nothing arrives at 8472/udp",
        N2,
        "let 8472/udp in",
    ),
    "no etcd": Row(
        "services",
        on("", _unit("etcd", GONE, MASTER), etcd={URL: Endpoint(error="refused")}),
        "block",
        "etcd is not there",
        MASTER,
        "dnf -y install etcd",
    ),
    "etcd stopped": Row(
        "services",
        on("", _unit("etcd", STOPPED, MASTER), etcd={URL: Endpoint(error="refused")}),
        "block",
        "etcd does not run",
        MASTER,
        "systemctl enable --now etcd",
    ),
    "etcd is no service but answers": Row(
        "services", _unit("etcd", GONE, MASTER), "warn", "answers at its endpoint", MASTER
    ),
    "no docker": Row(
        "services", _unit("docker", GONE), "block", "docker is not there", N1, "moby-engine"
    ),
    "docker stopped": Row("services", _unit("docker", STOPPED), "warn", "left alone", N1),
    "docker failed": Row(
        "services", _unit("docker", Unit("loaded", "failed")), "warn", "has failed", N1
    ),
    "no kubelet": Row("services", _unit("kubelet", GONE), "warn", "kubelet is not there", N1),
    "no scheduler": Row(
        "services", _unit("kube-scheduler", STOPPED, MASTER), "warn", "kube-scheduler", MASTER
    ),
    "kubectl says nothing": Row(
        "labels", _kube(), "warn", "not judged", sets=('host.fed-node1.label="fed-node1-label"',)
    ),
    "label is there": Row(
        "labels", BARE, "ok", "3 nodes", sets=('host.fed-node1.label="fed-node1-label"',)
    ),
    "label is another": Row(
        "labels",
        BARE,
        "warn",
        "does not label it blue",
        N1,
        "kubectl label node",
        sets=('host.fed-node1.label="blue"',),
    ),
    "two labelled alike": Row(
        "labels",
        _kube(KUBE[0], replace(KUBE[1], labels=KUBE[0].labels), KUBE[2]),
        "warn",
        "all labelled name=fed-node1-label",
    ),
    "Kubernetes lacks a node": Row("labels", _kube(*KUBE[1:]), "warn", "no node", N1),
    "a clock is off": Row("clock", on(N1, skew=5.0), "warn", "5 s ahead", N1, "chronyd"),
    "a clock is far off": Row("clock", on(N1, skew=-4000.0), "block", "behind", N1),
    "all clocks are off alike": Row("clock", on("", skew=900.0), "ok", "4 clocks"),
    "/run is full": Row("disk", on(N1, free={**NODE.free, "/run": 0}), "block", "/run", N1),
    "/var is tight": Row(
        "disk", on(N1, free={**NODE.free, "/var": 100 * 1024}), "warn", "/var has 100 MiB", N1
    ),
    "docker moves to another network": Row(
        "interrupts",
        on(
            N1,
            DONE,
            containers=2,
            subnet_env={**(DONE.hosts[N1].subnet_env or {}), "FLANNEL_NETWORK": "10.99.0.0/16"},
        ),
        "warn",
        "2 running containers will stop",
        N1,
    ),
    "/var is tight, and no dnf comes": Row(
        "disk",
        on(N1, free={**NODE.free, "/var": 100 * 1024}),
        "ok",
        "",
        sets=("flannel.source=rpm", "flannel.path=/f.rpm", f"flannel.sha256={'a' * 64}"),
    ),
    "/var is full": Row("disk", on(N1, free={**NODE.free, "/var": 9}), "block", "0 MiB", N1),
    "/usr is read-only": Row("disk", on(N1, read_only=("/usr",)), "block", "/usr", N1, "ostree"),
    "a file system was not read": Row("disk", on(N1, free={"/": 10**7}), "warn", "/etc", N1),
    "dnf is locked": Row(
        "dnf-lock", on(N1, dnf_lock="4711 dnf upgrade "), "warn", "process 4711 (dnf upgrade)", N1
    ),
    "SELinux and a binary": Row(
        "selinux",
        BARE,
        "ok",
        "restorecon",
        sets=('flannel.source="binary"', 'flannel.path="/f"', f'flannel.sha256="{"a" * 64}"'),
    ),
    "NetworkManager runs": Row(
        "network-manager", _unit("NetworkManager", RUNS), "ok", "fed-node1 and will be told"
    ),
}

DOCKER0 = NODE.links[2]
TWINS = {
    name: replace(BARE.hosts[name], links=_links(_eth("10.0.2.15"), DOCKER0)) for name in NODES
}
HOST_GW = 'backend.type="host-gw"'

RANGES = {
    "public": Row(
        "network-public",
        BARE,
        "ok",
        "the answers allow it",
        sets=('network.cidr="18.16.0.0/16"', "network.allow_public=true"),
    ),
    "a route overlaps": Row(
        "network-overlap",
        on(N1, routes=(*NODE.routes, Route("10.16.4.0/22", "tun0"))),
        "block",
        "10.16.4.0/22 (route by tun0)",
        N1,
        "such as 10.0.0.0/16",
    ),
    "an address overlaps": Row(
        "network-overlap",
        on(MASTER, links=(*NODE.links, _eth("10.16.9.9", name="br7"))),
        "block",
        "address of br7",
        MASTER,
    ),
    "a docker network overlaps": Row(
        "network-overlap", on(N2, docker_networks=("10.0.0.0/8",)), "block", "docker network", N2
    ),
    "a name server overlaps": Row(
        "network-overlap",
        on(N1, nameservers=("10.16.0.53", "999.9.9.9")),
        "block",
        "name server",
        N1,
    ),
    "the services overlap": Row(
        "network-overlap", BARE, "block", "10.254.0.0/16", sets=('network.cidr="10.254.0.0/17"',)
    ),
    "docker0 on another host than a node": Row(
        "network-overlap",
        BARE,
        "block",
        "172.17.0.0/16",
        N1,
        sets=('network.cidr="172.17.0.0/16"',),
    ),
    "host-gw's own routes": Row(
        "network-overlap",
        on(N1, DONE, routes=(*NODE.routes[:2], Route("10.16.83.0/24", "eth0", ADDRESSES[N2]))),
        "ok",
        "meets no address",
        sets=(HOST_GW,),
    ),
    "docker0 of a flannel whose subnet.env is gone": Row(
        "network-overlap", on("*", DONE, subnet_env=None), "ok", "meets no address"
    ),
    "docker0 with an earlier length": Row(
        "network-overlap", DONE, "ok", "meets no address", sets=("network.subnet_len=25",)
    ),
    "subnets leased to others": Row(
        "network-capacity",
        stored(leases=tuple(lease(f"10.16.0.{n * 16}/28", "10.9.9.9") for n in range(1, 15))),
        "block",
        "14 of them are leased",
        sets=('network.cidr="10.16.0.0/24"', "network.subnet_len=28"),
    ),
    "the first subnet": Row(
        "network-capacity", BARE, "warn", "first subnet", sets=('network.subnet_min="10.16.0.0"',)
    ),
    "no such interface": Row(
        "interface",
        BARE,
        "block",
        "no interface eth7",
        N1,
        "eth0",
        ('host.fed-node1.interface="eth7"',),
    ),
    "an interface by its address": Row(
        "interface", BARE, "ok", "eth0", sets=('host.fed-node1.interface="192.168.122.77"',)
    ),
    "no default route": Row(
        "interface", on(N1, routes=NODE.routes[1:]), "block", "no default route", N1, "eth0"
    ),
    "interface is down": Row(
        "interface", on(N1, links=_links(_eth("192.168.122.77", up=False))), "block", "down", N1
    ),
    "interface without address": Row(
        "interface", on(N1, links=_links(_eth(""))), "block", "no IPv4 address", N1
    ),
    "VirtualBox's NAT, MAC and all": Row(
        "distinct-names", replace(BARE, hosts={**BARE.hosts, **TWINS}), "warn", "one MAC address"
    ),
    "VirtualBox's NAT": Row(
        "interface", replace(BARE, hosts={**BARE.hosts, **TWINS}), "block", "10.0.2.15", N1
    ),
    "two with one address": Row(
        "interface", on("*", links=_links(_eth("10.9.9.9"))), "block", "share one lease"
    ),
    "loopback": Row(
        "interface", BARE, "block", "no other host", N1, sets=('host.fed-node1.interface="lo"',)
    ),
    "fedwiz comes in elsewhere": Row(
        "interface",
        on(N1, links=_links(_eth("172.30.0.5"), _eth("192.168.122.77", name="eth1"))),
        "warn",
        "on eth1, but flannel would use eth0",
        N1,
        "to eth1",
    ),
    "two links and host-gw": Row(
        "same-link",
        on(N1, links=_links(_eth("192.168.7.7"))),
        "block",
        "are on 2: fed-node2, fed-node3 on",
        remedy="vxlan",
        sets=(HOST_GW,),
    ),
    "two links and vxlan": Row(
        "same-link", on(N1, links=_links(_eth("192.168.7.7"))), "ok", "crosses routers"
    ),
    "one link and host-gw": Row(
        "same-link", BARE, "ok", "all on 192.168.122.0/24", sets=(HOST_GW,)
    ),
    "links were not read, and host-gw": Row(
        "same-link", on(N1, links=()), "warn", "not judged", N1, sets=(HOST_GW,)
    ),
    "MTUs differ": Row(
        "mtu",
        on(N1, links=_links(_eth("192.168.122.77", mtu=9000))),
        "warn",
        "1500 on fed-node2",
        remedy="backend.mtu to 1500",
    ),
    "MTU larger than the interface's": Row(
        "mtu", BARE, "warn", "backend.mtu is 9000", sets=("backend.mtu=9000",)
    ),
    "MTU of just the interface's": Row(
        "mtu", BARE, "ok", "MTU 1500; containers get 1450", sets=("backend.mtu=1500",)
    ),
    "VMware and the usual port": Row(
        "hypervisor", on(N1, virt="vmware"), "warn", "8472/udp", remedy="backend.port"
    ),
    "VMware and another port": Row(
        "hypervisor", on(N1, virt="vmware"), "ok", "none", sets=("backend.port=4789",)
    ),
    "KVM": Row("hypervisor", on("*", virt="kvm"), "ok", "none"),
    "firewalld runs": Row(
        "firewall", on(N1, firewall=Firewall("public")), "ok", "8472/udp will be opened", N1
    ),
    "firewalld has it open": Row(
        "firewall",
        on(N1, firewall=Firewall("p", frozenset({"8472/udp"}), frozenset({"8472/udp"}))),
        "ok",
        "all open",
        N1,
    ),
    "firewalld does not answer": Row(
        "firewall", _unit("firewalld", RUNS), "warn", "not judged", N1
    ),
    "rules of its own": Row(
        "firewall",
        on(N1, rules={**NODE.rules, "filter": ("-P INPUT DROP", *FILTER[1:])}),
        "warn",
        "-P INPUT DROP",
        N1,
        "8472/udp",
    ),
    "rules of its own, and no port": Row(
        "firewall",
        on(N1, rules={**NODE.rules, "filter": ("-P INPUT DROP", *FILTER[1:])}),
        "ok",
        "no firewall",
        sets=(HOST_GW,),
    ),
}


def _curl(error: str, *listening: str, host: str = "*") -> ClusterFacts:
    known = on(host, etcd={URL: Endpoint(error=error)})
    return on(MASTER, known, listening=frozenset(listening))


REFUSED = "curl: (7) Failed to connect to fed-master port 2379: Connection refused"
CONNECT = "curl: (7) Failed to connect to fed-master port 2379 after 0 ms: Could not connect"
V3 = "0.21.5-1.fc41"
BOTH = f'etcd.endpoints=["{URL}", "http://192.168.122.9:2379"]'
OLD = {"Network": "18.16.0.0/16", "SubnetLen": 24, "Backend": {"Type": "udp"}}


TLS_URL = "https://fed-master:2379"
TLS = f'etcd.endpoints=["{TLS_URL}"]'
CERT = ('etcd.ca_file="/ca"', 'etcd.cert_file="/c"', 'etcd.key_file="/k"')


def _tls(error: str) -> ClusterFacts:
    return on(
        "*", on(MASTER, listening=frozenset({"*:2379"})), etcd={TLS_URL: Endpoint(error=error)}
    )


def _config(text: str) -> ClusterFacts:
    return stored(config=Value("/coreos.com/network/config", text, 5))


STORE = {
    "etcd is down": Row(
        "etcd-reachable", _curl(REFUSED), "block", "nothing listens", N1, "systemctl"
    ),
    "etcd is down, for a curl of few words": Row(
        "etcd-reachable", _curl(CONNECT), "block", "nothing listens", N1
    ),
    "etcd on loopback": Row(
        "etcd-reachable",
        _curl(CONNECT, "127.0.0.1:2379", "[::1]:2379"),
        "block",
        "127.0.0.1:2379, [::1]:2379 of the master only",
        N1,
        "ETCD_LISTEN_CLIENT_URLS",
    ),
    "etcd on another address": Row(
        "etcd-reachable",
        _curl(REFUSED, "172.16.0.1:2379"),
        "block",
        "172.16.0.1:2379",
        N1,
        "ETCD_LISTEN_CLIENT_URLS",
    ),
    "a firewall, for a curl of few words": Row(
        "etcd-reachable", _curl(CONNECT, "0.0.0.0:2379"), "block", "not let in", N1, "2379/tcp"
    ),
    "rejected": Row(
        "etcd-reachable",
        _curl("curl: (7) No route to host", "*:2379"),
        "block",
        "firewall",
        N1,
        "--add-port=2379/tcp",
    ),
    "dropped": Row(
        "etcd-reachable",
        _curl("curl: (28) Connection timed out after 3001 ms"),
        "block",
        "drops it",
        N1,
        "2379/tcp",
    ),
    "slow": Row(
        "etcd-reachable",
        _curl("curl: (28) Operation timed out after 3001 milliseconds with 0 bytes received"),
        "block",
        "gives no answer within 3 s",
        N1,
        "endpoint status",
    ),
    "no name": Row(
        "etcd-reachable",
        _curl("curl: (6) Could not resolve host: fed-master"),
        "block",
        "name fed-master is not known",
        N1,
        "/etc/hosts",
    ),
    "https to a plain port": Row(
        "etcd-reachable",
        _tls("curl: (35) TLS connect error: error:0A000126:SSL routines::unexpected eof"),
        "block",
        "speaks no TLS",
        N1,
        "begin the endpoint with http://",
        sets=(TLS, *CERT),
    ),
    "https to a plain port, for an older curl": Row(
        "etcd-reachable",
        _tls("curl: (35) OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to fed-master:2379"),
        "block",
        "speaks no TLS",
        N1,
        "begin the endpoint with http://",
        sets=(TLS, *CERT),
    ),
    "http to a TLS port": Row(
        "etcd-reachable",
        _curl("curl: (52) Empty reply from server", "*:2379"),
        "block",
        "takes no plain http",
        N1,
        "begin the endpoint with https://",
    ),
    "another authority": Row(
        "etcd-reachable",
        _tls(
            "curl: (60) SSL certificate OpenSSL verify result: unable to get local issuer "
            "certificate (20)"
        ),
        "block",
        "no trust in its certificate",
        N1,
        "set etcd.ca_file",
        sets=(TLS, *CERT),
    ),
    "no client certificate": Row(
        "etcd-reachable",
        _tls("curl: (55) OpenSSL SSL_read: SSL routines::tlsv13 alert certificate required"),
        "block",
        "asks for a client certificate",
        N1,
        "set etcd.cert_file and etcd.key_file",
        sets=(TLS, CERT[0]),
    ),
    "no client certificate, for an older curl": Row(
        "etcd-reachable",
        _tls("curl: (55) getpeername() failed with errno 107: Transport endpoint is not connected"),
        "block",
        "asks for a client certificate",
        N1,
        "set etcd.cert_file and etcd.key_file",
        sets=(TLS, CERT[0]),
    ),
    "a client certificate of somebody else's": Row(
        "etcd-reachable",
        _tls("curl: (56) OpenSSL SSL_read: SSL routines::sslv3 alert bad certificate, errno 0"),
        "block",
        "refuses the client certificate",
        N1,
        "ETCD_TRUSTED_CA_FILE",
        sets=(TLS, *CERT),
    ),
    "no CA file": Row(
        "etcd-reachable",
        _tls("curl: The file '/ca' provided to --cacert does not exist"),
        "block",
        "etcd.ca_file can't be used here",
        N1,
        "put /ca on this host",
        sets=(TLS, *CERT),
    ),
    "no key file": Row(
        "etcd-reachable",
        _tls("curl: (58) unable to set private key file: '/k' type PEM"),
        "block",
        "etcd.key_file can't be used here",
        N1,
        "put /k on this host",
        sets=(TLS, *CERT),
    ),
    "another host's certificate": Row(
        "etcd-reachable",
        _tls("curl: (60) SSL: no alternative certificate subject name matches target host name"),
        "block",
        "another host's",
        N1,
        "a name or an address",
        sets=(TLS, *CERT),
    ),
    "a certificate of last year": Row(
        "etcd-reachable",
        _tls("curl: (60) SSL certificate problem: certificate has expired"),
        "block",
        "not valid now",
        N1,
        "renew it",
        sets=(TLS, *CERT),
    ),
    "an https endpoint behind a firewall": Row(
        "etcd-reachable",
        _tls("curl: (28) Connection timed out after 3001 ms"),
        "block",
        "drops it",
        N1,
        "2379/tcp",
        sets=(TLS, *CERT),
    ),
    "one endpoint of two": Row(
        "etcd-reachable",
        on(
            "*",
            etcd={
                URL: Endpoint("3.4.1", v2=True),
                "http://192.168.122.9:2379": Endpoint(error=REFUSED),
            },
        ),
        "warn",
        "http://192.168.122.9:2379: nothing listens",
        N1,
        sets=(BOTH,),
    ),
    "v2 is off": Row(
        "etcd-api",
        on("*", etcd={URL: Endpoint("3.5.9")}),
        "block",
        "does not serve v2",
        remedy="ETCD_ENABLE_V2=true",
    ),
    "v2 is gone": Row(
        "etcd-api",
        on("*", etcd={URL: Endpoint("3.6.1")}),
        "block",
        "has no v2 API",
        remedy="0.21.3 or later",
    ),
    "v3 flannel needs no v2": Row(
        "etcd-api", on("*", offered=V3, etcd={URL: Endpoint("3.6.1")}), "ok", "serves v3"
    ),
    "v3 is not there": Row(
        "etcd-api",
        on("*", offered=V3, etcd={URL: Endpoint("2.3.7", v2=True)}),
        "block",
        "no v3 API",
    ),
    "the other API is forced": Row(
        "etcd-api", BARE, "block", "reads v2", remedy='"auto"', sets=('etcd.api="v3"',)
    ),
    "nobody knows etcd's version": Row("etcd-api", _curl(REFUSED), "warn", "not judged"),
    "etcd can't be read": Row(
        "etcd-store", stored(error="no host reaches it"), "block", "no host reaches it"
    ),
    "no flannel, so nobody knows which API it reads": Row(
        "etcd-store",
        stored(api="", error="it is not known which API"),
        "warn",
        "not judged",
        remedy="flannel-package",
    ),
    "etcd wants a password": Row(
        "etcd-store",
        stored(error="etcd refuses 'f' (no; way); set FEDWIZ_ETCD_PASSWORD"),
        "block",
        "refuses 'f' (no; way)",
        remedy="set FEDWIZ_ETCD_PASSWORD",
    ),
    "the same config in other words": Row(
        "etcd-config",
        _config(json.dumps(json.loads(ANSWERS.config_json()), indent=4)),
        "ok",
        "as the answers want",
    ),
    "another config": Row(
        "etcd-config",
        _config(json.dumps(OLD)),
        "warn",
        "Backend.Type udp -> vxlan, Backend.VNI unset -> 1, Network 18.16.0.0/16 -> 10.16.0.0/16",
    ),
    "a config that is none": Row("etcd-config", _config("'{}'"), "warn", "no JSON object"),
    "a config in the other API": Row(
        "etcd-config", stored(other='{"Network":"10.1.0.0/16"}'), "warn", "the v3 API also holds"
    ),
    "a lease of nobody's": Row(
        "leases",
        stored(DONE, leases=(*DONE.store.leases, lease("10.16.9.0/24", "10.9.9.9"))),
        "warn",
        "leased to 10.9.9.9, which no node has; it expires in 22 h",
        remedy="ETCDCTL_API=2 etcdctl rm /coreos.com/network/subnets/10.16.9.0-24",
    ),
    "a lease that may be a silent host's": Row(
        "leases",
        on(N1, stored(leases=(lease("10.16.9.0/24", "10.9.9.9"),)), links=()),
        "warn",
        "address of fed-node1",
        remedy="again",
    ),
    "two leases of one host": Row(
        "leases",
        stored(DONE, leases=(*DONE.store.leases, lease("10.16.9.0/24", ADDRESSES[N1]))),
        "warn",
        "192.168.122.77 has 2 subnets",
    ),
    "a lease that is none": Row(
        "leases",
        stored(leases=(Value("/coreos.com/network/subnets/$(x)", "?", 1),)),
        "warn",
        "$(x): ",
        remedy="'/coreos.com/network/subnets/$(x)'",
    ),
    "one subnet on two nodes": Row(
        "leases",
        on("*", subnet_env={"FLANNEL_SUBNET": "10.16.5.1/24"}),
        "block",
        "10.16.5.1/24",
        remedy="on fed-node2, fed-node3: ",
    ),
}

RPM = ('flannel.source="rpm"', 'flannel.path="/tmp/f.rpm"', f'flannel.sha256="{"a" * 64}"')


def _offers(version: str) -> ClusterFacts:
    return on("*", offered=f"{version}-1.fc41")


FLANNEL = {
    "dnf has none": Row(
        "flannel-package",
        on(N1, offered="", offered_why="Error: Unable to find a match: flannel"),
        "block",
        "no flannel",
        N1,
        '"rpm" or "binary"',
    ),
    "dnf reaches nothing": Row(
        "flannel-package",
        on(N1, offered="", offered_why="Curl error (6): Could not resolve host: mirrors.fedora"),
        "block",
        "can't resolve a name",
        N1,
        "resolv.conf",
    ),
    "a file with a version": Row(
        "flannel-package",
        replace(BARE, supplied=dict.fromkeys(NODES, "0.17.0-1")),
        "ok",
        "flannel 0.17.0 will be uploaded",
        N1,
        sets=RPM,
    ),
    "a file of no version": Row(
        "flannel-package", BARE, "block", "no version", N1, "etcd.api", RPM
    ),
    "a file of no version, but the API is said": Row(
        "flannel-package", BARE, "warn", "not judged", N1, sets=(*RPM, 'etcd.api="v2"')
    ),
    "a unit that hears no options": Row(
        "flannel-package",
        on(N1, DONE, flanneld_unit="ExecStart=/x -etcd-endpoints=${FLANNEL_ETCD}"),
        "warn",
        "FLANNEL_OPTIONS",
        N1,
    ),
    "a version to refuse": Row(
        "flannel-version", _offers("0.19.2"), "block", "0.19.2 can't use an etcd"
    ),
    "another version to refuse": Row("flannel-version", _offers("0.20.0"), "block", "0.20.0"),
    "a version that loses events": Row("flannel-version", _offers("0.21.2"), "warn", "loses"),
    "a version that no longer does": Row("flannel-version", _offers("0.21.3"), "ok", "0.21.3"),
    "two generations": Row("flannel-version", on(N1, offered=V3), "block", "before and after 0.18"),
    "two versions": Row("flannel-version", on(N1, offered="0.17.0-1"), "warn", "differs"),
    "a backend too new": Row(
        "flannel-version",
        BARE,
        "block",
        "wireguard needs flannel 0.16.0",
        sets=('backend.type="wireguard"',),
    ),
    "an option too new": Row(
        "flannel-version", BARE, "block", "mtu needs flannel 0.21.3", sets=("backend.mtu=1400",)
    ),
    "https and an old flannel": Row("flannel-version", BARE, "ok", "0.9.0", sets=(TLS,)),
    "https without a certificate, unchecked": Row(
        "flannel-version", _offers("0.18.1"), "warn", "trusts any certificate", sets=(TLS,)
    ),
    "https without a certificate, hanging": Row(
        "flannel-version", _offers("0.22.0"), "block", "hangs", remedy="cert_file", sets=(TLS,)
    ),
    "https with a certificate": Row(
        "flannel-version", _offers("0.22.0"), "ok", "0.22.0", sets=(TLS, *CERT)
    ),
    "an etcd user and a very old flannel": Row(
        "flannel-version", _offers("0.5.5"), "block", "no etcd user", sets=('etcd.user="f"',)
    ),
    "no br_netfilter": Row(
        "flannel-version",
        on("*", offered="0.26.0-1", modules={"vxlan": True}),
        "block",
        "br_netfilter",
        N1,
    ),
    "no br_netfilter and an older flannel": Row(
        "flannel-version", on("*", modules={"vxlan": True}), "ok", "0.9.0"
    ),
    "a flag too new": Row(
        "flannel-options",
        BARE,
        "block",
        "-iptables-resync=9 needs flannel 0.11.0",
        sets=('flannel.options=["-ip-masq", "-iptables-resync=9"]',),
    ),
    "a flag that is gone": Row(
        "flannel-options",
        BARE,
        "block",
        "no --remote any more",
        sets=('flannel.options=["-ip-masq", "--remote"]',),
    ),
    "a flag of nobody's": Row(
        "flannel-options",
        BARE,
        "warn",
        "-colour",
        sets=('flannel.options=["-ip-masq", "-colour"]',),
    ),
    "no masquerading by flannel": Row(
        "flannel-options", BARE, "warn", "sender's own", sets=("flannel.options=[]",)
    ),
    "no vxlan": Row(
        "backend-kernel", on(N1, modules={"tun": True}), "block", "no vxlan", N1, "kernel-modules"
    ),
    "udp elsewhere than on x86_64": Row(
        "backend-kernel",
        on(N1, arch="aarch64"),
        "block",
        "aarch64",
        N1,
        sets=('backend.type="udp"',),
    ),
    "host-gw needs nothing": Row(
        "backend-kernel", on("*", modules={}), "ok", "nothing of its own", sets=(HOST_GW,)
    ),
    "another VNI's device": Row(
        "leftovers", DONE, "warn", "flannel.1 of an earlier", N1, sets=("backend.vni=2",)
    ),
    "another MTU": Row(
        "leftovers", DONE, "warn", "MTU 1450 instead of 1350", N1, sets=("backend.mtu=1400",)
    ),
    "another network's subnet.env": Row(
        "leftovers",
        on(N1, subnet_env={"FLANNEL_NETWORK": "18.16.0.0/16"}),
        "warn",
        "subnet.env of 18.16.0.0/16",
        N1,
    ),
}


def _file(path: str, text: str) -> ClusterFacts:
    return on(N1, files={path: File(text, 0o644)})


DAEMON = "/etc/docker/daemon.json"
DROP_IN = f"{DOCKER_UNIT}\n# /etc/systemd/system/docker.service.d/{{}}\n[Service]\n{{}}\n"

DOCKER = {
    "bip in sysconfig": Row(
        "docker-options",
        _file("/etc/sysconfig/docker-network", 'DOCKER_NETWORK_OPTIONS="--bip=10.1.1.1/24"'),
        "block",
        "/etc/sysconfig/docker-network gives docker --bip",
        N1,
        "remove --bip from",
    ),
    "-b in sysconfig": Row(
        "docker-options",
        _file("/etc/sysconfig/docker", "OPTIONS='-b br0'"),
        "block",
        "--bridge",
        N1,
    ),
    "commented out": Row(
        "docker-options",
        _file("/etc/sysconfig/docker", "#OPTIONS='--bip=1.2.3.4/24'"),
        "ok",
        "no --bip",
    ),
    "words that only look like it": Row(
        "docker-options",
        _file("/etc/sysconfig/docker", "OPTIONS='--bip-x --network-b -bx'"),
        "ok",
        "no --bip",
    ),
    "mtu in a drop-in": Row(
        "docker-options",
        on(N1, docker_unit=DROP_IN.format("mtu.conf", "ExecStart=/usr/bin/dockerd --mtu 1400")),
        "block",
        "docker.service.d/mtu.conf gives docker --mtu",
        N1,
    ),
    "fedwiz's own drop-in": Row(
        "docker-options",
        on(N1, docker_unit=DROP_IN.format("60-fedwiz.conf", "ExecStart=/usr/bin/dockerd --mtu 1")),
        "ok",
        "no --bip",
    ),
    "another program's -b": Row(
        "docker-options",
        on(N1, docker_unit=DROP_IN.format("x.conf", "ExecStartPre=/usr/bin/thing -b x")),
        "ok",
        "no --bip",
    ),
    "bip in daemon.json": Row(
        "docker-options",
        _file(DAEMON, '{"bip": "10.1.1.1/24"}'),
        "block",
        "sets bip to",
        N1,
        f"remove bip from {DAEMON}",
    ),
    "daemon.json is none": Row(
        "docker-options", _file(DAEMON, '{"a": 1,\n"b"}'), "block", "not JSON (line 2)", N1
    ),
    "daemon.json is a list": Row(
        "docker-options", _file(DAEMON, "[]"), "block", "no JSON object", N1
    ),
    "daemon.json is empty": Row("docker-options", _file(DAEMON, ""), "ok", "no --bip"),
    "daemon.json in Latin-1": Row(
        "docker-options", _file(DAEMON, '{"labels": ["gr\udcf6sse"]}'), "block", "not UTF-8", N1
    ),
    "containers outlive docker": Row(
        "docker-options",
        _file(DAEMON, '{"live-restore": true}'),
        "warn",
        "live-restore",
        N1,
        "restart them after the install",
    ),
    "iptables switched off": Row(
        "docker-options", _file(DAEMON, '{"iptables": false}'), "warn", "iptables to false", N1
    ),
    "docker's unit was not read": Row(
        "docker-options", on(N1, docker_unit=""), "warn", "not judged", N1
    ),
    "docker 28.5": Row(
        "docker-version",
        on("*", docker_version="Docker version 28.5.2, build x"),
        "ok",
        "allow-direct-routing",
    ),
    "docker 28.1": Row(
        "docker-version",
        on(N1, docker_version="Docker version 28.1.0"),
        "ok",
        "DOCKER_INSECURE_NO_IPTABLES_RAW",
        N1,
    ),
    "docker 20 and a newer flannel": Row(
        "docker-version", on("*", offered=V3), "ok", "needs nothing"
    ),
    "docker says no version": Row(
        "docker-version", on(N1, docker_version="?"), "warn", "not judged", N1
    ),
    "no iptables": Row(
        "iptables", on(N1, iptables="", rules={}), "block", "no iptables", N1, "iptables-nft"
    ),
    "a table is missing": Row(
        "iptables", on(N1, rules={"filter": FILTER}), "warn", "not judged", N1
    ),
    "legacy beside nft": Row(
        "iptables",
        on(N1, iptables="iptables v1.8.7 (legacy)", firewall=Firewall("public")),
        "warn",
        "two sets of rules",
        N1,
    ),
    "legacy alone": Row("iptables", on("*", iptables="iptables v1.8.7 (legacy)"), "ok", "(legacy)"),
    "forwarding is off": Row(
        "forwarding", on(N1, sysctls={"net.ipv4.ip_forward": "0"}), "ok", "turned on on fed-node1"
    ),
    "rp_filter is strict": Row(
        "forwarding",
        on(N1, sysctls={**NODE.sysctls, "net.ipv4.conf.all.rp_filter": "1"}),
        "warn",
        "strict",
        N1,
    ),
    "containers stop": Row(
        "interrupts", on(N1, containers=3), "warn", "3 running containers will stop: docker", N1
    ),
    "the host reboots": Row(
        "interrupts",
        on(N1, containers=1),
        "warn",
        "1 running container will stop: the host",
        N1,
        sets=('docker.switch="reboot"',),
    ),
    "containers go on": Row("interrupts", on("*", DONE, containers=3), "ok", "no container"),
}

ROWS = HOSTS | RANGES | STORE | FLANNEL | DOCKER


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_finding(row: Row) -> None:
    said = _of(row.check, row.known, *row.sets)
    fits = [it for it in said if it.level == row.level and row.seen in it.seen]
    assert fits, _said(said)
    assert row.host in {it.host for it in fits}
    assert all(row.remedy in it.remedy for it in fits if it.host == row.host)
    if row.level == "ok":
        assert {it.level for it in said} == {"ok"}, _said(said)


INFORM = {"docker-version", "selinux", "network-manager", "network-public"}
"""Checks that tell what will be done, or whose block has a test of its own."""


def test_every_check_is_seen_to_find_something() -> None:
    found = {row.check for row in ROWS.values() if row.level != "ok"}
    assert set(NAMES) - found <= INFORM


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_each_finding_is_a_line_with_something_to_do(row: Row) -> None:
    answers = answered(*row.sets)
    for finding in judge(answers, row.known):
        assert finding.check in NAMES
        assert finding.host in {"", *ADDRESSES}
        assert finding.seen.isprintable()
        assert not finding.seen.endswith(".")
        assert (finding.level == "ok") or finding.remedy, finding


def test_a_public_network_that_slipped_through_is_blocked() -> None:
    public = ANSWERS.network.model_copy(update={"cidr": "18.16.0.0/16"})
    said = judge(ANSWERS.model_copy(update={"network": public}), BARE)
    (finding,) = [it for it in said if it.check == "network-public"]
    assert finding.level == "block"
    assert "10.16.0.0/16" in finding.remedy


def test_an_accepted_block_is_a_warning_and_others_stay() -> None:
    known = on(N1, hostname="fed-node2", read_only=("/usr",))
    levels = {it.check: it.level for it in judge(ANSWERS, known, ["disk"]) if it.level != "ok"}
    assert levels["disk"] == "warn"
    assert "block" in {it.level for it in judge(ANSWERS, known, ["disk"])}
    assert "block" not in {it.level for it in judge(ANSWERS, known, ["disk", "distinct-names"])}


def test_what_a_host_says_can_not_reach_the_terminal_raw() -> None:
    known = on(N1, offered="", offered_why="no\x1b[2J\nflannel\udc80")
    (said,) = [it for it in _of("flannel-package", known) if it.host == N1]
    assert said.seen == "dnf offers no flannel: no flannel"


def test_the_facts_of_a_host_that_was_lost_since_are_not_judged() -> None:
    known = replace(on(N1, hostname="", links=(), units={}), lost={N1: "broken pipe"})
    assert [it.check for it in judge(ANSWERS, known) if it.host == N1] == ["reachable"]


def test_the_nat_is_named_on_each_host_and_not_once_more_for_all() -> None:
    said = _of("interface", replace(BARE, hosts={**BARE.hosts, **TWINS}))
    assert [it.host for it in said] == list(NODES)


@pytest.mark.parametrize("name", NODES)
def test_etcd_is_judged_from_every_node_and_the_clock_of_each(name: str) -> None:
    known = on(name, etcd={URL: Endpoint(error=REFUSED)}, skew=-4000.0)
    for check in ("etcd-reachable", "clock"):
        assert [(it.level, it.host) for it in _of(check, known)] == [("block", name)]
