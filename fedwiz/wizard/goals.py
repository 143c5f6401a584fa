"""What the wizard can do, in its own words."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

What: TypeAlias = Literal["resume", "new", "file", "verify", "runs", "practice"]

GOALS: Mapping[What, tuple[str, str]] = MappingProxyType(
    {
        "new": ("New install", "From a scan of the network to containers that ping."),
        "file": ("Open an answer file", "Asks only what the file leaves open."),
        "verify": ("Verify a cluster", "Any cluster, also one that fedwiz never touched."),
        "runs": ("Earlier runs", "Look at one, or resume one that failed."),
        "practice": ("Practice cluster", "Simulated hosts: nothing real is touched."),
    }
)
"""Title and explanation of each. `resume` belongs to a run, so it is offered only where there is an
interrupted one."""

LEFT_ALONE = "Left alone, it stays in `fedwiz runs`."
"""What happens to a run that is not resumed."""
