"""CHECKS: everything that is checked before a change is made, in the order of the report.

Pure functions of the answers and the facts. All of them always run, and each reports something,
even if only that it could not judge.
"""

from collections.abc import Collection
from dataclasses import replace

from fedwiz.answers.file import Answers
from fedwiz.checks.docker import (
    docker_options,
    docker_versions,
    forwarding,
    interrupts,
    iptables,
)
from fedwiz.checks.etcd import etcd_api, etcd_config, etcd_reachable, etcd_store, leases
from fedwiz.checks.finding import Check, Finding
from fedwiz.checks.flanneld import (
    backend_kernel,
    flannel_options,
    flannel_package,
    flannel_version,
    leftovers,
)
from fedwiz.checks.hosts import (
    clock,
    disk,
    distinct_names,
    dnf_lock,
    in_flight,
    labels,
    network_manager,
    os,
    reachable,
    selinux,
    services,
)
from fedwiz.checks.ports import udp_port
from fedwiz.checks.ranges import (
    firewall,
    hypervisor,
    interface,
    mtu,
    network_capacity,
    network_overlap,
    network_public,
    same_link,
)
from fedwiz.facts.values import ClusterFacts

__all__ = ["CHECKS", "Check", "Finding", "judge"]

CHECKS: tuple[Check, ...] = (
    reachable,
    in_flight,
    os,
    distinct_names,
    services,
    labels,
    clock,
    disk,
    dnf_lock,
    network_public,
    network_overlap,
    network_capacity,
    interface,
    same_link,
    mtu,
    firewall,
    udp_port,
    hypervisor,
    etcd_reachable,
    etcd_api,
    etcd_store,
    etcd_config,
    leases,
    flannel_package,
    flannel_version,
    flannel_options,
    backend_kernel,
    leftovers,
    docker_options,
    docker_versions,
    iptables,
    forwarding,
    interrupts,
    selinux,
    network_manager,
)


def judge(
    answers: Answers, known: ClusterFacts, accepted: Collection[str] = ()
) -> tuple[Finding, ...]:
    """All findings of all checks, in the order of CHECKS.

    Args:
        answers: what the operator decided.
        known: the facts of the hosts and of etcd.
        accepted: names of checks whose failures are only warnings.
    """
    return tuple(
        replace(finding, level="warn")
        if finding.level == "block" and finding.check in accepted
        else finding
        for each in CHECKS
        for finding in each.findings(answers, known)
    )
