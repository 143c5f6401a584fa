"""etcd with TLS and with users, against real servers."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedwiz.answers.file import Etcd
from fedwiz.etcd import EtcdError, store
from fedwiz.etcd.endpoint import Endpoint
from fedwiz.etcd.etcd3_shim import library
from fedwiz.model.actions import PutKey, Secret
from tests.support.etcd_servers import (
    BOTH,
    CONFIG,
    Authority,
    Local,
    etcd_server,
    refused,
    v2,
)
from tests.support.patience import GIVE_UP


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with etcd_server(tmp_path_factory.mktemp("plain"), "--enable-v2=true") as url:
        yield url


@dataclass(frozen=True)
class Secured:
    """An etcd that asks for client certificates, and what opens it."""

    url: str
    etcd: Etcd
    other_ca: str


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    root = tmp_path_factory.mktemp("tls")
    ours, other = Authority(root / "ours"), Authority(root / "other")
    cert, key = ours.sign("server", "fed-master", "192.0.2.7")
    client, client_key = ours.sign("client")
    options = (
        "--enable-v2=true",
        "--client-cert-auth",
        f"--trusted-ca-file={ours.file}",
        f"--cert-file={cert}",
        f"--key-file={key}",
    )
    with etcd_server(root / "data", *options, scheme="https") as url:
        etcd = Etcd(endpoints=(url,), ca_file=str(ours.file), cert_file=client, key_file=client_key)
        yield Secured(url, etcd, str(other.file))


def private() -> set[Path]:
    """Directories that hold a key for a moment."""
    return set(Path(tempfile.gettempdir()).glob("fedwiz-*"))


@BOTH
@pytest.mark.parametrize("host", ["fed-master", "192.0.2.7"])
async def test_tls_with_a_client_certificate(secured: Secured, api: str, host: str) -> None:
    etcd = secured.etcd.model_copy(
        update={"endpoints": (secured.url.replace("fed-master", host),), "prefix": f"/{host}"}
    )
    before = private()
    async with store(Local(), etcd, api, timeout=GIVE_UP) as opened:
        assert private() == before, "no key stays on a disk"
        assert await opened.put(PutKey(f"/{host}/config", "{}", api))
        seen = await opened.get(f"/{host}/config")
        assert seen
        assert seen.text == "{}"


NO_TLS: dict[str, tuple[dict[str, str], str]] = {
    "another name": ({"url": "https://fed-other"}, "not valid for 'fed-other'"),
    "plain http to a TLS port": ({"url": "http://fed-master"}, "begin the endpoint with https://"),
    "another authority": ({"ca_file": "other"}, "etcd.ca_file must name the authority"),
    "no client certificate": ({"cert_file": "", "key_file": ""}, "set etcd.cert_file"),
    "no such file": ({"ca_file": "/nowhere/ca.pem"}, "can't read /nowhere/ca.pem"),
    "a file of something else": ({"ca_file": "/etc/passwd"}, "ca_file holds no certificate"),
    "a key of something else": ({"key_file": "/etc/passwd"}, "certificate and key don't fit"),
}


@BOTH
@pytest.mark.parametrize(("change", "said"), NO_TLS.values(), ids=NO_TLS)
async def test_what_is_wrong_with_tls_is_said(
    secured: Secured,
    api: str,
    change: dict[str, str],
    said: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    update: dict[str, Any] = dict(change)
    if url := update.pop("url", ""):
        update["endpoints"] = (secured.url.replace("https://fed-master", url),)
    if change.get("ca_file") == "other":
        update["ca_file"] = secured.other_ca
    error = await refused(secured.etcd.model_copy(update=update), api)
    assert error.kind == "tls"
    assert said in str(error)
    assert "root:" not in str(error), "what is in the file is not what it is about"
    assert capfd.readouterr().err == "", "gRPC writes over no screen"


@BOTH
async def test_https_to_a_plain_port_says_so(plain: str, secured: Secured, api: str) -> None:
    update = {"endpoints": (plain.replace("http", "https"),)}
    error = await refused(secured.etcd.model_copy(update=update), api)
    assert error.kind == "tls"
    assert "http://" in str(error)


PASSWORDS = {"root": "r00t:pass", "flannel": "fl nnel", "other": "0ther"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An etcd with users: `flannel` may use flannel's keys, `other` none."""
    with etcd_server(tmp_path_factory.mktemp("users"), "--enable-v2=true") as url:
        port = int(url.rpartition(":")[2])
        guard_v3(port)
        guard_v2(port)
        yield url


