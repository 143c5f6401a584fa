"""UNDO: the way back from an install, read from top to bottom.

Each step yields what is left to get a host back to what was kept on it before fedwiz first
changed it, and nothing where it is like that, or where nothing was kept.
"""

from collections.abc import Iterator
from dataclasses import replace

from fedwiz.answers.file import Answers, Host
from fedwiz.etcd.leases import parse_leases
from fedwiz.facts.values import Backup, ClusterFacts, Facts, File, Firewall
from fedwiz.model.actions import Action, PutKey, Run
from fedwiz.model.envfile import values
from fedwiz.steps.backup import PACKAGED, SAVED, TOUCHED
from fedwiz.steps.docker import (
    DAEMON_JSON,
    DOCKER_DROP_IN,
    SCRIPT_SECONDS,
    direct_routing,
    docker,
    forward,
)
from fedwiz.steps.firewall_undo import unrule
from fedwiz.steps.flannel import (
    BINARY,
    DROP_IN,
    PASSWORD_FILE,
    SYSCONFIG,
    UNIT_FILE,
    sysconfig,
    unit,
    wanted_values,
)
from fedwiz.steps.host import kernel, link, networkmanager, settings
from fedwiz.steps.make import change, diff, dnf, run_script, same_json, within
from fedwiz.steps.table import Stage, Step, step

UNDO_STAGES: tuple[Stage, ...] = ("config", "back", "etcd")
"""etcd, where a node's flanneld goes on; the nodes; else etcd then, once no node of them needs
it."""

WRITERS: tuple[Step, ...] = (kernel, link, networkmanager, sysconfig, unit, docker, forward)
HASHED_FILES = (BINARY, f"{BINARY}.new", PASSWORD_FILE)


def _differing(facts: Facts, kept: Backup) -> list[str]:
    """Files that are not as they were."""
    was = kept.was
    return [
        path
        for path in TOUCHED
        if path in kept.asked
        and (
            facts.hashes.get(path) != was.hashes.get(path)
            if path in HASHED_FILES
            else facts.files.get(path) != was.files.get(path)
        )
    ]


def _changed(answers: Answers, host: Host, known: ClusterFacts, kept: Backup) -> set[str]:
    """Files that somebody has changed since fedwiz wrote them: neither its text nor the old one.

    fedwiz's text is what its steps would leave as it is; daemon.json's is made of the old one.
    """
    facts = known.hosts[host.name]
    found = set[str]()
    for each in WRITERS:
        for action in each.left(answers, host, known):
            said = action.diff if isinstance(action, Run) else ""
            found.update(
                line.removeprefix("+++ ") for line in said.splitlines() if line.startswith("+++ ")
            )
    if facts.hashes.get(BINARY) != answers.flannel.sha256:
        found.add(BINARY)
    found.discard(DAEMON_JSON)
    now = facts.files.get(DAEMON_JSON)
    if now is not None and now.text != direct_routing(kept.was.files.get(DAEMON_JSON)):
        found.add(DAEMON_JSON)
    if not _ours(answers, host, facts):
        found.discard(SYSCONFIG)
    if _edited(answers, host, facts.files.get(SAVED[0])):
        found.add(SAVED[0])
    return {path for path in found if path in facts.files or path in facts.hashes}


def _edited(answers: Answers, host: Host, saved: File | None) -> bool:
    """Whether flanneld's settings, as rpm saved them, say something else than fedwiz wrote.

    The unit that told which names it reads is gone by then, so either pair of names will do.
    """
    if saved is None:
        return False
    now = values(saved.text)
    wanted = wanted_values(answers, host, "")
    return not now or any(now.get(name, value) != value for name, value in wanted.items())


def _ours(answers: Answers, host: Host, facts: Facts) -> bool:
    """Whether anything in flanneld's settings is of fedwiz's, and not the package's own."""
    there = facts.files.get(SYSCONFIG)
    now = values(there.text) if there else {}
    wanted = wanted_values(answers, host, facts.flanneld_unit)
    return any(value and now.get(name) == value for name, value in wanted.items())


def left_alone(answers: Answers, host: Host, known: ClusterFacts) -> list[str]:
    """What a way back leaves as it is, in words: `PATH: why`."""
    facts = known.hosts[host.name]
    kept = facts.kept
    if kept is None:
        return []
    changed = _changed(answers, host, known, kept)
    said = [
        f"{path} was changed since fedwiz wrote it"
        for path in _differing(facts, kept)
        if path in changed
    ]
    had, has = kept.was.packages.get("flannel"), facts.packages.get("flannel")
    if had and has and had != has:
        said.append(f"flannel is {has}, and was {had}: install that one again if you need it")
    return said


def _restored(answers: Answers, host: Host, known: ClusterFacts, kept: Backup) -> list[str]:
    """Files that are put back, or removed."""
    facts, changed = known.hosts[host.name], _changed(answers, host, known, kept)
    ours = "flannel" not in kept.was.packages
    goes = ours and "flannel" in facts.packages
    return [
        path
        for path in _differing(facts, kept)
        if path not in changed
        and not (ours and path in SAVED)
        and not (goes and path == SYSCONFIG and path not in kept.was.files)
    ]


