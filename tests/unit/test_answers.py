"""Answers: what is taken, what is refused and how it is said, and the way back into a file."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedwiz.answers.file import (
    MAX_FILE_BYTES,
    QUESTIONS,
    SECTIONS,
    Answers,
    AnswersError,
    BackendAnswers,
    dump,
    from_flannel_config,
    load,
    missing,
    parse,
    read,
)
from fedwiz.model.backends import BACKENDS

FILES = Path(__file__).parents[1] / "answers"
GOOD = sorted(FILES.glob("*.toml"))
BAD = sorted((FILES / "bad").glob("*.toml"))

REMEDY = (
    "did you mean",
    "it is ",
    "such as",
    "Such as",
    "give ",
    "remove",
    "leave it out",
    "needs",
    "a number from",
    "exactly one",
    "two or more",
    "take one",
    "has room",
    "widen",
    "exchange",
    "write ",
    "reads version",
    "only with",
    "is none of",
    "http://",
    "ssh-keygen",
    "sha256sum",
    "a host name has",
    "is usual",
    "for one",
    "/coreos.com/network",
)
"""One of these is in every refusal: it says what to do, not only what is wrong."""

OURS = re.compile(r"(?!.*(Input should|Value error|validation error|pydantic))")
"""A library's own sentence is a case that nobody thought of."""


@pytest.fixture
def minimal() -> dict[str, Any]:
    return read(FILES / "minimal.toml")


def why(data: dict[str, Any], *sets: str) -> dict[str, str]:
    """What is refused; empty: nothing."""
    try:
        parse(data, sets)
    except AnswersError as refused:
        return dict(refused.why)
    return {}


def test_the_procedures_minimum(minimal: dict[str, Any]) -> None:
    answers = parse(minimal)
    assert answers.master.name == "fed-master"
    assert [host.name for host in answers.nodes] == ["fed-node1", "fed-node2"]
    assert answers.named("fed-node2").address == "192.168.122.78"
    assert answers.etcd.endpoints == ("http://fed-master:2379",)
    assert answers.key == "/coreos.com/network/config"
    assert answers.flannel.options == ("-ip-masq",)
    assert answers.config_json() == (
        '{"Network":"10.16.0.0/16","SubnetLen":24,"Backend":{"Type":"vxlan","VNI":1}}'
    )


def test_all_there_is_to_say() -> None:
    answers = load(FILES / "full.toml")
    assert answers.ssh.identity == ("~/.ssh/id_ed25519", "~/.ssh/other key")
    assert answers.etcd.endpoints[1] == "https://[fd00::76]:4001"
    assert answers.key == "/atomic.io/network/config"
    assert answers.backend.options["mtu"] == 1400
    assert answers.config_json() == (
        '{"Network":"18.16.0.0/16","SubnetLen":26,"SubnetMin":"18.16.4.0",'
        '"SubnetMax":"18.16.8.192","Backend":{"Type":"vxlan","VNI":42,"Port":4789,"GBP":true,'
        '"DirectRouting":true,"Learning":true,"MTU":1400}}'
    )


def test_a_host_that_is_not_there_is_a_key_error(minimal: dict[str, Any]) -> None:
    with pytest.raises(KeyError):
        parse(minimal).named("fed-node9")


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_every_refusal_at_once_each_with_its_key_and_a_remedy(path: Path) -> None:
    lines = path.read_text().splitlines()
    told = [line.removeprefix("# refused ") for line in lines if line.startswith("# refused ")]
    expected = dict(line.split(": ", 1) for line in told)
    with pytest.raises(AnswersError) as refused:
        load(path)
    said = {key.replace(str(path), "FILE"): text for key, text in refused.value.why.items()}
    assert set(said) == set(expected)
    for key, words in expected.items():
        assert words in said[key]
        assert any(word in said[key] for word in REMEDY), f"{key}: {said[key]} is no help"
        assert said[key].isprintable()
    assert "correct" not in str(refused.value), "a secret is not repeated"


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_answers_can_be_compared_hashed_and_not_changed(path: Path) -> None:
    one, other = load(path), load(path)
    assert one == other
    assert len({one, other}) == 1
    assert one != parse(read(path), ["name=other"])
    with pytest.raises(ValidationError):
        one.name = "other"  # type: ignore[misc]


