"""What the operator has said so far: answers on their way, kept as one goes.

A draft may hold anything that was typed, right or wrong; `answers` says what is wrong with it.
It is a value: each change makes a new one.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self, get_args

from fedwiz.answers import rules
from fedwiz.answers.file import QUESTIONS, Answers, AnswersError, Wizard, dump, overlay, parse
from fedwiz.model import addresses
from fedwiz.util import files

PAGES = ("hosts", "network", "backend", "interfaces", "review", "install", "verify")
"""The pages of the wizard, in order."""

ASKED_ON: Mapping[str, str] = {
    "name": "hosts",
    "ssh": "hosts",
    "host": "hosts",
    "network": "network",
    "backend": "backend",
}
"""Where each section of the answers is asked; all the others are asked on the page `review`."""

Role = Literal["", "master", "node"]
Goal = Literal["install", "verify", "look", "undo"]

MAX_HOSTS = 1000
"""Hosts of a practice cluster, and its pace, in a draft that is worth reading."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A machine that may become a host of the cluster."""

    address: str
    """As it was typed or found: an IP address, or a name."""

    name: str = ""
    """Empty: nobody has said it, and the machine was not asked yet."""

    chosen: bool = False
    """It is to be a host of the cluster."""

    role: Role = ""
    """Empty: not decided."""

    label: str = ""
    interface: str = ""
    host_key: str = ""
    """The fingerprint that the answers pin; empty: known_hosts decides."""

    source: str = ""
    """Who told of it: `libvirt`, `ssh config`, ...; empty: the operator."""

    shown_key: str = ""
    """Type and fingerprint of the key that it showed, as `ssh-ed25519 SHA256:...`."""

    port: int = 0
    """Where it was named or found with a port; 0: ssh's own, or as ssh_config says."""

    silent: bool = False
    """It was looked for and did not answer as SSH."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The operator's answers so far, and where in the wizard they were given."""

    page: str = ""
    """One of PAGES; empty: the first page, where nothing has been begun."""

    goal: Goal = "install"
    """`look`: at a run of before; `undo`: to go on with one.  Neither says anything new, so it is
    not kept."""

    practice: str = ""
    """On a practice cluster the name of its fault, or `healthy`; empty: real hosts."""

    size: int = 4
    """Hosts of the practice cluster."""

    pace: float = 0.2
    """Real seconds for each simulated one."""

    file: str = ""
    """The answer file that it began from; empty: none."""

    stops: tuple[str, ...] = PAGES
    """The pages at which the way forward stops; back, all of them can be seen."""

    typed: str = ""
    """What stands in the field that asks where the hosts are."""

    candidates: tuple[Candidate, ...] = ()
    said: Mapping[str, Any] = field(default_factory=dict)
    """Everything but the hosts, as an answer file has it: `{"network": {"cidr": ...}}`."""

    held: Mapping[str, Any] = field(default_factory=dict)
    """Options of backends that were chosen before, by backend: they come back with it."""

    run: str = ""
    """The id of the run that was begun from here; empty: none was."""

    accepted: tuple[str, ...] = ()
    """Names of checks whose block the operator takes for a warning."""

    @classmethod
    def of(cls, data: Mapping[str, Any], file: str = "") -> Self:
        """A draft from what an answer file says.

        Only what a page of the wizard can ask again may be missing or wrong.

        Raises:
            Refused: something else is.
        """
        why = dict[str, str]()
        try:
            parse(data)
        except AnswersError as refused:
            why = dict(refused.why)
        paths = {question.path for question in QUESTIONS} | {"host"}
        odd = {key: text for key, text in why.items() if _question(key) not in paths}
        tables = data.get("host", [])
        if odd or not isinstance(tables, list):
            raise AnswersError(odd or why)
        found = tuple(_candidate(table) for table in tables)
        said = {key: value for key, value in data.items() if key not in ("host", "version")}
        wizard = said.get("wizard")
        listed = wizard.get("ask") if isinstance(wizard, dict) else ()
        asked = {it for it in listed if isinstance(it, str)} if isinstance(listed, list) else set()
        sections = {_question(key).partition(".")[0] for key in why} | asked
        stops = {ASKED_ON.get(section, "review") for section in sections}
        stops |= set(PAGES) if "*" in asked else {"review", "install", "verify"}
        return cls(
            file=file, candidates=found, said=said, stops=tuple(p for p in PAGES if p in stops)
        )

    @property
    def chosen(self) -> tuple[Candidate, ...]:
        """The candidates that are to be hosts."""
        return tuple(it for it in self.candidates if it.chosen)

    @property
    def name(self) -> str:
        """The cluster's name, as it stands."""
        return str(self.said.get("name", ""))

    def get(self, path: str) -> Any:  # noqa: ANN401 - any of TOML's types
        """What was said to a question that is no host's; None: nothing."""
        section, _, key = path.rpartition(".")
        table = self.said.get(section, {}) if section else self.said
        return table.get(key) if isinstance(table, Mapping) else None

    def put(self, path: str, value: object) -> Self:
        """With another answer to a question that is no host's; None takes it back."""
        section, _, key = path.rpartition(".")
        held = self.said.get(section, {}) if section else self.said
        table = {**held, key: value} if isinstance(held, Mapping) else {key: value}
        if value is None:
            del table[key]
        return replace(self, said={**self.said, section: table} if section else table)

    def host(self, address: str, **said: Any) -> Self:  # noqa: ANN401 - fields of Candidate
        """With other words about the candidate at that address."""
        return replace(
            self,
            candidates=tuple(
                replace(it, **said) if it.address == address else it for it in self.candidates
            ),
        )

    def row(self, at: int, **said: Any) -> Self:  # noqa: ANN401 - fields of Candidate
        """With other words about the candidate at that place; two may share an address."""
        changed = replace(self.candidates[at], **said)
        return replace(
            self, candidates=(*self.candidates[:at], changed, *self.candidates[at + 1 :])
        )

    def without(self, at: int) -> Self:
        """Without the candidate at that place."""
        return replace(self, candidates=self.candidates[:at] + self.candidates[at + 1 :])

    def add(self, found: Iterable[Candidate]) -> Self:
        """With more candidates; of one that is there already, only what was not known is taken."""
        rows = list(self.candidates)
        there = {it.address.lower(): at for at, it in reversed(list(enumerate(rows)))}
        for it in found:
            at = there.setdefault(it.address.lower(), len(rows))
            if at == len(rows):
                rows.append(it)
                continue
            old = rows[at]
            rows[at] = replace(
                old,
                name=old.name or it.name,
                shown_key=it.shown_key or old.shown_key,
                source=old.source or it.source,
                chosen=old.chosen or it.chosen,
                port=it.port if it.chosen else old.port or it.port,
            )
        return replace(self, candidates=tuple(rows))

    def data(self) -> dict[str, Any]:
        """All that was said, as an answer file would have it."""
        hosts = [_table(it) for it in self.chosen]
        return {"version": 1, **self.said, **({"host": hosts} if hosts else {})}

    def answers(self) -> Answers:
        """The answers, if they can be used.

        Raises:
            Refused: what is missing or wrong, by key.
        """
        return parse(self.data())

    def refusals(self) -> Mapping[str, str]:
        """What is missing or wrong, by key; empty: nothing."""
        try:
            self.answers()
        except AnswersError as refused:
            return refused.why
        return {}

    def provisional(self) -> Answers:
        """Answers that are good for reading the hosts, whatever is not decided yet.

        Raises:
            Refused: what can't be done without: three hosts, ways to log in.
        """
        kept = {key: self.said[key] for key in ("ssh", "etcd", "flannel") if key in self.said}
        data = {"version": 1, "name": "cluster", **kept, "host": list(_provisional(self.chosen))}
        try:
            return parse(data | {"network": _somewhere(data)})
        except AnswersError as refused:
            sections = {_question(key).partition(".")[0] for key in refused.why}
        data = {key: table for key, table in data.items() if key not in sections - {"host", "ssh"}}
        return parse(data | {"network": _somewhere(data)})


