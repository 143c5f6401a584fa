"""What the operator has said so far: answers on their way, kept as one goes.

A draft may hold anything that was typed, right or wrong; `answers` says what is wrong with it.
It is a value: each change makes a new one.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self

from fedwiz import keep, network, rules
from fedwiz.answers import QUESTIONS, Answers, Refused, Wizard, dump, overlay, parse
from fedwiz.checks.finding import shared
from fedwiz.discover import Sighting, Target
from fedwiz.facts import Facts

PAGES = ("hosts", "network", "backend", "interfaces", "review", "install", "verify")
"""The pages of the wizard, in order."""

ASKED_ON: Mapping[str, str] = {
    "name": "hosts", "ssh": "hosts", "host": "hosts", "network": "network", "backend": "backend",
}  # fmt: skip
"""Where each section of the answers is asked; all the others are asked on the page `review`."""

Role = Literal["", "master", "node"]


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


@dataclass(frozen=True, slots=True)
class Draft:
    """The operator's answers so far, and where in the wizard they were given."""

    page: str = ""
    """One of PAGES; empty: the first page, where nothing has been begun."""

    goal: Literal["install", "verify", "look"] = "install"
    """`look`: at a run of before, which says nothing new, so it is not kept."""

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
        except Refused as refused:
            why = dict(refused.why)
        paths = {question.path for question in QUESTIONS} | {"host"}
        odd = {key: text for key, text in why.items() if _question(key) not in paths}
        tables = data.get("host", [])
        if odd or not isinstance(tables, list):
            raise Refused(odd or why)
        found = tuple(_candidate(table) for table in tables)
        said = {key: value for key, value in data.items() if key not in ("host", "version")}
        wizard = said.get("wizard")
        asked = wizard.get("ask", ()) if isinstance(wizard, dict) else ()
        sections = {_question(key).partition(".")[0] for key in why} | set(asked)
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
        return replace(self, candidates=tuple(
            replace(it, **said) if it.address == address else it for it in self.candidates
        ))  # fmt: skip

    def without(self, address: str) -> Self:
        """Without that candidate."""
        return replace(
            self, candidates=tuple(it for it in self.candidates if it.address != address)
        )

    def add(self, found: Iterable[Candidate]) -> Self:
        """With more candidates; of one that is there already, only what was not known is taken."""
        there = {it.address: it for it in self.candidates}
        for it in found:
            old = there.get(it.address)
            there[it.address] = it if old is None else replace(
                old, name=old.name or it.name, shown_key=it.shown_key or old.shown_key,
                source=old.source or it.source, chosen=old.chosen or it.chosen,
            )  # fmt: skip
        return replace(self, candidates=tuple(there.values()))

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
        except Refused as refused:
            return refused.why
        return {}

    def provisional(self) -> Answers:
        """Answers that are good for reading the hosts, whatever is not decided yet.

        Raises:
            Refused: what can't be done without: three hosts, ways to log in.
        """
        hosts = list(_provisional(self.chosen))
        used = [str(host["address"]) for host in hosts if network.is_address(str(host["address"]))]
        kept = {key: self.said[key] for key in ("ssh", "etcd", "flannel") if key in self.said}
        data = {"version": 1, "name": "cluster", **kept, "host": hosts}
        return parse({**data, "network": {"cidr": network.propose(used)}})


def _question(key: str) -> str:
    """The path of the question that a refusal's key is about: `host[a].name` is `host.name`."""
    return re.sub(r"^host\[[^]]*\]", "host", key)


def _candidate(table: object) -> Candidate:
    said = table if isinstance(table, Mapping) else {}
    texts = {
        key: str(said[key])
        for key in ("address", "name", "label", "interface", "host_key")
        if key in said
    }
    role: Role = "master" if said.get("role") == "master" else "node"
    return Candidate(**{"address": "", **texts}, role=role, chosen=True)


def _table(it: Candidate) -> dict[str, str]:
    """The candidate's [[host]] table."""
    more = {"label": it.label, "interface": it.interface, "host_key": it.host_key}
    table = {"name": it.name, "address": it.address, "role": it.role or "node"}
    return table | {key: text for key, text in more.items() if text}


def _provisional(chosen: Iterable[Candidate]) -> Iterator[dict[str, str]]:
    """Their tables, each with a name of its own and one of them the master."""
    taken, candidates = set[str](), list(chosen)
    first = next(iter(candidates), None)
    master = next((it for it in candidates if it.role == "master"), first)
    for number, it in enumerate(candidates, 1):
        name = it.name.lower()
        try:
            rules.host_name(name)
        except ValueError:
            name = ""
        if not name or name in taken:
            name = f"host-{number}"
        taken.add(name)
        role: Role = "master" if it is master else "node"
        yield _table(replace(it, name=name, role=role, label=""))


