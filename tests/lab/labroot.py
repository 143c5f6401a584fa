"""The root file systems: a Debian base made once, and a thin layer that makes it a Fedora machine.

The base (debootstrap, 90 s) depends on the list of packages alone; the layer (a second or two)
on every file in this folder. Hosts mount both read-only below a writable directory of their own.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import labrpm

HERE = Path(__file__).resolve().parent
MIRROR = os.environ.get("FEDWIZ_LAB_MIRROR", "http://deb.debian.org/debian")
TOOLS = {  # what this machine needs -> the Debian package that has it
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "createrepo_c": "createrepo-c",
    "rpmbuild": "rpm",
    "ip": "iproute2",
    "nft": "nftables",  # what gets lost between hosts is dropped on the lab's switch
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
COMMON = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "iproute2",
    "iputils-ping",
    "procps",
    "iptables",
    "nftables",
    "curl",
    "rpm",
    "sudo",
    "etcd-server",
    "etcd-client",
    "jq",
    "kmod",
    "ethtool",
    "python3-minimal",
    "busybox-static",
    "tar",
    "util-linux",
    "firewalld",
    "ca-certificates",
    "tcpdump",
]
UNWANTED = [
    "docker.service",
    "docker.socket",
    "containerd.service",
    "etcd.service",
    "firewalld.service",
    "nftables.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "e2scrub_reap.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-networkd-wait-online.service",
    "systemd-timesyncd.service",
    "getty@tty1.service",
    "console-getty.service",
    "dnf-makecache.timer",
    "dnf5-makecache.timer",
    "remote-fs.target",
    "systemd-pstore.service",
]

IDLE = [
    "user@.service",  # a systemd of root's own, that each login after a pause would start
    "modprobe@.service",
    "dev-hugepages.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "run-lock.mount",
    "systemd-tmpfiles-setup-dev-early.service",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
]
"""What the hosts of a lab need for nothing, and every boot would wait for."""


@dataclass(frozen=True)
class Generation:
    name: str
    suite: str
    packages: tuple[str, ...]
    from_sid: tuple[str, ...]
    fedora: str
    flannel: str


GENERATIONS = {
    "classic": Generation("classic", "bookworm", (*COMMON, "dnf", "docker.io"), (), "32", "v2"),
    "modern": Generation(
        "modern", "trixie", tuple(COMMON), ("docker.io", "docker-cli", "dnf5"), "42", "v3"
    ),
}


def cache() -> Path:
    return Path(os.environ.get("FEDWIZ_LAB_CACHE") or "/var/cache/fedwiz-lab")


def run(*argv: str | Path, cwd: Path | None = None, stdin: str = "") -> str:
    """Run a command; its output, or an exception that holds what it said."""
    done = subprocess.run(
        [str(a) for a in argv], input=stdin, text=True, cwd=cwd, check=False, capture_output=True
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-3000:]
        raise RuntimeError(f"{' '.join(map(str, argv))} ended with {done.returncode}:\n{said}")
    return done.stdout


def say(text: str) -> None:
    sys.stderr.write(f"lab: {text}\n")
    sys.stderr.flush()


def tools() -> None:
    """Install the Debian packages that this machine lacks."""
    if not missing():
        return
    with _locked("tools"):  # two at once would be in each other's way
        if lacking := missing():
            say("installing " + " ".join(lacking))
            run("apt-get", "update")
            env = ("env", "DEBIAN_FRONTEND=noninteractive")
            run(*env, "apt-get", "install", "-y", "--no-install-recommends", *lacking)


def missing() -> list[str]:
    """Debian packages that the lab needs and this machine has not."""
    return sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    """Alone on this machine with what goes by that name."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest(*parts: str | bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else part.encode()
        total.update(b"%d:" % len(raw) + raw)
    return total.hexdigest()[:12]


def base_dir(gen: Generation) -> Path:
    mark = digest(gen.suite, *gen.packages, "sid", *gen.from_sid, "1")
    return cache() / f"{gen.name}-base-{mark}"


