"""Who the machines are: typed, found, read, and what is wrong with them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwiz.discover import Sighting, Target
from fedwiz.facts import Facts
from fedwiz.facts.values import Link, Unit
from fedwiz.wizard import candidates
from fedwiz.wizard.draft import Candidate, Draft

KEY = "SHA256:" + "a" * 43
ETCD = {"etcd.service": Unit("loaded", "active")}


def sighting(address: str, name: str = "", source: str = "", port: int = 22) -> Sighting:
    return Sighting(address, port, name, "SSH-2.0-x", "ssh-ed25519", KEY, source)


def three(**more: str) -> Draft:
    """A draft that is whole, but for what is changed in its second host."""
    named = ("fed-master", "master"), ("fed-node1", "node"), ("fed-node2", "node")
    found = tuple(
        Candidate(f"10.1.0.{at}", name, chosen=True, role="master" if at == 1 else "node")
        for at, (name, _) in enumerate(named, 1)
    )
    draft = Draft(candidates=found, said={"name": "lab", "network": {"cidr": "10.16.0.0/16"}})
    return draft.row(1, **more)


# What is typed.


@pytest.mark.parametrize(
    ("text", "one", "many"),
    [
        ("10.1.0.5", ["10.1.0.5"], 0),
        ("fed-a, 10.1.0.6 fed-b", ["fed-a", "10.1.0.6"], 0),
        ("10.1.0.0/30", [], 2),
        ("10.1.0.5-8; 10.1.0.9", ["10.1.0.9"], 4),
        ("10.1.0.5-10.1.0.6:2222\nfed-a", ["fed-a"], 2),
        (" , ", [], 0),
    ],
)
def test_single_hosts_are_told_from_networks(text: str, one: list[str], many: int) -> None:
    named, swept = candidates.parse_targets(text)
    assert [it.address for it in named] == one
    assert len(swept) == many


def test_all_that_cannot_be_used_is_named_at_once() -> None:
    with pytest.raises(ValueError, match="999") as wrong:
        candidates.parse_targets("10.1.0.999, root@fed-a, 10.1.0.1")
    assert len(str(wrong.value).splitlines()) == 2


def test_pasted_lines_become_one_and_nobody_s_lines_are_left_out() -> None:
    text = """
# The loopback
127.0.0.1   localhost
::1         localhost ip6-localhost
10.1.0.1    fed-master  master   # ours
\t10.1.0.2\tfed-node1

