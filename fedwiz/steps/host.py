"""Steps that prepare a node for flannel: kernel, network services, firewall."""

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

    A module that the kernel does not have at all is left to a check. docker turns `ip_forward` on
    when it starts and flannel never does; both need it, whichever starts first.
    """
    facts = known.hosts[host.name]
    modules = [
        name for name in ("br_netfilter", *answers.backend.backend.modules) if name in facts.modules
    ]
    # Include modules that are loaded now: whatever loaded them, perhaps docker, may start after
    # flanneld at the next boot.
    if modules:
        yield from put_file(facts, MODULES_FILE, "".join(f"{name}\n" for name in modules))
    for name in modules:
        if not facts.modules[name]:
            yield change("modprobe", name, undo=f"modprobe -r {name}")
    sysctls = settings(facts)
    yield from put_file(facts, SYSCTL_FILE, "".join(f"{k} = {v}\n" for k, v in sysctls.items()))
    for key, value in sysctls.items():
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
    sysctls = {"net.ipv4.ip_forward": "1"}
    if "br_netfilter" in facts.modules:
        sysctls["net.bridge.bridge-nf-call-iptables"] = "1"
    strict = "net.ipv4.conf.all.rp_filter"
    old = facts.files.get(SYSCTL_FILE)
    # Once loosened it reads 2; the line must stay, or the next plan would remove it.
    if facts.sysctls.get(strict) == "1" or (old is not None and strict in old.text):
        sysctls[strict] = "2"
    return sysctls


@step("link", "Keep systemd from changing flannel's MAC address")
def link(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """The `.link` file must exist before the device is created.

    systemd 242 and later gives a new device a MAC address of its own after flannel has already
    published the first one (flannel-io/flannel#1155).
    """
    yield from put_file(known.hosts[host.name], LINK_FILE, LINK_TEXT)


@step("networkmanager", "Keep NetworkManager off flannel's and docker's devices", cuts=True)
def networkmanager(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """Only if NetworkManager runs, or would at the next boot."""
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

    The ports are opened in the zone of flannel's interface, which may not be the default zone. Both
    the running and the permanent configuration are changed instead of reloading: a reload drops
    rules that others added at run time, docker's among them.
    """
    firewalld = known.hosts[host.name].firewall
    if firewalld is None:
        return
    backend = answers.backend.backend
    zone = (f"--zone={firewalld.zone}",) if firewalld.zone else ()
    opened = [(f"--add-port={port}", port) for port in backend.ports(answers.backend.options)]
    opened += [(f"--add-protocol={protocol}", protocol) for protocol in backend.protocols]
    for flag, what in opened:
        words = (*zone, flag)
        if what not in firewalld.ports:
            yield _firewall(*words)
        if what not in firewalld.permanent:
            yield _firewall("--permanent", *words)
    words = ("--zone=trusted", f"--add-source={answers.network.cidr}")
    if answers.network.cidr not in firewalld.trusted:
        yield _firewall(*words)
    if answers.network.cidr not in firewalld.trusted_permanent:
        yield _firewall("--permanent", *words)


def _firewall(*words: str) -> Run:
    """Add something to firewalld, with the command that removes it again."""
    undo = change("firewall-cmd", *(word.replace("--add-", "--remove-") for word in words))
    return change("firewall-cmd", *words, undo=undo.shown, back=undo)
