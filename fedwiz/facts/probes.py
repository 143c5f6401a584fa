"""PROBES: each one runs a shell command on a host and parses its output in Python."""

import base64
import re
import secrets
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fedwiz import scripts
from fedwiz.answers.file import Answers, Host
from fedwiz.facts import before, parse
from fedwiz.facts.values import Facts

FILES = (
    "/etc/sysconfig/flanneld",
    "/etc/sysconfig/docker",
    "/etc/sysconfig/docker-network",
    "/etc/docker/daemon.json",
    "/etc/systemd/network/50-flannel.link",
    "/etc/NetworkManager/conf.d/90-fedwiz.conf",
    "/etc/sysctl.d/90-fedwiz.conf",
    "/etc/modules-load.d/fedwiz.conf",
    "/etc/systemd/system/flanneld.service",
    "/etc/systemd/system/flanneld.service.d/60-fedwiz.conf",
    "/etc/systemd/system/docker.service.d/60-fedwiz.conf",
    "/etc/systemd/system/fedwiz-forward.service",
    "/usr/libexec/flannel/fedwiz-docker-opts",
    "/usr/lib/systemd/system/docker.service.d/flannel.conf",
    "/run/fedwiz/switch-due",
    "/run/flannel/subnet.env",
    "/run/flannel/docker",
    "/etc/sysconfig/flanneld.rpmsave",
    "/etc/sysconfig/flanneld.rpmnew",
)
"""Files that steps write, or need to know before writing."""

HASHED_FILES = (
    "/usr/local/bin/flanneld",
    "/usr/local/bin/flanneld.new",
    "/etc/sysconfig/fedwiz-etcd",
)
"""Files that are too large to fetch, or whose text must not be read."""

UNITS_READ = (
    "flanneld.service",
    "docker.service",
    "docker.socket",
    "etcd.service",
    "kubelet.service",
    "kube-proxy.service",
    "kube-apiserver.service",
    "kube-controller-manager.service",
    "kube-scheduler.service",
    "firewalld.service",
    "NetworkManager.service",
    "fedwiz-forward.service",
    "chronyd.service",
)
SYSCTLS = (
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.rp_filter",
    "net.bridge.bridge-nf-call-iptables",
)
MODULES = ("br_netfilter", "vxlan", "ipip", "wireguard", "tun")


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to a host: the shell command and the parser of its output."""

    name: str
    ask: str
    """Shell, run as root without input; its standard output is parsed."""

    read: Callable[[str], Mapping[str, Any]]
    """Parses the output into fields of `Facts`. Whatever the output, it raises nothing but
    ValueError, which means that the fact is unknown."""

    slow: bool = False
    """Runs in the background, parallel to the others."""


def _files() -> str:
    """For each existing file: `path mode owner base64`."""
    return (
        f"for f in {shlex.join(FILES)}; do [ -f \"$f\" ] && printf '%s %s %s\\n' "
        '"$f" "$(stat -L -c "%a %U:%G" "$f")" "$(head -c 65536 "$f" | base64 | tr -d "\\n")"; done'
    )


def _units() -> str:
    keys = "Id,LoadState,ActiveState,UnitFileState,MainPID"
    return f"systemctl show --property={keys} -- {shlex.join(UNITS_READ)}"


def _modules() -> str:
    # A built-in module without parameters has no folder in /sys/module.
    return (
        f"for m in {shlex.join(MODULES)}; do if [ -e /sys/module/$m ]; then echo $m 1; "
        "elif modprobe -n -q $m; then echo $m 0; fi; done; "
        "[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] && echo br_netfilter 1; "
        "[ -c /dev/net/tun ] && echo tun 1"
    )


def _firewall(host: Host) -> str:
    """What is open in the zone of the interface that carries flannel's packets."""
    device = shlex.quote(host.interface)
    if re.fullmatch(r"[0-9.]*", host.interface):  # empty, or an address
        find = f"-o -4 address show to {device}" if host.interface else "-4 route show default"
        pick = r"s/^[0-9]*: *\([^ ]*\) .*/\1/p; s/.* dev \([^ ]*\).*/\1/p"
        device = f"\"$(ip {find} | sed -n '{pick}' | head -n 1)\""
    ask = (
        f"systemctl -q is-active firewalld && {{ d={device}; "
        'z=$(firewall-cmd --get-zone-of-interface="$d" 2>/dev/null) || '
        'z=$(firewall-cmd --get-default-zone); echo "zone $z"; '
    )
    for when, flag in (("now", ""), ("later", "--permanent ")):
        ask += (
            f'echo "{when} ports $(firewall-cmd {flag}--zone=$z --list-ports)"; '
            f'echo "{when} protocols $(firewall-cmd {flag}--zone=$z --list-protocols)"; '
            f'echo "{when} sources $(firewall-cmd {flag}--zone=trusted --list-sources)"; '
        )
    return ask + "}"


