"""The commands that a verification runs on a node, and the parsers of their output.

Each node runs five commands, whatever the number of nodes: start a container; count incoming pings;
ping all others at once and, in parallel, find the largest packets that pass; report the counts and
remove everything. Counting begins before any node pings, so that no ping is missed. Whatever
happens in between, what was created on a node ends by itself.
"""

import asyncio
import base64
import binascii
import re
import secrets
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Interface
from itertools import chain

from fedwiz.facts import parse
from fedwiz.model.actions import Reply, Run, Session, UnreachableError
from fedwiz.scripts import question
from fedwiz.util.sanitize import sanitize
from fedwiz.verify.values import Path, Ping, Pod, Up

POD_SECONDS = 60
"""Seconds after which a container ends by itself.

The first container must outlive the slowest node's start, some 2 s, the counting (at most 10 s) and
the pings (at most 20 s): so a node may take half a minute longer than the others. If it takes more,
the verdicts say which containers are gone."""


class Asker:
    """Asks many nodes at once; an unreachable one is recorded as lost and not asked again."""

    def __init__(self, sessions: Mapping[str, Session], lost: dict[str, str]) -> None:
        """Ask nothing yet.

        Args:
            sessions: open sessions by host.
            lost: hosts not to ask, each with the reason; unreachable hosts are added.
        """
        self.sessions = sessions
        self.lost = lost

    async def ask(self, runs: Mapping[str, Run]) -> dict[str, Reply]:
        """Ask all of them; the replies by host."""
        replies: dict[str, Reply] = {}

        async def one(host: str, run: Run) -> None:
            try:
                replies[host] = await self.sessions[host].ask(run)
            except UnreachableError as why:
                self.lost.setdefault(host, str(why))

        async with asyncio.TaskGroup() as group:
            for host, run in runs.items():
                if host not in self.lost:
                    group.create_task(one(host, run), name=f"ask {host}")
        return replies


def new_name() -> str:
    """A unique name for this verification's container, image and timer."""
    return f"fedwiz-probe-{secrets.token_hex(4)}"


def up(name: str, image: str, stand_in: tuple[str, int] | None = None) -> Run:
    """Start a container, from the operator's image if the node has it.

    Args:
        name: for everything that is created.
        image: the operator's.
        stand_in: address and MTU of a bare namespace, for a node where docker is not running.
    """
    more = map(str, stand_in) if stand_in else ()
    return question("pod-up", name, image, str(POD_SECONDS), *more, timeout=55)


def count(pod: Pod, sources: Iterable[str]) -> Run:
    """Count incoming pings by source address."""
    return question("pod-count", str(pod.pid), pod.netns, *sources, timeout=10)


def ping(pod: Pod, targets: Iterable[str]) -> Run:
    """Ping all targets at once."""
    return question("pod-ping", str(pod.pid), pod.netns, *targets, timeout=20)


def sizes(pod: Pod, source: str, paths: Iterable[Path]) -> Run:
    """Find the largest packets that pass in one piece, on all paths at once.

    Args:
        pod: the container that sends them.
        source: the node's own address that flannel sends from, for packets to other nodes.
        paths: the targets, and how large the packets should be.
    """
    words = (
        (each.pod, str(each.size), each.public or "-", str(each.need if each.public else 0))
        for each in paths
    )
    return question(
        "pod-mtu", str(pod.pid), pod.netns, source or "-", *chain.from_iterable(words), timeout=20
    )


def down(name: str, pod: Pod | None) -> Run:
    """Report the counts, and remove the container, its image and its timer."""
    pid, netns = (str(pod.pid), pod.netns) if pod else ("0", "none")
    return question("pod-down", name, pid, netns, timeout=50)


