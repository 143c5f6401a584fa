"""Checks of docker and of the packet filter that it shares with flannel."""

import json
import re
from collections.abc import Iterator, Mapping

from fedwiz.answers.file import Answers
from fedwiz.checks.finding import Finding, block, check, heard, ok, some, unread, warn
from fedwiz.facts.values import ClusterFacts, Facts
from fedwiz.facts.versions import (
    docker_drops_routed,
    docker_knows_direct_routing,
    docker_version,
    needs_forward,
    next_version,
)

DAEMON_JSON = "/etc/docker/daemon.json"
SYSCONFIG = ("/etc/sysconfig/docker", "/etc/sysconfig/docker-network")
DAEMON_JSON_KEYS = ("bip", "bridge", "mtu", "ip-masq", "fixed-cidr")
"""What flannel tells docker, or what contradicts it; docker refuses to be told twice."""

NOT_DOCKERD = ("#", ";", "ExecStartPre=", "ExecStartPost=", "ExecStop")
"""Lines that say nothing to dockerd."""

FLAG = re.compile(r"(?<![\w-])(?:--(?P<long>bip|bridge|mtu|ip-masq|fixed-cidr)|-b)(?=[=\s\"']|$)")


@check("docker-options", "Does docker take its network from flannel alone?", about="nodes")
def docker_options(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """A dockerd that is told something twice does not start."""
    for host, facts in heard(answers, known, "nodes"):
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
    """`systemctl cat`'s files by path, but for those that fedwiz or flannel's package wrote."""
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
        text.encode()  # what is not UTF-8 came as surrogates, and could not be written back
        said = json.loads(text) if text.strip() else {}
    except UnicodeEncodeError:
        said = f"{DAEMON_JSON} is not UTF-8"
    except (ValueError, RecursionError) as wrong:
        where = f" (line {wrong.lineno})" if isinstance(wrong, json.JSONDecodeError) else ""
        said = f"{DAEMON_JSON} is no JSON{where}: docker would not start again"
    if isinstance(said, str) or not isinstance(said, dict):
        seen = said if isinstance(said, str) else f"{DAEMON_JSON} holds no JSON object"
        yield block(seen, f"mend {DAEMON_JSON}; `python3 -m json.tool {DAEMON_JSON}` shows where")
        return
    for key in DAEMON_JSON_KEYS:
        if key in said:
            yield block(
                f"{DAEMON_JSON} sets {key} to {json.dumps(said[key])[:40]}, "
                "which is flannel's to say",
                f"remove {key} from {DAEMON_JSON}",
            )
    if said.get("live-restore") is True:
        yield warn(
            f"{DAEMON_JSON} sets live-restore to true: containers run on while docker moves, "
            "on addresses that lead nowhere then",
            "restart them after the install",
        )
    if said.get("iptables") is False:
        yield warn(
            f"{DAEMON_JSON} sets iptables to false: docker masquerades nothing and guards nothing",
            f"remove iptables from {DAEMON_JSON}, unless other rules do its work",
        )


@check("docker-version", "Does this docker let flannel's packets through?", about="nodes")
def docker_versions(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """From 28 on docker drops what is routed straight to a container; the install sees to it."""
    fine: dict[str, list[str]] = {}
    for host, facts in heard(answers, known, "nodes"):
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
        fine.setdefault(f"{number}: {said if done else 'needs nothing'}", []).append(host.name)
    for said, names in fine.items():
        yield ok(f"docker {said}", names[0] if len(names) == 1 else "")
    if not fine:
        yield ok("no docker to judge")


@check("iptables", "Is there an iptables that works?", about="nodes")
def iptables(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Docker and flannel write rules with it, and must mean the same tables."""
    for host, facts in heard(answers, known, "nodes"):
        if "filter" not in facts.rules and "nat" not in facts.rules:
            said = f"{facts.iptables} does not work" if facts.iptables else "no iptables that works"
            yield block(
                f"{said}: `iptables -S` fails",
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
    kinds = {facts.iptables for _, facts in heard(answers, known, "nodes")}
    yield ok(some(sorted(kinds)))


@check("forwarding", "Will the kernel forward containers' packets?", about="nodes")
def forwarding(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """`ip_forward` is turned on; a strict reverse path filter drops what comes another way."""
    off = []
    for host, facts in heard(answers, known, "nodes"):
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
    """Only where docker still has to move to flannel's subnet; the plan has the last word."""
    for host, facts in heard(answers, known, "nodes"):
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
    """docker0 has flannel's address already."""
    bridge, env = facts.link("docker0"), facts.subnet_env or {}
    return (
        bridge is not None
        and env.get("FLANNEL_SUBNET", "") in bridge.addresses
        and env.get("FLANNEL_NETWORK") == answers.network.cidr
    )
