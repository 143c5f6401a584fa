"""Line-mode questions about the hosts: which machines, their names and their roles."""

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


async def name(dialogue: Dialogue) -> None:
    """Ask for the cluster's name."""
    await dialogue.answer(question("name"))


async def where(dialogue: Dialogue) -> None:
    """Ask where the hosts are, and search there."""
    sources = dialogue.inventory.sources()
    names = ", ".join(f"`{it}`" for it in sources)
    help_ = (
        "Networks (192.168.122.0/24), ranges (192.168.122.10-40), addresses, names, lines as in "
        f"/etc/hosts, or {names}; several with commas between, or one a line."
    )
    while True:
        some = bool(dialogue.draft.candidates)
        first = "Where else are hosts?" if some else "Where are the hosts?"
        default = dialogue.draft.typed
        lines = [await dialogue.prompt.line("host", first, NONE if some else default, help_)]
        if some and lines[0] in (NONE, NOTHING):
            return
        while lines[-1] and lines[0] != default:
            lines.append(await dialogue.prompt.line("host", "  and", help=help_))
        words = [line for line in lines if line]
        try:
            await _search(dialogue, words)
        except ValueError as why:
            wrong(str(why))
            continue
        if dialogue.draft.candidates:
            return
        wrong("no host answers there as ssh does: name other places")


async def _search(dialogue: Dialogue, words: Iterable[str]) -> None:
    """Search in the places that the operator typed.

    Raises:
        ValueError: the text cannot be parsed.
    """
    sources = dialogue.inventory.sources()
    asked = [it.strip() for word in words for it in re.split(r"[,;]", word)]
    read = [await asyncio.to_thread(sources[it]) for it in asked if it in sources]
    for source in read:
        for note in source.notes:
            say(sanitize(f"  {note}"))
    text = ", ".join(it for it in asked if it and it not in sources)
    named, many = candidates.parse_targets(text)
    known = tuple(target for source in read for target in source.targets)
    draft, first = dialogue.draft, len(dialogue.draft.candidates)
    draft = draft.add((*candidates.chosen_from_targets(named), *candidates.from_targets(known)))
    targets = (*named, *known, *many)
    found = await dialogue.inventory.look(targets, progress()) if targets else ()
    draft = candidates.mark_silent(candidates.add_sightings(draft, found), named)
    dialogue.keep(replace(candidates.sorted_from(draft, first), typed=text or draft.typed))


async def who(dialogue: Dialogue) -> None:
    """Ask which of the machines belong to the cluster."""
    rows = dialogue.draft.candidates
    width = max(len(it.name) for it in rows)
    for number, it in enumerate(rows, 1):
        key = it.shown_key or ("no answer as ssh" if it.silent else "")
        name = it.name if it.name != it.address else ""
        say(sanitize(f"  {number:>3}  {it.address:<15}  {name:<{width}}  {key}").rstrip())
    before = [at for at, it in enumerate(rows, 1) if it.chosen]
    every = range(1, len(rows) + 1)
    text = await dialogue.prompt.text(
        "host",
        "Which of them belong to the cluster?",
        lambda text: _refused(text, len(rows)),
        ranges(before or every),
        "Their numbers, such as `1-4 6`, or `all`: one master and two nodes or more.",
    )
    dialogue.choose(at - 1 for at in numbers(text, len(rows)))
    dialogue.keep(candidates.settle_port(dialogue.draft))


def _refused(text: str, most: int) -> str:
    try:
        found = numbers(text, most)
    except ValueError as why:
        return str(why)
    few = f"{len(found)} chosen: a cluster has one master and two nodes or more"
    return few if len(found) < 3 else ""


