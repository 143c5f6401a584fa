"""Models of the commands that an administrator types to repair a network.

Only what fedwiz uses of each command is modelled; anything else raises.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from fedwiz.facts.values import Route
from fedwiz.practice.call import Call, Command, unmodelled
from fedwiz.practice.chains import BUILT_IN
from fedwiz.practice.machine import Machine, Peer


def _options(
    words: Sequence[str], takes_value: Mapping[str, bool]
) -> tuple[dict[str, str], list[str]]:
    """Split words into options and the rest; `known` says which options take a value."""
    options, rest, remaining = dict[str, str](), list[str](), iter(words)
    for word in remaining:
        if word in takes_value:
            options[word] = next(remaining) if takes_value[word] else ""
        else:
            rest.append(word)
    return options, rest


async def iptables(call: Call) -> int:
    """`iptables [-w [N]] [-t TABLE] -I|-A|-D|-R|-C|-P CHAIN [NUMBER] RULE`."""
    options, words = _options(call.run.argv[1:], {"-w": False, "-t": True})
    words = words[words[0].isdigit() :]  # -w may be followed by seconds to wait
    table = options.get("-t", "filter")
    await call.spend(0.1)
    flag, chain, *rest = words
    chains = call.machine.chains
    rules = chains.rules[table]
    if chain not in rules:
        call.write("iptables: No chain/target/match by that name.")
        return 1
    number = int(rest.pop(0)) if rest and rest[0].isdigit() else 0
    rule = " ".join(f'"{word}"' if " " in word else word for word in rest)
    if flag == "-P" and chain in BUILT_IN[table] and table == "filter":
        chains.policies[chain] = rule
    elif flag == "-I":
        rules[chain].insert(max(number - 1, 0), rule)
    elif flag == "-A":
        rules[chain].append(rule)
    elif flag == "-R" and 0 < number <= len(rules[chain]):
        rules[chain][number - 1] = rule
    elif flag == "-D" and number:
        rule = rules[chain][number - 1] if number <= len(rules[chain]) else ""
        return _delete_rule(call, table, chain, rule)
    elif flag == "-D":
        return _delete_rule(call, table, chain, rule)
    elif flag == "-C":
        return int(rule not in rules[chain])
    else:
        raise unmodelled(call.run)
    return 0


def _delete_rule(call: Call, table: str, chain: str, rule: str) -> int:
    if rule not in call.machine.chains.rules[table][chain]:
        call.write("iptables: Bad rule (does a matching rule exist in that chain?).")
        return 1
    call.machine.chains.delete(table, chain, rule)
    return 0


async def ip(call: Call) -> int:
    """`ip [-4] route|neighbour|link VERB ...`, with the usual abbreviations."""
    await call.spend(0.1)
    words = [word for word in call.run.argv[1:] if not word.startswith("-")]
    what, verb, *rest = words
    for name, do in _IP.items():
        if name.startswith(what) and len(what) > 0:
            return do(call, verb, rest)
    raise unmodelled(call.run)


def _pairs(words: Sequence[str], call: Call, known: frozenset[str]) -> dict[str, str]:
    """Parse `dev flannel.1 via 10.16.3.0` into pairs; flags get an empty value."""
    pairs, remaining = dict[str, str](), iter(words)
    for word in remaining:
        if word in ("onlink", "self", "master", "permanent", "static"):
            pairs[word] = ""
        elif word in known:
            pairs[word] = next(remaining)
        else:
            raise unmodelled(call.run)
    return pairs


_ROUTE = frozenset({"via", "dev", "proto", "scope", "src", "metric"})


def _route(call: Call, verb: str, rest: Sequence[str]) -> int:
    machine, (to, *words) = call.machine, rest
    options = _pairs(words, call, _ROUTE)
    dev, via = options.get("dev", ""), options.get("via", "")
    same = [
        route
        for route in machine.routes
        if route.to == to and dev in ("", route.dev) and via in ("", route.via)
    ]
    if verb in ("del", "delete"):
        if not same:
            call.write("RTNETLINK answers: No such process")
            return 2
        machine.routes.remove(same[0])
        return 0
    if verb not in ("add", "replace"):
        raise unmodelled(call.run)
    if dev and dev not in machine.links:
        call.write(f'Cannot find device "{dev}"')
        return 1
    if verb == "add" and any(route.to == to for route in machine.routes):
        call.write("RTNETLINK answers: File exists")
        return 2
    if not dev:
        hop = machine.route_to(via)
        dev = hop.dev if hop else machine.uplink.name
    others = [route for route in machine.routes if verb == "add" or route.to != to]
    machine.routes = [*others, Route(to, dev, via)]
    return 0


_NEIGHBOUR = frozenset({"dev", "lladdr", "nud"})


def _neighbour(call: Call, verb: str, rest: Sequence[str]) -> int:
    address, *words = rest
    options = _pairs(words, call, _NEIGHBOUR)
    subnet = _subnet_of(
        call.machine, options["dev"], lambda net, _: net.partition("/")[0] == address
    )
    if subnet is None:
        call.write("RTNETLINK answers: No such file or directory")
        return 2
    peers = call.machine.peers[options["dev"]]
    # The FDB entry is separate and stays.
    new = options.get("lladdr", "") if verb in ("add", "replace", "change") else ""
    peers[subnet] = replace(peers[subnet], mac=new, fdb=peers[subnet].fdb_mac)
    return 0


def _link(call: Call, verb: str, rest: Sequence[str]) -> int:
    options, words = _options(rest, {"mtu": True, "dev": True})
    name = options.get("dev") or words.pop(0)
    machine = call.machine
    if name not in machine.links:
        call.write(f'Cannot find device "{name}"')
        return 1
    if verb == "set" and "mtu" in options:
        machine.links[name] = replace(machine.links[name], mtu=int(options["mtu"]))
    elif verb == "set" and words in (["up"], ["down"]):
        machine.links[name] = replace(machine.links[name], up=words == ["up"])
    else:
        raise unmodelled(call.run)
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
    options = _pairs(rest, call, frozenset({"dev", "dst"}))
    machine, dev, dst = call.machine, options["dev"], options.get("dst", "")
    if what != "fdb":
        raise unmodelled(call.run)
    delete = verb in ("del", "delete")

    def wanted(_net: str, peer: Peer) -> bool:
        return dst in ("", peer.address) and (not delete or peer.fdb_mac == mac)

    subnet = _subnet_of(machine, dev, wanted)
    if subnet is None:
        call.write("RTNETLINK answers: No such file or directory")
        return 255
    peers = machine.peers[dev]
    peers[subnet] = replace(peers[subnet], fdb="" if delete else mac)
    return 0


def _subnet_of(machine: Machine, dev: str, wanted: Callable[[str, Peer], bool]) -> str | None:
    subnets: Iterator[str] = (
        net for net, peer in machine.peers.get(dev, {}).items() if wanted(net, peer)
    )
    return next(subnets, None)


COMMANDS: Mapping[str, Command] = {"bridge": bridge, "ip": ip, "iptables": iptables}
"""By the first word of the command."""
