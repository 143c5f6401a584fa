"""The whole procedure with an etcd that lets not everybody in: certificates, users."""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.fixture import Lab, LabFactory
from tests.lab.test_install import GENERATIONS, proven
from tests.support.etcd_servers import Authority
from tests.support.lab_operator import Operator, Said

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

PLAIN = "http://fed-master:2379"
TLS = "https://fed-master:2379"
PKI = "/etc/etcd/pki"
OURS = {
    "endpoints": [TLS],
    "ca_file": f"{PKI}/ca.pem",
    "cert_file": f"{PKI}/flannel.pem",
    "key_file": f"{PKI}/flannel-key.pem",
}
CANARY = "Kanari3nvogel"
PASSWORD = f'{CANARY} "sings" for $HOME \\o/'
PASSWORD_FILE = "/etc/sysconfig/fedwiz-etcd"


def with_certificates(lab: Lab, folder: Path) -> None:
    """Have etcd show and want certificates of one authority; `other.pem` is of another one."""
    ours, other = Authority(folder / "ours"), Authority(folder / "other")
    files = {"ca": ours.file, "other": other.file}
    for name in ("fed-master", "flannel"):
        cert, key = ours.sign(name, name)
        files |= {name: Path(cert), f"{name}-key": Path(key)}
    for name, file in files.items():
        for host in lab.hosts:
            if name.startswith("fed-master") and host != "fed-master":
                continue
            mode = "0600" if name.endswith("-key") else "0644"
            lab.write(host, f"{PKI}/{name}.pem", file.read_text(), mode)
    own = {
        "LISTEN_CLIENT_URLS": "https://0.0.0.0:2379",
        "ADVERTISE_CLIENT_URLS": TLS,
        "CERT_FILE": f"{PKI}/fed-master.pem",
        "KEY_FILE": f"{PKI}/fed-master-key.pem",
        "TRUSTED_CA_FILE": f"{PKI}/ca.pem",
        "CLIENT_CERT_AUTH": "true",
    }
    text = "".join(f'ETCD_{name}="{value}"\n' for name, value in own.items())
    lab.ssh(
        "fed-master",
        f"chown etcd {PKI}/fed-master-key.pem; cat >>/etc/etcd/etcd.conf; systemctl restart etcd",
        stdin=text,
    )


def with_users(lab: Lab, secret: str = PASSWORD) -> None:
    """Nobody but root and `flannel` gets in, and `flannel` only below its own prefix."""
    login = b64encode(b"root:r00t").decode()

    def tell(path: str, body: object, *words: str) -> None:
        lab.ssh(
            "fed-master", f"curl -sSf -d @- {' '.join(words)} {PLAIN}{path}", stdin=json.dumps(body)
        )

    if lab.flannel == "v2":
        below = ["/coreos.com/network", "/coreos.com/network/*"]
        kv = {"read": below, "write": below}
        put = ("-X PUT",)
        tell("/v2/auth/roles/flannel", {"role": "flannel", "permissions": {"kv": kv}}, *put)
        tell("/v2/auth/users/root", {"user": "root", "password": "r00t"}, *put)
        user = {"user": "flannel", "password": secret, "roles": ["flannel"]}
        tell("/v2/auth/users/flannel", user, *put)
        tell("/v2/auth/enable", {}, *put)
        everything = {"kv": {"read": ["/*"], "write": ["/*"]}}
        guest = {"role": "guest", "revoke": everything}
        tell("/v2/auth/roles/guest", guest, *put, f"-H 'Authorization: Basic {login}'")
        return
    below = [b64encode(key).decode() for key in (b"/coreos.com/network/", b"/coreos.com/network0")]
    perm = {"permType": "READWRITE", "key": below[0], "range_end": below[1]}
    for name, password in (("root", "r00t"), ("flannel", secret)):
        tell("/v3/auth/user/add", {"name": name, "password": password})
        tell("/v3/auth/role/add", {"name": name})
        tell("/v3/auth/user/grant", {"user": name, "role": name})
    tell("/v3/auth/role/grant", {"name": "flannel", "perm": perm})
    tell("/v3/auth/enable", {})