def test_a_default_that_is_given_makes_no_difference(minimal: dict[str, Any]) -> None:
    given_ = minimal | {"backend": {"type": "vxlan", "vni": 1, "port": 0, "gbp": False}}
    assert parse(given_) == parse(minimal)
    assert BackendAnswers.model_validate({"vni": 2}) != BackendAnswers()


def test_options_belong_to_their_backend(minimal: dict[str, Any]) -> None:
    answers = parse(minimal | {"backend": {"type": "udp"}})
    assert dict(answers.backend.options) == {"port": 8285}
    assert answers.backend.backend is BACKENDS["udp"]


TYPES = {
    "a number as text": ("ssh.port", "22"),
    "a flag as a number": ("network.allow_public", 1),
    "a number as a flag": ("network.subnet_len", True),
    "a whole fraction": ("network.subnet_len", 24.0),
    "a date": ("network.cidr", tomllib.loads("k = 2020-01-01")["k"]),
    "a list of numbers": ("ssh.identity", [1]),
    "a very large number": ("network.subnet_len", 10**6000),
    "a very large port": ("ssh.port", -(10**6000)),
    "text with a line end": ("flannel.path", "a\nb"),
    "a version that only equals 1": ("version", True),
    "a fraction that equals 1": ("version", 1.0),
    "a list for a type": ("backend.type", ["vxlan"]),
}


@pytest.mark.parametrize(("key", "value"), TYPES.values(), ids=TYPES)
def test_values_of_the_wrong_type(minimal: dict[str, Any], key: str, value: object) -> None:
    section, _, name = key.rpartition(".")
    minimal.setdefault(section, {}) if section else None
    (minimal[section] if section else minimal)[name] = value
    said = why(minimal)
    assert key in said
    assert said[key].isprintable()
    assert len(said[key]) < 300


HOSTILE = {
    "flannel.options": ["-v=5 -x", "-v=$(id)", "-v='1'", "v", "-v=1\n", "--etcd-prefix=/x", "-h"],
    "etcd.prefix": ["coreos.com", "/", "/a//b", "/a/", "/a b", "/a;b", "/a\n"],
    "etcd.ca_file": ["ca.pem", "/a b", "/a$b", "/a'b", "/a\n"],
    "etcd.user": ["a:b", "a b", "-x"],
    "name": ["", ".", "..", "a/b", "-a", "a" * 64, "a\n"],
    "ssh.user": ["", "-oProxyCommand=x", "a b", "a;b"],
    "verify.image": ["", "-v", "a b", "a;b"],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in HOSTILE.items() for value in values]
)
def test_nothing_that_a_shell_or_systemd_reads_as_more_than_a_word(
    minimal: dict[str, Any], key: str, value: str
) -> None:
    section, _, name = key.rpartition(".")
    made: object = [value] if key == "flannel.options" else value
    data = minimal | ({section: {name: made}} if section else {name: made})
    assert set(why(data)) == {key}


HOSTS = {
    "an address that is a name": ({"address": "fed-node1.example.org"}, ""),
    "IPv6": ({"address": "FD00::1"}, ""),
    "IPv6, a zone": ({"address": "fe80::1%eth0"}, "address"),
    "no address": ({"address": "300.1.1.1"}, "address"),
    "a leading zero": ({"address": "192.168.122.077"}, "address"),
    "nobody's": ({"address": "0.0.0.0"}, "address"),
    "a group's": ({"address": "224.0.0.1"}, "address"),
    "an option of ssh's": ({"address": "-oProxyCommand=x"}, "address"),
    "an interface with a dot": ({"interface": "eth0.100"}, ""),
    "an interface's address": ({"interface": "192.168.122.77"}, ""),
    "half an address": ({"interface": "192.168.122"}, "interface"),
    "an interface with its peer": ({"interface": "eth0@if3"}, "interface"),
    "16 characters": ({"interface": "a" * 16}, "interface"),
    "a fingerprint of another kind": ({"host_key": "MD5:00:11"}, "host_key"),
    "a short fingerprint": ({"host_key": "SHA256:abc"}, "host_key"),
}


