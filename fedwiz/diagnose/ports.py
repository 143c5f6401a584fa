"""Causes that drop packets between two nodes: their firewalls, and the network in between."""

from collections.abc import Iterator

from fedwiz.diagnose.accept_rules import accept_fixes, remedy
from fedwiz.diagnose.filters import dropper, opening, packets_before
from fedwiz.diagnose.values import Case, Diagnosis
from fedwiz.verify.nodes import addresses
from fedwiz.verify.values import Overlay


def _carrier(net: Overlay) -> str:
    """What has to pass between nodes: `8472/udp`, or `IP protocol 4`."""
    option, value = opening(net) or ("", "")
    return value if option == "port" else f"IP protocol {value}"


def port_closed(case: Case) -> Iterator[Diagnosis]:
    """A node's own firewall drops the backend's packets, incoming or outgoing."""
    it = dropper(case)
    if it is None or it.packet.whose != "outer":
        return
    fixes, out = accept_fixes(case, it), it.hook in ("output", "postrouting")
    effect = f"no {_carrier(case.net)} {'out' if out else 'in'}"
    whose, verb = {
        "firewalld": ("firewalld", "lets"),
        "nft": ("nftables' own rules", "let"),
    }.get(it.kind, ("a rule of iptables'", "lets"))
    permanence = "put the same where its rules come from, such as /etc/sysconfig/iptables"
    remedy_text = remedy(case, it, fixes, _carrier(case.net), permanence)
    why = f"{whose} on {it.host} {verb} {effect}"
    yield Diagnosis("port-closed", it.host, why, it.seen, remedy_text, fixes)


def lost_between(case: Case) -> Iterator[Diagnosis]:
    """One node sends, the other receives nothing, and both have each other's right address."""
    lost = case.lost
    if lost is None or lost.name != "arriving" or dropper(case) is not None:
        return
    sender, target = case.peer(lost.host), case.published(lost.host)
    addresses_right = target in addresses(case.facts(lost.host)) and _sends_to(
        case, sender, lost.host, target
    )
    if not addresses_right:
        return
    what = _carrier(case.net)
    other = "another `backend.port` may pass, or " if what[0].isdigit() else ""
    yield Diagnosis(
        "lost-between",
        lost.host,
        f"{what} from {sender} to {lost.host} gets lost on the network between them",
        f"{packets_before(case, lost)} sent by {sender} to {target}, none arrived on {lost.host}; "
        f"no rule of either node's is known to drop them, and {target} is {lost.host}'s own",
        f"ask who runs the network between the nodes (security groups, the hypervisor, routers) "
        f"to let {what} pass between all nodes, both ways; {other}backend host-gw where all are "
        "on one link",
    )


def _sends_to(case: Case, sender: str, receiver: str, target: str) -> bool:
    """Whether the sender sends to the receiver's address; with VXLAN its FDB tells."""
    if case.net.backend != "vxlan":
        return True
    facts, link = case.facts(sender), case.facts(receiver).link(case.net.device)
    if facts.fdb is None:
        return target in facts.vteps
    destinations = {
        it.dst for it in facts.fdb if link and (it.dev, it.mac) == (case.net.device, link.mac)
    }
    return destinations == {target}