def _somewhere(data: Mapping[str, Any]) -> dict[str, Any]:
    """A network that is in nobody's way, with room for all hosts."""
    used = {
        str(host[key]) for host in data["host"] for key in ("address", "interface") if key in host
    }
    etcd = data.get("etcd")
    urls = etcd.get("endpoints") if isinstance(etcd, Mapping) else ()
    for url in urls if isinstance(urls, list | tuple) else ():
        with suppress(ValueError):
            used.add(rules.endpoint_host(str(url)))
    cidr = addresses.propose(it for it in used if addresses.is_address(it))
    length = addresses.shortest_for(cidr, len(data["host"])) if cidr else None
    return {"cidr": cidr} | ({"subnet_len": length} if length else {})


def _question(key: str) -> str:
    """The path of the question that a refusal's key is about: `host[a].name` is `host.name`."""
    return re.sub(r"^host\[[^]]*\]", "host", key)


def _candidate(table: object) -> Candidate:
    said = table if isinstance(table, Mapping) else {}

    def text(key: str) -> str:
        return str(said.get(key, ""))

    return Candidate(
        text("address"),
        text("name"),
        chosen=True,
        role="master" if said.get("role") == "master" else "node",
        label=text("label"),
        interface=text("interface"),
        host_key=text("host_key"),
    )


