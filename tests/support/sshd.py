"""A real sshd on loopback, and an operator's home to come from."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from fedwiz.model.actions import Session
from fedwiz.ssh import transport
from fedwiz.ssh.login import LoginTimes
from tests.support.patience import GIVE_UP

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
WHY_NOT = (
    ""
    if os.geteuid() == 0 and Path(SSHD).exists()
    else "needs root and an sshd (apt-get install openssh-server, dnf install openssh-server)"
)

PATIENT = LoginTimes(connect=GIVE_UP, login=GIVE_UP, words=GIVE_UP, sudo=GIVE_UP)
"""How long a host is waited for where nothing is wrong with it."""


@dataclass(frozen=True)
class Ssh:
    """The `ssh` part of the answers."""

    port: int = 22
    user: str = "root"
    identity: tuple[str, ...] = ()
    known_hosts: str = "~/.ssh/known_hosts"
    sudo: Literal["no", "nopasswd", "ask"] = "no"
    width: int = 50
    confirm_within: int = 180


@dataclass(frozen=True)
class Host:
    """A host of the answers."""

    name: str = "node1"
    address: str = "127.0.0.1"
    host_key: str = ""


def keygen(path: Path, kind: str = "ed25519", passphrase: str = "") -> str:
    """Make a key; returns its public half, without the comment."""
    size = ["-b", "2048"] if kind == "rsa" else []  # a longer one takes a second
    command = ["ssh-keygen", "-q", "-t", kind, *size, "-N", passphrase, "-a", "1", "-f", str(path)]
    subprocess.run(command, check=True)
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


def certify(authority: Path, public: Path, name: str, *options: str, host: bool = True) -> None:
    """Sign a host's key, or a user's, for one name."""
    kind = ["-h"] if host else []
    command = ["ssh-keygen", "-qs", str(authority), "-I", "test", *kind, "-n", name, *options]
    command.append(str(public))
    subprocess.run(command, check=True)


def keygen_krl(file: Path, public: Path) -> None:
    """Revoke a key, in the form that only OpenSSH reads."""
    subprocess.run(["ssh-keygen", "-qkf", str(file), str(public)], check=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@dataclass
class Sshd:
    """One server; its log is read when it has ended."""

    folder: Path
    authorized: str
    lines: tuple[str, ...] = ()
    kind: str = "ed25519"
    port: int = field(default_factory=free_port)
    key: str = ""
    """Its host key: type and base64."""

    process: "subprocess.Popen[str] | None" = None

    def start(self) -> "Sshd":
        self.folder.mkdir(exist_ok=True)
        Path("/run/sshd").mkdir(exist_ok=True)
        if not self.key:
            self.key = keygen(self.folder / "host_key", self.kind)
        (self.folder / "authorized").write_text(self.authorized + "\n")
        config = (
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder}/host_key",
            f"AuthorizedKeysFile {self.folder}/authorized",
            f"PidFile {self.folder}/pid",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            *self.lines,
        )
        (self.folder / "config").write_text("\n".join(config) + "\n")
        self.process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(self.folder / "config")],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "Server listening" in line:
                return self
        raise AssertionError(f"sshd did not start: {config}")

    def stop(self) -> str:
        """End it and every session of it; returns its log."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        sessions = children.read_text().split() if self.process.poll() is None else []
        self.process.terminate()
        for pid in sessions:
            try:
                os.kill(int(pid), 15)
            except ProcessLookupError:
                continue
        log = self.process.communicate(timeout=GIVE_UP)[1]
        self.process = None
        return log

    def logins(self) -> int:
        """End it, and count how often somebody got in."""
        return len(re.findall("Accepted publickey", self.stop()))


@dataclass
class Home:
    """The operator's home, and the servers that let its key in."""

    path: Path
    key: str
    servers: list[Sshd]

    def serve(self, *lines: str, kind: str = "ed25519", authorized: str = "") -> Sshd:
        place = self.path / f"sshd{len(self.servers)}"
        server = Sshd(place, authorized or self.key, lines, kind).start()
        self.servers.append(server)
        return server

    @property
    def known_hosts(self) -> Path:
        return self.path / ".ssh/known_hosts"

    def know(self, *servers: Sshd) -> None:
        with self.known_hosts.open("a") as file:
            file.writelines(f"[127.0.0.1]:{server.port} {server.key}\n" for server in servers)

    def configure(self, text: str) -> None:
        (self.path / ".ssh/config").write_text(text)

    def ssh(
        self,
        server: Sshd | int,
        *hosts: Host,
        answers: Ssh | None = None,
        limits: LoginTimes = PATIENT,
        **options: object,
    ) -> transport.Ssh:
        """What is connected with; ssh_config is this home's alone."""
        port = server if isinstance(server, int) else server.port
        config = [self.path / ".ssh/config"]
        answers = replace(answers or Ssh(), port=port)
        return transport.Ssh(answers, hosts or (Host(),), config=config, limits=limits, **options)  # type: ignore[arg-type]

    @asynccontextmanager
    async def session(self, *lines: str, **options: object) -> AsyncIterator[Session]:
        """A session with a new server that is known."""
        server = self.serve(*lines)
        self.know(server)
        async with self.ssh(server, **options).connect("node1") as session:  # type: ignore[arg-type]
            yield session

    def leave(self) -> None:
        """End what still runs."""
        for server in self.servers:
            if server.process is not None:
                server.stop()
