"""known_hosts: read as ssh reads it, written as ssh writes it."""

import base64
import fcntl
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedwiz.model.actions import UnreachableError
from fedwiz.ssh.known_hosts import (
    HostEntries,
    KeyRefusedError,
    Trust,
    UnknownKeyError,
    append_key,
    fingerprint,
    hashed,
    host_entries,
    host_notation,
    parse,
    read,
    revoked,
    rsa_bits,
)

ED = "ssh-ed25519"


def blob(kind: str, *parts: bytes) -> str:
    """A key as it is on the wire, in base64."""
    words = (kind.encode(), *parts)
    return base64.b64encode(b"".join(len(it).to_bytes(4) + it for it in words)).decode()


MINE, OTHER = blob(ED, b"m" * 32), blob(ED, b"o" * 32)
RSA, WEAK = (blob("ssh-rsa", b"\x01\x00\x01", b"\0" + b"\xff" * n) for n in (256, 96))

LINES: Mapping[str, tuple[str, str, int, bool]] = {
    "name": (f"node1 {ED} {MINE}", "node1", 22, True),
    "another name": (f"node1 {ED} {MINE}", "node11", 22, False),
    "one of several": (f"a,node1,10.0.0.1 {ED} {MINE} comment", "10.0.0.1", 22, True),
    "letter case": (f"Node1 {ED} {MINE}", "NODE1", 22, True),
    "pattern": (f"*.example {ED} {MINE}", "n1.example", 22, True),
    "question mark": (f"node? {ED} {MINE}", "node12", 22, False),
    "all but one": (f"*.example,!n1.example {ED} {MINE}", "n1.example", 22, False),
    "port": (f"[node1]:2222 {ED} {MINE}", "node1", 2222, True),
    "another port": (f"[node1]:2222 {ED} {MINE}", "node1", 22, False),
    "set is not a pattern": (f"[node1]:22 {ED} {MINE}", "n", 22, False),
    "hashed": (f"{hashed('node1')} {ED} {MINE}", "node1", 22, True),
    "hashed with port": (f"{hashed('[node1]:2222')} {ED} {MINE}", "node1", 2222, True),
    "hashed another": (f"{hashed('node2')} {ED} {MINE}", "node1", 22, False),
    "hashed badly": (f"|1|???|x {ED} {MINE}", "node1", 22, False),
    "hashed, no ASCII": (f"|1|é|ü {ED} {MINE}", "node1", 22, False),
    "hashed in no way there is": (f"|2|x,node1 {ED} {MINE}", "node1", 22, False),
    "a key that is no ASCII": (f"node1 {ED} é", "node1", 22, False),
    "a key of another type": (f"node1 ssh-rsa {MINE}", "node1", 22, False),
    "a line that a form feed does not end": (f"a\x0cnode1 {ED} {MINE}", "node1", 22, False),
    "indented, with tabs": (f" \tnode1\t{ED}  {MINE}\r", "node1", 22, True),
    "comment": (f"# node1 {ED} {MINE}", "node1", 22, False),
    "half a line": (f"node1 {ED}", "node1", 22, False),
    "no base64": (f"node1 {ED} ***", "node1", 22, False),
    "marker nobody knows": (f"@other node1 {ED} {MINE}", "node1", 22, False),
}


@pytest.mark.parametrize(("line", "host", "port", "found"), LINES.values(), ids=LINES)
def test_which_line_is_about_which_host(line: str, host: str, port: int, found: bool) -> None:
    assert bool(host_entries(parse(line, "file"), host, port).keys) is found


@pytest.mark.parametrize("port", [22, 2222])
@pytest.mark.parametrize("host", ["node1", "Node1", "FD00::1"])
def test_what_is_written_is_found_again(host: str, port: int) -> None:
    line = f"{host_notation(host, port)} {ED} {MINE}"
    assert host_entries(parse(line, "file"), host, port).keys


def about(*lines: str) -> HostEntries:
    return host_entries(parse("\n".join(lines), "~/.ssh/known_hosts"), "node1")


def trust(*lines: str, pin: str = "", accept_new: bool = False) -> Trust:
    return Trust("node1", about(*lines), pin=pin, accept_new=accept_new)