def _table(it: Candidate) -> dict[str, str]:
    """The candidate's [[host]] table."""
    more = {"label": it.label, "interface": it.interface, "host_key": it.host_key}
    table = {"name": it.name, "address": it.address, "role": it.role or "node"}
    return table | {key: text for key, text in more.items() if text}


def _provisional(chosen: Iterable[Candidate]) -> Iterator[dict[str, str]]:
    """Their tables, each with a name of its own and one of them the master."""
    candidates = list(chosen)
    first = next(iter(candidates), None)
    master = next((it for it in candidates if it.role == "master"), first)
    taken = Counter(it.name.lower() for it in candidates)
    for number, it in enumerate(candidates, 1):
        own = taken[it.name.lower()] == 1
        # An address will do as a name, and sentences about the machine can be understood.
        names = (it.name if own else "", it.address, f"host-{number}", f"fedwiz-host-{number}")
        name = next(
            text
            for text in names
            if _passes(rules.host_name, text) and (text is it.name or not taken[text.lower()])
        )
        taken[name.lower()] += 1
        interface = it.interface if _passes(rules.interface, it.interface) else ""
        role: Role = "master" if it is master else "node"
        yield _table(replace(it, name=name, role=role, label="", interface=interface))


def _passes(rule: Callable[[str], str], text: str) -> bool:
    try:
        rule(text)
    except ValueError:
        return False
    return True


def repeat(answers: Answers, accepted: Sequence[str] = ()) -> str:
    """The answer file that does the same again, and asks nothing.

    Args:
        answers: what the operator decided.
        accepted: checks whose block was taken for a warning, which an answer file can't say.
    """
    head = f"# Run with --accept {','.join(accepted)}\n" if accepted else ""
    return head + dump(answers.model_copy(update={"wizard": Wizard()}))


def with_sets(draft: Draft, sets: Iterable[str]) -> Draft:
    """The draft as `--set`s change it, hosts aside.

    Raises:
        Refused: a key that does not exist, or a host's.
    """
    said = overlay(draft.said, list(sets))
    if "host" in said:
        raise AnswersError({"--set": "the wizard asks for the hosts itself; give them in a file"})
    return replace(draft, said=said)


FORMAT_VERSION = 1
"""Of the file that a draft is kept in; one of another format is not read."""


def save(draft: Draft) -> None:
    """Keep it, so that a wizard that was killed goes on from there.

    Raises:
        OSError: it can't be written.
    """
    if draft.goal in ("look", "undo"):
        return
    said = _fields(draft) | {"candidates": [_fields(it) for it in draft.candidates]}
    # A date has no place in answers, and yet an answer file may hold one, to be refused.
    text = json.dumps({"format": FORMAT_VERSION, **said}, default=str)
    files.write(files.place(draft.practice), text, sync=False)


def _fields(it: Draft | Candidate) -> dict[str, Any]:
    """The fields as they are; `asdict` would copy all that is below them."""
    return {each.name: getattr(it, each.name) for each in fields(it)}


def kept(practice: str = "") -> Draft | None:
    """The draft that was kept; None: there is none that can be read.

    Args:
        practice: that of this practice cluster.
    """
    try:
        data = json.loads(files.place(practice).read_text("utf-8"))
        if data.pop("format") != FORMAT_VERSION:
            return None
        data["candidates"] = tuple(Candidate(**it) for it in data["candidates"])
        for name in ("stops", "accepted"):
            data[name] = tuple(data.get(name, ()))
        draft = Draft(**data)
        return draft if draft.practice == practice and _whole(draft) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _whole(draft: Draft) -> bool:
    """Whether everything in a draft that was kept is what it has to be."""
    one = Candidate("")
    return (
        _alike(draft, Draft())
        and all(_alike(it, one) and it.role in get_args(Role) for it in draft.candidates)
        and draft.page in PAGES
        and draft.goal in get_args(Goal)
        and draft.stops != ()
        and set(draft.stops) <= set(PAGES)
        and all(isinstance(it, str) for it in draft.accepted)
        and 3 <= draft.size <= MAX_HOSTS
        and 0 <= draft.pace <= MAX_HOSTS
    )


def _alike(it: Draft | Candidate, like: Draft | Candidate) -> bool:
    """Whether each field is of the type that it has in another."""
    return all(
        type(value) is type(getattr(like, name)) or (name == "pace" and type(value) is int)
        for name, value in _fields(it).items()
    )


def forget(practice: str = "") -> None:
    """Keep no draft any more."""
    files.place(practice).unlink(missing_ok=True)
