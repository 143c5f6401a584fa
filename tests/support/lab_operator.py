"""An operator at a shell: fedwiz as a process of its own, on the lab's hosts."""

import hashlib
import json
import os
import shutil
import subprocess
import zipapp
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import tomli_w

from tests.lab.fixture import Lab
from tests.support.preloaded import Run

NETWORK = "10.16.0.0/16"


def flanneld_in_one_file(lab: Lab, path: Path) -> str:
    """The lab's flanneld as one executable file, as an operator would supply it; its SHA-256."""
    given = os.environ.get("FEDWIZ_LAB_FLANNELD")
    if given:
        path.write_bytes(Path(given).read_bytes())
    else:
        tree = path.with_suffix(".tree")
        (tree / "flannel").mkdir(parents=True)
        for module in (Path(__file__).parents[1] / "lab/flannel").glob("*.py"):
            shutil.copy(module, tree / "flannel")
        version = {"v2": "0.9.0", "v3": "v0.21.5"}[lab.flannel]
        (tree / "flannel/version").write_text(version)
        zipapp.create_archive(tree, path, "/usr/bin/python3", "flannel.daemon:main")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the document is
        return json.loads(self.out)

    def verdicts(self, kind: str) -> list[dict[str, str]]:
        return [verdict for verdict in self.json["verdicts"] if verdict["kind"] == kind]


@dataclass
class Operator:
    """Someone with a home folder, an answer file and a lab."""

    lab: Lab
    home: Path
    answers: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.joinpath(".ssh").mkdir(mode=0o700, exist_ok=True)
        hosts = [
            {"name": name, "address": self.lab.address(name), "role": "node" if at else "master"}
            for at, name in enumerate(self.lab.hosts)
        ]
        self.answers = {
            "version": 1,
            "name": "lab",
            "ssh": {"identity": [str(self.lab.key)]},
            "host": hosts,
            "network": {"cidr": NETWORK},
            **self.answers,
        }

    @property
    def file(self) -> Path:
        path = self.home / "answers.toml"
        # A fedwiz that was begun a moment ago may be reading it: it never sees half of a file.
        new = path.with_suffix(".new")
        new.write_text(tomli_w.dumps(self.answers))
        return new.replace(path)

    def fedwiz(self, *words: str, timeout: float = 240) -> Said:
        """Run a verb with the answer file, new host keys accepted, and wait for its end."""
        out, err = self.home / "stdout", self.home / "stderr"
        with out.open("w") as stdout, err.open("w") as stderr:
            run = Run(
                self._words(*words), self.environment(), self.home, stdout=stdout, stderr=stderr
            )
            with run:
                try:
                    run.wait(timeout)
                except BaseException:
                    run.kill()
                    raise
        return Said(run.wait(), out.read_text(), err.read_text())

    def begin(self, *words: str, stdout: int | IO[str] = subprocess.DEVNULL) -> Run:
        """The same, at work: what it says on stderr is to be read, as it comes."""
        return Run(self._words(*words), self.environment(), self.home, stdout=stdout)

    def _words(self, verb: str, *more: str) -> tuple[str, ...]:
        # Who resumes has the answers that the run has left, and hosts that are known.
        given = ("-a", str(self.file), "--accept-new-host-keys") if verb != "resume" else ()
        return (verb, *given, *more)

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        root = Path(__file__).parents[2]
        return {**kept, "HOME": str(self.home), "PYTHONPATH": str(root), **self.environ}

    def run(self, argv: list[str], timeout: float = 240) -> Said:
        """A command line of the operator's."""
        done = subprocess.run(
            argv,
            env=self.environment(),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def install(self, *more: str, timeout: float = 240) -> Said:
        return self.fedwiz("install", "--yes", "--headless", "--json", *more, timeout=timeout)

    def left(self) -> dict[str, list[str]]:
        """The steps that a plan still has, per host."""
        plan = self.fedwiz("plan", "--json")
        assert plan.code == 0, plan.err
        return {
            host: [action["step"] for action in actions]
            for host, actions in plan.json["hosts"].items()
            if actions
        }
