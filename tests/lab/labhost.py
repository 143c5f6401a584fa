"""One host: its namespace, its file system, and the process that keeps it running.

systemd-nspawn can't start its container again by itself here, so a keeper per host does: when the
host says it reboots, the keeper makes its namespace anew (which forgets links, routes, nft tables
and sysctls, as a real reboot does) and starts nspawn on the same file system.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import FrameType

from .labroot import run, write
from .labstate import CGROUPS, Host, State, record_pid, recorded_pid

POWER_OFF = signal.SIGRTMIN + 4  # what systemd as process 1 shuts down at
PATIENCE = 30.0  # seconds; some unit may not want to stop
REBOOTED = 133  # how nspawn ends with --keep-unit when its container reboots


def quiet(*argv: str | Path) -> bool:
    done = subprocess.run(
        [str(a) for a in argv], check=False, stdin=subprocess.DEVNULL, capture_output=True
    )
    return done.returncode == 0


def make_switch(state: State) -> None:
    """A namespace with a bridge, and one cable from this machine to it: no forwarding, no NAT."""
    run("ip", "netns", "add", state.switch)
    link, prefix = state.operator_link, state.subnet.split("/")[1]
    inside = ("ip", "-n", state.switch)
    run(*inside, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
    run(*inside, "addr", "add", f"{state.gateway}/{prefix}", "dev", "br0")
    run(*inside, "link", "set", "br0", "up")
    run(*inside, "link", "set", "lo", "up")
    cable = ("type", "veth", "peer", "name", "operator", "netns", state.switch)
    run("ip", "link", "add", link, *cable)
    run(*inside, "link", "set", "operator", "master", "br0", "up")
    with contextlib.suppress(OSError):
        Path(f"/proc/sys/net/ipv6/conf/{link}/disable_ipv6").write_text("1")
    run("ip", "addr", "add", f"{state.operator}/{prefix}", "dev", link)
    run("ip", "link", "set", link, "up")


def drop_switch(state: State) -> None:
    quiet("ip", "link", "del", state.operator_link)
    quiet("ip", "netns", "del", state.switch)


def plug(state: State, host: Host) -> None:
    """A new namespace with eth0 in it, cabled to the switch."""
    unplug(state, host)
    port, prefix = f"h{host.number}", state.subnet.split("/")[1]
    run("ip", "netns", "add", host.netns)
    cable = ("type", "veth", "peer", "name", "eth0", "address", host.mac, "netns", host.netns)
    run("ip", "-n", state.switch, "link", "add", port, *cable)
    run("ip", "-n", state.switch, "link", "set", port, "master", "br0", "up")
    batch = (
        f"link set lo up\naddr add {host.address}/{prefix} brd + dev eth0\n"
        f"link set eth0 up\nroute add default via {state.gateway} dev eth0\n"
    )
    run("ip", "-n", host.netns, "-batch", "-", stdin=batch)


def unplug(state: State, host: Host) -> None:
    quiet("ip", "-n", state.switch, "link", "del", f"h{host.number}")
    quiet("ip", "netns", "del", host.netns)


def mount(state: State, host: Host) -> Path:
    """Mount the host's file system, with nothing of its own but what its image has."""
    home = state.home(host)
    upper, root = home / "upper", home / "root"
    if state.image:
        # Not one more layer: folders of a lower layer can't be renamed, and docker renames some.
        home.mkdir(parents=True, exist_ok=True)
        run("cp", "-a", "--sparse=always", f"{state.image}/{host.name}", upper)
    for folder in (upper, home / "work", root):
        folder.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={':'.join(state.lower)},upperdir={upper},workdir={home / 'work'}"
    if not quiet("mount", "-t", "overlay", "fedwiz-lab", "-o", options + ",volatile", root):
        run("mount", "-t", "overlay", "fedwiz-lab", "-o", options, root)
    return root


def furnish(state: State, host: Host, root: Path, public_key: str, machine_id: str) -> str:
    """Write what is the host's own; its public ssh key."""
    write(root / "etc/machine-id", machine_id + "\n", 0o444)
    write(root / "etc/hostname", host.name + "\n")
    names = "".join(f"{each.address} {each.name}\n" for each in state.hosts)
    write(root / "etc/hosts", "127.0.0.1 localhost\n::1 localhost\n" + names)
    key = root / "etc/ssh/ssh_host_ed25519_key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host.name, "-f", key)
    for user in ("root", "home/admin", "home/ops"):
        folder = root / user / ".ssh"
        write(folder / "authorized_keys", public_key, 0o600)
        owner = folder.stat()
        os.chown(folder / "authorized_keys", owner.st_uid, owner.st_gid)
    (root / "srv/repo").symlink_to(f"repos/{state.flannel}")
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    on_master = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    for unit in on_master if host.role == "master" else ("docker", "kubelet", "kube-proxy"):
        (wants / f"{unit}.service").symlink_to(f"/usr/lib/systemd/system/{unit}.service")
    if host.role == "master":
        kubernetes(state, root)
    return (root / "etc/ssh/ssh_host_ed25519_key.pub").read_text()


