"""All that simulated hosts and their etcd remember, to be compared with what they did before."""

import copy
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from fedwiz.facts.before import BEFORE
from fedwiz.practice import Practice
from fedwiz.practice.machine import Machine

Image = dict[str, dict[str, Any]]
"""By host, and `etcd`: each part of what it remembers by name."""

COUNTED = ("pids", "journal", "spoil")
"""What only counts up, or is the test's own."""

PASSING = ("loaded", "peers", "boot_id")
"""What says how it came to be so, and is not kept."""

BRIDGED = "net.bridge.bridge-nf-call-iptables"


def image(machine: Machine) -> dict[str, Any]:
    """All of a machine, without what counts up and what docker makes up."""
    names = (it for it in machine.__dataclass_fields__ if it not in COUNTED)
    held: dict[str, Any] = {name: copy.deepcopy(getattr(machine, name)) for name in names}
    bridges = machine.sysctls.get(BRIDGED, "1")  # there with the module, and the kernel's own value
    held["sysctls"] = {key: value for key, value in machine.sysctls.items() if key != BRIDGED}
    held["sysctls"] |= {BRIDGED: bridges} if machine.modules["br_netfilter"] else {}
    held["files"] = {path: (it.text, it.mode, it.hash()) for path, it in machine.files.items()}
    held["links"] = {
        name: replace(link, mac="" if name == "docker0" else link.mac)
        for name, link in machine.links.items()
    }
    held["routes"] = sorted(map(str, machine.routes))
    held["units"] = {
        name: (machine.unit(name).active, machine.unit(name).enabled)
        for name in machine.units
        if machine.unit(name).there
    }
    held["chains"] = {
        table: {name: list(rules) for name, rules in chains.items() if name != "DOCKER-USER"}
        for table, chains in machine.chains.rules.items()
    }
    held["user"] = list(machine.chains.rules["filter"].get("DOCKER-USER", []))
    held["policy"] = machine.chains.policy("filter", "FORWARD")
    held["containers"] = [(it.name, it.address) for it in machine.containers]
    return held


def images(practice: Practice) -> Image:
    """All of them as they are."""
    found = {name: image(machine) for name, machine in practice.cluster.machines.items()}
    keys = practice.cluster.keys.stored
    return found | {
        "etcd": {api: {k: v.text for k, v in held.items()} for api, held in keys.items()}
    }


def same(before: Image, now: Image, but: Collection[str] = PASSING) -> None:
    """Holds that they are as they were, those parts aside."""
    for name, was in before.items():
        for what in was.keys() - set(but):
            assert now[name].get(what) == was[what], f"{name}: {what}"


def alike(practice: Practice) -> Image:
    """The same for hosts that two runs came to, each in its own way.

    A node's subnet, of which it takes any, and its MAC address go by its name.
    """
    names = {}
    for node in practice.cluster.nodes():
        if node.daemon is not None:
            names[node.daemon.subnet.rpartition(".")[0] + "."] = f"subnet of {node.name}."
            names[node.links[node.daemon.device].mac] = f"MAC address of {node.name}"

    def by_name(part: object) -> str:
        text = repr(part)
        for old, new in names.items():
            text = text.replace(old, new)
        return text

    found = images(practice)
    for name in practice.cluster.machines:
        _settle(found[name])
    return {
        name: {key: sorted(map(by_name, _parts(value))) for key, value in held.items()}
        for name, held in found.items()
    }


def _settle(held: dict[str, Any]) -> None:
    """Take out of an image what depends on when something was done."""
    for path, (text, mode, _) in held["files"].items():
        lines = text.splitlines(keepends=True)
        if path == f"{BEFORE}/names":  # its last line is the time
            del lines[-1:]
        # Which of the two pairs of names the package reads is known once it is there.
        two = ("FLANNEL_ETCD=", "FLANNEL_ETCD_KEY=")
        held["files"][path] = "".join(it for it in lines if not it.startswith(two)), mode
    del held["containers"]  # those of a verification have numbers


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return value.items()
    return value if isinstance(value, list) else (value,)
