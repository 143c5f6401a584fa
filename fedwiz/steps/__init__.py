"""STEPS: the whole install, read from top to bottom.

A step yields only what remains to be done, and nothing if the host is already right. So the plan is
the dry run, and running again resumes.
"""

from fedwiz.steps.backup import keep, keep_store
from fedwiz.steps.docker import docker, due, enable, forward, switch
from fedwiz.steps.flannel import config, package, sysconfig, unit
from fedwiz.steps.host import firewall, kernel, link, networkmanager
from fedwiz.steps.peers import peers
from fedwiz.steps.table import GATES, STAGES, Stage, Step
from fedwiz.steps.undo import UNDO_STAGES, UNDO_STEPS

STEPS: tuple[Step, ...] = (
    keep_store,
    config,
    keep,
    kernel,
    link,
    networkmanager,
    firewall,
    due,
    package,
    sysconfig,
    unit,
    docker,
    forward,
    enable,
    switch,
    peers,
)

__all__ = ["GATES", "STAGES", "STEPS", "UNDO_STAGES", "UNDO_STEPS", "Stage", "Step"]