def layer_dir(gen: Generation) -> Path:
    parts: list[str | bytes] = [base_dir(gen).name]
    parts += [(HERE / name).read_bytes() for name in ("labroot.py", "labrpm.py")]
    for path in sorted((*(HERE / "root").rglob("*"), *(HERE / "flannel").rglob("*"))):
        if path.is_file() and path.suffix != ".pyc":
            mode = oct(path.stat().st_mode & 0o111)
            parts += [str(path.relative_to(HERE)), mode, path.read_bytes()]
    for variable, value in labrpm.real_flanneld().items():
        raw = Path(value).read_bytes() if Path(value).is_absolute() else value
        parts += [variable, raw]
    return cache() / f"{gen.name}-{digest(*parts)}"


def lower_dirs(gen: Generation) -> list[Path]:
    """The read-only directories of a host, the upper one first."""
    return [layer_dir(gen), base_dir(gen)]


@contextlib.contextmanager
def overlay(lower: list[Path], upper: Path, work: Path, target: Path) -> Iterator[Path]:
    for folder in (upper, work, target):
        folder.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={':'.join(map(str, lower))},upperdir={upper},workdir={work}"
    run("mount", "-t", "overlay", "fedwiz-lab", "-o", options, target)
    try:
        yield target
    finally:
        run("umount", target)


def chroot(root: Path, script: str) -> str:
    env = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive")
    inside = ("HOME=/root", "LC_ALL=C.UTF-8", "unshare", "-m", "chroot", root, "sh", "-eus")
    return run(*env, *inside, stdin=script)


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()
    path.write_text(text)
    path.chmod(mode)


def build(generation: str) -> list[Path]:
    """Build what is missing; a build that fails or is interrupted leaves nothing behind."""
    gen = GENERATIONS[generation]
    lower = lower_dirs(gen)
    if all(path.is_dir() for path in lower):
        return lower
    tools()
    with _locked(gen.name):
        for path, make in ((base_dir(gen), make_base), (layer_dir(gen), make_layer)):
            if path.is_dir():
                continue
            temp = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=cache()))
            try:
                make(gen, temp)
                (temp / "root").rename(path)
            finally:
                shutil.rmtree(temp, ignore_errors=True)
    return lower


def make_base(gen: Generation, temp: Path) -> None:
    say(f"building the {gen.name} base from {gen.suite} (one to three minutes, once)")
    root = temp / "root"
    run("debootstrap", "--variant=minbase", "--include=ca-certificates", gen.suite, root, MIRROR)
    write(root / "etc/dpkg/dpkg.cfg.d/lab", "force-unsafe-io\n")
    apt = 'Acquire::Languages "none";\nAcquire::Check-Valid-Until "false";\n'
    write(root / "etc/apt/apt.conf.d/lab", apt)
    if gen.from_sid:
        write(root / "etc/apt/sources.list.d/sid.list", f"deb {MIRROR} sid main\n")
        pin = "Package: *\nPin: release a=unstable\nPin-Priority: 100\n"
        write(root / "etc/apt/preferences.d/sid", pin)
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    install = "apt-get -q install -y --no-install-recommends"
    script = "mount -t proc proc /proc\napt-get -q update </dev/null\n"
    script += f"{install} {' '.join(gen.packages)} </dev/null\n"
    if gen.from_sid:
        script += f"{install} -t sid {' '.join(gen.from_sid)} </dev/null\n"
    chroot(root, script)
    for waste in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
        shutil.rmtree(root / waste, ignore_errors=True)


