"""The data paths of the lab's flanneld: vxlan, host-gw, udp and alloc, all in the real kernel."""

import contextlib
import fcntl
import ipaddress
import json
import os
import socket
import struct
import subprocess
import threading
from typing import Any

from .log import Log
from .network import Config, net
from .store import Lease, RefusalError


def ip(*argv: str, check: bool = True, tool: str = "ip") -> str:
    done = subprocess.run([tool, *argv], check=False, capture_output=True, text=True)
    if check and done.returncode:
        raise RefusalError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def link(name: str) -> dict[str, Any] | None:
    rows = json.loads(ip("-j", "-d", "link", "show", "dev", name, check=False) or "[]")
    found: dict[str, Any] | None = next((row for row in rows if row), None)
    return found


class Backend:
    """alloc, and what all backends share: `register` before the lease, `configure` after it."""

    kind = ""
    overhead = 0

    def __init__(
        self, config: Config, nic: dict[str, Any], version: tuple[int, ...], log: Log
    ) -> None:
        self.config = config
        self.nic = nic  # name, address, mtu, public
        self.version = version
        self.log = log
        self.peers: dict[str, dict[str, Any]] = {}

    def number(self, key: str, default: int) -> int:
        value = self.config.options.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            kind = "string" if isinstance(value, str) else "value"
            raise RefusalError(
                f"error decoding {self.kind.upper()} backend config:"
                f" json: cannot unmarshal {kind} into Go struct field .{key} of type int"
            )
        return value

    @property
    def mtu(self) -> int:
        return int(self.nic["mtu"]) - self.overhead

    def register(self) -> None:
        pass

    def attrs(self) -> dict[str, Any]:
        made: dict[str, Any] = {"PublicIP": self.nic["public"]}
        if self.version >= (0, 15):
            made["PublicIPv6"] = None
        if self.kind:
            made["BackendType"] = self.kind
        return made

    def configure(self, subnet: str) -> None:
        pass

    def add(self, subnet: str, attrs: dict[str, Any]) -> None:
        pass

    def remove(self, subnet: str, attrs: dict[str, Any]) -> None:
        pass

    def sync(self, leases: list[Lease], own: str) -> None:
        """Make the kernel follow the leases of the others."""
        wanted: dict[str, dict[str, Any]] = {}
        for lease in leases:
            if lease.subnet == own:
                continue
            kind = lease.attrs.get("BackendType", "")
            if kind == self.kind:
                wanted[lease.subnet] = lease.attrs
            elif lease.subnet not in self.peers:
                said = f"ignoring non-{self.kind} subnet: type={kind}"
                self.log.warning(f"{self.kind or 'alloc'}_network.go", said)
                self.peers[lease.subnet] = lease.attrs
        for subnet, attrs in list(self.peers.items()):
            if wanted.get(subnet) == attrs:
                continue
            if attrs.get("BackendType", "") == self.kind:
                self.remove(subnet, attrs)
                del self.peers[subnet]
            elif not any(lease.subnet == subnet for lease in leases) or subnet in wanted:
                del self.peers[subnet]
        for subnet, attrs in wanted.items():
            if subnet not in self.peers:
                self.peers[subnet] = attrs
                try:
                    self.add(subnet, attrs)
                except (RefusalError, KeyError, TypeError) as problem:
                    self.log.fault(f"{self.kind}_network.go", f"Error adding {subnet}: {problem}")


class Vxlan(Backend):
    kind = "vxlan"
    overhead = 50

    def register(self) -> None:
        self.vni, self.port = self.number("vni", 1), self.number("port", 0)
        self.direct = bool(self.config.options.get("directrouting", False))
        self.learning = bool(self.config.options.get("learning", False))
        gbp = bool(self.config.options.get("gbp", False))
        flags = f"VNI={self.vni} Port={self.port} GBP={gbp} DirectRouting={self.direct}"
        if self.version >= (0, 12):
            flags = flags.replace(" Direct", f" Learning={self.learning} Direct")
        flags = flags.replace("True", "true").replace("False", "false")
        self.log.info("vxlan.go", f"VXLAN config: {flags}")
        self.name = f"flannel.{self.vni}"
        wanted = {
            "id": self.vni,
            "local": self.nic["address"],
            "link": self.nic["name"],
            "port": self.port or 8472,
        }
        there = link(self.name)
        if there:
            info = there.get("linkinfo", {})
            data = info.get("info_data", {}) if info.get("info_kind") == "vxlan" else {}
            differs = [key for key, value in wanted.items() if data.get(key) != value]
            if differs:
                said = f'"{self.name}" already exists with incompatible configuration'
                self.log.warning("device.go", f"{said}: {', '.join(differs)}; recreating device")
                ip("link", "del", self.name)
                there = None
        if not there:
            kind = ("type", "vxlan", "id", str(self.vni), "dev", str(self.nic["name"]))
            more = ("local", str(self.nic["address"]), "dstport", str(wanted["port"]))
            flag = () if self.learning else ("nolearning",)
            group = ("gbp",) if gbp else ()
            ip("link", "add", self.name, "mtu", str(self.mtu), *kind, *more, *flag, *group)
        self.mac = (link(self.name) or {})["address"]

    @property
    def mtu(self) -> int:
        outer = int(self.nic["mtu"])
        if self.version >= (0, 21, 3):
            outer = self.number("mtu", 0) or outer
        return outer - self.overhead

    def attrs(self) -> dict[str, Any]:
        data: dict[str, Any] = {"VtepMAC": self.mac}
        if self.version >= (0, 15):
            data = {"VNI": self.vni, **data}
        return {**super().attrs(), "BackendData": data}

    def configure(self, subnet: str) -> None:
        own = str(net(subnet).network_address)
        rows = json.loads(ip("-j", "-4", "addr", "show", "dev", self.name) or "[]")
        held = [each["local"] for row in rows for each in row.get("addr_info", [])]
        if self.version < (0, 18):
            for each in held:
                if each != own:
                    ip("addr", "del", f"{each}/32", "dev", self.name)
        if own not in held:
            ip("addr", "add", f"{own}/32", "dev", self.name)
        ip("link", "set", self.name, "up")

    def near(self, peer: str) -> bool:
        rows = json.loads(ip("-j", "route", "get", peer, check=False) or "[]")
        return self.direct and bool(rows) and "gateway" not in rows[0]

    def add(self, subnet: str, attrs: dict[str, Any]) -> None:
        peer, mac = str(attrs["PublicIP"]), str(attrs["BackendData"]["VtepMAC"])
        if self.near(peer):
            ip("route", "replace", subnet, "via", peer, "dev", str(self.nic["name"]))
            return
        far = str(net(subnet).network_address)
        there = ("lladdr", mac, "dev", self.name, "nud", "permanent")
        ip("neigh", "replace", far, *there)
        ip("fdb", "replace", mac, "dev", self.name, "dst", peer, "self", tool="bridge")
        ip("route", "replace", subnet, "via", far, "dev", self.name, "onlink")

    def remove(self, subnet: str, attrs: dict[str, Any]) -> None:
        peer, far = str(attrs["PublicIP"]), str(net(subnet).network_address)
        if self.near(peer):
            ip("route", "del", subnet, "via", peer, check=False)
            return
        mac = str(attrs["BackendData"]["VtepMAC"])
        ip("route", "del", subnet, "via", far, "dev", self.name, check=False)
        ip("fdb", "del", mac, "dev", self.name, "dst", peer, check=False, tool="bridge")
        ip("neigh", "del", far, "dev", self.name, check=False)


