"""Whatever is answered, and whatever a host says, stays text: in shells, files, pages, screens."""

import json
import os
import re
import shutil
import string
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_type_hints
from xml.etree import ElementTree as ET

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedwiz import report
from fedwiz.answers.file import Answers, AnswersError, dump, parse
from fedwiz.engine import plan as planning
from fedwiz.engine.plan import Lane, Part, Plan, Task
from fedwiz.facts.values import File
from fedwiz.model.actions import Action, Run
from fedwiz.model.events import Event, Record
from fedwiz.report.changes import Change, Drift
from fedwiz.runs.state import State
from fedwiz.scripts import script as as_sent
from fedwiz.ssh.command_line import command, wire
from screens.app import Play
from screens.dialogs.basic import Ask, Confirm, Pick, TypeName
from tests.support.cli_process import by_hand
from tests.support.patience import GIVE_UP
from tests.support.pilot import opened, shown, until
from tests.support.sample_cluster import BARE, DONE, SAID, answered, on
from tests.support.sample_runs import BEGAN, recorded

ROOT = Path(__file__).parents[2]
SHELLS = [it for it in ("sh", "bash", "dash", "fish", "zsh", "ksh") if shutil.which(it)]

NASTY = (
    "$(touch CANARY)",
    "`touch CANARY`",
    "; touch CANARY;",
    "| touch CANARY",
    "& touch CANARY &",
    "\ntouch CANARY\n",
    "'; touch CANARY; '",
    '"; touch CANARY; "',
    "\\'; touch CANARY; \\'",
    "${IFS}$HOME",
    "$((1+1))",
    "$0 $@ $*",
    "*",
    "~",
    "{a,b}",
    "{0}",
    "{}",
    "%s %n %d",
    "%%",
    "\\n",
    "\\",
    "\\\\",
    "a\\",
    "'",
    '"',
    "#",
    "!!",
    "-rf",
    "--",
    "=x",
    "a b",
    "a\tb",
    "<(touch CANARY)",
    "END_OF_INPUT",
    "\nEND_OF_INPUT\ntouch CANARY\n",
    "</pre><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "&lt;&amp;&#60;",
    "]]>",
    "<!--",
    "-->",
    "<?xml?>",
    "<b>x</b>",
    "[/b]",
    "[red]x[/red]",
    "[link=file:///etc]x[/link]",
    "[@click=app.quit]x[/]",
    "[/]",
    "\\[b]",
    "\x1b[2J\x1b[31m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\x08\x08",
    "\r\rover",
    "\u202eevil\u2066",
    "\u2028\u2029\x85",
    "\ufeff",
    "größe",
    "日本",
    "|a|b|",
    "\n# heading\n- item\n",
    "![x](y)",
    "[x](javascript:alert(1))",
    "x" * 3000,
)
"""What means something to a shell, to TOML, HTML, Markdown, markup, or a terminal."""

