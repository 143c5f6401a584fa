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


def told_by(backend: str, options: Options) -> str | None:
    """What tells that a node has a way to a peer, in the words of `peers.sh`; None: nothing does.

    With direct routing a peer has a route or an entry, by the link it is on.
    """
    if options.get("direct_routing"):
        return None
    return {"vxlan": "fdb", "host-gw": "route"}.get(backend)


@step_of_all("peers", "See that every node has a way to every other", stage="peers")
def peers(answers: Answers, known: ClusterFacts) -> Iterator[tuple[str, Run]]:
    """Wait for the peers' entries and have flanneld look again where one is missing.

    flannel 0.18.0 to 0.21.2 loses events when nodes start together, and with them the way
    to a peer, in about half of all runs.  Left out where it can't be told from outside:
    udp keeps its peers to itself.
    """
    kind = told_by(answers.backend.type, answers.backend.options)
    if kind is None:
        return
    nodes = [node for node in answers.nodes if node.name in known.hosts]
    moved = any(True for node in nodes for _ in switch.left(answers, node, known))
    published = [(known.hosts[node.name].public_ip(node.interface), node.name) for node in nodes]
    ordered = sorted((pair for pair in published if pair[0]), key=lambda it: IPv4Address(it[0]))
    for node in nodes:
        facts = known.hosts[node.name]
        wanted = dict.fromkeys(address for address, name in ordered if name != node.name)
        there = facts.vteps if kind == "fdb" else {route.via for route in facts.routes}
        if wanted and (moved or not wanted.keys() <= there):
            yield node.name, run_script("peers", kind, *wanted, timeout=150)