def _curl(answers: Answers) -> str:
    """A curl command up to the etcd URL: with its certificates, no proxy and a 3 s timeout."""
    tls = "".join(
        f" {flag} {shlex.quote(path)}"
        for flag, path in (
            ("--cacert", answers.etcd.ca_file),
            ("--cert", answers.etcd.cert_file),
            ("--key", answers.etcd.key_file),
        )
        if path
    )
    return f"curl -sS --noproxy '*' --max-time 3{tls}"


def _etcd(answers: Answers) -> str:
    """For each endpoint: `URL version-answer`, then the HTTP status of /v2/keys."""
    commands, curl = [], _curl(answers)
    for url in answers.etcd.endpoints:
        quoted_url = shlex.quote(url)
        commands.append(
            f"printf '%s %s\\n' {quoted_url} \"$({curl} {quoted_url}/version "
            "2>&1 | head -c 400 | tr '\\n' ' ')\"; "
            f"printf '%s v2 %s\\n' {quoted_url} \"$({curl} -o /dev/null "
            f"-w '%{{http_code}}' {quoted_url}/v2/keys/ 2>/dev/null)\""
        )
    return "; ".join(commands)


def _configs(answers: Answers) -> str:
    """The config through both of etcd's APIs, whose key spaces are separate."""
    curl, url = _curl(answers), shlex.quote(answers.etcd.endpoints[0])
    key = shlex.quote(answers.key)
    encoded = base64.b64encode(answers.key.encode()).decode()
    return (
        # Not echo: in some shells it turns the \n of JSON into line breaks.
        f"printf 'v2 %s\\n' \"$({curl} {url}/v2/keys{key} | head -c 9999 | tr '\\n' ' ')\"; "
        f'printf "v3 %s\\\\n" "$({curl} -d \'{{"key":"{encoded}"}}\' {url}/v3/kv/range '
        "| head -c 9999 | tr '\\n' ' ')\""
    )


def _offered(answers: Answers) -> str:
    if answers.flannel.source != "dnf":
        return ":"
    # dnf 4 appends a newline to the format, dnf 5 does not.  Both skip a repository that they can't
    # read (Fedora's skip_if_unavailable), and report it only without -q.
    return (
        "rpm -q flannel >/dev/null 2>&1 && exit; o=$(timeout 90 dnf -q repoquery --latest-limit=1 "
        "--qf '%{version}-%{release}\\n' flannel 2>&1 | tail -n 5); [ \"$o\" ] || "
        "o=$(timeout 90 dnf repoquery flannel 2>&1 | grep -iE 'error|fail' | tail -n 1); "
        'echo "$o"'
    )


def _works_with_packages() -> str:
    return shlex.join(("sh", "-c", scripts.script("package"), "package.sh"))


