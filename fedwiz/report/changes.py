"""Drift: what has changed on a cluster since its last verification.

The journal of each verification is kept, so a later one can be compared with it: two states in, the
changes out, limited to what both of them know.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fedwiz.etcd.leases import parse_leases
from fedwiz.model.actions import Value
from fedwiz.model.events import VERDICTS_WORST_FIRST, Judged
from fedwiz.runs import journal
from fedwiz.runs.state import State
from fedwiz.util.sanitize import sanitize

VERIFYING_VERBS = ("verify", "install")
"""The verbs that include a verification."""

COMPLETE_KINDS = frozenset({"address", "lease", "subnet_env", "ping"})
"""The kinds of verdicts in every complete verification; an older fedwiz has no others."""

MAX_JOURNALS_READ = 50
"""How many of a cluster's journals are searched for its last complete verification."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.  All its texts are sanitized."""

    what: str
    """`host` (new, or gone), `subnet`, `public_ip`, `vtep_mac`, `backend`, `network`,
    `flannel_mtu`, a name of `Versions`, or a kind of verdict whose level has changed."""

    host: str
    peer: str
    """The receiver, for kinds that are about a pair of nodes; otherwise empty."""

    before: str
    now: str
    """Empty: it is gone."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The changes since an earlier run."""

    run: str
    """Id of that run."""

    started: float
    """When it started, in seconds since 1970."""

    changes: tuple[Change, ...] = ()


def since(state: State) -> Drift | None:
    """The changes since the cluster's last complete verification; None: there is none.

    Args:
        state: of a verification; only earlier ones are searched.
    """
    if state.started is None or not state.verdicts:
        return None
    journals_read = 0
    for run in journal.runs():
        same_cluster = (run.cluster, run.practice) == (state.cluster, state.practice)
        if (
            not same_cluster
            or run.verb not in VERIFYING_VERBS
            or run.started >= state.started
            or journals_read == MAX_JOURNALS_READ
        ):
            continue
        journals_read += 1
        try:
            before = State.of(journal.read(run.path))
        except ValueError:
            continue
        if complete(before) and same(before, state):
            return Drift(run.id, run.started, compare(before, state))
    return None


def complete(state: State) -> bool:
    """Whether the run ended, and judged all its nodes and all ordered pairs of them."""
    nodes = {it.host for it in state.verdicts if it.kind == "address"}
    pinged = {(it.host, it.peer) for it in state.verdicts if it.kind == "ping"}
    return (
        state.outcome in ("ok", "failed")
        and {it.kind for it in state.verdicts} >= COMPLETE_KINDS
        and len(pinged) == len(nodes) * (len(nodes) - 1)
    )


def same(before: State, now: State) -> bool:
    """Whether both are of the same cluster, as far as that is known: two clusters may share a name.

    They are different clusters if they have no host in common, or if the addresses that flannel
    published are known for common hosts and all of them have changed.
    """
    if (before.cluster, before.practice) != (now.cluster, now.practice):
        return False
    old, new = _readings(before), _readings(now)
    known = [key for key in old.keys() & new.keys() if key[0] == "public_ip"]
    moved = bool(known) and all(old[key] != new[key] for key in known)
    return not moved and bool(before.hosts.keys() & now.hosts.keys())


def compare(before: State, now: State) -> tuple[Change, ...]:
    """All differences between what both know: hosts first, then readings, then levels."""
    changes = [
        Change(
            "host",
            sanitize(name),
            "",
            "there" * (name in before.hosts),
            "there" * (name in now.hosts),
        )
        for name in dict.fromkeys((*now.hosts, *before.hosts))
        if (name in before.hosts) != (name in now.hosts)
    ]
    for old, new in ((_readings(before), _readings(now)), (_levels(before), _levels(now))):
        changes += [
            Change(
                sanitize(what),
                sanitize(host),
                sanitize(peer),
                sanitize(old[what, host, peer]),
                sanitize(value),
            )
            for (what, host, peer), value in new.items()
            if old.get((what, host, peer), value) != value
        ]
    return tuple(changes)


Key = tuple[str, str, str]
"""What, host and peer."""


def _levels(state: State) -> dict[Key, str]:
    """The worst level by kind, host and peer; verdicts without a known host are not compared."""
    found: dict[Key, Judged] = {}
    for it in state.verdicts:
        if it.host:
            key = it.kind, it.host, it.peer
            found[key] = min(found.get(key, it.level), it.level, key=VERDICTS_WORST_FIRST.index)
    return {key: str(level) for key, level in found.items()}


def _readings(state: State) -> dict[Key, str]:
    """The values that were read from each host."""
    found: dict[Key, str] = {}
    for name, host in state.hosts.items():
        found |= {(what, name, ""): text for what, text in host.versions.items()}
    for it in state.verdicts:
        values: Iterable[tuple[str, str]] = ()
        if it.kind == "lease":
            values = _of_leases(it.seen)
        elif it.kind == "subnet_env":
            values = _of_env(it.seen)
        found |= {(what, it.host, ""): text for what, text in values if it.host and text}
    return found


def _of_leases(seen: str) -> Iterator[tuple[str, str]]:
    """The values in a lease verdict's evidence: one line of key and value per lease."""
    values = (line.partition(" ") for line in seen.splitlines())
    read = parse_leases(Value(key, text, 0) for key, _, text in values)
    leases = [lease for lease in read if not lease.error]
    fields: dict[str, list[str]] = {
        "subnet": [lease.subnet for lease in leases],
        "public_ip": [lease.public_ip for lease in leases],
        "vtep_mac": [lease.mac for lease in leases],
        "backend": [lease.backend for lease in leases],
    }
    for what, texts in fields.items():
        yield what, ", ".join(sorted({text for text in texts if text}))


_ENV = {
    "FLANNEL_NETWORK": ("network", re.compile(r"[0-9./]{9,18}")),
    "FLANNEL_MTU": ("flannel_mtu", re.compile(r"[1-9][0-9]{2,4}")),
}


def _of_env(seen: str) -> Iterator[tuple[str, str]]:
    for line in seen.splitlines():
        name, _, text = line.partition("=")
        what, form = _ENV.get(name, ("", None))
        if form is not None and form.fullmatch(text):
            yield what, text
