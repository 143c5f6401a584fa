"""Address arithmetic, against flannel's rules."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwiz.model import addresses

NETWORKS = {
    # cidr: a word of the refusal; empty: it is right
    "10.16.0.0/16": "",
    "100.64.0.0/10": "",
    "192.168.0.0/28": "",
    "18.16.0.0/16": "public",
    "10.0.0.0/7": "public",
    "192.160.0.0/12": "public",
    "100.128.0.0/16": "public",
    "10.16.3.4/16": "did you mean 10.16.0.0/16?",
    "10.16.0.0": "did you mean 10.16.0.0/16?",
    "10.16.0.0/29": "too small",
    "10.16.0.0/33": "from 0 to 32",
    "10.16.0.0/": "from 0 to 32",
    "10.16.0.0/-1": "from 0 to 32",
    "10.16.0.0/٢": "from 0 to 32",
    "10.16.0.0/255.255.0.0": "from 0 to 32",
    "10.16.0.0/16\n": "from 0 to 32",
    "0.0.0.0/0": "no container can use",
    "127.0.0.0/16": "no container can use",
    "169.254.0.0/16": "no container can use",
    "240.0.0.0/8": "no container can use",
    "10.16": "write it like",
    "010.16.0.0/16": "write it like",
    " 10.16.0.0/16": "write it like",
    "fd00::/48": "IPv4",
    "": "write it like",
}


@pytest.mark.parametrize(("cidr", "word"), NETWORKS.items(), ids=map(repr, NETWORKS))
def test_networks(cidr: str, word: str) -> None:
    said = addresses.refuse_network(cidr)
    assert bool(said) == bool(word)
    assert word in said


def test_a_public_range_is_taken_when_it_is_allowed() -> None:
    assert addresses.refuse_network("18.16.0.0/16", allow_public=True) == ""
    assert addresses.refuse_network("127.0.0.0/16", allow_public=True)


def test_the_procedures_own_example_is_public() -> None:
    assert addresses.is_public("18.16.0.0/16")
    assert not addresses.is_private("18.16.0.0/16")


@pytest.mark.parametrize("cidr", [*addresses.PRIVATE, "10.1.2.3", "172.31.255.0/24"])
def test_private_is_not_public(cidr: str) -> None:
    assert addresses.is_private(cidr)
    assert not addresses.is_public(cidr)


@pytest.mark.parametrize("cidr", addresses.UNUSABLE)
def test_what_is_nobodys_is_neither(cidr: str) -> None:
    assert not addresses.is_private(cidr)
    assert not addresses.is_public(cidr)


LENGTHS = {
    # (cidr, subnet_len): right?
    ("10.16.0.0/16", 17): False,  # V2: four subnets at least
    ("10.16.0.0/16", 18): True,
    ("10.16.0.0/16", 30): True,
    ("10.16.0.0/16", 31): False,  # V1
    ("10.16.0.0/28", 30): True,
    ("10.16.0.0/28", 29): False,
    ("10.16.0.0/23", 24): False,  # flannel 0.9.0 takes it, and has one subnet
    ("10.16.0.0/16", -1): False,
    ("10.16.0.0/16", 10**30): False,
}


@pytest.mark.parametrize(("pair", "right"), LENGTHS.items())
def test_lengths_that_flannel_takes(pair: tuple[str, int], right: bool) -> None:
    said = addresses.refuse_length(*pair)
    assert (said == "") == right
    assert right or "a number from" in said


BOUNDS = {
    # (cidr, subnet_len, bound): a word of the refusal
    ("10.16.0.0/16", 24, "10.16.1.0"): "",
    ("10.16.0.0/16", 24, "10.16.0.0"): "",
    ("10.16.0.0/16", 24, "10.17.0.0"): "not in",  # V4
    ("10.16.0.0/16", 24, "10.16.85.5"): "did you mean 10.16.85.0?",  # V5
    ("10.16.0.0/16", 24, "10.16.1.0/24"): "without a length",
    ("10.16.0.0/16", 24, "x"): "without a length",
    ("10.16.0.0/16", 24, "fd00::"): "without a length",
}


@pytest.mark.parametrize(("case", "word"), BOUNDS.items())
def test_bounds(case: tuple[str, int, str], word: str) -> None:
    said = addresses.refuse_bound(*case)
    assert bool(said) == bool(word)
    assert word in said


DEFAULTS = {"10.0.0.0/8": 24, "10.0.0.0/22": 24, "10.0.0.0/23": 25, "10.0.0.0/28": 30}


@pytest.mark.parametrize(("cidr", "length"), DEFAULTS.items())
def test_flannels_default_length(cidr: str, length: int) -> None:
    assert addresses.default_subnet_len(cidr) == length


CAPACITY = {
    ("10.16.0.0/16", 24, "", ""): 255,  # the first is skipped
    ("10.16.0.0/16", 24, "10.16.0.0", ""): 256,
    ("10.16.0.0/16", 24, "10.16.4.0", "10.16.8.0"): 5,
    ("10.16.0.0/16", 24, "10.16.8.0", "10.16.8.0"): 1,
    ("10.16.0.0/16", 24, "10.16.8.0", "10.16.4.0"): -3,
    ("10.16.0.0/28", 30, "", ""): 3,
}


@pytest.mark.parametrize(("case", "room"), CAPACITY.items())
def test_capacity(case: tuple[str, int, str, str], room: int) -> None:
    assert addresses.capacity(*case) == room


def test_the_table_of_lengths() -> None:
    assert addresses.lengths("10.1.1.0/26") == (
        addresses.Length(28, 3, 13),
        addresses.Length(29, 7, 5),
        addresses.Length(30, 15, 1),
    )


FITS = {("10.16.0.0/16", 2): 18, ("10.16.0.0/16", 255): 24, ("10.16.0.0/28", 4): None}


@pytest.mark.parametrize(("case", "length"), FITS.items())
def test_the_length_that_gives_nodes_most(case: tuple[str, int], length: int | None) -> None:
    assert addresses.shortest_for(*case) == length


def test_overlaps_say_which_and_where_from() -> None:
    used = {
        "route on a": ["10.0.0.0/8", "0.0.0.0/0", "192.168.0.0/24"],
        "address of b": ["10.16.3.4/24", "fe80::1/64"],
        "resolver of b": ["10.16.9.9"],
    }
    assert [str(overlap) for overlap in addresses.overlaps("10.16.0.0/16", used)] == [
        "10.0.0.0/8 (route on a)",
        "10.16.3.0/24 (address of b)",
        "10.16.9.9/32 (resolver of b)",
    ]


PROPOSED = {
    "nothing used": ([], "10.16.0.0/16"),
    "the first is taken": (["10.16.200.0/24"], "10.0.0.0/16"),
    "a default route takes nothing": (["0.0.0.0/0", "::/0"], "10.16.0.0/16"),
    "half of ten": (["10.0.0.0/9", "10.128.0.1"], "10.129.0.0/16"),
    "all of ten": (["10.0.0.0/8"], "172.16.0.0/16"),
    "all of both": (["10.0.0.0/8", "172.0.0.0/8"], "192.168.0.0/20"),
    "all of it": (["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], ""),
}


@pytest.mark.parametrize(("used", "free"), PROPOSED.values(), ids=PROPOSED)
def test_proposals(used: list[str], free: str) -> None:
    assert addresses.propose(used) == free


NETS = st.builds(
    lambda value, length: str(IPv4Network((value, length), strict=False)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)


@given(st.lists(NETS, max_size=8))
def test_what_is_proposed_is_right_and_meets_nothing(used: list[str]) -> None:
    free = addresses.propose(used)
    if free:
        assert addresses.refuse_network(free) == ""
        assert addresses.overlaps(free, {"used": used}) == ()


@given(NETS, NETS)
def test_overlaps_agree_with_the_standard_library(one: str, other: str) -> None:
    theirs = IPv4Network(one).overlaps(IPv4Network(other)) and not other.endswith("/0")
    assert bool(addresses.overlaps(one, {"": [other]})) == theirs


@given(st.integers(8, 28).flatmap(lambda p: st.tuples(st.just(p), st.integers(p + 2, 30))))
def test_capacity_agrees_with_a_count(pair: tuple[int, int]) -> None:
    prefix, length = pair
    cidr = f"10.0.0.0/{prefix}"
    assert addresses.refuse_length(cidr, length) == ""
    assert addresses.capacity(cidr, length) == 2 ** (length - prefix) - 1


@given(st.text())
def test_any_text_is_refused_or_right_but_never_an_accident(text: str) -> None:
    if addresses.refuse_network(text) == "":
        assert str(IPv4Network(text)) == text


@pytest.mark.parametrize("text", ["x", "1.2.3", "1.2.3.4/x", ""])
def test_a_range_that_is_none_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a network"):
        addresses.overlaps("10.16.0.0/16", {"": [text]})


def test_inside() -> None:
    assert addresses.inside("10.16.3.4", "10.16.0.0/16")
    assert not addresses.inside("10.17.3.4", "10.16.0.0/16")
