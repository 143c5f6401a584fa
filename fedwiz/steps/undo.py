"""UNDO_STEPS: the undo of an install, read from top to bottom.

Each step yields what remains to get a host back to the backup from before fedwiz first changed it,
and nothing if the host is already like that, or if it has no backup.
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
"""etcd, if a node's old flanneld continues; then the nodes; otherwise etcd last, once no node needs
it."""

WRITERS: tuple[Step, ...] = (kernel, link, networkmanager, sysconfig, unit, docker, forward)
HASHED_FILES = (BINARY, f"{BINARY}.new", PASSWORD_FILE)


def _differing(facts: Facts, backup: Backup) -> list[str]:
    """Files that differ from the backup."""
    was = backup.was
    return [
        path
        for path in TOUCHED
        if path in backup.asked
        and (
            facts.hashes.get(path) != was.hashes.get(path)
            if path in HASHED_FILES
            else facts.files.get(path) != was.files.get(path)
        )
    ]


def _changed(answers: Answers, host: Host, known: ClusterFacts, backup: Backup) -> set[str]:
    """Files that somebody has changed since fedwiz wrote them: neither its text nor the old one.

    fedwiz's text is what its steps would leave unchanged; that of daemon.json derives from the old
    one.
    """
    facts = known.hosts[host.name]
    found = set[str]()
    for each in WRITERS:
        for action in each.left(answers, host, known):
            diff_text = action.diff if isinstance(action, Run) else ""
            found.update(
                line.removeprefix("+++ ")
                for line in diff_text.splitlines()
                if line.startswith("+++ ")
            )
    if facts.hashes.get(BINARY) != answers.flannel.sha256:
        found.add(BINARY)
    found.discard(DAEMON_JSON)
    daemon_json = facts.files.get(DAEMON_JSON)
    if daemon_json is not None and daemon_json.text != direct_routing(
        backup.was.files.get(DAEMON_JSON)
    ):
        found.add(DAEMON_JSON)
    if not _ours(answers, host, facts):
        found.discard(SYSCONFIG)
    if _edited(answers, host, facts.files.get(SAVED[0])):
        found.add(SAVED[0])
    return {path for path in found if path in facts.files or path in facts.hashes}


def _edited(answers: Answers, host: Host, saved: File | None) -> bool:
    """Whether flanneld's settings, as rpm saved them, differ from what fedwiz wrote.

    The unit that determined which names it reads is gone by then, so either pair of names will do.
    """
    if saved is None:
        return False
    now = values(saved.text)
    wanted = wanted_values(answers, host, "")
    return not now or any(now.get(name, value) != value for name, value in wanted.items())


def _ours(answers: Answers, host: Host, facts: Facts) -> bool:
    """Whether any of flanneld's settings come from fedwiz rather than from the package."""
    there = facts.files.get(SYSCONFIG)
    now = values(there.text) if there else {}
    wanted = wanted_values(answers, host, facts.flanneld_unit)
    return any(value and now.get(name) == value for name, value in wanted.items())


def left_alone(answers: Answers, host: Host, known: ClusterFacts) -> list[str]:
    """What an undo leaves as it is, in words: `PATH: why`."""
    facts = known.hosts[host.name]
    backup = facts.backup
    if backup is None:
        return []
    changed = _changed(answers, host, known, backup)
    reasons = [
        f"{path} was changed since fedwiz wrote it"
        for path in _differing(facts, backup)
        if path in changed
    ]
    had, has = backup.was.packages.get("flannel"), facts.packages.get("flannel")
    if had and has and had != has:
        reasons.append(f"flannel is {has}, and was {had}: install that one again if you need it")
    return reasons


def _restored(answers: Answers, host: Host, known: ClusterFacts, backup: Backup) -> list[str]:
    """Files that get restored or removed."""
    facts, changed = known.hosts[host.name], _changed(answers, host, known, backup)
    ours = "flannel" not in backup.was.packages
    goes = ours and "flannel" in facts.packages
    return [
        path
        for path in _differing(facts, backup)
        if path not in changed
        and not (ours and path in SAVED)
        and not (goes and path == SYSCONFIG and path not in backup.was.files)
    ]


