"""Checks of the hosts themselves: who they are, what runs, what room they have."""

from collections.abc import Iterator, Mapping
from shlex import quote
from statistics import median

from fedwiz.answers.file import Answers, Host
from fedwiz.checks.finding import (
    Finding,
    block,
    check,
    count,
    heard,
    ok,
    shared,
    some,
    unread,
    warn,
)
from fedwiz.checks.ranges import NAT
from fedwiz.facts.values import ClusterFacts, Facts, KubeNode, Unit
from fedwiz.facts.versions import CLOCKS_APART

FEDORA_LIKE = frozenset({"fedora", "rhel", "centos", "rocky", "almalinux", "ol"})


@check("reachable", "Does every host answer?")
def reachable(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """The only check that speaks of hosts that are lost."""
    for host in answers.host:
        if host.name in known.lost:
            why = known.lost[host.name] or "no reason was given"
            # What to do about it is said there: whoever failed to connect knows best.
            yield block(why, "see to that, then run the same command again", host.name)
        elif host.name not in known.hosts:
            yield block("it was not asked", "run `fedwiz check` again", host.name)
    yield ok(f"all {len(answers.host)} hosts answered")


@check("os", "Do the hosts run Fedora?", about="hosts")
def os(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """The package's name and layout are Fedora's; other systems may differ."""
    said = set()
    for host, facts in heard(answers, known):
        said.add(f"{facts.os} {facts.os_version}".strip())
        if not facts.os:
            yield unread("/etc/os-release", host.name)
        elif facts.os not in FEDORA_LIKE:
            yield warn(
                f"{facts.os} {facts.os_version}, which is no Fedora",
                "expect other package names and paths, or use a Fedora host",
                host.name,
            )
    yield ok(some(sorted(said)))


@check("distinct-names", "Does every host have a name and addresses of its own?", about="hosts")
def distinct_names(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Clones share what must differ: two hosts would be one to Kubernetes, flannel or the switch.

    Addresses of bridges repeat on every host, and so does the NAT interface of VirtualBox's
    machines, MAC and all: only the interface that flannel uses stops the install.
    """
    hosts = list(heard(answers, known))
    yield from _names(hosts)
    ids = [(host.name, facts.machine_id) for host, facts in hosts]
    for value, owners in shared(ids):
        yield warn(
            f"{some(owners)} have one machine-id, {value[:8]}…: they are clones",
            "on all but one: rm /etc/machine-id && systemd-machine-id-setup, then reboot",
        )
    chosen = {
        host.name: facts.uplink(host.interface)
        for host, facts in hosts
        if facts.public_ip(host.interface) != NAT  # the check `interface` says so
    }
    uplinks = [(name, link.mac) for name, link in chosen.items() if link]
    for mac, owners in shared(uplinks):
        yield block(
            f"{some(owners)} have one MAC address, {mac}, on flannel's interface",
            "give each machine a network card with an address of its own",
        )
    used = {mac for _, mac in uplinks}
    others = [
        (host.name, link.mac)
        for host, facts in hosts
        for link in facts.links
        if not link.kind and link.name != "lo" and link.mac.strip("0:") and link.mac not in used
    ]
    for mac, owners in shared(others):
        yield warn(
            f"{some(owners)} have one MAC address, {mac}",
            "give each machine its own, unless the cards are on separate networks",
        )
    for host, facts in hosts:
        if not facts.hostname or not facts.machine_id:
            yield unread("the host name or the machine-id", host.name)
    yield ok("host names, machine-ids and MAC addresses all differ")


def _names(hosts: list[tuple[Host, Facts]]) -> Iterator[Finding]:
    for value, owners in shared((host.name, facts.hostname.lower()) for host, facts in hosts):
        yield block(
            f"{some(owners)} are all called {value}",
            "on each: hostnamectl set-hostname NAME, with the name that the answers give it",
        )
    for host, facts in hosts:
        called, name = facts.hostname.lower(), host.name.lower()
        if called and called != name and called.partition(".")[0] != name.partition(".")[0]:
            yield warn(
                f"it calls itself {facts.hostname}",
                f"hostnamectl set-hostname {host.name}, or name it so in the answers",
                host.name,
            )


MASTER_KUBE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE_KUBE = ("kubelet", "kube-proxy")


@check("services", "Do etcd, docker and Kubernetes run where they belong?", about="hosts")
def services(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Both etcd and docker are needed now; flannel comes up without Kubernetes' services."""
    etcd_answers = any(
        end.version for _, facts in heard(answers, known) for end in facts.etcd.values()
    )
    for host, facts in heard(answers, known):
        if not facts.units:
            yield unread("systemd's units", host.name)
            continue
        found = list(
            _etcd(host, facts, etcd_answers) if host.role == "master" else _docker(host, facts)
        )
        names = MASTER_KUBE if host.role == "master" else NODE_KUBE
        for name in names:
            unit = facts.unit(f"{name}.service")
            if not unit.running:
                found.append(
                    warn(
                        f"{name} {_state(unit)}",
                        f"systemctl enable --now {name}, where Kubernetes is to run it",
                        host.name,
                    )
                )
        yield from found
        if not found:
            first = "etcd" if host.role == "master" else "docker"
            yield ok(f"{some((first, *names))} run", host.name)


def _state(unit: Unit) -> str:
    if not unit.there:
        return "is not there"
    return "has failed" if unit.active == "failed" else "does not run"


def _etcd(host: Host, facts: Facts, answers_somewhere: bool) -> Iterator[Finding]:
    unit = facts.unit("etcd.service")
    if unit.running:
        return
    if answers_somewhere:
        yield warn(
            f"etcd {_state(unit)} as a service, but answers at its endpoint",
            "see that whatever runs it also starts it at boot",
            host.name,
        )
    elif unit.there:
        yield block(f"etcd {_state(unit)}", "systemctl enable --now etcd", host.name)
    else:
        yield block(
            "etcd is not there", "dnf -y install etcd && systemctl enable --now etcd", host.name
        )


def _docker(host: Host, facts: Facts) -> Iterator[Finding]:
    unit = facts.unit("docker.service")
    if not unit.there:
        yield block(
            "docker is not there",
            "dnf -y install moby-engine && systemctl enable --now docker",
            host.name,
        )
    elif not unit.running:
        yield warn(
            f"docker {_state(unit)}: flannel will be started, docker is left alone",
            "systemctl enable --now docker before the install, if containers are to run here",
            host.name,
        )


@check("labels", "Does Kubernetes know the nodes, by labels that differ?", about="master")
def labels(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Only where `kubectl` answers on the master; the procedure labels nodes `name=...`."""
    for _, facts in heard(answers, known, "master"):
        if not facts.kube_nodes:
            if any(host.label for host in answers.nodes):
                yield unread("Kubernetes' nodes", remedy="see `kubectl get nodes` on the master")
            yield ok("kubectl tells of no nodes, and the answers name no labels")
            continue
        for key in ("name", "kubernetes.io/hostname"):
            held = ((node.name, node.labels.get(key, "")) for node in facts.kube_nodes)
            for value, owners in shared(held):
                yield warn(
                    f"nodes {some(owners)} are all labelled {key}={value}",
                    f"kubectl label --overwrite node {quote(owners[-1])} {key}=ANOTHER",
                )
        for host, own in heard(answers, known, "nodes"):
            yield from _labelled(host, own, facts.kube_nodes)
        yield ok(f"Kubernetes knows {count(len(answers.nodes), 'node')}, each by its own label")


def _labelled(host: Host, facts: Facts, nodes: tuple[KubeNode, ...]) -> Iterator[Finding]:
    held = {text.partition("/")[0] for link in facts.links for text in link.addresses}
    called = {host.name.lower(), host.address.lower(), facts.hostname.lower()} | held
    mine = [n for n in nodes if called & {n.name.lower(), *map(str.lower, n.addresses)}]
    if not mine:
        yield warn(
            "Kubernetes has no node of this name or address",
            "see `kubectl get nodes` on the master and the kubelet's log here",
            host.name,
        )
    elif host.label and not any(host.label in _words(node.labels) for node in mine):
        yield warn(
            f"Kubernetes does not label it {host.label}",
            f"kubectl label node {quote(mine[0].name)} name={host.label}",
            host.name,
        )


def _words(labels: Mapping[str, str]) -> set[str]:
    return {*labels, *labels.values(), *(f"{key}={value}" for key, value in labels.items())}


MIB = 1024
NEEDED: Mapping[str, int] = {
    "/": 50 * MIB,
    "/etc": MIB,
    "/run": MIB,
    "/usr": 50 * MIB,
    "/var": 50 * MIB,
}
"""KiB without which the install would stop half-way: the package, dnf's cache, the settings."""

COMFORT = 200 * MIB
"""KiB on /var below which dnf's metadata of a whole Fedora may not fit."""


@check("disk", "Is there room for what is installed?", about="nodes")
def disk(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """A full disk in the middle of a package's transaction is the worst place to find out."""
    for host, facts in heard(answers, known, "nodes"):
        if not facts.free:
            yield unread("the free space", host.name)
            continue
        for path in facts.read_only:
            yield block(
                f"{path} is read-only",
                "make it writable; on an ostree system layer the package with rpm-ostree",
                host.name,
            )
        short = {path: facts.free[path] for path in NEEDED if path in facts.free}
        for path, free in short.items():
            if free < NEEDED[path]:
                yield block(
                    f"{path} has {free // MIB} MiB free of the {NEEDED[path] // MIB} needed",
                    f"make room on {path}, e.g. `dnf clean all` and `journalctl --vacuum-size=50M`",
                    host.name,
                )
            elif path == "/var" and free < COMFORT and answers.flannel.source == "dnf":
                yield warn(
                    f"/var has {free // MIB} MiB free; dnf's metadata may need more",
                    "make room on /var, e.g. `dnf clean all`",
                    host.name,
                )
        missing = sorted(set(NEEDED) - set(facts.free))
        if missing:
            yield unread(f"the free space of {some(missing)}", host.name)
    yield ok("every node has room on /, /etc, /run, /usr and /var")


@check("dnf-lock", "Is dnf free?", about="nodes")
def dnf_lock(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """It waits for the other by itself, which looks like hanging."""
    for host, facts in heard(answers, known, "nodes"):
        if not facts.hostname:
            yield unread("dnf's lock", host.name)
        if facts.dnf_lock:
            pid, _, command = facts.dnf_lock.partition(" ")
            yield warn(
                f"dnf is in use by process {pid} ({command.strip()[:80] or 'unknown'}): "
                "the install will wait for it",
                "let it end first, if it may take long",
                host.name,
            )
    yield ok("nobody holds dnf's lock")


@check("in-flight", "Has the last run ended on every host?", about="hosts")
def in_flight(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """What must not be cut in half runs on when a connection or the wizard has gone."""
    for host, facts in heard(answers, known):
        if not facts.units:
            yield unread("systemd's units", host.name)
        if facts.in_flight:
            yield block(
                f"{some(facts.in_flight)} of an earlier run still works",
                f"wait until `systemctl is-active {quote(facts.in_flight[0])}` says inactive",
                host.name,
            )
    yield ok("nothing of an earlier run still works")


APART_WARN = 2.0
"""Seconds."""


@check("clock", "Do the hosts' clocks agree?", about="hosts")
def clock(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Against the middle one of the hosts: the operator's own clock counts for nothing."""
    skews = {}
    for host, facts in heard(answers, known):
        if facts.clock:
            skews[host.name] = facts.skew
        else:
            yield unread("the clock", host.name)
    middle = median(skews.values()) if skews else 0.0
    for name, skew in skews.items():
        apart = skew - middle
        if abs(apart) <= APART_WARN:
            continue
        said = f"its clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} the others"
        remedy = "systemctl enable --now chronyd && chronyc makestep"
        yield (block if abs(apart) > CLOCKS_APART else warn)(said, remedy, name)
    yield ok(f"{count(len(skews), 'clock')} within {APART_WARN:.0f} s")


@check("selinux", "Will SELinux let flanneld run?", about="nodes")
def selinux(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """A file that was copied into place needs its label; a package brings its own."""
    modes = {facts.selinux.lower() or "absent" for _, facts in heard(answers, known, "nodes")}
    said = f"SELinux is {some(sorted(modes))} on the nodes"
    if "enforcing" in modes and answers.flannel.source == "binary":
        said += "; restorecon will label the uploaded flanneld"
    yield ok(said)


@check("network-manager", "Will NetworkManager leave flannel's devices alone?", about="nodes")
def network_manager(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """It takes the address off a device that it thinks is its own."""
    for host, facts in heard(answers, known, "nodes"):
        if not facts.units:
            yield unread("systemd's units", host.name)
    managed = [
        host.name
        for host, facts in heard(answers, known, "nodes")
        if facts.unit("NetworkManager.service").running
    ]
    if managed:
        yield ok(f"it runs on {some(managed)} and will be told to leave flannel's devices alone")
    else:
        yield ok("it runs on no node")
