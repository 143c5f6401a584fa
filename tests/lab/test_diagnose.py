"""Causes on real hosts: each injected, named first, mended, and back again when that is undone."""

import asyncio
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

import pytest

from fedwiz.answers.file import Answers
from fedwiz.diagnose import trace
from fedwiz.diagnose.trace import End
from fedwiz.verify import pods
from fedwiz.verify.values import Overlay
from tests.lab.fixture import Lab
from tests.lab.test_verify import answers_for, reached
from tests.support.diagnosis_faults import Fault, cycle, diagnosed, installed
from tests.support.patience import GIVE_UP

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

FORWARDING = Fault(
    "ip-forward",
    "fed-node2",
    "sysctl -qw net.ipv4.ip_forward=0",
    "sysctl -qw net.ipv4.ip_forward=1",
    "sysctl -n net.ipv4.ip_forward",
    said=("does not pass packets on", "sysctl -w net.ipv4.ip_forward=1"),
)


@pytest.fixture(scope="module", params=["classic", "modern"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A cluster that fedwiz has installed."""
    with installed(request.param, tmp_path_factory.mktemp("operator")) as cluster:
        yield cluster


@pytest.fixture
def answers(lab: Lab) -> Answers:
    return answers_for(lab)


async def test_no_cause_is_made_up_where_nothing_is_wrong(lab: Lab, answers: Answers) -> None:
    asked = await diagnosed(lab, answers, ("fed-node1", "fed-node2"), apply=False)
    assert (asked.result.code, asked.diagnoses()) == (0, [])


COUNTING = "iptables-save | grep -c -- '--comment \"fedwiz-probe' || true"


async def test_a_connection_that_is_cut_leaves_no_rule_behind(
    lab: Lab, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "POD_SECONDS", 4)
    net = Overlay(IPv4Network("10.16.0.0/16"), "vxlan", "flannel.1")
    one, two = (
        End(node, IPv4Address(f"10.16.{at}.2"), lab.address(node))
        for at, node in enumerate(lab.nodes[:2], 1)
    )
    async with reached(answers) as (ways, _):
        reply = await ways.sessions[one.host].ask(trace.on(pods.new_name(), net, one, two, "there"))
    assert reply.out.splitlines()[-1].startswith("end")
    assert lab.ssh(one.host, COUNTING).strip() == "12"
    deadline = time.monotonic() + GIVE_UP
    while lab.ssh(one.host, COUNTING).strip() != "0":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)  # the host's own clock is what is waited for


async def test_no_forwarding(lab: Lab, answers: Answers) -> None:
    await cycle(lab, answers, FORWARDING)
