"""Steps that bring flannel: its configuration in etcd, its package, its settings, its unit."""

import hashlib
import re
from collections.abc import Iterator

from fedwiz.answers.file import Answers, Host
from fedwiz.facts.values import ClusterFacts, File
from fedwiz.facts.versions import FLANNEL_VARIABLES, endpoint_variables
from fedwiz.model.actions import Action, PutKey, Run, Secret
from fedwiz.model.envfile import values, with_values
from fedwiz.scripts import script
from fedwiz.steps.make import ANY, change, diff, dnf, put_file, run_script, same_json, seen
from fedwiz.steps.table import step

SYSCONFIG = "/etc/sysconfig/flanneld"
PASSWORD_FILE = "/etc/sysconfig/fedwiz-etcd"  # noqa: S105 - a path
BINARY = "/usr/local/bin/flanneld"
OPTS = "/usr/libexec/flannel/fedwiz-docker-opts"
UNIT_FILE = "/etc/systemd/system/flanneld.service"
DROP_IN = "/etc/systemd/system/flanneld.service.d/60-fedwiz.conf"
FLANNELD_ENVIRONMENT = tuple(
    f"FLANNELD_ETCD_{name}" for name in ("CAFILE", "CERTFILE", "KEYFILE", "USERNAME")
)
"""flanneld's own environment, which it reads for what its command line does not say."""
REMOVE = "dnf -y remove flannel"
UPLOADED = "/var/lib/fedwiz/flannel.rpm"

DROP_IN_TEXT = """\
# Written by fedwiz.
[Service]
# flanneld before 0.18 ends with status 0 when its lease is deleted.
Restart=always
RestartSec=5
# docker waits for flanneld: with a limit it would be given up for good where etcd comes late.
TimeoutStartSec=infinity
"""
UNIT_TEXT = f"""\
# Written by fedwiz, since flanneld was not installed from a package.
[Unit]
Description=flannel, the overlay network of containers
After=network-online.target etcd.service
Wants=network-online.target
Before=docker.service

[Service]
Type=notify
EnvironmentFile={SYSCONFIG}
ExecStart={BINARY} -etcd-endpoints=${{FLANNEL_ETCD_ENDPOINTS}} -etcd-prefix=${{FLANNEL_ETCD_PREFIX}} $FLANNEL_OPTIONS
ExecStartPost={OPTS}
RuntimeDirectory=flannel
RuntimeDirectoryPreserve=yes

[Install]
WantedBy=multi-user.target
RequiredBy=docker.service
"""  # noqa: E501 - a unit's line is one line