def sighted(found: Iterable[Sighting]) -> tuple[Candidate, ...]:
    """Candidates from what a search found; nobody has chosen them yet."""
    return tuple(
        Candidate(
            it.address, it.name, source=it.source, shown_key=f"{it.key_type} {it.fingerprint}"
        )
        for it in found
    )


def typed(targets: Iterable[Target]) -> tuple[Candidate, ...]:
    """Candidates from hosts that the operator named one by one, which chooses them."""
    return tuple(Candidate(it.address, it.name, chosen=True, source=it.source) for it in targets)


def learn(draft: Draft, facts: Mapping[str, Facts]) -> Draft:
    """With the names and roles that the machines themselves suggest, where nobody has said.

    Args:
        draft: what was said.
        facts: what was read, by address.
    """
    named = [
        replace(it, name=it.name or facts[it.address].hostname) if it.address in facts else it
        for it in draft.candidates
    ]
    decided = any(it.role == "master" for it in named if it.chosen)
    runs = (it.address for it in named if it.chosen and runs_etcd(facts.get(it.address)))
    master = "" if decided else next(runs, "")
    return replace(draft, candidates=tuple(
        replace(it, role="master" if it.address == master else "node")
        if it.chosen and not it.role and (decided or master) else it
        for it in named
    ))  # fmt: skip


def runs_etcd(facts: Facts | None) -> bool:
    """Whether etcd answers on this machine: as a service, or at its usual port."""
    if facts is None:
        return False
    ports = {place.rpartition(":")[2] for place in facts.listening}
    return facts.unit("etcd.service").running or "2379" in ports


def twins(draft: Draft, facts: Mapping[str, Facts]) -> dict[str, tuple[str, ...]]:
    """What chosen machines share and should not, as sentences by address.

    Args:
        draft: who is chosen.
        facts: what was read, by address.
    """
    chosen = draft.chosen
    read = [(it.address, facts[it.address]) for it in chosen if it.address in facts]
    kinds = {
        "name": [(it.address, it.name.lower()) for it in chosen],
        "label": [(it.address, it.label.lower()) for it in chosen],
        "host name": [(address, it.hostname.lower()) for address, it in read],
        "machine-id": [(address, it.machine_id) for address, it in read],
        "MAC address": [
            (address, link.mac) for address, it in read for link in it.links
            if not link.kind and link.name != "lo" and link.mac.strip("0:")
        ],
        "address": [
            (address, text.partition("/")[0]) for address, it in read for link in it.links
            if not link.kind and link.name != "lo" for text in link.addresses
        ],
    }  # fmt: skip
    called = {it.address: it.name or it.address for it in chosen}
    found: dict[str, tuple[str, ...]] = {}
    for kind, pairs in kinds.items():
        for value, owners in shared(pairs):
            for address in owners:
                others = ", ".join(called[it] for it in owners if it != address)
                said = f"the same {kind} as {others}: {value}"
                found[address] = (*found.get(address, ()), said)
    return found


def repeat(answers: Answers) -> str:
    """The answer file that does the same again, and asks nothing."""
    return dump(answers.model_copy(update={"wizard": Wizard()}))


def with_sets(draft: Draft, sets: Iterable[str]) -> Draft:
    """The draft as `--set`s change it, hosts aside.

    Raises:
        Refused: a key that does not exist, or a host's.
    """
    said = overlay(draft.said, list(sets))
    if "host" in said:
        raise Refused({"--set": "the wizard asks for the hosts itself; give them in a file"})
    return replace(draft, said=said)


FORMAT = 1
"""Of the file that a draft is kept in; one of another format is not read."""


def save(draft: Draft) -> None:
    """Keep it, so that a wizard that was killed goes on from there.

    Raises:
        OSError: it can't be written.
    """
    if draft.goal == "look":
        return
    text = json.dumps({"format": FORMAT, **asdict(draft)})
    keep.write(keep.place(draft.practice), text, sync=False)


def kept(practice: str = "") -> Draft | None:
    """The draft that was kept; None: there is none that can be read.

    Args:
        practice: that of this practice cluster.
    """
    try:
        data = json.loads(keep.place(practice).read_text("utf-8"))
        if data.pop("format") != FORMAT:
            return None
        data["candidates"] = tuple(Candidate(**it) for it in data["candidates"])
        data["stops"] = tuple(data["stops"])
        data["accepted"] = tuple(data.get("accepted", ()))
        draft = Draft(**data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    fits = draft.practice == practice and draft.page in PAGES and isinstance(draft.said, dict)
    return draft if fits else None


def forget(practice: str = "") -> None:
    """Keep no draft any more."""
    keep.place(practice).unlink(missing_ok=True)
