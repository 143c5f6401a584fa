"""All that an operator does with a cluster, once on real hosts of each generation."""

from pathlib import Path

import pytest

from tests.lab.fixture import LabFactory
from tests.lab.test_diagnose import FORWARDING
from tests.lab.test_install import pids, proven
from tests.lab.test_undo import undone
from tests.support.diagnosis_faults import injected
from tests.support.host_snapshot import as_they_were, snapshot
from tests.support.lab_operator import Operator

pytestmark = [pytest.mark.lab, pytest.mark.smoke, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("generation", ["classic", "modern"])
def test_a_cluster_from_its_check_to_its_undo(
    generation: str, lab_factory: LabFactory, tmp_path: Path
) -> None:
    lab = lab_factory(generation, 3)
    operator = Operator(lab, tmp_path)
    before = {host: snapshot(lab, host) for host in lab.hosts}

    check = operator.fedwiz("check", "--json")
    assert (check.code, check.json["ok"]) == (0, True), check.err
    plan = operator.fedwiz("plan", "--json")
    assert plan.code == 0, plan.err
    assert [bool(plan.json["hosts"][host]) for host in lab.hosts] == [True] * 3
    as_they_were(lab, before)

    digest = plan.json["digest"]
    proven(operator.fedwiz("install", "--approve", digest, "--headless", "--json"), 2)
    assert operator.left() == {}
    daemons = pids(lab)
    again = operator.install("--no-verify")
    assert again.code == 0, again.err
    assert pids(lab) == daemons
    proven(operator.fedwiz("verify", "--json"), 2)

    well = lab.ssh(FORWARDING.node, FORWARDING.shows)
    with injected(lab, FORWARDING):
        ill = lab.ssh(FORWARDING.node, FORWARDING.shows)
        red = operator.fedwiz("verify", "--json")
        assert red.code == 7, red.err
        assert {it["level"] for it in red.verdicts("ping")} == {"fail"}
        mended = operator.fedwiz(
            "diagnose", *FORWARDING.pair, "--apply", "--yes", "--headless", "--json"
        )
        assert mended.code == 0, mended.err
        [found] = mended.json["diagnoses"]
        assert (found["cause"], found["host"]) == (FORWARDING.cause, FORWARDING.node)
        assert lab.ssh(FORWARDING.node, FORWARDING.shows) == well
        proven(operator.fedwiz("verify", "--json"), 2)
        back = operator.fedwiz("undo", mended.json["run"], "--yes", "--headless", "--json")
        assert back.code == 0, back.err
        assert lab.ssh(FORWARDING.node, FORWARDING.shows) == ill

    undone(operator)
    as_they_were(lab, before)
