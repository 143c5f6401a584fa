"""Questions in lines: the containers' network, the backend, the interfaces, all the others."""

from collections.abc import Sequence

from fedwiz.answers import rules
from fedwiz.answers.file import QUESTIONS, Question
from fedwiz.answers.questions import as_text
from fedwiz.checks.ranges import free
from fedwiz.cli.output import say
from fedwiz.cli.plain.dialogue import Dialogue, judged, question
from fedwiz.cli.plain.prompt import NONE, wrong
from fedwiz.facts import Facts, Link
from fedwiz.model import addresses
from fedwiz.model.backends import BACKENDS
from fedwiz.util.sanitize import sanitize
from fedwiz.wizard.draft import Candidate
from fedwiz.wizard.suggestions import DEFAULT_BACKEND, choose, from_etcd

CIDR = "network.cidr"
BACKEND_CHECKS = ("backend-kernel", "flannel-version", "same-link", "mtu", "firewall", "hypervisor")
"""Checks that judge a backend."""


async def cidr(talk: Dialogue) -> None:
    """Which addresses the containers get; one that a check blocks is asked for again."""
    known = await talk.known()
    if talk.draft.get(CIDR) is None:
        talk.keep(from_etcd(talk.draft, known))
    asked, tried = question(CIDR), ""
    while True:
        now = "" if CIDR in talk.draft.refusals() else talk.draft.get(CIDR)
        other = free(talk.answers(), known, [tried] if tried else ())
        said = await talk.prompt.line(
            CIDR,
            asked.title,
            now if now and now != tried else other,
            f"{asked.help}  {tried} typed again is taken as it is." if tried else asked.help,
        )
        talk.keep(talk.draft.put(CIDR, said))
        if (why := talk.draft.refusals().get(CIDR, "")) and not await _public(talk, why):
            continue
        blocks = talk.told(talk.findings(known, ("network-public", "network-overlap")))
        if said == tried or not blocks:
            return
        tried = said


async def _public(talk: Dialogue, why: str) -> bool:
    """Whether a network that is refused will do: where it is public, and the operator owns it."""
    wrong(why)
    owned = question("network.allow_public")
    if CIDR in talk.draft.put(owned.path, value=True).refusals():
        return False
    await talk.answer(owned)
    return bool(talk.draft.get(owned.path))


async def length(talk: Dialogue) -> None:
    """How long each node's prefix is."""
    net, nodes = str(talk.draft.get(CIDR)), len(talk.draft.chosen) - 1
    usual = addresses.default_subnet_len(net)
    for row in addresses.lengths(net):
        if row.subnets >= nodes and abs(row.subnet_len - usual) <= 2:
            say(f"  /{row.subnet_len} {row.subnets:>8} nodes {row.addresses:>8} addresses each")
    await talk.answer(question("network.subnet_len"), usual)
    talk.told(talk.findings(await talk.known(), ("network-capacity",)))


async def kind(talk: Dialogue) -> None:
    """Which backend."""
    known, asked = await talk.known(), question("backend.type")
    now = str(talk.draft.get(asked.path) or asked.default)
    options = []
    for it in BACKENDS.values():
        found = judged(choose(talk.draft, it.name), known, BACKEND_CHECKS)
        notes = [f"{f.level}: {f.host}{': ' * bool(f.host)}{f.seen}" for f in found]
        options.append((it.name, it.name, "\n".join((f"{it.title}.  {it.help}", *notes))))
    said = await talk.prompt.pick(
        asked.path, asked.title, options, now if now in BACKENDS else DEFAULT_BACKEND, asked.help
    )
    talk.keep(choose(talk.draft, said))


async def options(talk: Dialogue) -> None:
    """The backend's own options, only if asked for."""
    kind = str(talk.draft.get("backend.type") or DEFAULT_BACKEND)
    mine = [it for it in QUESTIONS if it.backend == kind]
    if mine:
        await _menu(talk, f"Which option of {kind} is to be changed?", mine)


async def _menu(talk: Dialogue, title: str, questions: Sequence[Question]) -> None:
    """Questions that are asked only if the operator names them, and those that are refused."""
    by = {it.path: it for it in questions}
    while True:
        for it in questions:
            if it.path in talk.draft.refusals():
                wrong(f"{it.path}: {talk.draft.refusals()[it.path]}")
                await talk.answer(it)
        lines = (f"{it.path} = {_now(talk, it)}   {it.title}" for it in questions)
        key = next(iter(talk.draft.refusals()), questions[0].path)
        said = await talk.prompt.line(key, title, NONE, "\n".join(lines))
        if said == NONE:
            return
        path = said if said in by else f"{questions[0].path.partition('.')[0]}.{said}"
        if path in by:
            await talk.answer(by[path])
        else:
            wrong(f"{said}: {rules.nearest(path, by)}")


