"""Files of simulated hosts: units and packages, laid out as in Fedora."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fedwiz.facts.values import version

UNIT_FOLDER = "/usr/lib/systemd/system"
LOCAL_UNITS = "/etc/systemd/system"


@dataclass(frozen=True, slots=True)
class Generation:
    """Versions that were current together: Fedora, docker, etcd and flannel."""

    fedora: str
    kernel: str
    docker: str
    etcd: str
    etcd_v2: bool
    """Whether etcd serves the v2 API beside v3."""

    flannel: str
    """The `version-release` that dnf offers."""

    dnf5: bool


CLASSIC = Generation(
    "32", "5.11.22-100.fc32.x86_64", "20.10.8", "3.4.23", True, "0.9.0-7.fc32", dnf5=False
)
MODERN = Generation(
    "43", "6.17.8-300.fc43.x86_64", "28.5.2", "3.5.21", False, "0.21.5-1.fc43", dnf5=True
)

OS_RELEASE = 'NAME="Fedora Linux"\nVERSION="{0}"\nID=fedora\nVERSION_ID={0}\n'

_DOCKER = """\
[Unit]
Description=Docker Application Container Engine
After=network-online.target firewalld.service
Requires=docker.socket

[Service]
Type=notify
{service}
Restart=always

[Install]
WantedBy=multi-user.target
"""
_FEDORAS = """\
EnvironmentFile=-/etc/sysconfig/docker
EnvironmentFile=-/etc/sysconfig/docker-network
ExecStart=/usr/bin/dockerd --host=fd:// $OPTIONS $DOCKER_NETWORK_OPTIONS"""
_DOCKERS = "ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock"


def docker_unit(docker: str) -> str:
    """Docker's unit: Fedora's own uses DOCKER_NETWORK_OPTIONS, that of docker-ce does not."""
    return _DOCKER.format(service=_DOCKERS if version(docker) >= (23,) else _FEDORAS)


def plain_unit(name: str) -> str:
    """A unit of which only the name matters."""
    return (
        f"[Unit]\nDescription={name}\n\n[Service]\nExecStart=/usr/bin/{name}\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


_SYSCONFIG = """\
# Flanneld configuration options

# etcd url location.  Point this to the server where etcd runs
{endpoints}="http://127.0.0.1:2379"

# etcd config key.  This is the configuration key that flannel queries
# For address range assignment
{prefix}="/atomic.io/network"

# Any additional options that you want to pass
#FLANNEL_OPTIONS=""
"""
_FLANNELD = """\
[Unit]
Description=Flanneld overlay address etcd agent
After=network-online.target etcd.service
Wants=network-online.target
Before=docker.service

[Service]
Type=notify
EnvironmentFile=/etc/sysconfig/flanneld
EnvironmentFile=-/etc/sysconfig/docker-network
ExecStart=/usr/bin/flanneld -etcd-endpoints=${{{endpoints}}} -etcd-prefix=${{{prefix}}} $FLANNEL_OPTIONS
ExecStartPost=/usr/libexec/flannel/mk-docker-opts.sh -k DOCKER_NETWORK_OPTIONS -d /run/flannel/docker
Restart=on-failure

[Install]
WantedBy=multi-user.target
RequiredBy=docker.service
"""  # noqa: E501 - a unit's line can't be wrapped
_DROP_IN = "[Service]\nEnvironmentFile=-/run/flannel/docker\n"


def flannel_package(release: str) -> Mapping[str, str]:
    """The files of flannel's package, by path.

    0.9.0 has the variables of the procedure, later versions the new names; both are in use.
    """
    old = version(release) < (0, 10)
    names = {
        "endpoints": "FLANNEL_ETCD" if old else "FLANNEL_ETCD_ENDPOINTS",
        "prefix": "FLANNEL_ETCD_KEY" if old else "FLANNEL_ETCD_PREFIX",
    }
    return MappingProxyType(
        {
            "/usr/bin/flanneld": "",
            "/etc/sysconfig/flanneld": _SYSCONFIG.format(**names),
            f"{UNIT_FOLDER}/flanneld.service": _FLANNELD.format(**names),
            f"{UNIT_FOLDER}/docker.service.d/flannel.conf": _DROP_IN,
            "/usr/lib/tmpfiles.d/flannel.conf": "d /run/flannel 0755 root root -\n",
            "/usr/libexec/flannel/mk-docker-opts.sh": "#!/bin/sh\n",
        }
    )
