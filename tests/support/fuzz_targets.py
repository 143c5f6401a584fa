r"""All that reads what others wrote, each as one call of bytes: for `tests.bench.fuzz` and a test.

An input that has parts (a host's whole answer) has them as `NAME\nTEXT`, parted by 0x1e, so
that a mutation changes what is in a part; the call packs them as the host would have.
"""

import atexit
import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from ipaddress import IPv4Address
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace

from fedwiz import discover, report
from fedwiz.answers import package_file, rules
from fedwiz.answers.file import AnswersError, dump, from_flannel_config, load, overlay, parse
from fedwiz.checks import judge as checked
from fedwiz.diagnose import filters, trace
from fedwiz.diagnose.values import NftDrop
from fedwiz.discover.sources import host_names
from fedwiz.engine import fix, leftovers, lock, plan, watch
from fedwiz.etcd import parse_leases
from fedwiz.etcd.endpoint import Endpoint
from fedwiz.etcd.v2 import V2
from fedwiz.etcd.v3 import _values
from fedwiz.facts import ClusterFacts, Facts, read, version, versions
from fedwiz.facts.probes import Probe, probes
from fedwiz.model import envfile, events, log_causes
from fedwiz.model.actions import Run, UnreachableError, Value
from fedwiz.report import changes
from fedwiz.runs import journal as journals
from fedwiz.runs.describe import line as as_line
from fedwiz.runs.rounds import Rounds
from fedwiz.runs.state import State
from fedwiz.scripts import script
from fedwiz.ssh import config, known_hosts
from fedwiz.ssh import route as ways
from fedwiz.util.sanitize import LineReader, sanitize
from fedwiz.verify import leases as verify_leases
from fedwiz.verify import mtu, node_pings, nodes, pods, ports
from fedwiz.verify.peers import routes_to
from fedwiz.verify.values import Path as Crossing
from fedwiz.wizard import draft as drafts
from tests.support.cost import cost, unit
from tests.support.sample_cluster import BARE, DONE, SAID, answered, stored

TESTS = Path(__file__).parents[1]
ANSWERS = answered()
MASTER, NODE = ANSWERS.master, ANSWERS.named("fed-node1")
PARTED = b"\x1e"
SLOW = 500
"""As many pieces of work (`cost.py`), about a second, are more than any input is worth."""

Call = Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """One thing that reads."""

    call: Call
    seeds: tuple[bytes, ...]
    refuses: tuple[type[BaseException], ...] = (ValueError,)
    """What it is documented to raise, and nothing else."""

    longest: int = 1 << 18
    """Bytes of an input."""


class Hung(BaseException):
    """A call took far too long, and was ended."""


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """End what takes more than this processor time: by an exception that no one catches."""

    def end(_signal: int, _frame: object) -> None:
        raise Hung

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@dataclass(frozen=True)
class Outcome:
    """How a call went."""

    seconds: float
    why: str = ""
    """What is wrong with that, and where; empty: nothing."""


def tried(target: Target, given: bytes, most: float = SLOW) -> Outcome:
    """Call it, and judge.

    Args:
        target: what reads.
        given: what it reads.
        most: what that may cost.
    """
    outcome = _tried(target, given)
    if outcome.why or outcome.seconds <= most * _piece():
        return outcome
    # Only the machine may be slow, so that is looked at beside it.
    slow = cost(lambda: _tried(target, given)) > most
    return replace(outcome, why="slow") if slow else outcome


@cache
def _piece() -> float:
    return unit()


def _tried(target: Target, given: bytes) -> Outcome:
    begun, why = time.thread_time(), ""
    try:
        with ended_after(10 * SLOW * _piece()):
            target.call(given)
    except target.refuses:
        pass
    except Hung as hung:
        why = f"hangs at {_where(hung)}"
    except Exception as wrong:  # noqa: BLE001 - which one it is, is what is looked for
        why = f"{type(wrong).__name__}: {str(wrong)[:80]} at {_where(wrong)}"
    return Outcome(time.thread_time() - begun, why)


