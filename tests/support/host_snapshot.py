"""A real host as it is: files, units, links, routes, rules, sysctls and packages."""

import difflib
import filecmp
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from tests.lab.fixture import Lab

PLACES = (
    "/etc /usr/local /usr/lib/systemd /usr/lib/tmpfiles.d /usr/libexec /usr/bin /var/lib/fedwiz "
    "/run/fedwiz /run/flannel"
)
FIND = f"find {PLACES} -xdev"

ASKED: Mapping[str, str] = MappingProxyType(
    {
        "files": f"{FIND} ! -type d -printf '%p %M %u:%g %l\\n' 2>/dev/null | sort",
        "folders": f"{FIND} -type d -printf '%p %M %u:%g\\n' 2>/dev/null | sort",
        "texts": "find /run/fedwiz /run/flannel -type f -print0 2>/dev/null | sort -z | "
        "xargs -0r sha256sum",
        # A session's scope that is about to end makes the columns wider.
        "unit files": "systemctl list-unit-files --no-legend --plain | grep -v scope | "
        "awk '{print $1, $2, $3}' | sort",
        "units": "systemctl list-units --state=active,failed,activating --no-legend --plain "
        "--type=service,socket | "
        "awk '{print $1, $2, $3}' | sort",
        "needs": "systemctl show -p "
        "Requires,Wants,After,DropInPaths,Environment,ExecStart docker | "
        "sed 's/start_time=.*//' | tr '= ' '\\n\\n' | sort",
        # Who makes docker0 and flannel's device makes up their MAC, each time; a bridge has timers.
        "links": "ip -o -d link show | sed -E 's/^[0-9]*: //; s/@if[0-9]*//; "
        "s/ bridge forward_delay .*//; /^(docker0|flannel)/ s/ether [0-9a-f:]+/ether MAC/' | "
        "grep -v '^veth' | sort",
        "addresses": "ip -o -4 addr show | sed 's/^[0-9]*: //' | sort",
        "routes": "ip -4 route show table main | sort",
        "rules": "for t in filter nat raw mangle; do iptables-save -t $t; done | grep -v '^#' | "
        "sed 's/\\[[0-9:]*\\]//'",
        "firewall": "{ systemctl -q is-active firewalld || ls /etc/firewalld/zones/*; } "
        "&>/dev/null || exit 0; "
        "for when in '' --permanent; do firewall-cmd $when --list-all-zones; done 2>&1",
        "sysctls": "sysctl -a 2>/dev/null | grep '^net\\.' | sort",
        "packages": "rpm -qa | sort",
    }
)

CHANGED = tuple(place.lstrip("/") for place in PLACES.split() if not place.startswith("/run/"))
"""Those of the places that are on the host's disk."""

NETWORK: Mapping[str, str] = MappingProxyType(
    {
        **{name: ASKED[name] for name in ("units", "addresses")},
        "rules": f"{ASKED['rules']} | sort",  # a docker that has restarted puts its own first
        # Not whether docker0 has a carrier, which it has for as long as there is a container.
        "links": "ip -o link show | sed -E 's/^[0-9]*: ([^:@]*).* mtu ([0-9]*) .*/\\1 \\2/' | "
        "grep -v '^veth' | sort",
        "routes": "ip -4 route show table all | sed 's/ linkdown//' | grep -v ' dev veth' | sort",
        "ways": "ip -4 neighbour show nud permanent | sort; bridge fdb show | grep ' dst ' | sort",
        "forwarding": "sysctl net.ipv4.ip_forward",
        "name": "hostname",
    }
)
"""What a fault in the network changes: a fifteenth of the cost of all that is asked."""

