"""Causes in the daemons of a node: flanneld, docker."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Interface

from fedwiz.diagnose import etcd
from fedwiz.diagnose.restarts import DOCKER, FLANNELD, is_cut_off, restart_flanneld, settings
from fedwiz.diagnose.values import Case, Diagnosis, Fix, fix_command
from fedwiz.facts.values import Unit
from fedwiz.model.log_causes import Cause, cause_of
from fedwiz.steps.docker import OPTIONS_FILE
from fedwiz.steps.flannel import DROP_IN
from fedwiz.util.sanitize import sanitize
from fedwiz.verify.nodes import subnet_of


def _since_start(log: Sequence[str]) -> tuple[str, ...]:
    """The log of flanneld since systemd last started it: older lines are about the past."""
    starts = [at for at, line in enumerate(log) if line.startswith("Starting ")]
    return tuple(log[starts[-1] :]) if starts else tuple(log)


def _cause(case: Case, host: str) -> Cause | None:
    log = case.look(host).log
    return cause_of(_since_start(log)) or cause_of(log)


def _state(case: Case, host: str) -> str:
    """The evidence: systemd's state, flanneld's lines that name the cause, and its last lines."""
    look, recent = case.look(host), _since_start(case.look(host).log)
    shown = " ".join(f"{key}={value}" for key, value in sorted(look.flanneld.items()))
    cause_lines = [line for line in recent if cause_of([line])][:2]
    lines = dict.fromkeys([*cause_lines, *recent[-3:]])
    return "\n".join(line[:200] for line in (shown, *lines) if line.strip())


def flanneld_down(case: Case) -> Iterator[Diagnosis]:
    """A flanneld was stopped, exited or failed, and nothing restarts it."""
    for host in case.ends:
        facts = case.facts(host)
        unit = facts.unit(FLANNELD)
        if not unit.there or unit.running:
            continue
        docker_stopped = _docker_stopped_too(case, host)
        fixes = [restart_flanneld(case, host, "keep", "leave", ("stop", "leave"))]
        remedy = f"`systemctl reset-failed flanneld; systemctl start flanneld` on {host}"
        if docker_stopped:
            fixes.append(_start_docker(case, host))
            remedy += ", and docker, which went with it"
        if DROP_IN not in facts.files:
            remedy += "; Restart=always in a drop-in of its unit would have brought it back"
        yield Diagnosis(
            "flanneld-down",
            host,
            f"flanneld does not run on {host}: {_ended(case, host, unit)}",
            _state(case, host),
            remedy,
            tuple(fixes),
            explains=is_cut_off(case, host) or _docker_rules_gone(case, host),
        )


def _docker_stopped_too(case: Case, host: str) -> bool:
    """Whether docker stopped with flanneld, which it requires: systemd restarts both together."""
    docker = case.facts(host).unit(DOCKER)
    return docker.enabled == "enabled" and not docker.running


def _docker_rules_gone(case: Case, host: str) -> bool:
    """Whether packets are dropped that docker's rules, or those started with it, would accept."""
    return _docker_stopped_too(case, host) and case.lost_at(
        "forwarding", "forwarding-in", host=host
    )


def _start_docker(case: Case, host: str) -> Fix:
    socket = case.facts(host).unit("docker.socket")
    more = ("docker.socket",) if socket.there and not socket.running else ()
    return fix_command(host, ("systemctl", "start", DOCKER), ("systemctl", "stop", *more, DOCKER))


def _ended(case: Case, host: str, unit: Unit) -> str:
    lines = _since_start(case.look(host).log)
    if any("lease has been revoked" in line.lower() for line in lines):
        return "its lease was deleted or ran out, and it ended"
    if any(line.startswith("Stopping ") for line in lines):  # flannel 0.18 to 0.22 panics then
        return "it was stopped"
    log_cause = _cause(case, host) if unit.active == "failed" else None
    if log_cause is not None:
        return f"it failed, and {log_cause.sentence}"
    return "it failed" if unit.active == "failed" else "it ended"


def flanneld_restarting(case: Case) -> Iterator[Diagnosis]:
    """A flanneld was started but does not get ready: it keeps restarting, or waits forever."""
    for host in case.ends:
        look, unit = case.look(host), case.facts(host).unit(FLANNELD)
        if "activating" not in (unit.active, look.flanneld.get("ActiveState")):
            continue
        if etcd.known_why(case, host):
            continue
        restarts = look.flanneld.get("SubState") == "auto-restart" or (
            look.flanneld.get("NRestarts", "0") != "0"
        )
        what = "ends and is started again, over and over" if restarts else "is not ready, and waits"
        log_cause, change = _cause(case, host), settings(case, host)
        why = f"flanneld {what} on {host}" + (f": {log_cause.sentence}" if log_cause else "")
        remedy = log_cause.remedy if log_cause else f"see `journalctl -u flanneld` on {host}"
        fixes: tuple[Fix, ...] = ()
        differences: tuple[str, ...] = ()
        if change and change.differences:
            differences = change.differences
            remedy = (
                f"write into /etc/sysconfig/flanneld of {host} what the answers say, restart it"
            )
            fixes = (
                restart_flanneld(case, host, "keep", "leave", ("try", "leave"), change=change),
            )
            if _docker_stopped_too(case, host):
                fixes += (_start_docker(case, host),)
                remedy += ", and start docker, which went with it"
        yield Diagnosis(
            "flanneld-restarting",
            host,
            why,
            "\n".join((*map(sanitize, differences), _state(case, host))),
            remedy,
            fixes,
            explains=is_cut_off(case, host) or _docker_rules_gone(case, host),
        )


def docker_astray(case: Case) -> Iterator[Diagnosis]:
    """The containers of a node are not on its subnet: docker was not restarted for it."""
    for host in case.ends:
        facts, subnet = case.facts(host), subnet_of(case.facts(host))
        docker0 = facts.link("docker0")
        if subnet is None or docker0 is None or not facts.unit(DOCKER).running:
            continue
        up = case.ups.get(host)
        pod = up.pod if up and up.docker else None
        bridge_address = docker0.addresses[0] if docker0.addresses else ""
        in_subnet = bool(bridge_address) and IPv4Interface(bridge_address).network.subnet_of(
            subnet.network
        )
        if in_subnet and (pod is None or pod.address in subnet.network):
            continue
        shown = f"docker0 on {host} has {bridge_address or 'no address'}"
        if pod is not None:
            shown += f"; a container got {pod.address}"
        reads_options = (
            OPTIONS_FILE in facts.docker_unit and "DOCKER_NETWORK_OPTIONS" in facts.docker_unit
        )
        fixes: tuple[Fix, ...] = ()
        remedy = f"`fedwiz install`: docker's unit on {host} does not read {OPTIONS_FILE}"
        if reads_options and bridge_address and not in_subnet:
            undo_arguments = ("skip", f"--bip={bridge_address} --mtu={docker0.mtu}")
            fixes = (restart_flanneld(case, host, "skip", "move", undo_arguments, interrupts=True),)
            remedy = (
                f"on {host}: stop docker, `ip link delete docker0`, start docker; at each boot "
                "it has to start after flanneld"
            )
        elif reads_options:
            remedy = (
                f"see `systemctl cat docker` on {host} for --bridge, and /etc/docker/daemon.json"
            )
        yield Diagnosis(
            "docker-astray",
            host,
            f"docker on {host} is not on flannel's subnet: it has not taken {subnet}",
            f"/run/flannel/subnet.env says {subnet}; {shown}",
            remedy,
            fixes,
            explains=not case.pings,
        )
