"""The command line as a process: what it says where, and how it ends.  No host, no network."""

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # its stubs are a package more
import pytest

from fedwiz.answers.file import load
from fedwiz.checks import CHECKS
from fedwiz.model.events import RunStarted
from fedwiz.report import schema
from fedwiz.runs.journal import Journal
from fedwiz.verify import KINDS
from tests.support.cli_process import ANSWERS, Shell, at_a_terminal
from tests.support.patience import GIVE_UP

REPORT = jsonschema.Draft202012Validator(schema())


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_help_waits_for_no_library(shell: Shell) -> None:
    """A person tries it first, and completions call it: it costs little more than Python itself."""
    script = (
        "import sys, runpy\n"
        "sys.argv = ['fedwiz', '--help']\n"
        "try: runpy.run_module('fedwiz', run_name='__main__')\n"
        "except SystemExit as end: code = end.code\n"
        "slow = {'pydantic', 'asyncssh', 'etcd3', 'grpc', 'textual'} & set(sys.modules)\n"
        "sys.exit(code or ', '.join(slow) or 0)\n"
    )

    def ran(script: str) -> tuple[float, str]:
        """Seconds of processor time that it takes, and what it writes."""
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=shell.environ(),
            capture_output=True,
            text=True,
            check=False,
            timeout=GIVE_UP,
        )
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        return ended.ru_utime - began.ru_utime + ended.ru_stime - began.ru_stime, done.stdout

    took, bare = zip(*((ran(script), ran("import argparse")) for _ in range(5)), strict=True)
    assert "exit status:" in took[0][1]
    assert min(took)[0] < 6 * min(bare)[0], (took, bare)


def test_the_schema_is_one_and_the_answers_fit_it(shell: Shell) -> None:
    said = shell.fedwiz("schema")
    assert (said.code, said.err) == (0, "")
    jsonschema.Draft202012Validator.check_schema(said.json)
    judge = jsonschema.Draft202012Validator(said.json)
    for path in ANSWERS.glob("*.toml"):
        judge.validate(load(path).model_dump(mode="json"))


def test_the_schema_of_reports_is_told(shell: Shell) -> None:
    said = shell.fedwiz("schema", "report")
    assert (said.code, said.json) == (0, schema())


@pytest.mark.parametrize("path", sorted(ANSWERS.glob("*.toml")), ids=lambda path: path.name)
def test_good_answers_are_valid(path: Path, shell: Shell) -> None:
    words = ("validate", str(path)) if path.stem != "full" else ("validate", str(path), "--json")
    said = shell.call(*words)
    if said.code:  # of a file that names another one, which is not here
        assert re.match(r"flannel\.path: ", said.err)
        return
    assert said.err == ""
    assert said.out


