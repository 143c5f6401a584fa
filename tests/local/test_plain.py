"""The wizard in lines: the same questions, the same answers, the same plan as on screens."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from fedwiz import cli
from fedwiz.answers.file import Answers, load, read, repeat
from fedwiz.cli.plain import hosts
from fedwiz.cli.plain.prompt import KEYS_HELP
from fedwiz.engine import plan
from fedwiz.practice import practice_answers
from fedwiz.runs import journal as journals
from fedwiz.ssh import known_hosts
from fedwiz.util import files
from fedwiz.wizard.draft import Draft, load_saved
from fedwiz.wizard.inventory import inventory
from tests.local.test_resume import Past
from tests.support.cli_process import ANSWERS, Said, Shell, Terminal, at_a_terminal
from tests.support.pilot import filled
from tests.support.sshd import WHY_NOT, Home

NAME, WHERE, WHO = "What is the cluster called?", "Where are the hosts?", "Which of them belong"
USER, KEYS_RIGHT, CHANGE = "Which user logs in?", "Are they right?", "Which one is to be changed?"
CIDR, LENGTH = "Which addresses do the containers get?", "How long is each node's prefix?"
BACKEND, OPTION, FACE = "Which backend?", "Which option of", "Which node's interface"
OTHER, NOW, APPROVE = "Which other answer", "What now?", "to do all this"
ALL = (NAME, WHERE, WHO, USER, KEYS_RIGHT, CHANGE, CIDR, LENGTH, BACKEND, OPTION, OTHER, APPROVE)
"""All that is asked where there is one way only, in order."""

FIRST = "What is to be done?"
AND, DOCKER, READY = "  and", "How does docker move", "How long may flanneld take"
ELSE = "Where else are hosts?"
KNOWN = (
    *ALL,
    AND,
    ELSE,
    FACE,
    FIRST,
    NOW,
    DOCKER,
    READY,
    "What is the host called?",
    "What does it do?",
    "Which label does",
)
END = "EOF"
"""In place of an answer: there is no more input."""

Says = Mapping[str, str | Sequence[str]]
"""What is typed at each question; an empty line at all the others, and at the end of a list."""

AGAIN: Says = {APPROVE: "practice"}
USUAL: Says = {KEYS_RIGHT: "yes", **AGAIN}
QUICK = ("--pace", "0")


@pytest.fixture(autouse=True)
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".local/state"))  # where the shell's is
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path)


class Typist(StringIO):
    """Standard error of a command, and whoever reads it and answers what is asked, until it ends.

    The command is carried out in this process, since to start one for each takes longer.
    """

    def __init__(self, *words: str, says: Says) -> None:
        super().__init__()
        self.asked: list[str] = []
        """Each question, as it stands there."""

        self._says = {key: [it] if isinstance(it, str) else list(it) for key, it in says.items()}
        self.said = self._run(words)
        err = self.said.err
        assert "Traceback" not in err, err
        left = {key: it for key, it in self._says.items() if it}
        assert not left, f"never asked: {left}\n{err[-2000:]}"

    def _run(self, words: Sequence[str]) -> Said:
        reads, writes = os.pipe()
        with (
            redirect_stderr(self),
            redirect_stdout(StringIO()) as out,
            pytest.MonkeyPatch.context() as patch,
            os.fdopen(reads) as typed,
            os.fdopen(writes, "wb", buffering=0) as self._typed,
        ):
            patch.setattr(sys, "stdin", typed)
            code = cli.main(words)
        return Said(code, out.getvalue(), self.getvalue())

    def write(self, text: str) -> int:
        """Answer, where this is a question."""
        wrote = super().write(text)
        if not text.endswith("\n"):
            try:
                answer = self._answer()
            except AssertionError:
                self._typed.close()  # which ends the command
                raise
            if answer is None:
                self._typed.close()
            else:
                self._typed.write(f"{answer}\n".encode())
        return wrote

    def _answer(self) -> str | None:
        """What is typed at the question that stands there; None: there is no more input."""
        question = self.getvalue().rpartition("\n")[2]
        key = next((key for key in (*self._says, *KNOWN) if key in question), "")
        assert key, f"nobody knows the question {question!r}"
        assert question.endswith(": ")
        self.asked.append(question)
        assert len(self.asked) < 60, self.asked
        waiting = self._says.get(key)
        answer = waiting.pop(0) if waiting else ""
        return None if answer == END else answer

    def questions(self) -> list[str]:
        """What was asked, in order, by the words above."""
        return [next((key for key in KNOWN if key in it), it) for it in self.asked]

    @property
    def digest(self) -> str:
        """Of the plan that was shown."""
        found = re.search(r"^plan (\w{12}): \d+ actions", self.said.err, re.MULTILINE)
        assert found, self.said.err
        return found[1]


def test_all_that_is_needed_is_asked_and_no_more() -> None:
    typist = Typist("demo", "--plain", *QUICK, says=USUAL)
    assert typist.questions() == list(ALL)
    assert typist.said.code == 0
    assert typist.said.out.startswith("Practice cluster practice (healthy): 83 actions done")
    assert "fed-node1   switch    ok" in typist.said.err
    assert load_saved("healthy") is None, "there is nothing left to go on with"


def test_a_script_can_type_it_all(shell: Shell) -> None:
    """A pipe that is full from the beginning, with a line end of another system in it."""
    typed = "\n\n\r\n\nyes\n\n\n\n\n\n\npractice\n"
    said = shell.fedwiz("demo", "--plain", *QUICK, typed=typed)
    assert said.code == 0
    assert "Which user logs in? [root]: \n" in said.err


HOST, ROLE, LABEL = "What is the host called?", "What does it do?", "Which label does Kubernetes"
PUBLIC, WHICH = "Are public addresses all right?", "Type the name of the finding"
FAULTS: dict[str, tuple[str, Says, int, str]] = {
    "a host that is silent": (
        "unreachable",
        {CHANGE: ["3"], HOST: "fed-node2"},
        4,
        "does not answer on port 22",
    ),
    "a host that is silent, and nobody is there": (
        "unreachable",
        {CHANGE: END, APPROVE: []},
        4,
        "does not answer on port 22",
    ),
    "a host that is silent, and left out": ("unreachable", {CHANGE: "-3"}, 0, "exit code 0"),
    "another key than before": (
        "changed-key",
        {CHANGE: ["3"], HOST: "fed-node2"},
        4,
        "is not the one in known_hosts",
    ),
    "interfaces of a NAT": ("nat-twins", {}, 0, "exit code 0"),
    "interfaces of a NAT that stay": ("nat-twins", {FACE: "none"}, 3, "no peer reaches it"),
    "a public network": ("public-cidr", {}, 0, "exit code 0"),
    "a public network of one's own": (
        "public-cidr",
        {CIDR: "18.16.0.0/16", PUBLIC: "yes"},
        0,
        "exit code 0",
    ),
    "a network in use": ("overlap", {CIDR: ["10.16.0.0/16", ""]}, 0, "exit code 0"),
    "a network in use that stays": (
        "overlap",
        {CIDR: ["10.16.0.0/16", "10.16.0.0/16"]},
        3,
        "overlaps",
    ),
    "no master to be seen": (
        "no-etcd",
        {CHANGE: ["1"], ROLE: "master"},
        3,
        "etcd",
    ),
    "a finding that is accepted": (
        "disk-full",
        {NOW: "accept", WHICH: "disk"},
        0,
        "exit code 0",
    ),
    "nobody to say what now": ("disk-full", {NOW: END}, 3, "fed-node2"),
    "docker that does not start": (
        "docker-refuses",
        {},
        5,
        "the same command continues from here",
    ),
    "a rule that drops": ("forward-drop", {}, 7, "fed-node"),
}


@pytest.mark.parametrize(("fault", "says", "code", "last"), FAULTS.values(), ids=FAULTS)
def test_faults_end_as_they_should(fault: str, says: Says, code: int, last: str) -> None:
    if code in (3, 4):
        says = {key: it for key, it in USUAL.items() if key != APPROVE} | dict(says)
    else:
        says = {**USUAL, **says}
    typist = Typist("demo", "--plain", "--fault", fault, *QUICK, says=says)
    assert typist.said.code == code, typist.said.last
    assert last in typist.said.last
    if code in (3, 4):
        assert typist.said.out == "", "no run was begun"
    draft = load_saved(fault)
    assert (draft is None) == (code == 0)


ENDS = {
    NAME: "name",
    WHERE: "host",
    WHO: "host",
    USER: "ssh.user",
    KEYS_RIGHT: "host",
    CHANGE: "host",
    CIDR: "network.cidr",
    LENGTH: "network.subnet_len",
    BACKEND: "backend.type",
    OPTION: "backend.vni",
    APPROVE: "approval",
}


@pytest.mark.parametrize(("question", "key"), ENDS.items(), ids=ENDS.values())
def test_where_the_input_ends_the_missing_answer_is_named(question: str, key: str) -> None:
    says = {KEYS_RIGHT: "yes"} if list(ALL).index(question) > list(ALL).index(KEYS_RIGHT) else {}
    typist = Typist("demo", "--plain", *QUICK, says=says | {question: END})
    assert typist.said.code == 2
    assert typist.said.last == f"fedwiz: {key}: no answer, and the input has ended"


def test_a_question_can_be_gone_back_to() -> None:
    says = {**USUAL, CIDR: ["<", "10.20.0.0/16", "10.30.0.0/16"], LENGTH: ["<", ""]}
    typist = Typist("demo", "--plain", *QUICK, says=says)
    asked = typist.questions()
    at = asked.index(CIDR)
    assert asked[at - 1 : at + 5] == [CHANGE, CIDR, CHANGE, CIDR, LENGTH, CIDR]
    assert "[10.20.0.0/16]" in typist.asked[at + 4]
    assert typist.said.code == 0
    assert '"Network":"10.30.0.0/16"' in typist.said.err


def test_before_the_first_question_is_what_is_to_be_done() -> None:
    says = {NAME: ["<", END], FIRST: "4", "What is wrong with it?": "forward-drop"}
    typist = Typist("demo", "--plain", *QUICK, says=says)
    assert [
        it in asked
        for it, asked in zip((NAME, FIRST, "What is wrong", NAME), typist.asked, strict=True)
    ] == [True] * 4
    assert load_saved("forward-drop") is not None


REFUSED: dict[str, tuple[Says, str]] = {
    "a name": ({NAME: ["no name!", ""]}, "letters"),
    "a place": ({WHERE: ["10.0.0.0/8", ""]}, "at most"),
    "nobody there": (
        {WHERE: ["192.168.5.0/29", "192.168.122.70-90"]},
        "no host answers there",
    ),
    "too few": ({WHO: ["1 2", "1-9", "x", ""]}, "2 chosen: a cluster has one master"),
    "a user": ({USER: ["Root!", ""]}, "Root!"),
    "yes": ({KEYS_RIGHT: ["y", "yes"]}, "type yes or no"),
    "a number": ({CHANGE: ["9", ""]}, "a number from 1 to 4"),
    "a network": ({CIDR: ["10.16.0.1/16", ""]}, "did you mean 10.16.0.0/16?"),
    "a length": ({LENGTH: ["31", "many", ""]}, "a number from 18 to 30"),
    "a backend": ({BACKEND: ["7", "vxlam", ""]}, "a number from 1 to 6"),
    "an option": ({OPTION: ["vnii", ""]}, "did you mean"),
    "an option's value": (
        {OPTION: ["vni", ""], "Which VXLAN network": ["0", "7"]},
        "a number from 1 to",
    ),
    "another answer": ({OTHER: ["etcd.prefx", ""]}, "etcd.prefix"),
}


@pytest.mark.parametrize(("says", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_said_and_asked_again(says: Says, why: str) -> None:
    says = {**USUAL, **says, APPROVE: ["wrong"]}
    typist = Typist("demo", "--plain", *QUICK, says=says)
    assert typist.said.code == 2
    assert typist.said.last == "fedwiz: not approved; nothing was changed"
    assert why in typist.said.err


def test_a_host_is_told_anew_and_there_is_one_master() -> None:
    says = {
        KEYS_RIGHT: "yes",
        CHANGE: ["2", "-4", "1", ""],
        HOST: ["lab-1", "<"],
        ROLE: "master",
        LABEL: "first",
        CIDR: END,
    }
    Typist("demo", "--plain", *QUICK, says=says)
    draft = load_saved("healthy")
    assert draft is not None
    assert [(it.name, it.role, it.label) for it in draft.chosen] == [
        ("fed-master", "node", ""),
        ("lab-1", "master", "first"),
        ("fed-node2", "node", ""),
    ]


def test_help_is_there_at_every_question() -> None:
    says = {key: ["?", {KEYS_RIGHT: "yes", APPROVE: "no"}.get(key, "")] for key in ALL}
    typist = Typist("demo", "--plain", *QUICK, says=says)
    assert typist.said.err.count(KEYS_HELP) == len(ALL)
    for key in (*ENDS.values(), "etcd.prefix ="):
        if key.startswith("etcd"):
            assert key in typist.said.err


SAME: dict[str, tuple[Says, dict[str, object]]] = {
    "nothing but what is proposed": ({}, {}),
    "a network": (
        {CIDR: "172.20.0.0/16", LENGTH: "26"},
        {"network.cidr": "172.20.0.0/16", "network.subnet_len": 26},
    ),
    "a backend": ({BACKEND: "host-gw"}, {"backend.type": "host-gw"}),
    "its options": (
        {OPTION: ["vni", "backend.direct_routing"], "Which VXLAN": "77", "Route directly": "yes"},
        {"backend.vni": 77, "backend.direct_routing": True},
    ),
    "answers of other sections": (
        {
            OTHER: ["docker.switch", "flannel.options", "etcd.prefix"],
            "How does docker": "reboot",
            "Which more options": "-ip-masq -v=2",
            "Under which key?": "/flannel",
        },
        {
            "docker.switch": "reboot",
            "flannel.options": ["-ip-masq", "-v=2"],
            "etcd.prefix": "/flannel",
        },
    ),
    "a name": ({NAME: "my-lab", APPROVE: "my-lab"}, {"name": "my-lab"}),
}


@pytest.mark.parametrize(("says", "puts"), SAME.values(), ids=SAME)
def test_the_same_decisions_give_the_same_answers_and_plan(
    shell: Shell, says: Says, puts: Mapping[str, object]
) -> None:
    """In lines, and said of a draft; and the file that is left repeats both."""
    draft = filled("review")
    for path, value in puts.items():
        draft = draft.put(path, value)
    answers = draft.answers()
    typist = Typist("demo", "--plain", *QUICK, says={**USUAL, **says})
    assert typist.said.code == 0
    (file,) = (shell.home / ".local/state/fedwiz/runs").glob("*.toml")
    assert load(file) == answers
    assert file.read_text() == repeat(answers)
    assert Draft.of(read(file)).stops == ("review", "install", "verify")
    for said in (answers, load(file)):
        assert asyncio.run(digest(draft, said)) == typist.digest


async def digest(draft: Draft, answers: Answers) -> str:
    """Of the plan for these answers."""
    machines = inventory(draft)
    await machines.read(answers)
    await machines.accept(list(machines.unknown.values()))
    return plan.make(answers, await machines.read(answers)).digest


def test_only_what_is_missing_or_listed_is_asked() -> None:
    """On a practice cluster, from a draft as a file makes it."""
    data = filled("review").data()
    del data["network"]
    data |= {"wizard": {"ask": ["docker"]}}
    draft = Draft.of(data)
    keep_draft(replace(draft, page=draft.stops[0], practice="healthy", pace=0.0))
    typist = Typist("demo", "--plain", *QUICK, says=AGAIN)
    assert typist.questions() == [CIDR, LENGTH, DOCKER, READY, OTHER, APPROVE]
    assert typist.said.code == 0


def keep_draft(draft: Draft) -> None:
    """As if it had been said before."""
    from fedwiz.wizard.draft import save

    save(draft)


def test_a_cluster_is_proven_in_lines() -> None:
    draft = replace(filled("hosts"), goal="verify", stops=("hosts", "network", "verify"))
    said = {key: table for key, table in draft.said.items() if key != "network"}
    keep_draft(replace(draft, said=said))
    typist = Typist("demo", "--plain", *QUICK, says={KEYS_RIGHT: "yes"})
    assert BACKEND not in typist.questions()
    assert typist.said.code == 0, typist.said.err
    assert "all 6 pairs of nodes ping" in typist.said.out


def cut_off() -> None:
    """A run that was cut off on hosts that refuse everybody by now."""
    run = Past("install", None, cluster="practice")
    run.write(1)
    answers = repeat(practice_answers(3)).replace("192.168.122.", "127.0.0.")
    files.write(journals.answers_path("20260101-000001-0000"), answers)


def test_a_run_that_was_cut_off_is_offered_first() -> None:
    cut_off()
    it = Typist("--plain", says={FIRST: ""})
    assert "   1  Resume: a run of 2026-01-01 " in it.said.err
    assert "It stopped at fed-node1, Start flanneld and move docker" in it.said.err
    assert len(it.asked) == 1
    assert it.said.code == 4
    draft = load_saved()
    assert draft is not None
    assert (draft.page, draft.name) == ("install", "practice")
    assert journals.find(draft.run).is_file()
    # The run that could not begin leaves the one before it to go on with.
    assert "Resume: a run of 2026-01-01 " in Typist("--plain", says={FIRST: END}).said.err


def test_something_else_is_begun_as_easily() -> None:
    cut_off()
    it = Typist("--plain", says={FIRST: "new", NAME: END})
    assert it.said.code == 2
    assert [each.partition("?")[0] + "?" for each in it.asked] == [FIRST, NAME]


def test_a_wizard_that_was_killed_goes_on_where_it_was(shell: Shell) -> None:
    with at_a_terminal(shell, "demo", "--plain", *QUICK) as terminal:
        type_up_to(terminal, CIDR)
        terminal.type("10.77.0.0/16\n")
        terminal.until(LENGTH)
        terminal.running.send_signal(signal.SIGKILL)
        terminal.end()
    before = load_saved("healthy")
    assert before is not None
    assert [it.name for it in before.chosen][:2] == ["fed-master", "fed-node1"]
    typist = Typist("demo", "--plain", *QUICK, says=AGAIN)
    assert "practice: going on at network" in typist.said.err
    assert typist.questions()[0] == CIDR
    assert "[10.77.0.0/16]" in typist.asked[0]
    assert typist.said.code == 0


def type_up_to(terminal: Terminal, wanted: str) -> None:
    """Take all that is proposed, up to some question."""
    for key in ALL[: ALL.index(wanted)]:
        terminal.until(key)
        terminal.type(f"{USUAL.get(key, '')}\n")
    terminal.until(wanted)


def test_ctrl_c_at_a_question_leaves_and_keeps_what_was_said(shell: Shell) -> None:
    with at_a_terminal(shell, "demo", "--plain", *QUICK) as terminal:
        type_up_to(terminal, LENGTH)
        terminal.type("\x03")
        assert terminal.end() == 130
        assert "continues from here" in terminal.seen
    draft = load_saved("healthy")
    assert draft is not None
    assert draft.page == "network"


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_lets_what_runs_end_and_twice_closes(presses: int, shell: Shell) -> None:
    with at_a_terminal(shell, "demo", "--plain", "--pace", "0.3") as terminal:
        type_up_to(terminal, APPROVE)
        terminal.type("practice\n")
        terminal.until("dnf -y install flannel")
        terminal.type("\x03")
        terminal.until("starting no other")
        if presses == 2:
            terminal.type("\x03")
        assert terminal.end() == 130
        assert "the same command continues from here" in terminal.seen
    draft = load_saved("healthy")
    assert draft is not None
    assert draft.run, "it knows the run that was begun"


def test_an_install_that_did_not_get_through_is_approved_anew() -> None:
    """What was said stays, the machines of a practice cluster do not."""
    Typist("demo", "--plain", "--fault", "docker-refuses", *QUICK, says=USUAL)
    again = Typist("demo", "--plain", "--fault", "docker-refuses", *QUICK, says=AGAIN)
    assert again.questions() == [OTHER, APPROVE]
    assert again.said.code == 5


def test_a_password_is_not_shown(shell: Shell) -> None:
    text = (ANSWERS / "minimal.toml").read_text()
    file = shell.home / "a.toml"
    file.write_text(re.sub(r"192\.168\.122\.(\d+)", r"127.0.0.\1", text))
    sets = ("--set", "ssh.user=me", "--set", "ssh.sudo=ask", "--set", "ssh.port=1")
    with at_a_terminal(shell, "--plain", "-a", str(file), *sets) as terminal:
        terminal.until(OTHER)
        terminal.type("\n")
        terminal.until("sudo password of me: ")
        terminal.type("correct horse\n")
        terminal.until(NOW)
        terminal.type("\x04")  # the end of input
        assert terminal.end() == 4
        assert "correct horse" not in terminal.seen
    assert "correct horse" not in files.place().read_text()


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_keys_of_real_hosts_are_accepted_all_at_once(home: Home) -> None:
    """Three addresses of one real sshd: found, listed, read over SSH."""
    server = home.serve("ListenAddress 127.0.0.2", "ListenAddress 127.0.0.3")
    says = {WHERE: f"127.0.0.1-3:{server.port}", KEYS_RIGHT: ["no", "yes"], CHANGE: ["r", END]}
    typist = Typist("--plain", says=says)
    assert typist.questions() == [
        FIRST,
        NAME,
        WHERE,
        AND,
        WHO,
        USER,
        KEYS_RIGHT,
        CHANGE,
        KEYS_RIGHT,
        CHANGE,
    ]
    err = typist.said.err
    shown = re.escape(known_hosts.fingerprint(server.key.split()[1]))
    assert len(re.findall(rf"127\.0\.0\.\d +ssh-ed25519 {shown}", err)) >= 6
    assert "nobody has accepted its host key yet" in err
    assert "have the same machine-id:" in err
    written = known_hosts.read([home.known_hosts])
    for address in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        (entry,) = known_hosts.host_entries(written, address, server.port).keys
        assert f"{entry.kind} {entry.blob}" == server.key
    draft = load_saved()
    assert draft is not None
    assert draft.get("ssh.port") == server.port


NUMBERS = {
    "1-4 6": [1, 2, 3, 4, 6],
    "1,2, 3": [1, 2, 3],
    "all": [1, 2, 3, 4, 5, 6],
    "6 6 5": [6, 5],
}


@pytest.mark.parametrize(("text", "found"), NUMBERS.items(), ids=NUMBERS)
def test_numbers(text: str, found: list[int]) -> None:
    assert hosts.numbers(text, 6) == found


@pytest.mark.parametrize("text", ["0", "7", "4-2", "-1", "1-", "one", "1-9999999999", "1\x1b[2J"])
def test_what_is_no_number_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="numbers") as refused:
        hosts.numbers(text, 6)
    assert str(refused.value).isprintable()


def test_ranges_are_numbers_again() -> None:
    for found in NUMBERS.values():
        assert hosts.numbers(hosts.ranges(found), 6) == found