def probes(answers: Answers, host: Host) -> tuple[Probe, ...]:
    """All probes of this host, in the order in which they run."""
    found = [
        Probe(
            "names",
            "cat /proc/sys/kernel/hostname /etc/machine-id "
            "/proc/sys/kernel/random/boot_id; uname -r; uname -m; date +%s.%N",
            parse.names,
        ),
        Probe("os", "cat /etc/os-release", parse.os_release),
        Probe("selinux", "getenforce", lambda text: {"selinux": text.strip()}),
        Probe("virt", "systemd-detect-virt", lambda text: {"virt": text.strip()[:64]}),
        Probe("links", "ip -json -details address show", parse.links),
        Probe("routes", "ip -json -4 route show table main", parse.routes),
        Probe("neighbours", "ip -json -4 neighbour show", parse.neighbours),
        Probe(
            "fdb",
            "f=$(bridge fdb show) && { echo \"$f\" | grep ' dev flannel'; echo '#read'; }",
            parse.fdb,
        ),
        Probe("units", _units(), parse.units),
        Probe("files", _files(), parse.files),
        Probe("hashes", f"sha256sum -- {shlex.join(HASHED_FILES)}", parse.hashes),
        Probe("sysctls", f"sysctl -e {shlex.join(SYSCTLS)}", parse.sysctls),
        Probe("modules", _modules(), parse.modules),
        Probe(
            "packages",
            "rpm -q --qf '%{name} %{version}-%{release}\\n' flannel docker "
            "docker-ce moby-engine etcd | grep -v ' is not '",
            parse.packages,
        ),
        Probe(
            "flanneld",
            "f=$(command -v flanneld || ls /usr/local/bin/flanneld) && "
            'echo "$f" && timeout 5 "$f" --version 2>&1 | head -n 1',
            parse.flanneld,
        ),
        Probe(
            "flanneld_unit",
            "systemctl cat flanneld.service",
            lambda text: {"flanneld_unit": text.strip()},
        ),
        Probe(
            "docker_unit",
            "systemctl cat docker.service",
            lambda text: {"docker_unit": text.strip()},
        ),
        Probe(
            "docker", "dockerd --version | head -n 1", lambda text: {"docker_version": text.strip()}
        ),
        Probe(
            "containers",
            "systemctl -q is-active docker && timeout 20 docker ps -q | wc -l",
            parse.containers,
            slow=True,
        ),
        Probe(
            "networks",
            "systemctl -q is-active docker && timeout 20 docker network ls -q | "
            "xargs -r timeout 20 docker network inspect -f "
            "'{{range .IPAM.Config}}{{.Subnet}} {{end}}'",
            parse.networks,
            slow=True,
        ),
        Probe("subnet_env", "cat /run/flannel/subnet.env && echo '#read'", parse.subnet_env),
        Probe("iptables", "iptables --version", lambda text: {"iptables": text.strip()}),
        Probe(
            "rules",
            'for t in filter nat raw; do echo "*$t"; '
            "timeout 20 iptables -w 5 -t $t -S && echo '#read'; done",
            parse.rules,
        ),
        Probe("firewall", _firewall(host), parse.firewall, slow=True),
        Probe(
            "disk",
            "for d in / /etc /run /usr /var; do printf '%s ' $d; "
            'df -Pk $d | tail -n 1; [ -w $d ] || echo "ro $d"; done',
            parse.disk,
        ),
        Probe("nameservers", "cat /etc/resolv.conf", parse.nameservers),
        Probe("listening", "ss -ltnH", parse.listening),
        Probe(
            "in_flight",
            "systemctl list-units --plain --no-legend --state=active,activating 'fedwiz-*.service'",
            parse.in_flight,
        ),
        Probe("kept", before.backup_script(FILES, HASHED_FILES), before.parse_backup),
        Probe("etcd", _etcd(answers), parse.etcd, slow=True),
        Probe("dnf_lock", _works_with_packages(), lambda text: {"dnf_lock": text.strip()}),
    ]
    if host.role == "master":
        found.append(
            Probe("kube_nodes", "timeout 10 kubectl get nodes -o json", parse.kube_nodes, slow=True)
        )
        found.append(Probe("configs", _configs(answers), parse.configs, slow=True))
    else:
        found.append(Probe("offered", _offered(answers), parse.offered, slow=True))
    return tuple(found)


def script(answers: Answers, host: Host, mark: str = "") -> tuple[str, str]:
    """All probes of a host as one shell script, and the marker that separates their outputs.

    The outputs are base64-encoded, so nothing in them can be mistaken for a marker.
    """
    mark = mark or secrets.token_hex(8)
    host_probes = probes(answers, host)
    lines = [
        "export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin",
        # In whichever folder has room for the output: a full file system is one thing to report.
        "d=; for p in /run /tmp /var/tmp; do",
        '  d=$(mktemp -d "$p/fedwiz.XXXXXX" 2>/dev/null) || continue',
        '  head -c 262144 /dev/zero 2>/dev/null >"$d/room" && break; rm -rf "$d"; d=',
        "done",
        '[ "$d" ] || { echo "/run, /tmp and /var/tmp have no room" >&2; exit 1; }',
        'trap \'rm -rf "$d"\' EXIT; rm -f "$d/room"',
    ]
    for probe in host_probes:
        after = " &" if probe.slow else ""
        lines.append(f'( {probe.ask}\n) 2>/dev/null >"$d/{probe.name}"{after}')
    lines.append("wait")
    names = " ".join(probe.name for probe in host_probes)
    lines.append(
        f'cd "$d" && for n in {names}; do echo "{mark} $n"; base64 <$n; done; echo "{mark} ."'
    )
    return scripts.whole(*lines), mark


def read(answers: Answers, host: Host, output: str, mark: str, asked_at: float = 0.0) -> Facts:
    """Parse a host's output of `script` into facts.

    Args:
        answers: those that the script was made from.
        host: the host that ran it.
        output: what it printed.
        mark: the marker that separates the parts.
        asked_at: when it was asked, by the operator's clock; 0 leaves the skew at 0.

    Raises:
        ValueError: the output is truncated, or is not from this script.
    """
    if f"{mark} ." not in output:
        raise ValueError("the host's answer is not whole")
    parts: dict[str, str] = {}
    for part in output.split(f"{mark} ")[1:]:
        name, _, encoded = part.partition("\n")
        try:
            decoded = base64.b64decode("".join(encoded.split()), validate=True)
        except ValueError:  # includes binascii.Error
            raise ValueError("the host's answer is garbled") from None
        parts[name] = decoded.decode("utf-8", "replace")
    fields: dict[str, Any] = {}
    for probe in probes(answers, host):
        try:
            fields.update(probe.read(parts.get(probe.name, "")))
        except ValueError:
            continue
    if asked_at and "clock" in fields:
        fields["skew"] = round(fields["clock"] - asked_at, 3)
    return Facts(**fields)