KNOWN, CHANGED = f"node1 {ED} {MINE}", f"node1 {ED} {OTHER}"
JUDGED = {
    "known": (trust(KNOWN), ""),
    "known, second line": (trust(CHANGED, KNOWN), ""),
    "unknown": (trust(), f"not known yet ({ED} {fingerprint(MINE)})"),
    "unknown, to be accepted": (trust(accept_new=True), ""),
    "changed": (trust("", CHANGED), "line 2 of ~/.ssh/known_hosts"),
    "changed names the old": (trust(CHANGED), fingerprint(OTHER)),
    "changed names the new": (trust(CHANGED), fingerprint(MINE)),
    "changed is never accepted": (trust(CHANGED, accept_new=True), "has changed"),
    "changed at its port, and without one as it is now": (
        Trust("node1", about(CHANGED), about(KNOWN)),
        "has changed",
    ),
    "another type is a change": (trust(f"node1 ssh-rsa {RSA}", accept_new=True), "has changed"),
    "revoked": (trust(f"@revoked * {ED} {MINE}", KNOWN, accept_new=True), "revokes"),
    "pinned": (trust(pin=fingerprint(MINE)), ""),
    "pinned, file says other": (trust(CHANGED, pin=fingerprint(MINE)), ""),
    "pinned other": (trust(pin=fingerprint(OTHER)), f"pin {fingerprint(OTHER)}"),
    "pinned other, file knows": (trust(KNOWN, pin=fingerprint(OTHER)), "the answers pin"),
    "pinned other, accepting": (trust(pin=fingerprint(OTHER), accept_new=True), "answers pin"),
    "pinned, but revoked": (trust(f"@revoked * {ED} {MINE}", pin=fingerprint(MINE)), "revokes"),
    "authority is no key": (trust(f"@cert-authority * {ED} {MINE}"), "not known yet"),
}


@pytest.mark.parametrize(("trust", "why"), JUDGED.values(), ids=JUDGED)
def test_judgement(trust: Trust, why: str) -> None:
    refusal = trust.refusal(ED, MINE)
    assert (refusal is None) is (why == ""), refusal
    if refusal is not None:
        assert why in str(refusal)
        assert str(refusal).startswith("node1")


def test_a_port_falls_back_to_the_bare_name_only_for_a_key_that_fits() -> None:
    bare = Trust("node1", HostEntries(), about(KNOWN))
    assert bare.refusal(ED, MINE) is None
    assert isinstance(bare.refusal(ED, OTHER), UnknownKeyError)


def test_an_unknown_key_says_all_that_is_needed_to_accept_it() -> None:
    refusal = trust().refusal(ED, MINE)
    assert isinstance(refusal, UnknownKeyError)
    assert isinstance(refusal, KeyRefusedError)
    assert (refusal.host, refusal.kind, refusal.blob) == ("node1", ED, MINE)
    assert refusal.fingerprint == fingerprint(MINE)


def test_remembering_makes_a_private_file_and_adds_a_line_once(tmp_path: Path) -> None:
    file = tmp_path / "home/.ssh/known_hosts"
    for _ in range(2):
        append_key(file, "Node1", ED, MINE)
    append_key(file, "node1", ED, MINE, port=2222, hide=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    first, second = file.read_text().splitlines()
    assert first == f"node1 {ED} {MINE}"
    assert second.startswith("|1|")
    assert "node1" not in second
    assert host_entries(read([file]), "node1", 2222).key_status(MINE)[0] == "known"


def test_remembering_ends_a_line_that_has_no_end(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"other {ED} {OTHER}")
    append_key(file, "node1", ED, MINE)
    assert [entry.names for entry in read([file])] == ["other", "node1"]


def test_ssh_keygen_reads_what_we_write_and_names_keys_as_we_do(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    kind, blob = key.with_suffix(".pub").read_text().split()[:2]
    file = tmp_path / "known_hosts"
    append_key(file, "node1", kind, blob, port=2222, hide=True)
    said = subprocess.run(
        ["ssh-keygen", "-lF", "[node1]:2222", "-f", file],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert fingerprint(blob) in said


def test_a_file_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert read([tmp_path / "none"]) == ()


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "known_hosts"
    link.symlink_to(real)
    append_key(link, "node1", ED, MINE)
    assert link.is_symlink()
    assert real.read_text() == f"node1 {ED} {MINE}\n"


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of ours may grow longer, as on a disk that is full there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("more", [0, 1, 30])
def test_of_a_line_that_has_no_room_nothing_stays(tmp_path: Path, more: int) -> None:
    file = tmp_path / "known_hosts"
    before = f"other {ED} {OTHER}"
    file.write_text(before)
    with room_for(len(before) + more), pytest.raises(OSError, match="too large"):
        append_key(file, "node1", ED, MINE)
    assert file.read_text() == before


def test_many_that_write_at_once_lose_no_line(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"

    def write(number: int) -> None:
        append_key(file, f"node{number % 20}", ED, MINE, hide=number % 2 == 0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(60)))
    entries = read([file])
    assert len(file.read_text().splitlines()) == len(entries) == 20
    assert all(host_entries(entries, f"node{n}").key_status(MINE)[0] == "known" for n in range(20))


REMEMBER = """
import pathlib, sys
from fedwiz.ssh.known_hosts import append_key
append_key(pathlib.Path(sys.argv[1]), *sys.argv[2:])
"""


def waits(process: "subprocess.Popen[bytes]") -> bool:
    """Whether it waits for a lock that another process has.

    Source: proc_locks(5): the line of who waits has `->` in it.
    """
    assert process.poll() is None, "it did not wait"
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and str(process.pid) in line.split() for line in lines)


def test_two_processes_that_add_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """What one has written by then the other reads first: no line twice, none lost."""
    file = tmp_path / "known_hosts"
    file.write_text(f"other {ED} {OTHER}")
    with ExitStack() as stack, file.open("ab") as ours:
        fcntl.flock(ours, fcntl.LOCK_EX)
        both = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", REMEMBER, file, name, ED, MINE])
            )
            for name in ("node1", "node2")
        ]
        while not all(map(waits, both)):
            os.sched_yield()
        ours.write(f"\nnode1 {ED} {MINE}\n".encode())  # as a third one does
    assert [process.returncode for process in both] == [0, 0]
    lines = [f"other {ED} {OTHER}", f"node1 {ED} {MINE}", f"node2 {ED} {MINE}"]
    assert file.read_text().splitlines() == lines


