"""The state of the hosts as read: frozen values, nothing about what the operator wants.

`script` asks a host for everything in one round trip; `read` turns its output into `Facts`.
"""

from fedwiz.facts.probes import read, script
from fedwiz.facts.values import (
    Backup,
    ClusterFacts,
    Endpoint,
    Facts,
    Fdb,
    File,
    Firewall,
    KubeNode,
    Link,
    Neighbour,
    Route,
    Stored,
    Tried,
    Unit,
    version,
)

__all__ = [
    "Backup",
    "ClusterFacts",
    "Endpoint",
    "Facts",
    "Fdb",
    "File",
    "Firewall",
    "KubeNode",
    "Link",
    "Neighbour",
    "Route",
    "Stored",
    "Tried",
    "Unit",
    "read",
    "script",
    "version",
]
