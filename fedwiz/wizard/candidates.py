"""Who the machines are: what was typed and found, what they say of themselves, what is wrong."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from fedwiz.answers import rules
from fedwiz.answers.file import AnswersError
from fedwiz.answers.model import host_paths
from fedwiz.checks import Finding
from fedwiz.checks.finding import block, shared, some, warn
from fedwiz.discover import Sighting, Target, expand
from fedwiz.discover.targets import SSH_PORT
from fedwiz.facts import Facts
from fedwiz.wizard.draft import ASKED_ON, Candidate, Draft

_RANGE = re.compile(r"[0-9.]+-[0-9.]+(:[0-9]+)?")


def pasted(text: str) -> tuple[str, int]:
    """Several lines as one that can stand in a field, and how many were left out.

    Of a whole /etc/hosts the lines for loopback and IPv6 are nobody's to look at.
    """
    lines = [" ".join(line.partition("#")[0].split()) for line in text.splitlines()]
    kept = [line for line in lines if line and not _own(line.split())]
    return ", ".join(kept), sum(map(bool, lines)) - len(kept)


def _own(words: list[str]) -> bool:
    """A line as in /etc/hosts for the machine that it is on, or for IPv6."""
    return len(words) > 1 and (words[0].startswith("127.") or ":" in words[0])


def meant(text: str) -> tuple[tuple[Target, ...], tuple[Target, ...]]:
    """Whom the operator named one by one, and where else to look.

    Args:
        text: words as `discover.expand` takes them, with commas or lines between.

    Raises:
        ValueError: names everything that can't be used.
    """
    words = [word.strip() for word in re.split(r"[,;\n]", text) if word.strip()]
    expand(words)
    many = [word for word in words if "/" in word or _RANGE.fullmatch(word)]
    return expand(word for word in words if word not in many), expand(many)


def typed(targets: Iterable[Target]) -> tuple[Candidate, ...]:
    """Candidates from hosts that the operator named one by one, which chooses them."""
    return tuple(replace(it, chosen=True) for it in known(targets))


def known(targets: Iterable[Target]) -> tuple[Candidate, ...]:
    """Candidates from what this machine knows of hosts; nobody has chosen them yet.

    ssh_config's own names stay, since more than an address may be said of them there.
    """
    return tuple(
        Candidate(it.name, it.name, source=it.source)
        if it.source == "ssh config" and it.name
        else Candidate(it.address, it.name, source=it.source, port=_port(it.port))
        for it in targets
    )


def sighted(draft: Draft, found: Iterable[Sighting]) -> Draft:
    """With what a search found: more on those that are listed, and others, not chosen yet."""
    by_address = {it.address: it.address for it in draft.candidates}
    by_name = {it.name.lower(): it.address for it in draft.candidates if it.name}
    news = dict[str, Candidate]()
    for it in found:
        at = by_address.get(it.address) or by_name.get(it.name.lower()) or it.address
        key = f"{it.key_type} {it.fingerprint}".strip()
        source = it.source or "search"
        news[at] = Candidate(at, it.name, source=source, shown_key=key, port=_port(it.port))
    listed = tuple(
        replace(
            it,
            shown_key=news[it.address].shown_key,
            silent=False,
            name=it.name or news[it.address].name,
        )
        if it.address in news
        else it
        for it in draft.candidates
    )
    return replace(draft, candidates=listed).add(
        it for at, it in news.items() if at not in by_address
    )


def quiet(draft: Draft, targets: Iterable[Target]) -> Draft:
    """With those marked that were looked for and did not answer."""
    asked = {it.address for it in known(targets)}
    return replace(
        draft,
        candidates=tuple(
            replace(it, silent=True) if it.address in asked and not it.shown_key else it
            for it in draft.candidates
        ),
    )


def sorted_from(draft: Draft, first: int) -> Draft:
    """With the candidates from a place on in the order of their addresses."""
    old, new = draft.candidates[:first], draft.candidates[first:]
    return replace(draft, candidates=(*old, *sorted(new, key=_place)))


def _place(it: Candidate) -> tuple[int, str]:
    try:
        return int(IPv4Address(it.address)), ""
    except ValueError:
        return 1 << 32, it.address


def _port(port: int) -> int:
    return 0 if port == SSH_PORT else port


def learn(draft: Draft, facts: Mapping[str, Facts]) -> Draft:
    """With the names and roles that the machines themselves suggest, where nobody has said.

    Args:
        draft: what was said.
        facts: what was read, by address.
    """
    named = [
        replace(it, name=it.name or _called(facts[it.address]), silent=False)
        if it.address in facts
        else it
        for it in draft.candidates
    ]
    decided = any(it.role == "master" for it in named if it.chosen)
    runs = (it.address for it in named if it.chosen and runs_etcd(facts.get(it.address)))
    master = "" if decided else next(runs, "")
    return replace(
        draft,
        candidates=tuple(
            replace(it, role="master" if it.address == master else "node")
            if it.chosen and not it.role and (decided or master)
            else it
            for it in named
        ),
    )


def _called(facts: Facts) -> str:
    """The name that a machine gives itself; empty where it could not be a host's."""
    try:
        name = rules.host_name(facts.hostname)
    except ValueError:
        return ""
    return "" if name.partition(".")[0].lower() == "localhost" else name


