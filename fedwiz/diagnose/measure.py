"""Trace a ping and its answer between two nodes, and read what only a diagnosis needs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fedwiz.answers.file import Answers
from fedwiz.diagnose import mtu, trace
from fedwiz.diagnose.trace import End
from fedwiz.diagnose.values import Case, Look, published
from fedwiz.facts import ClusterFacts
from fedwiz.model.actions import Reply, Session
from fedwiz.verify import Verdict, nodes, pods
from fedwiz.verify.matrix import PairMatrix
from fedwiz.verify.pods import Asker
from fedwiz.verify.values import Ping, Up


async def measure(
    answers: Answers,
    sessions: Mapping[str, Session],
    known: ClusterFacts,
    verdicts: Sequence[Verdict],
    pair: tuple[str, str],
) -> Case:
    """Ping from one node's container to the other's while both nodes count the packets.

    Nothing stays on the nodes: the containers and the counting rules also end by themselves.

    Args:
        answers: the cluster.
        sessions: open ones; nothing is read from a node without one.
        known: facts and leases, read just before.
        verdicts: of a verification just before.
        pair: sender and receiver.
    """
    name, net, asker = pods.new_name(), nodes.overlay(answers, known), Asker(sessions, {})
    reachable = [host for host in pair if host in sessions and host in known.hosts]
    ups = await asker.ask(
        {
            host: pods.up(name, answers.verify.image, nodes.stand_in(known.hosts[host]))
            for host in reachable
        }
    )
    started = {host: _up(reply) for host, reply in ups.items()}
    unreachable = {
        host: known.lost.get(host, "there is no connection to it")
        for host in pair
        if host not in started
    }
    matrix = PairMatrix(pair, known, net, unreachable, started)
    ends = _ends(answers, known, started) if matrix.obstacle(*pair)[0] == "pass" else {}
    runs = {host: trace.look(name) for host in reachable}
    if len(ends) == 2:
        runs[pair[0]] = trace.on(name, net, ends[pair[0]], ends[pair[1]], "there")
        runs[pair[1]] = trace.on(name, net, ends[pair[1]], ends[pair[0]], "back")
    before = await asker.ask(runs)
    ping = await _ping(asker, matrix, pair) if len(ends) == 2 else None
    after = await asker.ask({host: trace.off(name) for host in before})
    case = Case(answers, known, net, *pair, started, verdicts=verdicts)
    underlay = await _sizes_to_others(asker, case)
    down_replies = await asker.ask({host: pods.down(name, up.pod) for host, up in started.items()})
    looks = {host: _look(before.get(host), after.get(host), name) for host in pair}
    case = replace(case, looks=looks, underlay=underlay)
    if ping is None:
        return case
    counts = _counts(down_replies.get(pair[1]))
    received = sum(counts.values()) if counts else None
    return replace(
        case,
        hops=trace.hops(net, *pair, looks, received),
        sent=ping.sent,
        answered=ping.received,
        seen_as=replace(matrix, counts={pair[1]: counts}).seen_as(*pair),
    )


def _up(reply: Reply) -> Up:
    try:
        return pods.read_up(reply.out)
    except ValueError as error:
        return Up(error=str(error))


def _ends(answers: Answers, known: ClusterFacts, ups: Mapping[str, Up]) -> dict[str, End]:
    """The nodes on which packets can be traced."""
    found = {}
    for host in answers.nodes:
        pod = ups[host.name].pod if host.name in ups else None
        if pod is not None and (address := published(known, host)):
            found[host.name] = End(host.name, pod.address, address)
    return found


async def _ping(asker: Asker, matrix: PairMatrix, pair: tuple[str, str]) -> Ping | None:
    """Ping from the first to the second; None if ping itself did not work."""
    sender, receiver = (matrix.ups[host].pod for host in pair)
    if sender is None or receiver is None:
        return None
    await asker.ask({pair[1]: pods.count(receiver, matrix.sources())})
    target = str(receiver.address)
    replies = await asker.ask({pair[0]: pods.ping(sender, [target])})
    try:
        return pods.read_pings(replies[pair[0]].out)[target]
    except (KeyError, ValueError):
        return None


async def _sizes_to_others(asker: Asker, case: Case) -> dict[str, dict[str, int]]:
    """The packet sizes that pass from the two to other nodes, if that matters."""
    paths, runs = {host: mtu.paths(case, host) for host in case.ends}, {}
    for host, node_paths in paths.items():
        pod = case.ups[host].pod if host in case.ups else None
        if pod and node_paths and mtu.source(case, host):
            runs[host] = pods.sizes(pod, mtu.source(case, host), node_paths)
    found = {}
    for host, reply in (await asker.ask(runs)).items():
        try:
            sizes = pods.read_sizes(reply.out, paths[host])
        except ValueError:
            continue
        found[host] = {way.public: sizes[way.public] for way in paths[host]}
    return found


def _look(before: Reply | None, after: Reply | None, name: str) -> Look:
    if before is None or after is None:
        return Look(error="there is no connection to it")
    try:
        return trace.read(before.out, after.out, name)
    except ValueError as error:
        return Look(error=f"{error}; exit status {before.code}, {after.code}")


def _counts(reply: Reply | None) -> dict[str, int]:
    try:
        return pods.read_counts(reply.out) if reply else {}
    except ValueError:
        return {}
