"""`--set key=value`."""

from pathlib import Path
from typing import Any

import pytest

from fedwiz.answers.file import AnswersError, overlay, parse, read

MINIMAL = read(Path(__file__).parents[1] / "answers" / "minimal.toml")

FOLLOWED: dict[str, tuple[list[str], str, object]] = {
    # sets: attribute of the answers, value
    "a number": (["network.subnet_len=26"], "network.subnet_len", 26),
    "a flag": (["network.allow_public=true"], "network.allow_public", True),
    "bare text": (["docker.switch=reboot"], "docker.switch", "reboot"),
    "text in quotes": (['docker.switch="reboot"'], "docker.switch", "reboot"),
    "text that looks like a number": (["name=2024"], "name", "2024"),
    "text that looks like a date": (["name=2024-01-01"], "name", "2024-01-01"),
    "a list": (['flannel.options=["-ip-masq", "-v=5"]'], "flannel.options", ("-ip-masq", "-v=5")),
    "a value with an equals sign": (["host.fed-node1.label=name=a"], "host.1.label", "name=a"),
    "a host's key": (["host.fed-node1.interface=eth1"], "host.1.interface", "eth1"),
    "a host that is new": (
        ["host.fed-node3.interface=eth1", "host.fed-node3.address=192.168.122.79"],
        "host.3.interface",
        "eth1",
    ),
    "a host with dots in its name": (
        ["host.node3.example.org.address=192.168.122.79"],
        "host.3.name",
        "node3.example.org",
    ),
    "the last one of two": (["ssh.port=1", "ssh.port=2"], "ssh.port", 2),
    "another backend": (["backend.type=udp"], "backend.type", "udp"),
}


@pytest.mark.parametrize(("sets", "path", "value"), FOLLOWED.values(), ids=FOLLOWED)
def test_sets_that_are_followed(sets: list[str], path: str, value: object) -> None:
    found: Any = parse(MINIMAL, sets)
    for part in path.split("."):
        found = found[int(part)] if part.isdigit() else getattr(found, part)
    assert found == value


REFUSED = {
    "network.cdir=10.1.0.0/16": ("network.cdir", "did you mean `network.cidr`?"),
    "netwrok.cidr=10.1.0.0/16": ("netwrok.cidr", "did you mean `network.cidr`?"),
    "cidr=10.1.0.0/16": ("cidr", "did you mean `network.cidr`?"),
    "backend.vnii=2": ("backend.vnii", "did you mean `backend.vni`?"),
    "host.fed-node1.adress=x": ("host.fed-node1.adress", "did you mean `host.NAME.address`?"),
    "host.fed-nod1.interface=x": ("host.fed-nod1.interface", "did you mean `fed-node1`?"),
    "host.zebra.interface=x": ("host.zebra.interface", "set its address, too"),
    "host.address=10.0.0.1": ("host.address", "host.NAME.key"),
    "host=x": ("host", "did you mean"),
    "network.subnet_len": ("network.subnet_len", "write --set key=value"),
    "etcd.password=horse": ("etcd.password", "a secret has no place"),
    "=x": ("--set", "it is one of name, ssh"),
    "": ("--set", "write --set key=value"),
    "name=\udcff": ("name", "UTF-8"),
    "\x1b[31m=x": ("'\\x1b[31m'", "it is one of name, ssh"),
    "network.subnet_len=24\nallow_public = true": ("network.subnet_len", "a number"),
    "network.subnet_len=" + "[" * 5000: ("network.subnet_len", "a number"),
    "network.cidr.x=1": ("network.cidr.x", "did you mean `network.cidr`?"),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.items(), ids=map(ascii, range(len(REFUSED))))
def test_sets_that_are_refused(text: str, said: tuple[str, str]) -> None:
    with pytest.raises(AnswersError) as refused:
        parse(MINIMAL, [text])
    why = refused.value.why
    assert list(why) == [said[0]]
    assert said[1] in why[said[0]]
    assert "horse" not in str(refused.value)
    assert str(refused.value).isprintable()


def test_sets_and_answers_are_refused_together() -> None:
    with pytest.raises(AnswersError) as refused:
        parse(MINIMAL, ["network.cdir=x", "network.subnet_len=3", "nmae"])
    assert set(refused.value.why) == {"network.cdir", "network.subnet_len", "nmae"}


def test_a_new_backend_begins_with_its_own_defaults() -> None:
    tuned = MINIMAL | {"backend": {"type": "vxlan", "vni": 7, "port": 4789}}
    assert parse(tuned, ["backend.type=host-gw"]).backend.type == "host-gw"
    assert parse(tuned, ["backend.type=vxlan"]).backend.options["vni"] == 7
    asked = parse(tuned, ["backend.port=99", "backend.type=udp"])
    assert asked.backend.options == {"port": 99}, "whatever the order"


def test_the_data_is_not_changed() -> None:
    before = repr(MINIMAL)
    overlay(MINIMAL, ["host.fed-node1.label=a", "network.subnet_len=25", "ssh.port=3"])
    assert repr(MINIMAL) == before


def test_sets_alone_make_answers() -> None:
    hosts = [f"host.{name}.address=10.0.0.{i}" for i, name in enumerate("abc", 1)]
    answers = parse({}, [*hosts, "host.a.role=master", "name=x", "network.cidr=10.16.0.0/16"])
    assert [host.name for host in answers.nodes] == ["b", "c"]


ODD: dict[str, tuple[dict[str, Any], str, str]] = {
    "a section that is not a table": ({"ssh": 5}, "ssh.port=1", "[ssh] is not a table"),
    "hosts that are no list": ({"host": 5}, "host.a.address=1.2.3.4", "not a list of [[host]]"),
    "hosts that are no tables": ({"host": [1]}, "host.a.label=x", "no such host"),
}


@pytest.mark.parametrize(("data", "text", "words"), ODD.values(), ids=ODD)
def test_sets_over_odd_data(data: dict[str, Any], text: str, words: str) -> None:
    with pytest.raises(AnswersError) as refused:
        overlay(data, [text])
    assert words in refused.value.why[text.partition("=")[0]]