def _decode(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
    except binascii.Error:
        raise ValueError("not base64") from None


def tidy(text: str) -> str:
    """Sanitized lines, for display on a terminal."""
    return "\n".join(line.rstrip() for line in map(sanitize, text.splitlines()) if line.strip())


def parts_of(output: str) -> dict[str, str]:
    """Parse output in lines of `KEY BASE64`, the last of which is `end`, by key.

    Raises:
        ValueError: it is truncated or malformed.
    """
    lines = (line.partition(" ") for line in output.splitlines())
    parts = {key: _decode(encoded) for key, _, encoded in lines}
    if "end" not in parts:
        raise ValueError("the answer is not whole")
    return parts


def read_up(output: str) -> Up:
    """Parse the output of `up`.

    Raises:
        ValueError: it is truncated or malformed.
    """
    parts = parts_of(output)
    if "docker" not in parts:
        raise ValueError("the answer is not whole")
    inet = "\n".join(line.strip() for line in tidy(parts.get("inet", "")).splitlines())
    docker = parts["docker"].strip() == "yes"
    if "error" in parts:
        return Up(inet, docker, error=" ".join(tidy(parts["error"]).split()) or "no reason given")
    return Up(inet, docker, _pod(parts))


def _pod(parts: Mapping[str, str]) -> Pod:
    """Source: `ip -json -details address` inside the container's network namespace."""
    pid, netns = parts.get("pid", ""), parts.get("netns", "")
    if not re.fullmatch(r"[1-9][0-9]{0,9}", pid) or not re.fullmatch(r"net:\[[0-9]+\]", netns):
        raise ValueError("no process of a container's")
    for link in parse.links(parts.get("links", ""))["links"]:
        if link.name != "lo" and link.addresses:
            return Pod(int(pid), netns, IPv4Interface(link.addresses[0]).ip, link.mtu)
    raise ValueError("the container has no IPv4 address")


def read_pings(output: str) -> dict[str, Ping | None]:
    """Parse the output of `ping`, by target; None if ping itself did not work.

    Raises:
        ValueError: it is truncated or malformed.
    """
    lines = output.splitlines()
    if lines[-1:] != ["end"]:
        raise ValueError("the answer is not whole")
    found: dict[str, Ping | None] = {}
    for line in lines[:-1]:
        words = line.split(" ")
        if len(words) != 3 or words[0] != "ping":
            raise ValueError("not a ping's answer")
        target = str(IPv4Address(words[1]))
        try:
            found[target] = read_ping(_decode(words[2]))
        except ValueError:
            found[target] = None
    return found


def read_sizes(output: str, paths: Iterable[Path]) -> dict[str, int]:
    """Parse the output of `sizes`: by address, the largest packet in bytes that passed; 0: none.

    Raises:
        ValueError: it is truncated, malformed, or not about these paths.
    """
    lines = output.splitlines()
    if lines[-1:] != ["end"]:
        raise ValueError("the answer is not whole")
    expected: dict[str, int] = {}
    for path in paths:
        expected |= {path.pod: path.size} | ({path.public: path.need} if path.public else {})
    found: dict[str, int] = {}
    for line in lines[:-1]:
        words = re.fullmatch(r"size ([0-9.]{7,15}) ([0-9]{1,5})", line)
        if not words or not int(words[2]) <= expected.get(words[1], -1):
            raise ValueError("not a size that was asked for")
        found[words[1]] = int(words[2])
    if found.keys() != expected.keys():
        raise ValueError("not all that was asked")
    return found


def read_ping(output: str) -> Ping:
    """Parse the output of one ping.

    Source: iputils (`3 packets transmitted, 3 received, ...`, `rtt min/avg/max/mdev = a/b/c/d ms`)
    and busybox (`3 packets received`, `round-trip min/avg/max = a/b/c ms`).

    Raises:
        ValueError: it has no figures.
    """
    sums = re.search(
        r"^(\d{1,6}) packets transmitted, (\d{1,6}) (?:packets )?received", output, re.MULTILINE
    )
    if not sums:
        raise ValueError("ping gave no figures")
    number = r"([0-9]{1,9}(?:\.[0-9]{1,6})?)"
    times = re.search(rf"min/avg/max(?:/mdev)? = {number}/{number}/{number}", output)
    rtt = "/".join(f"{float(part):.2f}" for part in times.groups()) if times else ""
    trouble = re.search(r"^(?:From |.*(?:[Uu]nreachable|sendto|exceeded)).*$", output, re.MULTILINE)
    note = sanitize(trouble.group()).strip()[:200] if trouble else ""
    return Ping(int(sums[1]), int(sums[2]), rtt, note)


def read_ended(output: str) -> bool:
    """Whether the container had ended by itself, from the output of `down`."""
    return "gone" in output.splitlines()


def read_counts(output: str) -> dict[str, int]:
    """The number of pings received from each address, from the output of `down`.

    Empty if the node could not count.  Source: `iptables-save -c`.

    Raises:
        ValueError: it is truncated.
    """
    if output.splitlines()[-1:] != ["end"]:
        raise ValueError("the answer is not whole")
    found: dict[str, int] = {}
    rule = r"^\[(\d{1,18}):\d{1,18}\] -A INPUT -s ([\d.]{7,15})(?:/32)? -p icmp\b"
    for packets, source in re.findall(rule, output, re.MULTILINE):
        found[str(IPv4Address(source))] = int(packets)
    return found