def make_layer(gen: Generation, temp: Path) -> None:
    say(f"making the {gen.name} layer")
    packages = labrpm.build(temp / "rpm", gen.fedora, run)
    with overlay([base_dir(gen)], temp / "root", temp / "work", temp / "merged") as root:
        shutil.copytree(HERE / "root", root, dirs_exist_ok=True, symlinks=True)
        for flavour, folder in packages.items():
            shutil.copytree(folder, root / "srv/repos" / flavour)
        release = (
            f'NAME="Fedora Linux"\nVERSION="{gen.fedora} (Lab)"\nID=fedora\n'
            f'VERSION_ID={gen.fedora}\nPLATFORM_ID="platform:f{gen.fedora}"\n'
            f'PRETTY_NAME="Fedora Linux {gen.fedora} (Lab)"\n'
        )
        write(root / "usr/lib/os-release", release)
        (root / "etc/os-release").unlink(missing_ok=True)
        (root / "etc/os-release").symlink_to("../usr/lib/os-release")
        write(root / "etc/fedora-release", f"Fedora release {gen.fedora} (Lab)\n")
        # This plugin wants createrepo_c and makes `dnf -y install` end with 1 without it.
        (root / "etc/dnf/libdnf5-plugins/local.conf").unlink(missing_ok=True)
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        write(root / "etc/resolv.conf", "")
        if gen.name == "modern":
            penalties = root / "etc/ssh/sshd_config.d/lab.conf"
            write(penalties, penalties.read_text() + "PerSourcePenalties no\n")
        shutil.copytree(HERE / "flannel", root / "usr/lib/lab-flannel")
        chroot(root, SETUP.format(unwanted=" ".join(UNWANTED), idle=" ".join(IDLE)))


SETUP = """\
rm -f /etc/ssh/ssh_host_*_key* /etc/machine-id /var/lib/dbus/machine-id /etc/hostname
rm -f /etc/systemd/system/sockets.target.wants/* /etc/default/etcd
for unit in {unwanted}; do systemctl disable -q "$unit" 2>/dev/null || true; done
systemctl mask -q systemd-networkd.service systemd-timesyncd.service tmp.mount 2>/dev/null
systemctl mask -q {idle} 2>/dev/null
# Each of these would run at every boot and daemon-reload, to find no disk, terminal or init script.
install -d /etc/systemd/system-generators
for each in /usr/lib/systemd/system-generators/*; do
  ln -s /dev/null /etc/systemd/system-generators/"${{each##*/}}"
done
systemctl set-default -q multi-user.target
systemctl enable -q ssh.service
for user in admin ops; do
  useradd -m -s /bin/bash "$user"
  install -d -m 0700 -o "$user" -g "$user" "/home/$user/.ssh"
done
echo 'admin:lab-sudo-pw' | chpasswd
chmod 0440 /etc/sudoers.d/lab
chmod 0755 /etc/sudoers.d
id -u etcd >/dev/null 2>&1 || useradd -r -d /var/lib/etcd etcd
install -d -m 0700 -o etcd -g etcd /var/lib/etcd
install -d -m 0700 /root/.ssh
rpm -i --nodeps /srv/repos/v2/fedora-release-*.rpm </dev/null
touch /etc/default/locale
[ -e /usr/bin/dnf ] || ln -s dnf5 /usr/bin/dnf
[ -e /usr/bin/dockerd ] || ln -s /usr/sbin/dockerd /usr/bin/dockerd
dnf -q makecache </dev/null >/dev/null 2>&1 || true
python3 - <<'END'
import sys
from importlib.util import cache_from_source
from pathlib import Path
from py_compile import PycInvalidationMode, compile
sys.pycache_prefix = "/usr/lib/lab-compiled"
for source in Path("/usr/lib/lab-flannel").glob("*.py"):
    there = f"/usr/libexec/flannel/{{source.name}}"
    compile(source, cache_from_source(there), there, True,
            invalidation_mode=PycInvalidationMode.CHECKED_HASH)
END
# Each host would compile what they import, too, when flanneld starts there for the first time.
mv /usr/lib/lab-flannel /usr/lib/flannel
echo 0 >/usr/lib/flannel/version
PYTHONPATH=/usr/lib PYTHONPYCACHEPREFIX=/usr/lib/lab-compiled \\
  python3 -c 'import encodings.idna, flannel.daemon' </dev/null
rm -rf /usr/lib/flannel /usr/lib/lab-compiled/usr/lib/flannel
# The first boot has nothing of this to do.
ldconfig
journalctl --update-catalog 2>/dev/null
touch -r /usr /etc/.updated /var/.updated
"""
