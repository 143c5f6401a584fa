"""The step that looks at all nodes together."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from fedwiz.answers.file import Answers
from fedwiz.facts.values import ClusterFacts
from fedwiz.model.actions import Run
from fedwiz.model.backends import Options
from fedwiz.steps.docker import switch
from fedwiz.steps.make import run_script
from fedwiz.steps.table import step_of_all


def peer_entry_kind(backend: str, options: Options) -> str | None:
    """The kind of entry that proves a route to a peer, as `peers.sh` names it; None: none does.

    With direct routing a peer has a route or an entry, depending on its link.
    """
    if options.get("direct_routing"):
        return None
    return {"vxlan": "fdb", "host-gw": "route"}.get(backend)


@step_of_all("peers", "See that every node has a way to every other", stage="peers")
def peers(answers: Answers, known: ClusterFacts) -> Iterator[tuple[str, Run]]:
    """Wait for the peers' entries, and restart flanneld where one is missing.

    flannel 0.18.0 to 0.21.2 loses events when nodes start together, and with them the route to a
    peer, in about half of all runs. Skipped if entries can't be seen from outside: udp keeps its
    peers to itself.
    """
    kind = peer_entry_kind(answers.backend.type, answers.backend.options)
    if kind is None:
        return
    nodes = [node for node in answers.nodes if node.name in known.hosts]
    switches = any(True for node in nodes for _ in switch.left(answers, node, known))
    by_address = [(known.hosts[node.name].public_ip(node.interface), node.name) for node in nodes]
    ordered = sorted((item for item in by_address if item[0]), key=lambda it: IPv4Address(it[0]))
    for node in nodes:
        facts = known.hosts[node.name]
        addresses = dict.fromkeys(address for address, name in ordered if name != node.name)
        present = facts.vteps if kind == "fdb" else {route.via for route in facts.routes}
        if addresses and (switches or not addresses.keys() <= present):
            yield node.name, run_script("peers", kind, *addresses, timeout=150)