WORDS = st.sampled_from(NASTY) | st.text(string.printable + "ä\u202e\x1b", max_size=30)
HOSTILE = WORDS | st.lists(WORDS, min_size=2, max_size=3).map("".join)
CHEAP = settings(
    max_examples=40, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def no_nul(words: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """No word of a command can hold a NUL, nor half a character."""
    return words.filter(lambda it: "\0" not in it)


# Shells.


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `say` that prints its words, and a `sudo` and a `timeout` that make way."""
    place = tmp_path_factory.mktemp("tools")
    texts = {
        "say": "#!/bin/sh\nfor word; do printf '%s\\0' \"$word\"; done\n",
        "sudo": '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift\nexec "$@"\n',
    }
    for name, text in texts.items():
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    return place


def carried(shell: str, line: str, tools: Path, given: str = "") -> list[str]:
    """The words that a program got, of a line that sshd gives to a user's shell."""
    done = subprocess.run(
        [shell, "-c", line],
        capture_output=True,
        check=False,
        cwd=tools,
        timeout=GIVE_UP,
        input=given.encode(),
        env={"PATH": f"{tools}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "HOME": str(tools)},
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


@pytest.mark.parametrize("shell", SHELLS)
def test_hostile_words_come_through_a_login_shell(shell: str, tools: Path) -> None:
    for root in ("", "nopasswd"):
        run = Run(("say", *NASTY))
        line = wire(run, root=root, locale="C.UTF-8")
        assert carried(shell, line, tools) == list(NASTY)
    assert not (tools / "CANARY").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_words_after_a_password_come_through_too(shell: str, tools: Path) -> None:
    line = wire(Run(("say", *NASTY)), root="ask", marker="f" * 32, locale="C.UTF-8")
    given = f"password\n{'f' * 32}\n"
    assert carried(shell, line, tools, given) == list(NASTY)
    assert not (tools / "CANARY").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_any_words_come_through_a_login_shell(shell: str, tools: Path) -> None:
    @CHEAP
    @given(st.lists(no_nul(HOSTILE), max_size=6))
    def check(words: list[str]) -> None:
        assert carried(shell, f"exec {command('say', *words)}", tools) == words

    check()
    assert not (tools / "CANARY").exists()


def hostile(text: str) -> Answers:
    """Answers whose every text is this one, as if no rule had refused it."""
    base = answered()
    hosts = tuple(
        host.model_copy(update={"label": text, "interface": text, "address": text})
        for host in base.host
    )
    changed = {
        "name": text,
        "host": hosts,
        # Nobody's text but the operator's own, and refused: still no reason to run any of it.
        "etcd": base.etcd.model_copy(
            update={
                "endpoints": (text,),
                "prefix": text,
                "user": text,
                "ca_file": text,
                "cert_file": text,
                "key_file": text,
            }
        ),
        "flannel": base.flannel.model_copy(update={"options": (text, text)}),
        "verify": base.verify.model_copy(update={"image": text}),
    }
    return base.model_copy(update=changed)


def planned(answers: Answers, text: str) -> Iterator[tuple[str, Action]]:
    """Every action of every step on a cluster whose hosts say such things, by host."""
    odd = {
        "files": {
            "/etc/sysconfig/flanneld": File(f"A={text}\n", 0o644),
            "/etc/docker/daemon.json": File(json.dumps({"a": text}), 0o644),
        },
        "docker_unit": f"# /usr/lib/x\n[Service]\nExecStart=/usr/bin/dockerd {text}\n",
        "docker_version": "Docker version 28.5.2",
    }
    for known in (BARE, DONE, on("*", DONE, **odd)):
        made = planning.make(answers, known)
        for host in made.hosts:
            for task in made.tasks(host):
                for action in task.actions:
                    yield host, action


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_every_action_of_every_step_is_sent_as_it_is_shown(text: str, tools: Path) -> None:
    """The words of all in one call: what a login shell makes of them is what was meant."""
    words = [
        word
        for _, action in planned(hostile(text), text)
        if isinstance(action, Run)
        for word in action.argv
    ]
    assert len(words) > 50
    # A script's text would be too long a hundred times over.
    words = [word for word in dict.fromkeys(words) if len(word) < 4000]
    for shell in SHELLS:
        assert carried(shell, f"exec {command('say', *words)}", tools) == words
    assert not (tools / "CANARY").exists()


SCRIPTS = sorted((ROOT / "fedwiz/scripts").glob("*.sh"))
CANARIES = [it for it in NASTY if "CANARY" in it]
REAL = (
    "sed grep awk head tail tr cut cat base64 mktemp date wc sort printf env seq readlink touch sh"
)
STUBS = (
    "systemctl docker ip iptables iptables-save iptables-restore nft curl dnf rpm bridge nsenter "
    "systemd-run journalctl unshare ping timeout chronyc chronyd install mkdir rm cp mv kill "
    "sysctl modprobe ss flock"
)
SLEEP = """\
#!/bin/sh
# What waits for something goes round a few times, but not until its time is up.
echo >>"$0.calls"; n=0; while read -r _; do n=$((n+1)); done <"$0.calls"
[ $n -lt 4 ] || kill -9 $PPID
exit 1
"""


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that scripts start: what changes a machine only fails."""
    place = tmp_path_factory.mktemp("stubs")
    for name in STUBS.split():
        (place / name).write_text("#!/bin/sh\nexit 1\n")
    (place / "sleep").write_text(SLEEP)
    for path in place.iterdir():
        path.chmod(0o755)
    for name in REAL.split():
        if found := shutil.which(name):
            (place / name).symlink_to(found)
    return place


def given_to(script: str, name: str, words: list[str], stubs: Path, place: Path) -> bool:
    """Whether a script that gets these words runs any of them."""
    text = script.replace("/run/", f"{place}/run/").replace("/etc/", f"{place}/etc/")
    (stubs / "sleep.calls").unlink(missing_ok=True)
    subprocess.run(
        ["/bin/sh", "-c", text.replace("/proc/uptime", "/dev/null"), name, *words],
        cwd=place,
        env={"PATH": str(stubs)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=GIVE_UP,
    )
    return (place / "CANARY").exists()


@pytest.mark.parametrize("count", [8, *(pytest.param(it, marks=pytest.mark.full) for it in (1, 4))])
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda it: it.name)
def test_every_script_gets_its_words_and_runs_none(
    path: Path, count: int, stubs: Path, tmp_path: Path
) -> None:
    """Each script of fedwiz, with every argument hostile and every program a stub that ends."""
    text = as_sent(path.stem)
    for word in CANARIES:
        assert not given_to(text, path.name, [word] * count, stubs, tmp_path), word


RUNS_WORDS = {
    "evaluated": ('eval "$1"', "$(touch CANARY)"),
    "in a script's text": ('sh -c "echo $1"', "; touch CANARY;"),
    "in quotes of a script's text": ("sh -c \"echo '$1'\"", "'; touch CANARY; '"),
    "on a line of its own": ('printf %s "$1" | sh', "\ntouch CANARY\n"),
}


@pytest.mark.parametrize(("script", "word"), RUNS_WORDS.values(), ids=RUNS_WORDS)
def test_a_script_that_ran_its_words_would_be_found(
    script: str, word: str, stubs: Path, tmp_path: Path
) -> None:
    assert word in CANARIES
    assert given_to(script, "x.sh", [word], stubs, tmp_path)


SOURCES = re.compile(r"(?:^|[;&|(]|\b(?:then|do|else)\s)\s*(?:\.|source|eval)\s", re.MULTILINE)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda it: it.name)
def test_no_script_runs_what_it_reads(path: Path) -> None:
    """Neither etcd's config nor subnet.env is sourced or evaluated on a node."""
    assert not SOURCES.findall(path.read_text())


def test_what_is_looked_for_would_be_found() -> None:
    for line in (
        ". /run/flannel/subnet.env",
        "x && . ./f",
        "source a",
        "eval $x",
        "if a; then . b",
    ):
        assert SOURCES.search(line), line
    assert not SOURCES.search("echo a . b; sed -n 's/.x/y/'")


def test_no_action_and_no_probe_runs_what_it_reads() -> None:
    from fedwiz.facts import script as asked

    texts = [asked(answered(), host)[0] for host in answered().host]
    for _, action in planned(answered(), "x"):
        if isinstance(action, Run):
            texts += [*action.argv, action.input()]
    for text in texts:
        assert not SOURCES.findall(text), text[:200]


ENVS = (
    "FLANNEL_NETWORK=10.16.0.0/16\nFLANNEL_SUBNET=$(touch {0})10.16.1.1/24\nFLANNEL_MTU=1450\n",
    "FLANNEL_NETWORK=10.16.0.0/16\nFLANNEL_SUBNET=10.16.1.1/24\nFLANNEL_MTU=`touch {0}`\n",
    "touch {0}\nFLANNEL_SUBNET=10.16.1.1/24; touch {0}\nFLANNEL_MTU=1450\n",
    "FLANNEL_SUBNET=10.16.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true; touch {0}\nPATH=/tmp\n",
)


@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize("name", ["docker-opts", "switch", "restart", "settle"])
def test_a_subnet_env_is_never_run(name: str, env: str, tmp_path: Path) -> None:
    from tests.local.test_scripts import RUNNING, Host

    host = Host(tmp_path, *RUNNING, "flanneld.service")
    canary = tmp_path / "CANARY"
    hostile_env = env.format(canary)
    systemctl = host.home / "bin/systemctl"
    subnet_env = host.home / "run/flannel/subnet.env"
    kept = tmp_path / "env"
    kept.write_text(hostile_env)
    subnet_env.write_text(hostile_env)
    # flanneld writes what etcd told it: the same.
    systemctl.write_text(
        re.sub(
            r"printf '%s\\n' FLANNEL_NETWORK.*\n.*subnet.env\"",
            f'cp {kept} "{subnet_env}"',
            systemctl.read_text(),
        )
    )
    words = {
        "switch": ["10.16.0.0/16", "45"],
        "restart": ["keep", "move", "-", "45"],
        "settle": ["docker", "90"],
    }
    process = host.start(*words.get(name, []), name=name)
    process.communicate(timeout=GIVE_UP)
    assert not canary.exists()
    written = host.home / "run/flannel/docker"
    if written.exists() and name == "docker-opts":
        assert "touch" not in written.read_text()


def test_a_config_of_etcd_s_is_only_ever_data(tmp_path: Path) -> None:
    """It goes into a key by etcd's API, and comes back as JSON that is judged."""
    from fedwiz.model.actions import PutKey
    from fedwiz.verify.nodes import overlay

    for text in NASTY:
        value = replace(DONE.store.config, text=text)  # type: ignore[type-var]
        known = replace(DONE, store=replace(DONE.store, config=value))
        assert overlay(answered(), known).backend in ("", "vxlan", "udp")
        puts = [a for _, a in planned_of(known) if isinstance(a, PutKey)]
        assert all(put.value == answered().config_json() for put in puts)
        for _, action in planned_of(known):
            if isinstance(action, Run):
                assert text not in action.argv or len(text) < 3


def planned_of(known: Any) -> Iterator[tuple[str, Action]]:  # noqa: ANN401 - Known
    made = planning.make(answered(), known)
    for host in made.hosts:
        for task in made.tasks(host):
            yield from ((host, action) for action in task.actions)


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_a_script_to_be_run_by_hand_does_only_what_it_says(text: str, tmp_path: Path) -> None:
    """`plan --shell`, run with every program a stub: a value is never anything but a word."""
    place = tmp_path / "bin"
    place.mkdir()
    sink = "#!/bin/sh\ncat >/dev/null\n"
    answers = hostile(text)
    made = planning.make(answers, on("*", BARE, docker_version="Docker version 28.5.2"))
    firsts = {
        action.argv[0]
        for task in made.tasks()
        for action in task.actions
        if isinstance(action, Run)
    }
    for name in {"etcdctl", "install", "systemctl", "dnf", *firsts}:
        (place / name).write_text(sink)
        (place / name).chmod(0o755)
    (place / "cat").symlink_to(shutil.which("cat") or "/bin/cat")
    for host, said in planning.scripts(made, answers).items():
        done = by_hand(said, place, typed="\x04" * 2)  # etcdctl asks for a password, twice
        assert not (tmp_path / "CANARY").exists(), host
        assert "not found" not in done.stderr, done.stderr
        assert done.returncode == 0, (host, done.stderr)


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_a_file_of_a_plan_to_be_run_by_hand_is_whole(text: str, tmp_path: Path) -> None:
    """What a host's own file says, line by line, is neither the end of it nor a command."""
    body = f"before\n{text}\nafter\n"
    task = Task("fed-node1", "x", "X", (Run(("tee", "file"), stdin=(body,)),))
    made = Plan(("fed-node1",), (Part("nodes", False, (Lane("fed-node1", (task,)),)),))
    said = planning.scripts(made, answered())["fed-node1"]
    subprocess.run(["sh"], input=said.encode(), cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "file").read_bytes() == body.encode()
    assert not (tmp_path / "CANARY").exists()


# Files.


def _answer(path: str, text: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(json.dumps(SAID))
    section, _, key = path.rpartition(".")
    if section == "host":
        said["host"][1][key] = text
    elif section:
        said.setdefault(section, {})[key] = text
    else:
        said[key] = text
    return said


TEXTS = (
    "name",
    "host.name",
    "host.address",
    "host.label",
    "host.interface",
    "ssh.user",
    "ssh.known_hosts",
    "etcd.prefix",
    "etcd.user",
    "etcd.ca_file",
    "flannel.path",
    "verify.image",
    "network.cidr",
    "backend.type",
)


@CHEAP
@given(path=st.sampled_from(TEXTS), text=HOSTILE)
def test_an_answer_is_refused_or_comes_back_as_it_was(path: str, text: str) -> None:
    said = _answer(path, text)
    assert tomllib.loads(tomli_w.dumps(said)) == said or "\r" in text
    try:
        answers = parse(said)
    except AnswersError as refused:
        for key, why in refused.why.items():
            assert (key + why).isprintable(), (key, why)
        return
    assert parse(tomllib.loads(dump(answers))) == answers


@CHEAP
@given(text=HOSTILE)
def test_a_path_of_the_operator_s_comes_back_from_toml(text: str) -> None:
    said = {**SAID, "ssh": {"known_hosts": text, "identity": [text]}}
    try:
        answers = parse(said)
    except AnswersError:
        return
    assert parse(tomllib.loads(dump(answers))).ssh == answers.ssh


# Reports.


def spoilt(records: tuple[Record, ...], text: str) -> tuple[Record, ...]:
    """A run in which every text of a host's or of an answer is another one."""
    return tuple(replace(it, event=_spoilt(it.event, text)) for it in records)


KEPT = ("verb", "practice", "outcome", "level", "kind", "step", "digest", "check")


def _spoilt(event: Event, text: str) -> Event:
    hints = get_type_hints(type(event))
    more: dict[str, Any] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name in KEPT or not value:
            continue
        if hints[field.name] is str:
            more[field.name] = f"{value}{text}" if field.name in ("host", "peer") else text
        elif hints[field.name] == tuple[str, ...]:
            more[field.name] = tuple(f"{it}{text}" for it in value)
        elif isinstance(value, dict):
            more[field.name] = {
                f"{key}{text}": text if isinstance(it, str) else it for key, it in value.items()
            }
    return replace(event, **more)


class Shape(HTMLParser):
    """Elements and attributes of a page, whatever its texts are."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, tuple[tuple[str, str | None], ...]]] = set()
        self.odd: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add((tag, tuple(attrs)))

    def handle_comment(self, data: str) -> None:
        self.odd.append(data)

    def handle_pi(self, data: str) -> None:
        self.odd.append(data)

    def unknown_decl(self, data: str) -> None:
        self.odd.append(data)


def shape(said: str) -> Shape:
    found = Shape()
    found.feed(said)
    found.close()
    return found


RUNS = ("all-well", "one-fails", "check-blocks")
DRIFTS = {
    text: Drift(text, BEGAN, (Change("docker", text, text, text, text),)) for text in ("x", *NASTY)
}


def formed(form: str, name: str, text: str) -> str:
    state = State.of(spoilt(recorded(name), text))
    return report.FORMS[form](state, f"run{text}", DRIFTS[text])


CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]"
)


@cache
def harmless(form: str, name: str) -> str:
    return formed(form, name, "x")


def each(number: int) -> Iterator[Any]:
    """Every run with a text; the default tier takes one of them, each text the next one."""
    for at, name in enumerate(RUNS):
        marks = () if at == number % len(RUNS) else pytest.mark.full
        yield pytest.param(name, NASTY[number], marks=marks, id=f"{name}-{NASTY[number]!a}")


@pytest.mark.parametrize(
    ("name", "text"), [row for number in range(len(NASTY)) for row in each(number)]
)
def test_reports_hold_hostile_texts_as_texts(name: str, text: str) -> None:
    said = {form: formed(form, name, text) for form in report.FORMS}
    said["text"] = report.text(State.of(spoilt(recorded(name), text)))
    for form, whole in said.items():
        whole.encode()
        assert not CONTROLS.search(whole), (form, CONTROLS.search(whole))
    page = shape(said[".html"])
    assert page.found <= shape(harmless(".html", name)).found | OPEN
    assert not page.odd
    xml = ET.fromstring(said[".xml"])  # noqa: S314 - our own
    plain = ET.fromstring(harmless(".xml", name))  # noqa: S314
    assert {it.tag for it in xml.iter()} <= {it.tag for it in plain.iter()} | {"system-out"}
    assert ET.tostring(ET.fromstring(ET.tostring(xml))) == ET.tostring(xml)  # noqa: S314
    again = json.loads(said[".json"])
    assert json.loads(json.dumps(again)) == again


OPEN = {("details", (("open", None),)), ("details", ())}


@pytest.mark.parametrize("text", [it for it in NASTY if "<" in it or "[" in it], ids=ascii)
def test_markdown_makes_nothing_of_a_host_s_text(text: str) -> None:
    """Outside of code, no tag, link or picture of a host's is left unescaped."""
    said = formed(".md", "one-fails", text)
    fenced = re.sub(r"^(```+|~~~+).*?^\1\s*$", "", said, flags=re.MULTILINE | re.DOTALL)
    bare = re.sub(r"(`+)(?:(?!\1).)+\1", "", fenced, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)<(?:script|img|b>|!--)", bare), bare


# Screens.


@pytest.fixture
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


ON_SCREEN = (
    "[/b]",
    "[red]x[/red]",
    "[@click=app.quit]x[/]",
    "[/]",
    "\\[b]",
    "\x1b[2J\x1b[31m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\u202eevil\u2066",
    "\r\rover",
    "a\nb",
    "%s {0} {}",
    "<script>",
    "\u2028\x85",
    "x" * 3000,
)
SEEN = ("[red]x[/red]", "\\[b]", "\x1b[2J\x1b[31m", "\u202eevil\u2066", "x" * 3000)
"""Of them, those that the default tier looks at: markup, a sequence, a direction, and length."""

SHAPELESS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")


def is_text(pilot: Any, text: str) -> None:  # noqa: ANN401 - of any app
    """It is there as it was, but for what a terminal would act on."""
    seen = shown(pilot.app)
    assert not SHAPELESS.search(seen), repr(SHAPELESS.search(seen))
    if text.isprintable() and len(text) < 25:
        assert text in re.sub(r"\s*\n\s*", "", seen), seen


@pytest.mark.usefixtures("state_home")
@pytest.mark.parametrize(
    "text",
    [pytest.param(it, marks=() if it in SEEN else pytest.mark.full) for it in ON_SCREEN],
    ids=ascii,
)
async def test_dialogs_show_hostile_texts(text: str) -> None:
    makes: tuple[Callable[[], Any], ...] = (
        lambda: Confirm("Go on?", text, "yes", "no"),
        lambda: Confirm(text, "Go on?", text[:20], text[:20]),
        lambda: Ask(text, text, refuse=lambda _: text),
        lambda: TypeName(text, text, text),
        lambda: Pick(text, [(text, text, text), ("b", text, text)], text=text),
    )
    async with opened(size=(100, 30)) as pilot:
        for make in makes:
            dialog = make()
            await pilot.app.push_screen(dialog)
            await until(pilot, lambda d=dialog: pilot.app.screen is d and d.is_mounted)  # type: ignore[misc]
            is_text(pilot, text)
            pilot.app.pop_screen()


@pytest.mark.usefixtures("state_home")
@pytest.mark.parametrize(
    "text",
    [
        "[/b][red]x[/red]\\[b][/]",
        "\x1b[2J\x1b]0;title\x07\x9b2J\u202eevil\u2066\r\rover",
        "%s {0} {}<script>[@click=app.quit]x[/]" + "x" * 3000,
    ],
    ids=["markup", "escapes", "length"],
)
async def test_the_pages_of_a_run_show_hostile_texts(text: str) -> None:
    from screens.app import Fedwiz
    from screens.pages.run_page import RunPage

    app = Fedwiz(play=Play(spoilt(recorded("one-fails"), text), 0))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: any(isinstance(it, RunPage) for it in app.screen_stack))
        page = next(it for it in app.screen_stack if isinstance(it, RunPage))
        await until(pilot, lambda: page.shown_end)
        seen = shown(app)
        assert not SHAPELESS.search(seen), repr(SHAPELESS.search(seen))
        assert "failed at" in seen or len(text) > 1000
        for key in ("enter", "escape", "f1", "escape"):
            await pilot.press(key)
            await pilot.pause()
            assert not SHAPELESS.search(shown(app))
        assert not app._exception  # noqa: SLF001 - there is no public way


def test_a_host_of_a_long_name_has_a_report() -> None:
    """253 letters are a name: what is said of it stays as wide as all else."""
    said = spoilt(recorded("one-fails"), "x" * 240)
    assert "fed-node2" in report.text(State.of(said))