def _where(wrong: BaseException) -> str:
    own = [it for it in traceback.extract_tb(wrong.__traceback__) if "/tests/" not in it.filename]
    ours = [it for it in own if "/fedwiz/" in it.filename or "/screens/" in it.filename]
    return " < ".join(f"{Path(it.filename).name}:{it.lineno}" for it in reversed(ours[-2:]))


# What an operator gives.


@cache
def folder() -> Path:
    """A place for files, gone with the process."""
    place = Path(tempfile.mkdtemp(prefix="fedwiz-fuzz-", dir="/dev/shm"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def _file(name: str, given: bytes) -> Path:
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(given)
    return path


def _answers(given: bytes) -> None:
    said = load(_file("answers.toml", given))
    again = dump(said)
    assert load(_file("again.toml", again.encode())) == said


def _sets(given: bytes) -> None:
    """As the shell hands them over: bytes that are no UTF-8 are surrogates."""
    words = given.decode("utf-8", "surrogateescape").split("\x00")
    parse(SAID, words)


def _loose_sets(given: bytes) -> None:
    overlay({}, given.decode("utf-8", "surrogateescape").split("\n"))


def _draft(given: bytes) -> None:
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(folder())
    try:
        _file("fedwiz/draft.json", given)
        found = drafts.load_saved()
        if found is None:
            return
        found.refusals()
        assert found.name is not None
        drafts.save(found)
        found.provisional()
    finally:
        if before is None:
            del os.environ["XDG_STATE_HOME"]
        else:
            os.environ["XDG_STATE_HOME"] = before


def _typed(given: bytes) -> None:
    discover.expand(given.decode("utf-8", "surrogateescape").splitlines())


def _known_hosts(given: bytes) -> None:
    path = _file("known_hosts", given)
    entries = known_hosts.read([path])
    for host in ("fed-node1", "192.168.122.77"):
        found = known_hosts.host_entries(entries, host)
        for blob in [it.blob for it in entries[:3]] or ["AAAA"]:
            known_hosts.Trust(host, found).refusal("ssh-ed25519", blob)
    discover.known_hosts(path)


def _ssh_config(given: bytes) -> None:
    """Which hosts an ssh_config names; ssh is not asked about them."""
    host_names(_file("config", given))


def _resolved(given: bytes) -> None:
    """What is made of an answer of ssh's about one host."""
    found = config.host_config("lab-a", config.parse(given.decode(errors="surrogateescape")))
    made = ways.route(ways.Target("lab-a", "lab-a"), found)
    for text in made.hops:
        ways.hop(text)


def _refused(given: bytes) -> None:
    """How ssh's complaint is told."""
    why = config._reason(_text(given), [Path("/home/a/.ssh/config")], {"/tmp/b": "/etc/ssh"})  # noqa: SLF001
    assert why == sanitize(why)


def _libvirt(name: str, given: bytes) -> None:
    place = _file(f"libvirt-{name}/virbr0.{name}", given).parent
    discover.libvirt(place)


def _rpm(given: bytes) -> None:
    package_file._refuse_rpm(given[:96])  # noqa: SLF001
    package_file._refuse_program(given[:96])  # noqa: SLF001
    package_file._name_and_version(given[:96])  # noqa: SLF001


# What fedwiz wrote, and anybody may have changed, or sent.


def _journal(given: bytes) -> tuple[events.Record, ...]:
    return journals.read(_file("run.jsonl", given))


def _told(given: bytes) -> None:
    """A journal read, and everything that is made of its records."""
    records = _journal(given)
    state, past = State(), Rounds()
    for record in records:
        as_line(record)
        events.to_line(record)
        state.apply(record)
        past.apply(record)
    list(past.changes())
    for form in report.FORMS.values():
        form(state, "20261123-000000-0a1b", None).encode()
    changes.compare(state, state)
    fix.undo_actions(records)


def _runs(given: bytes) -> None:
    place = _file("runs/20261123-000000-0a1b.jsonl", given).parent
    journals.runs(place)


# What a host says.


def _text(given: bytes) -> str:
    return given.decode("utf-8", "replace")


def _probe(probe: Probe, given: bytes) -> None:
    Facts(**probe.read(_text(given)))


def _parts(given: bytes) -> dict[str, bytes]:
    found = {}
    for part in given.split(PARTED):
        name, _, text = part.partition(b"\n")
        found[name.decode("ascii", "replace")] = text
    return found


def _parted(parts: dict[str, str]) -> bytes:
    return PARTED.join(f"{name}\n{text}".encode() for name, text in parts.items())


def _facts(given: bytes) -> Facts:
    said = "".join(
        f"mark {name}\n{base64.encodebytes(text).decode()}" for name, text in _parts(given).items()
    )
    return read(ANSWERS, NODE, f"{said}mark .\n", "mark", asked_at=1.0)


def _raw_facts(given: bytes) -> None:
    read(ANSWERS, NODE, _text(given), "mark", asked_at=1.0)


def _cluster(given: bytes) -> None:
    """Facts of one node, and everything that judges and plans by them."""
    facts = _facts(given)
    known = replace(DONE, hosts={**DONE.hosts, "fed-node1": facts})
    for finding in checked(ANSWERS, known):
        finding.seen.encode()
    made = plan.make(ANSWERS, known)
    json.dumps(plan.to_json(made)).encode()
    plan.text(made).encode()
    for text in plan.scripts(made, ANSWERS).values():
        text.encode()
    for task in made.tasks():
        for action in task.actions:
            if isinstance(action, Run):
                action.input(reveal=True).encode()
    _verdicts(known)
    # What differs from every real machine, in the place of what a finished node has.
    odd = {
        name: getattr(facts, name)
        for name in (field.name for field in fields(Facts))
        if all(getattr(facts, name) != getattr(it, name) for it in _as_read())
    }
    node = replace(DONE.hosts["fed-node1"], **odd)
    known = replace(DONE, hosts={**DONE.hosts, "fed-node1": node})
    checked(ANSWERS, known)
    plan.make(ANSWERS, known)
    _verdicts(known)


@cache
def _as_read() -> tuple[Facts, ...]:
    return tuple(map(_facts, _machines()))


def _verdicts(known: ClusterFacts) -> None:
    for node in ANSWERS.nodes:
        verdicts = [
            verify_leases.judge(ANSWERS, known, node),
            *nodes.judge(ANSWERS, known, node, None),
        ]
        for verdict in verdicts:
            verdict.seen.encode()
            verdict.why.encode()
        facts = known.hosts[node.name]
        nodes.stand_in(facts)
        if subnet := nodes.subnet_of(facts):
            routes_to(facts, subnet.network)
    meeting = node_pings.NodePings({host.name: host for host in ANSWERS.nodes}, known)
    for one, other in permutations(("fed-node1", "fed-node2"), 2):
        meeting.obstacle(one, other)


def _stored(given: bytes) -> None:
    """Keys and values in etcd, as parts."""
    parts = _parts(given)
    values = tuple(Value(key, _text(text), 7, 80_000) for key, text in parts.items())
    parse_leases(values)
    config = replace(values[0], key="/coreos.com/network/config")
    known = stored(DONE, config=config, leases=values[1:])
    for finding in checked(ANSWERS, known):
        finding.seen.encode()
    nodes.overlay(ANSWERS, known)
    _verdicts(known)
    for verdict in verify_leases.foreign_leases(ANSWERS, known):
        verdict.why.encode()
    plan.text(plan.make(ANSWERS, replace(BARE, store=known.store))).encode()


WAY = Endpoint("http://fed-master:2379", "fed-master", 1, "fed-master", tls=False)


def _v2(given: bytes) -> None:
    store = V2(WAY)
    _, said = store._checked(given, "/coreos.com/network")  # noqa: SLF001
    parse_leases(tuple(store._leaves(said)))  # noqa: SLF001


def _v3(given: bytes) -> None:
    """What gRPC gives of it: bytes."""
    client = SimpleNamespace(get_lease_info=lambda _: SimpleNamespace(TTL=-1))
    pairs = [
        SimpleNamespace(key=name.encode("utf-8", "replace"), value=text, mod_revision=1, lease=7)
        for name, text in _parts(given).items()
    ]
    parse_leases(tuple(_values(client, pairs)))


def _daemon_json(given: bytes) -> None:
    """Docker's own file: a check reads it and a step writes into it."""
    _cluster_with_file("/etc/docker/daemon.json", given)


def _flanneld_conf(given: bytes) -> None:
    _cluster_with_file("/etc/sysconfig/flanneld", given)


def _cluster_with_file(path: str, given: bytes) -> None:
    words = f"{path} 644 root:root {base64.b64encode(given).decode()}\n"
    parts = {name: _text(text) for name, text in _parts(_machine("modern-done-fed-node1")).items()}
    docker = "Docker version 28.5.2, build x\n"
    _cluster(_parted({**parts, "files": words, "docker": docker}))


def _sysconfig(given: bytes) -> None:
    text = given.decode("utf-8", "surrogateescape")
    envfile.values(text)
    envfile.with_values(text, {"FLANNEL_OPTIONS": r"a|b&c\1/d", "A": "1"})


WANTED = {"FLANNEL_ETCD": "http://a:1", "FLANNEL_OPTIONS": r"-a=\1&|/", "A": "x y"}


def _edited(given: bytes) -> None:
    """The script on a host does what the plan shows."""
    text = given.decode("utf-8", "surrogateescape")
    shown = envfile.with_values(text, WANTED).encode("utf-8", "surrogateescape")
    path = _file("flanneld", given)
    words = [word for pair in WANTED.items() for word in pair]
    subprocess.run(
        ["sh", "-c", script("sysconfig"), "sysconfig.sh", path, "any", *words],
        check=True,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
    )
    assert path.read_bytes() == shown, "the script and the plan differ"


def _answer(given: bytes) -> str:
    """Lines `KEY BASE64` and `end`, as scripts answer."""
    return "".join(
        f"{name} {base64.b64encode(text).decode()}\n" for name, text in _parts(given).items()
    )


def _look(given: bytes) -> None:
    said = _answer(given)
    found = trace.read(said, said, "fedwiz-probe-0a1b2c3d")
    for drop in found.dropped:
        _rule(drop.rule.encode())


def _rule(given: bytes) -> None:
    packet = filters.Packet("outer", (), IPv4Address("10.16.1.2"), "udp", 8472)
    filters.may_match(_text(given), packet)
    drop = NftDrop("inet", "t", "c", "input", sanitize(_text(given)), 1)
    filters._nft_fits(drop, packet)  # noqa: SLF001
    filters.chains(_text(given).splitlines(), "FORWARD")


PEERS = ("192.168.122.36", "192.168.122.127")
PATHS = (Crossing("10.16.2.2", 1450, "192.168.122.36", 1500), Crossing("10.16.3.2", 1450, "", 0))


def _met(given: bytes) -> None:
    lines = [
        f"met {name} REACHABLE {base64.b64encode(text).decode()}\n"
        for name, text in _parts(given).items()
    ]
    node_pings.read("".join(lines) + "end\n", list(_parts(given)))


def _lines(given: bytes) -> None:
    cutter = LineReader()
    found = [*cutter.feed(given[:999]), *cutter.feed(given[999:]), *cutter.end()]
    for text in found:
        assert sanitize(text) == text


def _causes(given: bytes) -> None:
    """As the engine asks: of lines that were cleaned when they came."""
    log_causes.cause_of([sanitize(text) for text in _text(given).splitlines()])


def _versions(given: bytes) -> None:
    version(_text(given))
    versions.parse_version(_text(given))
    versions.endpoint_variables(_text(given))


def _holder(given: bytes) -> None:
    str(lock.parse(_text(given)))


def _followed(given: bytes) -> None:
    """What a run told, cut anywhere, and who the master says has the lock."""
    records = watch.Records()
    records.feed(given[:50])
    records.feed(given[50:])
    watch._parse_reply(_text(given))  # noqa: SLF001


def _said(call: Callable[[str], object]) -> Call:
    return lambda given: call(_text(given))


# Real inputs.


@cache
def _machine(name: str) -> bytes:
    return _parted(json.loads((TESTS / f"machines/{name}.json").read_text()))


def _machines() -> tuple[bytes, ...]:
    return tuple(_machine(path.stem) for path in sorted((TESTS / "machines").glob("*.json")))


def _files(pattern: str) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(TESTS.glob(pattern)))


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJkRS8qfPfkhXRZ8V3oPkGPXYvLTTSdLCFqJ1T1HbBWp"
KNOWN = (
    f"fed-node1,192.168.122.77 {KEY} note\n[fed-node2]:2222 {KEY}\n# c\n@revoked * {KEY}\n"
    f"@cert-authority *.lab,!a?b {KEY}\n{known_hosts.hashed('fed-node1', b'salt' * 5)} {KEY}\n"
).encode()
CONFIG = b"""\
Host lab-a "lab-b" !c
  HostName %h.example
  Port=2222
Match host x exec "false"
Include ~/.ssh/more
Host * 10.0.?.*
  ProxyJump root@bastion:22
"""
RESOLVED = b"""\
host lab-a
user bob
hostname lab-a.example
port 2222
pubkeyauthentication true
stricthostkeychecking accept-new
requiredrsasize 2048
hostkeyalgorithms ssh-ed25519,rsa-sha2-512
hostkeyalias lab
identityagent $AGENT
identityfile ~/.ssh/id_%r
identityfile ${HOME}/k
globalknownhostsfile ~/g_%h /b
userknownhostsfile /home/bob/.ssh/known_hosts /c d/e
revokedhostkeys none
knownhostscommand none
pkcs11provider /usr/lib/card.so
proxyjump root@[bastion]:22,%r@b
"""
COMPLAINT = (
    b"sh: line 3: x: not found\r\nUnsupported Match attribute localnetwork\r\n"
    b"/home/a/.ssh/config line 4: Bad Match condition\r\n/tmp/b: terminating, 1 bad\r\n"
    b"jumphost loop via a\r\n"
)
HOLDER = (
    b"token 0123456789abcdef\nwho root@here\nfrom 192.0.2.1\nsince 1795388772\nverb install\n"
    b"run 20261123-000000-0a1b\ncluster lab\n"
)
DRAFT = json.dumps(
    {
        "format": 1,
        "page": "network",
        "candidates": [
            {
                "address": f"192.168.122.{at}",
                "name": f"n{at}",
                "chosen": True,
                "role": role,
                "label": "",
                "interface": "eth0",
                "host_key": "",
                "source": "libvirt",
                "shown_key": "",
                "port": 22,
                "silent": False,
            }
            for at, role in ((7, "master"), (8, "node"), (9, ""))
        ],
        "said": {
            "name": "lab",
            "network": {"cidr": "10.16.0.0/16"},
            "ssh": {"width": 5},
            "etcd": {"endpoints": ["http://a:1"]},
        },
        "held": {"udp": {"port": 1}},
    }
).encode()
SETS = (
    b"network.cidr=10.3.0.0/16\0backend.type=host-gw\0host.fed-node1.interface=eth1\0"
    b"ssh.identity=[\"~/.ssh/a\"]\0flannel.options=['-v=5']\0network.subnet_len=24"
)
PING = (
    "PING 10.16.2.2 (10.16.2.2) 56(84) bytes of data.\n64 bytes from 10.16.2.2: icmp_seq=1\n"
    "From 10.16.1.1 icmp_seq=2 Destination Host Unreachable\n\n"
    "3 packets transmitted, 2 received, 33% packet loss, time 2002ms\n"
    "rtt min/avg/max/mdev = 0.046/0.101/0.210/0.050 ms\n"
)
B64 = base64.b64encode(PING.encode()).decode()
LINKS = (
    '[{"ifname":"lo"},{"ifname":"eth0","mtu":1450,"addr_info":[{"family":"inet",'
    '"local":"10.16.1.2","prefixlen":24}]}]'
)
UP = {
    "docker": "yes",
    "inet": "inet 10.16.1.0/32 flannel.1",
    "pid": "7",
    "netns": "net:[12]",
    "links": LINKS,
    "end": "",
}
RULES = """\
*raw
:PREROUTING ACCEPT [10:100]
[3:252] -A PREROUTING -s 10.16.1.2 -p icmp -m comment --comment fedwiz-probe-0a1b2c3d:there-raw
[7:9] -A FORWARD ! -s 10.0.0.0/8 -p udp --dports 8000:9000,1 -j DROP
COMMIT
"""
NFT = """\
table inet mine {
\tchain in {
\t\ttype filter hook input priority filter; policy drop;
\t\tip saddr != 10.0.0.0/8 udp dport { 8472, 1-2 } counter drop # handle 7
\t}
}
"""
TRACED = {
    "stats": "Ip: A B\nIp: 1 2\nTcpExt: C D\nTcpExt: 3 -4\n",
    "flanneld": "ActiveState=active\n",
    "log": "E0101 lost\n",
    "sysctls": "net.ipv4.conf.all.rp_filter = 1\n",
    "policy": "0: from all",
    "routes": "10.16.2.0/24 via 10.16.2.0 dev flannel.1 onlink\n",
    "nft": NFT,
    "counts": RULES,
    "rules": RULES,
    "error": "",
    "end": "",
}
LEASES = {
    "/coreos.com/network/config": ANSWERS.config_json(),
    **{it.key: it.text for it in DONE.store.leases},
    "/coreos.com/network/subnets/10.16.5.0-24&fc00::-64": '{"PublicIP":"192.168.122.9",'
    '"PublicIPv6":null,"BackendType":"vxlan",'
    '"BackendData":{"VNI":1,"VtepMAC":"46:f1:d0:18:d0:65"}}',
}
V2_SAID = (
    b"HTTP/1.0 200 OK\r\nX-Etcd-Index: 9\r\n\r\n"
    + json.dumps(
        {
            "action": "get",
            "node": {
                "key": "/coreos.com/network/subnets",
                "dir": True,
                "nodes": [
                    {
                        "key": it.key,
                        "value": it.text,
                        "modifiedIndex": 7,
                        "createdIndex": 7,
                        "ttl": 80000,
                        "expiration": "2026-11-23T00:00:00Z",
                    }
                    for it in DONE.store.leases
                ],
            },
        }
    ).encode()
)
V2_REFUSED = b'HTTP/1.0 401 Unauthorized\r\n\r\n{"errorCode":110,"message":"no","cause":""}'
DAEMON = b'{"log-level": "warn", "bip": "10.1.1.1/24", "live-restore": true, "a": [1, {"b": "c"}]}'
SYSCONFIG = b"# etcd\nFLANNEL_ETCD=\"http://127.0.0.1:2379\"\n FLANNEL_OPTIONS=-v\nexport A='1'\n"
LOG = (
    b"E0101 network.go: failed to retrieve network config: client: etcd cluster unavailable\n"
    b"Error: Unable to find a match: flannel\nJob for docker.service failed\n"
)


def _machine_parts(name: str) -> tuple[bytes, ...]:
    said = {_parts(machine).get(name, b"") for machine in _machines()}
    return tuple(sorted(said))


def _probed() -> Iterator[tuple[str, Target]]:
    asked = {it.name: it for host in (MASTER, NODE) for it in probes(ANSWERS, host)}
    more = {
        "neighbours": b'[{"dst":"10.16.2.0","dev":"flannel.1","lladdr":"5e:a3:84:fc:37:ba",'
        b'"state":["PERMANENT"]}]',
        "firewall": b"zone public\nnow ports 8472/udp 22/tcp\nlater sources 10.0.0.0/8\n",
        "configs": b'v2 {"node":{"value":"a"}}\nv3 {"kvs":[{"value":"Yg=="}]}\n',
        "fdb": b"5e:a3:84:fc:37:ba dev flannel.1 dst 192.168.122.36 self permanent\n#read\n",
        "etcd": b"http://m:2379 curl: (60) SSL: no More details here: https://curl.se\n"
        b"http://m:2379 v2 404\n",
        "subnet_env": b"FLANNEL_NETWORK=10.16.0.0/16\nFLANNEL_SUBNET=10.16.29.1/24\n"
        b"FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n#read\n",
    }
    for name, probe in asked.items():
        seeds = _machine_parts(name) + ((more[name],) if name in more else ())
        yield f"facts:{name}", Target(partial(_probe, probe), seeds)


@cache
def targets() -> dict[str, Target]:
    """Everything there is, by name."""
    journal = _files("journals/all-well.jsonl") + _files("journals/one-fails.jsonl")
    short = tuple(b"\n".join([*it.split(b"\n")[:60], b""]) for it in journal)
    one = tuple(line for it in short for line in it.split(b"\n")[:40])
    small = 1 << 13
    made = {
        "answers": Target(
            _answers, _files("answers/*.toml") + _files("answers/bad/*"), (AnswersError,)
        ),
        "--set": Target(_sets, (SETS,), (AnswersError,), small * 8),
        "--set, alone": Target(
            _loose_sets,
            (SETS.replace(b"\0host.fed-node1.interface=eth1\0", b"\n").replace(b"\0", b"\n"),),
            (AnswersError,),
            small * 8,
        ),
        "draft": Target(_draft, (DRAFT,), (AnswersError,)),
        "targets typed": Target(_typed, (b"10.0.0.1-9\n10.1.0.0/30:22\nfed-node1 # x\n1.2.3.4 a",)),
        "known_hosts": Target(_known_hosts, (KNOWN,), ()),
        "ssh_config": Target(_ssh_config, (CONFIG,), (), small * 2),
        "ssh -G": Target(
            _resolved, (RESOLVED,), (config.SshConfigError, UnreachableError), small * 2
        ),
        "ssh's complaint": Target(_refused, (COMPLAINT,), (), small * 2),
        "ProxyJump": Target(
            _said(ways.hop), (b"root@bastion:22", b"ssh://a@[::1]:22/"), (UnreachableError,)
        ),
        "lock": Target(_holder, (HOLDER,)),
        "lock-look": Target(
            _followed, (b"lock held\nwho " + base64.b64encode(HOLDER) + b"\ntold e30K\n", *one[:3])
        ),
        "units": Target(lambda it: list(leftovers.units(_text(it))), (b"fedwiz-switch a\n",), ()),
        "libvirt status": Target(
            partial(_libvirt, "status"),
            (b'[{"ip-address":"192.168.122.9","mac-address":"x","hostname":"a"}]',),
            (),
        ),
        "libvirt leases": Target(
            partial(_libvirt, "leases"),
            (b"1795 52:54:00:7e:00:4d 192.168.122.9 fed-node1 01:52\n",),
            (),
        ),
        "rpm": Target(_rpm, (b"\xed\xab\xee\xdb\3\0\0\0\0\1flannel-0.9.0-7.fc32\0".ljust(96),), ()),
        "journal": Target(_journal, short),
        "journal line": Target(lambda it: events.from_line(it.decode("ascii")), one),
        "journal, told": Target(_told, short),
        "runs": Target(_runs, short, ()),
        "facts": Target(_facts, _machines(), ()),
        "facts, raw": Target(_raw_facts, (b"mark os\nSUQ9eA==\nmark .\n",)),
        "facts, judged": Target(_cluster, _machines(), (), small * 4),
        "etcd, judged": Target(_stored, (_parted(LEASES),), (), small * 4),
        "leases v2": Target(_v2, (V2_SAID, V2_REFUSED), (UnreachableError,)),
        "leases v3": Target(_v3, (_parted(LEASES),), ()),
        "config of etcd": Target(_said(from_flannel_config), (ANSWERS.config_json().encode(),), ()),
        "daemon.json": Target(_daemon_json, (DAEMON,), (), small * 4),
        "sysconfig": Target(_sysconfig, (SYSCONFIG,), ()),
        "sysconfig, judged": Target(_flanneld_conf, (SYSCONFIG,), (), small * 4),
        "sysconfig.sh": Target(_edited, (SYSCONFIG,), (), small),
        "pod-up": Target(lambda it: pods.read_up(_answer(it)), (_parted(UP),)),
        "pod-ping": Target(_said(pods.read_pings), (f"ping 10.16.2.2 {B64}\nend\n".encode(),)),
        "ping": Target(_said(pods.read_ping), (PING.encode(),)),
        "pod-mtu": Target(
            lambda it: pods.read_sizes(_text(it), PATHS),
            (b"size 10.16.2.2 1450\nsize 192.168.122.36 1500\nsize 10.16.3.2 0\nend\n",),
        ),
        "pod-down": Target(
            _said(pods.read_counts),
            (b"[3:252] -A INPUT -s 10.16.2.2/32 -p icmp -j x\ngone\nend\n",),
        ),
        "mtu": Target(_said(mtu.read), (b"1450 of 1450 bytes; underlay 1500 of 1500",)),
        "meet": Target(
            lambda it: node_pings.read(_text(it), PEERS),
            tuple(
                f"met {PEERS[0]} REACHABLE {B64}\nmet {PEERS[1]} FAILED {B64}\nend\n".encode()
                for _ in "a"
            ),
        ),
        "meet, pings": Target(_met, (_parted({"192.0.2.1": PING}),)),
        "udp-listen": Target(
            _said(ports.read_listen),
            (b"held " + base64.b64encode(b'users:(("vpn",pid=7,fd=3))'), b"ready", b"failed eA=="),
        ),
        "udp-send": Target(
            lambda it: ports.read_send(_text(it), PEERS),
            (f"sent {PEERS[0]} {B64}\nsent {PEERS[1]} \nend\n".encode(),),
        ),
        "udp-tell": Target(_said(ports.read_received), (b"heard 1\nheard 22\nend\n",)),
        "trace": Target(_look, (_parted(TRACED),)),
        "rules": Target(
            _rule, tuple(RULES.encode().splitlines() + NFT.encode().splitlines()), (), small * 4
        ),
        "log lines": Target(_causes, (LOG,), (), small * 8),
        "versions": Target(_versions, (b"v0.9.0\n", b"flannel-0.21.5-1.fc41 etcd/v3.5.0"), ()),
        "clip": Target(_said(rules.clip), (b"http://user:pass@host:1/x",), ()),
        "clean": Target(_lines, (b"a\x1b]0;x\x07b\r50%\r100%\x1b[K\n\xe2\x80\xae\n" + LOG,), ()),
    }
    return {**made, **dict(_probed())}