def test_revoked_keys_are_read_or_nobody_is_trusted(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    file.write_text(f"# stolen\n{ED} {MINE} somebody\n")
    assert [(it.line, it.marker, it.blob) for it in revoked(file)] == [(2, "@revoked", MINE)]
    file.write_bytes(b"SSHKRL\n\0\0\0\0\1")
    with pytest.raises(UnreachableError, match="is a KRL, which is not supported"):
        revoked(file)
    with pytest.raises(UnreachableError, match="can't be read"):
        revoked(tmp_path / "none")


def test_an_rsa_key_may_be_too_short() -> None:
    assert (rsa_bits(RSA), rsa_bits(WEAK)) == (2048, 768)
    weak = Trust("node1", HostEntries(), accept_new=True, rsa_bits=1024)
    assert "768 bits" in str(weak.refusal("ssh-rsa", WEAK))
    assert weak.refusal("ssh-rsa", RSA) is None


# ssh-keygen is asked the same

NAMES = ("node1", "Node1", "10.0.0.1", "[node1]:2222", "[10.0.0.1]:2222", "node12", "other")
PATTERNS = st.one_of(
    st.sampled_from(NAMES),
    st.sampled_from(
        ("*", "node?", "node*", "!node1", "10.*", "[*]:2222", "!*", "", "[node1", "n**1")
    ),
    st.text("node1*?!.[]:2|", min_size=1, max_size=8),
)
HIDDEN = st.builds(
    lambda name, salt: hashed(name.lower(), salt),
    st.sampled_from(NAMES),
    st.binary(min_size=20, max_size=20),
)
WRITTEN = st.one_of(
    st.lists(PATTERNS, min_size=1, max_size=3).map(",".join), HIDDEN, HIDDEN.map(lambda it: it[:-3])
)
MARKERS = st.sampled_from(("", "", "", "@cert-authority ", "@revoked ", "@other "))
GAPS = st.sampled_from((" ", "\t", "  "))
KEY_LINES = st.builds(
    lambda marker, names, gap, key: f"{marker}{names}{gap}{ED} {key}",
    MARKERS,
    WRITTEN.filter(lambda it: it and it[0] not in "#@"),
    GAPS,
    st.sampled_from((MINE, OTHER)),
)
OTHER_LINES = st.sampled_from(("", "#", f"# node1 {ED} {MINE}", "node1", f"node1 {ED}", "  "))
FILE = st.lists(st.one_of(KEY_LINES, KEY_LINES, OTHER_LINES), max_size=5).map("\n".join)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen to ask")
@settings(max_examples=150)
@given(
    text=FILE,
    end=st.sampled_from(("", "\n")),
    host=st.sampled_from(("node1", "10.0.0.1")),
    port=st.sampled_from((22, 2222)),
)
def test_what_ssh_keygen_finds_is_found(text: str, end: str, host: str, port: int) -> None:
    name = host if port == 22 else f"[{host}]:{port}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "known_hosts"
        file.write_text(text + end)
        done = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", file], capture_output=True, text=True, check=False
        )
    lines = [
        int(it.split("line ")[1].split()[0])
        for it in done.stdout.splitlines()
        if "found: line" in it
    ]
    found = host_entries(parse(text + end, "file"), host, port)
    ours = sorted(it.line for it in (*found.keys, *found.authorities, *found.revoked))
    assert ours == lines


@given(
    st.one_of(st.text(), st.binary().map(lambda it: it.decode(errors="replace")), FILE), st.text()
)
def test_no_file_is_too_odd_to_be_read(text: str, host: str) -> None:
    found = host_entries(parse(text, "file"), host)
    for kind in (found.keys, found.authorities, found.revoked):
        for entry in kind:
            assert fingerprint(entry.blob).startswith("SHA256:")
