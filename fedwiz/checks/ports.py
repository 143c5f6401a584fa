"""The check of the backend's UDP port, tested between nodes before flannel is installed."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from fedwiz.answers.file import Answers
from fedwiz.checks.finding import (
    Finding,
    block,
    check,
    ok,
    reached_hosts,
    unread,
    warn,
)
from fedwiz.facts.values import ClusterFacts, Facts, Tried, udp_rule
from fedwiz.util.words import count, some

NOT_ALLOWED = "Operation not permitted"
"""The kernel's error for a sender whose own packet filter drops the datagram."""

Pair: TypeAlias = tuple[str, str]
"""Sender and receiver."""


@dataclass(frozen=True)
class _Trial:
    """The results of the trial, restricted to nodes that could be read."""

    port: str
    """In the form `8472/udp`."""

    nodes: Mapping[str, Facts]
    tried: Tried

    @property
    def number(self) -> int:
        return int(self.port.partition("/")[0])

    @cached_property
    def arrived(self) -> frozenset[Pair]:
        return frozenset(pair for pair in self.tried.arrived if self._heard(pair))

    @cached_property
    def lost(self) -> Mapping[Pair, str]:
        return {pair: why for pair, why in self.tried.lost.items() if self._heard(pair)}

    def _heard(self, pair: Pair) -> bool:
        return set(pair) <= self.nodes.keys()

    def named(self, names: Collection[str]) -> list[str]:
        """Those of the nodes that are in `names`, in the order of the answers."""
        return [name for name in self.nodes if name in names]

    def in_use_by_flannel(self, name: str) -> bool:
        """Whether the port on a node is used by flannel, or by something that can share it."""
        facts, holder = self.nodes[name], self.tried.in_use[name]
        if holder:
            return holder.startswith("flanneld ")
        return bool(facts.flannel_links) or any(
            (link.kind, link.port) == ("vxlan", self.number) for link in facts.links
        )

    @cached_property
    def untried(self) -> list[str]:
        """Nodes that nothing was tried with, for no other known reason."""
        failed, in_use = self.tried.failed, self.tried.in_use
        senders = self.nodes.keys() - failed.keys()
        receivers = {
            it for it in senders - in_use.keys() if not self.nodes[it].firewall_blocks(self.port)
        }
        pairs = {(one, other) for one in senders for other in receivers if one != other}
        times = Counter(name for pair in pairs - self.arrived - self.lost.keys() for name in pair)
        most = max(times.values(), default=0)
        return self.named([name for name, number in times.items() if number == most])


@check("udp-port", "Does the backend's UDP port let packets through?", about="nodes")
def udp_port(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Each node has sent datagrams to every other node, before flannel uses the port."""
    backend = answers.backend.backend
    ports = backend.ports(answers.backend.options)
    if not ports:
        yield ok(f"{backend.name} has no UDP port")
        return
    if known.udp is None:
        yield unread(f"whether {ports[0]} lets packets through")
        return
    nodes = {host.name: facts for host, facts in reached_hosts(answers, known, "nodes")}
    trial, port = _Trial(ports[0], nodes, known.udp), ports[0]
    for name in trial.named(known.udp.in_use):
        if not trial.in_use_by_flannel(name):
            yield block(
                f"{known.udp.in_use[name] or 'something in the kernel'} has {port}, so flannel "
                "could not",
                f"stop what `ss -lunp` shows there, or set backend.{backend.port} to another port",
                name,
            )
    for name in trial.named(known.udp.failed):
        yield warn(
            f"{port} was not tried there: {known.udp.failed[name]}",
            "put that right, or go on: the verification shows what does not get through",
            name,
        )
    if trial.untried:
        yield warn(
            f"{port} was not tried to and from {some(trial.untried)}",
            "see what the check `interface` says of them",
        )
    yield from _lost(trial)
    yield ok(_summary(trial, known))


def _lost(trial: _Trial) -> Iterator[Finding]:
    """Lost datagrams, each reported for the node that is most likely to have dropped it."""
    own_filter = {pair for pair, why in trial.lost.items() if why == NOT_ALLOWED}
    lost = trial.lost.keys() - own_filter
    receiving = {receiver for _, receiver in trial.arrived}
    delivering = {sender for sender, _ in trial.arrived}
    suspects = {name: _rule(trial, name, "INPUT") for name in {receiver for _, receiver in lost}}
    if len(lost) > 2 and not own_filter and not trial.arrived and not any(suspects.values()):
        yield block(
            f"nothing that nodes send to each other's {trial.port} arrives, on none of "
            f"the {count(len(trial.nodes), 'node')}",
            f"let {trial.port} pass between the nodes: see the firewall of the network, the cloud "
            "or the hypervisor, and `nft list ruleset` on a node",
        )
        return
    silent = {
        sender for sender, receiver in lost if receiver in receiving and sender not in delivering
    }
    for name in trial.named({sender for sender, _ in own_filter}):
        yield block(
            f"its own packet filter drops what it sends to {trial.port}",
            _remedy(trial, name, "OUTPUT"),
            name,
        )
    for name in trial.named(silent):
        yield block(
            f"nothing that it sends to {trial.port} of other nodes arrives",
            _remedy(trial, name, "OUTPUT"),
            name,
        )
    for name in trial.named(suspects):
        senders = {sender for sender, receiver in lost if receiver == name and sender not in silent}
        if not senders:
            continue
        who = f"from {some(trial.named(senders))}" if name in receiving else "from other nodes"
        replies = sorted({trial.lost[sender, name] for sender in senders} - {""})
        detail = f" (they hear: {', '.join(replies)})" if replies else ""
        yield block(
            f"nothing arrives at {trial.port} {who}{detail}", _remedy(trial, name, "INPUT"), name
        )


def _rule(trial: _Trial, name: str, chain: str) -> str:
    return trial.nodes[name].suspect(chain, udp_rule(trial.number))


def _remedy(trial: _Trial, name: str, chain: str) -> str:
    side = "in" if chain == "INPUT" else "out"
    if rule := _rule(trial, name, chain):
        return f"let {trial.port} {side} there, before the rule `{rule}`"
    return (
        f"let {trial.port} {side} there: see `iptables -S {chain}`, `nft list ruleset` and the "
        "firewalls between the nodes"
    )


def _summary(trial: _Trial, known: ClusterFacts) -> str:
    """Where datagrams arrive, and where they could not be tried."""
    in_use = trial.named([it for it in trial.nodes if it in trial.tried.in_use])
    opened = [name for name, facts in trial.nodes.items() if facts.firewall_blocks(trial.port)]
    receiving = trial.named({receiver for _, receiver in trial.arrived})
    lost = [name for name in known.lost if name not in trial.nodes]
    parts = []
    if receiving and len(receiving) == len(trial.nodes):
        parts.append(f"{trial.port} gets through between all {count(len(receiving), 'node')}")
    elif receiving:
        parts.append(f"{trial.port} gets through to {some(receiving)}")
    if in_use:
        parts.append(f"{trial.port} is in use on {some(in_use)}, where the verification tries it")
    if opened:
        parts.append(f"the install opens {trial.port} on {some(opened)}")
    if lost:
        parts.append(f"nothing was tried with {some(lost)}")
    return "; ".join(parts) or f"one node alone has nobody to send to {trial.port}"
