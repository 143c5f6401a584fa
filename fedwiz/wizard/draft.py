"""The operator's draft: unfinished answers, saved after every change.

A draft may hold anything that was typed, valid or not; `answers` reports what is wrong with it. It
is immutable: each change makes a new one.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self, get_args

from fedwiz.answers import rules
from fedwiz.answers.file import QUESTIONS, Answers, AnswersError, overlay, parse
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
"""The page that asks for each section of the answers; `review` asks for all others."""

Role = Literal["", "master", "node"]
Goal = Literal["install", "verify", "look", "undo"]

MAX_HOSTS = 1000
"""Limit for the hosts of a practice cluster, and for its pace, in a saved draft."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A machine that may become a host of the cluster."""

    address: str
    """As typed or discovered: an IP address, or a name."""

    name: str = ""
    """Empty: the operator chose none, and the machine was not read yet."""

    chosen: bool = False
    """It is to become a host of the cluster."""

    role: Role = ""
    """Empty: not decided."""

    label: str = ""
    interface: str = ""
    host_key: str = ""
    """The fingerprint that the answers pin; empty: known_hosts decides."""

    source: str = ""
    """Where it was discovered: `libvirt`, `ssh config`, ...; empty: typed by the operator."""

    shown_key: str = ""
    """Type and fingerprint of the key that it presented, as `ssh-ed25519 SHA256:...`."""

    port: int = 0
    """The port it was named or discovered with; 0: the default, or that of ssh_config."""

    silent: bool = False
    """It was scanned and did not answer as SSH."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The operator's answers so far, and the current page of the wizard."""

    page: str = ""
    """One of PAGES; empty: the welcome page, nothing started."""

    goal: Goal = "install"
    """`look`: shows an earlier run; `undo`: resumes one. Neither adds answers, so neither is
    saved."""

    practice: str = ""
    """On a practice cluster, the name of its fault, or `healthy`; empty: real hosts."""

    size: int = 4
    """Hosts of the practice cluster."""

    pace: float = 0.2
    """Real seconds for each simulated one."""

    file: str = ""
    """The answer file that it was loaded from; empty: none."""

    stops: tuple[str, ...] = PAGES
    """The pages at which Next stops; going back, all pages can be seen."""

    typed: str = ""
    """The contents of the field that asks where the hosts are."""

    candidates: tuple[Candidate, ...] = ()
    said: Mapping[str, Any] = field(default_factory=dict)
    """All answers but the hosts, as in an answer file: `{"network": {"cidr": ...}}`."""

    held: Mapping[str, Any] = field(default_factory=dict)
    """Options of previously chosen backends, by backend: restored when it is chosen again."""

    run: str = ""
    """The id of the run that was started from this draft; empty: none."""

    accepted: tuple[str, ...] = ()
    """Names of checks whose failure the operator accepts as a warning."""

    @classmethod
    def of(cls, data: Mapping[str, Any], file: str = "") -> Self:
        """A draft from the contents of an answer file.

        Missing or invalid answers are fine where a page of the wizard can ask for them.

        Raises:
            AnswersError: anything else is missing or invalid.
        """
        why = dict[str, str]()
        try:
            parse(data)
        except AnswersError as refused:
            why = dict(refused.why)
        paths = {question.path for question in QUESTIONS} | {"host"}
        unresolvable = {key: text for key, text in why.items() if _question(key) not in paths}
        tables = data.get("host", [])
        if unresolvable or not isinstance(tables, list):
            raise AnswersError(unresolvable or why)
        candidates = tuple(_candidate(table) for table in tables)
        answers = {key: value for key, value in data.items() if key not in ("host", "version")}
        wizard = answers.get("wizard")
        listed = wizard.get("ask") if isinstance(wizard, dict) else ()
        sections_to_ask = (
            {it for it in listed if isinstance(it, str)} if isinstance(listed, list) else set()
        )
        sections = {_question(key).partition(".")[0] for key in why} | sections_to_ask
        stops = {ASKED_ON.get(section, "review") for section in sections}
        stops |= set(PAGES) if "*" in sections_to_ask else {"review", "install", "verify"}
        return cls(
            file=file,
            candidates=candidates,
            said=answers,
            stops=tuple(p for p in PAGES if p in stops),
        )

    @property
    def chosen(self) -> tuple[Candidate, ...]:
        """The candidates that are to become hosts."""
        return tuple(it for it in self.candidates if it.chosen)

    @property
    def name(self) -> str:
        """The cluster's name so far."""
        return str(self.said.get("name", ""))

    def get(self, path: str) -> Any:  # noqa: ANN401 - any of TOML's types
        """The answer to a question that is not about a host; None: not answered."""
        section, _, key = path.rpartition(".")
        table = self.said.get(section, {}) if section else self.said
        return table.get(key) if isinstance(table, Mapping) else None

    def put(self, path: str, value: object) -> Self:
        """Set the answer to a question that is not about a host; None removes it."""
        section, _, key = path.rpartition(".")
        current = self.said.get(section, {}) if section else self.said
        table = {**current, key: value} if isinstance(current, Mapping) else {key: value}
        if value is None:
            del table[key]
        return replace(self, said={**self.said, section: table} if section else table)

    def host(self, address: str, **changes: Any) -> Self:
        """Change fields of the candidate with that address."""
        return replace(
            self,
            candidates=tuple(
                replace(it, **changes) if it.address == address else it for it in self.candidates
            ),
        )

    def row(self, index: int, **changes: Any) -> Self:
        """Change fields of the candidate at that index; two may share an address."""
        changed = replace(self.candidates[index], **changes)
        return replace(
            self, candidates=(*self.candidates[:index], changed, *self.candidates[index + 1 :])
        )

    def without(self, index: int) -> Self:
        """Remove the candidate at that index."""
        return replace(self, candidates=self.candidates[:index] + self.candidates[index + 1 :])

    def add(self, found: Iterable[Candidate]) -> Self:
        """Add candidates; those already present only gain what was unknown."""
        rows = list(self.candidates)
        index_by_address = {
            it.address.lower(): index for index, it in reversed(list(enumerate(rows)))
        }
        for it in found:
            index = index_by_address.setdefault(it.address.lower(), len(rows))
            if index == len(rows):
                rows.append(it)
                continue
            old = rows[index]
            rows[index] = replace(
                old,
                name=old.name or it.name,
                shown_key=it.shown_key or old.shown_key,
                source=old.source or it.source,
                chosen=old.chosen or it.chosen,
                port=it.port if it.chosen else old.port or it.port,
            )
        return replace(self, candidates=tuple(rows))

    def data(self) -> dict[str, Any]:
        """All answers so far, in the form of an answer file."""
        hosts = [_table(it) for it in self.chosen]
        return {"version": 1, **self.said, **({"host": hosts} if hosts else {})}

    def answers(self) -> Answers:
        """The validated answers.

        Raises:
            AnswersError: what is missing or invalid, by key.
        """
        return parse(self.data())

    def refusals(self) -> Mapping[str, str]:
        """What is missing or invalid, by key; empty: nothing."""
        try:
            self.answers()
        except AnswersError as refused:
            return refused.why
        return {}

    def provisional(self) -> Answers:
        """Answers good enough to read the hosts, whatever else is undecided.

        Raises:
            AnswersError: the minimum is missing: three hosts, or a way to log in.
        """
        sections_kept = {
            key: self.said[key] for key in ("ssh", "etcd", "flannel") if key in self.said
        }
        data = {
            "version": 1,
            "name": "cluster",
            **sections_kept,
            "host": list(_provisional(self.chosen)),
        }
        try:
            return parse(data | {"network": _placeholder_network(data)})
        except AnswersError as refused:
            sections = {_question(key).partition(".")[0] for key in refused.why}
        data = {key: table for key, table in data.items() if key not in sections - {"host", "ssh"}}
        return parse(data | {"network": _placeholder_network(data)})