@contextmanager
def unchanged(lab: Lab) -> Iterator[None]:
    """Nothing on a node is written or restarted meanwhile."""
    pid = "systemctl show -p MainPID docker flanneld; ip -4 -o address show dev docker0"
    before = {node: lab.ssh(node, f"touch /run/before; {pid}") for node in lab.nodes}
    yield
    for node in lab.nodes:
        assert lab.ssh(node, pid) == before[node]
        written = lab.ssh(
            node,
            "find /etc /usr /opt /root /var/lib /run/systemd/system "
            "/run/flannel -xdev -type f -cnewer /run/before -not -path '*/rpm/*' "
            "-not -path '*/.rpmdb/*' -not -path '/var/lib/docker/buildkit/*' "
            "2>/dev/null; true",
        )
        # But for rpm's locks, which a question takes too, and what docker writes a while after
        # it has started.
        assert written == ""


@contextmanager
def watched(lab: Lab) -> Iterator[None]:
    """What all processes of all hosts are called meanwhile is noted in /run/names."""
    note = "while :; do ps -eo args; sleep 0.1; done >/run/names"
    for host in lab.hosts:
        lab.ssh(host, f"systemd-run --quiet --unit=names sh -c '{note}'")
    yield
    for host in lab.hosts:
        lab.ssh(host, "systemctl stop names")


def refused(said: Said, code: int, *parts: str) -> None:
    """It ends with one sentence that says it."""
    last = said.err.splitlines()[-1]
    assert said.code == code, said.err
    assert last.startswith("fedwiz: "), said.err
    assert all(part in last for part in parts), last
    assert "Traceback" not in said.err
    assert CANARY not in said.out + said.err


def kept_secret(lab: Lab, home: Path, *all_said: Said) -> None:
    """The password is in one file on each node, which is root's, and nowhere else."""
    basic = b64encode(f"flannel:{PASSWORD}".encode()).decode()
    texts = [said.out + said.err for said in all_said]
    texts += [path.read_text(errors="replace") for path in home.rglob("*") if path.is_file()]
    for host in lab.hosts:
        texts.append(lab.ssh(host, "journalctl --all --output=export"))
        found = lab.ssh(
            host,
            "grep -rlsF -D skip -f - /etc /run /root /home /tmp /usr/local "
            "/var/lib/fedwiz /var/log /var/tmp; true",
            stdin=f"{CANARY}\n{basic}\n",
        ).split()
        assert "ps -eo args" in lab.ssh(host, "cat /run/names")
        assert found == ([PASSWORD_FILE] if host in lab.nodes else [])
        if host in lab.nodes:
            mode = lab.ssh(host, f"stat -c '%a %U:%G' {PASSWORD_FILE}").strip()
            assert mode == "600 root:root"
    assert len(texts) > 2 * len(lab.hosts)
    for text in texts:
        assert CANARY not in text
        assert basic not in text


@pytest.mark.parametrize("generation", GENERATIONS)
def test_etcd_with_certificates(generation: str, lab_factory: LabFactory, tmp_path: Path) -> None:
    lab = lab_factory(generation, 3)
    with_certificates(lab, tmp_path)
    operator = Operator(lab, tmp_path)
    with unchanged(lab):
        operator.answers["etcd"] = {**OURS, "ca_file": f"{PKI}/other.pem"}
        refused(operator.install(), 3, "no trust in its certificate", "etcd.ca_file")

    operator.answers["etcd"] = OURS
    proven(operator.install(), 2)
    assert operator.left() == {}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_etcd_with_users(generation: str, lab_factory: LabFactory, tmp_path: Path) -> None:
    lab = lab_factory(generation, 3)
    with_users(lab)
    operator = Operator(lab, tmp_path, {"etcd": {"user": "flannel"}})
    with watched(lab):
        with unchanged(lab):
            operator.environ["FEDWIZ_ETCD_PASSWORD"] = f"{PASSWORD}?"
            wrong = operator.install()
            refused(wrong, 3, "refuses 'flannel'", "FEDWIZ_ETCD_PASSWORD")

        operator.environ["FEDWIZ_ETCD_PASSWORD"] = PASSWORD
        done = operator.install()
        proven(done, 2)
    plan = operator.fedwiz("plan", "--json")
    assert not any(plan.json["hosts"].values())
    kept_secret(lab, tmp_path, wrong, done, plan)
