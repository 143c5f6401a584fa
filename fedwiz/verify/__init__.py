"""Is the finished network right?  Containers on every pair of nodes ping, or why they don't.

Besides, each node has what it needs and knows the ways to the others, and packets as large as
containers send them cross whole.

It takes nothing for granted that fedwiz itself did: what is in etcd, in subnet.env and on the
nodes decides, so it works on any cluster.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from itertools import permutations

from fedwiz.answers.file import Answers, Host
from fedwiz.facts import ClusterFacts
from fedwiz.model.actions import Reply, Run, Session
from fedwiz.model.events import Emit, Judged
from fedwiz.util.sanitize import sanitize
from fedwiz.verify import leases, nodes, pods
from fedwiz.verify.asker import Asker
from fedwiz.verify.matrix import PairMatrix
from fedwiz.verify.mtu import Sizes
from fedwiz.verify.peers import PeerRoutes
from fedwiz.verify.values import Path, Ping, Pod, Up, Verdict

__all__ = ["KINDS", "Verdict", "ok", "verify"]

KINDS = ("address", "lease", "subnet_env", "peer", "ping", "mtu")
"""What is judged: of each node the first three, of each ordered pair of nodes the others."""

MEASURED = frozenset({"ping", "mtu"})
"""What a container on each node is needed for."""


def ok(verdicts: Iterable[Verdict]) -> bool:
    """The network is proven: nothing failed, and every pair of nodes was pinged.

    Other verdicts that were skipped tell of what has no rule, and do not count.
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
    """Judge nodes and ordered pairs of them; nothing on the hosts stays changed.

    Args:
        answers: the hosts, and what is known of the network where etcd does not tell.
        sessions: an open one for each node.
        known: facts and leases, read just before.
        emit: gets each verdict as it is there.
        lost: nodes that can't be asked, and why; besides those of `known`.
        only: the kinds that are judged; where none of them has to be measured, no container
            is started.
        pair: two nodes; no others are judged, and nothing is started on others.

    Raises:
        ValueError: `only` has what is none of `KINDS`, or `pair` is not two nodes.
    """
    hosts = _chosen(answers, only, pair)
    names = tuple(host.name for host in hosts)
    gone = {**known.lost, **(lost or {})}
    for name in names:
        if name not in gone and (name not in sessions or name not in known.hosts):
            gone[name] = "there is no connection to it"
    run = pods.new_name()
    asker = Asker(sessions, gone)
    ups = await _up(
        asker,
        {
            name: pods.up(run, answers.verify.image, nodes.stand_in(known.hosts[name]))
            for name in names
            if name not in gone and not MEASURED.isdisjoint(only)
        },
    )
    verdicts: list[Verdict] = []

    def tell(found: Iterable[Verdict]) -> None:
        for verdict in found:
            if verdict.kind in only:
                verdicts.append(verdict)
                emit(verdict)

    for host in hosts:
        if host.name in known.hosts:
            told = [*nodes.judge(answers, known, host, ups.get(host.name))]
            tell(sorted([*told, leases.judge(answers, known, host)], key=_place))
        else:
            why = f"{host.name} could not be reached: {gone[host.name]}"
            tell(Verdict(kind, host.name, "", "fail", "", why) for kind in KINDS[:3])
    if pair is None:
        tell(leases.strangers(answers, known))
    net, held = nodes.overlay(answers, known), leases.leases_of(answers, known)
    ways = PeerRoutes(known, net, held, dict(gone))
    wanted = not {"peer", *MEASURED}.isdisjoint(only)
    known_ways = [ways.judge(*each) for each in permutations(names, 2)] if wanted else []
    tell(known_ways)
    if not MEASURED.isdisjoint(only):
        astray = {(it.host, it.peer): it.why for it in known_ways if it.level == "fail"}
        matrix = PairMatrix(names, known, net, gone, ups, astray=astray)
        sizes = Sizes(matrix, held, told="ping" in only)
        sizes = await _measure(asker, sizes, run, large="mtu" in only)
        tell(sizes.matrix.verdicts())
        if "mtu" in only:
            tell(sizes.judge(*each) for each in permutations(names, 2))
    return tuple(verdicts)


def _place(verdict: Verdict) -> int:
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


async def _up(asker: Asker, runs: Mapping[str, Run]) -> dict[str, Up]:
    replies = await asker.ask(runs)
    found = {}
    for name, reply in replies.items():
        try:
            found[name] = pods.read_up(reply.out)
        except ValueError as wrong:
            found[name] = Up(error=f"{wrong}; {_said(reply)}")
    return found


async def _measure(asker: Asker, sizes: Sizes, run: str, *, large: bool) -> Sizes:
    """Ping, with large packets too where wanted, and take the containers away."""
    matrix = sizes.matrix
    able = {name: up.pod for name, up in matrix.ups.items() if up.pod}
    await asker.ask({name: pods.count(pod, matrix.sources()) for name, pod in able.items()})
    asks = {
        name: pods.ping(pod, targets)
        for name, pod in able.items()
        if (targets := matrix.targets(name))
    }
    paths = {name: found for name in able if large and (found := sizes.paths(name))}
    async with asyncio.TaskGroup() as group:
        measuring = group.create_task(_sizes(asker, sizes, able, paths))
        replies = await asker.ask(asks)
    pings: dict[str, dict[str, Ping | None]] = {}
    failed: dict[str, str] = {}
    for name, reply in replies.items():
        try:
            pings[name] = pods.read_pings(reply.out)
        except ValueError as wrong:
            failed[name] = f"{wrong}; {_said(reply)}"
    lost = dict(asker.lost)  # what is lost from here on has been measured
    counts: dict[str, dict[str, int]] = {}
    ended = set[str]()
    ends = {name: pods.down(run, up.pod) for name, up in matrix.ups.items()}
    for name, reply in (await asker.ask(ends)).items():
        if pods.read_ended(reply.out):
            ended.add(name)
        try:
            counts[name] = pods.read_counts(reply.out)
        except ValueError:
            counts[name] = {}
    matrix = replace(matrix, lost=lost, pings=pings, counts=counts, failed=failed, ended=ended)
    return replace(measuring.result(), matrix=matrix)


async def _sizes(
    asker: Asker, sizes: Sizes, able: Mapping[str, Pod], paths: Mapping[str, tuple[Path, ...]]
) -> Sizes:
    """The largest packets that cross."""
    replies = await asker.ask(
        {name: pods.sizes(able[name], sizes.source(name), ways) for name, ways in paths.items()}
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
        except ValueError as wrong:
            failed[name] = (
                "fail",
                (
                    f"{name} could not send large pings: {wrong}; {_said(reply)}; try it by hand, "
                    "then verify again"
                ),
            )
    return replace(sizes, crossed=crossed, failed=failed)


def _said(reply: Reply) -> str:
    words = " ".join(sanitize(line) for line in (reply.err or reply.out).splitlines())
    return f"exit status {reply.code}, {words[:300] or 'and it said nothing'}"
