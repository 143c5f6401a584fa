"""What an administrator types to mend a network, as a simulated host carries it out.

Of each command as much is known as there is a use for: what is not, raises.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from fedwiz.facts.values import Route
from fedwiz.practice.call import Call, Command, strange
from fedwiz.practice.chains import BUILT_IN
from fedwiz.practice.machine import Machine, Peer


def _options(words: Sequence[str], known: Mapping[str, bool]) -> tuple[dict[str, str], list[str]]:
    """Options, each with what follows it where `known` says that something does; and the rest."""
    found, rest, left = dict[str, str](), list[str](), iter(words)
    for word in left:
        if word in known:
            found[word] = next(left) if known[word] else ""
        else:
            rest.append(word)
    return found, rest


async def iptables(call: Call) -> int:
    """`iptables [-w [N]] [-t TABLE] -I|-A|-D|-R|-C|-P CHAIN [NUMBER] RULE`."""
    given, words = _options(call.run.argv[1:], {"-w": False, "-t": True})
    words = words[words[0].isdigit() :]  # -w may have seconds to wait
    table = given.get("-t", "filter")
    await call.spend(0.1)
    flag, chain, *rest = words
    chains = call.machine.chains
    held = chains.rules[table]
    if chain not in held:
        call.say("iptables: No chain/target/match by that name.")
        return 1
    number = int(rest.pop(0)) if rest and rest[0].isdigit() else 0
    rule = " ".join(f'"{word}"' if " " in word else word for word in rest)
    if flag == "-P" and chain in BUILT_IN[table] and table == "filter":
        chains.policies[chain] = rule
    elif flag == "-I":
        held[chain].insert(max(number - 1, 0), rule)
    elif flag == "-A":
        held[chain].append(rule)
    elif flag == "-R" and 0 < number <= len(held[chain]):
        held[chain][number - 1] = rule
    elif flag == "-D" and number:
        rule = held[chain][number - 1] if number <= len(held[chain]) else ""
        return _gone(call, table, chain, rule)
    elif flag == "-D":
        return _gone(call, table, chain, rule)
    elif flag == "-C":
        return int(rule not in held[chain])
    else:
        raise strange(call.run)
    return 0


def _gone(call: Call, table: str, chain: str, rule: str) -> int:
    if rule not in call.machine.chains.rules[table][chain]:
        call.say("iptables: Bad rule (does a matching rule exist in that chain?).")
        return 1
    call.machine.chains.delete(table, chain, rule)
    return 0


async def ip(call: Call) -> int:
    """`ip [-4] route|neighbour|link VERB ...`, and words that may be left out of it."""
    await call.spend(0.1)
    words = [word for word in call.run.argv[1:] if not word.startswith("-")]
    what, verb, *rest = words
    for name, do in _IP.items():
        if name.startswith(what) and len(what) > 0:
            return do(call, verb, rest)
    raise strange(call.run)


def _pairs(words: Sequence[str], call: Call, known: frozenset[str]) -> dict[str, str]:
    """`dev flannel.1 via 10.16.3.0` by the words that begin each; words alone are empty."""
    found, left = dict[str, str](), iter(words)
    for word in left:
        if word in ("onlink", "self", "master", "permanent", "static"):
            found[word] = ""
        elif word in known:
            found[word] = next(left)
        else:
            raise strange(call.run)
    return found


_ROUTE = frozenset({"via", "dev", "proto", "scope", "src", "metric"})


def _route(call: Call, verb: str, rest: Sequence[str]) -> int:
    machine, (to, *words) = call.machine, rest
    said = _pairs(words, call, _ROUTE)
    dev, via = said.get("dev", ""), said.get("via", "")
    same = [
        route
        for route in machine.routes
        if route.to == to and dev in ("", route.dev) and via in ("", route.via)
    ]
    if verb in ("del", "delete"):
        if not same:
            call.say("RTNETLINK answers: No such process")
            return 2
        machine.routes.remove(same[0])
        return 0
    if verb not in ("add", "replace"):
        raise strange(call.run)
    if dev and dev not in machine.links:
        call.say(f'Cannot find device "{dev}"')
        return 1
    if verb == "add" and any(route.to == to for route in machine.routes):
        call.say("RTNETLINK answers: File exists")
        return 2
    if not dev:
        hop = machine.route_to(via)
        dev = hop.dev if hop else machine.uplink.name
    kept = [route for route in machine.routes if verb == "add" or route.to != to]
    machine.routes = [*kept, Route(to, dev, via)]
    return 0


_NEIGHBOUR = frozenset({"dev", "lladdr", "nud"})


def _neighbour(call: Call, verb: str, rest: Sequence[str]) -> int:
    at, *words = rest
    said = _pairs(words, call, _NEIGHBOUR)
    subnet = _subnet_of(call.machine, said["dev"], lambda net, _: net.partition("/")[0] == at)
    if subnet is None:
        call.say("RTNETLINK answers: No such file or directory")
        return 2
    peers = call.machine.peers[said["dev"]]
    # An entry of the FDB is one of its own, and stays.
    new = said.get("lladdr", "") if verb in ("add", "replace", "change") else ""
    peers[subnet] = replace(peers[subnet], mac=new, fdb=peers[subnet].fdb_mac)
    return 0


def _link(call: Call, verb: str, rest: Sequence[str]) -> int:
    given, words = _options(rest, {"mtu": True, "dev": True})
    name = given.get("dev") or words.pop(0)
    machine = call.machine
    if name not in machine.links:
        call.say(f'Cannot find device "{name}"')
        return 1
    if verb == "set" and "mtu" in given:
        machine.links[name] = replace(machine.links[name], mtu=int(given["mtu"]))
    elif verb == "set" and words in (["up"], ["down"]):
        machine.links[name] = replace(machine.links[name], up=words == ["up"])
    else:
        raise strange(call.run)
    return 0


_IP: Mapping[str, Callable[[Call, str, Sequence[str]], int]] = {
    "route": _route,
    "neighbour": _neighbour,
    "link": _link,
}


async def bridge(call: Call) -> int:
    """`bridge fdb VERB MAC dev DEVICE dst ADDRESS self permanent`."""
    await call.spend(0.1)
    what, verb, mac, *rest = call.run.argv[1:]
    said = _pairs(rest, call, frozenset({"dev", "dst"}))
    machine, dev, dst = call.machine, said["dev"], said.get("dst", "")
    if what != "fdb":
        raise strange(call.run)
    gone = verb in ("del", "delete")

    def wanted(_net: str, peer: Peer) -> bool:
        return dst in ("", peer.address) and (not gone or peer.fdb_mac == mac)

    subnet = _subnet_of(machine, dev, wanted)
    if subnet is None:
        call.say("RTNETLINK answers: No such file or directory")
        return 255
    peers = machine.peers[dev]
    peers[subnet] = replace(peers[subnet], fdb="" if gone else mac)
    return 0


def _subnet_of(machine: Machine, dev: str, wanted: Callable[[str, Peer], bool]) -> str | None:
    found: Iterator[str] = (
        net for net, peer in machine.peers.get(dev, {}).items() if wanted(net, peer)
    )
    return next(found, None)


COMMANDS: Mapping[str, Command] = {"bridge": bridge, "ip": ip, "iptables": iptables}
"""By their first word."""
