"""What is so on the hosts, as it was read: frozen values, no wishes in them.

`script` asks a host everything in one round trip; `read` makes `Facts` of what it said.
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
