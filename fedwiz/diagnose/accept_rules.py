"""Remedies for what a host's firewall drops: the network's packets are let pass before that."""

import re
from collections.abc import Iterator, Sequence

from fedwiz.diagnose.cause import mend
from fedwiz.diagnose.filters import Dropper, chains, opening
from fedwiz.diagnose.values import Case, Fix
from fedwiz.steps.make import run_script

COMMENT = "fedwiz"
"""Marks the rules that a remedy adds, so that they and no others are taken back."""

_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")


def let_pass(case: Case, it: Dropper) -> tuple[Fix, ...]:
    """Accept such packets before they are dropped; what was there stays as it is."""
    if it.kind == "firewalld":
        return tuple(_opened(case, it))
    inner = ("-s", str(case.net.network), "-d", str(case.net.network))
    port = ("--dport", str(it.packet.port)) if it.packet.port else ()
    match = inner if it.packet.whose == "inner" else ("-p", it.packet.protocol, *port)
    if it.kind == "iptables":
        return (accept(it.host, it.table, entry(case, it), match),)
    return tuple(_accepted(case, it))


def accept(host: str, table: str, chain: str, match: tuple[str, ...]) -> Fix:
    """A rule of iptables' before all others of a chain."""
    tail = (chain, *match, "-m", "comment", "--comment", COMMENT, "-j", "ACCEPT")
    words = ("iptables", "-w", *(() if table == "filter" else ("-t", table)))
    return mend(host, (*words, "-I", *tail), (*words, "-D", *tail))


def entry(case: Case, it: Dropper) -> str:
    """The chain in whose first place a rule is asked before the one that drops.

    DOCKER-USER, which docker leaves to others, where that is asked early enough.
    """
    base, rules = it.hook.upper(), case.facts(it.host).rules.get(it.table, ())
    ways = [rule.split() for rule in rules if rule.startswith(f"-A {base} ")]
    user = next((at for at, way in enumerate(ways) if way[2:] == ["-j", "DOCKER-USER"]), None)
    if user is None:
        return base
    first = next((at for at, way in enumerate(ways) if _leads(rules, way, it)), len(ways))
    return "DOCKER-USER" if user <= first else base


def _leads(rules: Sequence[str], way: list[str], it: Dropper) -> bool:
    """Whether a rule of the first chain is, or leads to, the one that drops."""
    if " ".join(way) == it.rule:
        return True
    goes = way[way.index("-j") + 1] if "-j" in way[:-1] else ""
    return it.chain != it.hook.upper() and it.chain in chains(rules, goes)


def _opened(case: Case, it: Dropper) -> Iterator[Fix]:
    """All that the install lets through, now and for good.

    Permanent alone comes with the next reload; a port alone lets packets in, and not on.
    """
    walls, way = case.facts(it.host).firewall, opening(case.net)
    if walls is None:
        return
    ways = [("source", str(case.net.network), "trusted", walls.trusted, walls.trusted_permanent)]
    if way is not None:
        ways.insert(0, (*way, walls.zone, walls.ports, walls.permanent))
    for option, value, zone, now, later in ways:
        where = (f"--zone={zone}",) if zone else ()
        for flags, there in (((), now), (("--permanent",), later)):
            if value not in there:
                words = ("firewall-cmd", *flags, *where)
                yield mend(
                    it.host,
                    (*words, f"--add-{option}={value}"),
                    (*words, f"--remove-{option}={value}"),
                )


def _accepted(case: Case, it: Dropper) -> Iterator[Fix]:
    """In the very chain: what one table of nftables' accepts another one may still drop."""
    if all(_TOKEN.fullmatch(word) for word in _where(it)):
        back = run_script("nft-accept", "off", *_where(it))
        words = ("on", *_where(it), *_nft_match(case, it))
        yield Fix(it.host, run_script("nft-accept", *words, undo=back.brief, back=back))


def _where(it: Dropper) -> tuple[str, ...]:
    return (*it.table.split(" ", 1), it.chain)


def _nft_match(case: Case, it: Dropper) -> tuple[str, ...]:
    network = str(case.net.network)
    if it.packet.whose == "inner":
        return ("ip", "saddr", network, "ip", "daddr", network)
    if it.packet.port:
        return (it.packet.protocol, "dport", str(it.packet.port))
    return ("ip", "protocol", it.packet.protocol)


def remedy(case: Case, it: Dropper, mends: tuple[Fix, ...], what: str, keep: str) -> str:
    """One thing to do, and how it is kept for good.

    Args:
        case: the two nodes.
        it: what drops.
        mends: what `let_pass` offers against it.
        what: is to be accepted, for where that is nothing.
        keep: what keeps a rule of iptables' for good.
    """
    shown = told(case, it, mends) or f"accept {what} before it"
    if it.kind == "firewalld":
        return f"on {it.host}: {shown}, which keeps it for good"
    if it.kind == "nft":
        return (
            f"{shown} on {it.host}, for what other chains accept this one still drops; for good, "
            "put it where the rule comes from, such as /etc/sysconfig/nftables.conf"
        )
    return f"{shown} on {it.host}; for good, {keep}"


def told(case: Case, it: Dropper, mends: tuple[Fix, ...]) -> str:
    """The remedy as commands to type."""
    if it.kind == "nft" and mends:
        words = ("nft", "insert", "rule", *_where(it), *_nft_match(case, it), "accept")
        return f"`{' '.join(words)}`"
    shown = [mend.do.brief for mend in mends]
    once = [line for line in shown if "--permanent" not in line]
    if it.kind == "firewalld" and len(shown) == 2 * len(once):
        return ", ".join(f"`{line}`" for line in once) + ", and the same with --permanent"
    return " and ".join(f"`{line}`" for line in shown)