def kubernetes(state: State, root: Path) -> None:
    """A kubectl that knows the lab's nodes."""
    items = []
    for host in state.hosts:
        if host.role == "node":
            labels = (
                f'{{"kubernetes.io/hostname": "{host.name}", "name": "{host.label}",'
                f' "{host.label}": ""}}'
            )
            addresses = (
                f'[{{"type": "InternalIP", "address": "{host.address}"}},'
                f' {{"type": "Hostname", "address": "{host.name}"}}]'
            )
            items.append(
                f'{{"apiVersion": "v1", "kind": "Node", "metadata": {{"name": "{host.name}",'
                f' "labels": {labels}}}, "spec": {{}}, "status": {{"addresses": {addresses},'
                f' "conditions": [{{"type": "Ready", "status": "True"}}]}}}}'
            )
    body = f'{{"apiVersion": "v1", "kind": "List", "items": [{", ".join(items)}]}}\n'
    write(root / "etc/kubernetes/nodes.json", body)
    shutil.copy(root / "usr/libexec/lab-kubectl", root / "usr/bin/kubectl")


def power_off(state: State, host: Host) -> None:
    """Shut the host down in order, as far as it lets itself be."""
    first = leader(state, host)
    if first is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(first, POWER_OFF)
    deadline = time.monotonic() + PATIENCE
    while recorded_pid(state.home(host) / "pid") and time.monotonic() < deadline:
        time.sleep(0.05)


def unmount(state: State, host: Host) -> None:
    """Take the host off its file system and out of its namespace and cgroups."""
    home = state.home(host)
    for _ in range(50):
        root = home / "root"
        if not root.is_mount() or quiet("umount", root):
            break
        time.sleep(0.05)
    else:
        quiet("umount", "-l", home / "root")
    unplug(state, host)
    for tree in cgroup_trees():
        folder = tree / state.cgroup(host)
        if folder.is_dir():
            for path, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):
                    Path(path).rmdir()


def forget(state: State, host: Host) -> None:
    """Remove all that is left of a host."""
    unmount(state, host)
    shutil.rmtree(state.home(host), ignore_errors=True)


def cgroup_trees() -> list[Path]:
    if (CGROUPS / "cgroup.procs").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if (path / "cgroup.procs").exists()]


def enter_cgroup(name: str) -> None:
    """Cgroups of the host's own, or the systemds of all hosts would share the root's."""
    for tree in cgroup_trees():
        folder = tree / name
        folder.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (folder / setting).exists() and not (folder / setting).read_text().strip():
                (folder / setting).write_text((tree / setting).read_text())
        (folder / "cgroup.procs").write_text(str(os.getpid()))


def kill_cgroup(state: State, host: Host) -> None:
    """End what a host still runs: all of it was started inside the host's own cgroup."""
    for _ in range(100):
        pids: set[int] = set()
        for tree in cgroup_trees():
            for procs in (tree / state.cgroup(host)).rglob("cgroup.procs"):
                with contextlib.suppress(OSError):
                    pids |= {int(each) for each in procs.read_text().split()}
        pids -= {0, os.getpid()}
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def nspawn(state: State, host: Host) -> list[str]:
    return [
        *("systemd-nspawn", "-D", str(state.home(host) / "root")),
        *(f"--machine=fwl-{state.name}-{host.name}", f"--hostname={host.name}"),
        *(f"--network-namespace-path=/run/netns/{host.netns}", "--boot"),
        *("--register=no", "--keep-unit", "--capability=all"),
        *("--system-call-filter=add_key keyctl bpf", "--bind=/dev/net/tun"),
        *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe"),
    ]


def leader(state: State, host: Host) -> int | None:
    """The host's process 1, as this machine numbers it; None where it does not run."""
    keeper = recorded_pid(state.home(host) / "pid")
    for outer in _children(keeper) if keeper else ():
        for pid in _children(outer):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                status = Path(f"/proc/{pid}/status").read_text()
                if re.search(r"^NSpid:.*\t1$", status, re.MULTILINE):
                    return pid
    return None


def _children(pid: int) -> list[int]:
    try:
        return [int(it) for it in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def keep(state: State, host: Host) -> None:
    """The keeper's life: boot, and boot again for as long as the host reboots."""
    home = state.home(host)
    record_pid(home / "pid", os.getpid())
    child: subprocess.Popen[bytes] | None = None

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if child:
            child.kill()
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    enter_cgroup(state.cgroup(host))
    environment = dict(os.environ, SYSTEMD_NSPAWN_API_VFS_WRITABLE="yes")
    if state.generation == "modern":
        environment["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "1"
    console = home / "console.log"
    while True:
        plug(state, host)
        with console.open("ab") as log:
            child = subprocess.Popen(
                nspawn(state, host),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            ended = child.wait()
        kill_cgroup(state, host)
        if ended != REBOOTED:
            return
