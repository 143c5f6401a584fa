"""What verification asks a node, and how it reads the answers."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwiz.verify import pods
from fedwiz.verify.values import Path, Ping, Pod, Up
from tests.support.measured_cluster import IPUTILS, LINKS, N1, WELL, b64, up_said

PINGS: Mapping[str, tuple[str, Ping]] = {
    "iputils": (
        IPUTILS.format(n=3, loss=0, rtt="rtt min/avg/max/mdev = 0.275/0.322/0.372/0.043 ms\n"),
        Ping(3, 3, "0.28/0.32/0.37"),
    ),
    "all lost": (IPUTILS.format(n=0, loss=100, rtt="\n"), Ping(3, 0)),
    "errors": (
        (
            "From 10.16.29.1 icmp_seq=1 Destination Host Unreachable\n"
            "3 packets transmitted, 0 received, +3 errors, 100% packet loss, time 2030ms\npipe 3\n"
        ),
        Ping(3, 0, "", "From 10.16.29.1 icmp_seq=1 Destination Host Unreachable"),
    ),
    "busybox": (
        (
            "3 packets transmitted, 3 packets received, 0% packet loss\n"
            "round-trip min/avg/max = 0.040/0.063/1034.5 ms\n"
        ),
        Ping(3, 3, "0.04/0.06/1034.50"),
    ),
    "not permitted": (
        "ping: sendto: Operation not permitted\n3 packets transmitted, 0 received\n",
        Ping(3, 0, "", "ping: sendto: Operation not permitted"),
    ),
}


@pytest.mark.parametrize(("said", "ping"), PINGS.values(), ids=PINGS)
def test_what_ping_prints(said: str, ping: Ping) -> None:
    assert pods.read_ping(said) == ping


def test_what_a_node_says_of_its_container() -> None:
    assert pods.read_up(up_said()) == Up(
        "inet 1.2.3.4/8 lo", True, Pod(4711, "net:[4026]", IPv4Address("10.16.29.2"), 1450)
    )
    refused = pods.read_up(up_said(error="docker:\x1b[2J no\nspace"))
    assert (refused.pod, refused.error) == (None, "docker: no space")
    assert not pods.read_up(up_said(docker="no", error="")).docker


NO_ANSWER = {
    "empty": "",
    "cut off": up_said().removesuffix("end \n"),
    "no base64": "docker !\nend \n",
    "a process number that is none": up_said(pid="1; reboot"),
    "the host's own": up_said(pid="0"),
    "a namespace that is none": up_said(netns="$(reboot)"),
    "no address": up_said(links="[]"),
    "no links": up_said(links="{"),
    "deep": up_said(links="[" * 100_000),
    "an address that is none": up_said(links=LINKS.replace("10.16.29.2", "10.16.29.299")),
}


@pytest.mark.parametrize("said", NO_ANSWER.values(), ids=NO_ANSWER)
def test_a_container_is_believed_only_whole(said: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        pods.read_up(said)


def test_what_a_node_says_of_its_pings() -> None:
    said = f"ping 10.16.83.2 {b64(PINGS['iputils'][0])}\nping 10.16.90.2 {b64('oops')}\nend\n"
    assert pods.read_pings(said) == {"10.16.83.2": PINGS["iputils"][1], "10.16.90.2": None}


def test_what_a_node_says_of_its_counts() -> None:
    said = (
        "[3:252] -A INPUT -s 10.16.83.2/32 -p icmp -m icmp --icmp-type 8\n"
        "[0:0] -A INPUT -s 10.16.83.0/32 -p icmp -m icmp --icmp-type 8\nend\n"
    )
    assert pods.read_counts(said) == {"10.16.83.2": 3, "10.16.83.0": 0}


@pytest.mark.parametrize("read", [pods.read_pings, pods.read_counts])
@pytest.mark.parametrize("said", ["", f"ping 10.16.83.2 {b64('x')}\n", "end\nmore"])
def test_figures_are_believed_only_whole(read: Callable[[str], object], said: str) -> None:
    with pytest.raises(ValueError, match="not whole"):
        read(said)


PATHS = (Path("10.16.83.2", 1450, "192.0.2.2", 1500), Path("10.16.90.2", 1400, "", 0))


def test_what_a_node_says_of_large_packets() -> None:
    said = "size 10.16.90.2 1400\nsize 192.0.2.2 0\nsize 10.16.83.2 1354\nend\n"
    assert pods.read_sizes(said, PATHS) == {
        "10.16.83.2": 1354,
        "192.0.2.2": 0,
        "10.16.90.2": 1400,
    }


NO_SIZES = {
    "cut off": "size 10.16.83.2 1450\n",
    "not all": "size 10.16.83.2 1450\nend\n",
    "larger than was sent": "size 10.16.83.2 1451\nend\n",
    "of another": "size 10.16.1.2 100\nend\n",
    "no number": "size 10.16.83.2 -1\nend\n",
    "gone": "the container is gone\n",
}


@pytest.mark.parametrize("said", NO_SIZES.values(), ids=NO_SIZES)
def test_sizes_are_believed_only_whole(said: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        pods.read_sizes(said, PATHS)


@pytest.mark.parametrize(("said", "ended"), [("gone\nend\n", True), ("end\n", False)])
def test_a_node_says_whether_its_container_had_ended(said: str, *, ended: bool) -> None:
    assert pods.read_ended(said) == ended
    assert pods.read_counts(said) == {}


READERS: Mapping[str, Callable[[str], object]] = {
    "up": pods.read_up,
    "pings": pods.read_pings,
    "ping": pods.read_ping,
    "counts": pods.read_counts,
    "sizes": lambda said: pods.read_sizes(said, PATHS),
}
WORDS = st.sampled_from(
    [
        "end",
        "end \n",
        "\n",
        " ",
        "ping ",
        "10.16.29.2",
        "999.1.1.1",
        "docker eWVz",
        "links ",
        "pid ",
        b64(LINKS),
        b64("[{}]"),
        b64('[{"ifname":"e","addr_info":[{"family":"inet","local":1}]}]'),
        "[3:9] -A INPUT -s ",
        "/32 -p icmp",
        "3 packets transmitted, 3 received",
        "٣",
        " min/avg/max = 1/2/3",
        "size 10.16.83.2 1",
        "size 10.16.90.2 9\n",
        "size 192.0.2.2 ",
        "netns ",
        b64("net:[1]"),
        b64("7"),
        "error ",
        "inet ",
    ]
)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@given(said=st.one_of(st.text(), st.lists(st.one_of(WORDS, st.text(max_size=9))).map("".join)))
def test_readers_raise_nothing_but_value_error(read: Callable[[str], object], said: str) -> None:
    with suppress(ValueError):
        read(said)


def test_commands_are_questions_with_a_limit_and_words_stay_words() -> None:
    made = WELL.ups[N1].pod
    asked = [
        pods.up("n", "a b;reboot", ("10.16.29.254", 1450)),
        pods.count(Pod(7, "net:[4]", IPv4Address("10.1.1.1"), 1450), ["10.16.83.2"]),
        pods.ping(Pod(7, "net:[4]", IPv4Address("10.1.1.1"), 1450), ["10.16.83.2", "10.16.90.2"]),
        pods.sizes(Pod(7, "net:[4]", IPv4Address("10.1.1.1"), 1450), "192.0.2.1", PATHS),
        pods.sizes(Pod(7, "net:[4]", IPv4Address("10.1.1.1"), 1450), "", PATHS[1:]),
        pods.down("n", made),
        pods.down("n", None),
    ]
    assert [run.argv[3:] for run in asked] == [
        ("pod-up.sh", "n", "a b;reboot", "60", "10.16.29.254", "1450"),
        ("pod-count.sh", "7", "net:[4]", "10.16.83.2"),
        ("pod-ping.sh", "7", "net:[4]", "10.16.83.2", "10.16.90.2"),
        (
            "pod-mtu.sh",
            "7",
            "net:[4]",
            "192.0.2.1",
            "10.16.83.2",
            "1450",
            "192.0.2.2",
            "1500",
            "10.16.90.2",
            "1400",
            "-",
            "0",
        ),
        ("pod-mtu.sh", "7", "net:[4]", "-", "10.16.90.2", "1400", "-", "0"),
        ("pod-down.sh", "n", "77", "net:[4]"),
        ("pod-down.sh", "n", "0", "none"),
    ]
    assert not any(run.changes for run in asked)
    assert all(run.sudo and 0 < run.timeout < pods.POD_SECONDS for run in asked)
    assert len({pods.new_name() for _ in range(100)}) == 100
