"""The iptables rules that flanneld writes: none, two, or chains of its own, by its version."""

import subprocess


def iptables(*argv: str) -> bool:
    return (
        subprocess.run(["iptables", "-w", *argv], check=False, capture_output=True).returncode == 0
    )


def appended(table: str, chain: str, *rule: str) -> None:
    if not iptables("-t", table, "-C", chain, *rule):
        iptables("-t", table, "-A", chain, *rule)


def restore(table: str, chain: str, rules: list[str]) -> None:
    """Fill a chain of flannel's own in one go."""
    lines = [f"*{table}", f":{chain} - [0:0]", *(f"-A {chain} {rule}" for rule in rules), "COMMIT"]
    text = "\n".join(lines) + "\n"
    done = ["iptables-restore", "-w", "--noflush"]
    subprocess.run(done, input=text, text=True, check=False, capture_output=True)


def masquerade(network: str, subnet: str, version: tuple[int, ...]) -> None:
    fully = "--random-fully" if version >= (0, 11) else ""
    if version >= (0, 20):
        say = '-m comment --comment "flanneld masq"'
        restore(
            "nat",
            "FLANNEL-POSTRTG",
            [
                f"-m mark --mark 0x4000/0x4000 {say} -j RETURN",
                f"-s {subnet} -d {network} {say} -j RETURN",
                f"-s {network} -d {subnet} {say} -j RETURN",
                f"! -s {network} -d {subnet} {say} -j RETURN",
                f"-s {network} ! -d 224.0.0.0/4 {say} -j MASQUERADE {fully}",
                f"! -s {network} -d {network} {say} -j MASQUERADE {fully}",
            ],
        )
        appended("nat", "POSTROUTING", *COMMENT, "flanneld masq", "-j", "FLANNEL-POSTRTG")
        return
    more = fully.split()
    rules = [
        ("-s", network, "-d", network, "-j", "RETURN"),
        ("-s", network, "!", "-d", "224.0.0.0/4", "-j", "MASQUERADE", *more),
        ("!", "-s", network, "-d", subnet, "-j", "RETURN"),
        ("!", "-s", network, "-d", network, "-j", "MASQUERADE", *more),
    ]
    for rule in rules:
        appended("nat", "POSTROUTING", *rule)


COMMENT = ("-m", "comment", "--comment")


def forward(network: str, version: tuple[int, ...]) -> None:
    if version >= (0, 20):
        say = '-m comment --comment "flanneld forward"'
        rules = [f"-s {network} {say} -j ACCEPT", f"-d {network} {say} -j ACCEPT"]
        restore("filter", "FLANNEL-FWD", rules)
        appended("filter", "FORWARD", *COMMENT, "flanneld forward", "-j", "FLANNEL-FWD")
    elif version >= (0, 9, 1):
        appended("filter", "FORWARD", "-s", network, "-j", "ACCEPT")
        appended("filter", "FORWARD", "-d", network, "-j", "ACCEPT")
