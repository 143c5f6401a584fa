"""Candidate hosts: those typed or discovered, what they report, and what is wrong with them."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from fedwiz.answers import rules
from fedwiz.answers.file import AnswersError
from fedwiz.answers.model import host_paths
from fedwiz.checks import Finding
from fedwiz.checks.finding import block, duplicates, warn
from fedwiz.discover import Sighting, Target, expand
from fedwiz.discover.targets import SSH_PORT
from fedwiz.facts import Facts
from fedwiz.util.words import some
from fedwiz.wizard.draft import ASKED_ON, Candidate, Draft

_RANGE = re.compile(r"[0-9.]+-[0-9.]+(:[0-9]+)?")


def join_lines(text: str) -> tuple[str, int]:
    """Join several lines to fit an input field; also returns how many were dropped.

    In a whole /etc/hosts, the lines for loopback and IPv6 name no candidates.
    """
    lines = [" ".join(line.partition("#")[0].split()) for line in text.splitlines()]
    addresses = [line for line in lines if line and not _is_own_or_ipv6(line.split())]
    return ", ".join(addresses), sum(map(bool, lines)) - len(addresses)


def _is_own_or_ipv6(words: list[str]) -> bool:
    """Whether a line of /etc/hosts is about the machine itself, or about IPv6."""
    return len(words) > 1 and (words[0].startswith("127.") or ":" in words[0])


def parse_targets(text: str) -> tuple[tuple[Target, ...], tuple[Target, ...]]:
    """Split the operator's text into hosts named one by one and ranges to scan.

    Args:
        text: words as `discover.expand` takes them, separated by commas or newlines.

    Raises:
        ValueError: names everything that can't be used.
    """
    words = [word.strip() for word in re.split(r"[,;\n]", text) if word.strip()]
    expand(words)
    many = [word for word in words if "/" in word or _RANGE.fullmatch(word)]
    return expand(word for word in words if word not in many), expand(many)


def chosen_from_targets(targets: Iterable[Target]) -> tuple[Candidate, ...]:
    """Candidates from hosts that the operator named one by one; naming them chooses them."""
    return tuple(replace(it, chosen=True) for it in from_targets(targets))


def from_targets(targets: Iterable[Target]) -> tuple[Candidate, ...]:
    """Candidates from hosts that this machine knows of, none of them chosen yet.

    Names from ssh_config are kept, since it may hold more settings for them than an address.
    """
    return tuple(
        Candidate(it.name, it.name, source=it.source)
        if it.source == "ssh config" and it.name
        else Candidate(it.address, it.name, source=it.source, port=_port(it.port))
        for it in targets
    )


def add_sightings(draft: Draft, found: Iterable[Sighting]) -> Draft:
    """Add the results of a scan: updates known candidates and adds others, not chosen."""
    by_address = {it.address: it.address for it in draft.candidates}
    by_name = {it.name.lower(): it.address for it in draft.candidates if it.name}
    sightings = dict[str, Candidate]()
    for it in found:
        address = by_address.get(it.address) or by_name.get(it.name.lower()) or it.address
        key = f"{it.key_type} {it.fingerprint}".strip()
        source = it.source or "search"
        sightings[address] = Candidate(
            address, it.name, source=source, shown_key=key, port=_port(it.port)
        )
    listed = tuple(
        replace(
            it,
            shown_key=sightings[it.address].shown_key,
            silent=False,
            name=it.name or sightings[it.address].name,
        )
        if it.address in sightings
        else it
        for it in draft.candidates
    )
    return replace(draft, candidates=listed).add(
        it for address, it in sightings.items() if address not in by_address
    )


def mark_silent(draft: Draft, targets: Iterable[Target]) -> Draft:
    """Mark those that were scanned and did not answer."""
    scanned = {it.address for it in from_targets(targets)}
    return replace(
        draft,
        candidates=tuple(
            replace(it, silent=True) if it.address in scanned and not it.shown_key else it
            for it in draft.candidates
        ),
    )


def sorted_from(draft: Draft, first: int) -> Draft:
    """Sort the candidates from index `first` on by address."""
    old, new = draft.candidates[:first], draft.candidates[first:]
    return replace(draft, candidates=(*old, *sorted(new, key=_sort_key)))


def _sort_key(it: Candidate) -> tuple[int, str]:
    try:
        return int(IPv4Address(it.address)), ""
    except ValueError:
        return 1 << 32, it.address


def _port(port: int) -> int:
    return 0 if port == SSH_PORT else port


def learn(draft: Draft, facts: Mapping[str, Facts]) -> Draft:
    """Fill in the names and roles that the machines suggest, where the operator chose none.

    Args:
        draft: the operator's draft.
        facts: the machines' facts, by address.
    """
    named = [
        replace(it, name=it.name or _own_name(facts[it.address]), silent=False)
        if it.address in facts
        else it
        for it in draft.candidates
    ]
    decided = any(it.role == "master" for it in named if it.chosen)
    running_etcd = (it.address for it in named if it.chosen and runs_etcd(facts.get(it.address)))
    master = "" if decided else next(running_etcd, "")
    return replace(
        draft,
        candidates=tuple(
            replace(it, role="master" if it.address == master else "node")
            if it.chosen and not it.role and (decided or master)
            else it
            for it in named
        ),
    )


def _own_name(facts: Facts) -> str:
    """The machine's own host name; empty if it is not valid as a host's name."""
    try:
        name = rules.host_name(facts.hostname)
    except ValueError:
        return ""
    return "" if name.partition(".")[0].lower() == "localhost" else name


def runs_etcd(facts: Facts | None) -> bool:
    """Whether etcd runs on this machine: as a service, or on its usual port."""
    if facts is None:
        return False
    ports = {place.rpartition(":")[2] for place in facts.listening}
    return facts.unit("etcd.service").running or "2379" in ports


def settle_port(draft: Draft) -> Draft:
    """Set the SSH port if all chosen hosts were named with the same one and no other is set."""
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


def shared_values(draft: Draft, facts: Mapping[str, Facts]) -> dict[str, tuple[Finding, ...]]:
    """What chosen machines share but must not, by address.

    Args:
        draft: holds the chosen candidates.
        facts: the machines' facts, by address.
    """
    chosen = draft.chosen
    facts_by_address = [(it.address, facts[it.address]) for it in chosen if it.address in facts]
    cards = [
        (address, link)
        for address, it in facts_by_address
        for link in it.links
        if not link.kind and link.name != "lo"
    ]
    kinds = {
        "name": [(it.address, it.name.lower()) for it in chosen],
        "label": [(it.address, it.label.lower()) for it in chosen],
        "host name": [(address, it.hostname.lower()) for address, it in facts_by_address],
        "machine-id": [(address, it.machine_id) for address, it in facts_by_address],
        "MAC address": [(address, link.mac) for address, link in cards if link.mac.strip("0:")],
        "address": [
            (address, text.partition("/")[0]) for address, link in cards for text in link.addresses
        ],
    }
    findings: dict[str, tuple[Finding, ...]] = {}
    for kind, pairs in kinds.items():
        for value, owners in duplicates(pairs):
            for address in owners:
                others = [it for it in owners if it != address]
                sentence = (
                    f"{some(others)} {'has' if len(others) == 1 else 'have'} the same {kind}: "
                )
                finding = warn(sentence + value, _REMEDY[kind], address)
                findings[address] = (*findings.get(address, ()), finding)
    return findings


@dataclass(frozen=True, slots=True)
class Judged:
    """What is wrong on the page `hosts`."""

    rows: tuple[tuple[Finding, ...], ...] = ()
    """For each candidate of the draft."""

    general: Mapping[str, str] = field(default_factory=dict)
    """Refusals that concern no single host, by key."""

    @property
    def blocks(self) -> list[tuple[int, Finding]]:
        """What blocks the next page, by the candidate's index; -1: no single host."""
        blocking = [
            (index, it) for index, row in enumerate(self.rows) for it in row if it.level == "block"
        ]
        for key, why in self.general.items():
            blocking.append((-1, block(why if key == "host" else f"{key}: {why}", "")))
        return blocking


