"""ssh_config: OpenSSH is asked what it makes of its files, and no word of its answer is lost."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from fedwiz.model.actions import UnreachableError
from fedwiz.ssh.config import SshConfig, SshConfigError, usual_options, whole_includes
from fedwiz.ssh.route import Route, Target, resolve
from tests.support.patience import GIVE_UP

SSH = shutil.which("ssh")
if SSH is None and os.environ.get("FEDWIZ_LAB") == "require":
    pytest.fail("there is no ssh to ask (apt-get install openssh-client)", pytrace=False)
real_ssh = pytest.mark.skipif(SSH is None, reason="there is no ssh to ask")

HOSTS = ("n1", "N1", "10.0.0.7")

FILES: Mapping[str, str] = {
    "first value": "Host n1\n HostName 127.0.0.1\n Port 2222\nHost *\n Port 23\n User 'a b'",
    "negated": "Host !n1 *\n User x\nHost n1 !n1\n User y",
    "odd signs": 'Host=n1 # comment\n HostName = %h.lan\n"User" a\\ b\n\tPort\t98\t',
    "Match": "Match host n1\n User m\nMatch originalhost n1\n Port 33\nMatch !user m\n Port 4",
    "Match exec": 'Match exec "test %n = n1 && test %p = 22 && test %r = root" host n*\n Port 9',
    "Match exec, quotes escaped": 'Match exec "[ -n \\"$SSH_AUTH_SOCK\\" ]"\n Port 9',
    "Match exec, no such variable": 'Match exec "[ -n \\"$FEDWIZ_NO_SUCH\\" ]"\n Port 9',
    "Match exec, single quotes": "Match exec '[ -n \"$PATH\" ]'\n Port 9",
    "Match localnetwork": "Match localnetwork 10.9.0.0/16\n Port 9",
    "Match localnetwork, too late": "Match originalhost other localnetwork 10.9.0.0/16\n Port 9",
    "Match of no kind": "Match frob x\n Port 3",
    "final": "Host n1\n HostName 10.9.9.9\nHost 10.9.9.9\n User second\n"
    "Match final host 10.9.9.*\n Port 44\nMatch final\n IdentityFile /b\nMatch all\n"
    " IdentityFile /a",
    "canonical": "CanonicalizeHostname no\nMatch canonical\n User c",
    "Include": "Include INC/*.conf\nPort 5",
    "Include by a variable": "Include ${INC}/*.conf\nPort 5",
    "Include by no variable": "Include ${FEDWIZ_NO_SUCH}/*.conf\nPort 5",
    "Include in another's block": "Host other\n Include INC/*.conf\nHost *\n Port 5",
    "Include in a block": "Host n1\n Include INC/a.conf INC/b.conf\n Port 6",
    "Include a loop": "Include INC/loop",
    "Include what is wrong": "Host other\n Include INC/bad",
    "jump and command": "ProxyJump a,b@[::1]:23\nProxyCommand x %h",
    "command with quotes": "ProxyCommand = x \"%h\" 'y  z' # w\nProxyJump a,b",
    "keys": 'IdentityFile ~/x\nIdentityFile "/a b/c"\nIdentityFile ${HOME}/k\nCertificateFile /d',
    "known_hosts": 'UserKnownHostsFile ~/a_%r /b "/c d"\nGlobalKnownHostsFile none',
    "algorithms": "HostKeyAlgorithms -ssh-ed25519*\nCiphers ^aes256-ctr\nMACs hmac-sha2-256",
    "lists": "PreferredAuthentications publickey\nSetEnv A=b C=d\nIgnoreUnknown F*\nFrobnicate 1",
    "no option": "Frobnicate yes",
    "Port many, for another": "Host other\n Port many",
    "open quote": 'User "abc',
}


def openssh_options(path: Path, host: str) -> list[str] | None:
    """The lines of `ssh -G` itself, but those that only say its defaults; None: it refuses."""
    done = subprocess.run(
        [str(SSH), "-G", "-T", "-F", path, host],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    usual = usual_options(str(SSH))
    lines = [line.split(" ", 1) for line in done.stdout.splitlines() if " " in line]
    found = {key.lower(): [v for k, v in lines if k == key] for key, _ in lines}
    return (
        None
        if done.returncode
        else sorted(
            f"{key} {value}"
            for key, values in found.items()
            if key == "port" or tuple(values) != usual.get(key)
            for value in values
        )
    )


def our_options(path: Path, host: str) -> list[str] | None:
    """The same by way of fedwiz."""
    try:
        options = SshConfig([path]).ask(host).options
    except SshConfigError:
        return None
    return sorted(f"{key} {value}" for key, values in options.items() for value in values)


@real_ssh
@pytest.mark.parametrize("name", FILES)
def test_it_is_what_ssh_says(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere")
    monkeypatch.setenv("INC", str(tmp_path))
    inner = {
        "a.conf": "User inc_a\nHost n1\n Port 71\n",
        "loop": f"Include {tmp_path}/loop\n",
        "b.conf": "Host *\n IdentityFile /b\nMatch all\n HostKeyAlias bb\n",
        "bad": "Frob yes\n",
    }
    for file, text in inner.items():
        (tmp_path / file).write_text(text)
    path = tmp_path / "config"
    path.write_text(FILES[name].replace("INC/", f"{tmp_path}/") + "\n")
    for host in HOSTS:
        assert our_options(path, host) == openssh_options(path, host), host


def config(folder: Path, text: str) -> SshConfig:
    path = folder / "config"
    path.write_text(text)
    return SshConfig([path])


def route_of(found: SshConfig, host: str = "n1", **asked: object) -> Route:
    return asyncio.run(resolve(Target("node1", host, **asked), found))  # type: ignore[arg-type]


# What is refused, and how that is said


REFUSED = {
    "KnownHostsCommand": ("KnownHostsCommand /bin/x", "`host_key`"),
    "BindInterface": ("BindInterface eth0", "`BindAddress`"),
    "ProxyUseFdpass": ("ProxyUseFdpass yes", "use `ProxyJump`"),
    "PubkeyAuthentication": ("PubkeyAuthentication no", "say `yes`"),
    "PreferredAuthentications": ("PreferredAuthentications password", "add `publickey`"),
    "%C": ("IdentityFile /x/%C", "write it out"),
    "IdentityFile": ("IdentityFile ${FEDWIZ_NO_SUCH}/k", "set it"),
}


@real_ssh
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, name: str) -> None:
    text, remedy = REFUSED[name]
    found = config(tmp_path, f"Host other\n User x\nHost n1\n {text}\n")
    with pytest.raises(UnreachableError) as caught:
        route_of(found)
    assert str(caught.value).startswith("node1: ")
    assert name in str(caught.value)
    assert f"{text.split()[0]} in ssh_config" in str(caught.value)
    assert remedy in str(caught.value)
    route_of(found, "n2")  # nobody else is told


BAD = {
    "no option": ("Frob\x1b[31mnicate yes", "config: line 2: Bad configuration option: frob"),
    "no port": ("Port many", "config line 2: Bad port 'many'): correct it"),
    "no Match": ("Match frob x", "line 2: Bad Match condition; Unsupported Match attribute frob"),
    "a quote": ('User "x', "config line 2: invalid quotes"),
    "a command that complains": (
        'Match exec "echo x: line 9: y >&2"\nFoo 1',
        "config: line 3: Bad",
    ),
    "a loop": ("ProxyJump n1", "ProxyJump leads back to n1: set `ProxyJump none`"),
}


@real_ssh
@pytest.mark.parametrize(("text", "why"), BAD.values(), ids=BAD)
def test_a_line_that_ssh_refuses_is_told_in_its_words(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        route_of(config(tmp_path, f"# mine\n{text}\n"))
    assert why in str(caught.value)
    assert str(caught.value).isprintable()
    assert "fedwiz-" not in str(caught.value)


@real_ssh
def test_a_file_that_others_may_write_is_not_read(tmp_path: Path) -> None:
    found = config(tmp_path, "User x\n")
    (tmp_path / "config").chmod(0o666)
    with pytest.raises(SshConfigError, match=r"Bad owner or permissions on .*`chmod 600`"):
        found.ask("n1")
    (tmp_path / "config").chmod(0o600)
    assert found.ask("n1").user == "x"


def test_a_name_that_would_be_an_option_is_none(tmp_path: Path) -> None:
    with pytest.raises(SshConfigError, match="does not begin with `-`"):
        config(tmp_path, "User x\n").ask("-oProxyCommand=x")


# Which files count, and for what


@real_ssh
def test_of_two_files_the_first_to_say_something_counts(tmp_path: Path) -> None:
    found = []
    for name, text in (("mine", "Host n1\n Port 5\n"), ("theirs", "Port 6\nHostKeyAlias x\n")):
        found.append(tmp_path / name)
        found[-1].write_text(text)
    said = SshConfig([*found, tmp_path / "none"]).ask("n1")
    assert (said.port, said.get("hostkeyalias")) == (5, "x")


@real_ssh
def test_a_name_of_any_letters_is_the_file_s(tmp_path: Path) -> None:
    folder = tmp_path / 'a [b]*\\ "c"'
    folder.mkdir()
    assert config(folder, "Port 5\n").ask("n1").port == 5


@real_ssh
def test_an_include_is_looked_for_beside_the_user_s_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh/more").mkdir(parents=True)
    (tmp_path / ".ssh/more/a").write_text("Host n1\n Port 71\n")
    (tmp_path / ".ssh/config").write_text("Include more/* ~/.ssh/none\n")
    assert SshConfig([tmp_path / ".ssh/config"]).ask("n1").port == 71


def test_the_system_s_file_includes_what_lies_beside_it() -> None:
    text = 'Include a/*.conf /b "c d" "/e f" # g\n include=h\nIncludes i\nHost *\n'
    whole = whole_includes(text, Path("/etc/ssh")).split("\n")
    assert whole[0].startswith('Include /etc/ssh/a/*.conf /b "/etc/ssh/c d" "/e f" #')
    assert whole[1:] == [" include=/etc/ssh/h", "Includes i", "Host *", ""]
    assert whole_includes("Include /etc/ssh/ssh_config.d/*.conf\n", Path("/x")).count("/x") == 0


@real_ssh
def test_the_answers_come_first(tmp_path: Path) -> None:
    found = config(tmp_path, "Match user ops\n Port 77\nMatch user root\n Port 78\nUser root\n")
    assert (route_of(found, user="ops").user, route_of(found, user="ops").port) == ("ops", 77)
    assert route_of(found, user="ops", port=5).port == 5


@real_ssh
@pytest.mark.parametrize(("text", "user"), [("Port 5", "ops"), ("User root", "root")])
def test_the_usual_user_counts_where_no_file_names_one(
    tmp_path: Path, text: str, user: str
) -> None:
    found = config(tmp_path, f"{text}\nUserKnownHostsFile /x/%r\n")
    assert route_of(found, default_user="ops").user == user
    assert route_of(found, default_user="ops").files[0] == Path("/x", user)


@real_ssh
def test_what_has_ssh_s_own_default_was_not_said(tmp_path: Path) -> None:
    made = route_of(config(tmp_path, "Host other\n IdentityFile /x\n Ciphers aes256-ctr\n"))
    assert made.identities is None
    assert made.algorithms == {}
    other = route_of(config(tmp_path, "IdentityFile none\nCiphers -aes*\n"))
    assert other.identities == ()
    assert set(other.algorithms) == {"ciphers"}


@real_ssh
def test_names_of_files_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = route_of(
        config(
            tmp_path,
            "Host n1\nHostName h\nUser u\nPort 5\nHostKeyAlias K\n"
            "IdentityFile ~/id_%r\nIdentityFile ${HOME}/%%k\nCertificateFile ~/%h-%p-%k-%n\n"
            'UserKnownHostsFile ~/a_%r "/b c" ${HOME}/d\nGlobalKnownHostsFile ~/g /h\n'
            "IdentityAgent ~/agent_%r\nRevokedHostKeys ~/revoked_%r\n",
        )
    )
    assert made.identities == (tmp_path / "id_u", tmp_path / "%k")
    assert made.certificates == (tmp_path / "h-5-k-n1",)
    files = (tmp_path / "a_u", Path("/b c"), tmp_path / "d", tmp_path / "g", Path("/h"))
    assert made.files == files
    assert made.agent == str(tmp_path / "agent_u")
    assert made.revoked == tmp_path / "revoked_u"


@real_ssh
def test_hops_are_written_as_the_operator_would(tmp_path: Path) -> None:
    made = route_of(
        config(tmp_path, "Host n1\n ProxyJump %r@a:23,b,[::1]:24,ssh://c@d:25\n"), user="u"
    )
    assert made.hops == ("u@a:23", "b", "[::1]:24", "c@d:25")


# How ssh is asked


ANOTHER = """\
#!/bin/sh
# An ssh of another version.
echo x >>"$0.asked"
case "$*" in
*/dev/null*) echo 'identityfile ~/.ssh/id_rsa' ;;
*n2) echo 'there line 7: Bad Match condition.' >&2; exit 255 ;;
*) printf '%s\\n' 'host n1' 'user later' 'hostname n1' 'port 9' 'newoption yes' 'odd' '' ;;
esac
"""


@pytest.fixture
def another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put another ssh into the PATH; gives the file that has a line for each time it ran."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(ANOTHER)
    (tmp_path / "bin/ssh").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return tmp_path / "bin/ssh.asked"


def test_only_the_host_for_which_ssh_refuses_is_refused(tmp_path: Path, another: Path) -> None:
    found = config(tmp_path, "Match what-a-later-ssh-knows x\n Port 9\n")
    assert (route_of(found).user, route_of(found).port) == ("later", 9)
    with pytest.raises(UnreachableError, match=r"node1: ssh can't .*there line 7: Bad Match cond"):
        route_of(found, "n2")


def test_ssh_is_asked_once_for_each_host(tmp_path: Path, another: Path) -> None:
    def times(*hosts: str, user: str = "") -> int:
        async def ask() -> None:
            async with asyncio.TaskGroup() as group:
                for host in hosts:
                    group.create_task(found.about(host, user=user))

        before = another.read_text() if another.exists() else ""
        asyncio.run(ask())
        return another.read_text().removeprefix(before).count("x")

    found = config(tmp_path, "Port 9\n")
    usual_options.cache_clear()
    assert times("n1") == 2  # what is usual is asked for once for all
    assert times(*("n1", "n3", "n4") * 10) == 2
    assert times("n1", user="another") == 1
    (tmp_path / "config").write_text("Port 9\nUser x\n")
    assert times("n1") == 1


def test_ssh_is_not_asked_where_there_is_no_file(tmp_path: Path, another: Path) -> None:
    made = route_of(SshConfig([tmp_path / "none"]), "N1", default_user="ops")
    assert (made.host, made.user, made.port) == ("n1", "ops", 22)
    assert not another.exists()


def test_without_ssh_the_answers_alone_say_how_which_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "config").write_text("Port 9\n")
    told: list[str] = []
    found = SshConfig([tmp_path / "config", tmp_path / "none"], tell=told.append)
    assert [route_of(found, host, port=at).port for at, host in ((5, "n1"), (0, "n2"))] == [5, 22]
    (sentence,) = told
    assert sentence.startswith(f"there is no ssh on PATH, so {tmp_path}/config counts for nothing")


@real_ssh
def test_a_command_that_is_not_to_be_run_counts_as_failed(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(f'Match exec "touch {tmp_path}/ran"\n Port 3\n')
    assert SshConfig([path], run=False).ask("n1").port == 22
    assert not (tmp_path / "ran").exists()
    assert SshConfig([path]).ask("n1").port == 3
    assert (tmp_path / "ran").exists()


@real_ssh
def test_a_command_that_does_not_end_is_ended_and_said(tmp_path: Path) -> None:
    pid, path = tmp_path / "pid", tmp_path / "config"
    path.write_text(f'Match originalhost n1 exec "echo $$ >{pid}; exec sleep 1000"\n Port 3\n')
    found = SshConfig([path], seconds=0.5)
    with pytest.raises(
        SshConfigError, match=r"`ssh -G n1` did not end within 0\.5 s: .*Match exec"
    ):
        found.ask("n1")
    if pid.exists():  # a busy machine has not come so far
        command = Path("/proc", pid.read_text().strip() or "none", "cmdline")
        with suppress(OSError):
            while b"sleep" in command.read_bytes():
                pass
    assert SshConfig([path]).ask("n2").port == 22  # nobody else waits


@real_ssh
def test_what_a_command_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    left = tmp_path / "left"
    text = f'Match exec "sleep {GIVE_UP} & echo $! >{left}"\n Port 3\n'
    assert config(tmp_path, text).ask("n1").port == 3
    os.kill(int(left.read_text()), 9)
