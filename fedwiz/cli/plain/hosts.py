"""Questions in lines: which machines, what they are called, what they do."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import replace

from fedwiz.answers.file import AnswersError
from fedwiz.cli.discover import progress
from fedwiz.cli.output import say
from fedwiz.cli.plain.dialogue import Dialogue, QuitError, question
from fedwiz.cli.plain.prompt import NONE, NOTHING, BackError, InputEndedError, wrong
from fedwiz.engine.verbs import UNREACHABLE
from fedwiz.util.sanitize import sanitize
from fedwiz.wizard import candidates
from fedwiz.wizard.draft import Candidate, Role


async def name(talk: Dialogue) -> None:
    """What the cluster is called."""
    await talk.answer(question("name"))


async def where(talk: Dialogue) -> None:
    """Where the hosts are; looks there."""
    sources = talk.site.sources()
    told = ", ".join(f"`{it}`" for it in sources)
    help_ = (
        "Networks (192.168.122.0/24), ranges (192.168.122.10-40), addresses, names, lines as in "
        f"/etc/hosts, or {told}; several with commas between, or one a line."
    )
    while True:
        some = bool(talk.draft.candidates)
        first = "Where else are hosts?" if some else "Where are the hosts?"
        default = talk.draft.typed
        lines = [await talk.prompt.line("host", first, NONE if some else default, help_)]
        if some and lines[0] in (NONE, NOTHING):
            return
        while lines[-1] and lines[0] != default:
            lines.append(await talk.prompt.line("host", "  and", help=help_))
        words = [line for line in lines if line]
        try:
            await _look(talk, words)
        except ValueError as why:
            wrong(str(why))
            continue
        if talk.draft.candidates:
            return
        wrong("no host answers there as ssh does: name other places")


async def _look(talk: Dialogue, words: Iterable[str]) -> None:
    """Look where the operator says.

    Raises:
        ValueError: it can't be understood.
    """
    sources = talk.site.sources()
    asked = [it.strip() for word in words for it in re.split(r"[,;]", word)]
    read = [await asyncio.to_thread(sources[it]) for it in asked if it in sources]
    for source in read:
        for note in source.notes:
            say(sanitize(f"  {note}"))
    text = ", ".join(it for it in asked if it and it not in sources)
    named, many = candidates.meant(text)
    told = tuple(target for source in read for target in source.targets)
    draft, first = talk.draft, len(talk.draft.candidates)
    draft = draft.add((*candidates.typed(named), *candidates.known(told)))
    targets = (*named, *told, *many)
    found = await talk.site.look(targets, progress()) if targets else ()
    draft = candidates.quiet(candidates.sighted(draft, found), named)
    talk.keep(replace(candidates.sorted_from(draft, first), typed=text or draft.typed))


async def who(talk: Dialogue) -> None:
    """Which of the machines belong."""
    rows = talk.draft.candidates
    wide = max(len(it.name) for it in rows)
    for number, it in enumerate(rows, 1):
        key = it.shown_key or ("no answer as ssh" if it.silent else "")
        told = it.name if it.name != it.address else ""
        say(sanitize(f"  {number:>3}  {it.address:<15}  {told:<{wide}}  {key}").rstrip())
    before = [at for at, it in enumerate(rows, 1) if it.chosen]
    every = range(1, len(rows) + 1)
    said = await talk.prompt.text(
        "host",
        "Which of them belong to the cluster?",
        lambda text: _refused(text, len(rows)),
        ranges(before or every),
        "Their numbers, such as `1-4 6`, or `all`: one master and two nodes or more.",
    )
    talk.choose(at - 1 for at in numbers(said, len(rows)))
    talk.keep(candidates.settled(talk.draft))


def _refused(text: str, most: int) -> str:
    try:
        found = numbers(text, most)
    except ValueError as why:
        return str(why)
    few = f"{len(found)} chosen: a cluster has one master and two nodes or more"
    return few if len(found) < 3 else ""


def numbers(text: str, most: int) -> list[int]:
    """The numbers in `1-4 6`, or in `all`.

    Raises:
        ValueError: something else is in it.
    """
    found = dict[int, None]()
    for word in text.replace(",", " ").split():
        ends = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", "1-999999" if word == "all" else word)
        if not ends:
            raise ValueError(f"{sanitize(word)}: numbers from 1 to {most}, such as 1-{most}")
        first, last = int(ends[1]), int(ends[2] or ends[1])
        last = most if word == "all" else last
        if not 1 <= first <= last <= most:
            raise ValueError(f"{sanitize(word)}: the numbers go from 1 to {most}")
        found |= dict.fromkeys(range(first, last + 1))
    return list(found)


def ranges(found: Iterable[int]) -> str:
    """`1-4 6` of 1, 2, 3, 4, 6."""
    rows = list[list[int]]()
    for number in found:
        if rows and rows[-1][1] == number - 1:
            rows[-1][1] = number
        else:
            rows.append([number, number])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in rows)


async def login(talk: Dialogue) -> None:
    """Who logs in."""
    await talk.answer(question("ssh.user"))


async def root(talk: Dialogue) -> None:
    """How that user becomes root, where it is another one."""
    if talk.draft.get("ssh.user") not in (None, "root"):
        await talk.answer(question("ssh.sudo"), "nopasswd")


async def machines(talk: Dialogue) -> None:
    """Who the machines are, by what they say; what is wrong there can be put right."""
    try:
        await talk.known()
    except AnswersError as refused:
        wrong(str(refused))
        raise BackError from None
    anew = True
    while True:
        talk.keep(candidates.learn(talk.draft, talk.site.facts))
        rows = [at for at, it in enumerate(talk.draft.candidates) if it.chosen]
        why = {k: v for k, v in talk.draft.refusals().items() if k.partition("[")[0] == "host"}
        if anew:
            _table(talk)
            wrong(why.get("host", ""))
        said = await _which(talk, next(iter(why), ""))
        number = said.removeprefix(NOTHING).strip()
        anew = said == "r" or (number.isdecimal() and 1 <= int(number) <= len(rows))
        if said == "r":
            await talk.known(again=True)
        elif anew and number != said:
            talk.choose(at for at in rows if at != rows[int(number) - 1])
        elif anew:
            await _change(talk, rows[int(number) - 1])
        elif said != NONE:
            wrong(f"a number from 1 to {len(rows)}, r, or {NONE}")
        elif why:
            wrong("what is marked X has to be put right first: its number")
        else:
            return


async def _which(talk: Dialogue, key: str) -> str:
    """What is to be done about the hosts.

    Raises:
        Left: some could not be read, and there is no more input.
    """
    try:
        return await talk.prompt.line(
            key or "host",
            "Which one is to be changed?",
            "" if key else NONE,
            "Its number; `-3` leaves the third one out; `r` reads all again; none goes on.",
        )
    except InputEndedError:
        for address, why in talk.site.lost.items():
            raise QuitError(UNREACHABLE, f"{address}: {why}") from None
        raise


def _table(talk: Dialogue) -> None:
    """The chosen hosts, each with what is wrong there."""
    draft, facts = talk.draft, talk.site.facts
    rows = candidates.judged(draft, facts, talk.site.lost, talk.site.unknown).rows
    told = [(it, row) for it, row in zip(draft.candidates, rows, strict=True) if it.chosen]
    for number, (it, row) in enumerate(told, 1):
        read = facts.get(it.address)
        runs = "etcd" if candidates.runs_etcd(read) else ""
        system = f"{read.os} {read.os_version}" if read else "not read"
        label = f"label {it.label}" if it.label else ""
        line = f"{it.name or '?':<16}  {it.address:<15}  {it.role or '?':<6}  {system:<10}  {runs}"
        say(sanitize(f"  {number:>3}  {line}  {label}").rstrip())
        for finding in row:
            sign = "X" if finding.level == "block" else "!"
            say(sanitize(f"       {sign} {finding.level}: {finding.seen}"))


async def _change(talk: Dialogue, at: int) -> None:
    """Other words about one host."""

    def now() -> Candidate:
        return talk.draft.candidates[at]

    try:
        called = question("host.name")
        said = await talk.prompt.line(called.path, called.title, now().name, called.help)
        talk.keep(talk.draft.row(at, name=said))
        does = question("host.role")
        options = [(choice, choice, "") for choice in does.choices]
        role = await talk.prompt.pick(
            does.path, does.title, options, now().role or "node", does.help
        )
        _play(talk, at, role)
        label = question("host.label")
        said = await talk.prompt.line(label.path, label.title, now().label or NOTHING, label.help)
        talk.keep(talk.draft.row(at, label="" if said == NOTHING else said))
    except BackError:
        return


def _play(talk: Dialogue, at: int, role: str) -> None:
    """Give a host its role; there is one master."""
    mine: Role = "master" if role == "master" else "node"
    talk.keep(
        replace(
            talk.draft,
            candidates=tuple(
                replace(it, role=mine)
                if place == at
                else replace(it, role="node")
                if mine == "master" and it.role == "master"
                else it
                for place, it in enumerate(talk.draft.candidates)
            ),
        )
    )
