"""Fixes for packets dropped by a host's firewall: accept the network's packets first."""

import re
from collections.abc import Iterator, Sequence

from fedwiz.diagnose.filters import Dropper, chains, opening
from fedwiz.diagnose.values import Case, Fix, fix_command
from fedwiz.steps.make import run_script

COMMENT = "fedwiz"
"""Marks the rules that a fix adds, so that undoing it removes these and no others."""

_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")


def accept_fixes(case: Case, it: Dropper) -> tuple[Fix, ...]:
    """Accept such packets before they are dropped; existing rules stay unchanged."""
    if it.kind == "firewalld":
        return tuple(_open_firewalld(case, it))
    inner = ("-s", str(case.net.network), "-d", str(case.net.network))
    port = ("--dport", str(it.packet.port)) if it.packet.port else ()
    match = inner if it.packet.whose == "inner" else ("-p", it.packet.protocol, *port)
    if it.kind == "iptables":
        return (accept(it.host, it.table, entry_chain(case, it), match),)
    return tuple(_nft_accept(case, it))


def accept(host: str, table: str, chain: str, match: tuple[str, ...]) -> Fix:
    """Insert an iptables rule before all others of a chain."""
    tail = (chain, *match, "-m", "comment", "--comment", COMMENT, "-j", "ACCEPT")
    words = ("iptables", "-w", *(() if table == "filter" else ("-t", table)))
    return fix_command(host, (*words, "-I", *tail), (*words, "-D", *tail))


def entry_chain(case: Case, it: Dropper) -> str:
    """The chain in which a rule at the top takes effect before the rule that drops.

    DOCKER-USER, which docker reserves for others, if it is evaluated early enough.
    """
    base, rules = it.hook.upper(), case.facts(it.host).rules.get(it.table, ())
    rules_of_base = [rule.split() for rule in rules if rule.startswith(f"-A {base} ")]
    user = next(
        (at for at, words in enumerate(rules_of_base) if words[2:] == ["-j", "DOCKER-USER"]), None
    )
    if user is None:
        return base
    first = next(
        (at for at, words in enumerate(rules_of_base) if _leads_to_dropper(rules, words, it)),
        len(rules_of_base),
    )
    return "DOCKER-USER" if user <= first else base


def _leads_to_dropper(rules: Sequence[str], words: list[str], it: Dropper) -> bool:
    """Whether a rule of the base chain drops the packet, or leads to the rule that does."""
    if " ".join(words) == it.rule:
        return True
    target = words[words.index("-j") + 1] if "-j" in words[:-1] else ""
    return it.chain != it.hook.upper() and it.chain in chains(rules, target)


def _open_firewalld(case: Case, it: Dropper) -> Iterator[Fix]:
    """Everything that the install opens, at runtime and permanently.

    A permanent opening alone waits for the next reload; an open port alone does not allow
    forwarding.
    """
    firewalld, backend_opening = case.facts(it.host).firewall, opening(case.net)
    if firewalld is None:
        return
    openings = [
        ("source", str(case.net.network), "trusted", firewalld.trusted, firewalld.trusted_permanent)
    ]
    if backend_opening is not None:
        openings.insert(0, (*backend_opening, firewalld.zone, firewalld.ports, firewalld.permanent))
    for option, value, zone_name, now, later in openings:
        zone_flag = (f"--zone={zone_name}",) if zone_name else ()
        for flags, opened in (((), now), (("--permanent",), later)):
            if value not in opened:
                words = ("firewall-cmd", *flags, *zone_flag)
                yield fix_command(
                    it.host,
                    (*words, f"--add-{option}={value}"),
                    (*words, f"--remove-{option}={value}"),
                )


def _nft_accept(case: Case, it: Dropper) -> Iterator[Fix]:
    """In the same chain: what one nftables table accepts, another may still drop."""
    if all(_TOKEN.fullmatch(word) for word in _chain_words(it)):
        undo = run_script("nft-accept", "off", *_chain_words(it))
        words = ("on", *_chain_words(it), *_nft_match(case, it))
        yield Fix(it.host, run_script("nft-accept", *words, undo=undo.brief, back=undo))


def _chain_words(it: Dropper) -> tuple[str, ...]:
    return (*it.table.split(" ", 1), it.chain)


def _nft_match(case: Case, it: Dropper) -> tuple[str, ...]:
    network = str(case.net.network)
    if it.packet.whose == "inner":
        return ("ip", "saddr", network, "ip", "daddr", network)
    if it.packet.port:
        return (it.packet.protocol, "dport", str(it.packet.port))
    return ("ip", "protocol", it.packet.protocol)


def remedy(case: Case, it: Dropper, fixes: tuple[Fix, ...], what: str, permanence: str) -> str:
    """One thing to do, and how to make it permanent.

    Args:
        case: the two nodes.
        it: what drops the packets.
        fixes: the fixes that `accept_fixes` offers for it.
        what: the packets to accept, for the case that there are no fixes.
        permanence: how an iptables rule is made permanent.
    """
    shown = remedy_commands(case, it, fixes) or f"accept {what} before it"
    if it.kind == "firewalld":
        return f"on {it.host}: {shown}, which keeps it for good"
    if it.kind == "nft":
        return (
            f"{shown} on {it.host}, for what other chains accept this one still drops; for good, "
            "put it where the rule comes from, such as /etc/sysconfig/nftables.conf"
        )
    return f"{shown} on {it.host}; for good, {permanence}"


def remedy_commands(case: Case, it: Dropper, fixes: tuple[Fix, ...]) -> str:
    """The fixes as shown to type."""
    if it.kind == "nft" and fixes:
        words = ("nft", "insert", "rule", *_chain_words(it), *_nft_match(case, it), "accept")
        return f"`{' '.join(words)}`"
    shown = [fix.do.brief for fix in fixes]
    runtime = [line for line in shown if "--permanent" not in line]
    if it.kind == "firewalld" and len(shown) == 2 * len(runtime):
        return ", ".join(f"`{line}`" for line in runtime) + ", and the same with --permanent"
    return " and ".join(f"`{line}`" for line in shown)