@pytest.mark.parametrize(("change", "key"), HOSTS.values(), ids=HOSTS)
def test_what_a_host_may_say(minimal: dict[str, Any], change: dict[str, str], key: str) -> None:
    minimal["host"][1] |= change
    assert set(why(minimal)) == ({f"host[fed-node1].{key}"} if key else set())


ENDPOINTS = {
    "http://fed-master:2379": "",
    "https://[fd00::1]:2379": "",
    "http://fed-master": "did you mean http://fed-master:2379?",
    "http://fed-master:2379/": "did you mean http://fed-master:2379?",
    "fed-master:2379": "http:// or https://",
    "ftp://fed-master:2379": "http:// or https://",
    "http://:2379": "http:// or https://",
    "http://fed-master:99999": "http:// or https://",
    "http://fed-master:2379/v2": "did you mean",
    "http://[x:2379": "http:// or https://",
    "http://10.16.1.1:2379": "contains the endpoint",
    "http://fed master:2379": "http:// or https://",
    "http://fed-master:2379\n": "http",
    "http://fed-master:0": "http:// or https://",
}


@pytest.mark.parametrize(("url", "words"), ENDPOINTS.items(), ids=map(repr, ENDPOINTS))
def test_endpoints(minimal: dict[str, Any], url: str, words: str) -> None:
    said = why(minimal | {"etcd": {"endpoints": [url]}})
    assert bool(said) == bool(words)
    assert words in "".join(said.values())


def test_no_refusal_repeats_a_password(minimal: dict[str, Any]) -> None:
    """Nor what stands behind an @ in it."""
    said = why(minimal | {"etcd": {"endpoints": ["ftp://me:open@sesame@fed-master:2379"]}})
    assert "fed-master" in "".join(said.values())
    for part in ("me", "open", "sesame"):
        assert not re.search(rf"\b{part}\b", "".join(said.values()))


def test_what_is_wrong_between_answers_is_said_with_what_is_wrong_in_them(
    minimal: dict[str, Any],
) -> None:
    minimal["host"] += [{"name": "fed-node3", "address": minimal["host"][0]["address"]}]
    minimal["host"] += [{"name": "fed-node4", "address": "no/address"}]
    said = why(minimal | {"name": ""})
    assert set(said) == {"name", "host[fed-node3].address", "host[fed-node4].address"}


def test_an_answer_is_never_made_from_what_is_wrong_between() -> None:
    data = read(FILES / "bad" / "two-masters.toml")
    with pytest.raises(ValidationError):
        Answers.model_validate(data)


def test_colours_and_other_tricks_of_the_file_are_not_passed_on(minimal: dict[str, Any]) -> None:
    said = why(minimal | {"\x1b[31m": 1, "name": "\x1b]0;x\x07\u202e"})
    assert len(said) == 2
    assert "".join([*said, *said.values()]).isprintable()


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "not UTF-8": (b'name = "a"\nb = "\xff"', "line 2 is not UTF-8"),
    "too large": (b"#" * (MAX_FILE_BYTES + 1), "more than 1 MiB"),
    "no value": (b"version = 1\nname =\n", "line 2, column 7: 'name ='"),
    "not ended": (b'name = "a', "line 1, column 10: 'name = \"a'"),
    "twice": (b"a = 1\na = 2", "line 2"),
    "a number as long as a book": (b"a = " + b"1" * 5000, "not TOML"),
    "nested for ever": (b"a = " + b"[" * 100_000, "nested too deeply"),
    "colours": (b"\x1b[31m = 1", "line 1, column 1: '\\x1b[31m = 1'"),
}