def numbers(text: str, most: int) -> list[int]:
    """Parse numbers such as `1-4 6` or `all`.

    Raises:
        ValueError: the text contains anything else.
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
    """Format numbers as ranges: 1, 2, 3, 4, 6 becomes `1-4 6`."""
    rows = list[list[int]]()
    for number in found:
        if rows and rows[-1][1] == number - 1:
            rows[-1][1] = number
        else:
            rows.append([number, number])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in rows)


async def login(dialogue: Dialogue) -> None:
    """Ask for the login user."""
    await dialogue.answer(question("ssh.user"))


async def root(dialogue: Dialogue) -> None:
    """Ask how that user becomes root, unless it is root."""
    if dialogue.draft.get("ssh.user") not in (None, "root"):
        await dialogue.answer(question("ssh.sudo"), "nopasswd")


async def machines(dialogue: Dialogue) -> None:
    """Read the machines, learn their names and roles, and let the operator correct them."""
    try:
        await dialogue.known()
    except AnswersError as refused:
        wrong(str(refused))
        raise BackError from None
    redraw = True
    while True:
        dialogue.keep(candidates.learn(dialogue.draft, dialogue.inventory.facts))
        rows = [at for at, it in enumerate(dialogue.draft.candidates) if it.chosen]
        why = {k: v for k, v in dialogue.draft.refusals().items() if k.partition("[")[0] == "host"}
        if redraw:
            _table(dialogue)
            wrong(why.get("host", ""))
        reply = await _which(dialogue, next(iter(why), ""))
        number = reply.removeprefix(NOTHING).strip()
        redraw = reply == "r" or (number.isdecimal() and 1 <= int(number) <= len(rows))
        if reply == "r":
            await dialogue.known(again=True)
        elif redraw and number != reply:
            dialogue.choose(at for at in rows if at != rows[int(number) - 1])
        elif redraw:
            await _change(dialogue, rows[int(number) - 1])
        elif reply != NONE:
            wrong(f"a number from 1 to {len(rows)}, r, or {NONE}")
        elif why:
            wrong("what is marked X must be corrected first: its number")
        else:
            return


async def _which(dialogue: Dialogue, key: str) -> str:
    """Ask which host to change.

    Raises:
        QuitError: some hosts could not be read, and the input has ended.
    """
    try:
        return await dialogue.prompt.line(
            key or "host",
            "Which one is to be changed?",
            "" if key else NONE,
            "Its number; `-3` leaves the third one out; `r` reads all again; none goes on.",
        )
    except InputEndedError:
        for address, why in dialogue.inventory.lost.items():
            raise QuitError(UNREACHABLE, f"{address}: {why}") from None
        raise


def _table(dialogue: Dialogue) -> None:
    """Print the chosen hosts with the problems of each."""
    draft, facts = dialogue.draft, dialogue.inventory.facts
    rows = candidates.judged(draft, facts, dialogue.inventory.lost, dialogue.inventory.unknown).rows
    chosen = [(it, row) for it, row in zip(draft.candidates, rows, strict=True) if it.chosen]
    for number, (it, row) in enumerate(chosen, 1):
        read = facts.get(it.address)
        runs = "etcd" if candidates.runs_etcd(read) else ""
        system = f"{read.os} {read.os_version}" if read else "not read"
        label = f"label {it.label}" if it.label else ""
        line = f"{it.name or '?':<16}  {it.address:<15}  {it.role or '?':<6}  {system:<10}  {runs}"
        say(sanitize(f"  {number:>3}  {line}  {label}").rstrip())
        for finding in row:
            sign = "X" if finding.level == "block" else "!"
            say(sanitize(f"       {sign} {finding.level}: {finding.seen}"))


async def _change(dialogue: Dialogue, at: int) -> None:
    """Ask for a host's name, role and label."""

    def now() -> Candidate:
        return dialogue.draft.candidates[at]

    try:
        called = question("host.name")
        text = await dialogue.prompt.line(called.path, called.title, now().name, called.help)
        dialogue.keep(dialogue.draft.row(at, name=text))
        does = question("host.role")
        options = [(choice, choice, "") for choice in does.choices]
        role = await dialogue.prompt.pick(
            does.path, does.title, options, now().role or "node", does.help
        )
        _play(dialogue, at, role)
        label = question("host.label")
        text = await dialogue.prompt.line(
            label.path, label.title, now().label or NOTHING, label.help
        )
        dialogue.keep(dialogue.draft.row(at, label="" if text == NOTHING else text))
    except BackError:
        return


def _play(dialogue: Dialogue, at: int, role: str) -> None:
    """Set a host's role; there is only one master."""
    mine: Role = "master" if role == "master" else "node"
    dialogue.keep(
        replace(
            dialogue.draft,
            candidates=tuple(
                replace(it, role=mine)
                if index == at
                else replace(it, role="node")
                if mine == "master" and it.role == "master"
                else it
                for index, it in enumerate(dialogue.draft.candidates)
            ),
        )
    )