def _now(talk: Dialogue, it: Question) -> str:
    said = talk.draft.get(it.path)
    return as_text(it.default if said is None else said) or '""'


async def interfaces(talk: Dialogue) -> None:
    """Which interface each node uses, where there is a choice."""
    known = await talk.known()
    nodes = [it for it in talk.draft.chosen if it.role != "master"]
    if not any(len(_links(talk, it)) > 1 or it.interface for it in nodes):
        talk.told(talk.findings(known, ("interface",)))
        return
    wide = max(len(it.name) for it in nodes)
    while True:
        nodes = [it for it in talk.draft.chosen if it.role != "master"]
        for number, it in enumerate(nodes, 1):
            say(sanitize(f"  {number:>3}  {it.name:<{wide}}  {_uses(talk, it)}"))
        bad = talk.findings(known, ("interface",))
        talk.told(bad)
        said = await talk.prompt.line(
            "host.interface",
            "Which node's interface is to be changed?",
            (_better(talk, nodes) if bad else "") or NONE,
            "A node's number and an interface or an address of it, such as `1 eth1`, or `all "
            "eth1`; `1 default` takes that of the default route; none goes on.",
        )
        if said == NONE:
            return
        _use(talk, nodes, said)


def _links(talk: Dialogue, it: Candidate) -> list[Link]:
    """The interfaces that could carry a node's packets."""
    facts = talk.site.facts.get(it.address, Facts())
    return [
        link
        for link in facts.links
        if link.addresses
        and link.name not in ("lo", "docker0")
        and not link.name.startswith("flannel")
    ]


def _uses(talk: Dialogue, it: Candidate) -> str:
    facts = talk.site.facts.get(it.address, Facts())
    link = facts.uplink(it.interface)
    others = [f"{o.name} {', '.join(o.addresses)}" for o in _links(talk, it) if o is not link]
    more = f"   also: {'; '.join(others)}" if others else ""
    now = f"{link.name} {facts.public_ip(it.interface)}" if link else it.interface or "none"
    return f"{now}{'' if it.interface else ' (default route)'}{more}"


def _better(talk: Dialogue, nodes: Sequence[Candidate]) -> str:
    """`all eth0`, where the nodes are reached by one interface that they do not use."""
    facts = talk.site.facts
    at = [(it, facts[it.address].uplink(it.address)) for it in nodes if it.address in facts]
    names = {link.name for _, link in at if link is not None}
    other = any(link is not facts[it.address].uplink(it.interface) for it, link in at)
    return f"all {names.pop()}" if len(names) == 1 and other else ""


def _use(talk: Dialogue, nodes: Sequence[Candidate], said: str) -> None:
    """Take what was typed, or say what is wrong with it."""
    who, _, name = said.partition(" ")
    name = name.strip()
    if not name or not (who == "all" or (who.isdecimal() and 1 <= int(who) <= len(nodes))):
        wrong(f"{said}: a number from 1 to {len(nodes)} or `all`, and an interface")
        return
    meant = nodes if who == "all" else [nodes[int(who) - 1]]
    for it in meant:
        facts = talk.site.facts.get(it.address)
        if name != "default" and facts is not None and facts.uplink(name) is None:
            names = ", ".join(link.name for link in _links(talk, it))
            wrong(f"{it.name} has no {name}; it has {names}")
            return
    for it in meant:
        talk.keep(talk.draft.host(it.address, interface="" if name == "default" else name))


LATE = ("etcd", "flannel", "docker", "verify")
"""Sections that have no page of their own."""


async def others(talk: Dialogue) -> None:
    """All that has no question of its own: what is refused or to be asked, else if asked for."""
    mine = [it for it in QUESTIONS if it.path.partition(".")[0] in (*LATE, "ssh", "network")]
    ask = talk.draft.get("wizard.ask") or ()
    if not talk.back:
        for it in mine:
            section = it.path.partition(".")[0]
            if section in LATE and (section in ask or "*" in ask):
                await talk.answer(it)
    await _menu(talk, "Which other answer is to be changed?  Its key, such as etcd.prefix", mine)
