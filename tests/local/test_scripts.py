"""What hosts are sent, run by a real sh on a host that is a folder with a small systemctl."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fedwiz.facts import parse
from fedwiz.facts.probes import probes
from fedwiz.scripts import AFTER_LIB, script
from tests.support.patience import GIVE_UP
from tests.support.sample_cluster import answered

SCRIPTS = Path(__file__).parents[2] / "fedwiz/scripts"

SYSTEMCTL = """\
#!/bin/sh
# Units that run are files; docker's stop takes the kubelet along, and that its own user.
while case $1 in -*) true ;; *) false ;; esac; do shift; done
verb=$1; shift
echo "$verb $*" >>"$HOME/log"
while case ${1-} in -*) true ;; *) false ;; esac; do [ "$1" != -p ] || shift; shift; done
case $verb in
  is-active) [ -e "$HOME/units/$1" ] && echo active || { echo inactive; exit 3; } ;;
  show)
    case $1 in
      docker.service) echo kubelet.service docker.socket ;;
      docker.socket) echo docker.service ;;
      kubelet.service) echo pods.service idle.service ;;
    esac ;;
  is-enabled) [ -e "$HOME/enabled/$1" ] && echo enabled || { echo disabled; exit 1; } ;;
  enable) : >"$HOME/enabled/$1" ;;
  disable) rm -f "$HOME/enabled/$1" ;;
  stop)
    # docker requires a flanneld that is enabled, by the drop-in of its package.
    [ "$1" != flanneld.service ] || [ ! -e "$HOME/enabled/$1" ] ||
      rm -f "$HOME/units/docker.service"
    [ "$1" != flanneld.service ] || sleep "${SLOW:-0}"
    rm -f "$HOME/units/$1"
    [ "$1" != docker.service ] || rm -f "$HOME/units/kubelet.service" "$HOME/units/pods.service" ;;
  restart) sleep "${SLOW:-0}" ;;
  start)
    if [ "$1" = flanneld.service ]; then
      [ "${FLANNELD-}" != hangs ] || exit 0
      printf '%s\\n' FLANNEL_NETWORK=10.16.0.0/16 FLANNEL_SUBNET=10.16.1.1/24 \
        >"$HOME/run/flannel/subnet.env"
    fi
    : >"$HOME/units/$1" ;;
esac
"""
IP = """\
#!/bin/sh
echo "ip $*" >>"$HOME/log"
case "$*" in
  *"address show dev docker0") echo "    inet 10.16.1.1/24 brd 10.16.1.255" ;;
  "link show dev "*) exit 1 ;;
