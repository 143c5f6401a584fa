"""Steps that ready a node before flannel comes: kernel, network services, firewall."""

from collections.abc import Iterator
from dataclasses import replace

from fedwiz.answers.file import Answers, Host
from fedwiz.facts.values import ClusterFacts, Facts
from fedwiz.model.actions import Run
from fedwiz.steps.make import change, put_file
from fedwiz.steps.table import step

MODULES_FILE = "/etc/modules-load.d/fedwiz.conf"
SYSCTL_FILE = "/etc/sysctl.d/90-fedwiz.conf"
LINK_FILE = "/etc/systemd/network/50-flannel.link"
UNMANAGED_FILE = "/etc/NetworkManager/conf.d/90-fedwiz.conf"

LINK_TEXT = """\
# Written by fedwiz: the address that flannel publishes for its device must stay.
[Match]
OriginalName=flannel*

[Link]
MACAddressPolicy=none
"""
UNMANAGED_TEXT = """\
# Written by fedwiz: flannel and docker look after these themselves.
[keyfile]
unmanaged-devices=interface-name:flannel*;interface-name:docker0;interface-name:veth*
"""


@step("kernel", "Load the kernel's modules and let it forward")
def kernel(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """Modules and sysctls, now and at each boot.

    A module that the kernel does not have at all is a check's matter.  docker turns
    `ip_forward` on when it starts and flannel never does; both need it whoever was first.
    """
    facts = known.hosts[host.name]
    modules = [
        name for name in ("br_netfilter", *answers.backend.backend.modules) if name in facts.modules
    ]
    # Also those that are there now: who loaded them, docker perhaps, may come after flanneld
    # at the next boot.
    if modules:
        yield from put_file(facts, MODULES_FILE, "".join(f"{name}\n" for name in modules))
    for name in modules:
        if not facts.modules[name]:
            yield change("modprobe", name, undo=f"modprobe -r {name}")
    wanted = settings(facts)
    yield from put_file(facts, SYSCTL_FILE, "".join(f"{k} = {v}\n" for k, v in wanted.items()))
    for key, value in wanted.items():
        was = facts.sysctls.get(key)
        if was != value:
            yield change(
                "sysctl",
                "-w",
                f"{key}={value}",
                undo=f"sysctl -w {key}={was}" if was is not None else "",
            )


def settings(facts: Facts) -> dict[str, str]:
    """The sysctls that a node needs."""
    found = {"net.ipv4.ip_forward": "1"}
    if "br_netfilter" in facts.modules:
        found["net.bridge.bridge-nf-call-iptables"] = "1"
    strict = "net.ipv4.conf.all.rp_filter"
    old = facts.files.get(SYSCTL_FILE)
    # Once loosened it reads 2; the line must stay, or the next plan would take it out.
    if facts.sysctls.get(strict) == "1" or (old is not None and strict in old.text):
        found[strict] = "2"
    return found


@step("link", "Keep systemd from changing flannel's MAC address")
def link(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """The `.link` file must be there before the device is made.

    systemd 242 and later gives a new device a MAC address of its own while flannel has
    already published the first one (flannel-io/flannel#1155).
    """
    yield from put_file(known.hosts[host.name], LINK_FILE, LINK_TEXT)


@step("networkmanager", "Keep NetworkManager off flannel's and docker's devices", cuts=True)
def networkmanager(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """Where NetworkManager runs, or would at the next boot."""
    facts = known.hosts[host.name]
    unit = facts.unit("NetworkManager.service")
    if not unit.there:
        return
    written = list(put_file(facts, UNMANAGED_FILE, UNMANAGED_TEXT))
    yield from written
    if written and unit.running:
        reload = change("systemctl", "reload", "NetworkManager.service")
        yield replace(reload, back=reload)


@step("firewall", "Let the backend's packets and the pods through firewalld", cuts=True)
def firewall(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """The backend's ports and protocols, and the network as a trusted source.

    The ports are opened in the zone of flannel's interface, which may not be the default one.
    Both the running and the permanent set are changed, rather than reloading: a reload drops
    what others added at run time, docker's rules among them.
    """
    walls = known.hosts[host.name].firewall
    if walls is None:
        return
    backend = answers.backend.backend
    zone = (f"--zone={walls.zone}",) if walls.zone else ()
    opened = [(f"--add-port={port}", port) for port in backend.ports(answers.backend.options)]
    opened += [(f"--add-protocol={protocol}", protocol) for protocol in backend.protocols]
    for flag, what in opened:
        words = (*zone, flag)
        if what not in walls.ports:
            yield _firewall(*words)
        if what not in walls.permanent:
            yield _firewall("--permanent", *words)
    words = ("--zone=trusted", f"--add-source={answers.network.cidr}")
    if answers.network.cidr not in walls.trusted:
        yield _firewall(*words)
    if answers.network.cidr not in walls.trusted_permanent:
        yield _firewall("--permanent", *words)


def _firewall(*words: str) -> Run:
    """Something added, and how it is taken away."""
    back = change("firewall-cmd", *(word.replace("--add-", "--remove-") for word in words))
    return change("firewall-cmd", *words, undo=back.shown, back=back)
