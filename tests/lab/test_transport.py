"""What needs a real host: its systemd, its sudo, its reboot."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from fedwiz.model.actions import Run, Secret, UnreachableError
from fedwiz.ssh.command_line import UNIT_ABSENT
from fedwiz.ssh.session import SshSession
from fedwiz.ssh.transport import Ssh
from tests.lab.fixture import Lab, require_lab
from tests.support import sshd
from tests.support.sshd import Host

pytestmark = pytest.mark.lab
Ways = Callable[..., Ssh]

TIDY = "systemctl stop 'fedwiz-*'; systemctl reset-failed; rm -rf /run/fedwiz"
LEFT = (
    "ls -d /run/fedwiz* /var/lib/fedwiz /root/starts 2>/dev/null; "
    "systemctl list-units --all --plain --no-legend 'fedwiz-*'; "
    "ls /run/systemd/transient 2>/dev/null | grep fedwiz; true"
)


@pytest.fixture(scope="module", params=["classic", "modern"])
def shared(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """One host for all tests of its generation."""
    require_lab()
    with Lab.up(request.param, 1) as lab:
        yield lab


@pytest.fixture
def lab(shared: Lab) -> Lab:
    """The host, which knows nothing of the units of other tests."""
    shared.ssh(shared.master, TIDY)
    assert shared.ssh(shared.master, LEFT) == ""
    return shared


@pytest.fixture
def ways(lab: Lab) -> Ways:
    """How to go to the lab's hosts: `ways(user="admin", sudo="ask")`."""

    def ssh(*, password: str = "", **answers: object) -> Ssh:
        mine = sshd.Ssh(identity=(str(lab.key),), known_hosts=str(lab.known_hosts()))
        said = replace(mine, **answers)  # type: ignore[arg-type]
        hosts = [Host(name, lab.address(name)) for name in lab.hosts]
        secret = Secret("sudo password", password) if password else None
        return Ssh(said, hosts, sudo_password=secret, config=[])

    return ssh


def unit(script: str, *words: str, name: str = "fedwiz-test", timeout: int = 60) -> Run:
    return Run(("sh", "-c", script, "sh", *words), unit=name, timeout=timeout)


async def test_a_unit_tells_its_lines_and_its_status(lab: Lab, ways: Ways) -> None:
    lines: list[str] = []
    words = ("a b", "$HOME", "q'q", "%n", "back\\slash")
    run = unit("echo out; echo err >&2; printf '%s|' \"$@\"; exit 7", *words)
    async with ways().connect(lab.master) as session:
        assert await session.run(run, lines.append) == 7
        units = (await session.ask(Run(("systemctl", "list-units", "--all", "fedwiz-*")))).out
    assert lines == ["out", "err", "".join(f"{word}|" for word in words)]
    assert "fedwiz-test" not in units


CUTS = "echo began >>/root/starts; echo one; pkill -f '[@]notty'; sleep 1; echo two; exit 3"


async def test_a_unit_outlives_the_connection_and_is_found_again(lab: Lab, ways: Ways) -> None:
    lines: list[str] = []
    async with ways().connect(lab.master) as session:
        assert await session.run(unit(CUTS), lines.append) == 3
        assert (await session.ask(Run(("cat", "/root/starts")))).out == "began\n"
        assert (await session.ask(Run(("rm", "/root/starts")))).code == 0
    cut = [line for line in lines if line.startswith("fedwiz: the connection is lost; connecting")]
    assert len(cut) == 1
    assert [line for line in lines if line not in cut] == ["one", "two"], "each line once"


FORGETS = "echo one; sleep 1; rm /run/fedwiz/fedwiz-test.log; pkill -f '[@]notty'"


async def test_a_unit_that_a_restart_has_ended_is_not_begun_again(lab: Lab, ways: Ways) -> None:
    async with ways().connect(lab.master) as session:
        with pytest.raises(UnreachableError, match="has restarted in the middle of"):
            await session.run(unit(FORGETS), print)


async def test_a_unit_of_which_a_host_knows_nothing(lab: Lab, ways: Ways) -> None:
    async with ways().connect(lab.master) as session:
        assert await session.run(Run((), unit="fedwiz-never"), print) == UNIT_ABSENT


