"""Checks of flannel: its source, the abilities of its version, and what an old one left behind."""

from collections.abc import Iterator

from fedwiz.answers.file import Answers, Host
from fedwiz.checks.finding import Finding, block, check, ok, reached_hosts, unread, warn
from fedwiz.facts.values import ClusterFacts, Facts, Version
from fedwiz.facts.versions import (
    FLAGS,
    FLAGS_GONE,
    LOST_EVENTS,
    NEEDS_BR_NETFILTER,
    NEEDS_CLIENT_CERT,
    REFUSED,
    api_of,
    endpoint_variables,
    next_version,
)
from fedwiz.model.log_causes import cause_of
from fedwiz.util.words import some

SUPPLY = 'set flannel.source to "rpm" or "binary", and flannel.path to a file that you have'


@check("flannel-package", "Is there a flannel to install?", about="nodes")
def flannel_package(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """What dnf offers on the node itself decides which flannel Fedora would install."""
    for host, facts in reached_hosts(answers, known, "nodes"):
        if answers.flannel.source != "dnf":
            yield from _supplied(answers, host, known)
        elif installed := facts.packages.get("flannel"):
            yield ok(f"flannel {installed} is installed", host.name)
            if "FLANNEL_OPTIONS" not in endpoint_variables(facts.flanneld_unit):
                yield warn(
                    "flanneld's unit does not read FLANNEL_OPTIONS: -iface and -ip-masq get lost",
                    "systemctl revert flanneld, or put $FLANNEL_OPTIONS into its ExecStart",
                    host.name,
                )
        elif facts.offered:
            yield ok(f"dnf offers flannel {facts.offered}", host.name)
        else:
            yield _none(host, facts)


def _supplied(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Finding]:
    version = next_version(answers, host.name, known)
    if version:
        yield ok(f"flannel {dotted(version)} will be uploaded", host.name)
    elif answers.etcd.api == "auto":
        yield block(
            f"no version can be told from {answers.flannel.path}",
            'set etcd.api to "v2" (flannel before 0.18) or "v3"',
            host.name,
        )
    else:
        yield unread(f"the version in {answers.flannel.path}", host.name, "see that it is flannel")


def _none(host: Host, facts: Facts) -> Finding:
    why = facts.offered_why
    cause = cause_of([why]) if why else None
    if cause and cause.name != "no-package":
        return block(f"dnf: {cause.sentence} ({why})", cause.remedy, host.name)
    return block(f"dnf offers no flannel{f': {why}' if why else ''}", SUPPLY, host.name)


def dotted(version: Version) -> str:
    """`0.9.0`; `an unknown version` if it is empty."""
    return ".".join(map(str, version)) or "an unknown version"


@check("flannel-version", "Does this flannel do what the answers ask of it?", about="nodes")
def flannel_version(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Known faults of each version, and features that it does not have yet."""
    versions: dict[Version, list[str]] = {}
    for host, _ in reached_hosts(answers, known, "nodes"):
        versions.setdefault(next_version(answers, host.name, known), []).append(host.name)
    unknown = versions.pop((), [])
    if unknown:
        yield warn(
            f"flannel's version on {some(unknown)} is not known: not judged",
            "see the check `flannel-package`",
        )
    summary = some(f"{dotted(v)} on {some(hosts)}" for v, hosts in sorted(versions.items()))
    if len({api_of(version) for version in versions}) > 1:
        yield block(
            f"flannel before and after 0.18 do not meet in etcd: {summary}",
            "give all nodes one version of flannel",
        )
    elif len(versions) > 1:
        yield warn(
            f"the nodes' flannel differs: {summary}", "give all nodes one version of flannel"
        )
    for version, hosts in versions.items():
        for finding in _judge(answers, version):
            yield Finding(
                "", hosts[0] if len(hosts) == 1 else "", finding.level, finding.seen, finding.remedy
            )
    for host, facts in reached_hosts(answers, known, "nodes"):
        if next_version(answers, host.name, known) >= NEEDS_BR_NETFILTER:
            yield from _br_netfilter(host, facts)
    yield ok(f"flannel {summary}")


def _judge(answers: Answers, version: Version) -> Iterator[Finding]:
    number, other = dotted(version), "use another flannel: 0.21.3 or later, or one before 0.18"
    if version in REFUSED:
        yield block(f"flannel {number} can't use an etcd without a client certificate", other)
    elif LOST_EVENTS[0] <= version <= LOST_EVENTS[1]:
        yield warn(
            f"flannel {number} loses events: nodes that start together may miss a peer's route",
            "the install looks for that and fixes it; 0.21.3 or later does not need it",
        )
    exact = (version[0], version[1], version[2])
    for sentence in answers.backend.backend.unknown_to(exact, answers.backend.options):
        yield block(
            f"{sentence}; this is {number}", "choose what this flannel knows, or a newer one"
        )
    yield from _tls(answers, version)


def _tls(answers: Answers, version: Version) -> Iterator[Finding]:
    etcd, number = answers.etcd, dotted(version)
    secure = any(url.startswith("https") for url in etcd.endpoints)
    if etcd.user and version < (0, 5, 6):
        yield block(f"flannel {number} has no etcd user", "leave etcd.user out, or a newer flannel")
    if not secure or etcd.cert_file or version < NEEDS_CLIENT_CERT:
        return
    remedy = "set etcd.cert_file and etcd.key_file to a client certificate"
    if version > (0, 20, 0):
        yield block(f"flannel {number} hangs on https without a client certificate", remedy)
    elif version not in REFUSED:
        yield warn(f"flannel {number} trusts any certificate without one of its own", remedy)


@check("flannel-options", "Does this flanneld know its options?", about="nodes")
def flannel_options(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Check each option against each version that will run."""
    options = answers.flannel.options
    hosts = [host for host, _ in reached_hosts(answers, known, "nodes")]
    for version in sorted({next_version(answers, host.name, known) for host in hosts}):
        if not version:
            yield unread("flannel's version", remedy="see the check `flannel-package`")
            continue
        for option in options:
            yield from _flag(option, version)
    on = any(option.lstrip("-") in ("ip-masq", "ip-masq=true") for option in options)
    if not on:
        yield warn(
            "without -ip-masq containers see a node's address in place of the sender's own",
            'put "-ip-masq" into flannel.options: Kubernetes wants no NAT between pods',
        )
    yield ok(some(options))


def _flag(option: str, version: Version) -> Iterator[Finding]:
    """Flannel 0.8.0 and later exits with status 0 on an unknown flag."""
    name = option.lstrip("-").partition("=")[0]
    number = dotted(version)
    if name in FLAGS_GONE and version >= FLAGS_GONE[name]:
        yield block(f"flannel {number} has no {option} any more", "leave it out of flannel.options")
    elif name not in FLAGS and name not in FLAGS_GONE:
        yield warn(
            f"{option} is not a flag that fedwiz knows of, and flanneld ends at once "
            f"on a wrong one",
            "see `flanneld --help`",
        )
    elif name in FLAGS and version < FLAGS[name]:
        yield block(
            f"{option} needs flannel {dotted(FLAGS[name])} or later; this is {number}",
            "leave it out of flannel.options, or use a newer flannel",
        )


def _br_netfilter(host: Host, facts: Facts) -> Iterator[Finding]:
    if not facts.modules:
        yield unread("the kernel's modules", host.name)
    elif "br_netfilter" not in facts.modules:
        yield block(
            "the kernel has no br_netfilter, and flannel 0.26 and later end without it",
            "dnf -y install kernel-modules-$(uname -r)",
            host.name,
        )


@check("backend-kernel", "Has the kernel what the backend needs?", about="nodes")
def backend_kernel(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """A missing module would otherwise show only when flanneld creates its device."""
    backend = answers.backend.backend
    for host, facts in reached_hosts(answers, known, "nodes"):
        if backend.name == "udp" and facts.arch not in ("", "x86_64"):
            yield block(
                f"flannel's udp backend is there on x86_64 only, not on {facts.arch}",
                "set backend.type to vxlan",
                host.name,
            )
        if backend.modules and not facts.modules:
            yield unread("the kernel's modules", host.name)
            continue
        absent = [name for name in backend.modules if name not in facts.modules]
        if absent:
            yield block(
                f"kernel {facts.kernel} has no {some(absent)}",
                "dnf -y install kernel-modules-$(uname -r), or set backend.type to another one",
                host.name,
            )
    needs = some(backend.modules) or "nothing of its own"
    yield ok(f"{backend.name} needs {needs}" + (", and it is there" if backend.modules else ""))


@check("leftovers", "Did an earlier flannel leave anything behind?", about="nodes")
def leftovers(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Stopping flanneld leaves its device, routes and subnet.env; two networks would then mix."""
    backend, options = answers.backend.backend, answers.backend.options
    device, cidr = backend.device(options), answers.network.cidr
    for host, facts in reached_hosts(answers, known, "nodes"):
        if not facts.links:
            yield unread("the interfaces", host.name)
        found = [link.name for link in facts.flannel_links if link.name != device]
        for link in facts.flannel_links:
            uplink = facts.uplink(host.interface)
            expected_mtu = backend.mtu(uplink.mtu, options) if uplink else link.mtu
            if link.name == device and link.mtu and expected_mtu != link.mtu:
                found.append(f"{device} with MTU {link.mtu} instead of {expected_mtu}")
        old = (facts.subnet_env or {}).get("FLANNEL_NETWORK", cidr)
        if old != cidr:
            found.append(f"a subnet.env of {old}")
        if found:
            yield warn(
                f"{some(found)} of an earlier flannel; removed before flanneld starts",
                "nothing, unless something else still uses it",
                host.name,
            )
    yield ok("nothing of an earlier network")
