"""Steps that put docker on flannel's subnet, and let its containers be reached."""

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
"""There while flanneld and docker have not taken what was written for them; gone at a reboot,
which has them take it."""
FORWARD_UNIT = "/etc/systemd/system/fedwiz-forward.service"
OPTIONS_FILE = "/run/flannel/docker"
WORD = "$DOCKER_NETWORK_OPTIONS"
SCRIPT_SECONDS = 355
"""Seconds that a script which starts flanneld may take besides waiting for it."""

DOCKER_BOOT_SECONDS = 45
"""Seconds that docker gets after flanneld at a boot."""

CHAINS = ("DOCKER-USER", "FORWARD")
"""Where pods may be let through: the first of them that is there."""


@step("docker", "Have docker take flannel's options")
def docker(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """A drop-in where docker's unit would not heed them, and the key that docker 28 wants."""
    facts = known.hosts[host.name]
    if not facts.unit("docker.service").there:
        return
    text = _drop_in(answers, facts)
    if text:
        written = list(put_file(facts, DOCKER_DROP_IN, text))
        yield from written
        if written:
            yield change("systemctl", "daemon-reload")
    if docker_knows_direct_routing(facts.docker_version):
        yield from _direct_routing(facts)


def _drop_in(answers: Answers, facts: Facts) -> str:
    """What docker's unit needs beside what it says by itself; empty: nothing."""
    base = without(facts.docker_unit, DOCKER_DROP_IN)
    lines = []
    # The package brings a drop-in that reads the file; a flanneld without package has none.
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
    """`systemctl cat`'s text but for one of its files; each begins with `# PATH`."""
    parts = re.split(r"^(?=# /)", unit_text, flags=re.MULTILINE)
    return "".join(part for part in parts if part.partition("\n")[0] != f"# {path}")


def _direct_routing(facts: Facts) -> Iterator[Run]:
    """Docker 28.2 and later drops, per container, what does not come in by docker0.

    Source: moby/moby#49792; `allow-direct-routing` takes those rules away.
    """
    there = facts.files.get(DAEMON_JSON)
    text = direct_routing(there)
    if text is not None:  # else a check says so: nothing is written over a file that can't be read
        yield from put_file(facts, DAEMON_JSON, text, there.mode if there else 0o644)


def direct_routing(there: File | None) -> str | None:
    """Docker's daemon.json with the key; None: it has it already, or can't be read."""
    try:
        (there.text if there else "").encode()  # bytes that are no UTF-8 can't be written back
        said = json.loads(there.text) if there and there.text.strip() else {}
        if not isinstance(said, dict) or said.get("allow-direct-routing") is True:
            return None
        wanted = {**said, "allow-direct-routing": True}
        # What is written by its number there may be no character, such as `\ud800`.
        numbers = there is not None and "\\u" in there.text
        return json.dumps(wanted, indent=4, ensure_ascii=numbers) + "\n"
    except (ValueError, RecursionError):
        return None


@step("forward", "Let pods through to other nodes, also after a reboot")
def forward(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """A unit that comes with docker and accepts the network's own packets first.

    docker sets FORWARD's policy to DROP, and flannel before 0.9.1 adds no rules; docker 28
    drops routed packets before flannel's rules are asked; a REJECT that stands before them
    wins too.
    """
    facts = known.hosts[host.name]
    version = next_version(answers, host.name, known)
    there = FORWARD_UNIT in facts.files
    mute = any(it.lstrip("-") == "iptables-forward-rules=false" for it in answers.flannel.options)
    wanted = needs_forward(version, facts.docker_version) or mute or _refused_early(facts)
    if not (there or wanted):
        return
    written = list(put_file(facts, FORWARD_UNIT, forward_unit(answers.network.cidr)))
    now = facts.unit("fedwiz-forward.service")
    if written and now.running:
        # It takes its own rule away, which after the reload would be another network's.
        yield change(
            "systemctl",
            "stop",
            "fedwiz-forward.service",
            undo="systemctl start fedwiz-forward.service",
        )
    yield from written
    if written:
        yield change("systemctl", "daemon-reload")
    if now.enabled != "enabled":
        yield change(
            "systemctl",
            "enable",
            "fedwiz-forward.service",
            undo="systemctl disable fedwiz-forward.service",
        )
    if written or not now.running or not _accepted(facts, answers.network.cidr):
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
    both = f"-s {re.escape(cidr)} -d {re.escape(cidr)}"
    wanted = re.compile(rf"-A ({'|'.join(CHAINS)}) {both} .*ACCEPT")
    return any(wanted.match(rule) for rule in facts.rules.get("filter", ()))


def forward_unit(cidr: str) -> str:
    """The unit's text.

    The rule stands in DOCKER-USER, which docker asks first, or else in FORWARD.  It is looked
    after every 5 seconds, as flannel looks after its own: a reload of firewalld takes it away.
    Part of docker, so that it is there as soon as docker is.
    """
    rule = f"-s {cidr} -d {cidr} -j ACCEPT"
    tries = (f"iptables -w -{do} {chain} {rule}" for chain in CHAINS for do in ("C", "I"))
    keep = "{ " + " || ".join(tries) + "; } 2>/dev/null"
    return f"""\
# Written by fedwiz.
[Unit]
Description=Let the pods of {cidr} reach each other across nodes
After=docker.service flanneld.service firewalld.service
PartOf=docker.service

[Service]
ExecStartPre=/bin/sh -c '{keep}'
ExecStart=/bin/sh -c 'while sleep 5; do {keep}; done'
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
"""Steps after which flanneld and docker have to start anew."""


def _renewed(answers: Answers, host: Host, known: ClusterFacts) -> bool:
    return any(True for before in RESTART_AFTER for _ in before.left(answers, host, known))


@step("due", "Note that flanneld and docker must start anew")
def due(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """Before anything is written that a running flanneld or docker would not see.

    A run that ends between the writing and the switch would leave files that are right and
    daemons that never read them, and the next plan would be empty.
    """
    facts = known.hosts[host.name]
    if settled(answers, host, facts) and _renewed(answers, host, known):
        yield from put_file(facts, DUE, "", 0o600)


@step("switch", "Start flanneld and move docker to its subnet", cuts=True)
def switch(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """Stop docker, delete docker0, start flanneld, start docker; or reboot.

    One critical section, as a unit on the node: it ends with docker running whatever
    happens, and a lost connection does not cut it in half.
    """
    facts = known.hosts[host.name]
    rewritten = any(True for _ in config.left(answers, answers.master, known))
    if settled(answers, host, facts) and not rewritten and not _renewed(answers, host, known):
        return
    stops, ready = facts.unit("docker.service").running, answers.docker.ready_within
    undo = "disable flanneld, then the same way back: stop docker, delete docker0, start docker"
    if answers.docker.switch == "reboot":
        back = run_script("switch", "--back", answers.network.cidr, *_ran(facts), timeout=400)
        # Where nobody gets in after the boot, it is the way back that is waited for.
        yield change(
            "systemctl",
            "reboot",
            reboots=True,
            interrupts=stops,
            timeout=900 + answers.ssh.confirm_within,
            undo="disable flanneld and reboot",
            back=back,
        )
        yield run_script(
            "settle",
            "docker" if stops else "alone",
            str(ready + DOCKER_BOOT_SECONDS),
            unit="fedwiz-settle",
            timeout=SCRIPT_SECONDS + ready,
        )
        return
    stale = [link.name for link in facts.flannel_links if not _fits(answers, facts, host, link)]
    stale += [f"{route.to} via {route.via}" for route in _stale_routes(answers, host, known)]
    back = run_script("switch", "--back", answers.network.cidr, timeout=400, interrupts=stops)
    yield run_script(
        "switch",
        answers.network.cidr,
        str(ready),
        *stale,
        unit="fedwiz-switch",
        timeout=SCRIPT_SECONDS + ready,
        interrupts=stops,
        undo=undo,
        back=back,
    )


def _ran(facts: Facts) -> Iterator[str]:
    """What a boot forgets of docker, in the words of `switch.sh --back`."""
    bridge = facts.link("docker0")
    yield bridge.addresses[0] if bridge is not None and bridge.addresses else "-"
    names = ("docker.service", "docker.socket", "kubelet.service")
    yield from (name for name in names if facts.unit(name).running)


def settled(answers: Answers, host: Host, facts: Facts) -> bool:
    """Whether flanneld runs on the wanted network, and docker, if it runs, on its subnet.

    A device that is not as this network has it is one that flanneld has yet to give up: it
    runs on what etcd said before.
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
    if not all(_fits(answers, facts, host, link) for link in facts.flannel_links):
        return False
    docker0 = facts.link("docker0")
    if not facts.unit("docker.service").running:
        return True
    return docker0 is not None and subnet in docker0.addresses


def _subnet_fits(answers: Answers, facts: Facts) -> bool:
    subnet, net = (facts.subnet_env or {}).get("FLANNEL_SUBNET", ""), answers.network
    return within(subnet, net.cidr) and subnet.endswith(f"/{net.subnet_len}")


def _fits(answers: Answers, facts: Facts, host: Host, link: Link) -> bool:
    """A flannel device of before that flannel can go on with.

    It does not mend its MTU, and another subnet's address would stay beside the new one's.
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
    """Routes to peers' subnets that flannel made here and would not make now.

    host-gw and direct routing leave theirs; a later flannel does not start where one leads its
    own subnet away (`Your routing table already contains the subnet`).
    """
    facts = known.hosts[host.name]
    cidr = answers.network.cidr
    was = str((facts.subnet_env or {}).get("FLANNEL_NETWORK", cidr))
    routed = answers.backend.type == "host-gw" or bool(
        answers.backend.options.get("direct_routing")
    )
    stale = [
        route
        for route in facts.routes
        if route.via
        and not route.dev.startswith("flannel")
        and (not routed if within(route.to, cidr) else within(route.to, was))
    ]
    if stale:  # who the peers are takes a look at every node
        peers = peer_addresses(answers, host, known)
        yield from (route for route in stale if route.via in peers)