async def test_an_end_that_nobody_saw_is_told_to_who_asks_by_name(lab: Lab, ways: Ways) -> None:
    lines: list[str] = []
    log = "mkdir -p /run/fedwiz && cd /run/fedwiz && echo one >fedwiz-late.log && "
    log += "echo 5 >fedwiz-late.rc && touch fedwiz-late.sh"
    async with ways().connect(lab.master) as session:
        assert not (await session.ask(Run(("sh", "-c", log)))).code
        assert await session.run(Run((), unit="fedwiz-late"), lines.append) == 5
        assert await session.run(Run((), unit="fedwiz-late"), print) == UNIT_ABSENT, "once"
    assert lines == ["one"]


async def test_a_connection_that_went_between_two_commands_is_made_anew(
    lab: Lab, ways: Ways
) -> None:
    async with ways().connect(lab.master) as session:
        assert isinstance(session, SshSession)
        await session.close()
        assert (await session.ask(Run(("echo", "here")))).out == "here\n"
        await session.close()
        assert await session.run(Run(("true",)), print) == 0


async def test_a_unit_whose_end_was_told_starts_anew(lab: Lab, ways: Ways) -> None:
    async with ways().connect(lab.master) as session:
        for code in (1, 0):
            lines: list[str] = []
            run = unit(f"echo {code}; exit {code}")
            assert await session.run(run, lines.append) == code
            assert lines == [str(code)]


async def test_a_unit_that_is_killed_has_an_end(lab: Lab, ways: Ways) -> None:
    lines: list[str] = []
    run = unit("echo one; systemctl kill -s KILL fedwiz-test; sleep 60")
    async with ways().connect(lab.master) as session:
        assert await session.run(run, lines.append) == 137
    assert lines == ["one", "fedwiz-test was killed before it could end"]


async def test_a_unit_keeps_its_time_limit(lab: Lab, ways: Ways) -> None:
    async with ways().connect(lab.master) as session:
        assert await session.run(unit("sleep 60", timeout=1), print) == 124


async def test_sudo_with_its_password(lab: Lab, ways: Ways) -> None:
    ssh = ways(user="admin", sudo="ask", password=lab.password)
    async with ssh.connect(lab.master) as session:
        reply = await session.ask(Run(("sh", "-c", "id -un; cat"), stdin=("mine\n",)))
        assert (reply.out, reply.err) == ("root\nmine\n", "")
        lines: list[str] = []
        assert await session.run(unit("id -un"), lines.append) == 0
        assert lines == ["root"]


async def test_sudo_that_wants_no_password_eats_it_all_the_same(lab: Lab, ways: Ways) -> None:
    ssh = ways(user="ops", sudo="ask", password="not wanted here")
    async with ssh.connect(lab.master) as session:
        reply = await session.ask(Run(("sh", "-c", "id -un; cat"), stdin=("mine\n",)))
    assert reply.out == "root\nmine\n"


REFUSED = {
    "wrong": ({"user": "admin", "sudo": "ask", "password": "wrong"}, "sudo refused the password"),
    "wanted": ({"user": "admin", "sudo": "nopasswd"}, 'set `ssh.sudo` to "ask"'),
}


@pytest.mark.parametrize(("answers", "why"), REFUSED.values(), ids=REFUSED)
async def test_sudo_that_refuses(lab: Lab, ways: Ways, answers: dict[str, str], why: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        async with ways(**answers).connect(lab.master):
            pass
    assert why in str(caught.value)


@pytest.mark.parametrize("user", ["root", "ops"])
async def test_a_reboot_has_ended_when_the_host_is_back(lab: Lab, ways: Ways, user: str) -> None:
    node = lab.master
    before = lab.boot_id(node)
    reboot = Run(("systemctl", "reboot"), reboots=True, timeout=90)
    async with ways(user=user, sudo="nopasswd").connect(node) as session:
        assert await session.run(reboot, print) == 0
        reply = await session.ask(Run(("cat", "/proc/sys/kernel/random/boot_id")))
    assert reply.out.strip() not in ("", before)


async def test_a_reboot_that_does_not_come_is_said(lab: Lab, ways: Ways) -> None:
    async with ways().connect(lab.master) as session:
        with pytest.raises(UnreachableError, match="is not back from its reboot after 2 s"):
            await session.run(Run(("true",), reboots=True, timeout=2), print)
        assert (await session.ask(Run(("true",)))).code == 0
