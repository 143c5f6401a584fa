"""What comes from the operator's side; see tests/support/install_faults.py.

All signals at all stages are in `test_signals.py`, on simulated hosts; here is a sample.
"""

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.support.cli_process import Shell, Terminal, at_a_terminal, unread
from tests.support.install_faults import INSTALL, Do, Fault, Injected, Scene
from tests.support.lab_operator import Said

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

BOTH = ("fed-node1", "fed-node2")
SWITCH = r"fed-node2 +switch +stopping docker"
HEARD = "press again to quit now"
STOPPED = "stopped by the operator; the same command continues from here"
CLOSED = "closed by the operator; the same command continues from here"


def sent(number: signal.Signals) -> Do:
    """It comes to fedwiz."""

    def send(scene: Scene) -> None:
        assert scene.process is not None
        scene.process.send_signal(number)

    return send


def wizard(work: Callable[[Terminal], object], shows: str = "stopping docker") -> Do:
    """The wizard at a terminal: told to install what the answers say, and come to that point."""

    def at_work(scene: Scene) -> None:
        operator = scene.operator
        assert operator.fedwiz("check").code == 0  # so that the host keys are known
        with at_a_terminal(Shell(operator.home), "-a", str(operator.file)) as terminal:
            terminal.until("Nothing is changed before you")
            terminal.type("\x0e")
            terminal.until("Yes, ")
            terminal.type("\x1b[C\r")
            terminal.until(shows)
            work(terminal)

    return at_work


def killed(terminal: Terminal) -> None:
    terminal.running.kill()
    terminal.end()


def resized(terminal: Terminal) -> None:
    for width, height in ((1, 1), (500, 200), (1, 24), (80, 1), (80, 24)):
        terminal.resize(width, height)
    terminal.until("the network is verified")
    terminal.leave_wizard()


def stands_still(terminal: Terminal) -> None:
    terminal.resize(500, 200)  # there is more to show now than it takes
    assert unread(terminal.running, terminal.home) == 0
    terminal.resize(80, 24)
    terminal.until("the network is verified")
    terminal.leave_wizard()


def impatient(scene: Scene) -> None:
    scene.operator.answers["ssh"]["confirm_within"] = 20


def taken_back(scene: Scene, _said: Said) -> Iterator[str]:
    if "172.17.0.1/16" not in (shown := scene.ssh("ip -4 -o address show dev docker0")):
        yield f"the switch was not taken back: {shown}"


ROWS = {
    "fedwiz is killed, and nobody comes": Fault(
        where="in fed-node2's switch, which waits 20 s for a confirmation",
        inject=impatient,
        during=((SWITCH, sent(signal.SIGKILL)),),
        red=BOTH,
        code=-signal.SIGKILL,
        says=(),
        also=taken_back,
        again=("resume", "--headless"),
    ),
    "Ctrl+C once": Fault(
        where="in fed-node2's switch",
        during=((SWITCH, sent(signal.SIGINT)),),
        red=BOTH,
        code=130,
        says=(STOPPED,),
        again=("resume", "--headless"),
    ),
    "the terminal closes": Fault(
        where="in fed-node2's switch: SIGHUP of the kernel's, then of the shell's",
        during=((SWITCH, sent(signal.SIGHUP)), (HEARD, sent(signal.SIGHUP))),
        red=BOTH,
        code=130,
        says=(STOPPED,),
    ),
    "SIGTERM": Fault(
        where="in fed-node2's switch",
        generation="modern",
        during=((SWITCH, sent(signal.SIGTERM)),),
        red=BOTH,
        code=130,
        says=(STOPPED,),
    ),
    "Ctrl+C twice": Fault(
        where="while dnf runs on fed-node2",
        generation="modern",
        during=(
            (r"fed-node2 +package +\$ sh package.sh", sent(signal.SIGINT)),
            (HEARD, sent(signal.SIGINT)),
        ),
        red=BOTH,
        code=130,
        says=(CLOSED,),
    ),
    "the wizard is killed": Fault(
        where="in its install, in the switch",
        generation="modern",
        inject=wizard(killed),
        command=("resume", "--headless"),
        again=INSTALL,
        code=0,
        says=("going on with a run of",),
    ),
    "the wizard's terminal is resized": Fault(
        where="in its install, to 1x1 and 500x200 and back",
        generation="modern",
        inject=wizard(resized),
        command=INSTALL,
        code=0,
        says=("nothing was changed",),
    ),
    "the wizard's terminal stands still": Fault(
        where="in its install, from its beginning to its end",
        generation="modern",
        inject=wizard(stands_still, "sh keep.sh"),
        command=INSTALL,
        code=0,
        says=("nothing was changed",),
    ),
}


@pytest.mark.parametrize(("name", "fault"), ROWS.items(), ids=ROWS)
def test_a_fault(name: str, fault: Fault, injected: Injected) -> None:
    injected(name, fault)