@pytest.mark.parametrize(("raw", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_is_no_toml(tmp_path: Path, raw: bytes, words: str) -> None:
    path = tmp_path / "answers.toml"
    path.write_bytes(raw)
    with pytest.raises(AnswersError) as refused:
        load(path)
    assert list(refused.value.why) == [str(path)]
    assert words in refused.value.why[str(path)]
    assert refused.value.why[str(path)].isprintable()


def test_a_file_with_windows_mark(tmp_path: Path) -> None:
    path = tmp_path / "answers.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (FILES / "minimal.toml").read_bytes())
    assert load(path) == load(FILES / "minimal.toml")


@pytest.mark.parametrize(
    ("name", "words"),
    [("none.toml", "no such file"), (".", "directory"), ("a\0b", "can't be read")],
)
def test_a_file_that_can_not_be_opened(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(AnswersError, match=words):
        load(tmp_path / name)


MISSING: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "nothing said": ({}, ("name", "host", "network.cidr")),
    "some": ({"name": "x", "network": {"subnet_len": 24}}, ("host", "network.cidr")),
    "nonsense": ({"name": "x", "host": [], "network": 5}, ("host", "network.cidr")),
    "all": ({"name": "x", "host": [{}], "network": {"cidr": "?"}}, ()),
}


@pytest.mark.parametrize(("data", "paths"), MISSING.values(), ids=MISSING)
def test_what_a_wizard_has_to_ask(data: dict[str, Any], paths: tuple[str, ...]) -> None:
    assert missing(data) == paths
    required = {question.path for question in QUESTIONS if question.default is None}
    assert required == {"name", "host.name", "host.address", "network.cidr"}


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_file_and_back(path: Path) -> None:
    answers = load(path)
    again = dump(answers)
    assert parse(tomllib.loads(again)) == answers
    assert dump(parse(tomllib.loads(again))) == again


def test_a_dump_says_only_what_differs_and_who_the_hosts_are(minimal: dict[str, Any]) -> None:
    said = tomllib.loads(dump(parse(minimal | {"ssh": {"port": 22, "width": 7}})))
    assert set(said) == {"version", "name", "host", "network", "ssh"}
    assert said["ssh"] == {"width": 7}
    assert said["network"] == {"cidr": "10.16.0.0/16"}
    assert [host["role"] for host in said["host"]] == ["master", "node", "node"]


# Answers of any kind, and data of any kind.

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
LINKS = st.sampled_from(["", "eth0", "enp1s0.7"])


@st.composite
def right(draw: st.DrawFn) -> dict[str, Any]:
    """Data that has to be taken."""
    names = draw(st.lists(NAMES, min_size=3, max_size=6, unique=True))
    hosts = [
        {"name": name, "address": f"192.168.1.{i}", "interface": draw(LINKS), "role": "node"}
        for i, name in enumerate(names, 1)
    ]
    hosts[draw(st.integers(0, len(hosts) - 1))]["role"] = "master"
    backend = draw(st.sampled_from(list(BACKENDS.values())))
    options = {
        option.name: draw(st.booleans())
        if option.kind is bool
        else draw(st.one_of(st.just(option.default), st.integers(option.low, option.high)))
        for option in backend.options
        if draw(st.booleans())
    }
    words = st.from_regex(r"~/[a-zA-Zäß \"'\\#=]{1,20}", fullmatch=True)
    return {
        "name": draw(NAMES),
        "host": hosts,
        "network": {"cidr": "10.16.0.0/16", "subnet_len": draw(st.integers(19, 30))},
        "backend": {"type": backend.name, **options},
        "ssh": {"identity": draw(st.lists(words, max_size=3)), "port": draw(st.integers(1, 99))},
        "wizard": {"ask": draw(st.lists(st.sampled_from([*SECTIONS, "*"]), max_size=2))},
    }


@given(right())
def test_whatever_is_taken_survives_a_file(data: dict[str, Any]) -> None:
    answers = parse(data)
    assert parse(tomllib.loads(dump(answers))) == answers


SCALARS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
    st.datetimes(),
    st.sampled_from(["10.16.0.0/16", "fed-node1", "master", "10.1.2.3", "vxlan", "rpm", "http://"]),
)
KEYS = st.one_of(
    st.sampled_from(sorted({part for q in QUESTIONS for part in q.path.split(".")})),
    st.text(max_size=8),
)
TOML = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, TOML, max_size=6))
def test_any_data_is_taken_or_refused_in_words(data: dict[str, Any]) -> None:
    said = why(data)
    assert said, "nothing of this is ever whole"
    for key, text in said.items():
        assert key.isprintable()
        assert text.isprintable()
        assert any(word in text for word in REMEDY), f"{key}: {text} is no help"
        assert OURS.match(text)