class HostGw(Backend):
    kind = "host-gw"

    def register(self) -> None:
        if self.nic["public"] != self.nic["address"]:
            raise RefusalError(
                "your PublicIP differs from interface IP, meaning that probably you're on a NAT,"
                " which is not supported by host-gw backend"
            )

    def add(self, subnet: str, attrs: dict[str, Any]) -> None:
        peer = str(attrs["PublicIP"])
        self.log.info("route_network.go", f"Subnet added: {subnet} via {peer}")
        ip("route", "replace", subnet, "via", peer, "dev", str(self.nic["name"]))

    def remove(self, subnet: str, attrs: dict[str, Any]) -> None:
        self.log.info("route_network.go", f"Subnet removed: {subnet}")
        ip("route", "del", subnet, "via", str(attrs["PublicIP"]), check=False)


def older(packet: bytearray) -> bool:
    """One hop less to live, with the checksum put right; False when its time is up."""
    if len(packet) < 20 or packet[8] <= 1:
        return False
    packet[8] -= 1
    total = struct.unpack_from("!H", packet, 10)[0] + 0x100
    struct.pack_into("!H", packet, 10, (total + (total >> 16)) & 0xFFFF)
    return True


class Udp(Backend):
    """Packets through a tun device and a socket of this process, both ways."""

    overhead = 28
    device = "flannel0"

    def register(self) -> None:
        self.kind = ""  # its leases have no BackendType
        self.port = self.number("port", 8285)
        self.log.info("udp_amd64.go", f"UDP config: Port={self.port}")
        self.routes: list[tuple[ipaddress.IPv4Network, str]] = []

    def configure(self, subnet: str) -> None:
        self.tun = os.open("/dev/net/tun", os.O_RDWR)
        request = struct.pack("16sH", self.device.encode(), 0x0001 | 0x1000)  # TUN, NO_PI
        fcntl.ioctl(self.tun, 0x400454CA, request)
        network = self.config.network
        length = network.prefixlen if self.version < (0, 10) else 32
        ip("addr", "add", f"{net(subnet).network_address}/{length}", "dev", self.device)
        ip("link", "set", self.device, "mtu", str(self.mtu), "up")
        if length == 32:
            ip("route", "replace", str(network), "dev", self.device)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((str(self.nic["address"]), self.port))
        for loop in (self.outward, self.inward):
            threading.Thread(target=loop, daemon=True).start()

    def outward(self) -> None:
        while True:
            packet = bytearray(os.read(self.tun, 65536))
            if packet[0] >> 4 != 4 or not older(packet):
                continue
            target = ipaddress.IPv4Address(bytes(packet[16:20]))
            for subnet, peer in self.routes:
                if target in subnet:
                    with contextlib.suppress(OSError):
                        self.socket.sendto(packet, (peer, self.port))
                    break

    def inward(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                packet = bytearray(self.socket.recv(65536))
                if older(packet):
                    os.write(self.tun, packet)

    def add(self, subnet: str, attrs: dict[str, Any]) -> None:
        self.log.info("network.go", f"Subnet added: {subnet}")
        self.routes = [*self.routes, (net(subnet), str(attrs["PublicIP"]))]

    def remove(self, subnet: str, attrs: dict[str, Any]) -> None:
        self.log.info("network.go", f"Subnet removed: {subnet}")
        self.routes = [each for each in self.routes if each[0] != net(subnet)]


BACKENDS: dict[str, type[Backend]] = {
    "vxlan": Vxlan,
    "host-gw": HostGw,
    "udp": Udp,
    "alloc": Backend,
}
