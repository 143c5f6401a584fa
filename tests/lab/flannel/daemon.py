"""The lab's stand-in for flanneld: its job done with real parts, its log lines, its exit codes.

It is what a version of flanneld is, as far as that version (/usr/libexec/flannel/version) differs
in what an installer meets: the API of etcd, the checks of the config, the format of leases, rules.
"""

import os
import pkgutil
import re
import signal
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from . import options as flags
from . import rules
from .backend import BACKENDS, Backend
from .log import Log
from .network import Config, InvalidError, Manager, net, parse
from .store import TTL, V2, V3, Client, RefusalError, Store

# By the loader, so that it is found in a zip archive too.
SHOWN = (pkgutil.get_data("flannel", "version") or b"").decode().strip()
VERSION = tuple(int(each) for each in re.findall(r"\d+", SHOWN)[:3])
V3_ERA = VERSION >= (0, 18)


LOG = Log()


def die(text: str) -> None:
    LOG.fault("main.go", text)
    raise SystemExit(1)


def panic(text: str) -> None:
    sys.stderr.write(f"panic: {text}\n\ngoroutine 1 [running]:\n")
    sys.stderr.flush()
    os._exit(2)


def terminated(*_: object) -> None:
    LOG.info("main.go", "shutdownHandler sent cancel signal...")
    if (0, 18, 1) <= VERSION <= (0, 22, 0):
        panic("close of closed channel")
    LOG.info("main.go", "Exiting cleanly...")
    os._exit(0)


def previous(path: Path) -> str | None:
    """The subnet in the subnet file of an earlier run."""
    try:
        found = re.search(r"^FLANNEL_SUBNET=(\S+)", path.read_text(), re.MULTILINE)
        return str(net(found[1])) if found else None
    except (OSError, ValueError):
        return None


def context(options: dict[str, Any]) -> ssl.SSLContext | None:
    ca, cert, key = (options[f"etcd-{each}"] for each in ("cafile", "certfile", "keyfile"))
    if V3_ERA and not (cert and key):
        return None
    try:
        made = ssl.create_default_context(cafile=ca or None)
        made.check_hostname = bool(ca)
        if cert and key:
            made.load_cert_chain(cert, key)
    except OSError as problem:
        die(f"Failed to create SubnetManager: open {problem.filename or ca}: {problem.strerror}")
    return made


def connect(options: dict[str, Any]) -> Store:
    endpoints = [each for each in options["etcd-endpoints"].split(",") if each]
    if not endpoints:
        die("Failed to create SubnetManager: client: no endpoints available")
    login = (options["etcd-username"], options["etcd-password"])
    client = Client(endpoints, context(options))
    return (V3 if V3_ERA else V2)(client, options["etcd-prefix"], *login)


def wait_for_config(store: Store) -> Config:
    """The config, asked for each second for ever."""
    while True:
        try:
            return parse(store.config(), VERSION)
        except (RefusalError, InvalidError) as problem:
            if not (V3_ERA and str(problem).startswith("client: ")):  # that era is silent then
                LOG.fault("main.go", f"Couldn't fetch network config: {problem}")
                sys.stdout.write("timed out\n")
                sys.stdout.flush()
        time.sleep(1)


def write_subnet_file(path: Path, config: Config, subnet: str, mtu: int, masq: bool) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    part = path.with_name("." + path.name)
    first = net(subnet).network_address + 1
    part.write_text(
        f"FLANNEL_NETWORK={config.network}\nFLANNEL_SUBNET={first}/{config.length}\n"
        f"FLANNEL_MTU={mtu}\nFLANNEL_IPMASQ={str(masq).lower()}\n"
    )
    part.chmod(0o644)
    part.rename(path)
    LOG.info("main.go", f"Wrote subnet file to {path}")


def notify(text: str) -> None:
    where = os.environ.get("NOTIFY_SOCKET")
    if where:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(text.encode(), "\0" + where[1:] if where[0] == "@" else where)