10.1.0.3
"""
    assert candidates.join_lines(text) == (
        "10.1.0.1 fed-master master, 10.1.0.2 fed-node1, 10.1.0.3",
        2,
    )
    one, _ = candidates.parse_targets(candidates.join_lines(text)[0])
    assert [(it.address, it.name) for it in one] == [
        ("10.1.0.1", "fed-master"),
        ("10.1.0.2", "fed-node1"),
        ("10.1.0.3", ""),
    ]


@given(st.text(max_size=80))
def test_pasted_text_of_any_kind_is_one_line(text: str) -> None:
    said, left_out = candidates.join_lines(text)
    assert "\n" not in said
    assert left_out >= 0


def test_who_is_named_is_chosen_and_who_is_only_known_is_not() -> None:
    target = Target("10.1.0.1", 2222, "fed-a", "hosts")
    assert candidates.chosen_from_targets([target]) == (
        Candidate("10.1.0.1", "fed-a", chosen=True, source="hosts", port=2222),
    )
    assert not candidates.from_targets([target])[0].chosen


def test_ssh_config_s_own_names_stay_for_they_say_more_than_an_address() -> None:
    found = candidates.from_targets([Target("10.1.0.1", 2222, "lab-a", "ssh config")])
    assert found == (Candidate("lab-a", "lab-a", source="ssh config"),)


# What is found.


def test_a_search_adds_to_those_that_are_listed_and_lists_others() -> None:
    draft = Draft(
        candidates=(Candidate("10.1.0.1", "mine", chosen=True), Candidate("fed-b", "fed-b"))
    )
    seen = [sighting("10.1.0.1", "x"), sighting("10.1.0.2", "Fed-B"), sighting("10.1.0.3")]
    a, b, c = candidates.add_sightings(draft, seen).candidates
    assert (a.name, a.chosen, a.shown_key) == ("mine", True, f"ssh-ed25519 {KEY}")
    assert (b.address, b.shown_key) == ("fed-b", f"ssh-ed25519 {KEY}")
    assert (c.address, c.chosen, c.source) == ("10.1.0.3", False, "search")


def test_a_host_that_shows_no_key_has_none() -> None:
    bare = replace(sighting("10.1.0.3"), key_type="", fingerprint="")
    assert candidates.add_sightings(Draft(), [bare]).candidates[0].shown_key == ""


def test_who_was_named_and_does_not_answer_says_so() -> None:
    draft = Draft().add(candidates.chosen_from_targets([Target("10.1.0.1"), Target("10.1.0.2")]))
    draft = candidates.add_sightings(draft, [sighting("10.1.0.1")])
    draft = candidates.mark_silent(draft, [Target("10.1.0.1"), Target("10.1.0.2")])
    assert [it.silent for it in draft.candidates] == [False, True]
    found = candidates.judged(draft, {}, {})
    assert [it.seen for it in found.rows[1]] == ["it did not answer as ssh"]
    draft = candidates.add_sightings(draft, [sighting("10.1.0.2")])
    assert not draft.candidates[1].silent


def test_what_a_search_found_is_sorted_by_address_behind_what_was_there() -> None:
    found = [Candidate(text) for text in ("zeta", "10.1.0.9", "10.1.0.10", "10.1.0.2", "alpha")]
    draft = candidates.sorted_from(Draft(candidates=tuple(found)), 1)
    assert [it.address for it in draft.candidates] == [
        "zeta",
        "10.1.0.2",
        "10.1.0.9",
        "10.1.0.10",
        "alpha",
    ]


# What they say of themselves.


def test_names_are_learnt_and_the_master_is_proposed_where_etcd_answers() -> None:
    bare = tuple(Candidate(f"10.1.0.{n}", chosen=True) for n in (1, 2, 3))
    facts = {
        "10.1.0.1": Facts(hostname="fed-a"),
        "10.1.0.2": Facts(hostname="fed-b", units=ETCD),
        "10.1.0.3": Facts(hostname="localhost.localdomain"),
    }
    learnt = candidates.learn(Draft(candidates=bare), facts).candidates
    assert [(it.name, it.role) for it in learnt] == [
        ("fed-a", "node"),
        ("fed-b", "master"),
        ("", "node"),
    ]


def test_what_the_operator_said_is_not_changed() -> None:
    said = three(name="mine").row(0, role="node").row(1, role="master")
    facts = {"10.1.0.1": Facts(hostname="other", units=ETCD), "10.1.0.2": Facts(hostname="x")}
    assert candidates.learn(said, facts) == said


def test_where_nothing_runs_etcd_nobody_is_proposed() -> None:
    bare = Draft(candidates=(Candidate("10.1.0.1", chosen=True),))
    assert candidates.learn(bare, {"10.1.0.1": Facts(hostname="a")}).candidates[0].role == ""


@pytest.mark.parametrize("name", ["", "_bad", "a" * 300, "localhost", "x\x1b[31m", "-a"])
def test_a_host_name_that_is_none_is_not_taken(name: str) -> None:
    bare = Draft(candidates=(Candidate("10.1.0.1", chosen=True),))
    facts = {"10.1.0.1": Facts(hostname=name)}
    draft = candidates.learn(bare, facts)
    assert draft.candidates[0].name == ""
    assert "is not a name" in candidates.judged(draft, facts, {}).rows[0][0].seen


def test_etcd_is_heard_at_its_port_too() -> None:
    assert candidates.runs_etcd(Facts(listening=frozenset({"0.0.0.0:2379"})))
    assert not candidates.runs_etcd(Facts(listening=frozenset({"0.0.0.0:22"})))
    assert not candidates.runs_etcd(None)


# What is wrong.


def card(mac: str, address: str, name: str = "eth0", kind: str = "") -> Link:
    return Link(name, mac, 1500, True, (address,), kind)


TWINS = {
    "host name": (Facts(hostname="a"), Facts(hostname="A")),
    "machine-id": (Facts(machine_id="1" * 32), Facts(machine_id="1" * 32)),
    "MAC address": (
        Facts(links=(card("02:00:00:00:00:01", "10.1.0.2/24"),)),
        Facts(links=(card("02:00:00:00:00:01", "10.1.0.3/24"),)),
    ),
    "address": (
        Facts(links=(card("02:00:00:00:00:01", "10.0.2.15/24"),)),
        Facts(links=(card("02:00:00:00:00:02", "10.0.2.15/24"),)),
    ),
}


@pytest.mark.parametrize("kind", TWINS)
def test_twins_are_told_on_both_rows_with_a_remedy(kind: str) -> None:
    one, other = TWINS[kind]
    found = candidates.judged(three(), {"10.1.0.2": one, "10.1.0.3": other}, {})
    assert not found.blocks
    for at, who in ((1, "10.1.0.3"), (2, "10.1.0.2")):
        (twin,) = found.rows[at]
        assert twin.seen.startswith(f"{who} has the same {kind}: ")
        assert twin.remedy
    assert not found.rows[0]


def test_bridges_and_loopback_and_who_is_not_chosen_are_no_twins() -> None:
    bridge = Facts(
        links=(
            card("02:42:00:00:00:01", "172.17.0.1/16", "docker0", "bridge"),
            card("00:00:00:00:00:00", "127.0.0.1/8", "lo"),
        )
    )
    assert not any(candidates.judged(three(), {"10.1.0.2": bridge, "10.1.0.3": bridge}, {}).rows)
    one, other = TWINS["machine-id"]
    out = three().row(2, chosen=False)
    assert not any(candidates.judged(out, {"10.1.0.2": one, "10.1.0.3": other}, {}).rows)


@pytest.mark.parametrize(
    ("said", "row", "words"),
    [
        ({"name": "_bad"}, 1, "name: '_bad'"),
        ({"name": "fed-node2"}, 2, "10.1.0.2 has it too"),
        ({"address": "10.1.0.1"}, 1, "address: '10.1.0.1': 10.1.0.1 has it too"),
        ({"label": "a b"}, 1, "label: 'a b'"),
        ({"host_key": "SHA256:short"}, 1, "host_key: "),
        ({"interface": "much too long for one"}, 1, "interface: "),
    ],
)
def test_a_refusal_stands_at_its_row(said: dict[str, str], row: int, words: str) -> None:
    found = candidates.judged(three(**said), {}, {})
    (at, first), *more = found.blocks
    assert not more
    assert at == row
    assert words in first.seen
    assert "host[" not in first.seen


def test_a_name_that_was_not_read_yet_is_no_fault() -> None:
    assert not candidates.judged(three(name=""), {}, {}).blocks
    assert candidates.judged(three(name=""), {"10.1.0.2": Facts()}, {}).blocks


@pytest.mark.parametrize(
    ("draft", "words"),
    [
        (Draft(), "0 hosts are chosen"),
        (three().row(0, chosen=False), "2 hosts are chosen"),
        (three().row(0, role="node"), "press m"),
        (three().row(1, role="master"), "2 masters"),
        (three().put("ssh.port", 0), "ssh.port: "),
        (three().put("name", "no good"), "name: 'no good'"),
    ],
)
def test_what_is_no_host_s_is_said_in_this_page_s_words(draft: Draft, words: str) -> None:
    at, found = candidates.judged(draft, {}, {}).blocks[-1]
    assert at == -1
    assert words in found.seen


def test_what_other_pages_ask_is_none_of_this_one_s() -> None:
    draft = three().put("network.cidr", None).put("backend.type", "x")
    assert not candidates.judged(draft, {}, {}).blocks


def test_a_host_that_is_lost_is_in_the_way_and_says_what_to_do() -> None:
    lost = {"10.1.0.2": "there is no route to it"}
    ((at, found),) = candidates.judged(three(), {}, lost).blocks
    assert (at, found.seen) == (1, "there is no route to it")
    assert "press r" in found.remedy
    ((_, found),) = candidates.judged(three(), {}, lost, {"10.1.0.2"}).blocks
    assert "nobody has accepted" in found.seen
    assert not candidates.judged(
        three().row(1, chosen=False).add([Candidate("10.1.0.9", "x", chosen=True, role="node")]),
        {},
        lost,
    ).blocks


@pytest.mark.parametrize(
    ("ports", "said", "settled", "blocks"),
    [
        ((0, 0, 0), None, None, 0),
        ((2222, 2222, 2222), None, 2222, 0),
        ((2222, 2222, 0), None, None, 2),
        ((2222, 2222, 2022), None, None, 3),
        ((2222, 0, 0), 2222, 2222, 0),
        ((2222, 2222, 2222), 22, 22, 3),
    ],
)
def test_one_port_is_taken_where_all_agree(
    ports: tuple[int, ...], said: int | None, settled: int | None, blocks: int
) -> None:
    draft = three().put("ssh.port", said)
    for at, port in enumerate(ports):
        draft = draft.row(at, port=port)
    assert candidates.settle_port(draft).get("ssh.port") == settled
    assert len(candidates.judged(draft, {}, {}).blocks) == blocks


@pytest.mark.parametrize(
    ("draft", "words"),
    [
        (Draft(), "0 hosts are chosen"),
        (three().put("ssh.user", "no such"), "ssh.user"),
        (three().row(1, address="what is this"), "address"),
        (three().put("name", "no good").row(0, role=""), ""),
    ],
)
def test_hosts_can_be_read_before_all_is_right(draft: Draft, words: str) -> None:
    why = candidates.why_unreadable(draft)
    assert words in why
    assert bool(words) == bool(why)