def runs_etcd(facts: Facts | None) -> bool:
    """Whether etcd answers on this machine: as a service, or at its usual port."""
    if facts is None:
        return False
    ports = {place.rpartition(":")[2] for place in facts.listening}
    return facts.unit("etcd.service").running or "2379" in ports


def settled(draft: Draft) -> Draft:
    """With the port at which all chosen hosts were named, where nobody has said another."""
    ports = {it.port for it in draft.chosen}
    if draft.get("ssh.port") is None and len(ports) == 1 and 0 not in ports:
        return draft.put("ssh.port", ports.pop())
    return draft


_REMEDY = {
    "name": "e gives it a name of its own",
    "label": "e gives it a label of its own",
    "host name": "on each: hostnamectl set-hostname NAME, then r",
    "machine-id": "a clone: rm /etc/machine-id && systemd-machine-id-setup on all but one, reboot",
    "MAC address": "give each machine a network card with an address of its own",
    "address": "leave one of them out with Space, if they are the same machine",
}


def twins(draft: Draft, facts: Mapping[str, Facts]) -> dict[str, tuple[Finding, ...]]:
    """What chosen machines share and should not, by address.

    Args:
        draft: who is chosen.
        facts: what was read, by address.
    """
    chosen = draft.chosen
    read = [(it.address, facts[it.address]) for it in chosen if it.address in facts]
    cards = [
        (address, link)
        for address, it in read
        for link in it.links
        if not link.kind and link.name != "lo"
    ]
    kinds = {
        "name": [(it.address, it.name.lower()) for it in chosen],
        "label": [(it.address, it.label.lower()) for it in chosen],
        "host name": [(address, it.hostname.lower()) for address, it in read],
        "machine-id": [(address, it.machine_id) for address, it in read],
        "MAC address": [(address, link.mac) for address, link in cards if link.mac.strip("0:")],
        "address": [
            (address, text.partition("/")[0]) for address, link in cards for text in link.addresses
        ],
    }
    found: dict[str, tuple[Finding, ...]] = {}
    for kind, pairs in kinds.items():
        for value, owners in shared(pairs):
            for address in owners:
                others = [it for it in owners if it != address]
                said = f"{some(others)} {'has' if len(others) == 1 else 'have'} the same {kind}: "
                seen = warn(said + value, _REMEDY[kind], address)
                found[address] = (*found.get(address, ()), seen)
    return found


@dataclass(frozen=True, slots=True)
class Judged:
    """What is wrong on the page of the hosts."""

    rows: tuple[tuple[Finding, ...], ...] = ()
    """Of each candidate of the draft."""

    general: Mapping[str, str] = field(default_factory=dict)
    """Refusals that are no host's, by key."""

    @property
    def blocks(self) -> list[tuple[int, Finding]]:
        """What keeps one from going on, by the candidate's place; -1: it is no host's."""
        said = [(at, it) for at, row in enumerate(self.rows) for it in row if it.level == "block"]
        for key, why in self.general.items():
            said.append((-1, block(why if key == "host" else f"{key}: {why}", "")))
        return said


