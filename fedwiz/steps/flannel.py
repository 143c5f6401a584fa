"""Steps for flannel itself: its configuration in etcd, its package, its settings, its unit."""

import hashlib
import re
from collections.abc import Iterator

from fedwiz.answers.file import Answers, Host
from fedwiz.facts.values import ClusterFacts, File
from fedwiz.facts.versions import FLANNEL_VARIABLES, endpoint_variables
from fedwiz.model.actions import Action, PutKey, Run, Secret
from fedwiz.model.envfile import values, with_values
from fedwiz.scripts import script
from fedwiz.steps.make import ANY, change, diff, dnf, file_state, put_file, run_script, same_json
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
"""Environment variables of flanneld: options that are not on its command line."""
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
    """Write the configuration through the API that the nodes' flannel reads."""
    store, value = known.store, answers.config_json()
    existing = store.config
    if existing is not None and same_json(existing.text, value):
        return
    yield PutKey(
        answers.key,
        value,
        store.api or "v3",
        previous=existing.revision if existing else None,
        was=existing.text if existing else "",
        undo="put the old value back" if existing else f"delete {answers.key}",
    )


@step("package", "Install flannel")
def package(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """From the hosts' repositories, or from the operator's file, whose hash is verified first."""
    facts, flannel = known.hosts[host.name], answers.flannel
    if flannel.source == "dnf":
        if "flannel" not in facts.packages:
            yield dnf("install", "flannel", undo=REMOVE)
    elif flannel.source == "rpm":
        # The file's name ends in its architecture, which a version does not contain.
        supplied = known.supplied.get(host.name, "")
        if facts.packages.get("flannel") != supplied:
            yield _upload(answers, "0600", UPLOADED, ANY)
            yield dnf("install", UPLOADED, undo=REMOVE)
            yield change("rm", "-f", UPLOADED)
    elif facts.hashes.get(BINARY) != flannel.sha256:
        yield _upload(answers, "0755", BINARY, facts.hashes.get(BINARY, "absent"))


def _upload(answers: Answers, mode: str, path: str, state: str) -> Run:
    """Upload the operator's file; it is put in place only if it arrived completely."""
    return run_script(
        "put",
        mode,
        path,
        state,
        answers.flannel.sha256,
        upload=answers.flannel.path,
        timeout=900,
        undo=f"rm -f {path}",
    )


@step("sysconfig", "Tell flanneld where etcd is")
def sysconfig(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """Set the variables that the unit reads; all other lines and comments stay.

    Before the package is installed, nobody knows which names its unit reads. Setting both pairs is
    harmless, and right for every package.
    """
    facts = known.hosts[host.name]
    existing = facts.files.get(SYSCONFIG)
    current = existing or File("", 0o644)
    wanted_by_name = wanted_values(answers, host, facts.flanneld_unit)
    values_now = values(current.text)
    # Variables of earlier answers that these don't set; flanneld ignores empty ones.
    wanted_by_name |= {
        name: ""
        for name in FLANNELD_ENVIRONMENT
        if values_now.get(name) and name not in wanted_by_name
    }
    missing = {
        name: value for name, value in wanted_by_name.items() if values_now.get(name) != value
    }
    if not missing:
        return
    words = [word for pair in missing.items() for word in pair]
    package_brings_it = any(True for _ in package.left(answers, host, known))
    yield run_script(
        "sysconfig",
        SYSCONFIG,
        ANY if package_brings_it else file_state(existing),
        *words,
        diff=diff(SYSCONFIG, current.text, with_values(current.text, missing)),
        undo="set the variables back to what the diff takes away",
    )


def wanted_values(answers: Answers, host: Host, unit: str) -> dict[str, str]:
    """The values for /etc/sysconfig/flanneld, given the unit's text; empty text: any unit."""
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
    """A drop-in, and the unit itself if flanneld does not come from a package.

    flannel before 0.18 exits with status 0 when its lease is deleted, which `Restart=on-failure`
    takes for a clean exit.
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
    # Inside double quotes, systemd gives these four characters a special meaning.
    quoted = re.sub(r'(["\\\\`$])', r"\\\1", secret.reveal())
    parts = ('FLANNELD_ETCD_PASSWORD="', Secret("etcd password", quoted), '"\n')
    # A hash in the plan would allow guessing the password: the script checks for one complete line
    # instead.
    current_hash = known.hosts[host.name].hashes.get(PASSWORD_FILE)
    put = run_script(
        "put",
        "0600",
        PASSWORD_FILE,
        ANY if current_hash else "absent",
        "line",
        stdin=parts,
        undo=f"rm {PASSWORD_FILE}",
    )
    new_hash = hashlib.sha256(put.input(reveal=True).encode()).hexdigest()
    if current_hash != new_hash:
        yield put
