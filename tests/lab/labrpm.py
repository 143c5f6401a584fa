"""The RPMs of the lab, built with real rpmbuild: fedora-release, and flannel in two flavours.

v2 is flannel as Fedora last had it (0.9.0, etcd's v2 API, the old variable names), v3 a later one
(0.21.5, etcd's v3 API, the new names). Both hold the lab's own stand-in for flanneld, or, when the
environment names it, a real binary:
FEDWIZ_LAB_FLANNELD=/path, FEDWIZ_LAB_FLANNEL_VERSION=0.x.y, FEDWIZ_LAB_MK_DOCKER_OPTS=/path.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERSIONS = {"v2": "0.9.0", "v3": "0.21.5"}
NAMES = {
    "v2": ("FLANNEL_ETCD", "FLANNEL_ETCD_KEY"),
    "v3": ("FLANNEL_ETCD_ENDPOINTS", "FLANNEL_ETCD_PREFIX"),
}

RELEASE = """\
Name: fedora-release
Version: {fedora}
Release: 1
Summary: Fedora release files
License: MIT
BuildArch: noarch
AutoReqProv: no
Provides: system-release = {fedora}
Provides: system-release({fedora})
Provides: /bin/sh
%description
What dnf reads the release version from.
%files
"""

FLANNEL = """\
Name: flannel
Version: {version}
Release: 7.fc{fedora}
Summary: Etcd address management agent for overlay networks
License: ASL 2.0
BuildArch: {arch}
AutoReqProv: no
%description
Flannel is an etcd driven address management agent.
%install
cp -a {tree}/. %{{buildroot}}/
%post
systemd-tmpfiles --create flannel.conf >/dev/null 2>&1 || :
systemctl daemon-reload >/dev/null 2>&1 || :
%preun
if [ $1 -eq 0 ]; then systemctl --no-reload disable --now flanneld.service >/dev/null 2>&1 || :; fi
%postun
systemctl daemon-reload >/dev/null 2>&1 || :
%files
/usr/bin/flanneld
%config(noreplace) /etc/sysconfig/flanneld
/usr/lib/systemd/system/flanneld.service
/usr/lib/systemd/system/docker.service.d/flannel.conf
/usr/lib/tmpfiles.d/flannel.conf
/usr/libexec/flannel
%dir /run/flannel
"""

SYSCONFIG = """\
# Flanneld configuration options

# etcd url location.  Point this to the server where etcd runs
{endpoints}="http://127.0.0.1:2379"

# etcd config key.  This is the configuration key that flannel queries
# For address range assignment
{prefix}="/atomic.io/network"

# Any additional options that you want to pass
#FLANNEL_OPTIONS=""
"""

UNIT = """\
[Unit]
Description=Flanneld overlay address etcd agent
After=network.target
After=network-online.target
Wants=network-online.target
After=etcd.service
Before=docker.service

[Service]
Type=notify
EnvironmentFile=/etc/sysconfig/flanneld
EnvironmentFile=-/etc/sysconfig/docker-network
ExecStart=/usr/bin/flanneld -etcd-endpoints=${{{endpoints}}} \
-etcd-prefix=${{{prefix}}} $FLANNEL_OPTIONS
ExecStartPost=/usr/libexec/flannel/mk-docker-opts.sh -k DOCKER_NETWORK_OPTIONS \
-d /run/flannel/docker
Restart=on-failure

[Install]
WantedBy=multi-user.target
RequiredBy=docker.service
"""

Runner = Callable[..., str]


def real_flanneld() -> dict[str, str]:
    names = ("FEDWIZ_LAB_FLANNELD", "FEDWIZ_LAB_FLANNEL_VERSION", "FEDWIZ_LAB_MK_DOCKER_OPTS")
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def put(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def tree(folder: Path, flavour: str) -> tuple[str, str]:
    """Fill the folder with the files of flannel's package; its version and architecture."""
    endpoints, prefix = NAMES[flavour]
    given = real_flanneld()
    version = given.get("FEDWIZ_LAB_FLANNEL_VERSION", VERSIONS[flavour])
    libexec = folder / "usr/libexec/flannel"
    put(folder / "etc/sysconfig/flanneld", SYSCONFIG.format(endpoints=endpoints, prefix=prefix))
    units = folder / "usr/lib/systemd/system"
    put(units / "flanneld.service", UNIT.format(endpoints=endpoints, prefix=prefix))
    drop_in = "[Service]\nEnvironmentFile=-/run/flannel/docker\n"
    put(units / "docker.service.d/flannel.conf", drop_in)
    put(folder / "usr/lib/tmpfiles.d/flannel.conf", "d /run/flannel 0755 root root -\n")
    (folder / "run/flannel").mkdir(parents=True)
    (folder / "usr/bin").mkdir(parents=True)
    libexec.mkdir(parents=True)
    script = given.get("FEDWIZ_LAB_MK_DOCKER_OPTS", str(HERE / "flannel/mk-docker-opts.sh"))
    shutil.copy(script, libexec / "mk-docker-opts.sh")
    (libexec / "mk-docker-opts.sh").chmod(0o755)
    binary = given.get("FEDWIZ_LAB_FLANNELD")
    if binary:
        shutil.copy(binary, folder / "usr/bin/flanneld")
    else:
        shutil.copy(HERE / "flannel/flanneld", folder / "usr/bin/flanneld")
        shown = version if flavour == "v2" else f"v{version}"
        put(libexec / "version", f"{shown}\n")
        for module in sorted((HERE / "flannel").glob("*.py")):
            shutil.copy(module, libexec / module.name)
    (folder / "usr/bin/flanneld").chmod(0o755)
    return version, "x86_64" if binary else "noarch"


def build(work: Path, fedora: str, run: Runner) -> dict[str, Path]:
    """Build a repository per flavour below the work folder."""
    made: dict[str, Path] = {}
    for flavour in VERSIONS:
        files, repo, top = work / flavour / "tree", work / flavour / "repo", work / flavour / "top"
        repo.mkdir(parents=True)
        version, arch = tree(files, flavour)
        specs = {
            "fedora-release": RELEASE.format(fedora=fedora),
            "flannel": FLANNEL.format(version=version, fedora=fedora, arch=arch, tree=files),
        }
        for name, text in specs.items():
            spec = work / flavour / f"{name}.spec"
            put(spec, text)
            quiet = ("--define", "debug_package %{nil}", "--define", "__os_install_post %{nil}")
            where = ("--define", f"_topdir {top}", "--define", f"_rpmdir {repo}")
            flat = ("--define", "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm")
            run("rpmbuild", "-bb", "--quiet", *quiet, *where, *flat, spec)
        run("createrepo_c", "--quiet", repo)
        made[flavour] = repo
    return made