def judged(
    draft: Draft,
    facts: Mapping[str, Facts],
    lost: Mapping[str, str],
    unknown: Collection[str] = (),
) -> Judged:
    """What is wrong with the hosts as they are said, found and read.

    Args:
        draft: what was said.
        facts: what was read, by address.
        lost: why machines could not be read, by address.
        unknown: addresses whose keys wait to be accepted.
    """
    hosts, general = refused(draft)
    double, port = twins(draft, facts), settled(draft).get("ssh.port")
    rows = []
    for at, it in enumerate(draft.candidates):
        if it.chosen:
            found = [
                block(f"{key}: {why}", "e corrects it")
                for key, why in hosts[at].items()
                if key != "name" or it.name
            ]
            # Before it was read, a name that is missing is no fault: the machine will say it.
            if not it.name and it.address in facts:
                called = facts[it.address].hostname or "nothing"
                found.append(block(f"it calls itself {called}, which is no name", "e gives it one"))
            found += _way(it, port, facts, lost, unknown)
            said = {f" the same {key}: " for key in hosts[at]}
            found += [
                each
                for each in double.get(it.address, ())
                if not any(key in each.seen for key in said)
            ]
            rows.append(tuple(found))
        else:
            quiet = it.silent and it.address not in facts
            rows.append((warn("it did not answer as ssh", ""),) if quiet else ())
    return Judged(tuple(rows), general)


def refused(draft: Draft) -> tuple[Mapping[int, dict[str, str]], dict[str, str]]:
    """What this page has to ask again: of each host that is chosen, by place and field; and else.

    The sentences call other hosts by their addresses, which are in sight, not by their places.
    """
    chosen = [at for at, it in enumerate(draft.candidates) if it.chosen]
    called = dict(
        zip(host_paths([draft.candidates[at].name for at in chosen]), chosen, strict=True)
    )
    hosts: dict[int, dict[str, str]] = {at: {} for at in chosen}
    general = dict[str, str]()
    for key, text in draft.refusals().items():
        if ASKED_ON.get(re.split(r"[.\[]", key)[0]) != "hosts":
            continue
        place, _, name = key.rpartition(".")
        if place in called:
            hosts[called[place]][name] = _in_words(text, called, draft)
        else:
            general[key] = text
    if "host" in general:
        general["host"] = _roles(draft) or general["host"]
    return hosts, general


def _way(
    it: Candidate,
    port: object,
    facts: Mapping[str, Facts],
    lost: Mapping[str, str],
    unknown: Collection[str],
) -> Iterator[Finding]:
    """What is wrong with the way to one machine."""
    if it.address in lost and it.address in unknown:
        yield block("nobody has accepted its host key yet", f"r shows it again, {OUT}")
    elif it.address in lost:
        yield block(lost[it.address], f"see to that and press r, {OUT}")
    elif it.silent and it.address not in facts:
        yield warn("it did not answer as ssh", f"is it up, and is ssh let in there?  {OUT}")
    if it.port and it.port != port:
        right = f"F2 says {port}" if port is not None else "elsewhere at another"
        yield block(
            f"ssh is at port {it.port} here, {right}: all hosts have one port",
            "set it with F2, or give each host its Port in ~/.ssh/config and name it so here",
        )


OUT = "or leave it out with Space"


def _in_words(text: str, called: Mapping[str, int], draft: Draft) -> str:
    """A refusal that names another host by its place, with that host's address instead."""
    for place, at in called.items():
        text = text.replace(f"{place} ", f"{draft.candidates[at].address} ")
    return text


def _roles(draft: Draft) -> str:
    """What is missing to a cluster, in this page's words."""
    chosen = draft.chosen
    if len(chosen) < 3:
        return f"{len(chosen)} hosts are chosen: choose a master and two nodes or more, with Space"
    masters = sum(it.role == "master" for it in chosen)
    if not masters:
        return "no host is the master: put the cursor on the one that runs etcd and press m"
    return f"{masters} masters: press m on the one that runs etcd" if masters > 1 else ""


def ready(draft: Draft) -> str:
    """Why the hosts can't be read yet; empty: they can."""
    try:
        draft.provisional()
    except AnswersError as refused:
        if "host" in refused.why:
            return _roles(draft) or refused.why["host"]
        return "; ".join(f"{key}: {text}" for key, text in refused.why.items())
    return ""
