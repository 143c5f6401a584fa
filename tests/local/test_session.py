"""Commands over a connection, against a real sshd on loopback."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedwiz.model.actions import Run, Secret, Session, UnreachableError
from fedwiz.ssh.command_line import command
from fedwiz.ssh.session import MAX_ANSWER_BYTES
from tests.support import sshd
from tests.support.patience import GIVE_UP
from tests.support.sshd import Home, Sshd

pytestmark = pytest.mark.skipif(bool(sshd.WHY_NOT), reason=sshd.WHY_NOT)


async def lines_of(session: Session, run: Run) -> tuple[int, list[str]]:
    lines: list[str] = []
    return await session.run(run, lines.append), lines


def sh(script: str, **more: object) -> Run:
    return Run(("sh", "-c", script), **more)  # type: ignore[arg-type]


async def test_lines_come_cleaned_from_both_outputs(home: Home) -> None:
    async with home.session() as session:
        code, lines = await lines_of(session, sh("printf 'a\\033[31mb\\n'; echo c >&2; exit 3"))
    assert (code, sorted(lines)) == (3, ["ab", "c"])


WORDS = [
    "plain",
    "two words",
    "a'b",
    '"q"',
    "back\\slash",
    "two\\\\",
    "\\'",
    "$(id)",
    "`id`",
    "a\nb",
    "",
    "größe",
    "!x",
]


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash", "/usr/bin/fish", "/usr/bin/zsh"])
def test_every_shell_reads_a_word_as_it_is(shell: str) -> None:
    if not Path(shell).exists():
        pytest.skip(f"{shell} is not installed")
    python = "import sys, json; print(json.dumps(sys.argv[1:]))"
    line = command(sys.executable, "-c", python, *WORDS)
    said = subprocess.run([shell, "-c", line], check=True, capture_output=True, text=True).stdout
    assert json.loads(said) == WORDS


async def test_words_arrive_as_they_were_sent(home: Home) -> None:
    async with home.session() as session:
        reply = await session.ask(Run(("printf", "%s\\0", *WORDS)))
    assert reply.out.split("\0")[:-1] == WORDS


async def test_bytes_that_are_no_text_end_nothing(home: Home) -> None:
    async with home.session() as session:
        _, lines = await lines_of(session, sh("printf 'a\\377\\376b\\n'"))
        assert lines == ["a\ufffd\ufffdb"]
        assert (await session.ask(sh("printf '\\377'"))).out == "\ufffd"


@pytest.mark.parametrize("megabytes", [5, pytest.param(20, marks=pytest.mark.full)])
async def test_megabytes_are_told_line_by_line(megabytes: int, home: Home) -> None:
    """More of them than are on their way unheard: ssh's window is of two."""
    size, count = megabytes * 1_020_000, 0

    def on_line(line: str) -> None:
        nonlocal count
        count += len(line) + 1

    async with home.session() as session:
        code = await session.run(sh(f"yes 0123456789abcdef | head -c {size}"), on_line)
    assert (code, count) == (0, size)


async def test_an_answer_without_end_is_refused_and_the_session_lives(home: Home) -> None:
    async with home.session() as session:
        with pytest.raises(UnreachableError, match="more than 8 MiB"):
            await session.ask(sh(f"head -c {MAX_ANSWER_BYTES + 1} /dev/zero; sleep 0.1"))
        assert (await session.ask(sh("echo on"))).out == "on\n"


async def test_standard_input_ends_also_where_nothing_is_sent(home: Home) -> None:
    async with home.session() as session:
        assert (await session.ask(Run(("cat",)))).out == ""
        text = "one\n" * 50_000
        assert (await session.ask(Run(("cat",), stdin=(text,)))).out == text
        # A command that does not read what it is sent.
        assert (await session.ask(Run(("true",), stdin=("x" * 1_000_000,)))).code == 0


async def test_a_file_is_uploaded_byte_by_byte(home: Home) -> None:
    content = os.urandom(3_000_000)
    (home.path / "binary").write_bytes(content)
    target = home.path / "installed"
    put = ("install", "-D", "-m", "0755", "/dev/stdin", str(target))
    async with home.session() as session:
        assert await session.run(Run(put, upload=str(home.path / "binary")), print) == 0
        with pytest.raises(UnreachableError, match="can't be read here"):
            await session.run(Run(put, upload=str(home.path / "none")), print)
    assert target.read_bytes() == content


async def test_the_host_keeps_the_time_limit(home: Home) -> None:
    async with home.session() as session:
        assert (await session.ask(Run(("sleep", "60"), timeout=1))).code == 124


async def test_a_command_ended_by_a_signal_has_a_status(home: Home) -> None:
    async with home.session() as session:
        assert (await session.ask(sh("kill -9 $$"))).code == 137


def cut(heard: Path) -> Run:
    """It begins, and ends its connection once that was heard."""
    script = "kill -9 $(awk '/^PPid/ {print $2}' /proc/$PPID/status); sleep 5"
    return sh(f"echo begun; until [ -e {heard} ]; do sleep 0.05; done; {script}")


async def test_a_connection_cut_in_the_middle_is_not_an_end(home: Home) -> None:
    heard = home.path / "heard"
    lines: list[str] = []

    def hear(line: str) -> None:
        lines.append(line)
        heard.touch()

    async with home.session() as session:
        with pytest.raises(UnreachableError, match="may still be running there"):
            await session.run(cut(heard), hear)
        assert lines == ["begun"]
        assert (await session.ask(Run(("echo", "again")))).out == "again\n"


