"""Causes in what runs on a node: flanneld, docker."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Interface

from fedwiz.diagnose import etcd
from fedwiz.diagnose.cause import mend
from fedwiz.diagnose.restarts import DOCKER, FLANNELD, cut, restart, settings
from fedwiz.diagnose.values import Case, Diagnosis, Fix
from fedwiz.facts.values import Unit
from fedwiz.model.log_causes import Cause, cause_of
from fedwiz.steps.docker import OPTIONS_FILE
from fedwiz.steps.flannel import DROP_IN
from fedwiz.util.sanitize import sanitize
from fedwiz.verify.nodes import subnet_of


def _last(log: Sequence[str]) -> tuple[str, ...]:
    """What flanneld said since systemd last started it: older lines tell of what is over."""
    begun = [at for at, line in enumerate(log) if line.startswith("Starting ")]
    return tuple(log[begun[-1] :]) if begun else tuple(log)


def _cause(case: Case, host: str) -> Cause | None:
    log = case.look(host).log
    return cause_of(_last(log)) or cause_of(log)


def _state(case: Case, host: str) -> str:
    """What is shown: systemd's words, flanneld's that tell the cause, and its last ones."""
    look, last = case.look(host), _last(case.look(host).log)
    shown = " ".join(f"{key}={value}" for key, value in sorted(look.flanneld.items()))
    telling = [line for line in last if cause_of([line])][:2]
    said = dict.fromkeys([*telling, *last[-3:]])
    return "\n".join(line[:200] for line in (shown, *said) if line.strip())


def flanneld_down(case: Case) -> Iterator[Diagnosis]:
    """A flanneld was stopped, ended or failed, and nothing starts it again."""
    for host in case.ends:
        facts = case.facts(host)
        unit = facts.unit(FLANNELD)
        if not unit.there or unit.running:
            continue
        along = _along(case, host)
        mends = [restart(case, host, "keep", "leave", ("stop", "leave"))]
        remedy = f"`systemctl reset-failed flanneld; systemctl start flanneld` on {host}"
        if along:
            mends.append(_start_docker(case, host))
            remedy += ", and docker, which went with it"
        if DROP_IN not in facts.files:
            remedy += "; Restart=always in a drop-in of its unit would have brought it back"
        yield Diagnosis(
            "flanneld-down",
            host,
            f"flanneld does not run on {host}: {_ended(case, host, unit)}",
            _state(case, host),
            remedy,
            tuple(mends),
            explains=cut(case, host) or _docker_gone(case, host),
        )


def _along(case: Case, host: str) -> bool:
    """Whether docker went with flanneld, which it requires: systemd restarts both together."""
    docker = case.facts(host).unit(DOCKER)
    return docker.enabled == "enabled" and not docker.running


def _docker_gone(case: Case, host: str) -> bool:
    """Whether packets are dropped that a rule of docker's, or one beside it, would let through."""
    return _along(case, host) and case.lost_at("forwarding", "forwarding-in", host=host)


def _start_docker(case: Case, host: str) -> Fix:
    socket = case.facts(host).unit("docker.socket")
    more = ("docker.socket",) if socket.there and not socket.running else ()
    return mend(host, ("systemctl", "start", DOCKER), ("systemctl", "stop", *more, DOCKER))


def _ended(case: Case, host: str, unit: Unit) -> str:
    lines = _last(case.look(host).log)
    if any("lease has been revoked" in line.lower() for line in lines):
        return "its lease was deleted or ran out, and it ended"
    if any(line.startswith("Stopping ") for line in lines):  # flannel 0.18 to 0.22 panics then
        return "it was stopped"
    known = _cause(case, host) if unit.active == "failed" else None
    if known is not None:
        return f"it failed, and {known.sentence}"
    return "it failed" if unit.active == "failed" else "it ended"


def flanneld_restarting(case: Case) -> Iterator[Diagnosis]:
    """A flanneld is started, and does not get ready: over and over, or it waits for ever."""
    for host in case.ends:
        look, unit = case.look(host), case.facts(host).unit(FLANNELD)
        if "activating" not in (unit.active, look.flanneld.get("ActiveState")):
            continue
        if etcd.known_why(case, host):
            continue
        again = look.flanneld.get("SubState") == "auto-restart" or (
            look.flanneld.get("NRestarts", "0") != "0"
        )
        what = "ends and is started again, over and over" if again else "is not ready, and waits"
        known, change = _cause(case, host), settings(case, host)
        why = f"flanneld {what} on {host}" + (f": {known.sentence}" if known else "")
        remedy = known.remedy if known else f"see `journalctl -u flanneld` on {host}"
        mends: tuple[Fix, ...] = ()
        wrong: tuple[str, ...] = ()
        if change and change.wrong:
            wrong = change.wrong
            remedy = (
                f"write into /etc/sysconfig/flanneld of {host} what the answers say, restart it"
            )
            mends = (restart(case, host, "keep", "leave", ("try", "leave"), change=change),)
            if _along(case, host):
                mends += (_start_docker(case, host),)
                remedy += ", and start docker, which went with it"
        yield Diagnosis(
            "flanneld-restarting",
            host,
            why,
            "\n".join((*map(sanitize, wrong), _state(case, host))),
            remedy,
            mends,
            explains=cut(case, host) or _docker_gone(case, host),
        )


def docker_astray(case: Case) -> Iterator[Diagnosis]:
    """The containers of a node are not on its subnet: docker was not started anew for it."""
    for host in case.ends:
        facts, subnet = case.facts(host), subnet_of(case.facts(host))
        docker0 = facts.link("docker0")
        if subnet is None or docker0 is None or not facts.unit(DOCKER).running:
            continue
        up = case.ups.get(host)
        pod = up.pod if up and up.docker else None
        held = docker0.addresses[0] if docker0.addresses else ""
        there = bool(held) and IPv4Interface(held).network.subnet_of(subnet.network)
        if there and (pod is None or pod.address in subnet.network):
            continue
        shown = f"docker0 on {host} has {held or 'no address'}"
        if pod is not None:
            shown += f"; a container got {pod.address}"
        heeds = OPTIONS_FILE in facts.docker_unit and "DOCKER_NETWORK_OPTIONS" in facts.docker_unit
        mends: tuple[Fix, ...] = ()
        remedy = f"`fedwiz install`: docker's unit on {host} does not read {OPTIONS_FILE}"
        if heeds and held and not there:
            back = ("skip", f"--bip={held} --mtu={docker0.mtu}")
            mends = (restart(case, host, "skip", "move", back, interrupts=True),)
            remedy = (
                f"on {host}: stop docker, `ip link delete docker0`, start docker; at each boot "
                "it has to start after flanneld"
            )
        elif heeds:
            remedy = (
                f"see `systemctl cat docker` on {host} for --bridge, and /etc/docker/daemon.json"
            )
        yield Diagnosis(
            "docker-astray",
            host,
            f"docker on {host} is not on flannel's subnet: it has not taken {subnet}",
            f"/run/flannel/subnet.env says {subnet}; {shown}",
            remedy,
            mends,
            explains=not case.pings,
        )