@step("config", "Write the network into etcd", role="master", stage="config")
def config(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[PutKey]:
    """The configuration, through the API that the nodes' flannel reads."""
    stored, value = known.store, answers.config_json()
    there = stored.config
    if there is not None and same_json(there.text, value):
        return
    yield PutKey(
        answers.key,
        value,
        stored.api or "v3",
        previous=there.revision if there else None,
        was=there.text if there else "",
        undo="put the old value back" if there else f"delete {answers.key}",
    )


@step("package", "Install flannel")
def package(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """From the hosts' repositories, or from a file of the operator's that is checked first."""
    facts, flannel = known.hosts[host.name], answers.flannel
    if flannel.source == "dnf":
        if "flannel" not in facts.packages:
            yield dnf("install", "flannel", undo=REMOVE)
    elif flannel.source == "rpm":
        # The file's name ends in its architecture, which a version does not have.
        supplied = known.supplied.get(host.name, "")
        if facts.packages.get("flannel") != supplied:
            yield _upload(answers, "0600", UPLOADED, ANY)
            yield dnf("install", UPLOADED, undo=REMOVE)
            yield change("rm", "-f", UPLOADED)
    elif facts.hashes.get(BINARY) != flannel.sha256:
        yield _upload(answers, "0755", BINARY, facts.hashes.get(BINARY, "absent"))


def _upload(answers: Answers, mode: str, path: str, there: str) -> Run:
    """Send the operator's file, which is put in place only if all of it has arrived."""
    return run_script(
        "put",
        mode,
        path,
        there,
        answers.flannel.sha256,
        upload=answers.flannel.path,
        timeout=900,
        undo=f"rm -f {path}",
    )


@step("sysconfig", "Tell flanneld where etcd is")
def sysconfig(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """The variables that the unit reads; every other line and comment stays.

    Until the package is there nobody knows which names its unit reads: both pairs are
    harmless then, and right for every package.
    """
    facts = known.hosts[host.name]
    found = facts.files.get(SYSCONFIG)
    there = found or File("", 0o644)
    wanted = wanted_values(answers, host, facts.flanneld_unit)
    now = values(there.text)
    # What an earlier answer put there and this one does not; flanneld passes over the empty.
    wanted |= {name: "" for name in FLANNELD_ENVIRONMENT if now.get(name) and name not in wanted}
    left = {name: value for name, value in wanted.items() if now.get(name) != value}
    if not left:
        return
    words = [word for pair in left.items() for word in pair]
    brought = any(True for _ in package.left(answers, host, known))  # the package brings one
    yield run_script(
        "sysconfig",
        SYSCONFIG,
        ANY if brought else seen(found),
        *words,
        diff=diff(SYSCONFIG, there.text, with_values(there.text, left)),
        undo="set the variables back to what the diff takes away",
    )


def wanted_values(answers: Answers, host: Host, unit: str) -> dict[str, str]:
    """What /etc/sysconfig/flanneld must say for a unit of that text; empty text: any unit."""
    if answers.flannel.source == "binary":
        unit = UNIT_TEXT
    etcd = answers.etcd
    endpoints, options = ",".join(etcd.endpoints), list(answers.flannel.options)
    if host.interface:
        options.append(f"-iface={host.interface}")
    all_values = dict(
        zip(
            FLANNEL_VARIABLES,
            (endpoints, etcd.prefix, endpoints, etcd.prefix, " ".join(options)),
            strict=True,
        )
    )
    wanted = {name: all_values[name] for name in endpoint_variables(unit)}
    own = (etcd.ca_file, etcd.cert_file, etcd.key_file, etcd.user)
    return wanted | {
        name: value for name, value in zip(FLANNELD_ENVIRONMENT, own, strict=True) if value
    }


@step("unit", "Have systemd keep flanneld running")
def unit(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Action]:
    """A drop-in, and for a flanneld without a package the unit itself.

    flannel before 0.18 ends with status 0 when its lease is deleted, which
    `Restart=on-failure` takes for a wish.
    """
    facts, written = known.hosts[host.name], list[Action]()
    if answers.flannel.source == "binary":
        written += put_file(facts, OPTS, script("docker-opts"), 0o755)
        written += put_file(facts, UNIT_FILE, UNIT_TEXT)
    text = DROP_IN_TEXT
    if answers.etcd.user:
        text += f"EnvironmentFile={PASSWORD_FILE}\n"
        written += _password(answers, known, host)
    written += put_file(facts, DROP_IN, text)
    yield from written
    if written:
        yield change("systemctl", "daemon-reload")


def _password(answers: Answers, known: ClusterFacts, host: Host) -> Iterator[Run]:
    secret = known.etcd_password
    if secret is None:
        return
    # systemd takes these four for more than themselves inside double quotes.
    quoted = re.sub(r'(["\\\\`$])', r"\\\1", secret.reveal())
    parts = ('FLANNELD_ETCD_PASSWORD="', Secret("etcd password", quoted), '"\n')
    # Its hash would let whoever reads it try passwords: the file is one line, whole with its end.
    there = known.hosts[host.name].hashes.get(PASSWORD_FILE)
    put = run_script(
        "put",
        "0600",
        PASSWORD_FILE,
        ANY if there else "absent",
        "line",
        stdin=parts,
        undo=f"rm {PASSWORD_FILE}",
    )
    hashed = hashlib.sha256(put.input(reveal=True).encode()).hexdigest()
    if there != hashed:
        yield put
