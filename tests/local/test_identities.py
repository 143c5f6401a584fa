"""Which keys are shown, in which order, against a real sshd and a real ssh-agent."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedwiz.model.actions import Secret, UnreachableError
from tests.support import sshd
from tests.support.sshd import Home, Host, Sshd, certify, keygen

pytestmark = pytest.mark.skipif(bool(sshd.WHY_NOT), reason=sshd.WHY_NOT)
Hold = Callable[..., list[str]]


@pytest.fixture
def hold(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hold]:
    """`hold("a", "b")` puts keys into the agent, and gives their public halves."""
    place = home.path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(place))

    def add(*names: str, keep: bool = False) -> list[str]:
        keys = [keygen(home.path / name) for name in names]
        for name in names:
            subprocess.run(["ssh-add", "-q", home.path / name], check=True)
            if not keep:
                (home.path / name).unlink()
        return keys

    yield add
    process.terminate()
    process.communicate()


def lock(home: Home) -> None:
    """Lock the agent: it shows nothing from then on."""
    code = (
        "import os, pty\npid, fd = pty.fork()\n"
        "if not pid: os.execvp('ssh-add', ['ssh-add', '-x'])\n"
        "for _ in range(2):\n"
        "    while b':' not in os.read(fd, 99): pass\n"
        "    os.write(fd, b'x\\n')\n"
        "os.waitpid(pid, 0)\n"
    )
    subprocess.run(["python3", "-c", code], check=True, cwd=home.path)


async def said(home: Home, server: Sshd, **options: object) -> str:
    try:
        async with home.ssh(server, **options).connect("node1"):  # type: ignore[arg-type]
            return ""
    except UnreachableError as why:
        return str(why)


def known(home: Home, *authorized: str, lines: tuple[str, ...] = ()) -> Sshd:
    server = home.serve(*lines, authorized="\n".join(authorized))
    home.know(server)
    return server


MANY = tuple(f"k{n}" for n in range(8))


async def test_too_many_keys_in_the_agent_are_said(home: Home, hold: Hold) -> None:
    server = known(home, hold(*MANY)[7])
    assert "was offered too many keys: name one in `ssh.identity`" in await said(home, server)


async def test_the_named_one_of_many_keys_in_the_agent_comes_first(home: Home, hold: Hold) -> None:
    server = known(home, hold(*MANY)[7])
    home.configure(f"IdentityFile {home.path}/k7\n")  # its .pub is there, and nothing else
    assert await said(home, server) == ""


async def test_of_many_keys_in_the_agent_only_the_named_are_shown(home: Home, hold: Hold) -> None:
    server = known(home, home.key)
    hold(*MANY)
    home.configure("IdentitiesOnly yes\n")
    assert await said(home, server) == ""


@pytest.mark.parametrize("where", ["none", "elsewhere", "the right one", "a variable", "default"])
async def test_which_agent_is_asked(
    home: Home, hold: Hold, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = known(home, *hold("held"))
    place = home.path / "agent"
    monkeypatch.setenv("MY_AGENT", str(place))
    if where != "default":
        monkeypatch.setenv("SSH_AUTH_SOCK", str(place if where == "none" else home.path / "no"))
    says = {
        "none": "none",
        "elsewhere": str(home.path / "no"),
        "the right one": "~/agent",
        "a variable": "$MY_AGENT",
        "default": "SSH_AUTH_SOCK",
    }
    home.configure(f"IdentityAgent {says[where]}\n")
    heard = await said(home, server)
    assert (heard == "") is (where not in ("none", "elsewhere")), heard
    assert ("the agent does not answer" in heard) is (where == "elsewhere")


@pytest.mark.parametrize("keyword", ["PKCS11Provider", "SmartcardDevice"])
async def test_a_smartcard_is_said_where_no_key_will_do(home: Home, keyword: str) -> None:
    server = home.serve(authorized="# nobody")
    home.know(server)
    home.configure(f"{keyword} /usr/lib/card.so")
    heard = await said(home, server)
    assert heard.startswith(
        "node1 refuses the keys of root (PKCS11Provider in ssh_config is not supported, but the "
        "agent is: `ssh-add -s /usr/lib/card.so`)"
    ), heard
    home.configure(f"{keyword} none")
    assert "PKCS11Provider" not in await said(home, server)
    server.stop()
    server.authorized = home.key
    server.start()
    home.configure(f"{keyword} /usr/lib/card.so")
    assert await said(home, server) == ""


async def test_a_locked_agent_is_said(home: Home, hold: Hold) -> None:
    server = known(home, *hold("held"))
    await asyncio.to_thread(lock, home)
    assert "the agent holds no key or is locked" in await said(home, server)


async def test_no_key_file_is_read_where_ssh_config_says_none(home: Home) -> None:
    server = known(home, home.key)
    home.configure("IdentityFile none\n")
    assert "refuses the keys" in await said(home, server)


async def test_a_locked_key_that_the_agent_has_is_not_asked_for(home: Home, hold: Hold) -> None:
    held = hold("held", keep=True)
    command = ["ssh-keygen", "-qpa", "1", "-N", "secret", "-f", str(home.path / "held")]
    await asyncio.to_thread(subprocess.run, command, check=True)
    asked: list[str] = []

    async def ask(path: str) -> Secret | None:
        asked.append(path)
        return None

    home.configure(f"IdentityFile {home.path}/held\n")
    assert await said(home, known(home, *held), passphrase=ask) == ""
    assert "refuses the keys" in await said(home, known(home, home.key), passphrase=ask)
    assert asked == []


SIGNED: dict[str, tuple[str, tuple[str, ...], str, bool]] = {
    # the certificate's file, how it is signed, ssh_config, whether the host lets in
    "beside the key": ("id_ed25519-cert.pub", (), "", True),
    "named": ("mine-cert.pub", (), "CertificateFile {home}/.ssh/mine-cert.pub\n", True),
    "not named": ("mine-cert.pub", (), "", False),
    "expired": ("id_ed25519-cert.pub", ("-V", "20200101:20200201"), "", False),
}


def sign(home: Home, public: Path, file: str, *options: str) -> str:
    authority = keygen(home.path / "ca")
    certify(home.path / "ca", public, "root", *options, host=False)
    made = public.with_name(public.name.removesuffix(".pub") + "-cert.pub")
    made.rename(home.path / ".ssh" / file)
    return authority


@pytest.mark.parametrize(("file", "options", "text", "lets_in"), SIGNED.values(), ids=SIGNED)
async def test_a_certificate_of_the_users_is_shown(
    home: Home, file: str, options: tuple[str, ...], text: str, lets_in: bool
) -> None:
    authority = sign(home, home.path / ".ssh/id_ed25519.pub", file, *options)
    server = known(home, f"cert-authority {authority}")
    home.configure(text.format(home=home.path))
    heard = await said(home, server)
    assert (heard == "") is lets_in, heard
    # Where the key itself is good, a bad certificate takes nothing away.
    assert await said(home, known(home, home.key)) == ""


async def test_a_certificate_goes_with_a_key_in_the_agent(home: Home, hold: Hold) -> None:
    hold("held")
    authority = sign(home, home.path / "held.pub", "held-cert.pub")
    server = known(home, f"cert-authority {authority}")
    assert "refuses the keys" in await said(home, server)
    home.configure(f"CertificateFile {home.path}/.ssh/held-cert.pub\n")
    assert await said(home, server) == ""


@pytest.mark.parametrize("count", [9, pytest.param(20, marks=pytest.mark.full)])
async def test_a_locked_key_is_asked_for_once_for_many_hosts(count: int, home: Home) -> None:
    locked = keygen(home.path / "locked", passphrase="open sesame")
    server = known(home, locked, lines=("MaxStartups 100",))
    asked: list[str] = []

    async def ask(path: str) -> Secret:
        asked.append(path)
        await asyncio.sleep(0)
        return Secret("passphrase", "open sesame")

    hosts = [Host(f"node{n}") for n in range(count)]
    answers = sshd.Ssh(identity=(str(home.path / "locked"),), width=8)
    ssh = home.ssh(server, *hosts, answers=answers, passphrase=ask)

    async def visit(name: str) -> None:
        async with ssh.connect(name):
            pass

    async with asyncio.TaskGroup() as group:
        for host in hosts:
            group.create_task(visit(host.name))
    assert asked == [str(home.path / "locked")]
