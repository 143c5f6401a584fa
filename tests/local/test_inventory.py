"""The machines of a wizard: real ones behind sshd on loopback, and simulated ones."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from fedwiz.answers.file import Answers, AnswersError, parse
from fedwiz.answers.passwords import forget
from fedwiz.discover import expand
from fedwiz.facts import ClusterFacts
from fedwiz.model.actions import UnreachableError
from fedwiz.model.events import Connected, Event, FactsRead, HostLost
from fedwiz.practice import practice_answers
from fedwiz.ssh.known_hosts import fingerprint
from fedwiz.wizard import candidates
from fedwiz.wizard.draft import Candidate, Draft, load_saved, save
from fedwiz.wizard.inventory import Inventory, PracticeInventory
from fedwiz.wizard.start import begin_practice
from tests.local.test_sudo import ID, SUDO
from tests.support import sshd
from tests.support.sshd import Home, free_port, keygen

REAL = pytest.mark.skipif(bool(sshd.WHY_NOT), reason=sshd.WHY_NOT)
CANARY = "c4n4ry'\\ \"x"


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("FEDWIZ_SUDO_PASSWORD", "FEDWIZ_ETCD_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    forget()
    return tmp_path / "state"


@dataclass
class Operator:
    """Answers one question after the other, and remembers what was asked."""

    says: list[str | None] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def __call__(self, question: str) -> str | None:
        self.asked.append(question)
        return self.says.pop(0)


def draft(*names: str, **ssh: object) -> Draft:
    """Hosts that ssh_config knows by these names."""
    found = tuple(
        Candidate(name, name, chosen=True, role="master" if not at else "node")
        for at, name in enumerate(names)
    )
    said = {"name": "lab", "network": {"cidr": "10.16.0.0/16"}, "ssh": ssh}
    return Draft(page="hosts", candidates=found, said=said)


def three(home: Home, *lines: str, **ssh: object) -> Draft:
    """Three servers on loopback, nobody knows their keys."""
    servers = [home.serve(*lines) for _ in range(3)]
    home.configure(
        "".join(
            f"Host n{at}\n HostName 127.0.0.1\n Port {it.port}\n" for at, it in enumerate(servers)
        )
    )
    return draft("n0", "n1", "n2", **ssh)


# Real ones.


async def test_that_there_is_no_ssh_to_ask_is_told_once(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.configure("Host *\n User x\n")
    monkeypatch.setenv("PATH", str(home.path / "none"))
    site, told = Inventory(), list[str]()
    site.tell = told.append
    said = draft("n0", "n1", "n2", port=free_port())
    found = (replace(it, address=f"127.0.0.{at}") for at, it in enumerate(said.candidates, 1))
    said = replace(said, candidates=tuple(found))
    for _ in range(2):
        await site.read(said.provisional())
        assert "nothing listens at 127.0.0.1" in site.lost["127.0.0.1"]
    (sentence,) = told
    assert "there is no ssh on PATH" in sentence


@REAL
async def test_keys_are_shown_accepted_and_known_from_then_on(home: Home) -> None:
    site, said = Inventory(), three(home)
    heard: list[Event] = []
    known = await site.read(said.provisional(), heard.append)
    assert set(site.lost) == set(site.unknown) == {"n0", "n1", "n2"}
    assert not known.hosts
    shown = {key.fingerprint for key in site.unknown.values()}
    assert shown == {fingerprint(it.key.split()[1]) for it in home.servers}
    assert not home.known_hosts.exists()

    await site.accept([site.unknown["n0"], site.unknown["n2"]])
    assert set(site.unknown) == {"n1"}
    heard.clear()
    known = await site.read(said.provisional(), heard.append)
    assert set(known.hosts) == set(site.facts) == {"n0", "n2"}
    assert set(site.unknown) == set(site.lost) == {"n1"}
    assert {it.host for it in heard if isinstance(it, Connected)} == {"n0", "n2"}
    assert {it.host for it in heard if isinstance(it, FactsRead)} == {"n0", "n2"}
    assert [it.host for it in heard if isinstance(it, HostLost)] == ["n1"]
    assert site.facts["n0"].kernel
    # All of them are this machine, which is what twins are made of.
    assert any(
        "machine-id" in it.seen or "host name" in it.seen
        for it in candidates.shared_values(said, site.facts)["n0"]
    )

    await site.accept(site.unknown.values())
    assert not (await Inventory().read(said.provisional())).lost


@REAL
async def test_a_changed_key_is_told_with_both_and_is_not_one_to_accept(home: Home) -> None:
    site, said = Inventory(), three(home)
    home.know(*home.servers[:2])
    port, other = home.servers[2].port, keygen(home.path / "other")
    with home.known_hosts.open("a") as file:
        file.write(f"[127.0.0.1]:{port} {other}\n")
    await site.read(said.provisional())
    assert site.changed == {"n2"}
    assert not site.unknown
    for key in (other, home.servers[2].key):
        assert fingerprint(key.split()[1]) in site.lost["n2"]
    # What the operator puts right is seen by the next reading.
    home.known_hosts.unlink()
    home.know(*home.servers)
    await site.read(said.provisional())
    assert not site.changed | site.lost.keys()


@REAL
async def test_known_hosts_that_cannot_be_written_is_said(home: Home) -> None:
    site, said = Inventory(), three(home)
    await site.read(said.provisional())
    home.known_hosts.mkdir()
    with pytest.raises(UnreachableError, match="can't be written"):
        await site.accept(site.unknown.values())


@REAL
async def test_a_passphrase_is_asked_for_once_and_again_where_it_was_wrong(home: Home) -> None:
    (home.path / ".ssh/id_ed25519").unlink()
    home.key = keygen(home.path / ".ssh/locked", passphrase=CANARY)
    site, said = Inventory(), three(home, identity=["~/.ssh/locked"])
    home.know(*home.servers)
    site.ask = operator = Operator([None, "wrong", CANARY])

    await site.read(said.provisional())
    assert len(operator.asked) == 1
    assert set(site.lost) == {"n0", "n1", "n2"}
    await site.read(said.provisional())
    assert len(operator.asked) == 2
    assert all("that is not the passphrase" in why for why in site.lost.values())
    await site.read(said.provisional())
    assert not site.lost
    await site.read(said.provisional())
    assert operator.asked == [f"Passphrase of {home.path}/.ssh/locked"] * 3


@pytest.fixture
def sudoers(home: Home) -> Callable[[str], list[str]]:
    """Three hosts whose sudo wants a password; gives what was tried on all of them."""
    for at in range(3):
        place = home.path / f"bin{at}"
        place.mkdir()
        for name, text in {"id": ID, "sudo": SUDO, "says": ""}.items():
            (place / name).write_text(text)
            (place / name).chmod(0o755)
        home.serve(f"SetEnv PATH={place}:/usr/bin:/bin")
    home.know(*home.servers)
    home.configure(
        "".join(
            f"Host n{at}\n HostName 127.0.0.1\n Port {it.port}\n"
            for at, it in enumerate(home.servers)
        )
    )

    def wants(*passwords: str) -> list[str]:
        tried = []
        for at, password in enumerate(passwords):
            (home.path / f"bin{at}/wants").write_text(password)
            file = home.path / f"bin{at}/tries"
            tried += file.read_text().splitlines() if file.exists() else []
        return tried

    return wants


@REAL
async def test_a_wrong_sudo_password_is_asked_for_again_and_kept_nowhere(
    home: Home, sudoers: Callable[..., list[str]], state_home: Path
) -> None:
    sudoers(CANARY, CANARY, CANARY)
    site, said = Inventory(), draft("n0", "n1", "n2", sudo="ask")
    site.ask = operator = Operator([None, "wrong", CANARY])
    save(said)
    for _ in range(2):
        await site.read(said.provisional())
        assert sorted(site.lost) == ["n0", "n1", "n2"]
    assert sudoers(CANARY, CANARY, CANARY) == ["wrong"]
    for _ in range(2):
        await site.read(said.provisional())
        assert not site.lost
    assert operator.asked == ["sudo password of root"] * 3
    save(candidates.learn(said, site.facts))
    assert load_saved() is not None
    assert CANARY not in "".join(_texts(state_home)) + repr(vars(site))


def _texts(place: Path) -> list[str]:
    return [it.read_text() for it in place.rglob("*") if it.is_file()]


@REAL
async def test_the_environment_s_password_is_not_tried_twice(
    home: Home, sudoers: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sudoers(CANARY, CANARY, CANARY)
    monkeypatch.setenv("FEDWIZ_SUDO_PASSWORD", "stale")
    site, said = Inventory(), draft("n0", "n1", "n2", sudo="ask")
    site.ask = operator = Operator([CANARY])
    await site.read(said.provisional())
    assert len(site.lost) == 3
    await site.read(said.provisional())
    assert not site.lost
    assert len(operator.asked) == 1


@REAL
async def test_a_file_that_is_not_there_keeps_nobody_from_reading_hosts(home: Home) -> None:
    said = three(home)
    home.know(*home.servers)
    rpm = {"source": "rpm", "path": "/nowhere/flannel.rpm", "sha256": "0" * 64}
    answers = replace(said, said={**said.said, "flannel": rpm}).provisional()
    site = Inventory()
    known = await site.read(answers)
    assert set(known.hosts) == {"n0", "n1", "n2"}
    assert site.known(answers) is not None
    with pytest.raises(AnswersError, match=r"flannel\.path"):
        await site.cluster(answers)


@REAL
async def test_an_etcd_password_is_asked_for_with_its_user(home: Home) -> None:
    said = three(home)
    home.know(*home.servers)
    said = said.put("etcd.user", "flannel").put("etcd.endpoints", ["http://127.0.0.1:1"])
    site = Inventory()
    site.ask = operator = Operator([CANARY])
    known = await site.read(said.provisional())
    assert operator.asked == ["etcd password of flannel"]
    assert CANARY not in repr(known) + repr(site.facts)


async def test_what_this_machine_knows_is_read_from_its_files(home: Home) -> None:
    home.configure("Host lab-a lab-b\n HostName %h.example\n Port 2222\nHost *\n User x\n")
    home.known_hosts.write_text(f"10.1.0.1 {keygen(home.path / 'k')}\n")
    sources = Inventory().sources()
    found = sources["ssh config"]()
    assert [it.name for it in found.targets] == ["lab-a", "lab-b"]
    assert [it.address for it in sources["known_hosts"]().targets] == ["10.1.0.1"]
    assert sources["libvirt"]().targets == () or sources["libvirt"]().targets


@REAL
async def test_a_search_sees_the_key_that_the_login_sees(home: Home) -> None:
    server = home.serve()
    (seen,) = await Inventory().look(expand([f"127.0.0.1:{server.port}"]))
    assert seen.fingerprint == fingerprint(server.key.split()[1])


# What was read holds while only words change.


def read_by(fault: str = "healthy") -> tuple[PracticeInventory, Draft]:
    base = begin_practice(Draft(page="hosts", practice=fault, pace=0.0))
    found = tuple(
        Candidate(it.address, it.name, chosen=True, role=it.role) for it in practice_answers().host
    )
    site = PracticeInventory(base)
    site._trusted.update(site._practice.cluster.machines)  # noqa: SLF001 - as if accepted before
    return site, replace(base, candidates=found)


def bare(said: Draft) -> Draft:
    """Nothing of the hosts is known but their addresses."""
    return replace(
        said, candidates=tuple(Candidate(it.address, chosen=True) for it in said.candidates)
    )


async def test_the_final_answers_find_what_the_provisional_ones_read() -> None:
    site, said = read_by()
    assert site.known(said.provisional()) is None
    known = await site.read(said.provisional())
    final = said.put("network.cidr", "10.20.0.0/16").put("name", "other").answers()
    assert site.known(final) == known
    assert list(known.hosts) == [it.name for it in final.host]


SAME: dict[str, Callable[[Draft], Draft]] = {
    "a node's name": lambda it: it.row(2, name="another"),
    "a label": lambda it: it.row(1, label="name=x"),
    "an interface": lambda it: it.row(1, interface="eth1"),
    "the backend": lambda it: it.put("backend.type", "host-gw"),
    "how many at once": lambda it: it.put("ssh.width", 2),
    "a host left out": lambda it: it.row(3, chosen=False),
}
OTHER: dict[str, Callable[[Draft], Draft]] = {
    "a role": lambda it: it.row(0, role="node").row(1, role="master"),
    "the master's name, where etcd is": lambda it: it.row(0, name="another"),
    "an address": lambda it: it.row(1, address="192.168.122.99"),
    "a pinned key": lambda it: it.row(1, host_key="SHA256:" + "a" * 43),
    "who logs in": lambda it: it.put("ssh.user", "admin"),
    "where etcd keeps it": lambda it: it.put("etcd.prefix", "/elsewhere"),
    "where flannel is from": lambda it: it.put("flannel.source", "dnf").put("etcd.api", "v3"),
    "one host more": lambda it: it.add([Candidate("192.168.122.90", "more", chosen=True)]),
}


@pytest.mark.parametrize("change", SAME)
async def test_what_was_read_stays_known_under_new_words(change: str) -> None:
    site, said = read_by()
    before = await site.read(said.provisional())
    changed = SAME[change](said.put("network.cidr", "10.16.0.0/16"))
    for answers in (changed.answers(), changed.provisional()):
        now = site.known(answers)
        assert now is not None
        assert list(now.hosts) == [it.name for it in answers.host]
        assert list(now.hosts.values()) == list(before.hosts.values())[: len(answers.host)]
        assert now.store == before.store


@pytest.mark.parametrize("change", OTHER)
async def test_what_would_be_read_otherwise_is_not_known(change: str) -> None:
    site, said = read_by()
    await site.read(said.provisional())
    assert site.known(OTHER[change](said).provisional()) is None


async def test_the_master_s_name_changes_nothing_where_the_endpoint_is_said() -> None:
    site, said = read_by()
    said = said.put("etcd.endpoints", ["http://192.168.122.76:2379"])
    await site.read(said.provisional())
    now = site.known(said.row(0, name="another").provisional())
    assert now is not None
    assert next(iter(now.hosts)) == "another"


async def test_another_role_is_asked_other_things_also_where_the_endpoint_is_said() -> None:
    site, said = read_by()
    said = said.put("etcd.endpoints", ["http://192.168.122.76:2379"])
    await site.read(said.provisional())
    assert site.known(OTHER["a role"](said).provisional()) is None


async def test_nothing_is_decided_and_hosts_are_read_then_learnt_then_read_as_they_are() -> None:
    site, said = read_by()
    said = bare(said)
    await site.read(said.provisional())
    learnt = candidates.learn(said, site.facts)
    assert [(it.name, it.role) for it in learnt.candidates][:2] == [
        ("fed-master", "master"),
        ("fed-node1", "node"),
    ]
    assert site.known(learnt.provisional()) is None  # etcd is asked for by the master's name
    await site.read(learnt.provisional())
    known = site.known(learnt.put("network.cidr", "10.16.0.0/16").answers())
    assert isinstance(known, ClusterFacts)
    assert known.store.api


async def test_a_practice_host_shows_its_key_until_it_is_accepted() -> None:
    said = begin_practice(Draft(page="hosts", practice="healthy", pace=0.0))
    site = PracticeInventory(said)
    seen = await site.look(expand(["192.168.122.70-99"]))
    said = candidates.add_sightings(said, seen)
    said = replace(said, candidates=tuple(replace(it, chosen=True) for it in said.candidates))
    await site.read(said.provisional())
    for it in said.candidates:
        key = site.unknown[it.address]
        assert it.shown_key == f"{key.kind} {key.fingerprint}"
    await site.accept(site.unknown.values())
    assert not (await site.read(said.provisional())).lost


@pytest.mark.parametrize(
    ("fault", "changed"), [("changed-key", {"192.168.122.78"}), ("unreachable", set[str]())]
)
async def test_a_practice_fault_on_the_way_is_told(fault: str, changed: set[str]) -> None:
    site, said = read_by(fault)
    await site.read(said.provisional())
    assert set(site.lost) == {"192.168.122.78"}
    assert site.changed == changed


async def test_a_key_that_was_waiting_is_forgotten_with_its_host() -> None:
    site, said = read_by()
    site._trusted.clear()  # noqa: SLF001 - as before anything was accepted
    await site.read(said.provisional())
    assert len(site.unknown) == 4
    await site.read(said.row(3, chosen=False).provisional())
    assert len(site.unknown) == 3


def test_answers_are_compared_by_what_they_ask() -> None:
    """The fixtures above begin from answers that are right."""
    said: Any = read_by()[1]
    assert isinstance(parse(said.put("network.cidr", "10.16.0.0/16").data()), Answers)