BAD = {
    "unknown-key": "did you mean",
    "syntax": "line",
    "two-masters": "master",
    "duplicates": "has it too",
    "too-small-for-the-nodes": "network.subnet_len",
    "subnet-len-too-short": "network.subnet_len",
    "public-range": "network.cidr",
    "overlapping-range": "network.cidr",
    "host-bits": "did you mean",
    "everything-at-once": ":",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_answers_are_refused_by_key(name: str, shell: Shell) -> None:
    """Each refusal is one line, `key: what was seen; what would be right`, and nothing else."""
    path = str(ANSWERS / f"bad/{name}.toml")
    said = shell.call("validate", path)
    assert (said.code, said.out) == (2, "")
    assert BAD[name] in said.err
    for line in said.err.splitlines():
        assert re.match(r"\S+: .{10,}", line), line

    same = shell.call("check", "-a", path, "--json")
    assert same.code == 2
    assert same.err == said.err
    assert same.json["ok"] is False
    assert [f"{key}: {why}" for key, why in same.json["refused"].items()] == said.err.splitlines()


USAGE: dict[str, tuple[tuple[str, ...], str]] = {
    "no answers": (("install", "--yes"), "-a FILE"),
    "no file": (("check", "-a", "nowhere.toml"), "nowhere.toml: there is no such file"),
    "--set without a value": (("check", "-a", "a.toml", "--set", "name"), "key=value"),
    "--set of an unknown key": (
        ("check", "-a", "a.toml", "--set", "network.cdir=10.0.0.0/16"),
        "did you mean `network.cidr`?",
    ),
    "--set of an unknown host": (("check", "-a", "a.toml", "--set", "host.x.label=y"), "host"),
    "--accept of a near miss": (("demo", "check", "--accept", "clcok"), "did you mean clock?"),
    "--accept of nothing known": (("demo", "check", "--accept", "zzz"), "reachable, in-flight, os"),
    "nobody to approve": (("demo", "install"), "give --yes, or --approve"),
    "nobody to approve, on a terminal": (("demo", "install", "--headless"), "--yes"),
    "approved twice": (("demo", "install", "--yes", "--approve", "0123456789ab"), "not allowed"),
    "unknown fault": (("demo", "--fault", "gremlins"), "no-etcd"),
    "too many hosts": (("demo", "--hosts", "2"), "two nodes or more"),
    "script of an unknown host": (("demo", "plan", "--shell", "--host", "x"), "fed-node1"),
    "unknown run": (("replay", "nope"), "`fedwiz runs` lists them"),
    "no journal": (("replay", "./a.toml"), "not JSON"),
    "nothing to discover": (("discover",), "give a CIDR, a range or a name"),
    "too much to discover": (("discover", "10.0.0.0/8"), "at most"),
    "no sudo password": (
        ("check", "-a", "a.toml", "--set", "ssh.user=me", "--set", "ssh.sudo=ask"),
        "FEDWIZ_SUDO_PASSWORD",
    ),
    "no etcd password": (
        ("check", "-a", "a.toml", "--set", "etcd.user=me"),
        "FEDWIZ_ETCD_PASSWORD",
    ),
    "a kind of verdict by a near miss": (
        ("demo", "verify", "--only", "lease,png"),
        "--only png: no kind of verdict is called that; did you mean ping?",
    ),
    "a kind of verdict of nothing known": (
        ("demo", "verify", "--only", "zzz"),
        "address, lease, subnet_env, peer, ping, mtu",
    ),
    "no kind of verdict": (("demo", "verify", "--only", ","), "--only"),
    "a pair of one": (("demo", "verify", "--pair", "fed-node1"), "fed-node1, fed-node2, fed-node3"),
    "a pair of itself": (("demo", "verify", "--pair", "fed-node1,fed-node1"), "two different"),
    "a pair with the master": (("demo", "verify", "--pair", "fed-master,fed-node1"), "fed-node3"),
    "a pair of three": (("demo", "verify", "--pair", "fed-node1,fed-node2,fed-node3"), "as A,B"),
    "rounds without a watch": (("demo", "verify", "--count", "3"), "give --watch, too"),
    "no rounds": (("demo", "verify", "--watch", "--count", "0"), "1 or more"),
    "a watch of another verb": (("demo", "check", "--watch", "1"), "is of a verification"),
    "a pair of another verb": (("demo", "--pair", "fed-node1,fed-node2"), "is of a verification"),
    "a report of a plan": (("demo", "plan", "--report", "x.md"), "check, install and verify"),
    "a report of no form": (("demo", "verify", "--report", "x.pdf"), ".md, .json, .html, .xml"),
    "a report without an ending": (("demo", "check", "--report", "x"), ".md, .json, .html, .xml"),
    "a report where nothing is": (("demo", "verify", "--report", "no/x.md"), "no directory no"),
    "a report that is a directory": (("demo", "verify", "--report", "d.md"), "is a directory"),
    "a report where nothing can be": (
        ("demo", "install", "--yes", "--report", "/proc/x.xml"),
        "where you may write",
    ),
    "unknown verb": (("instal",), "invalid choice"),
    "an option cut short": (("demo", "--fau=no-etcd"), "unrecognized"),
}


@pytest.mark.parametrize(("words", "sentence"), USAGE.values(), ids=USAGE)
def test_a_wrong_command_is_told_so_at_once(
    words: tuple[str, ...], sentence: str, shell: Shell
) -> None:
    (shell.home / "a.toml").write_text((ANSWERS / "minimal.toml").read_text())
    (shell.home / "d.md").mkdir()
    said = shell.call(*words)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.last
    assert not (shell.home / ".local").exists(), "no run was begun"


def test_a_process_says_the_same(shell: Shell) -> None:
    """One of each kind: what is valid, what is refused, and a wrong command."""
    bad = ("validate", str(ANSWERS / "bad/everything-at-once.toml"))
    good = ("validate", str(ANSWERS / "minimal.toml"))
    for words in (bad, good, USAGE["no answers"][0], USAGE["unknown verb"][0]):
        assert shell.started(*words) == shell.fedwiz(*words) == shell.call(*words)


def test_check_s_document(shell: Shell) -> None:
    said = shell.started("demo", "check", "--json", "--pace", "0", "--hosts", "3")
    assert said.code == 0
    REPORT.validate(said.json)
    assert said.json["ok"] is True
    assert {it["check"] for it in said.json["findings"]} == {check.name for check in CHECKS}
    for finding in said.json["findings"]:
        assert finding.keys() == {"check", "host", "level", "seen", "remedy"}
        assert finding["level"] in ("ok", "warn", "block")
        assert finding["level"] == "ok" or finding["remedy"]


def test_plan_s_document(shell: Shell) -> None:
    said = shell.demo("plan", "--json")
    assert said.code == 0
    assert said.json.keys() >= {"digest", "hosts"}
    assert list(said.json["hosts"]) == ["fed-master", "fed-node1", "fed-node2"]
    for actions in said.json["hosts"].values():
        assert actions
        for action in actions:
            assert action.keys() >= {"step", "title", "shown", "diff", "interrupts"}
    switches = [it for it in said.json["hosts"]["fed-node1"] if it["interrupts"]]
    assert [it["step"] for it in switches] == ["switch"]


def test_install_s_and_verify_s_documents(shell: Shell) -> None:
    done = shell.demo("install", "--yes", "--json")
    assert done.code == 0
    REPORT.validate(done.json)
    assert done.json["run"]
    assert done.json["digest"]
    assert {it["outcome"] for it in done.json["hosts"].values()} == {"ok"}

    said = shell.demo("verify", "--json", "--fault", "forward-drop")
    assert said.code == 7
    REPORT.validate(said.json)
    assert said.json["ok"] is False
    for verdict in said.json["verdicts"]:
        assert verdict.keys() == {"kind", "host", "peer", "level", "seen", "why"}
        assert verdict["kind"] in KINDS
        assert verdict["level"] in ("pass", "fail", "skipped")


def test_a_plan_is_approved_by_its_digest(shell: Shell) -> None:
    digest = shell.demo("plan", "--json").json["digest"]
    done = shell.demo("install", "--approve", digest, "--json")
    assert (done.code, done.json["digest"]) == (0, digest)

    never = shell.demo("install", "--approve", "0123456789ab")
    assert never.code == 9
    assert "this machine never showed" in never.last

    other = shell.demo("install", "--approve", digest, "--set", "network.subnet_len=25")
    assert other.code == 9
    assert "the answers" in other.last
    assert "look at `fedwiz plan` again" in other.last


def test_a_block_is_accepted_by_its_name(shell: Shell) -> None:
    blocked = shell.demo("check", "--json", "--fault", "overlap")
    assert blocked.code == 3
    names = {it["check"] for it in blocked.json["findings"] if it["level"] == "block"}
    assert names == {"network-overlap"}

    accepted = shell.demo("check", "--json", "--fault", "overlap", "--accept", "network-overlap")
    assert accepted.code == 0
    levels = {it["check"]: it["level"] for it in accepted.json["findings"]}
    assert levels["network-overlap"] == "warn"


def test_runs_are_listed_and_told_again(shell: Shell) -> None:
    assert "no runs are recorded" in shell.fedwiz("runs").out
    assert shell.fedwiz("runs", "--json").json == []
    first = shell.demo("install", "--yes")
    second = shell.demo("check", "--fault", "no-etcd")
    assert (first.code, second.code) == (0, 3)

    listed = shell.fedwiz("runs", "--json").json
    assert [(it["verb"], it["outcome"], it["practice"]) for it in listed] == [
        ("check", "failed", "no-etcd"),
        ("install", "ok", "healthy"),
    ]
    assert [line.split()[0] for line in shell.fedwiz("runs").out.splitlines()] == [
        it["run"] for it in listed
    ]
    # Times are of the clock's, so they are the same in a replay, and so is all else.
    again = shell.fedwiz("replay", listed[1]["run"])
    assert (again.code, again.out, again.err) == (0, first.out, first.err)
    records = shell.fedwiz("replay", listed[1]["run"], "--json").out.splitlines()
    kinds = [json.loads(line)["event"] for line in records]
    assert (kinds[0], kinds[-1]) == ("RunStarted", "RunEnded")


def test_what_a_journal_says_reaches_no_terminal_as_it_is(shell: Shell) -> None:
    where = shell.home / ".local/state/fedwiz/runs/20260101-000001-0000.jsonl"
    with Journal(where) as journal:
        journal.emit(RunStarted("in\x1b[2Jstall", "l\x1b[2Jab", ("a\x1b[2J", "b")))
    listed = shell.call("runs")
    assert "install" in listed.out
    assert "\x1b" not in listed.out + listed.err


def test_the_journal_is_the_owner_s_alone(shell: Shell) -> None:
    shell.demo("check")
    for path in (shell.home / ".local/state/fedwiz").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_without_a_journal_nothing_is_begun(shell: Shell) -> None:
    (shell.home / "file").write_text("")
    said = shell.demo("install", "--yes", XDG_STATE_HOME=str(shell.home / "file"))
    assert (said.code, said.out) == (2, "")
    assert "no journal can be kept in" in said.err
    assert "XDG_STATE_HOME" in said.err
    assert len(said.err.splitlines()) == 1


def test_a_reader_that_has_gone_changes_nothing(shell: Shell) -> None:
    """`fedwiz ... | head -n 1`, and a terminal that was closed: the run ends as it would have."""
    for stream in ("out", "err"):
        read, write = os.pipe()
        os.close(read)
        log = (shell.home / "log").open("w+")
        argv = [
            sys.executable,
            "-W",
            "error",
            "-m",
            "fedwiz",
            "demo",
            "install",
            "--yes",
            "--hosts",
            "3",
            "--pace",
            "0",
        ]
        done = subprocess.run(
            argv,
            env=shell.environ(),
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=GIVE_UP,
            stdout=write if stream == "out" else log,
            stderr=write if stream == "err" else log,
        )
        os.close(write)
        log.seek(0)
        assert done.returncode == 0
        assert "Traceback" not in log.read()
        log.close()
    assert [it["outcome"] for it in shell.fedwiz("runs", "--json").json] == ["ok", "ok"]


def test_a_failure_is_said_in_one_last_sentence(shell: Shell) -> None:
    said = shell.demo("install", "--yes", "--fault", "docker-refuses")
    assert said.code == 5
    assert re.match(r"fedwiz: fed-node\d.*; the same command continues from here$", said.last)
    reason = said.last.removeprefix("fedwiz: ").partition(": ")[2].partition(";")[0]
    assert sum(reason in line for line in said.err.splitlines()) <= 3


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_on_a_question_closes_at_once(presses: int, shell: Shell) -> None:
    """Nothing was started on a host that would have to end."""
    argv = [sys.executable, "-W", "error", "-m", "fedwiz", "demo", "check", "--pace", "5"]
    with subprocess.Popen(
        argv, env=shell.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        running.stderr.readline()
        for _ in range(presses):
            running.send_signal(2)
        _, err = running.communicate(timeout=GIVE_UP)
    assert running.returncode == 130
    assert "Traceback" not in err
    assert "closed by the operator" in err


@pytest.mark.parametrize(
    ("typed", "code", "last"),
    [
        ("practice\n", 0, "ended: ok"),
        ("no\n", 2, "nothing was changed"),
        ("\x03", 130, "closed by the operator"),
    ],
    ids=["the name", "another word", "Ctrl+C"],
)
def test_a_plan_is_approved_at_the_terminal(shell: Shell, typed: str, code: int, last: str) -> None:
    with at_a_terminal(shell, "demo", "install", "--pace", "0") as terminal:
        assert "switch.sh" in terminal.until("Type practice to do all this: ")
        terminal.type(typed)
        assert terminal.end() == code
        assert last in terminal.seen