ALLOWED: Mapping[str, str] = MappingProxyType(
    {
        r"^[-+]net\.ipv[46]\.(conf|neigh)\.veth": "sysctls of containers' devices",
        r"^[-+]net\.ipv4\.tcp_(fastopen_key|.*mem)"
        r"|^[-+]net\.netfilter\.nf_conntrack_(count|expect)": "counters and keys of the "
        "kernel's own",
        r"^[-+]fedwiz-[\w-]+\.service loaded "
        r"(failed|inactive)": "units of fedwiz's own that have ended",
        r"^[-+](systemd-tmpfiles|dnf|run-|user|session"
        r"|systemd-hostnamed)[\w@.-]*\.(service|socket) |"
        r"^[-+]polkit\.service ": "what comes and goes by itself",
        r"^-(ldconfig|systemd-(journal-catalog-update|sysusers"
        r"|update-done))\.service ": "what runs at a host's first boot alone, where it "
        "has rebooted",
        r"^[-+](\S+ "
        r"+)?/etc/firewalld/zones/(public"
        r"|trusted)\.xml(\.old)?( |$)": "firewalld's own record of a zone that was "
        "changed, which says what it said before",
        r"^[-+]\S+ +/etc/(ld\.so\.cache|dnf)|^[-+]/etc/ld\.so\.cache": "the linker's cache",
        r"^[-+]\S+ +/etc/passwd-$": "what usermod keeps of a file that has its own lines again",
    }
)
"""What may differ after the way back, and why."""


Snapshots: TypeAlias = Mapping[str, Mapping[str, list[str]]]
"""By host and question."""


def snapshot(lab: Lab, host: str, asked: Mapping[str, str] = ASKED) -> dict[str, list[str]]:
    """What each question says, as lines."""
    said = {name: lab.ssh(host, ask, check=False).splitlines() for name, ask in asked.items()}
    if "texts" in said:
        said["texts"] += texts(lab, host)
    return said


def texts(lab: Lab, host: str) -> Iterator[str]:
    """Digests of the files that are others than in the root file system all hosts stand on.

    To read what a host has written costs a hundredth of reading all its programs.
    """
    its = lab.state.host(host)
    upper, layers = lab.state.home(its) / "upper", lab.state.lower
    for place in CHANGED:
        for folder, folders, names in os.walk(upper / place):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                inside = path.relative_to(upper)
                with suppress(FileNotFoundError):  # it has gone meanwhile
                    if path.is_symlink() or not path.is_file() or _below(path, inside, layers):
                        continue
                    yield f"{hashlib.sha256(path.read_bytes()).hexdigest()}  /{inside}"


def _below(path: Path, inside: Path, layers: list[str]) -> bool:
    """Whether the file says what it says without the host's own layer."""
    below = next((it for layer in layers if os.path.lexists(it := Path(layer, inside))), None)
    return below is not None and below.is_file() and filecmp.cmp(path, below, shallow=False)


def snapshots(lab: Lab, asked: Mapping[str, str] = ASKED) -> Snapshots:
    """Those of all hosts."""
    return {host: snapshot(lab, host, asked) for host in lab.hosts}


def as_they_were(
    lab: Lab, before: Snapshots, *hosts: str, asked: Mapping[str, str] = ASKED
) -> None:
    """These hosts, or all of them, are as they were."""
    wrong = [
        f"{host}: {line}"
        for host in hosts or lab.hosts
        for line in differs(before[host], snapshot(lab, host, asked))
    ]
    assert not wrong, "\n".join(wrong)


@contextmanager
def unchanged(lab: Lab, asked: Mapping[str, str] = NETWORK, *hosts: str) -> Iterator[None]:
    """Once that has ended these hosts, or all, are as they were: the cluster serves others."""
    before = {host: snapshot(lab, host, asked) for host in hosts or lab.hosts}
    yield
    as_they_were(lab, before, *before, asked=asked)


def differs(was: Mapping[str, list[str]], now: Mapping[str, list[str]]) -> Iterator[str]:
    """Lines that differ and may not, as `WHAT: -line` or `WHAT: +line`; the others are printed."""
    for what, lines in was.items():
        for line in difflib.unified_diff(lines, now[what], lineterm="", n=0):
            if line.startswith(("---", "+++", "@@")):
                continue
            why = next((why for odd, why in ALLOWED.items() if re.search(odd, line)), "")
            if why:
                sys.stdout.write(f"may differ ({why}): {line[:120]}\n")
            else:
                yield f"{what}: {line[:300]}"
