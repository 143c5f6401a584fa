"""Model of scripts/trace.sh."""

import base64
import re
from collections.abc import Iterator

from fedwiz.practice.call import Call
from fedwiz.practice.flanneld import FLANNELD_UNIT
from fedwiz.practice.machine import Machine

TABLES = ("raw", "mangle", "security")
"""In the order of the script's arguments."""

COUNTED_RULE = re.compile(r"^\*|^:[^ ]+ (DROP|ACCEPT) |-j (DROP|REJECT)( |$)")
STATS = "Ip: Forwarding DefaultTTL\nIp: 1 64\nIpExt: InNoRoutes\nIpExt: 0\n"
POLICY = """\
0:\tfrom all lookup local
32766:\tfrom all lookup main
32767:\tfrom all lookup default
"""


async def trace(call: Call) -> int:
    """See scripts/trace.sh."""
    do, name, *words = call.run.argv[4:]
    machine = call.machine
    await call.spend(0.3)
    if do == "on":
        parts = {**_moving(machine), **_looks(machine), "error": ""}
        for table, rules in zip(TABLES, words[1:], strict=True):
            for rule in rules.splitlines():
                _, chain, match = rule.split(" ", 2)
                machine.chains.insert(table, chain, match)
    else:
        lines = (line for table in TABLES for line in machine.chains.saved(table))
        own_lines = "\n".join(line for line in lines if f"--comment {name}:" in line)
        # iptables-save quotes comments that need it.
        quoted = re.sub(rf"--comment ({name}:\S+)", r'--comment "\1"', own_lines)
        parts = {"counts": quoted, **_moving(machine)}
        for table in TABLES:
            for chain, chain_rules in machine.chains.rules[table].items():
                for each in [rule for rule in chain_rules if f"--comment {name}:" in rule]:
                    machine.chains.delete(table, chain, each)
    for key, text in parts.items():
        call.write(f"{key} {base64.b64encode(text.encode()).decode()}")
    call.write("end ")
    return 0


def _moving(machine: Machine) -> dict[str, str]:
    lines = list[str]()
    for table in ("filter", "raw", "mangle"):
        lines += [f"*{table}", *machine.chains.saved(table)]
    return {"rules": "\n".join(line for line in lines if COUNTED_RULE.search(line)), "stats": STATS}


def _looks(machine: Machine) -> dict[str, str]:
    unit = machine.unit(FLANNELD_UNIT)
    well = unit.active == "active"
    shown = {
        "ActiveState": unit.active,
        "SubState": "running" if well else "dead",
        "Result": "success",
        "ExecMainStatus": "0",
        "NRestarts": "0",
    }
    return {
        "flanneld": "".join(f"{key}={value}\n" for key, value in shown.items()),
        "log": "\n".join(machine.journal.get(FLANNELD_UNIT, ())[-40:]),
        "sysctls": "\n".join(_filters(machine)),
        "policy": POLICY,
        "routes": "".join(
            f"{it.to}{f' via {it.via}' if it.via else ''} dev {it.dev}\n" for it in machine.routes
        ),
        "nft": "",
    }


def _filters(machine: Machine) -> Iterator[str]:
    """The rp_filter of each interface, as printed by `sysctl -a -r`."""
    for name in ("all", "default", *machine.links):
        key = f"net.ipv4.conf.{name}.rp_filter"
        yield f"{key} = {machine.sysctls.get(key, '0')}"
