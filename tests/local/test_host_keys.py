"""Whom to trust, against a real sshd: what ssh itself would do is asked of ssh."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedwiz.model.actions import UnreachableError
from fedwiz.ssh.known_hosts import UnknownKeyError, fingerprint, hashed
from tests.support import sshd
from tests.support.sshd import Home, Host, Sshd, certify, keygen

pytestmark = pytest.mark.skipif(bool(sshd.WHY_NOT), reason=sshd.WHY_NOT)


async def said(home: Home, server: Sshd, host: Host | None = None, **options: object) -> str:
    """Why there is no session; empty: there is one."""
    try:
        async with home.ssh(server, host or Host(), **options).connect("node1"):  # type: ignore[arg-type]
            return ""
    except UnreachableError as why:
        return str(why)


def by_ssh(home: Home, server: Sshd) -> bool:
    """Whether ssh gets in, where nobody is asked."""
    command = [
        "ssh",
        "-F",
        f"{home.path}/.ssh/config",
        "-i",
        f"{home.path}/.ssh/id_ed25519",
        "-o",
        f"UserKnownHostsFile={home.known_hosts}",
        "-o",
        "BatchMode=yes",
        "-p",
        str(server.port),
        "127.0.0.1",
        "true",
    ]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return done.returncode == 0


# Certificates of hosts


@dataclass
class Certified:
    """A host with a certificate, and who signed it."""

    server: Sshd
    authority: str
    port: str


@pytest.fixture
def certified(home: Home) -> Certified:
    return with_certificate(home, "127.0.0.1")


def with_certificate(home: Home, name: str, *options: str) -> Certified:
    server = home.serve(f"HostCertificate {home.path}/sshd0/host_key-cert.pub")
    authority = keygen(home.path / "ca")
    certify(home.path / "ca", server.folder / "host_key.pub", name, *options)
    server.stop()
    server.start()
    home.configure("")
    return Certified(server, authority, str(server.port))


GOOD = ("127.0.0.1",)
CERTIFICATES: dict[str, tuple[tuple[str, ...], str, bool, str]] = {
    # what is signed, known_hosts, whether ssh gets in, what is said here
    "good": (GOOD, "@cert-authority * {ca}", True, ""),
    "good, by port": (GOOD, "@cert-authority [127.0.0.1]:{port} {ca}", True, ""),
    "good, by bare name": (GOOD, "@cert-authority 127.0.0.1 {ca}", True, ""),
    "good, hashed": (GOOD, "@cert-authority {hashed} {ca}", True, ""),
    "other host's line": (GOOD, "@cert-authority node7 {ca}", False, "not known yet"),
    "no line": (GOOD, "", False, "not known yet"),
    "another name": (("node7",), "@cert-authority * {ca}", False, "its certificate is not valid"),
    "another name, key known": (("node7",), "@cert-authority * {ca}\n{host} {key}", True, ""),
    "expired": ((*GOOD, "-V", "20200101:20200201"), "@cert-authority * {ca}", False, "expired"),
    "not yet": ((*GOOD, "-V", "20990101:20990201"), "@cert-authority * {ca}", False, "not yet"),
    "expired, key known": (
        (*GOOD, "-V", "20200101:20200201"),
        "@cert-authority * {ca}\n{host} {key}",
        True,
        "",
    ),
    "another authority": (GOOD, "@cert-authority * {other}", False, "not known yet"),
    "another authority, key known": (GOOD, "@cert-authority * {other}\n{host} {key}", True, ""),
    "authority revoked": (
        GOOD,
        "@revoked * {ca}\n@cert-authority * {ca}",
        False,
        "not to be trusted",
    ),
    "key revoked": (GOOD, "@revoked * {key}\n@cert-authority * {ca}", False, "revokes"),
}


LIKE_OTHERS = (
    "good, by bare name",
    "other host's line",
    "not yet",
    "expired, key known",
    "another authority, key known",
)


@pytest.mark.parametrize(
    "name",
    [pytest.param(it, marks=pytest.mark.full if it in LIKE_OTHERS else ()) for it in CERTIFICATES],
)
async def test_a_host_certificate_is_good_where_it_is_for_ssh(home: Home, name: str) -> None:
    signed, lines, lets_in, why = CERTIFICATES[name]
    it = with_certificate(home, *signed)

    place = f"[127.0.0.1]:{it.port}"
    home.known_hosts.write_text(
        lines.format(
            ca=it.authority,
            port=it.port,
            key=it.server.key,
            host=place,
            hashed=hashed(place),
            other=keygen(home.path / "other"),
        )
        + "\n"
    )
    assert by_ssh(home, it.server) is lets_in
    heard = await said(home, it.server)
    assert (heard == "") is lets_in, heard
    assert why in heard


async def test_a_pin_is_not_met_by_a_certificate(home: Home, certified: Certified) -> None:
    home.known_hosts.write_text(f"@cert-authority * {certified.authority}\n")
    other = fingerprint(keygen(home.path / "other").split()[1])
    heard = await said(home, certified.server, Host(host_key=other))
    assert f"the answers pin {other}" in heard
    mine = fingerprint(certified.server.key.split()[1])
    assert await said(home, certified.server, Host(host_key=mine)) == ""


async def test_an_authority_may_sign_with_what_ssh_config_allows(
    home: Home, certified: Certified
) -> None:
    home.known_hosts.write_text(f"@cert-authority * {certified.authority}\n")
    home.configure("CASignatureAlgorithms rsa-sha2-512\n")
    assert not by_ssh(home, certified.server)
    assert "not known yet" in await said(home, certified.server)
    home.configure("CASignatureAlgorithms ssh-ed25519\n")
    assert await said(home, certified.server) == ""


# What ssh_config says


@pytest.mark.parametrize(
    ("strict", "lets_in"),
    [("ask", False), ("yes", False), ("accept-new", True), ("no", True), ("off", True)],
)
async def test_a_new_key_is_taken_where_ssh_takes_it(
    home: Home, strict: str, lets_in: bool
) -> None:
    server = home.serve()
    home.configure(f"StrictHostKeyChecking {strict}\n")
    assert by_ssh(home, server) is lets_in
    written = home.known_hosts.read_text() if lets_in else ""
    home.known_hosts.unlink(missing_ok=True)
    heard = await said(home, server)
    assert (heard == "") is lets_in, heard
    if lets_in:
        assert home.known_hosts.read_text() == written
    else:
        assert await said(home, server, accept_new=True) == ""  # the command line comes first


@pytest.mark.parametrize("strict", ["ask", "yes", "accept-new", "no"])
async def test_a_changed_key_always_stops(home: Home, strict: str) -> None:
    server = home.serve()
    home.configure(f"StrictHostKeyChecking {strict}\n")
    home.known_hosts.write_text(f"[127.0.0.1]:{server.port} {keygen(home.path / 'other')}\n")
    assert "has changed" in await said(home, server, accept_new=True)


HASHES = {
    "for this host": ("Host 127.*\n HashKnownHosts yes\n", True),
    "for another": ("Host other\n HashKnownHosts yes\n", False),
    "the first says": ("HashKnownHosts no\nHost *\n HashKnownHosts yes\n", False),
    "included": ("Include {home}/more\n", True),
    "with an equals sign": ("HashKnownHosts=Yes\n", True),
}


@pytest.mark.parametrize(
    ("text", "hides"),
    [
        pytest.param(*it, id=name, marks=pytest.mark.full if name == "for another" else ())
        for name, it in HASHES.items()
    ],
)
async def test_a_name_is_hashed_where_ssh_hashes_it(home: Home, text: str, hides: bool) -> None:
    server = home.serve()
    (home.path / "more").write_text("HashKnownHosts yes\n")
    home.configure("StrictHostKeyChecking accept-new\n" + text.format(home=home.path))
    for enters in (by_ssh(home, server), await said(home, server) == ""):
        assert enters
    assert home.known_hosts.read_text().startswith("|1|") is hides
    home.known_hosts.unlink()
    await said(home, server)
    assert home.known_hosts.read_text().startswith("|1|") is hides


async def test_a_key_that_ssh_config_revokes_is_refused(home: Home) -> None:
    server = home.serve()
    home.know(server)
    (home.path / "revoked").write_text(server.key + "\n")
    home.configure(f"RevokedHostKeys {home.path}/revoked\n")
    assert not by_ssh(home, server)
    assert f"line 1 of {home.path}/revoked revokes" in await said(home, server)


async def test_a_krl_is_said_not_to_be_supported(home: Home) -> None:
    server = home.serve()
    home.know(server)
    krl = home.path / "krl"
    sshd.keygen_krl(krl, server.folder / "host_key.pub")
    home.configure(f"RevokedHostKeys {krl}\n")
    assert "is a KRL, which is not supported" in await said(home, server)


@pytest.mark.parametrize("fits", [True, False])
async def test_an_address_that_had_another_key_is_refused_where_it_is_checked(
    home: Home, fits: bool
) -> None:
    server = home.serve()
    other = keygen(home.path / "other")
    home.known_hosts.write_text(
        f"[localhost]:{server.port} {server.key}\n"
        f"[127.0.0.1]:{server.port} {server.key if fits else other}\n"
    )
    home.configure("AddressFamily inet\nCheckHostIP yes\n")
    heard = await said(home, server, Host(address="localhost"))
    assert (heard == "") is fits
    assert fits or "node1 (127.0.0.1)'s host key has changed" in heard
    home.configure("AddressFamily inet\n")
    assert await said(home, server, Host(address="localhost")) == ""


async def test_an_alias_is_the_name_in_known_hosts(home: Home) -> None:
    server = home.serve()
    home.configure("HostKeyAlias Somebody\n")
    home.known_hosts.write_text(f"somebody {server.key}\n")
    assert by_ssh(home, server)
    assert await said(home, server) == ""


async def test_a_host_key_of_a_type_that_ssh_config_leaves_out_is_not_asked_for(
    home: Home,
) -> None:
    server = home.serve()
    home.know(server)
    home.configure("HostKeyAlgorithms -ssh-ed25519*\n")
    assert not by_ssh(home, server)
    assert "no algorithm that HostKeyAlgorithms in ssh_config names" in await said(home, server)
    home.configure("HostKeyAlgorithms sk-ssh-ed25519-cert-v01@openssh.com\n")
    assert "HostKeyAlgorithms in ssh_config leaves nothing" in await said(home, server)
    home.configure("HostKeyAlgorithms no-such-thing\n")
    assert "config line 1: Bad key types 'no-such-thing'" in await said(home, server)


async def test_no_file_for_keys_keeps_none(home: Home) -> None:
    server = home.serve()
    home.configure("UserKnownHostsFile none\nStrictHostKeyChecking no\n")
    assert await said(home, server) == ""
    assert not home.known_hosts.exists()


async def test_a_new_key_that_can_not_be_written_is_said(home: Home) -> None:
    server = home.serve()
    home.known_hosts.mkdir()
    heard = await said(home, server, accept_new=True)
    assert f"can't be written into {home.known_hosts} (Is a directory)" in heard


async def test_a_proxy_command_is_the_way(home: Home, tmp_path: Path) -> None:
    server = home.serve()
    home.know(server)
    carry = "exec 3<>/dev/tcp/%h/%p; cat <&3 & exec cat >&3"
    home.configure(
        "Host n1\n HostName 127.0.0.1\n"
        f" ProxyCommand bash -c 'echo noise >&2; echo %n %r >{tmp_path}/ran; {carry}'\n"
    )
    assert await said(home, server, Host(address="n1")) == ""
    assert (tmp_path / "ran").read_text() == "n1 root\n"


async def test_the_unknown_key_of_a_certified_host_can_be_accepted(
    home: Home, certified: Certified
) -> None:
    ssh = home.ssh(certified.server)
    with pytest.raises(UnknownKeyError) as caught:
        async with ssh.connect("node1"):
            pass
    await ssh.accept(caught.value)
    assert await said(home, certified.server) == ""
