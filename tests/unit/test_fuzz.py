"""Nothing that others wrote makes fedwiz raise what it does not say, or work for a second.

A short turn of `python -m tests.bench.fuzz`, the same inputs each time, and what that found once.
"""

import json

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fedwiz.answers import rules
from fedwiz.answers.file import AnswersError, parse
from fedwiz.diagnose.filters import chains
from fedwiz.facts import parse as facts
from fedwiz.facts import version
from fedwiz.facts.values import File
from fedwiz.model.actions import Run
from fedwiz.runs.journal import find
from fedwiz.ssh import known_hosts
from fedwiz.steps import STEPS
from tests.support.fuzz_targets import (
    KEY,
    Target,
    _machine,
    _parted,
    _parts,
    targets,
    tried,
)
from tests.support.mutations import ODD, WORDS
from tests.support.sample_cluster import DONE, SAID, answered, on

MOST = 200
"""What a short input may cost (`tests.support.cost`); the dearest of all cost 30."""

PIECES = (*WORDS, *(json.dumps(it).encode() for it in ODD))


@st.composite
def mutated(draw: st.DrawFn, target: Target) -> bytes:
    """A real input in which a few places hold something else, some of it many times."""
    said = draw(st.sampled_from(target.seeds))
    edits = st.tuples(
        st.floats(0, 1),
        st.sampled_from(PIECES) | st.binary(max_size=3),
        st.sampled_from([0, 1, 9]),
        st.sampled_from([1, 1, 1, 3, 4000]),
    )
    for place, piece, gone, times in draw(st.lists(edits, min_size=1, max_size=4)):
        at = round(place * len(said))
        said = said[:at] + piece * min(times, 1 + 40_000 // (len(piece) or 1)) + said[at + gone :]
    return said[: min(target.longest, 1 << 14)]


@pytest.mark.parametrize("name", targets())
def test_whatever_is_read_is_read_or_refused(name: str) -> None:
    target = targets()[name]

    @settings(
        max_examples=8 if "judged" in name else 15,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(mutated(target))
    def judged(said: bytes) -> None:
        assert tried(target, said, MOST).why == ""

    judged()


@pytest.mark.parametrize("name", targets())
def test_the_real_input_is_read(name: str) -> None:
    """Else there would be nothing to mutate: some of each target's are taken, not refused."""
    target = targets()[name]
    taken = 0
    for said in target.seeds:
        try:
            target.call(said)
            taken += 1
        except target.refuses:
            continue
    assert taken


# What was found.

NODE = _parts(_machine("modern-done-fed-node1"))


def _host(**parts: str) -> bytes:
    return _parted({**{name: text.decode() for name, text in NODE.items()}, **parts})


def _names(clock: str) -> str:
    lines = NODE["names"].decode().splitlines()
    return "\n".join([*lines[:5], clock, ""])


FOUND: dict[str, tuple[str, bytes]] = {
    "a text full of slashes": ("clip", b"//u" * 80_000),
    "an answer full of slashes": ("answers", b'version = "' + b"//u" * 80_000 + b'"'),
    "a key of 20000 parts": ("answers", b"a." * 20_000 + b"a = 1"),
    "a thousand hosts, each wrong": (
        "answers",
        b"".join(b"[[host]]\nname='h%d'\nrole='nod'\n" % at for at in range(4000)),
    ),
    "a set's key of 20000 parts": ("--set", b"network.cidr={" + b"a." * 20_000 + b"a=1}"),
    "a host key that is not ASCII": ("known_hosts", f"a {KEY}ä\n".encode()),
    "a salt that is not ASCII": ("known_hosts", f"|1|ä|a {KEY}\n".encode()),
    "a hashed name that is not ASCII": ("known_hosts", f"|1|c2FsdA==|ä {KEY}\n".encode()),
    "a long ssh_config": ("ssh_config", b"".join(b"Host h%d\nPort 3\n" % at for at in range(300))),
    "half a character in daemon.json": ("daemon.json", rb'{"a": "\ud800"}'),
    "a daemon.json that is deep": ("daemon.json", b'{"a":' + b"[" * 940 + b"]" * 940 + b"}"),
    "a bastion's port of 5000 digits": ("ProxyJump", b"bastion:" + b"9" * 5000),
    "a key's size of 5000 digits": ("ssh -G", b"requiredrsasize " + b"9" * 5000),
    "a home of nobody's, included": ("ssh_config", b"Include ~nobody-here/x\nHost a\n"),
    "a key in the home of nobody": ("ssh -G", b"identityfile ~nobody-here/x\n"),
    "blanks after a file's name": ("ssh -G", b"userknownhostsfile /a" + b" " * 16_000),
    "a hop's name that is long": ("ssh's complaint", b"jumphost loop via " + b"a" * 3000),
    "a name of a file that is none": ("ssh_config", b"Include ~/" + b"[2J" * 5000),
    "a NUL before an assignment": ("sysconfig.sh", b"x\x00A=1\n"),
    "a vertical tab before an assignment": ("sysconfig.sh", b"\x0bA=1\n\x0cA=1\n"),
    "a version of zeros": ("versions", b"0" * 200_000),
    "many blanks in what curl says": ("facts:etcd", b"http://a:1 x" + b" " * 200_000 + b"y\n"),
    "many lines about no endpoint": ("facts:etcd", b"http://a:1 x\n" + b"\x1c" * 250_000),
    "a clock that is not a number": ("facts, judged", _host(names=_names("nan"))),
    "a clock without end": ("facts, judged", _host(names=_names("inf"))),
    "a rule of nftables' that is long": (
        "trace",
        _parted({"nft": "table inet a {\n" + " " * 4000 + "drop " * 2000 + "\n", "end": ""}),
    ),
}


CHEAP = 60
"""What one of them may cost; what was once found slow cost 300 to 10000."""

COSTLY = {
    "a thousand hosts, each wrong": 400,
    "a long ssh_config": 600,
    "a daemon.json that is deep": 600,
}
"""Those that are much to read: what each may cost."""


@pytest.mark.parametrize("found", FOUND)
def test_what_was_found_once(found: str) -> None:
    name, said = FOUND[found]
    assert tried(targets()[name], said, COSTLY.get(found, CHEAP)).why == ""


def test_a_clock_that_is_none_is_not_known() -> None:
    for clock in ("nan", "inf", "-inf", "1e300", "-1"):
        with pytest.raises(ValueError, match="no time"):
            facts.names(_names(clock))


def test_a_daemon_json_keeps_the_characters_that_it_names_by_number() -> None:
    text = '{"a": "\\ud800", "b": "größe"}'
    docker = "Docker version 28.5.2, build x"
    files = {"/etc/docker/daemon.json": File(text, 0o644)}
    known = on("fed-node1", DONE, files=files, docker_version=docker)
    step = next(it for it in STEPS if it.name == "docker")
    host = answered().named("fed-node1")
    runs = [it for it in step.left(answered(), host, known) if isinstance(it, Run)]
    put = next(it for it in runs if "/etc/docker/daemon.json" in it.argv)
    said = json.loads(put.input(reveal=True).encode())
    assert said == {"a": "\ud800", "b": "größe", "allow-direct-routing": True}


def test_a_version_is_the_first_dotted_number() -> None:
    assert version("v12 Docker version 028.5.2, build 1.2") == (28, 5, 2)
    assert version("7") == ()


def test_who_named_the_user_of_a_url_stays_unsaid() -> None:
    for text in ("http://u:canary@h/x", "http://u:canary@h:1/@y", "x//canary@@y", "//a\ncanary@"):
        assert "canary" not in rules.clip(text)
        assert "//...@" in rules.clip(text)
    assert rules.clip("http://host/x") == "'http://host/x'"


def test_a_host_key_file_with_odd_lines_still_knows_the_others() -> None:
    kind, blob = KEY.split()
    odd = f"a {kind} {blob}ä\n|1|ä|a {kind} {blob}\n|1|c2FsdA==|ä {kind} {blob}\n"
    found = list(known_hosts.parse(f"{odd}b {kind} {blob}\n", "file"))
    assert known_hosts.host_entries(found, "b").key_status(blob)[0] == "known"
    assert known_hosts.host_entries(found, "a").key_status(blob)[0] == "unknown"


def test_every_refusal_of_many_hosts_is_there() -> None:
    hosts = [{"name": f"h{at}", "address": f"10.9.0.{at}", "role": "nod"} for at in range(200)]
    with pytest.raises(AnswersError) as refused:
        parse({**SAID, "host": hosts})
    assert {f"host[h{at}].role" for at in range(200)} <= set(refused.value.why)


def test_a_thousand_endpoints_in_one_line_are_no_key() -> None:
    urls = ",".join(f'"http://10.{at // 250}.{at % 250}.1:2379"' for at in range(1000))
    assert len(answered(f"etcd.endpoints=[{urls}]").etcd.endpoints) == 1000


def test_a_run_in_the_home_of_nobody_is_not_there() -> None:
    with pytest.raises(ValueError, match="no such file"):
        find("~nobody-here/run.jsonl")


def test_the_chains_of_many_services_are_followed_in_time() -> None:
    rows = [f"-A C{at} -s 10.0.0.0/8 -j C{at + 1}" for at in range(5000)]

    def follow(_given: bytes) -> None:
        assert len(chains(["-A FORWARD -j C0", *rows], "FORWARD")) == 5002

    assert tried(Target(follow, ()), b"", CHEAP).why == ""
