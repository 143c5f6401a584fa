"""Causes that drop the packets between two nodes: firewalls on them, and what is in between."""

from collections.abc import Iterator

from fedwiz.diagnose.filters import came, dropper, opening, published
from fedwiz.diagnose.openings import let_pass, told
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
    shown = told(case, it, mends) or f"accept {_named(case.net)} before it"
    if it.kind == "firewalld":
        why = f"firewalld on {it.host} lets {does}"
        remedy = f"on {it.host}: {shown}, which keeps it for good"
    elif it.kind == "nft":
        why = f"nftables' own rules on {it.host} let {does}"
        remedy = (
            f"{shown} on {it.host}, for what other chains accept this one still drops; for good, "
            "put it where the rule comes from, such as /etc/sysconfig/nftables.conf"
        )
    else:
        why = f"a rule of iptables' on {it.host} lets {does}"
        remedy = (
            f"{shown} on {it.host}; for good, put the same where its rules come from, such as "
            "/etc/sysconfig/iptables"
        )
    yield Diagnosis("port-closed", it.host, why, it.seen, remedy, mends)


def lost_between(case: Case) -> Iterator[Diagnosis]:
    """One node sends, the other gets nothing, and both have each other's address right."""
    lost = case.lost
    if lost is None or lost.name != "arriving" or dropper(case) is not None:
        return
    sender, target = case.peer(lost.host), published(case, lost.host)
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
