"""known_hosts: read as ssh reads it, written as ssh writes it."""

import base64
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from fedwiz.hostkeys import (
    KeyRefused,
    Known,
    Trust,
    UnknownKey,
    fingerprint,
    hashed,
    known,
    parse,
    read,
    remember,
)

ED_KIND, RSA_KIND = ("ssh-ed25519", "ssh-rsa")

ED = "ssh-ed25519"

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
    "comment": (f"# node1 {ED} {MINE}", "node1", 22, False),
    "half a line": (f"node1 {ED}", "node1", 22, False),
    "no base64": (f"node1 {ED} ***", "node1", 22, False),
    "marker nobody knows": (f"@other node1 {ED} {MINE}", "node1", 22, False),
}


@pytest.mark.parametrize(("line", "host", "port", "found"), LINES.values(), ids=LINES)
def test_which_line_is_about_which_host(line: str, host: str, port: int, found: bool) -> None:
    assert bool(known(parse(line, "file"), host, port).keys) is found


def about(*lines: str) -> Known:
    return known(parse("\n".join(lines), "~/.ssh/known_hosts"), "node1")


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
    "another type is a change": (trust(f"node1 ssh-rsa {RSA}", accept_new=True), "has changed"),
    "revoked": (trust(f"@revoked * {ED} {MINE}", KNOWN, accept_new=True), "revokes"),
    "pinned": (trust(pin=fingerprint(MINE)), ""),
    "pinned, file says other": (trust(CHANGED, pin=fingerprint(MINE)), ""),
    "pinned other": (trust(pin=fingerprint(OTHER)), f"pin {fingerprint(OTHER)}"),
    "pinned other, file knows": (trust(KNOWN, pin=fingerprint(OTHER)), "the answers pin"),
    "pinned other, accepting": (trust(pin=fingerprint(OTHER), accept_new=True), "answers pin"),
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
    bare = Trust("node1", Known(), about(KNOWN))
    assert bare.refusal(ED, MINE) is None
    assert isinstance(bare.refusal(ED, OTHER), UnknownKey)


def test_an_unknown_key_says_all_that_is_needed_to_accept_it() -> None:
    refusal = trust().refusal(ED, MINE)
    assert isinstance(refusal, UnknownKey)
    assert isinstance(refusal, KeyRefused)
    assert (refusal.host, refusal.kind, refusal.blob) == ("node1", ED, MINE)
    assert refusal.fingerprint == fingerprint(MINE)


def test_remembering_makes_a_private_file_and_adds_a_line_once(tmp_path: Path) -> None:
    file = tmp_path / "home/.ssh/known_hosts"
    for _ in range(2):
        remember(file, "Node1", ED, MINE)
    remember(file, "node1", ED, MINE, port=2222, hide=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    first, second = file.read_text().splitlines()
    assert first == f"node1 {ED} {MINE}"
    assert second.startswith("|1|")
    assert "node1" not in second
    assert known(read([file]), "node1", 2222).standing(MINE)[0] == "known"


def test_remembering_ends_a_line_that_has_no_end(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"other {ED} {OTHER}")
    remember(file, "node1", ED, MINE)
    assert [entry.names for entry in read([file])] == ["other", "node1"]


def test_ssh_keygen_reads_what_we_write_and_names_keys_as_we_do(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    kind, blob = key.with_suffix(".pub").read_text().split()[:2]
    file = tmp_path / "known_hosts"
    remember(file, "node1", kind, blob, port=2222, hide=True)
    said = subprocess.run(
        ["ssh-keygen", "-lF", "[node1]:2222", "-f", file],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert fingerprint(blob) in said


def test_a_file_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert read([tmp_path / "none"]) == ()