def duration(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}h{whole // 60 % 60}m{seconds - whole // 60 * 60:.9f}".rstrip("0") + "s"


def watch(
    store: Store,
    backend: Backend,
    config: Config,
    subnet: str,
    expires: float | None,
    options: dict[str, Any],
) -> None:
    """Follow the leases of the others, renew the own one, end when it is taken away."""
    margin = int(options["subnet-lease-renew-margin"]) * 60
    renew = expires - margin if expires else None
    shown = duration(renew - time.time()) if renew else "2562046h47m16.854775807s"
    LOG.info("main.go", f"Waiting for {shown} to renew lease")
    resync, complained = time.monotonic(), ""
    while True:
        try:
            leases = store.leases()
            complained = ""
        except (RefusalError, ValueError) as problem:
            if str(problem) != complained:
                LOG.fault("watch.go", f"Watch subnets: {problem}")
                complained = str(problem)
            time.sleep(1)
            continue
        if not any(lease.subnet == subnet for lease in leases):
            LOG.fault("main.go", "Lease has been revoked. Shutting down daemon.")
            if V3_ERA:
                panic("close of closed channel")
            raise SystemExit(0)
        backend.sync(leases, subnet)
        if renew and time.time() > renew:
            try:
                expires = store.update(subnet, backend.attrs(), TTL)
                renew = time.time() + TTL - margin
                LOG.info(
                    "main.go",
                    "Lease renewed, new expiration: "
                    f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(expires))} UTC",
                )
            except RefusalError as problem:
                LOG.fault("main.go", f"Error renewing lease (trying again in 1 min): {problem}")
                renew = time.time() + 60
        if VERSION >= (0, 9, 1) and time.monotonic() - resync > 5:
            write_rules(config, subnet, options)
            resync = time.monotonic()
        time.sleep(0.4)


def write_rules(config: Config, subnet: str, options: dict[str, Any]) -> None:
    if options["ip-masq"]:
        rules.masquerade(str(config.network), str(net(subnet)), VERSION)
    if options["iptables-forward-rules"]:
        rules.forward(str(config.network), VERSION)


def main() -> None:
    options = flags.read(sys.argv[1:], VERSION)
    if options["version"]:
        sys.stderr.write(f"{SHOWN}\n")
        return
    margin = options["subnet-lease-renew-margin"]
    if not margin.isdigit() or not 0 < int(margin) < 24 * 60:
        die("Invalid subnet-lease-renew-margin option, out of acceptable range")
    nic = flags.choose(options, LOG)
    store = connect(options)
    subnet_file = Path(options["subnet-file"])
    manager = Manager(store, VERSION, LOG)
    manager.previous = previous(subnet_file)
    known = manager.previous or "None"
    LOG.info("main.go", f"Created subnet manager: Etcd Local Manager with Previous Subnet: {known}")
    LOG.info("main.go", "Installing signal handlers")
    signal.signal(signal.SIGTERM, terminated)
    signal.signal(signal.SIGINT, terminated)
    config = wait_for_config(store)
    LOG.info("main.go", f"Found network config - Backend type: {config.backend}")
    if config.backend not in BACKENDS:
        die(f"Error fetching backend: unknown backend type: {config.backend}")
    backend = BACKENDS[config.backend](config, nic, VERSION, LOG)
    stage = ""
    try:
        backend.register()
        stage = "failed to acquire lease: "
        subnet, expires = manager.acquire(config, nic["public"], backend.attrs())
        stage = ""
        backend.configure(subnet)
    except RefusalError as problem:
        die(f"Error registering network: {stage}{problem}")
    write_rules(config, subnet, options)
    write_subnet_file(subnet_file, config, subnet, backend.mtu, options["ip-masq"])
    LOG.info("main.go", "Running backend.")
    notify("READY=1")
    LOG.info(f"{config.backend}_network.go", "watching for new subnet leases")
    watch(store, backend, config, subnet, expires, options)
