import json
import shlex
import subprocess
from dataclasses import replace

import pytest

from fedwiz.engine.plan import (
    Lane,
    Part,
    Plan,
    Task,
    make,
    of_host,
    scripts,
    text,
    to_json,
)
from fedwiz.facts import Backup, Facts
from fedwiz.facts.values import File
from fedwiz.model.actions import Action, PutKey, Run, Secret
from fedwiz.scripts import script as as_sent
from fedwiz.steps.flannel import SYSCONFIG
from tests.support.sample_cluster import ANSWERS, BARE, DONE, NODES, answered, on, stored
from tests.unit.test_steps import READY


def test_a_fresh_cluster_gets_the_whole_procedure_in_its_order() -> None:
    plan = make(ANSWERS, BARE)
    assert [part.stage for part in plan.parts] == ["config", "nodes", "peers"]
    assert [part.gate for part in plan.parts] == [True, False, False]
    assert [task.step for task in plan.tasks("fed-master")] == ["keep", "config"]
    steps = [task.step for task in plan.tasks("fed-node2")]
    assert steps == [
        "keep",
        "kernel",
        "link",
        "package",
        "sysconfig",
        "unit",
        "forward",
        "enable",
        "switch",
        "peers",
    ]


def test_a_host_that_could_not_be_asked_has_nothing_planned() -> None:
    known = replace(BARE, hosts={n: f for n, f in BARE.hosts.items() if n != "fed-node2"})
    plan = make(ANSWERS, known)
    assert plan.actions["fed-node2"] == 0
    assert plan.actions["fed-node1"] > 0


def test_the_digest_names_what_is_sent() -> None:
    plan = make(ANSWERS, BARE)
    assert plan.digest == make(ANSWERS, BARE).digest
    others = {
        make(answered("network.cidr=10.17.0.0/16"), BARE).digest,
        make(answered("docker.switch=reboot"), BARE).digest,
        make(ANSWERS, DONE).digest,
        make(ANSWERS, on("fed-node3", sysctls={})).digest,
        # A file that is edited in place: the same command, and another diff.
        make(ANSWERS, on("fed-node3", files={SYSCONFIG: File("# mine\n", 0o644)})).digest,
    }
    assert plan.digest not in others
    assert len(others) == 5


def test_the_digest_names_the_revision_that_is_written_over() -> None:
    """Who approved a write over one value has not approved it over another."""
    seen = (None, 1, 2)
    digests = {whole(PutKey("/config", "{}", "v3", revision)).digest for revision in seen}
    assert len(digests) == len(seen)


def test_the_digest_and_the_text_know_no_secret() -> None:
    def with_password(value: str) -> Plan:
        known = replace(BARE, etcd_password=Secret("etcd password", value))
        return make(answered("etcd.user=flannel"), known)

    one, other = with_password("canary-one"), with_password("canary-two")
    assert one.digest == other.digest
    for told in (text(one), json.dumps(to_json(one)), *scripts(one, ANSWERS).values()):
        assert "canary" not in told


def test_as_json_every_host_is_there_and_a_right_one_is_empty() -> None:
    said = to_json(make(ANSWERS, READY))
    assert set(said["hosts"]) == {"fed-master", *NODES}
    # Its key is right; who had a lease before the nodes get theirs is kept all the same.
    assert [it["step"] for it in said["hosts"]["fed-master"]] == ["keep"]
    again = on("fed-master", READY, backup=Backup(Facts(), frozenset()))
    assert to_json(make(ANSWERS, again))["hosts"]["fed-master"] == []
    [change] = [it for it in to_json(make(ANSWERS, BARE))["hosts"]["fed-node1"] if it["interrupts"]]
    assert change["step"] == "switch"
    assert set(change) >= {"step", "title", "shown", "diff", "interrupts"}


def test_the_text_shows_files_as_diffs_and_each_script_once() -> None:
    said = text(make(ANSWERS, BARE))
    assert '+FLANNEL_ETCD="http://fed-master:2379"' in said
    assert '+{"Network":"10.16.0.0/16"' in said
    assert said.count("switch.sh, as it is sent:") == 1
    assert said.count('"stopping docker"') == 1
    assert "running containers stop" in said
    assert "(as on fed-node1)" in said
    assert said.rstrip().endswith("actions")


