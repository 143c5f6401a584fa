"""Steps that move docker to flannel's subnet, and make its containers reachable."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fedwiz.answers.file import Answers, Host
from fedwiz.facts.values import ClusterFacts, Facts, File, Link, Route
from fedwiz.facts.versions import (
    docker_drops_routed,
    docker_knows_direct_routing,
    needs_forward,
    next_version,
)
from fedwiz.model.actions import Run
from fedwiz.model.backends import KERNEL_VXLAN_PORT
from fedwiz.steps.flannel import config, package, sysconfig, unit
from fedwiz.steps.make import change, peer_addresses, put_file, run_script, within
from fedwiz.steps.table import Step, step

DOCKER_DROP_IN = "/etc/systemd/system/docker.service.d/60-fedwiz.conf"
DAEMON_JSON = "/etc/docker/daemon.json"
DUE = "/run/fedwiz/switch-due"
"""Exists while flanneld and docker have not yet picked up what was written for them; a reboot
deletes it, since they pick it up then."""
FORWARD_UNIT = "/etc/systemd/system/fedwiz-forward.service"
OPTIONS_FILE = "/run/flannel/docker"
WORD = "$DOCKER_NETWORK_OPTIONS"
SCRIPT_SECONDS = 355
"""Seconds that a script which starts flanneld may take, not counting the wait for flanneld."""

DOCKER_BOOT_SECONDS = 45
"""Seconds that docker gets after flanneld at boot."""

CHAINS = ("DOCKER-USER", "FORWARD")
"""Chains in which pods can be accepted: the first one that exists is used."""


@step("docker", "Have docker take flannel's options")
def docker(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """A drop-in if docker's unit would ignore the options, and the setting that docker 28 needs."""
    facts = known.hosts[host.name]
    if not facts.unit("docker.service").there:
        return
    text = _drop_in(answers, facts)
    if text:
        drop_in_actions = list(put_file(facts, DOCKER_DROP_IN, text))
        yield from drop_in_actions
        if drop_in_actions:
            yield change("systemctl", "daemon-reload")
    if docker_knows_direct_routing(facts.docker_version):
        yield from _direct_routing(facts)


def _drop_in(answers: Answers, facts: Facts) -> str:
    """What docker's unit needs in addition to its own text; empty: nothing."""
    base = without(facts.docker_unit, DOCKER_DROP_IN)
    lines = []
    # The package brings a drop-in that reads the file; a flanneld without a package has none.
    if answers.flannel.source == "binary" and OPTIONS_FILE not in base:
        lines.append(f"EnvironmentFile=-{OPTIONS_FILE}")
    starts = [line for line in re.findall(r"^ExecStart=(.*)$", base, re.MULTILINE) if line]
    if starts and "DOCKER_NETWORK_OPTIONS" not in starts[-1]:
        lines += ["ExecStart=", f"ExecStart={starts[-1]} {WORD}"]
    if docker_drops_routed(facts.docker_version) and not docker_knows_direct_routing(
        facts.docker_version
    ):
        lines.append("Environment=DOCKER_INSECURE_NO_IPTABLES_RAW=1")
    return "# Written by fedwiz.\n[Service]\n" + "\n".join(lines) + "\n" if lines else ""


def without(unit_text: str, path: str) -> str:
    """The output of `systemctl cat` without one of its files; each begins with `# PATH`."""
    parts = re.split(r"^(?=# /)", unit_text, flags=re.MULTILINE)
    return "".join(part for part in parts if part.partition("\n")[0] != f"# {path}")


def _direct_routing(facts: Facts) -> Iterator[Run]:
    """Docker 28.2 and later drops, per container, packets that do not arrive through docker0.

    Source: moby/moby#49792; `allow-direct-routing` removes those rules.
    """
    there = facts.files.get(DAEMON_JSON)
    text = direct_routing(there)
    if text is not None:  # else a check reports it: an unreadable file is never overwritten
        yield from put_file(facts, DAEMON_JSON, text, there.mode if there else 0o644)


def direct_routing(current: File | None) -> str | None:
    """Docker's daemon.json with the setting; None: it already has it, or can't be read."""
    try:
        (current.text if current else "").encode()  # non-UTF-8 bytes could not be written back
        settings = json.loads(current.text) if current and current.text.strip() else {}
        if not isinstance(settings, dict) or settings.get("allow-direct-routing") is True:
            return None
        new_settings = {**settings, "allow-direct-routing": True}
        # Escapes may stand for something that is no character, such as `\ud800`; keep them escaped.
        escaped = current is not None and "\\u" in current.text
        return json.dumps(new_settings, indent=4, ensure_ascii=escaped) + "\n"
    except (ValueError, RecursionError):
        return None


