"""Lists, counts and names that checks, reports and screens share."""

import pytest

from fedwiz.model.verdicts import PER_PAIR, VERDICT_KINDS, noun, title
from fedwiz.util.words import arrow, count, some, where


@pytest.mark.parametrize(
    ("names", "most", "text"),
    [
        ("", 4, ""),
        ("a", 4, "a"),
        ("abcd", 4, "a, b, c, d"),
        ("abcdef", 4, "a, b, c, d and 2 more"),
        ("abcdef", 6, "a, b, c, d, e, f"),
    ],
)
def test_a_long_list_ends_in_the_number_of_the_rest(names: str, most: int, text: str) -> None:
    assert some(iter(names), most) == text


def test_a_count_has_its_noun_in_the_singular_or_the_plural() -> None:
    assert [count(number, "node") for number in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]
    assert count(2, "address", "addresses") == "2 addresses"


def test_names_of_hosts_are_sanitized() -> None:
    assert arrow("a\x1b[2J", "b") == "a -> b"
    assert [where("a\x1b[2J"), where("")] == ["a", "cluster"]


def test_a_kind_of_a_newer_fedwiz_keeps_its_own_name() -> None:
    assert [title("ping"), title("tcp"), title("")] == [
        "Pings between containers",
        "tcp",
        "Other verdicts",
    ]
    assert [noun("peer"), noun("tcp")] == ["the way", "tcp"]
    assert set(PER_PAIR) < set(VERDICT_KINDS)
