"""scripts/trace.sh, as a simulated host carries it out."""

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
        said = {**_moving(machine), **_looks(machine), "error": ""}
        for table, rules in zip(TABLES, words[1:], strict=True):
            for rule in rules.splitlines():
                _, chain, match = rule.split(" ", 2)
                machine.chains.insert(table, chain, match)
    else:
        lines = (line for table in TABLES for line in machine.chains.saved(table))
        mine = "\n".join(line for line in lines if f"--comment {name}:" in line)
        # As iptables-save has a comment that needs quotes.
        quoted = re.sub(rf"--comment ({name}:\S+)", r'--comment "\1"', mine)
        said = {"counts": quoted, **_moving(machine)}
        for table in TABLES:
            for chain, held in machine.chains.rules[table].items():
                for each in [rule for rule in held if f"--comment {name}:" in rule]:
                    machine.chains.delete(table, chain, each)
    for key, text in said.items():
        call.say(f"{key} {base64.b64encode(text.encode()).decode()}")
    call.say("end ")
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
    """Its interfaces' rp_filter, as `sysctl -a -r` prints it."""
    for name in ("all", "default", *machine.links):
        key = f"net.ipv4.conf.{name}.rp_filter"
        yield f"{key} = {machine.sysctls.get(key, '0')}"