@given(right(), st.data())
def test_one_wrong_thing_in_right_data(data: dict[str, Any], draws: st.DataObject) -> None:
    """Broken anywhere, it is refused for a key at that place, or still taken."""
    section = draws.draw(st.sampled_from([*SECTIONS, "name", "version"]))
    table = data.setdefault(section, {})
    if isinstance(table, dict):
        table[draws.draw(KEYS)] = draws.draw(TOML)
    elif isinstance(table, list):
        table[0][draws.draw(KEYS)] = draws.draw(TOML)
    else:
        data[section] = draws.draw(TOML)
    for key, text in why(data).items():
        assert key.isprintable()
        assert any(word in text for word in REMEDY), f"{key}: {text} is no help"
        assert OURS.match(text)


PATHS = ["host.a.interface", *(question.path for question in QUESTIONS)]


@given(right(), st.text(max_size=30), st.sampled_from(["", *PATHS]))
def test_any_set_is_followed_or_refused(data: dict[str, Any], text: str, path: str) -> None:
    before = repr(data)
    for key, said in why(data, f"{path}={text}", text).items():
        assert key.isprintable()
        assert said.isprintable()
    assert repr(data) == before, "the data itself stays as it is"


@given(right())
def test_a_config_gives_back_the_answers_that_write_it(data: dict[str, Any]) -> None:
    config = parse(data).config_json()
    back = parse(
        {**data, **from_flannel_config(config)}
        | {"network": from_flannel_config(config)["network"] | {"allow_public": True}}
    )
    assert back.config_json() == config


CONFIGS = {
    "": {},
    "[]": {},
    '"Network"': {},
    '{"Network": 5}': {},
    '{"Network": "fd00::/64"}': {},
    '{"Network": "10.0.0.0/16", "SubnetLen": "24"}': {},
    '{"Network": "10.0.0.0/16", "SubnetLen": 40}': {},
    '{"Network": "10.0.0.0/23"}': {"cidr": "10.0.0.0/23", "subnet_len": 25, "type": "udp"},
    '{"Network": "10.0.0.0/16", "SubnetMin": 7, "Backend": 3}': {
        "cidr": "10.0.0.0/16",
        "subnet_len": 24,
        "type": "udp",
    },
    '{"Network": "10.0.0.0/16", "Backend": {"Type": "ipsec", "PSK": "x"}}': {
        "cidr": "10.0.0.0/16",
        "subnet_len": 24,
    },
    '{"Network": "18.16.0.0/16", "Backend": {"Type": "VXLAN", "VNI": 7, "Port": "9"}}': {
        "cidr": "18.16.0.0/16",
        "subnet_len": 24,
        "type": "vxlan",
        "vni": 7,
    },
}
"""What etcd may hold, and the answers that are taken from it."""


@pytest.mark.parametrize(("config", "taken"), CONFIGS.items(), ids=CONFIGS)
def test_of_a_config_only_what_fedwiz_could_write_is_taken(
    config: str, taken: dict[str, Any]
) -> None:
    found = from_flannel_config(config)
    assert found.get("network", {}) | found.get("backend", {}) == taken
