"""Verify the finished network: can containers on every pair of nodes reach each other?

If not, the verdict says why. Also verified: each node has what it needs and knows the routes to the
others, and packets as large as containers send them arrive whole.

Nothing that fedwiz did itself is taken for granted: only etcd, subnet.env and the state of the
nodes count, so it works on any cluster.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from itertools import permutations

from fedwiz.answers.file import Answers, Host
from fedwiz.facts import ClusterFacts
from fedwiz.model.actions import Reply, Run, Session
from fedwiz.model.events import Emit, Judged
from fedwiz.model.verdicts import VERDICT_KINDS
from fedwiz.util.sanitize import sanitize
from fedwiz.verify import leases, nodes, pods
from fedwiz.verify.matrix import PairMatrix
from fedwiz.verify.mtu import Sizes
from fedwiz.verify.peers import PeerRoutes
from fedwiz.verify.pods import Asker
from fedwiz.verify.values import Path, Ping, Pod, Up, Verdict

__all__ = ["KINDS", "Verdict", "ok", "verify"]

KINDS = tuple(VERDICT_KINDS)
"""The kinds of verdict: the first three are about one node, the others about an ordered pair."""

MEASURED = frozenset({"ping", "mtu"})
"""Kinds that need a container on each node."""


def ok(verdicts: Iterable[Verdict]) -> bool:
    """The network is verified: nothing failed, and every pair of nodes was pinged.

    Other skipped verdicts are about things that no rule covers, and do not count.
    """
    return not any(
        verdict.level == "fail" or (verdict.kind == "ping" and verdict.level == "skipped")
        for verdict in verdicts
    )


async def verify(
    answers: Answers,
    sessions: Mapping[str, Session],
    known: ClusterFacts,
    emit: Emit,
    lost: Mapping[str, str] | None = None,
    *,
    only: Collection[str] = KINDS,
    pair: tuple[str, str] | None = None,
) -> tuple[Verdict, ...]:
    """Judge nodes and ordered pairs of nodes; leaves nothing changed on the hosts.

    Args:
        answers: the hosts, and the network's settings as far as etcd does not have them.
        sessions: an open one for each node.
        known: facts and leases, read just before.
        emit: receives each verdict as soon as it is known.
        lost: nodes that can't be reached, and why; in addition to those of `known`.
        only: the kinds to judge; if none of them needs measuring, no container is started.
        pair: two nodes; only they are judged, and nothing is started on others.

    Raises:
        ValueError: `only` has a name that is not in `KINDS`, or `pair` is not two nodes.
    """
    hosts = _chosen(answers, only, pair)
    names = tuple(host.name for host in hosts)
    unreachable = {**known.lost, **(lost or {})}
    for name in names:
        if name not in unreachable and (name not in sessions or name not in known.hosts):
            unreachable[name] = "there is no connection to it"
    run = pods.new_name()
    asker = Asker(sessions, unreachable)
    ups = await _start_pods(
        asker,
        {
            name: pods.up(run, answers.verify.image, nodes.stand_in(known.hosts[name]))
            for name in names
            if name not in unreachable and not MEASURED.isdisjoint(only)
        },
    )
    verdicts: list[Verdict] = []

    def report(found: Iterable[Verdict]) -> None:
        for verdict in found:
            if verdict.kind in only:
                verdicts.append(verdict)
                emit(verdict)

    for host in hosts:
        if host.name in known.hosts:
            node_verdicts = [*nodes.judge(answers, known, host, ups.get(host.name))]
            report(sorted([*node_verdicts, leases.judge(answers, known, host)], key=_kind_order))
        else:
            why = f"{host.name} could not be reached: {unreachable[host.name]}"
            report(Verdict(kind, host.name, "", "fail", "", why) for kind in KINDS[:3])
    if pair is None:
        report(leases.foreign_leases(answers, known))
    net, lease_by_node = nodes.overlay(answers, known), leases.leases_of(answers, known)
    peer_routes = PeerRoutes(known, net, lease_by_node, dict(unreachable))
    judge_peers = not {"peer", *MEASURED}.isdisjoint(only)
    peer_verdicts = (
        [peer_routes.judge(*each) for each in permutations(names, 2)] if judge_peers else []
    )
    report(peer_verdicts)
    if not MEASURED.isdisjoint(only):
        peer_errors = {(it.host, it.peer): it.why for it in peer_verdicts if it.level == "fail"}
        matrix = PairMatrix(names, known, net, unreachable, ups, peer_errors=peer_errors)
        sizes = Sizes(matrix, lease_by_node, ping_verdicts="ping" in only)
        sizes = await _measure(asker, sizes, run, large="mtu" in only)
        report(sizes.matrix.verdicts())
        if "mtu" in only:
            report(sizes.judge(*each) for each in permutations(names, 2))
    return tuple(verdicts)


def _kind_order(verdict: Verdict) -> int:
    return KINDS.index(verdict.kind)


def _chosen(
    answers: Answers, only: Collection[str], pair: tuple[str, str] | None
) -> tuple[Host, ...]:
    if strange := sorted(set(only) - set(KINDS)):
        raise ValueError(f"{strange[0]}: nothing of that name is verified")
    hosts = tuple(host for host in answers.nodes if pair is None or host.name in pair)
    if pair is not None and len(hosts) != 2:
        raise ValueError(f"{' and '.join(pair)} are not two nodes")
    return hosts


async def _start_pods(asker: Asker, runs: Mapping[str, Run]) -> dict[str, Up]:
    replies = await asker.ask(runs)
    ups = {}
    for name, reply in replies.items():
        try:
            ups[name] = pods.read_up(reply.out)
        except ValueError as error:
            ups[name] = Up(error=f"{error}; {_text(reply)}")
    return ups


async def _measure(asker: Asker, sizes: Sizes, run: str, *, large: bool) -> Sizes:
    """Ping, send large packets if `large`, and remove the containers."""
    matrix = sizes.matrix
    pods_by_node = {name: up.pod for name, up in matrix.ups.items() if up.pod}
    await asker.ask({name: pods.count(pod, matrix.sources()) for name, pod in pods_by_node.items()})
    ping_runs = {
        name: pods.ping(pod, targets)
        for name, pod in pods_by_node.items()
        if (targets := matrix.targets(name))
    }
    paths = {name: found for name in pods_by_node if large and (found := sizes.paths(name))}
    async with asyncio.TaskGroup() as group:
        measuring = group.create_task(_sizes(asker, sizes, pods_by_node, paths))
        replies = await asker.ask(ping_runs)
    pings: dict[str, dict[str, Ping | None]] = {}
    failed: dict[str, str] = {}
    for name, reply in replies.items():
        try:
            pings[name] = pods.read_pings(reply.out)
        except ValueError as error:
            failed[name] = f"{error}; {_text(reply)}"
    lost = dict(asker.lost)  # whoever is lost from here on has already been measured
    counts: dict[str, dict[str, int]] = {}
    ended = set[str]()
    down_runs = {name: pods.down(run, up.pod) for name, up in matrix.ups.items()}
    for name, reply in (await asker.ask(down_runs)).items():
        if pods.read_ended(reply.out):
            ended.add(name)
        try:
            counts[name] = pods.read_counts(reply.out)
        except ValueError:
            counts[name] = {}
    matrix = replace(matrix, lost=lost, pings=pings, counts=counts, failed=failed, ended=ended)
    return replace(measuring.result(), matrix=matrix)


async def _sizes(
    asker: Asker,
    sizes: Sizes,
    pods_by_node: Mapping[str, Pod],
    paths: Mapping[str, tuple[Path, ...]],
) -> Sizes:
    """Find the largest packets that arrive whole."""
    replies = await asker.ask(
        {
            name: pods.sizes(pods_by_node[name], sizes.source(name), node_paths)
            for name, node_paths in paths.items()
        }
    )
    crossed: dict[str, dict[str, int]] = {}
    failed: dict[str, tuple[Judged, str]] = {}
    for name, reply in replies.items():
        if reply.out.split() == ["nodf"]:
            failed[name] = (
                "skipped",
                (f"the ping of {name} can't forbid fragments: `dnf install iputils` there"),
            )
            continue
        try:
            crossed[name] = pods.read_sizes(reply.out, paths[name])
        except ValueError as error:
            failed[name] = (
                "fail",
                (
                    f"{name} could not send large pings: {error}; {_text(reply)}; try it by hand, "
                    "then verify again"
                ),
            )
    return replace(sizes, crossed=crossed, failed=failed)


def _text(reply: Reply) -> str:
    words = " ".join(sanitize(line) for line in (reply.err or reply.out).splitlines())
    return f"exit status {reply.code}, {words[:300] or 'and it said nothing'}"