def _placeholder_network(data: Mapping[str, Any]) -> dict[str, Any]:
    """A placeholder network that overlaps none of the hosts and has room for all of them."""
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
    """The question that a refusal's key is about: `host[a].name` is `host.name`."""
    return re.sub(r"^host\[[^]]*\]", "host", key)


def _candidate(table: object) -> Candidate:
    answers = table if isinstance(table, Mapping) else {}

    def text(key: str) -> str:
        return str(answers.get(key, ""))

    return Candidate(
        text("address"),
        text("name"),
        chosen=True,
        role="master" if answers.get("role") == "master" else "node",
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
    """Their tables, each with a unique name, and one of them the master."""
    candidates = list(chosen)
    first = next(iter(candidates), None)
    master = next((it for it in candidates if it.role == "master"), first)
    uses = Counter(it.name.lower() for it in candidates)
    for number, it in enumerate(candidates, 1):
        unique = uses[it.name.lower()] == 1
        # An address works as a name, and keeps sentences about the machine readable.
        names = (it.name if unique else "", it.address, f"host-{number}", f"fedwiz-host-{number}")
        name = next(
            text
            for text in names
            if _passes(rules.host_name, text) and (text is it.name or not uses[text.lower()])
        )
        uses[name.lower()] += 1
        interface = it.interface if _passes(rules.interface, it.interface) else ""
        role: Role = "master" if it is master else "node"
        yield _table(replace(it, name=name, role=role, label="", interface=interface))


def _passes(rule: Callable[[str], str], text: str) -> bool:
    try:
        rule(text)
    except ValueError:
        return False
    return True


def with_sets(draft: Draft, sets: Iterable[str]) -> Draft:
    """Apply `--set` overrides to the draft, except for hosts.

    Raises:
        AnswersError: a key that does not exist, or a host's.
    """
    answers = overlay(draft.said, list(sets))
    if "host" in answers:
        raise AnswersError({"--set": "the wizard asks for the hosts itself; give them in a file"})
    return replace(draft, said=answers)


FORMAT_VERSION = 1
"""Format of the saved draft; other formats are not read."""


def save(draft: Draft) -> None:
    """Save the draft, so that a killed wizard can resume from it.

    Raises:
        OSError: it can't be written.
    """
    if draft.goal in ("look", "undo"):
        return
    values = _fields(draft) | {"candidates": [_fields(it) for it in draft.candidates]}
    # Dates are invalid answers, but an answer file may hold one until it is refused.
    text = json.dumps({"format": FORMAT_VERSION, **values}, default=str)
    files.write(files.place(draft.practice), text, sync=False)


def _fields(it: Draft | Candidate) -> dict[str, Any]:
    """The fields, shallow; `asdict` would copy everything below them."""
    return {each.name: getattr(it, each.name) for each in fields(it)}


def load_saved(practice: str = "") -> Draft | None:
    """The saved draft; None if there is none or it can't be read.

    Args:
        practice: load that of this practice cluster.
    """
    try:
        data = json.loads(files.place(practice).read_text("utf-8"))
        if data.pop("format") != FORMAT_VERSION:
            return None
        data["candidates"] = tuple(Candidate(**it) for it in data["candidates"])
        for name in ("stops", "accepted"):
            data[name] = tuple(data.get(name, ()))
        draft = Draft(**data)
        return draft if draft.practice == practice and _is_valid(draft) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _is_valid(draft: Draft) -> bool:
    """Whether everything in a saved draft is valid."""
    template = Candidate("")
    return (
        _same_types(draft, Draft())
        and all(_same_types(it, template) and it.role in get_args(Role) for it in draft.candidates)
        and draft.page in PAGES
        and draft.goal in get_args(Goal)
        and draft.stops != ()
        and set(draft.stops) <= set(PAGES)
        and all(isinstance(it, str) for it in draft.accepted)
        and 3 <= draft.size <= MAX_HOSTS
        and 0 <= draft.pace <= MAX_HOSTS
    )


def _same_types(it: Draft | Candidate, template: Draft | Candidate) -> bool:
    """Whether each field has the same type as in the template."""
    return all(
        type(value) is type(getattr(template, name)) or (name == "pace" and type(value) is int)
        for name, value in _fields(it).items()
    )


def forget(practice: str = "") -> None:
    """Delete the saved draft."""
    files.place(practice).unlink(missing_ok=True)