def _docker(answers: Answers, facts: Facts, kept: Backup, files: list[str]) -> str:
    """What becomes of docker, in the words of `back.sh`."""
    was, now = kept.was, facts.unit("docker.service")
    ran = was.unit("docker.service").running
    if not now.there:
        return "leave"
    if ran and not now.running:
        return "move"
    old, bridge = was.link("docker0"), facts.link("docker0")
    if old is None or not old.addresses:
        moved = bridge is not None and any(
            within(at, answers.network.cidr) for at in bridge.addresses
        )
    else:
        moved = bridge is None or bridge.addresses != old.addresses
    restarted = was.boot_id != facts.boot_id or was.unit("docker.service").pid != now.pid
    again = restarted and bool({DAEMON_JSON, DOCKER_DROP_IN}.intersection(files))
    if now.running:
        return "move" if moved or again else "leave"
    return "alone" if moved and bridge is not None else "leave"


def _enabled(facts: Facts, name: str) -> bool:
    return facts.unit(name).enabled == "enabled"


@step("back", "Take docker off flannel's subnet, and put the files back", stage="back")
def back(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """One critical section, as a unit on the node: it ends with docker running.

    docker is left alone where it never was on flannel's subnet, nor has been started with what
    was written for it.
    """
    facts = known.hosts[host.name]
    kept = facts.kept
    if kept is None:
        return
    was, files = kept.was, _restored(answers, host, known, kept)
    bridge = _docker(answers, facts, kept, files)
    runs, ran = facts.unit("flanneld.service").running, was.unit("flanneld.service").running
    own = bool({SYSCONFIG, UNIT_FILE, DROP_IN, BINARY}.intersection(files))
    ways = list(_ways(answers, facts, kept))
    ready = answers.docker.ready_within
    again = bridge != "leave" or own or bool(ways) or not runs
    daemon = "off" if not ran else str(ready) if again else "leave"
    ties = _enabled(was, "flanneld.service")
    boot = "enabled" if ties else "disabled"
    forwards = facts.unit("fedwiz-forward.service")
    items = [*files, *ways]
    idle = (
        bridge == "leave"
        and not items
        and runs == ran
        and ties == _enabled(facts, "flanneld.service")
        and not (forwards.running or forwards.enabled == "enabled")
    )
    if not idle:
        yield run_script(
            "back",
            bridge,
            daemon,
            boot,
            *items,
            unit="fedwiz-back",
            timeout=SCRIPT_SECONDS + ready,
            interrupts=bridge == "move" and facts.unit("docker.service").running,
            diff=_diff(facts, was, files),
        )


def _ways(answers: Answers, facts: Facts, kept: Backup) -> Iterator[str]:
    """Routes and devices of flannel's that were not there, or that a flanneld of before makes anew.

    It does not take an address of another network off its device.
    """
    was = kept.was
    for route in facts.routes:
        own = route.dev == "docker0" or route.dev.startswith("flannel") or not route.via
        if not own and within(route.to, answers.network.cidr) and route not in was.routes:
            yield f"{route.to} via {route.via}"
    ran = was.unit("flanneld.service").running
    for now in facts.flannel_links:
        old = was.link(now.name)
        if old is None or (ran and replace(old, mac="", up=True) != replace(now, mac="", up=True)):
            yield now.name


def _diff(facts: Facts, was: Facts, files: list[str]) -> str:
    """All files in one diff; of those that are large or secret there is none."""

    def text(file: File | None) -> str:
        return file.text if file else ""

    found = (diff(path, text(facts.files.get(path)), text(was.files.get(path))) for path in files)
    return "\n".join(each for each in found if each)


@step("unpackage", "Remove flannel", stage="back")
def unpackage(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """Where it was not there before; with what rpm leaves of settings that fedwiz changed."""
    facts = known.hosts[host.name]
    kept = facts.kept
    if kept is None or "flannel" in kept.was.packages:
        return
    changed = _changed(answers, host, known, kept)
    stays = {SAVED[0]} if changed.intersection((SYSCONFIG, SAVED[0])) else set[str]()
    files = [path for path in (*SAVED, PACKAGED) if path not in {*kept.was.files, *stays}]
    if "flannel" in facts.packages:
        yield dnf("remove", "flannel")
    elif not set(files).intersection(_differing(facts, kept)):
        return
    if SYSCONFIG in kept.was.files:
        files.append(SYSCONFIG)
    yield run_script("back", "leave", "leave", "leave", *files, unit="fedwiz-back", timeout=400)


@step("unset", "Put the kernel's settings back", stage="back")
def unset(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """Sysctls that still read what fedwiz wrote; modules that were not loaded, if they go."""
    facts = known.hosts[host.name]
    if facts.kept is None:
        return
    was = facts.kept.was
    for key, value in settings(facts).items():
        old = was.sysctls.get(key)
        if old is not None and old != value and facts.sysctls.get(key) == value:
            yield change("sysctl", "-w", f"{key}={old}")
    names = ("br_netfilter", *answers.backend.backend.modules)
    loaded = [it for it in names if facts.modules.get(it) and not was.modules.get(it)]
    if loaded:
        yield run_script("unload", *reversed(loaded))


@step("shut", "Close the firewall again", stage="back")
def shut(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """What fedwiz opens, where it was not open."""
    facts = known.hosts[host.name]
    walls = facts.firewall
    if facts.kept is None or walls is None:
        return
    was = facts.kept.was.firewall or Firewall()
    backend = answers.backend.backend
    zone = (f"--zone={walls.zone}",) if walls.zone else ()
    opened = [(f"--remove-port={port}", port) for port in backend.ports(answers.backend.options)]
    opened += [(f"--remove-protocol={protocol}", protocol) for protocol in backend.protocols]
    for flag, what in opened:
        if what in walls.ports - was.ports:
            yield change("firewall-cmd", *zone, flag)
        if what in walls.permanent - was.permanent:
            yield change("firewall-cmd", "--permanent", *zone, flag)
    cidr = answers.network.cidr
    if cidr in walls.trusted - was.trusted:
        yield change("firewall-cmd", "--zone=trusted", f"--remove-source={cidr}")
    if cidr in walls.trusted_permanent - was.trusted_permanent:
        yield change("firewall-cmd", "--permanent", "--zone=trusted", f"--remove-source={cidr}")


@step("forget", "Forget what was kept", stage="back")
def forget(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """Last: with it goes what the way back is made of."""
    if known.hosts[host.name].kept is not None:
        yield run_script("forget", *left_alone(answers, host, known))


def needing(answers: Answers, known: ClusterFacts) -> list[str]:
    """Nodes that need etcd's key as it is once all this is done, or of which that is not known."""
    return [
        node.name
        for node in answers.nodes
        if (facts := known.hosts.get(node.name)) is None or (facts.kept is None and _goes_on(facts))
    ]


def _goes_on(facts: Facts) -> bool:
    """Flanneld runs there in the end: it did before, or nothing was kept of what was before."""
    facts = facts.kept.was if facts.kept else facts
    return facts.unit("flanneld.service").running


@step("release", "Delete the nodes' leases", role="master", stage="etcd")
def release(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[PutKey]:
    """Those of nodes that have no flanneld any more, if they were not there before."""
    kept, stored = known.hosts[host.name].kept, known.store
    if kept is None or kept.api != stored.api:
        return
    addresses = {
        facts.public_ip(node.interface)
        for node in answers.nodes
        if (facts := known.hosts.get(node.name)) is not None and not _goes_on(facts)
    } - {""}
    texts = {each.key: each.text for each in stored.leases}
    for lease in parse_leases(stored.leases):
        fresh = lease.key not in kept.leases and lease.ttl is not None
        if fresh and lease.public_ip in addresses:
            yield PutKey(lease.key, None, stored.api, lease.revision, texts[lease.key])


def _rewrites(answers: Answers, known: ClusterFacts) -> Iterator[PutKey]:
    """The key as it was before, while it says what these answers write."""
    master = known.hosts.get(answers.master.name)
    kept, there = master.kept if master else None, known.store.config
    if kept is None or there is None or kept.api != known.store.api or kept.config == there.text:
        return
    if same_json(there.text, answers.config_json()):
        yield PutKey(there.key, kept.config, known.store.api, there.revision, there.text)


def going_on(answers: Answers, known: ClusterFacts) -> list[str]:
    """Nodes that are undone, and whose flanneld of before goes on with what etcd said then."""
    another = any(put.value is not None for put in _rewrites(answers, known))
    return [
        node.name
        for node in answers.nodes
        if another and (facts := known.hosts.get(node.name)) and facts.kept and _goes_on(facts)
    ]


@step("reconfig", "Put the network of before back into etcd", role="master", stage="config")
def reconfig(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Action]:
    """Before the nodes, where one had a flannel of its own: it reads the key as it starts."""
    if going_on(answers, known) and not needing(answers, known):
        yield from _rewrites(answers, known)


@step("unconfig", "Take the network out of etcd", role="master", stage="etcd")
def unconfig(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Action]:
    """The key, while it says what these answers write, once no node needs it."""
    kept = known.hosts[host.name].kept
    if kept is None or needing(answers, known):
        return
    if not going_on(answers, known):
        yield from _rewrites(answers, known)
    yield run_script("forget", *_key_left(answers, kept, known))


def _key_left(answers: Answers, kept: Backup, known: ClusterFacts) -> Iterator[str]:
    there = known.store.config
    if known.store.error or kept.api != known.store.api:
        why = known.store.error or "it is not known what it said before"
        yield f"etcd's {answers.key}: {why}"
    elif there and kept.config != there.text and not same_json(there.text, answers.config_json()):
        yield f"etcd's {answers.key} says something else than these answers"


UNDO_STEPS: tuple[Step, ...] = (
    reconfig,
    back,
    unpackage,
    unrule,
    unset,
    shut,
    forget,
    release,
    unconfig,
)
