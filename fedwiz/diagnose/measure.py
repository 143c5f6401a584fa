"""Follow a ping and its answer between two nodes, and read what only a diagnosis wants."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fedwiz.answers.file import Answers
from fedwiz.diagnose import mtu, trace
from fedwiz.diagnose.trace import End
from fedwiz.diagnose.values import Case, Look, published
from fedwiz.facts import ClusterFacts
from fedwiz.model.actions import Reply, Session
from fedwiz.verify import Verdict, nodes, pods
from fedwiz.verify.asker import Asker
from fedwiz.verify.matrix import PairMatrix
from fedwiz.verify.values import Ping, Up


async def measure(
    answers: Answers,
    sessions: Mapping[str, Session],
    known: ClusterFacts,
    verdicts: Sequence[Verdict],
    pair: tuple[str, str],
) -> Case:
    """Ping from one node's container to the other's while both count the packets on their way.

    Nothing stays on the nodes: the containers and the counting rules end by themselves, too.

    Args:
        answers: the cluster.
        sessions: open ones; a node without one tells nothing.
        known: facts and leases, read just before.
        verdicts: of a verification just before.
        pair: sender and receiver.
    """
    name, net, asker = pods.new_name(), nodes.overlay(answers, known), Asker(sessions, {})
    asked = [host for host in pair if host in sessions and host in known.hosts]
    ups = await asker.ask(
        {
            host: pods.up(name, answers.verify.image, nodes.stand_in(known.hosts[host]))
            for host in asked
        }
    )
    started = {host: _up(reply) for host, reply in ups.items()}
    gone = {
        host: known.lost.get(host, "there is no connection to it")
        for host in pair
        if host not in started
    }
    matrix = PairMatrix(pair, known, net, gone, started)
    ends = _ends(answers, known, started) if matrix.obstacle(*pair)[0] == "pass" else {}
    runs = {host: trace.look(name) for host in asked}
    if len(ends) == 2:
        runs[pair[0]] = trace.on(name, net, ends[pair[0]], ends[pair[1]], "there")
        runs[pair[1]] = trace.on(name, net, ends[pair[1]], ends[pair[0]], "back")
    before = await asker.ask(runs)
    ping = await _ping(asker, matrix, pair) if len(ends) == 2 else None
    after = await asker.ask({host: trace.off(name) for host in before})
    case = Case(answers, known, net, *pair, started, verdicts=verdicts)
    beyond = await _beyond(asker, case)
    down = await asker.ask({host: pods.down(name, up.pod) for host, up in started.items()})
    looks = {host: _look(before.get(host), after.get(host), name) for host in pair}
    case = replace(case, looks=looks, underlay=beyond)
    if ping is None:
        return case
    counts = _counts(down.get(pair[1]))
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
    except ValueError as wrong:
        return Up(error=str(wrong))


def _ends(answers: Answers, known: ClusterFacts, ups: Mapping[str, Up]) -> dict[str, End]:
    """The nodes that packets can be followed on."""
    found = {}
    for host in answers.nodes:
        pod = ups[host.name].pod if host.name in ups else None
        if pod is not None and (address := published(known, host)):
            found[host.name] = End(host.name, pod.address, address)
    return found


async def _ping(asker: Asker, matrix: PairMatrix, pair: tuple[str, str]) -> Ping | None:
    """From the first to the second; None where ping itself did not do its work."""
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


async def _beyond(asker: Asker, case: Case) -> dict[str, dict[str, int]]:
    """What crosses from the two to other nodes, where it matters."""
    paths, asked = {host: mtu.paths(case, host) for host in case.ends}, {}
    for host, ways in paths.items():
        pod = case.ups[host].pod if host in case.ups else None
        if pod and ways and mtu.source(case, host):
            asked[host] = pods.sizes(pod, mtu.source(case, host), ways)
    found = {}
    for host, reply in (await asker.ask(asked)).items():
        try:
            said = pods.read_sizes(reply.out, paths[host])
        except ValueError:
            continue
        found[host] = {way.public: said[way.public] for way in paths[host]}
    return found


def _look(before: Reply | None, after: Reply | None, name: str) -> Look:
    if before is None or after is None:
        return Look(error="there is no connection to it")
    try:
        return trace.read(before.out, after.out, name)
    except ValueError as wrong:
        return Look(error=f"{wrong}; exit status {before.code}, {after.code}")


def _counts(reply: Reply | None) -> dict[str, int]:
    try:
        return pods.read_counts(reply.out) if reply else {}
    except ValueError:
        return {}
