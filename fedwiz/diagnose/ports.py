"""Causes that drop the packets between two nodes: firewalls on them, and what is in between."""

from collections.abc import Iterator

from fedwiz.diagnose.accept_rules import let_pass, remedy
from fedwiz.diagnose.filters import came, dropper, opening
from fedwiz.diagnose.values import Case, Diagnosis
from fedwiz.verify.nodes import addresses
from fedwiz.verify.values import Overlay


def _named(net: Overlay) -> str:
    """What is to pass between nodes: `8472/udp`, or `IP protocol 4`."""
    option, value = opening(net) or ("", "")
    return value if option == "port" else f"IP protocol {value}"


def port_closed(case: Case) -> Iterator[Diagnosis]:
    """A node's own firewall drops the backend's packets, on their way in or out."""
    it = dropper(case)
    if it is None or it.packet.whose != "outer":
        return
    mends, out = let_pass(case, it), it.hook in ("output", "postrouting")
    does = f"no {_named(case.net)} {'out' if out else 'in'}"
    whose, let = {
        "firewalld": ("firewalld", "lets"),
        "nft": ("nftables' own rules", "let"),
    }.get(it.kind, ("a rule of iptables'", "lets"))
    keep = "put the same where its rules come from, such as /etc/sysconfig/iptables"
    shown = remedy(case, it, mends, _named(case.net), keep)
    why = f"{whose} on {it.host} {let} {does}"
    yield Diagnosis("port-closed", it.host, why, it.seen, shown, mends)


def lost_between(case: Case) -> Iterator[Diagnosis]:
    """One node sends, the other gets nothing, and both have each other's address right."""
    lost = case.lost
    if lost is None or lost.name != "arriving" or dropper(case) is not None:
        return
    sender, target = case.peer(lost.host), case.published(lost.host)
    right = target in addresses(case.facts(lost.host)) and _aimed(case, sender, lost.host, target)
    if not right:
        return
    what = _named(case.net)
    other = "another `backend.port` may pass, or " if what[0].isdigit() else ""
    yield Diagnosis(
        "lost-between",
        lost.host,
        f"{what} from {sender} to {lost.host} gets lost on the network between them",
        f"{came(case, lost)} sent by {sender} to {target}, none arrived on {lost.host}; "
        f"no rule of either node's is known to drop them, and {target} is {lost.host}'s own",
        f"ask who runs the network between the nodes (security groups, the hypervisor, routers) "
        f"to let {what} pass between all nodes, both ways; {other}backend host-gw where all are "
        "on one link",
    )


def _aimed(case: Case, sender: str, receiver: str, target: str) -> bool:
    """Whether the sender sends to the receiver's address; for a VXLAN its FDB says so."""
    if case.net.backend != "vxlan":
        return True
    facts, link = case.facts(sender), case.facts(receiver).link(case.net.device)
    if facts.fdb is None:
        return target in facts.vteps
    to = {it.dst for it in facts.fdb if link and (it.dev, it.mac) == (case.net.device, link.mac)}
    return to == {target}
