"""Checks of docker and of the packet filter that it shares with flannel."""

import json
import re
from collections.abc import Iterator, Mapping

from fedwiz.answers.file import Answers
from fedwiz.checks.finding import Finding, block, check, ok, reached_hosts, unread, warn
from fedwiz.facts.values import ClusterFacts, Facts
from fedwiz.facts.versions import (
    docker_drops_routed,
    docker_knows_direct_routing,
    docker_version,
    needs_forward,
    next_version,
)
from fedwiz.util.words import some

DAEMON_JSON = "/etc/docker/daemon.json"
SYSCONFIG = ("/etc/sysconfig/docker", "/etc/sysconfig/docker-network")
DAEMON_JSON_KEYS = ("bip", "bridge", "mtu", "ip-masq", "fixed-cidr")
"""Settings that flannel passes to docker, or that contradict it; docker rejects duplicates."""

NOT_DOCKERD = ("#", ";", "ExecStartPre=", "ExecStartPost=", "ExecStop")
"""Lines that pass nothing to dockerd."""

FLAG = re.compile(r"(?<![\w-])(?:--(?P<long>bip|bridge|mtu|ip-masq|fixed-cidr)|-b)(?=[=\s\"']|$)")


@check("docker-options", "Does docker take its network from flannel alone?", about="nodes")
def docker_options(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Dockerd does not start if an option is set twice."""
    for host, facts in reached_hosts(answers, known, "nodes"):
        if not facts.units or (facts.unit("docker.service").there and not facts.docker_unit):
            yield unread("docker's unit", host.name, "see `systemctl cat docker` there")
        for finding in _conflicts(facts):
            yield Finding("", host.name, finding.level, finding.seen, finding.remedy)
    yield ok("no --bip, --bridge, --mtu or --ip-masq of its own")


def _conflicts(facts: Facts) -> Iterator[Finding]:
    texts = {path: facts.files[path].text for path in SYSCONFIG if path in facts.files}
    texts |= _unit_files(facts.docker_unit)
    for path, text in texts.items():
        lines = (line for line in text.splitlines() if not line.lstrip().startswith(NOT_DOCKERD))
        flags = [f"--{found['long'] or 'bridge'}" for found in FLAG.finditer("\n".join(lines))]
        for flag in dict.fromkeys(flags):
            yield block(
                f"{path} gives docker {flag}, which is flannel's to say",
                f"remove {flag} from {path}, then systemctl daemon-reload",
            )
    if DAEMON_JSON in facts.files:
        yield from _daemon_json(facts.files[DAEMON_JSON].text)


def _unit_files(unit: str) -> Mapping[str, str]:
    """The files of `systemctl cat` by path, except those of fedwiz and of flannel's package."""
    parts = re.split(r"^# (?=/)", unit, flags=re.MULTILINE)
    named = (part.partition("\n") for part in parts if part.startswith("/"))
    found = {path.strip(): text for path, _, text in named} or {"docker.service": unit}
    return {
        path: text
        for path, text in found.items()
        if not path.endswith(("/60-fedwiz.conf", "/docker.service.d/flannel.conf"))
    }


def _daemon_json(text: str) -> Iterator[Finding]:
    try:
        text.encode()  # non-UTF-8 bytes arrived as surrogates and could not be written back
        settings = json.loads(text) if text.strip() else {}
    except UnicodeEncodeError:
        settings = f"{DAEMON_JSON} is not UTF-8"
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        settings = f"{DAEMON_JSON} is not JSON{where}: docker would not start again"
    if isinstance(settings, str) or not isinstance(settings, dict):
        seen = settings if isinstance(settings, str) else f"{DAEMON_JSON} holds no JSON object"
        yield block(
            seen, f"correct {DAEMON_JSON}; `python3 -m json.tool {DAEMON_JSON}` shows where"
        )
        return
    for key in DAEMON_JSON_KEYS:
        if key in settings:
            yield block(
                f"{DAEMON_JSON} sets {key} to {json.dumps(settings[key])[:40]}, "
                "which is flannel's to say",
                f"remove {key} from {DAEMON_JSON}",
            )
    if settings.get("live-restore") is True:
        yield warn(
            f"{DAEMON_JSON} sets live-restore to true: containers run on while docker moves, "
            "on addresses that lead nowhere then",
            "restart them after the install",
        )
    if settings.get("iptables") is False:
        yield warn(
            f"{DAEMON_JSON} sets iptables to false: docker masquerades nothing and guards nothing",
            f"remove iptables from {DAEMON_JSON}, unless other rules do its work",
        )


@check("docker-version", "Does this docker let flannel's packets through?", about="nodes")
def docker_versions(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Docker 28 and later drops packets routed directly to containers; the install handles it."""
    by_text: dict[str, list[str]] = {}
    for host, facts in reached_hosts(answers, known, "nodes"):
        if not docker_version(facts.docker_version):
            if not facts.units or facts.unit("docker.service").there:
                yield unread("docker's version", host.name, "see `dockerd --version` there")
            continue
        number = ".".join(map(str, docker_version(facts.docker_version)))
        done = []
        if docker_knows_direct_routing(facts.docker_version):
            done.append("allow-direct-routing in daemon.json")
        elif docker_drops_routed(facts.docker_version):
            done.append("DOCKER_INSECURE_NO_IPTABLES_RAW=1 in its environment")
        if needs_forward(next_version(answers, host.name, known), facts.docker_version):
            done.append("rules that accept the containers' network")
        said = f"drops routed packets; the install adds {some(done)}"
        by_text.setdefault(f"{number}: {said if done else 'needs nothing'}", []).append(host.name)
    for said, names in by_text.items():
        yield ok(f"docker {said}", names[0] if len(names) == 1 else "")
    if not by_text:
        yield ok("no docker to judge")


@check("iptables", "Is there an iptables that works?", about="nodes")
def iptables(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Docker and flannel both write rules with it, and must use the same tables."""
    for host, facts in reached_hosts(answers, known, "nodes"):
        if "filter" not in facts.rules and "nat" not in facts.rules:
            problem = (
                f"{facts.iptables} does not work" if facts.iptables else "no iptables that works"
            )
            yield block(
                f"{problem}: `iptables -S` fails",
                "dnf -y install iptables-nft && alternatives --auto iptables",
                host.name,
            )
        elif "filter" not in facts.rules or "nat" not in facts.rules:
            yield unread("one of iptables' tables", host.name, "see `iptables -t nat -S` there")
        elif "legacy" in facts.iptables and facts.firewall is not None:
            yield warn(
                f"{facts.iptables} beside firewalld, which writes nft: two sets of rules",
                "alternatives --set iptables /usr/sbin/iptables-nft, then restart docker",
                host.name,
            )
    kinds = {facts.iptables for _, facts in reached_hosts(answers, known, "nodes")}
    yield ok(some(sorted(kinds)))


@check("forwarding", "Will the kernel forward containers' packets?", about="nodes")
def forwarding(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """`ip_forward` gets turned on; a strict reverse path filter drops asymmetric traffic."""
    off = []
    for host, facts in reached_hosts(answers, known, "nodes"):
        if "net.ipv4.ip_forward" not in facts.sysctls:
            yield unread("net.ipv4.ip_forward", host.name, "see `sysctl net.ipv4.ip_forward`")
        elif facts.sysctls["net.ipv4.ip_forward"].strip() != "1":
            off.append(host.name)
        if facts.sysctls.get("net.ipv4.conf.all.rp_filter", "").strip() == "1":
            yield warn(
                "rp_filter is strict (1), which may drop overlay packets; it will be loose (2)",
                "nothing, unless a policy of yours wants it strict",
                host.name,
            )
    yield ok(f"ip_forward will be turned on on {some(off)}" if off else "ip_forward is on")


@check("interrupts", "Will running containers be stopped?", about="nodes")
def interrupts(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Only where docker still has to move to flannel's subnet; the plan is authoritative."""
    for host, facts in reached_hosts(answers, known, "nodes"):
        if not facts.units:
            yield unread("docker's state", host.name)
        elif not facts.unit("docker.service").running or _switched(answers, facts):
            continue
        elif facts.containers:
            how = "the host reboots" if answers.docker.switch == "reboot" else "docker restarts"
            number = facts.containers
            yield warn(
                f"{number} running container{'s' if number > 1 else ''} will stop: {how}",
                "choose a time when they may; those without a restart policy stay stopped",
                host.name,
            )
    yield ok("no container runs where docker still has to move to flannel's subnet")


def _switched(answers: Answers, facts: Facts) -> bool:
    """docker0 already has flannel's address."""
    bridge, env = facts.link("docker0"), facts.subnet_env or {}
    return (
        bridge is not None
        and env.get("FLANNEL_SUBNET", "") in bridge.addresses
        and env.get("FLANNEL_NETWORK") == answers.network.cidr
    )
