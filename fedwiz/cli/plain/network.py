"""Line-mode questions about the network, the backend, the interfaces and everything else."""

from collections.abc import Sequence

from fedwiz.answers import rules
from fedwiz.answers.file import QUESTIONS, Question
from fedwiz.answers.questions import as_text
from fedwiz.checks.ranges import unused_network
from fedwiz.cli.output import say
from fedwiz.cli.plain.dialogue import Dialogue, draft_findings, question
from fedwiz.cli.plain.prompt import NONE, wrong
from fedwiz.facts import Facts, Link
from fedwiz.model import addresses
from fedwiz.model.backends import BACKENDS
from fedwiz.util.sanitize import sanitize
from fedwiz.wizard.draft import Candidate
from fedwiz.wizard.suggestions import DEFAULT_BACKEND, choose, from_etcd

CIDR = "network.cidr"
BACKEND_CHECKS = ("backend-kernel", "flannel-version", "same-link", "mtu", "firewall", "hypervisor")
"""Checks that evaluate a backend."""


async def cidr(dialogue: Dialogue) -> None:
    """Ask for the container network; ask again if a check blocks it."""
    known = await dialogue.known()
    if dialogue.draft.get(CIDR) is None:
        dialogue.keep(from_etcd(dialogue.draft, known))
    asked, tried = question(CIDR), ""
    while True:
        now = "" if CIDR in dialogue.draft.refusals() else dialogue.draft.get(CIDR)
        other = unused_network(dialogue.answers(), known, [tried] if tried else ())
        text = await dialogue.prompt.line(
            CIDR,
            asked.title,
            now if now and now != tried else other,
            f"{asked.help}  {tried} typed again is taken as it is." if tried else asked.help,
        )
        dialogue.keep(dialogue.draft.put(CIDR, text))
        if (why := dialogue.draft.refusals().get(CIDR, "")) and not await _public(dialogue, why):
            continue
        blocks = dialogue.print_findings(
            dialogue.findings(known, ("network-public", "network-overlap"))
        )
        if text == tried or not blocks:
            return
        tried = text


async def _public(dialogue: Dialogue, why: str) -> bool:
    """If a network was refused for being public, ask whether the operator owns it."""
    wrong(why)
    owned = question("network.allow_public")
    if CIDR in dialogue.draft.put(owned.path, value=True).refusals():
        return False
    await dialogue.answer(owned)
    return bool(dialogue.draft.get(owned.path))


async def length(dialogue: Dialogue) -> None:
    """Ask for the length of each node's prefix."""
    net, nodes = str(dialogue.draft.get(CIDR)), len(dialogue.draft.chosen) - 1
    usual = addresses.default_subnet_len(net)
    for row in addresses.lengths(net):
        if row.subnets >= nodes and abs(row.subnet_len - usual) <= 2:
            say(f"  /{row.subnet_len} {row.subnets:>8} nodes {row.addresses:>8} addresses each")
    await dialogue.answer(question("network.subnet_len"), usual)
    dialogue.print_findings(dialogue.findings(await dialogue.known(), ("network-capacity",)))


async def kind(dialogue: Dialogue) -> None:
    """Ask for the backend."""
    known, asked = await dialogue.known(), question("backend.type")
    now = str(dialogue.draft.get(asked.path) or asked.default)
    options = []
    for it in BACKENDS.values():
        found = draft_findings(choose(dialogue.draft, it.name), known, BACKEND_CHECKS)
        notes = [f"{f.level}: {f.host}{': ' * bool(f.host)}{f.seen}" for f in found]
        options.append((it.name, it.name, "\n".join((f"{it.title}.  {it.help}", *notes))))
    name = await dialogue.prompt.pick(
        asked.path, asked.title, options, now if now in BACKENDS else DEFAULT_BACKEND, asked.help
    )
    dialogue.keep(choose(dialogue.draft, name))


async def options(dialogue: Dialogue) -> None:
    """Offer the backend's own options."""
    kind = str(dialogue.draft.get("backend.type") or DEFAULT_BACKEND)
    mine = [it for it in QUESTIONS if it.backend == kind]
    if mine:
        await _menu(dialogue, f"Which option of {kind} is to be changed?", mine)


async def _menu(dialogue: Dialogue, title: str, questions: Sequence[Question]) -> None:
    """Ask for every refused answer, and for the questions that the operator names."""
    by = {it.path: it for it in questions}
    while True:
        for it in questions:
            if it.path in dialogue.draft.refusals():
                wrong(f"{it.path}: {dialogue.draft.refusals()[it.path]}")
                await dialogue.answer(it)
        lines = (f"{it.path} = {_now(dialogue, it)}   {it.title}" for it in questions)
        key = next(iter(dialogue.draft.refusals()), questions[0].path)
        reply = await dialogue.prompt.line(key, title, NONE, "\n".join(lines))
        if reply == NONE:
            return
        path = reply if reply in by else f"{questions[0].path.partition('.')[0]}.{reply}"
        if path in by:
            await dialogue.answer(by[path])
        else:
            wrong(f"{reply}: {rules.nearest(path, by)}")