def judged(
    draft: Draft,
    facts: Mapping[str, Facts],
    lost: Mapping[str, str],
    unknown: Collection[str] = (),
) -> Judged:
    """Check the hosts as typed, discovered and read.

    Args:
        draft: the operator's draft.
        facts: the machines' facts, by address.
        lost: why machines could not be read, by address.
        unknown: addresses whose host keys are not accepted yet.
    """
    hosts, general = refused(draft)
    repeated, port = shared_values(draft, facts), settle_port(draft).get("ssh.port")
    rows = []
    for index, it in enumerate(draft.candidates):
        if it.chosen:
            findings = [
                block(f"{key}: {why}", "e corrects it")
                for key, why in hosts[index].items()
                if key != "name" or it.name
            ]
            # A missing name is no fault before the machine was read: its host name is used.
            if not it.name and it.address in facts:
                reported = facts[it.address].hostname or "nothing"
                findings.append(
                    block(f"it calls itself {reported}, which is not a name", "e gives it one")
                )
            findings += _reachability(it, port, facts, lost, unknown)
            own_refusals = {f" the same {key}: " for key in hosts[index]}
            findings += [
                each
                for each in repeated.get(it.address, ())
                if not any(key in each.seen for key in own_refusals)
            ]
            rows.append(tuple(findings))
        else:
            quiet = it.silent and it.address not in facts
            rows.append((warn("it did not answer as ssh", ""),) if quiet else ())
    return Judged(tuple(rows), general)


