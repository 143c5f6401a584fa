"""Fixes that restart flanneld and keep docker on its subnet: `scripts/restart.sh`."""

from dataclasses import dataclass
from ipaddress import IPv4Network

from fedwiz.diagnose.values import Case, Fix
from fedwiz.etcd.leases import Lease
from fedwiz.facts.values import File
from fedwiz.facts.versions import endpoint_variables
from fedwiz.model.envfile import values, with_values
from fedwiz.steps.flannel import FLANNELD_ENVIRONMENT, SYSCONFIG, wanted_values
from fedwiz.steps.make import diff, run_script
from fedwiz.steps.peers import peer_entry_kind
from fedwiz.verify.leases import usable_leases
from fedwiz.verify.nodes import subnet_of
from fedwiz.verify.peers import routes_to

FLANNELD, DOCKER = "flanneld.service", "docker.service"
DOCKER_SECONDS = 255
"""Seconds that docker may take, in addition to the time that flanneld gets to be ready."""


@dataclass(frozen=True, slots=True)
class Settings:
    """flanneld's settings on a node, as they are and as the answers require them."""

    file: File
    text: str
    """The required text of the file."""

    differences: tuple[str, ...]
    """The differences, in words; empty: none."""


def settings(case: Case, host: str, interface: str = "") -> Settings | None:
    """The current and the required text of /etc/sysconfig/flanneld; None: the file does not exist.

    Args:
        case: the cluster.
        host: a node's name.
        interface: name or address, for a node without one in the answers.
    """
    facts, node = case.facts(host), case.host(host)
    file = facts.files.get(SYSCONFIG)
    if file is None:
        return None
    if interface and not node.interface:
        node = node.model_copy(update={"interface": interface})
    wanted_by_name = wanted_values(case.answers, node, facts.flanneld_unit)
    values_now = values(file.text)
    wanted_by_name |= {
        name: ""
        for name in FLANNELD_ENVIRONMENT
        if values_now.get(name) and name not in wanted_by_name
    }
    missing = {
        name: value for name, value in wanted_by_name.items() if values_now.get(name, "") != value
    }
    differences = tuple(
        f'{SYSCONFIG}: {name} is "{values_now.get(name, "")}", and the answers want "{value}"'
        for name, value in missing.items()
    )
    return Settings(file, with_values(file.text, missing), differences)


def prefix_of(case: Case, host: str) -> str | None:
    """The etcd prefix that a node's flanneld is configured with; None: unknown."""
    facts = case.facts(host)
    file = facts.files.get(SYSCONFIG)
    if file is None:
        return None
    names_read, file_values = endpoint_variables(facts.flanneld_unit), values(file.text)
    names = (name for name in ("FLANNEL_ETCD_PREFIX", "FLANNEL_ETCD_KEY") if name in names_read)
    return next(
        (f"/{file_values[name].strip('/')}" for name in names if file_values.get(name)), None
    )


def restart_flanneld(
    case: Case,
    host: str,
    subnet: str,
    docker: str,
    undo_arguments: tuple[str, ...] | None,
    *,
    change: Settings | None = None,
    interrupts: bool = False,
    undo: str = "",
) -> Fix:
    """Restart flanneld.

    Args:
        case: the cluster.
        host: the node.
        subnet: what happens to it; see the script.
        docker: what happens to docker; see the script.
        undo_arguments: of the run that undoes this one: the script's first two arguments, and
            those after the fourth; None: there is no undo.
        change: new settings; the undo restores the old ones.
        interrupts: running containers stop.
        undo: for people, if there is no undo run.
    """
    old = change.file if change else None
    mode = f"{old.mode:04o}" if old else "-"
    ready, undo_run = case.answers.docker.ready_within, None
    # A password must not get into a journal.
    if undo_arguments is not None and (old is None or "PASSWORD" not in old.text):
        undo_run = run_script(
            "restart",
            *undo_arguments[:2],
            mode,
            str(ready),
            *undo_arguments[2:],
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
            back=undo_run,
            stdin=(change.text,) if change else (),
            diff=diff(SYSCONFIG, change.file.text, change.text) if change else "",
            undo=undo
            or (undo_run.brief if undo_run else "set back what the diff takes away, and restart"),
        ),
    )


def wait_for_peers(case: Case, host: str, address: str) -> tuple[Fix, ...]:
    """Wait until a restarted node and the other node of the pair have learnt of each other.

    Args:
        case: the cluster.
        host: the node.
        address: what it publishes from now on.
    """
    kind = peer_entry_kind(case.net.backend, case.net.options)
    if kind is None:
        return ()
    peer = case.peer(host)
    lease, undo_text = case.lease(peer), "nothing: it waits, and has flanneld look again"
    waits = [(peer, address)]
    if lease is not None:
        waits.append((host, lease.public_ip))
    return tuple(
        Fix(waiting_host, run_script("peers", kind, peer_address, timeout=150, undo=undo_text))
        for waiting_host, peer_address in waits
    )


def etcd_key_arguments(case: Case, key: str, value: str) -> tuple[str, ...]:
    """A script's arguments to write an etcd key; empty: not possible, because etcd has users."""
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


def lease_of_subnet(case: Case, host: str) -> Lease | None:
    """The lease of a node's subnet, whoever owns it."""
    subnet = subnet_of(case.facts(host))
    found = usable_leases(case.known) if subnet else ()
    return next((it for it in found if subnet and it.subnet == str(subnet.network)), None)


def flanneld_ready(case: Case, host: str) -> bool:
    """Whether flanneld is ready on a node."""
    return case.facts(host).unit(FLANNELD).active == "active"


def etcd_readable(case: Case) -> bool:
    """Whether the contents of etcd are known."""
    return bool(case.known.store.api) and not case.known.store.error


def is_cut_off(case: Case, host: str) -> bool:
    """The pair does not ping, and something that flannel maintains for a node is missing."""
    if case.pings:
        return False
    facts, net = case.facts(host), case.net
    subnet, peer_subnet = subnet_of(facts), subnet_of(case.facts(case.peer(host)))
    return (
        subnet is None
        or (etcd_readable(case) and case.lease(host) is None)
        or net.backend == "udp"
        or (bool(net.device) and facts.link(net.device) is None)
        or (peer_subnet is not None and not routes_to(facts, peer_subnet.network))
        or not routes_to(case.facts(case.peer(host)), subnet.network)
    )