async def test_a_secret_is_on_no_command_line(home: Home) -> None:
    secret = Secret("token", "very-hidden-word")
    async with home.session() as session:
        reply = await session.ask(sh("cat; cat /proc/[0-9]*/cmdline", stdin=("<", secret, ">")))
    assert reply.out.count("very-hidden-word") == 1
    assert reply.out.startswith("<very-hidden-word>")


# Forwarding


async def test_a_forwarded_port_leads_to_what_the_host_sees(home: Home) -> None:
    async with home.session() as session:
        port = home.servers[0].port
        async with session.forward("127.0.0.1", port) as local:
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            assert (await reader.readline()).startswith(b"SSH-2.0-OpenSSH")
            writer.close()
            await writer.wait_closed()


async def test_a_host_that_may_not_forward_says_so(home: Home) -> None:
    async with home.session("AllowTcpForwarding no") as session:
        with pytest.raises(UnreachableError, match="AllowTcpForwarding yes"):
            async with session.forward("127.0.0.1", 2379):
                pass


async def test_a_service_that_does_not_listen_is_found_at_once(home: Home) -> None:
    async with home.session() as session:
        with pytest.raises(UnreachableError, match=r"nothing answers at 127\.0\.0\.1:"):
            async with session.forward("127.0.0.1", sshd.free_port()):
                pass


# What stays on.

ECHOES = 'while IFS= read -r line; do echo "got $line"; done; echo over >"$0"'


async def test_what_is_held_answers_until_its_input_ends(home: Home) -> None:
    file = home.path / "over"
    async with home.session() as session, asyncio.timeout(GIVE_UP):
        async with session.hold(Run(("sh", "-c", ECHOES, str(file)), timeout=1)) as held:
            for word in ("a", "b"):
                await held.send(f"{word}\n".encode())
                assert await held.line() == f"got {word}"
        assert file.read_text() == "over\n"


HELD = {
    "ends by itself": ("echo one; printf 'two'", ["one", None, None]),
    "no UTF-8": ("printf '\\377\\n'", ["\ufffd", None]),
    "a long line": (
        "head -c 300000 /dev/zero | tr '\\0' x; echo; echo two",
        ["x" * 65536, "two", None],
    ),
    "on stderr": ("echo no >&2; echo yes", ["yes", None]),
    "no such command": ("exec nothing-of-that-name", [None]),
}


@pytest.mark.parametrize(("script", "lines"), HELD.values(), ids=HELD)
async def test_what_is_held_says(home: Home, script: str, lines: list[str | None]) -> None:
    async with (
        asyncio.timeout(GIVE_UP),
        home.session() as session,
        session.hold(sh(script)) as held,
    ):
        assert [await held.line() for _ in lines] == lines


async def test_what_is_held_has_ended_when_its_connection_has(home: Home) -> None:
    heard = home.path / "heard"
    async with (
        asyncio.timeout(GIVE_UP),
        home.session() as session,
        session.hold(cut(heard)) as held,
    ):
        assert await held.line() == "begun"
        heard.touch()
        assert await held.line() is None
        with pytest.raises(UnreachableError, match="is gone"):
            await held.send(b"x")
    with pytest.raises(UnreachableError, match="did not start"):
        async with session.hold(sh("true")):
            pass


# A connection that has to be had again.


async def stopped(server: Sshd, session: Session) -> None:
    """End it, and see that the session has seen that."""
    server.stop()
    with pytest.raises(UnreachableError):
        await session.ask(sh("true"))


REFUSES_AGAIN = {
    "no key any more": (3600, "refuses the keys of root.*`ssh-copy-id"),
    "nobody there": (2, "nothing listens"),
    "another host": (3600, "host key has changed"),
}


@pytest.mark.parametrize("why", REFUSES_AGAIN)
async def test_a_lost_connection_is_not_sought_where_that_is_no_use(home: Home, why: str) -> None:
    """An hour is the limit; what is waited for are the pauses between three tries."""
    patience, says = REFUSES_AGAIN[why]
    answers = sshd.Ssh(confirm_within=patience)
    async with home.session(answers=answers) as session, asyncio.timeout(GIVE_UP):
        server, lines = home.servers[0], list[str]()
        await stopped(server, session)
        if why == "no key any more":
            server.authorized = "# nobody"
        if why == "another host":
            (server.folder / "host_key").unlink()
            server.key = ""
        if why != "nobody there":
            server.start()
        with pytest.raises(UnreachableError, match=says):
            await session.run(sh("true"), lines.append)
        assert lines[0] == (
            f"fedwiz: the connection is lost; connecting again for up to {patience} s"
        )
        assert len(lines) == (1 if why == "another host" else 2), "each reason once"
        if why == "no key any more":
            server.stop()
            server.authorized = home.key
            server.start()
            assert await session.run(sh("true"), lines.append) == 0


@pytest.mark.parametrize("file", ["/dev/null", "~/.ssh/known_hosts"])
async def test_a_key_that_was_accepted_may_not_change_also_where_no_file_has_it(
    home: Home, file: str
) -> None:
    home.configure(f"StrictHostKeyChecking accept-new\nUserKnownHostsFile {file}")
    server = home.serve()
    async with home.ssh(server).connect("node1") as session:
        assert (await session.ask(sh("true"))).code == 0
        for accepted in (True, False):
            await stopped(server, session)
            if not accepted:
                (server.folder / "host_key").unlink()
                server.key = ""
                home.known_hosts.unlink(missing_ok=True)  # in the middle of it all
            server.start()
            if accepted:
                assert (await session.ask(sh("true"))).code == 0
        with pytest.raises(UnreachableError, match="host key has changed"):
            await session.ask(sh("true"))
