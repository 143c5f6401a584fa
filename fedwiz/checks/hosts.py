"""Checks of the hosts themselves: identity, running services, disk space."""

from collections.abc import Iterator, Mapping
from shlex import quote
from statistics import median

from fedwiz.answers.file import Answers, Host
from fedwiz.checks.finding import Finding, block, check, duplicates, ok, reached_hosts, unread, warn
from fedwiz.checks.ranges import NAT
from fedwiz.facts.values import ClusterFacts, Facts, KubeNode, Unit
from fedwiz.facts.versions import CLOCKS_APART
from fedwiz.util.words import count, some

FEDORA_LIKE = frozenset({"fedora", "rhel", "centos", "rocky", "almalinux", "ol"})


@check("reachable", "Does every host answer?")
def reachable(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """The only check that reports hosts that could not be read."""
    for host in answers.host:
        if host.name in known.lost:
            why = known.lost[host.name] or "no reason was given"
            # The reason includes the remedy: the code that failed to connect knows best.
            yield block(why, "see to that, then run the same command again", host.name)
        elif host.name not in known.hosts:
            yield block("it was not asked", "run `fedwiz check` again", host.name)
    yield ok(f"all {len(answers.host)} hosts answered")


@check("os", "Do the hosts run Fedora?", about="hosts")
def os(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Package names and paths are Fedora's; other systems may differ."""
    systems = set()
    for host, facts in reached_hosts(answers, known):
        systems.add(f"{facts.os} {facts.os_version}".strip())
        if not facts.os:
            yield unread("/etc/os-release", host.name)
        elif facts.os not in FEDORA_LIKE:
            yield warn(
                f"{facts.os} {facts.os_version}, which is not Fedora",
                "expect other package names and paths, or use a Fedora host",
                host.name,
            )
    yield ok(some(sorted(systems)))


@check("distinct-names", "Does every host have a name and addresses of its own?", about="hosts")
def distinct_names(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Clones share what must be unique: to Kubernetes, flannel or the switch they are one host.

    Addresses of bridges are the same on every host, and so is the NAT interface of VirtualBox
    machines, MAC included: only the interface that flannel uses blocks the install.
    """
    hosts = list(reached_hosts(answers, known))
    yield from _names(hosts)
    ids = [(host.name, facts.machine_id) for host, facts in hosts]
    for value, owners in duplicates(ids):
        yield warn(
            f"{some(owners)} have one machine-id, {value[:8]}…: they are clones",
            "on all but one: rm /etc/machine-id && systemd-machine-id-setup, then reboot",
        )
    chosen = {
        host.name: facts.uplink(host.interface)
        for host, facts in hosts
        if facts.public_ip(host.interface) != NAT  # reported by the check `interface`
    }
    uplinks = [(name, link.mac) for name, link in chosen.items() if link]
    for mac, owners in duplicates(uplinks):
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
    for mac, owners in duplicates(others):
        yield warn(
            f"{some(owners)} have one MAC address, {mac}",
            "give each machine its own, unless the cards are on separate networks",
        )
    for host, facts in hosts:
        if not facts.hostname or not facts.machine_id:
            yield unread("the host name or the machine-id", host.name)
    yield ok("host names, machine-ids and MAC addresses all differ")


def _names(hosts: list[tuple[Host, Facts]]) -> Iterator[Finding]:
    for value, owners in duplicates((host.name, facts.hostname.lower()) for host, facts in hosts):
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
    """Etcd and docker are needed now; flannel starts without Kubernetes' services."""
    etcd_answers = any(
        end.version for _, facts in reached_hosts(answers, known) for end in facts.etcd.values()
    )
    for host, facts in reached_hosts(answers, known):
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
    """Only if `kubectl` works on the master; the procedure labels nodes `name=...`."""
    for _, facts in reached_hosts(answers, known, "master"):
        if not facts.kube_nodes:
            if any(host.label for host in answers.nodes):
                yield unread("Kubernetes' nodes", remedy="see `kubectl get nodes` on the master")
            yield ok("kubectl tells of no nodes, and the answers name no labels")
            continue
        for key in ("name", "kubernetes.io/hostname"):
            label_values = ((node.name, node.labels.get(key, "")) for node in facts.kube_nodes)
            for value, owners in duplicates(label_values):
                yield warn(
                    f"nodes {some(owners)} are all labelled {key}={value}",
                    f"kubectl label --overwrite node {quote(owners[-1])} {key}=ANOTHER",
                )
        for host, node_facts in reached_hosts(answers, known, "nodes"):
            yield from _labelled(host, node_facts, facts.kube_nodes)
        yield ok(f"Kubernetes knows {count(len(answers.nodes), 'node')}, each by its own label")


def _labelled(host: Host, facts: Facts, nodes: tuple[KubeNode, ...]) -> Iterator[Finding]:
    addresses = {text.partition("/")[0] for link in facts.links for text in link.addresses}
    identifiers = {host.name.lower(), host.address.lower(), facts.hostname.lower()} | addresses
    mine = [n for n in nodes if identifiers & {n.name.lower(), *map(str.lower, n.addresses)}]
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
"""KiB without which the install would fail half-way: for the package, dnf's cache, the settings."""

COMFORT = 200 * MIB
"""KiB on /var below which dnf's metadata for all of Fedora may not fit."""


@check("disk", "Is there room for what is installed?", about="nodes")
def disk(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """The worst time to run out of space is in the middle of a package transaction."""
    for host, facts in reached_hosts(answers, known, "nodes"):
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
    """Dnf waits for the other process by itself, which looks like hanging."""
    for host, facts in reached_hosts(answers, known, "nodes"):
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
    """Work that must not be interrupted continues after a connection or the wizard is gone."""
    for host, facts in reached_hosts(answers, known):
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
    """Compared with the median of the hosts; the operator's own clock does not matter."""
    skews = {}
    for host, facts in reached_hosts(answers, known):
        if facts.clock:
            skews[host.name] = facts.skew
        else:
            yield unread("the clock", host.name)
    middle = median(skews.values()) if skews else 0.0
    for name, skew in skews.items():
        apart = skew - middle
        if abs(apart) <= APART_WARN:
            continue
        text = f"its clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} the others"
        remedy = "systemctl enable --now chronyd && chronyc makestep"
        yield (block if abs(apart) > CLOCKS_APART else warn)(text, remedy, name)
    yield ok(f"{count(len(skews), 'clock')} within {APART_WARN:.0f} s")


@check("selinux", "Will SELinux let flanneld run?", about="nodes")
def selinux(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """A file copied into place needs an SELinux label; a package brings its own."""
    modes = {
        facts.selinux.lower() or "absent" for _, facts in reached_hosts(answers, known, "nodes")
    }
    text = f"SELinux is {some(sorted(modes))} on the nodes"
    if "enforcing" in modes and answers.flannel.source == "binary":
        text += "; restorecon will label the uploaded flanneld"
    yield ok(text)


@check("network-manager", "Will NetworkManager leave flannel's devices alone?", about="nodes")
def network_manager(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """It removes the address from any device that it considers its own."""
    for host, facts in reached_hosts(answers, known, "nodes"):
        if not facts.units:
            yield unread("systemd's units", host.name)
    managed = [
        host.name
        for host, facts in reached_hosts(answers, known, "nodes")
        if facts.unit("NetworkManager.service").running
    ]
    if managed:
        yield ok(f"it runs on {some(managed)} and will be told to leave flannel's devices alone")
    else:
        yield ok("it runs on no node")