esac
"""
RUNNING = ("docker.service", "docker.socket", "kubelet.service", "pods.service")


class Host:
    """A folder that holds what the script may touch."""

    def __init__(self, home: Path, *units: str) -> None:
        self.home = home
        for name in ("bin", "units", "enabled", "run/flannel"):
            (home / name).mkdir(parents=True)
        for name, text in {"systemctl": SYSTEMCTL, "ip": IP, "journalctl": "#!/bin/sh\n"}.items():
            (home / "bin" / name).write_text(text)
            (home / "bin" / name).chmod(0o755)
        for unit in units:
            (home / "units" / unit).touch()

    def start(self, *argv: str, name: str = "switch", **environ: str) -> subprocess.Popen[str]:
        text = (
            script(name)
            .replace("/run/", f"{self.home}/run/")
            .replace("/etc/sysconfig/", f"{self.home}/sysconfig/")
            .replace("within 10", "within 0")
        )
        path = f"{self.home}/bin:{os.environ['PATH']}"
        return subprocess.Popen(
            ["sh", "-c", text, f"{name}.sh", *argv],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"HOME": str(self.home), "PATH": path, **environ},
            start_new_session=True,
        )

    def switch(self, *argv: str, **environ: str) -> tuple[int, str]:
        process = self.start("10.16.0.0/16", "45", *argv, **environ)
        said = process.communicate(timeout=GIVE_UP)[0]
        return process.returncode, said

    @property
    def units(self) -> set[str]:
        return {path.name for path in (self.home / "units").iterdir()}

    @property
    def log(self) -> list[str]:
        return (self.home / "log").read_text().splitlines()

    @property
    def due(self) -> Path:
        return self.home / "run/fedwiz/switch-due"

    def wait_for(self, line: str) -> None:
        end = time.monotonic() + GIVE_UP
        while not (self.home / "log").exists() or line not in self.log:
            assert time.monotonic() < end, self.log
            os.sched_yield()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, *RUNNING)


def defined(text: str) -> set[str]:
    """The functions of a script."""
    return set(re.findall(r"^(\w+)\(\) ", text, re.MULTILINE))


def called(text: str, names: set[str]) -> set[str]:
    """Those of the functions that a script calls."""
    code = re.sub(r"(^|\s)#.*", "", text)
    keywords = "if|then|else|do|until|while"
    first = rf"(?:^|[;&|(!]|(?<!\$)\{{|\b(?:{keywords})\s)\s*({'|'.join(names)})\b(?![=(])"
    return set(re.findall(first, code, re.MULTILINE))


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.sh")), ids=lambda it: it.stem)
def test_lib_sh_is_sent_with_the_scripts_that_use_it_and_with_no_other(path: Path) -> None:
    lib, text = script("lib"), path.read_text()
    functions = defined(lib)
    assert len(functions) > 10
    if path.stem == "lib":
        assert script("lib") == text
    elif AFTER_LIB in text:
        assert script(path.stem) == lib + text
        assert called(text, functions)
        assert not defined(text) & functions
    else:
        assert script(path.stem) == text
        assert not called(text, functions - defined(text))


def test_scripts_that_are_run_as_one_get_lib_sh_once() -> None:
    assert script("mtu", "switch") == script("lib") + script("mtu") + (
        SCRIPTS / "switch.sh"
    ).read_text("utf-8")


def test_what_docker_s_stop_took_along_runs_again(host: Host) -> None:
    """Fedora's old kubelet requires docker: its stop stops it, and docker's start leaves it so."""
    code, said = host.switch()
    assert code == 0, said
    assert host.units == {*RUNNING, "flanneld.service"}
    assert not host.due.exists()
    assert "start idle.service" not in host.log, "what did not run is left alone"


def test_a_docker_that_does_not_run_stays_so(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.due.parent.mkdir()
    host.due.touch()  # an earlier run wrote something that flanneld has not read
    assert host.switch()[0] == 0
    assert host.units == {"flanneld.service"}
    assert not host.due.exists()


def test_one_that_was_killed_is_made_good_by_the_next(host: Host) -> None:
    process = host.start("10.16.0.0/16", "45", SLOW="60")
    host.wait_for("stop flanneld.service")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert host.units == set()
    code, said = host.switch()
    assert code == 0, said
    assert host.units == {*RUNNING, "flanneld.service"}


def test_a_second_signal_does_not_cut_the_way_back_short(host: Host) -> None:
    """Two come when systemd stops the unit, and when `timeout` says that the time is up."""
    process = host.start("10.16.0.0/16", "45", SLOW="1", FLANNELD="hangs")
    host.wait_for("start --no-block flanneld.service")
    process.send_signal(signal.SIGTERM)
    while host.log.count("stop flanneld.service") < 2:
        os.sched_yield()
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=GIVE_UP)[0]
    assert process.returncode == 1
    assert said.splitlines()[-1] == "it was stopped, and docker runs as before"
    assert host.units == set(RUNNING)
    assert not host.due.exists()


def test_leftovers_go_before_flanneld_starts(host: Host) -> None:
    assert host.switch("flannel.7", "10.9.4.0/24 via 192.168.122.36")[0] == 0
    route = "ip -4 route delete 10.9.4.0/24 via 192.168.122.36"
    assert host.log.index(route) < host.log.index("start --no-block flanneld.service")


def test_flanneld_is_enabled_again_whatever_becomes_of_the_wait_for_peers(host: Host) -> None:
    (host.home / "bin/bridge").write_text("#!/bin/sh\n")
    (host.home / "bin/bridge").chmod(0o755)
    process = host.start("fdb", "192.0.2.7", name="peers", SLOW="1")
    host.wait_for("restart flanneld.service")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=GIVE_UP)
    assert host.log[-1] == "enable flanneld.service"


ZONED = ("", "eth1", "192.0.2.7")


@pytest.mark.parametrize("interface", ZONED)
def test_the_firewall_is_asked_for_the_zone_of_flannel_s_interface(
    interface: str, tmp_path: Path
) -> None:
    answers = answered(*([f"host.fed-node1.interface={interface}"] if interface else []))
    ask = next(
        each.ask for each in probes(answers, answers.named("fed-node1")) if each.name == "firewall"
    )
    tools = {
        "systemctl": "exit 0",
        "ip": 'case "$*" in\n'
        "  *default) echo 'default via 192.0.2.1 dev eth1 proto dhcp metric 100' ;;\n"
        "  *) echo '3: eth1    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth1' ;;\nesac",
        "firewall-cmd": 'case "$*" in\n  --get-zone-of-interface=eth1) echo internal ;;\n'
        "  --zone=internal*ports) echo 8472/udp ;;\n  --get*) echo public ;;\nesac",
    }
    for name, text in tools.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    said = subprocess.run(["sh", "-c", ask], env={"PATH": path}, capture_output=True, check=True)
    found = parse.firewall(said.stdout.decode())["firewall"]
    assert (found.zone, found.ports) == ("internal", {"8472/udp"})


def test_a_flanneld_that_restarts_takes_no_docker_along(tmp_path: Path) -> None:
    """Not even one that docker requires, which is enabled again in the end."""
    host = Host(tmp_path, *RUNNING, "flanneld.service")
    enabled = host.home / "enabled/flanneld.service"
    enabled.touch()
    process = host.start("keep", "leave", "-", "45", name="restart")
    said = process.communicate(timeout=GIVE_UP)[0]
    assert process.returncode == 0, said
    assert host.units == {*RUNNING, "flanneld.service"}
    assert enabled.exists()
    assert "stop flanneld.service" in host.log


def test_an_entry_of_another_peer_s_that_begins_alike_is_no_way_there(host: Host) -> None:
    """That of 192.0.2.10, where 192.0.2.1 is asked for; flanneld's restart brings it."""
    (host.home / "bin/bridge").write_text(
        "#!/bin/sh\n"
        'echo "4a:5b:6c:7d:8e:9f dev flannel.1 dst 192.0.2.10 self permanent"\n'
        '! grep -qs "restart flanneld" "$HOME/log" ||\n'
        '  echo "4a:5b:6c:7d:8e:90 dev flannel.1 dst 192.0.2.1 self permanent"\n'
    )
    (host.home / "bin/bridge").chmod(0o755)
    process = host.start("fdb", "192.0.2.10", "192.0.2.1", name="peers")
    said = process.communicate(timeout=GIVE_UP)[0]
    assert (process.returncode, said) == (0, "no way to 192.0.2.1 : flanneld looks again\n")


def test_who_had_the_lock_has_it_again_unless_somebody_else_had_it_since(host: Host) -> None:
    said = []
    for token in ("aa", "aa", "bb", "aa"):
        process = host.start(token, "9", "me@here", "install", "run", "lab", name="lock")
        said.append(process.communicate(timeout=GIVE_UP)[0])
        assert process.returncode == 0
    assert said == [f"held {how} 0\n" for how in ("new", "again", "new", "new")]
