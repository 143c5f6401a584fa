"""The check of the backend's UDP port, tried between nodes before flannel is there."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from fedwiz.answers.file import Answers
from fedwiz.checks.finding import Finding, block, check, count, heard, ok, some, unread, warn
from fedwiz.facts.suspects import suspect, udp
from fedwiz.facts.values import ClusterFacts, Facts, Tried

NOT_ALLOWED = "Operation not permitted"
"""What the kernel says to a sender whose own packet filter drops what it sends."""

Pair: TypeAlias = tuple[str, str]
"""Sender and receiver."""


@dataclass(frozen=True)
class _Trial:
    """What was tried, of the nodes that were heard."""

    port: str
    """As `8472/udp`."""

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
        """Those of the nodes, in the order of the answers."""
        return [name for name in self.nodes if name in names]

    def flannels(self, name: str) -> bool:
        """Whether what has the port on a node is flannel, or something that shares it."""
        facts, by = self.nodes[name], self.tried.held[name]
        if by:
            return by.startswith("flanneld ")
        return bool(facts.flannel_links) or any(
            (link.kind, link.port) == ("vxlan", self.number) for link in facts.links
        )

    @cached_property
    def untried(self) -> list[str]:
        """Nodes with which nothing was tried, and nothing else says why."""
        failed, held = self.tried.failed, self.tried.held
        senders = self.nodes.keys() - failed.keys()
        receivers = {it for it in senders - held.keys() if not self.nodes[it].shut(self.port)}
        pairs = {(one, other) for one in senders for other in receivers if one != other}
        times = Counter(name for pair in pairs - self.arrived - self.lost.keys() for name in pair)
        most = max(times.values(), default=0)
        return self.named([name for name, number in times.items() if number == most])


@check("udp-port", "Does the backend's UDP port let packets through?", about="nodes")
def udp_port(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Each node has sent datagrams to each other's, before flannel has the port."""
    backend = answers.backend.backend
    ports = backend.ports(answers.backend.options)
    if not ports:
        yield ok(f"{backend.name} has no UDP port")
        return
    if known.udp is None:
        yield unread(f"whether {ports[0]} lets packets through")
        return
    nodes = {host.name: facts for host, facts in heard(answers, known, "nodes")}
    trial, port = _Trial(ports[0], nodes, known.udp), ports[0]
    for name in trial.named(known.udp.held):
        if not trial.flannels(name):
            yield block(
                f"{known.udp.held[name] or 'something in the kernel'} has {port}, so flannel "
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
    yield ok(_well(trial, known))


def _lost(trial: _Trial) -> Iterator[Finding]:
    """What did not arrive: by whoever is the likeliest to keep it from its way."""
    own = {pair for pair, why in trial.lost.items() if why == NOT_ALLOWED}
    rest = trial.lost.keys() - own
    reached, reaching = {to for _, to in trial.arrived}, {of for of, _ in trial.arrived}
    suspects = {name: _rule(trial, name, "INPUT") for name in {to for _, to in rest}}
    if len(rest) > 2 and not own and not trial.arrived and not any(suspects.values()):
        yield block(
            f"nothing that nodes send to each other's {trial.port} arrives, on none of "
            f"the {count(len(trial.nodes), 'node')}",
            f"let {trial.port} pass between the nodes: see the firewall of the network, the cloud "
            "or the hypervisor, and `nft list ruleset` on a node",
        )
        return
    mute = {of for of, to in rest if to in reached and of not in reaching}
    for name in trial.named({of for of, _ in own}):
        yield block(
            f"its own packet filter drops what it sends to {trial.port}",
            _remedy(trial, name, "OUTPUT"),
            name,
        )
    for name in trial.named(mute):
        yield block(
            f"nothing that it sends to {trial.port} of other nodes arrives",
            _remedy(trial, name, "OUTPUT"),
            name,
        )
    for name in trial.named(suspects):
        senders = {of for of, to in rest if to == name and of not in mute}
        if not senders:
            continue
        who = f"from {some(trial.named(senders))}" if name in reached else "from other nodes"
        answers = sorted({trial.lost[of, name] for of in senders} - {""})
        said = f" (they hear: {', '.join(answers)})" if answers else ""
        yield block(
            f"nothing arrives at {trial.port} {who}{said}", _remedy(trial, name, "INPUT"), name
        )


def _rule(trial: _Trial, name: str, chain: str) -> str:
    return suspect(trial.nodes[name].rules.get("filter", ()), chain, udp(trial.number))


def _remedy(trial: _Trial, name: str, chain: str) -> str:
    way = "in" if chain == "INPUT" else "out"
    if rule := _rule(trial, name, chain):
        return f"let {trial.port} {way} there, before the rule `{rule}`"
    return (
        f"let {trial.port} {way} there: see `iptables -S {chain}`, `nft list ruleset` and the "
        "firewalls between the nodes"
    )


def _well(trial: _Trial, known: ClusterFacts) -> str:
    """Where it arrives, and where that was not to be tried."""
    held = trial.named([it for it in trial.nodes if it in trial.tried.held])
    shut = [name for name, facts in trial.nodes.items() if facts.shut(trial.port)]
    reached = trial.named({to for _, to in trial.arrived})
    lost = [name for name in known.lost if name not in trial.nodes]
    said = []
    if reached and len(reached) == len(trial.nodes):
        said.append(f"{trial.port} gets through between all {count(len(reached), 'node')}")
    elif reached:
        said.append(f"{trial.port} gets through to {some(reached)}")
    if held:
        said.append(f"{trial.port} is in use on {some(held)}, where the verification tries it")
    if shut:
        said.append(f"the install opens {trial.port} on {some(shut)}")
    if lost:
        said.append(f"nothing was tried with {some(lost)}")
    return "; ".join(said) or f"one node alone has nobody to send to {trial.port}"