def _now(dialogue: Dialogue, it: Question) -> str:
    value = dialogue.draft.get(it.path)
    return as_text(it.default if value is None else value) or '""'


async def interfaces(dialogue: Dialogue) -> None:
    """Ask which interface each node uses, if there is a choice."""
    known = await dialogue.known()
    nodes = [it for it in dialogue.draft.chosen if it.role != "master"]
    if not any(len(_links(dialogue, it)) > 1 or it.interface for it in nodes):
        dialogue.print_findings(dialogue.findings(known, ("interface",)))
        return
    width = max(len(it.name) for it in nodes)
    while True:
        nodes = [it for it in dialogue.draft.chosen if it.role != "master"]
        for number, it in enumerate(nodes, 1):
            say(sanitize(f"  {number:>3}  {it.name:<{width}}  {_uses(dialogue, it)}"))
        bad = dialogue.findings(known, ("interface",))
        dialogue.print_findings(bad)
        text = await dialogue.prompt.line(
            "host.interface",
            "Which node's interface is to be changed?",
            (_suggestion(dialogue, nodes) if bad else "") or NONE,
            "A node's number and an interface or an address of it, such as `1 eth1`, or `all "
            "eth1`; `1 default` takes that of the default route; none goes on.",
        )
        if text == NONE:
            return
        _use(dialogue, nodes, text)


def _links(dialogue: Dialogue, it: Candidate) -> list[Link]:
    """The interfaces that could carry a node's packets."""
    facts = dialogue.inventory.facts.get(it.address, Facts())
    return [
        link
        for link in facts.links
        if link.addresses
        and link.name not in ("lo", "docker0")
        and not link.name.startswith("flannel")
    ]


def _uses(dialogue: Dialogue, it: Candidate) -> str:
    facts = dialogue.inventory.facts.get(it.address, Facts())
    link = facts.uplink(it.interface)
    others = [f"{o.name} {', '.join(o.addresses)}" for o in _links(dialogue, it) if o is not link]
    more = f"   also: {'; '.join(others)}" if others else ""
    now = f"{link.name} {facts.public_ip(it.interface)}" if link else it.interface or "none"
    return f"{now}{'' if it.interface else ' (default route)'}{more}"


def _suggestion(dialogue: Dialogue, nodes: Sequence[Candidate]) -> str:
    """`all eth0`, if all nodes are reached through one interface that some of them do not use."""
    facts = dialogue.inventory.facts
    at = [(it, facts[it.address].uplink(it.address)) for it in nodes if it.address in facts]
    names = {link.name for _, link in at if link is not None}
    other = any(link is not facts[it.address].uplink(it.interface) for it, link in at)
    return f"all {names.pop()}" if len(names) == 1 and other else ""


def _use(dialogue: Dialogue, nodes: Sequence[Candidate], text: str) -> None:
    """Apply a choice of interfaces, or say what is wrong with it."""
    who, _, name = text.partition(" ")
    name = name.strip()
    if not name or not (who == "all" or (who.isdecimal() and 1 <= int(who) <= len(nodes))):
        wrong(f"{text}: a number from 1 to {len(nodes)} or `all`, and an interface")
        return
    chosen = nodes if who == "all" else [nodes[int(who) - 1]]
    for it in chosen:
        facts = dialogue.inventory.facts.get(it.address)
        if name != "default" and facts is not None and facts.uplink(name) is None:
            names = ", ".join(link.name for link in _links(dialogue, it))
            wrong(f"{it.name} has no {name}; it has {names}")
            return
    for it in chosen:
        dialogue.keep(dialogue.draft.host(it.address, interface="" if name == "default" else name))


LATE = ("etcd", "flannel", "docker", "verify")
"""Sections that have no page of their own."""


async def others(dialogue: Dialogue) -> None:
    """Ask the remaining questions: those that the answer file wants asked, else on request."""
    mine = [it for it in QUESTIONS if it.path.partition(".")[0] in (*LATE, "ssh", "network")]
    ask = dialogue.draft.get("wizard.ask") or ()
    if not dialogue.back:
        for it in mine:
            section = it.path.partition(".")[0]
            if section in LATE and (section in ask or "*" in ask):
                await dialogue.answer(it)
    await _menu(
        dialogue, "Which other answer is to be changed?  Its key, such as etcd.prefix", mine
    )