def guard_v3(port: int) -> None:
    rpc, grpc = library().etcd3.etcdrpc, library().grpc
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        auth = rpc.AuthStub(channel)
        for user, password in PASSWORDS.items():
            auth.UserAdd(rpc.AuthUserAddRequest(name=user, password=password))
            auth.RoleAdd(rpc.AuthRoleAddRequest(name=user))
            auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user=user, role=user))
        below = rpc.AuthRoleGrantPermissionRequest(name="flannel")
        below.perm.permType = 2  # READWRITE
        below.perm.key, below.perm.range_end = b"/coreos.com/network", b"/coreos.com/networl"
        auth.RoleGrantPermission(below)
        auth.AuthEnable(rpc.AuthEnableRequest())


def guard_v2(port: int) -> None:
    keys = ["/coreos.com/network*"]
    role = {"role": "flannel", "permissions": {"kv": {"read": keys, "write": keys}}}
    root = f"root:{PASSWORDS['root']}"
    assert v2(port, "PUT", "/v2/auth/roles/flannel", json.dumps(role)) == 201
    for user, password in PASSWORDS.items():
        roles = {"roles": ["flannel"]} if user == "flannel" else {}
        body = json.dumps({"user": user, "password": password} | roles)
        assert v2(port, "PUT", f"/v2/auth/users/{user}", body) in (200, 201)
    assert v2(port, "PUT", "/v2/auth/enable") == 200
    revoke = {"role": "guest", "revoke": {"kv": {"read": ["/*"], "write": ["/*"]}}}
    assert v2(port, "PUT", "/v2/auth/roles/guest", json.dumps(revoke), root) == 200


@BOTH
async def test_a_user_with_a_password_over_plain_http(guarded: str, api: str) -> None:
    etcd = Etcd(endpoints=(guarded,), user="flannel")
    secret = Secret("etcd-password", "fl nnel")
    async with store(Local(), etcd, api, secret, timeout=GIVE_UP) as opened:
        assert await opened.put(PutKey(CONFIG, "{}", api))
        seen = await opened.get(CONFIG)
        assert seen
        assert seen.text == "{}"
        with pytest.raises(EtcdError) as caught:
            await opened.put(PutKey("/elsewhere/config", "{}", api))
        assert caught.value.kind == ("denied" if api == "v3" else "auth")
        assert "/elsewhere/config" in str(caught.value)


NO_ENTRY = {
    "no user": ("", None, "auth", "set etcd.user and FEDWIZ_ETCD_PASSWORD"),
    "no password": ("flannel", None, "auth", "FEDWIZ_ETCD_PASSWORD"),
    "a wrong password": ("flannel", "wr0ng", "auth", "FEDWIZ_ETCD_PASSWORD"),
    "an unknown user": ("nobody", "wr0ng", "auth", "FEDWIZ_ETCD_PASSWORD"),
    "a user without a role": ("other", "0ther", "denied", CONFIG),
}


@BOTH
@pytest.mark.parametrize(("user", "password", "kind", "said"), NO_ENTRY.values(), ids=NO_ENTRY)
async def test_who_is_not_let_in_hears_why(
    guarded: str, api: str, user: str, password: str | None, kind: str, said: str
) -> None:
    error = await refused(Etcd(endpoints=(guarded,), user=user), api, password)
    # v2 has one answer for a wrong password and for a key that isn't allowed.
    assert error.kind == (kind if api == "v3" else "auth")
    assert said in str(error)
    assert not password or password not in str(error).replace("'other'", "")


async def test_a_password_where_there_are_no_users(plain: str) -> None:
    error = await refused(Etcd(endpoints=(plain,), user="flannel"), "v3", "x")
    assert error.kind == "auth"
    assert "leave etcd.user empty" in str(error)


async def test_a_login_that_etcd_forgot_is_renewed(guarded: str) -> None:
    """As after five minutes, or a restart: the token of the login is not known any more."""
    etcd = Etcd(endpoints=(guarded,), user="flannel")
    secret = Secret("etcd-password", "fl nnel")
    async with store(Local(), etcd, "v3", secret, timeout=GIVE_UP) as opened:
        rpc, grpc = library().etcd3.etcdrpc, library().grpc
        with grpc.insecure_channel(guarded.replace("http://fed-master", "127.0.0.1")) as channel:
            auth = rpc.AuthStub(channel)
            login = rpc.AuthenticateRequest(name="root", password=PASSWORDS["root"])
            token = (("token", auth.Authenticate(login).token),)
            # A user whose password changes is logged out.
            change = rpc.AuthUserChangePasswordRequest(name="flannel", password="fl nnel")
            auth.UserChangePassword(change, metadata=token)
        assert await opened.under("/coreos.com/network/none") == ()


def test_no_secret_is_in_the_text_of_a_way() -> None:
    way = Endpoint("http://m:2379", "m", 1, "n", tls=True, key="PRIVATE", user="u", password="w0rd")
    assert "PRIVATE" not in repr(way)
    assert "w0rd" not in repr(way)
