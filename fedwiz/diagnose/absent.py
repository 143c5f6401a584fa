"""Causes that leave nothing to follow: a node that can't be asked, or that has no container."""

from collections.abc import Iterator

from fedwiz.diagnose.values import Case, Diagnosis


def unreachable(case: Case) -> Iterator[Diagnosis]:
    """A node can't be asked, so nobody knows what is wrong there."""
    for host in case.ends:
        if host in case.known.hosts:
            continue
        at = case.host(host).address
        yield Diagnosis(
            "unreachable",
            host,
            f"{host} could not be asked, so nobody knows what is wrong there",
            case.known.lost.get(host, "there is no connection to it"),
            f"see that {host} ({at}) is up and lets you in (`ssh {at}`), then diagnose again",
        )


def no_container(case: Case) -> Iterator[Diagnosis]:
    """A node could start no container, and nothing could stand in for one."""
    for host in case.ends:
        up = case.ups.get(host)
        if up is None or up.pod is not None:
            continue
        yield Diagnosis(
            "no-container",
            host,
            f"{host} could not start a container to ping from"
            + ("" if up.docker else ": docker does not run there"),
            up.error,
            f"`systemctl restart docker` on {host}, and see `journalctl -u docker` there",
        )