@step("forward", "Let pods through to other nodes, also after a reboot")
def forward(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """A unit that starts with docker and accepts the network's own packets first.

    docker sets FORWARD's policy to DROP, and flannel before 0.9.1 adds no rules; docker 28 drops
    routed packets before flannel's rules apply; an earlier REJECT rule wins too.
    """
    facts = known.hosts[host.name]
    version = next_version(answers, host.name, known)
    exists = FORWARD_UNIT in facts.files
    rules_disabled = any(
        it.lstrip("-") == "iptables-forward-rules=false" for it in answers.flannel.options
    )
    needed = needs_forward(version, facts.docker_version) or rules_disabled or _refused_early(facts)
    if not (exists or needed):
        return
    unit_actions = list(put_file(facts, FORWARD_UNIT, forward_unit(answers.network.cidr)))
    unit_state = facts.unit("fedwiz-forward.service")
    if unit_actions and unit_state.running:
        # Stopping it deletes its own rule; after the reload that would be the new network's rule.
        yield change(
            "systemctl",
            "stop",
            "fedwiz-forward.service",
            undo="systemctl start fedwiz-forward.service",
        )
    yield from unit_actions
    if unit_actions:
        yield change("systemctl", "daemon-reload")
    if unit_state.enabled != "enabled":
        yield change(
            "systemctl",
            "enable",
            "fedwiz-forward.service",
            undo="systemctl disable fedwiz-forward.service",
        )
    if unit_actions or not unit_state.running or not _accepted(facts, answers.network.cidr):
        yield change(
            "systemctl",
            "restart",
            "fedwiz-forward.service",
            undo="systemctl stop fedwiz-forward.service",
        )


def _refused_early(facts: Facts) -> bool:
    return any(
        re.match(r"-A FORWARD .*-j (REJECT|DROP)\b", rule) for rule in facts.rules.get("filter", ())
    )


def _accepted(facts: Facts, cidr: str) -> bool:
    addresses = f"-s {re.escape(cidr)} -d {re.escape(cidr)}"
    rule_pattern = re.compile(rf"-A ({'|'.join(CHAINS)}) {addresses} .*ACCEPT")
    return any(rule_pattern.match(rule) for rule in facts.rules.get("filter", ()))


def forward_unit(cidr: str) -> str:
    """The text of the unit.

    The rule goes into DOCKER-USER, which docker evaluates first, or else into FORWARD. It is
    checked every 5 seconds, as flannel does with its own rules, because a firewalld reload removes
    it. The unit is part of docker's, so it starts as soon as docker does.
    """
    rule = f"-s {cidr} -d {cidr} -j ACCEPT"
    tries = (
        f"iptables -w -{operation} {chain} {rule}" for chain in CHAINS for operation in ("C", "I")
    )
    insert = "{ " + " || ".join(tries) + "; } 2>/dev/null"
    return f"""\
# Written by fedwiz.
[Unit]
Description=Let the pods of {cidr} reach each other across nodes
After=docker.service flanneld.service firewalld.service
PartOf=docker.service

[Service]
ExecStartPre=/bin/sh -c '{insert}'
ExecStart=/bin/sh -c 'while sleep 5; do {insert}; done'
ExecStopPost=-/bin/sh -c 'for c in {" ".join(CHAINS)}; do iptables -w -D $$c {rule}; done'
Restart=always

[Install]
WantedBy=multi-user.target docker.service
"""


@step("enable", "Start flanneld at each boot")
def enable(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """`systemctl enable`."""
    if known.hosts[host.name].unit("flanneld.service").enabled != "enabled":
        yield change(
            "systemctl", "enable", "flanneld.service", undo="systemctl disable flanneld.service"
        )


RESTART_AFTER: tuple[Step, ...] = (package, sysconfig, unit, docker)
"""Steps after which flanneld and docker must be restarted."""


def _needs_restart(answers: Answers, host: Host, known: ClusterFacts) -> bool:
    return any(True for before in RESTART_AFTER for _ in before.left(answers, host, known))


@step("due", "Note that flanneld and docker must restart")
def due(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """Leave a mark before writing anything that a running flanneld or docker would not notice.

    If a run ended between the writing and the switch, the files would be right but the daemons
    would never have read them, and the next plan would be empty.
    """
    facts = known.hosts[host.name]
    if settled(answers, host, facts) and _needs_restart(answers, host, known):
        yield from put_file(facts, DUE, "", 0o600)


@step("switch", "Start flanneld and move docker to its subnet", cuts=True)
def switch(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """Stop docker, delete docker0, start flanneld, start docker; or reboot.

    One critical section, run as a unit on the node: docker is running at its end whatever happens,
    and a lost connection does not interrupt it.
    """
    facts = known.hosts[host.name]
    rewritten = any(True for _ in config.left(answers, answers.master, known))
    if settled(answers, host, facts) and not rewritten and not _needs_restart(answers, host, known):
        return
    docker_runs, ready = facts.unit("docker.service").running, answers.docker.ready_within
    undo = "disable flanneld, then the same way back: stop docker, delete docker0, start docker"
    if answers.docker.switch == "reboot":
        back = run_script(
            "switch", "--back", answers.network.cidr, *_docker_before_reboot(facts), timeout=400
        )
        # If nobody can log in after the boot, this waits for the host to revert the step.
        yield change(
            "systemctl",
            "reboot",
            reboots=True,
            interrupts=docker_runs,
            timeout=900 + answers.ssh.confirm_within,
            undo="disable flanneld and reboot",
            back=back,
        )
        yield run_script(
            "settle",
            "docker" if docker_runs else "alone",
            str(ready + DOCKER_BOOT_SECONDS),
            unit="fedwiz-settle",
            timeout=SCRIPT_SECONDS + ready,
        )
        return
    stale = [link.name for link in facts.flannel_links if not _reusable(answers, facts, host, link)]
    stale += [f"{route.to} via {route.via}" for route in _stale_routes(answers, host, known)]
    back = run_script("switch", "--back", answers.network.cidr, timeout=400, interrupts=docker_runs)
    yield run_script(
        "switch",
        answers.network.cidr,
        str(ready),
        *stale,
        unit="fedwiz-switch",
        timeout=SCRIPT_SECONDS + ready,
        interrupts=docker_runs,
        undo=undo,
        back=back,
    )


def _docker_before_reboot(facts: Facts) -> Iterator[str]:
    """The state of docker that a boot loses, as arguments of `switch.sh --back`."""
    bridge = facts.link("docker0")
    yield bridge.addresses[0] if bridge is not None and bridge.addresses else "-"
    names = ("docker.service", "docker.socket", "kubelet.service")
    yield from (name for name in names if facts.unit(name).running)


def settled(answers: Answers, host: Host, facts: Facts) -> bool:
    """Whether flanneld runs on the right network, and docker, if it runs, on its subnet.

    A device that does not match this network has yet to be replaced: its flanneld still runs with
    the old config from etcd.
    """
    env: Mapping[str, Any] = facts.subnet_env or {}
    net, subnet = answers.network, str(env.get("FLANNEL_SUBNET", ""))
    if DUE in facts.files or facts.unit("flanneld.service").active != "active":
        return False
    if not _subnet_fits(answers, facts):
        return False
    if env.get("FLANNEL_NETWORK", net.cidr) != net.cidr:
        return False
    device = answers.backend.backend.device(answers.backend.options)
    if device and facts.link(device) is None:
        return False
    if not all(_reusable(answers, facts, host, link) for link in facts.flannel_links):
        return False
    docker0 = facts.link("docker0")
    if not facts.unit("docker.service").running:
        return True
    return docker0 is not None and subnet in docker0.addresses


def _subnet_fits(answers: Answers, facts: Facts) -> bool:
    subnet, net = (facts.subnet_env or {}).get("FLANNEL_SUBNET", ""), answers.network
    return within(subnet, net.cidr) and subnet.endswith(f"/{net.subnet_len}")


def _reusable(answers: Answers, facts: Facts, host: Host, link: Link) -> bool:
    """Whether flannel can go on using an existing device of its own.

    It does not correct the device's MTU, and an address of another subnet would stay beside the new
    one.
    """
    backend, options = answers.backend.backend, answers.backend.options
    uplink, port = facts.uplink(host.interface), options.get("port", 0) or KERNEL_VXLAN_PORT
    return (
        link.name == backend.device(options)
        and _subnet_fits(answers, facts)
        and len(link.addresses) == 1
        and within(link.addresses[0], answers.network.cidr)
        and (uplink is None or link.mtu == backend.mtu(uplink.mtu, options))
        and (backend.name != "vxlan" or link.port in (None, port))
    )


def _stale_routes(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Route]:
    """Routes to peers' subnets that flannel created here earlier and would not create now.

    host-gw and direct routing leave theirs behind; a later flannel does not start if one of them
    diverts its own subnet (`Your routing table already contains the subnet`).
    """
    facts = known.hosts[host.name]
    cidr = answers.network.cidr
    old_cidr = str((facts.subnet_env or {}).get("FLANNEL_NETWORK", cidr))
    makes_routes = answers.backend.type == "host-gw" or bool(
        answers.backend.options.get("direct_routing")
    )
    stale = [
        route
        for route in facts.routes
        if route.via
        and not route.dev.startswith("flannel")
        and (not makes_routes if within(route.to, cidr) else within(route.to, old_cidr))
    ]
    if stale:  # only then, since finding the peers looks at every node
        peers = peer_addresses(answers, host, known)
        yield from (route for route in stale if route.via in peers)
