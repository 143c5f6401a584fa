"""Why can two nodes not reach each other?  Follow their packets and name the cause.

CAUSES run in order; the first one that explains why the pair does not ping is the answer.
"""

from fedwiz.diagnose.daemons import docker_astray, flanneld_down, flanneld_restarting
from fedwiz.diagnose.etcd import clock_skew, etcd_unreachable, other_api, other_prefix
from fedwiz.diagnose.leases import lease_missing, lease_taken, same_public_ip, wrong_interface
from fedwiz.diagnose.measure import measure
from fedwiz.diagnose.mtu import mtu
from fedwiz.diagnose.packets import (
    docker_direct_routing,
    docker_user,
    forward_policy,
    forward_rule,
    ip_forward,
    nat,
    rp_filter,
)
from fedwiz.diagnose.ports import lost_between, port_closed
from fedwiz.diagnose.routes import missing_fdb, missing_neighbour, missing_route
from fedwiz.diagnose.unexplained import no_container, unknown, unreachable
from fedwiz.diagnose.values import Case, Cause, Diagnosis, Fix
from fedwiz.diagnose.vtep import other_port, other_vni, stale_vtep_mac

CAUSES: tuple[Cause, ...] = (
    unreachable,
    etcd_unreachable,
    other_api,
    other_prefix,
    flanneld_down,
    flanneld_restarting,
    same_public_ip,
    lease_taken,
    lease_missing,
    wrong_interface,
    docker_astray,
    no_container,
    clock_skew,
    other_vni,
    other_port,
    stale_vtep_mac,
    ip_forward,
    missing_route,
    missing_neighbour,
    missing_fdb,
    rp_filter,
    docker_direct_routing,
    docker_user,
    forward_rule,
    forward_policy,
    port_closed,
    lost_between,
    mtu,
    nat,
)
"""A cause that can be the reason for others stands before them."""


def causes(case: Case) -> tuple[Diagnosis, ...]:
    """Everything that is wrong, explanations of a lost ping first; empty: nothing is wrong."""
    found = [diagnosis for cause in CAUSES for diagnosis in cause(case)]
    found.sort(key=lambda it: not it.explains)
    if not case.pings and not any(it.explains for it in found):
        found.insert(0, unknown(case))
    return tuple(found)


__all__ = ["CAUSES", "Case", "Diagnosis", "Fix", "causes", "measure"]
