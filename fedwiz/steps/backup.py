"""The first steps: back up what the others are about to change, on the host itself."""

from collections.abc import Iterator

from fedwiz.answers.file import Answers, Host
from fedwiz.facts import before
from fedwiz.facts.values import ClusterFacts
from fedwiz.model.actions import Run
from fedwiz.steps.docker import (
    DAEMON_JSON,
    DOCKER_DROP_IN,
    FORWARD_UNIT,
    OPTIONS_FILE,
    docker,
    enable,
    forward,
    switch,
)
from fedwiz.steps.flannel import (
    BINARY,
    DROP_IN,
    OPTS,
    PASSWORD_FILE,
    SYSCONFIG,
    UNIT_FILE,
    config,
    package,
    sysconfig,
    unit,
)
from fedwiz.steps.host import (
    LINK_FILE,
    MODULES_FILE,
    SYSCTL_FILE,
    UNMANAGED_FILE,
    firewall,
    kernel,
    link,
    networkmanager,
)
from fedwiz.steps.make import run_script
from fedwiz.steps.table import Step, step

CHANGING: tuple[Step, ...] = (
    kernel,
    link,
    networkmanager,
    firewall,
    package,
    sysconfig,
    unit,
    docker,
    forward,
    enable,
    switch,
)
"""Steps that change a node; `due` only runs with them, `peers` changes nothing permanently."""

SUBNET_ENV = "/run/flannel/subnet.env"
SAVED = (f"{SYSCONFIG}.rpmsave", f"{SYSCONFIG}.rpmnew")
"""Files that rpm leaves beside a changed file."""

PACKAGED = "/usr/lib/systemd/system/docker.service.d/flannel.conf"
"""The package's own drop-in; rpm does not remove its folder."""

TOUCHED = (
    SYSCONFIG,
    PASSWORD_FILE,
    BINARY,
    f"{BINARY}.new",
    OPTS,
    UNIT_FILE,
    DROP_IN,
    DOCKER_DROP_IN,
    DAEMON_JSON,
    FORWARD_UNIT,
    MODULES_FILE,
    SYSCTL_FILE,
    LINK_FILE,
    UNMANAGED_FILE,
    SUBNET_ENV,
    OPTIONS_FILE,
    *SAVED,
)
"""Files that an install writes or causes to be written; `keep.sh` has the same list."""

TITLE = "Keep what will be changed"
FORGET_BACKUP = f"rm -r {before.BEFORE}"


def _has_changes(answers: Answers, host: Host, known: ClusterFacts) -> bool:
    return any(True for other in CHANGING for _ in other.left(answers, host, known))


@step("keep", TITLE)
def keep(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """Back up once, before the first change: later runs never overwrite it."""
    facts = known.hosts[host.name]
    if facts.backup is None and _has_changes(answers, host, known):
        zone = facts.firewall.zone if facts.firewall else ""
        yield run_script("keep", zone or "-", undo=FORGET_BACKUP)


@step("keep", TITLE, role="master", stage="config")
def keep_store(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """Back up etcd's key, and the list of leases from before this install gave any node one."""
    if known.hosts[host.name].backup is not None:
        return
    nodes = (node for node in answers.nodes if node.name in known.hosts)
    rewrites = any(True for _ in config.left(answers, host, known))
    if rewrites or any(_has_changes(answers, node, known) for node in nodes):
        stored = known.store
        api = "" if stored.error else stored.api
        yield run_script(
            "keep",
            "-",
            stdin=(before.etcd_as_json(api, stored.config, stored.leases),),
            undo=FORGET_BACKUP,
        )
