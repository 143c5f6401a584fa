"""Remedies that start flanneld anew, and see docker onto its subnet: `scripts/restart.sh`."""

from dataclasses import dataclass
from ipaddress import IPv4Network

from fedwiz.diagnose.values import Case, Fix
from fedwiz.etcd.leases import Lease
from fedwiz.facts.values import File
from fedwiz.facts.versions import endpoint_variables
from fedwiz.model.envfile import values, with_values
from fedwiz.steps.flannel import FLANNELD_ENVIRONMENT, SYSCONFIG, wanted_values
from fedwiz.steps.make import diff, run_script
from fedwiz.steps.peers import told_by
from fedwiz.verify.leases import usable
from fedwiz.verify.nodes import subnet_of
from fedwiz.verify.peers import leading

FLANNELD, DOCKER = "flanneld.service", "docker.service"
DOCKER_SECONDS = 255
"""Seconds that docker takes, besides those that flanneld gets to be ready."""


@dataclass(frozen=True, slots=True)
class Settings:
    """flanneld's settings on a node, as they are and as the answers have them."""

    file: File
    text: str
    """What the file must say."""

    wrong: tuple[str, ...]
    """What differs, in words; empty: nothing."""


def settings(case: Case, host: str, interface: str = "") -> Settings | None:
    """What /etc/sysconfig/flanneld says and must say; None: it is not there.

    Args:
        case: the cluster.
        host: a node's name.
        interface: for a node that the answers give none: name or address.
    """
    facts, node = case.facts(host), case.host(host)
    file = facts.files.get(SYSCONFIG)
    if file is None:
        return None
    if interface and not node.interface:
        node = node.model_copy(update={"interface": interface})
    wanted = wanted_values(case.answers, node, facts.flanneld_unit)
    now = values(file.text)
    wanted |= {name: "" for name in FLANNELD_ENVIRONMENT if now.get(name) and name not in wanted}
    left = {name: value for name, value in wanted.items() if now.get(name, "") != value}
    wrong = tuple(
        f'{SYSCONFIG}: {name} is "{now.get(name, "")}", and the answers want "{value}"'
        for name, value in left.items()
    )
    return Settings(file, with_values(file.text, left), wrong)


def prefix_of(case: Case, host: str) -> str | None:
    """The prefix in etcd that a node's flanneld is told; None: that is not known."""
    facts = case.facts(host)
    file = facts.files.get(SYSCONFIG)
    if file is None:
        return None
    read, said = endpoint_variables(facts.flanneld_unit), values(file.text)
    names = (name for name in ("FLANNEL_ETCD_PREFIX", "FLANNEL_ETCD_KEY") if name in read)
    return next((f"/{said[name].strip('/')}" for name in names if said.get(name)), None)


def restart(
    case: Case,
    host: str,
    subnet: str,
    docker: str,
    back: tuple[str, ...] | None,
    *,
    change: Settings | None = None,
    interrupts: bool = False,
    undo: str = "",
) -> Fix:
    """Start flanneld anew.

    Args:
        case: the cluster.
        host: the node.
        subnet: what becomes of it; see the script.
        docker: what becomes of docker; see the script.
        back: the script's first two arguments, and those after the fourth, of what takes it
            back; None: nothing does.
        change: new settings; the way back has the old ones.
        interrupts: running containers stop.
        undo: for people, where there is no way back.
    """
    old = change.file if change else None
    mode = f"{old.mode:04o}" if old else "-"
    ready, taken = case.answers.docker.ready_within, None
    # A password has no place in a journal.
    if back is not None and (old is None or "PASSWORD" not in old.text):
        taken = run_script(
            "restart",
            *back[:2],
            mode,
            str(ready),
            *back[2:],
            timeout=DOCKER_SECONDS + ready,
            stdin=(old.text,) if old else (),
            interrupts=interrupts,
        )
    return Fix(
        host,
        run_script(
            "restart",
            subnet,
            docker,
            mode,
            str(ready),
            timeout=DOCKER_SECONDS + ready,
            interrupts=interrupts,
            back=taken,
            stdin=(change.text,) if change else (),
            diff=diff(SYSCONFIG, change.file.text, change.text) if change else "",
            undo=undo
            or (taken.brief if taken else "set back what the diff takes away, and restart"),
        ),
    )


def both_ways(case: Case, host: str, address: str) -> tuple[Fix, ...]:
    """Wait until a node that was started anew and its peer of the two have learnt of each other.

    Args:
        case: the cluster.
        host: the node.
        address: what it publishes from now on.
    """
    kind = told_by(case.net.backend, case.net.options)
    if kind is None:
        return ()
    peer = case.peer(host)
    lease, said = case.lease(peer), "nothing: it waits, and has flanneld look again"
    ways = [(peer, address)]
    if lease is not None:
        ways.append((host, lease.public_ip))
    return tuple(
        Fix(one, run_script("peers", kind, to, timeout=150, undo=said)) for one, to in ways
    )


def key_words(case: Case, key: str, value: str) -> tuple[str, ...]:
    """What a script needs to write a key of etcd's; empty: it may not, since etcd has users."""
    etcd = case.answers.etcd
    if etcd.user or case.known.store.error or not case.known.store.api:
        return ()
    return (
        case.known.store.api,
        etcd.endpoints[0],
        key,
        value,
        etcd.ca_file,
        etcd.cert_file,
        etcd.key_file,
    )


def subnet_key(case: Case, subnet: IPv4Network) -> str:
    """The key of a subnet's lease."""
    text = f"{subnet.network_address}-{subnet.prefixlen}"
    return f"{case.answers.etcd.prefix}/subnets/{text}"


def leased(case: Case, host: str) -> Lease | None:
    """The lease of the subnet that a node has, whoever has it."""
    subnet = subnet_of(case.facts(host))
    found = usable(case.known) if subnet else ()
    return next((it for it in found if subnet and it.subnet == str(subnet.network)), None)


def runs(case: Case, host: str) -> bool:
    """Whether flanneld is ready on a node."""
    return case.facts(host).unit(FLANNELD).active == "active"


def readable(case: Case) -> bool:
    """What etcd holds is known."""
    return bool(case.known.store.api) and not case.known.store.error


def cut(case: Case, host: str) -> bool:
    """The pair does not ping, and what flannel keeps up for a node is not there."""
    if case.pings:
        return False
    facts, net = case.facts(host), case.net
    mine, theirs = subnet_of(facts), subnet_of(case.facts(case.peer(host)))
    return (
        mine is None
        or (readable(case) and case.lease(host) is None)
        or net.backend == "udp"
        or (bool(net.device) and facts.link(net.device) is None)
        or (theirs is not None and not leading(facts, theirs.network))
        or not leading(case.facts(case.peer(host)), mine.network)
    )
