"""ssh_config: what `ssh -G` says of a file is what is made of it here, or it is refused."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from fedwiz.model.actions import UnreachableError
from fedwiz.ssh import sshconfig
from fedwiz.ssh.route import Target, resolve
from fedwiz.ssh.sshconfig import SshConfigError

SSH = shutil.which("ssh")
if SSH is None and os.environ.get("FEDWIZ_LAB") == "require":
    pytest.fail("there is no ssh to ask (apt-get install openssh-client)", pytrace=False)
oracle_there = pytest.mark.skipif(SSH is None, reason="there is no ssh to ask")

HOSTS = ("n1", "N1", "10.0.0.7", "n1.example.org")
COMPARED = """
    hostname port user proxyjump proxycommand identityfile certificatefile identitiesonly
    identityagent userknownhostsfile globalknownhostsfile hostkeyalias stricthostkeychecking
    hashknownhosts checkhostip revokedhostkeys knownhostscommand addressfamily bindaddress
    pubkeyauthentication requiredrsasize canonicalizehostname
""".split()  # noqa: SIM905 - a list would be long
SAME = {"true": "yes", "false": "no", "host-bound": "yes"}
"""Words of `ssh -G` for what is one value here."""

FILES: Mapping[str, str] = {
    "first value": "Host n1\n HostName 127.0.0.1\n Port 2222\nHost *\n Port 23\n User 'a b'",
    "equals signs": "Host=n1\nHostName = %h.lan\nPort=  77",
    "negated": "Host !n1 *\n User x\nHost n1 !n1\n User y",
    "brackets are letters": "Host [n]1 n?\n User z\nHost *.example.org\n User q",
    "letter case": "HOST n1\n pOrT 99\nHost N1\n User upper",
    "quoted": 'Host "n1" "x y"\n Port 97\n"User" x',
    "comment after words": "Host n1 # comment n2\n Port 98\n User abc#comment # and this",
    "escaped": "User a\\ b",
    "joined": 'User a"b c"d',
    "tabs": "Host n1\n\tPort\t98\t",
    "comments": "#Port 3\n   # Port 4\n\nPort 5",
    "Match": "Match host n1\n User m\nMatch originalhost n1\n Port 33",
    "Match HostName": "Host n1\n HostName 10.9.9.9\nMatch host 10.9.9.9\n User a\n"
    "Match host n1\n User b",
    "Match case": "Match host N1\n User upper\nMatch originalhost N1\n Port 5",
    "Match patterns": "Match host *.org\n Port 4\nMatch host *.EXAMPLE.org\n User b",
    "Match list": 'Match host n1,!n2,*.org user "root"\n Port 3\nMatch host "n1, n2"\n User x',
    "Match list but one": "Match host n*,!n1\n Port 3",
    "Match user": "User bob\nMatch user bob localuser root\n Port 3\nMatch !user bob\n Port 4",
    "Match not": "Match user !x\n Port 5\nMatch user !x,*\n Port 6\nMatch !localuser root\n User q",
    "Match all": "Match !all\n User q\nMatch all\n User p",
    "Match comment": "Match host n1 # comment\n Port 3",
    "Match equals": "Match host=n1\n Port 3",
    "Match exec": 'Match exec "test %n = n1 && test %p = 22 && test %r = root" host n*\n Port 9',
    "Match exec tokens": 'Match exec "test %k = n1 && test %h.%i = n1.0"\n Port 5',
    "Match exec order": "Match exec false\n Port 4\nMatch !exec false\n Port 5",
    "final": "Match final all\n User f\n HostName zz\nMatch final host zz\n Port 3",
    "final by HostName": "Host n1\n HostName 10.9.9.9\nHost 10.9.9.9\n User second\n"
    "Match final host 10.9.9.*\n Port 44\nHost 10.9.9.9\n IdentityFile ~/x",
    "final adds keys once": "Host n1\n HostName 10.9.9.9\nMatch final\n IdentityFile /b\n"
    "Match all\n IdentityFile /a",
    "not final": "Match !final\n User q\nMatch final\n Port 8\nMatch canonical\n User c",
    "final lower case": "Host n1\n HostName Other.X\n User a\nMatch final host other.x\n Port 44",
    "Include": "Include INC/*.conf\nPort 5",
    "Include in another's block": "Host other\n Include INC/*.conf\nHost *\n Port 5",
    "Include in a block": "Host n1\n Include INC/a.conf INC/b.conf\n Port 6",
    "Include in a Match": "Match host n1\n Include INC/b.conf\n Port 6",
    "Include nothing": "Include /nonexistent\nPort 55",
    "Include a loop": "Include INC/loop",
    "Include what is wrong": "Host other\n Include INC/bad",
    "jump before command": "ProxyJump a,b\nProxyCommand x %h",
    "command before jump": "ProxyCommand x \"%h\" 'y  z' # w\nProxyJump a,b",
    "no jump": "ProxyJump none\nProxyJump b",
    "no jump, a command": "ProxyJump none\nProxyCommand x %h",
    "no command": "ProxyCommand none\nProxyJump b",
    "command with equals": "ProxyCommand = nc %h %p",
    "jump with a space": "ProxyJump a, b",
    "empty jump": "ProxyJump ,b",
    "keys": 'IdentityFile ~/x\nIdentityFile ~/x\nIdentityFile "/a b/c"\nIdentityFile none',
    "keys with tokens": "IdentityFile ~/.ssh/id_%r\nIdentityFile ${HOME}/k",
    "old name": "IdentityFile2 /x\nPubkeyAcceptedKeyTypes +ssh-rsa",
    "certificates": "CertificateFile /a\nCertificateFile /b",
    "known_hosts": 'UserKnownHostsFile /a /b "/c d"\nGlobalKnownHostsFile none',
    "no known_hosts": "UserKnownHostsFile none\nUserKnownHostsFile /b",
    "none and another": "UserKnownHostsFile none /b",
    "strict no": "StrictHostKeyChecking no",
    "strict off": "StrictHostKeyChecking off",
    "strict yes": "StrictHostKeyChecking YES",
    "strict accept-new": "StrictHostKeyChecking accept-new",
    "strict maybe": "StrictHostKeyChecking maybe",
    "hash": "HashKnownHosts true",
    "hash badly": "HashKnownHosts on",
    "agent none": "IdentityAgent none",
    "agent variable": "IdentityAgent $FOO",
    "alias": "HostKeyAlias Foo",
    "address check": "CheckHostIP yes\nRequiredRSASize 2048",
    "size badly": "RequiredRSASize abc",
    "revoked": "RevokedHostKeys /x\nKnownHostsCommand /bin/x %H",
    "family": "AddressFamily inet\nBindAddress 127.0.0.9",
    "family badly": "AddressFamily inet5",
    "no keys": "PubkeyAuthentication no",
    "some keys": "PubkeyAuthentication host-bound\nIdentitiesOnly yes\nIdentitiesOnly no",
    "old options": "Protocol 2\nCipher 3des\nUseRoaming no\nGlobalKnownHostsFile2 /x",
    "of no matter": "ControlMaster auto\nControlPath /x\nAddKeysToAgent yes\nUpdateHostKeys ask\n"
    "VerifyHostKeyDNS yes\nGSSAPIAuthentication yes\nSetEnv A=b C=d\n"
    "LocalForward 80 a:80\nServerAliveInterval 5\nPKCS11Provider /x",
    "smartcard": "SmartcardDevice /x\nPKCS11Provider /y",
    "no option": "Frobnicate yes",
    "option ignored": "IgnoreUnknown Frob*\nFrobnicate yes",
    "option ignored too late": "Frobnicate yes\nIgnoreUnknown Frob*",
    "option ignored for another": "Host other\n IgnoreUnknown Frob*\nHost *\n Frobnicate yes",
    "Port many": "Port many",
    "Port many, for another": "Host other\n Port many",
    "Port 0": "Port 0",
    "Port 70000": "Port 70000",
    "two ports": "Port 22 23",
    "two signs": "Port==33",
    "no value": "User",
    "empty value": 'User ""',
    "open quote": 'User "abc',
    "no Host": "Host\n Port 97",
    "no Match": "Match\n Port 3",
    "Match without a value": "Match host\n Port 3",
    "Match of no kind": "Match frob x\n Port 3",
    "all and more": "Match all host n1\n Port 9",
    "HostName of tokens": "HostName %h.%n",
    "HostName of %%": "HostName %%h",
    "not canonical": "CanonicalizeHostname no",
}


def asked_ssh(path: Path, host: str) -> dict[str, list[str]] | str:
    """What ssh makes of the file, or its complaint."""
    done = subprocess.run(
        [str(SSH), "-G", "-F", path, host], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        return done.stderr
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword.lower(), []).append(SAME.get(value, value))
    return found


def made_here(path: Path, host: str) -> dict[str, list[str]] | str:
    try:
        config = sshconfig.look([path], host)
    except SshConfigError as why:
        return str(why)
    found = {key: [" ".join(it.words) for it in values] for key, values in config.said.items()}
    found["hostname"] = [config.host]
    if "hostkeyalias" in found:
        found["hostkeyalias"] = [found["hostkeyalias"][0].lower()]
    return {key: it for key, it in found.items() if (key[:5], it) != ("proxy", ["none"])}


@pytest.fixture(scope="module")
def usual() -> dict[str, dict[str, list[str]]]:
    """What ssh says where no file says anything."""
    said = {host: asked_ssh(Path("/dev/null"), host) for host in HOSTS}
    return {host: it for host, it in said.items() if isinstance(it, dict)}


@oracle_there
@pytest.mark.parametrize("name", FILES)
def test_it_is_what_ssh_says(
    tmp_path: Path, name: str, usual: dict[str, dict[str, list[str]]]
) -> None:
    inner = {
        "a.conf": "User inc_a\nHost n1\n Port 71\n",
        "loop": f"Include {tmp_path}/loop\n",
        "b.conf": "Host *\n IdentityFile /b\nMatch all\n HostKeyAlias bb\n",
        "bad": "Frob yes\n",
    }
    for file, text in inner.items():
        (tmp_path / file).write_text(text)
    path = tmp_path / "config"
    path.write_text(FILES[name].replace("INC", str(tmp_path)) + "\n")
    for host in HOSTS:
        theirs, ours = asked_ssh(path, host), made_here(path, host)
        if isinstance(theirs, str) or isinstance(ours, str):
            assert isinstance(theirs, str), f"{host}: only here: {ours}"
            assert isinstance(ours, str), f"{host}: only ssh: {theirs}"
            assert ours.startswith("line "), ours
            continue
        for keyword in COMPARED:
            default = usual[host].get(keyword)
            assert ours.get(keyword, default) == theirs.get(keyword), f"{host}: {keyword}"


REFUSED = {
    "KnownHostsCommand": ("KnownHostsCommand /bin/x", "`host_key`"),
    "CanonicalizeHostname": ("CanonicalizeHostname yes", "as `address`"),
    "BindInterface": ("BindInterface eth0", "`BindAddress`"),
    "ProxyUseFdpass": ("ProxyUseFdpass yes", "`ProxyJump`"),
    "PubkeyAuthentication": ("PubkeyAuthentication no", "say `yes`"),
    "PreferredAuthentications": ("PreferredAuthentications password", "add `publickey`"),
    "Match localnetwork": ("Match localnetwork 10.0.0.0/8\n Port 3", "say it with `host`"),
    "RefuseConnection": ("RefuseConnection no", "take it out"),
    "%C": ("UserKnownHostsFile /x/%C", "write it out"),
    "environment": ("IdentityFile ${FEDWIZ_NO_SUCH}/k", "set it"),
}


@pytest.mark.parametrize(("text", "remedy"), REFUSED.values(), ids=REFUSED)
async def test_what_is_not_supported_is_said_with_its_line(
    tmp_path: Path, text: str, remedy: str
) -> None:
    path = tmp_path / "config"
    path.write_text(f"Host other\n User x\nHost n1\n{text}\n")
    with pytest.raises(UnreachableError) as caught:
        await resolve(Target("node1", "n1"), [path])
    assert f"node1: line 4 of {path}: " in str(caught.value)
    assert remedy in str(caught.value)
    if not text.startswith("Match"):
        await resolve(Target("node2", "n2"), [path])  # nobody else is told


def test_a_file_that_others_may_write_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".ssh/config"
    path.parent.mkdir()
    path.write_text("User x\n")
    path.chmod(0o660)
    with pytest.raises(SshConfigError, match="chmod 600"):
        sshconfig.look([path], "n1")
    path.chmod(0o600)
    assert sshconfig.look([path], "n1").get("user") == "x"


def test_an_include_is_looked_for_beside_the_users_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh/more").mkdir(parents=True)
    (tmp_path / ".ssh/more/a").write_text("Host n1\n Port 71\n")
    (tmp_path / ".ssh/config").write_text("Include more/* ~/.ssh/none\n")
    config = sshconfig.look([tmp_path / ".ssh/config"], "n1")
    assert (config.get("port"), config.names) == ("71", ("n1",))


def test_a_command_that_is_not_to_be_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(f'Match exec "touch {tmp_path}/ran"\n Port 3\n')
    config = sshconfig.look([path], "n1", run=False)
    assert [it.line for it in config.unfollowed] == [1]
    assert config.get("port") == ""
    assert not (tmp_path / "ran").exists()


def test_the_answers_come_first(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("Match user ops\n Port 77\nMatch user root\n Port 78\nUser root\n")
    way = asyncio.run(resolve(Target("n", "n1", user="ops"), [path]))
    assert (way.user, way.port) == ("ops", 77)
    assert asyncio.run(resolve(Target("n", "n1", user="ops", port=5), [path])).port == 5