def test_what_scripts_share_is_shown_once_before_them() -> None:
    plan = make(answered("docker.switch=reboot"), BARE)
    shared, typed = as_sent("lib"), scripts(plan, ANSWERS)["fed-node1"]
    titles = ("lib.sh", "switch.sh", "settle.sh", "peers.sh")
    alone = [line for kind, line in of_host(plan, "fed-node1") if kind in ("step", "script")]
    for said in (text(plan), "\n".join(alone)):
        assert said.count(shared.splitlines()[0]) == 1
        places = [said.index(f"{name}, as it is sent:") for name in titles]
        assert places == sorted(places)
    assert typed.count(shlex.quote(shared)) == 1
    assert '\nsh -c "$lib_sh$settle_sh" settle.sh docker 90\n' in typed
    assert '\nsh -c "$lib_sh$peers_sh" peers.sh fdb ' in typed
    assert '\nsh -c "$put_sh" put.sh 0644 ' in typed


def test_a_script_that_another_version_sent_is_shown_as_it_was_sent() -> None:
    """A way back from an earlier run holds the text that was recorded then."""
    sent = "# What was shared then.\n" + as_sent("restart")
    said = text(whole(Run(("sh", "-c", sent, "restart.sh", "skip"))))
    assert "lib.sh, as it is sent:" not in said
    first = as_sent("lib").splitlines()[0]
    assert f"restart.sh, as it is sent:\n    # What was shared then.\n    {first}\n" in said


def test_one_host_s_plan_is_whole_each_line_of_its_kind() -> None:
    plan = make(ANSWERS, BARE)
    lines = list(of_host(plan, "fed-node2"))  # nothing is "as on fed-node1"
    kinds = dict[str, list[str]]()
    for kind, line in lines:
        kinds.setdefault(kind, []).append(line)
    titles = [line.partition(":")[0] for line in kinds["step"]]
    assert titles.index("kernel") < titles.index("peers") < titles.index("switch.sh, as it is sent")
    assert any("dnf -y install flannel" in line for line in kinds["run"])
    assert '  +FLANNEL_ETCD="http://fed-master:2379"' in kinds["diff"]
    assert kinds["stops"] == ["  ! running containers stop"]
    assert any("stopping docker" in line for line in kinds["script"])
    assert all("undo: " in line for line in kinds["undo"])
    keep, put = (line for kind, line in of_host(plan, "fed-master") if kind == "run")
    assert keep == "  $ sh keep.sh -"
    assert put.startswith("  $ ETCDCTL_API=")
    again = on("fed-master", DONE, backup=Backup(Facts(), frozenset()))
    assert not list(of_host(make(ANSWERS, again), "fed-master"))


def test_nothing_left_is_said_in_words() -> None:
    assert text(Plan(("a",), ())).splitlines() == ["a: nothing to do", "", "Nothing is left to do."]


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_scripts_are_shell(shell: str) -> None:
    for script in scripts(make(ANSWERS, BARE), ANSWERS).values():
        assert subprocess.run([shell, "-n"], input=script, text=True, check=False).returncode == 0


def test_the_name_of_an_uploaded_file_is_a_word_of_the_script_s() -> None:
    answers = answered(
        "flannel.source=binary",
        "flannel.path=/tmp/my flanneld; reboot",
        f"flannel.sha256={'a' * 64}",
    )
    script = scripts(make(answers, BARE), answers)["fed-node1"]
    assert " <'my flanneld; reboot'\n" in script


@pytest.mark.parametrize(
    ("api", "flags"),
    [
        ("v2", "--ca-file /ca --cert-file /c --key-file /k --username flannel set"),
        ("v3", "--cacert /ca --cert /c --key /k --user flannel put"),
    ],
)
def test_a_script_reaches_etcd_as_the_answers_say(api: str, flags: str) -> None:
    answers = answered(
        "etcd.ca_file=/ca",
        "etcd.cert_file=/c",
        "etcd.key_file=/k",
        "etcd.user=flannel",
        'etcd.endpoints=["https://fed-master:2379"]',
    )
    script = scripts(make(answers, stored(api=api)), answers)["fed-master"]
    assert f"etcdctl {flags} /coreos.com/network/config" in script
    assert f"etcdctl {flags.rpartition(' ')[0]} get /coreos.com/network/config" in script
    assert "ETCDCTL_ENDPOINTS=https://fed-master:2379" in script


def whole(*actions: Action) -> Plan:
    return Plan(("a",), (Part("nodes", False, (Lane("a", (Task("a", "it", "It", actions),)),)),))
