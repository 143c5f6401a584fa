"""Causes that drop packets on a node: forwarding, rules, firewalls."""

from collections.abc import Iterator

from fedwiz.diagnose.cause import mend
from fedwiz.diagnose.values import Case, Diagnosis, Mend


def sysctl(host: str, name: str, value: str, was: str) -> Mend:
    """Set a kernel setting, until the next boot."""
    return mend(host, ("sysctl", "-w", f"{name}={value}"), ("sysctl", "-w", f"{name}={was}"))


def ip_forward(case: Case) -> Iterator[Diagnosis]:
    """The kernel of a node passes no packets on."""
    name = "net.ipv4.ip_forward"
    for host in case.ends:
        if case.facts(host).sysctls.get(name) != "0":
            continue
        yield Diagnosis(
            "ip-forward",
            host,
            f"{host} does not pass packets on between its interfaces",
            f"{name} = 0",
            f"`sysctl -w {name}=1` on {host}; docker sets it when it starts, so see what unset it",
            (sysctl(host, name, "1", "0"),),
            explains=case.lost_at("routing", "routing-in", host=host),
        )