def refused(draft: Draft) -> tuple[Mapping[int, dict[str, str]], dict[str, str]]:
    """The refusals that this page must resolve: per chosen host, by index and field; and others.

    The sentences refer to other hosts by their addresses, which are visible, not by index.
    """
    chosen = [index for index, it in enumerate(draft.candidates) if it.chosen]
    index_by_path = dict(
        zip(host_paths([draft.candidates[index].name for index in chosen]), chosen, strict=True)
    )
    hosts: dict[int, dict[str, str]] = {index: {} for index in chosen}
    general = dict[str, str]()
    for key, text in draft.refusals().items():
        if ASKED_ON.get(re.split(r"[.\[]", key)[0]) != "hosts":
            continue
        path, _, name = key.rpartition(".")
        if path in index_by_path:
            hosts[index_by_path[path]][name] = _with_addresses(text, index_by_path, draft)
        else:
            general[key] = text
    if "host" in general:
        general["host"] = _roles(draft) or general["host"]
    return hosts, general


def _reachability(
    it: Candidate,
    port: object,
    facts: Mapping[str, Facts],
    lost: Mapping[str, str],
    unknown: Collection[str],
) -> Iterator[Finding]:
    """What keeps fedwiz from reaching one machine."""
    if it.address in lost and it.address in unknown:
        yield block("nobody has accepted its host key yet", f"r shows it again, {OUT}")
    elif it.address in lost:
        yield block(lost[it.address], f"see to that and press r, {OUT}")
    elif it.silent and it.address not in facts:
        yield warn("it did not answer as ssh", f"is it up, and is ssh let in there?  {OUT}")
    if it.port and it.port != port:
        expected = f"F2 says {port}" if port is not None else "elsewhere at another"
        yield block(
            f"ssh is at port {it.port} here, {expected}: all hosts have one port",
            "set it with F2, or give each host its Port in ~/.ssh/config and name it so here",
        )


OUT = "or leave it out with Space"


def _with_addresses(text: str, index_by_path: Mapping[str, int], draft: Draft) -> str:
    """Replace the path of another host in a refusal with that host's address."""
    for path, index in index_by_path.items():
        text = text.replace(f"{path} ", f"{draft.candidates[index].address} ")
    return text


def _roles(draft: Draft) -> str:
    """What the roles lack to form a cluster, in this page's terms."""
    chosen = draft.chosen
    if len(chosen) < 3:
        return f"{len(chosen)} hosts are chosen: choose a master and two nodes or more, with Space"
    masters = sum(it.role == "master" for it in chosen)
    if not masters:
        return "no host is the master: put the cursor on the one that runs etcd and press m"
    return f"{masters} masters: press m on the one that runs etcd" if masters > 1 else ""


def why_unreadable(draft: Draft) -> str:
    """Why the hosts can't be read yet; empty if they can."""
    try:
        draft.provisional()
    except AnswersError as refused:
        if "host" in refused.why:
            return _roles(draft) or refused.why["host"]
        return "; ".join(f"{key}: {text}" for key, text in refused.why.items())
    return ""
