"""One host: its namespace, its file system, and how it is started and removed.

systemd-nspawn can't start its container again by itself here, so the lab's guard does: when a host
has rebooted, it gets a new namespace (which forgets links, routes, nft tables and sysctls, as a
real reboot does) and a new nspawn on the same file system.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from .labroot import run, write
from .labstate import CGROUPS, Host, State, folder_of, load, recorded_pid

POWER_OFF = signal.SIGRTMIN + 4  # what systemd as process 1 shuts down at
PATIENCE = 30.0  # seconds until processes that were killed and mounts that were theirs are gone
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
    port, prefix = f"h{host.number}", state.subnet.split("/")[1]
    run("ip", "netns", "add", host.netns)
    cable = ("type", "veth", "peer", "name", "eth0", "address", host.mac, "netns", host.netns)
    batch = f"link add {port} {' '.join(cable)}\nlink set {port} master br0 up\n"
    run("ip", "-n", state.switch, "-batch", "-", stdin=batch)
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
    """Have the host shut down in order."""
    if first := leader(state, host):
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, POWER_OFF)


def take_off(state: State, host: Host) -> None:
    """Take an ended host off its file system, and out of its namespace and cgroups."""
    kill_cgroup(state.cgroup(host))
    unmount(state.home(host) / "root")
    unplug(state, host)
    remove_cgroup(state.cgroup(host))


def forget(state: State, host: Host) -> None:
    """Remove all that is left of an ended host."""
    take_off(state, host)
    shutil.rmtree(state.home(host), ignore_errors=True)


def unmount(root: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while root.is_mount() and not quiet("umount", root):
        if time.monotonic() > deadline:  # whoever still looks into it may go on
            quiet("umount", "-l", root)
            return
        time.sleep(0.02)


def dismantle(name: str) -> None:
    """Remove whatever there is of a lab, by its name: also of one that was half made."""
    folder = folder_of(name)
    ours = re.compile(
        rf"(?:fedwiz-lab-|fwl-){re.escape(name)}-(?:sw|fed-master|fed-node\d+)"
    ).fullmatch
    groups = {it.name for tree in cgroup_trees() for it in tree.iterdir() if ours(it.name)}
    for group in groups:
        kill_cgroup(group)
    for mount in mounts_below(folder):
        unmount(mount)
    with contextlib.suppress(SystemExit):
        quiet("ip", "link", "del", load(name).operator_link)
    for namespace in Path("/run/netns").glob("*"):
        if ours(namespace.name):
            quiet("ip", "netns", "del", namespace.name)
    for group in groups:
        remove_cgroup(group)
    for left in Path("/run/systemd/nspawn/propagate").glob("*"):
        if ours(left.name):
            shutil.rmtree(left, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def mounts_below(folder: Path) -> list[Path]:
    """What is mounted there, the innermost first."""
    rows = Path("/proc/self/mountinfo").read_text().splitlines()
    return [Path(at) for row in reversed(rows) if (at := row.split()[4]).startswith(f"{folder}/")]


def cgroup_trees() -> list[Path]:
    if (CGROUPS / "cgroup.procs").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if (path / "cgroup.procs").exists()]


def make_cgroup(name: str) -> list[Path]:
    """Cgroups of the host's own, or the systemds of all hosts would share the root's."""
    folders = []
    for tree in cgroup_trees():
        folder = tree / name
        folder.mkdir(exist_ok=True)
        folders.append(folder)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (folder / setting).exists() and not (folder / setting).read_text().strip():
                (folder / setting).write_text((tree / setting).read_text())
    return folders


def remove_cgroup(name: str) -> None:
    for tree in cgroup_trees():
        for path, _, _ in os.walk(tree / name, topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()


def kill_cgroup(name: str) -> None:
    """End what a host still runs: all of it was started inside the host's own cgroup."""
    deadline = time.monotonic() + PATIENCE
    while pids := processes(name):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


def processes(cgroup: str) -> set[int]:
    pids: set[int] = set()
    for tree in cgroup_trees():
        for procs in (tree / cgroup).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                pids |= {int(each) for each in procs.read_text().split()}
    return pids - {0, os.getpid()}


ENTER = (
    'for each; do shift; [ "$each" = -- ] && break; echo 0 >"$each/cgroup.procs"; done; exec "$@"'
)


def nspawn(state: State, host: Host, notify: Path) -> "subprocess.Popen[bytes]":
    """Start the host; nspawn says at that socket who its process 1 is and when it has booted."""
    environment = dict(os.environ, SYSTEMD_NSPAWN_API_VFS_WRITABLE="yes", NOTIFY_SOCKET=str(notify))
    if state.generation == "modern":
        environment["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "1"
    groups = map(str, make_cgroup(state.cgroup(host)))
    with console_path(state, host).open("ab") as log:
        return subprocess.Popen(
            ["/bin/sh", "-c", ENTER, "sh", *groups, "--", *nspawn_argv(state, host)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def nspawn_argv(state: State, host: Host) -> list[str]:
    return [
        *("systemd-nspawn", "-D", str(state.home(host) / "root")),
        *(f"--machine=fwl-{state.name}-{host.name}", f"--hostname={host.name}"),
        *(f"--network-namespace-path=/run/netns/{host.netns}", "--boot", "--notify-ready=yes"),
        *("--register=no", "--keep-unit", "--capability=all"),
        *("--system-call-filter=add_key keyctl bpf", "--bind=/dev/net/tun"),
        *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe"),
    ]


def console_path(state: State, host: Host) -> Path:
    return state.home(host) / "console.log"


def console(state: State, host: Host) -> str:
    """What the host has written to its console so far."""
    path = console_path(state, host)
    return path.read_text(errors="replace") if path.exists() else ""


def leader(state: State, host: Host) -> int | None:
    """The host's process 1, as this machine numbers it; None where it does not run."""
    return recorded_pid(state.leader(host))
