"""Causes on real hosts: each injected, named first, mended, and back again when that is undone."""

from collections.abc import Iterator

import pytest

from fedwiz.answers import Answers
from tests.faulty import Fault, cycle, diagnosed
from tests.lab.fixture import Lab, require_lab
from tests.operator import Operator
from tests.test_verify_lab import answers_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

FORWARDING = Fault(
    "ip-forward", "fed-node2",
    "sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.ip_forward=1",
    "sysctl -n net.ipv4.ip_forward",
    said=("does not pass packets on", "sysctl -w net.ipv4.ip_forward=1"),
)  # fmt: skip


@pytest.fixture(scope="module", params=["classic", "modern"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A cluster that fedwiz has installed."""
    require_lab()
    with Lab.up(request.param, 4) as cluster:
        said = Operator(cluster, tmp_path_factory.mktemp("operator")).install()
        assert said.code == 0, said.err
        yield cluster


@pytest.fixture
def answers(lab: Lab) -> Answers:
    return answers_for(lab)


async def test_no_cause_is_made_up_where_nothing_is_wrong(lab: Lab, answers: Answers) -> None:
    asked = await diagnosed(lab, answers, ("fed-node1", "fed-node2"), apply=False)
    assert (asked.result.code, asked.diagnoses()) == (0, [])


async def test_no_forwarding(lab: Lab, answers: Answers) -> None:
    await cycle(lab, answers, FORWARDING)