def _docker(answers: Answers, facts: Facts, backup: Backup, files: list[str]) -> str:
    """What happens to docker, as the argument of `back.sh`."""
    was, now = backup.was, facts.unit("docker.service")
    was_running = was.unit("docker.service").running
    if not now.there:
        return "leave"
    if was_running and not now.running:
        return "move"
    old_bridge, bridge = was.link("docker0"), facts.link("docker0")
    if old_bridge is None or not old_bridge.addresses:
        moved = bridge is not None and any(
            within(at, answers.network.cidr) for at in bridge.addresses
        )
    else:
        moved = bridge is None or bridge.addresses != old_bridge.addresses
    restarted = was.boot_id != facts.boot_id or was.unit("docker.service").pid != now.pid
    needs_restart = restarted and bool({DAEMON_JSON, DOCKER_DROP_IN}.intersection(files))
    if now.running:
        return "move" if moved or needs_restart else "leave"
    return "alone" if moved and bridge is not None else "leave"


def _enabled(facts: Facts, name: str) -> bool:
    return facts.unit(name).enabled == "enabled"


@step("back", "Take docker off flannel's subnet, and put the files back", stage="back")
def back(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """One critical section, run as a unit on the node: docker is running at its end.

    docker is left alone if it never was on flannel's subnet and was not restarted with files that
    fedwiz wrote for it.
    """
    facts = known.hosts[host.name]
    backup = facts.backup
    if backup is None:
        return
    was, files = backup.was, _restored(answers, host, known, backup)
    bridge = _docker(answers, facts, backup, files)
    running = facts.unit("flanneld.service").running
    was_running = was.unit("flanneld.service").running
    own_files = bool({SYSCONFIG, UNIT_FILE, DROP_IN, BINARY}.intersection(files))
    routes_and_devices = list(_routes_and_devices(answers, facts, backup))
    ready = answers.docker.ready_within
    restart = bridge != "leave" or own_files or bool(routes_and_devices) or not running
    daemon = "off" if not was_running else str(ready) if restart else "leave"
    was_enabled = _enabled(was, "flanneld.service")
    boot = "enabled" if was_enabled else "disabled"
    forward_unit = facts.unit("fedwiz-forward.service")
    items = [*files, *routes_and_devices]
    idle = (
        bridge == "leave"
        and not items
        and running == was_running
        and was_enabled == _enabled(facts, "flanneld.service")
        and not (forward_unit.running or forward_unit.enabled == "enabled")
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


def _routes_and_devices(answers: Answers, facts: Facts, backup: Backup) -> Iterator[str]:
    """Routes and devices of flannel that did not exist, or that the old flanneld must recreate.

    flanneld does not remove an address of another network from its device.
    """
    was = backup.was
    for route in facts.routes:
        own = route.dev == "docker0" or route.dev.startswith("flannel") or not route.via
        if not own and within(route.to, answers.network.cidr) and route not in was.routes:
            yield f"{route.to} via {route.via}"
    was_running = was.unit("flanneld.service").running
    for now in facts.flannel_links:
        old = was.link(now.name)
        if old is None or (
            was_running and replace(old, mac="", up=True) != replace(now, mac="", up=True)
        ):
            yield now.name


def _diff(facts: Facts, was: Facts, files: list[str]) -> str:
    """All files in one diff, except those that are large or secret."""

    def text(file: File | None) -> str:
        return file.text if file else ""

    found = (diff(path, text(facts.files.get(path)), text(was.files.get(path))) for path in files)
    return "\n".join(each for each in found if each)


@step("unpackage", "Remove flannel", stage="back")
def unpackage(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """If it was not there before; including what rpm leaves of settings that fedwiz changed."""
    facts = known.hosts[host.name]
    backup = facts.backup
    if backup is None or "flannel" in backup.was.packages:
        return
    changed = _changed(answers, host, known, backup)
    kept_files = {SAVED[0]} if changed.intersection((SYSCONFIG, SAVED[0])) else set[str]()
    files = [path for path in (*SAVED, PACKAGED) if path not in {*backup.was.files, *kept_files}]
    if "flannel" in facts.packages:
        yield dnf("remove", "flannel")
    elif not set(files).intersection(_differing(facts, backup)):
        return
    if SYSCONFIG in backup.was.files:
        files.append(SYSCONFIG)
    yield run_script("back", "leave", "leave", "leave", *files, unit="fedwiz-back", timeout=400)


@step("unset", "Put the kernel's settings back", stage="back")
def unset(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """Sysctls that still have fedwiz's value; unload modules that were not loaded, if possible."""
    facts = known.hosts[host.name]
    if facts.backup is None:
        return
    was = facts.backup.was
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
    """What fedwiz has opened, if it was not open before."""
    facts = known.hosts[host.name]
    firewalld = facts.firewall
    if facts.backup is None or firewalld is None:
        return
    was = facts.backup.was.firewall or Firewall()
    backend = answers.backend.backend
    zone = (f"--zone={firewalld.zone}",) if firewalld.zone else ()
    opened = [(f"--remove-port={port}", port) for port in backend.ports(answers.backend.options)]
    opened += [(f"--remove-protocol={protocol}", protocol) for protocol in backend.protocols]
    for flag, what in opened:
        if what in firewalld.ports - was.ports:
            yield change("firewall-cmd", *zone, flag)
        if what in firewalld.permanent - was.permanent:
            yield change("firewall-cmd", "--permanent", *zone, flag)
    cidr = answers.network.cidr
    if cidr in firewalld.trusted - was.trusted:
        yield change("firewall-cmd", "--zone=trusted", f"--remove-source={cidr}")
    if cidr in firewalld.trusted_permanent - was.trusted_permanent:
        yield change("firewall-cmd", "--permanent", "--zone=trusted", f"--remove-source={cidr}")


@step("forget", "Forget what was kept", stage="back")
def forget(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """The last step on a host: it deletes the backup, from which all others are made."""
    if known.hosts[host.name].backup is not None:
        yield run_script("forget", *left_alone(answers, host, known))


def nodes_needing_key(answers: Answers, known: ClusterFacts) -> list[str]:
    """Nodes that need etcd's key as it is now even after the undo, or for which that is unknown."""
    return [
        node.name
        for node in answers.nodes
        if (facts := known.hosts.get(node.name)) is None
        or (facts.backup is None and _will_run_flanneld(facts))
    ]


def _will_run_flanneld(facts: Facts) -> bool:
    """Whether flanneld will run there in the end: it did before, or there is no backup."""
    facts = facts.backup.was if facts.backup else facts
    return facts.unit("flanneld.service").running


@step("release", "Delete the nodes' leases", role="master", stage="etcd")
def release(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[PutKey]:
    """Leases of nodes that no longer run flanneld, if they did not exist before."""
    backup, stored = known.hosts[host.name].backup, known.store
    if backup is None or backup.api != stored.api:
        return
    addresses = {
        facts.public_ip(node.interface)
        for node in answers.nodes
        if (facts := known.hosts.get(node.name)) is not None and not _will_run_flanneld(facts)
    } - {""}
    texts = {each.key: each.text for each in stored.leases}
    for lease in parse_leases(stored.leases):
        fresh = lease.key not in backup.leases and lease.ttl is not None
        if fresh and lease.public_ip in addresses:
            yield PutKey(lease.key, None, stored.api, lease.revision, texts[lease.key])


def _rewrites(answers: Answers, known: ClusterFacts) -> Iterator[PutKey]:
    """Restore the old key, provided that it still says what these answers write."""
    master = known.hosts.get(answers.master.name)
    backup, current = master.backup if master else None, known.store.config
    if (
        backup is None
        or current is None
        or backup.api != known.store.api
        or backup.config == current.text
    ):
        return
    if same_json(current.text, answers.config_json()):
        yield PutKey(current.key, backup.config, known.store.api, current.revision, current.text)


def nodes_with_old_flanneld(answers: Answers, known: ClusterFacts) -> list[str]:
    """Undone nodes whose old flanneld continues with what etcd said then."""
    another = any(put.value is not None for put in _rewrites(answers, known))
    return [
        node.name
        for node in answers.nodes
        if another
        and (facts := known.hosts.get(node.name))
        and facts.backup
        and _will_run_flanneld(facts)
    ]


@step("reconfig", "Put the network of before back into etcd", role="master", stage="config")
def reconfig(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Action]:
    """Before the nodes, if one had its own flannel: it reads the key when it starts."""
    if nodes_with_old_flanneld(answers, known) and not nodes_needing_key(answers, known):
        yield from _rewrites(answers, known)


@step("unconfig", "Take the network out of etcd", role="master", stage="etcd")
def unconfig(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Action]:
    """The key, provided that it says what these answers write, once no node needs it."""
    backup = known.hosts[host.name].backup
    if backup is None or nodes_needing_key(answers, known):
        return
    if not nodes_with_old_flanneld(answers, known):
        yield from _rewrites(answers, known)
    yield run_script("forget", *_key_left(answers, backup, known))


def _key_left(answers: Answers, backup: Backup, known: ClusterFacts) -> Iterator[str]:
    current = known.store.config
    if known.store.error or backup.api != known.store.api:
        why = known.store.error or "it is not known what it said before"
        yield f"etcd's {answers.key}: {why}"
    elif (
        current
        and backup.config != current.text
        and not same_json(current.text, answers.config_json())
    ):
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
