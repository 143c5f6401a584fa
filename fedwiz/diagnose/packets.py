"""Causes that drop or change the pods' packets on a node: forwarding, rules, filters."""

import re
from collections.abc import Iterator

from fedwiz.diagnose.accept_rules import accept, accept_fixes, remedy
from fedwiz.diagnose.filters import Dropper, dropper, may_match, packet_of, packets_before
from fedwiz.diagnose.values import Case, Diagnosis, Fix, Hop, fix_command
from fedwiz.verify.nodes import addresses, subnet_of

INSTALL = "`fedwiz install` puts a unit there that keeps such a rule"


def sysctl(host: str, name: str, value: str, was: str) -> Fix:
    """Set a kernel setting until the next boot."""
    return fix_command(host, ("sysctl", "-w", f"{name}={value}"), ("sysctl", "-w", f"{name}={was}"))


def ip_forward(case: Case) -> Iterator[Diagnosis]:
    """A node's kernel does not forward packets."""
    name = "net.ipv4.ip_forward"
    for host in case.ends:
        if case.facts(host).sysctls.get(name) != "0":
            continue
        yield Diagnosis(
            "ip-forward",
            host,
            f"{host} does not pass packets on between its interfaces",
            f"{name} = 0",
            f"`sysctl -w {name}=1` on {host}; docker sets it when it starts, so see what unset it",
            (sysctl(host, name, "1", "0"),),
            explains=case.lost_at("routing", "routing-in", host=host),
        )


def _inner_dropper(case: Case, *causes: str) -> Dropper | None:
    """What drops the pods' own packets, if it is one of these causes."""
    found = dropper(case)
    return found if found and found.packet.whose == "inner" and _cause(found) in causes else None


DOCKER_RAW = re.compile(r"-A PREROUTING -d \S+ ! -i \S+ -j DROP")
DOCKER_ROUTED = re.compile(r"-A DOCKER ! -i \S+ -o \S+ -j DROP")
"""Rules that docker 28 and later writes for each container and each bridge (moby/moby#49792)."""


def _cause(it: Dropper) -> str:
    if it.kind != "iptables":
        return "forward-rule"
    if it.rule.startswith("-P "):
        return "forward-policy"
    if it.chain == "DOCKER-USER":
        return "docker-user"
    docker = DOCKER_RAW.fullmatch(it.rule) or DOCKER_ROUTED.fullmatch(it.rule)
    return "docker-direct-routing" if docker else "forward-rule"


def _shown(fixes: tuple[Fix, ...]) -> str:
    return " and ".join(f"`{it.do.brief}`" for it in fixes)


def docker_direct_routing(case: Case) -> Iterator[Diagnosis]:
    """Docker 28 and later drops packets routed to a container, in two places."""
    found = _inner_dropper(case, "docker-direct-routing")
    if found is None:
        return
    fixes = accept_fixes(case, found)
    network, rules = str(case.net.network), case.facts(found.host).rules.get("filter", ())
    accepted = re.compile(rf"-A (DOCKER-USER|FORWARD) -s {network} -d {network} .*-j ACCEPT")
    if (
        found.table == "raw"
        and any(DOCKER_ROUTED.fullmatch(rule) for rule in rules)
        and not any(accepted.match(rule) for rule in rules)
    ):
        match = ("-s", network, "-d", network)
        fixes += (accept(found.host, "filter", "DOCKER-USER", match),)
    yield Diagnosis(
        "docker-direct-routing",
        found.host,
        f"docker on {found.host} drops what other nodes send straight to its containers",
        found.seen,
        f"{_shown(fixes)} on {found.host}; for good: `fedwiz install` has a unit keep the rule in "
        "DOCKER-USER, and puts `allow-direct-routing` into /etc/docker/daemon.json",
        fixes,
    )


def docker_user(case: Case) -> Iterator[Diagnosis]:
    """A rule of the operator's own, in the chain that docker reserves for such rules."""
    found = _inner_dropper(case, "docker-user")
    if found is None:
        return
    fixes = accept_fixes(case, found)
    yield Diagnosis(
        "docker-user",
        found.host,
        f"a rule in DOCKER-USER on {found.host} drops packets of {case.net.network}",
        found.seen,
        f"{_shown(fixes)} on {found.host}, so that the network is accepted before it; for good, "
        "have what writes that rule leave this network out of it",
        fixes,
    )


def forward_rule(case: Case) -> Iterator[Diagnosis]:
    """A rule that is evaluated before those of flannel and fedwiz."""
    found = _inner_dropper(case, "forward-rule")
    if found is None:
        return
    fixes, host, network = accept_fixes(case, found), found.host, case.net.network
    if found.kind == "firewalld":
        why = f"firewalld on {host} does not pass on packets of {network}"
    elif found.kind == "nft":
        why = f"nftables' own rules on {host} drop packets of {network}"
    else:
        why = f"a rule on {host} drops packets of {network} before flannel's are asked"
    permanence = (
        "take the rule out where it comes from, such as /etc/sysconfig/iptables, or let the "
        "network through before it there"
    )
    remedy_text = remedy(case, found, fixes, str(network), permanence)
    yield Diagnosis("forward-rule", host, why, found.seen, remedy_text, fixes)


def forward_policy(case: Case) -> Iterator[Diagnosis]:
    """FORWARD drops by default, and no rule accepts this network."""
    found = _inner_dropper(case, "forward-policy")
    if found is None:
        return
    fixes = accept_fixes(case, found)
    yield Diagnosis(
        "forward-policy",
        found.host,
        f"the policy of FORWARD on {found.host} is DROP, and no rule accepts {case.net.network}",
        found.seen,
        f"{_shown(fixes)} on {found.host}; {INSTALL}",
        fixes,
    )


def rp_filter(case: Case) -> Iterator[Diagnosis]:
    """The kernel rejects a source address that it would answer through another device."""
    lost, counter = case.lost, "TcpExtIPReversePathFilter"
    drop = dropper(case)
    if lost is None or (drop is not None and drop.kind == "iptables"):
        return
    facts = case.facts(lost.host)
    uplink = facts.uplink(case.host(lost.host).interface)
    device = {
        "routing": "docker0",
        "routing-in": case.net.device or (uplink.name if uplink else ""),
        "firewall": uplink.name if uplink else "",
    }.get(lost.name, "")
    look, path = case.look(lost.host), device.replace(".", "/")
    strict = {name: look.rp_filter.get(name, 0) for name in ("all", path)}
    if (
        not device
        or look.moved.get(counter, 0) < max(1, packets_before(case, lost))
        or max(strict.values()) != 1
    ):
        return
    name = f"net.ipv4.conf.{path}.rp_filter"
    yield Diagnosis(
        "rp-filter",
        lost.host,
        f"{lost.host} refuses packets that come in by {device}, since it would answer them "
        "by another way (strict reverse path filter)",
        f"IPReversePathFilter of {lost.host}: {look.moved[counter]} more; rp_filter: "
        + ", ".join(f"{key} = {value}" for key, value in strict.items()),
        f"`sysctl -w {name}=2` on {lost.host}; for good, write the same into a file in "
        "/etc/sysctl.d, or correct its routes (`ip rule`, `ip route show table all`)",
        (sysctl(lost.host, name, "2", str(strict[path])),),
    )


def nat(case: Case) -> Iterator[Diagnosis]:
    """A container's packets get another source address on the way: that does not lose pings."""
    up = case.ups.get(case.sender)
    if up is None or up.pod is None or case.seen_as in ("", str(up.pod.address)):
        return
    host = case.receiver if case.seen_as in _own(case, case.receiver) else case.sender
    network = str(case.net.network)
    fix = accept(host, "nat", "POSTROUTING", ("-s", network, "-d", network))
    nat_rule = _masquerade(case, host)
    seen = f"{case.receiver} saw {case.seen_as}, not {up.pod.address}"
    if (case.facts(host).subnet_env or {}).get("FLANNEL_IPMASQ") == "true":
        permanence = "for good, take the rule that does this out where it comes from"
    else:
        permanence = (
            "for good, add -ip-masq to `flannel.options` and `fedwiz install`, which has docker "
            "leave this to flannel"
        )
    yield Diagnosis(
        "nat",
        host,
        f"{host} puts {case.seen_as} in place of a container's own address, and Kubernetes wants "
        "no NAT between pods",
        f"{seen}\n{host} has `{nat_rule}`" if nat_rule else seen,
        f"{_shown((fix,))} on {host}; {permanence}",
        (fix,),
        explains=False,
    )


def _masquerade(case: Case, host: str) -> str:
    """The first rule that may have changed the source; empty: none is known."""
    packet = packet_of(case, Hop("there", case.receiver, "received", None))
    for rule in case.facts(host).rules.get("nat", ()):
        changes = re.match(r"-A (POSTROUTING|FLANNEL-POSTRTG) .*-j (MASQUERADE|SNAT)\b", rule)
        if changes and packet and may_match(rule, packet):
            return rule
    return ""


def _own(case: Case, host: str) -> frozenset[str]:
    """The addresses with which a node may replace a container's."""
    facts, subnet = case.facts(host), subnet_of(case.facts(host))
    bridge = {str(subnet.network.network_address), str(subnet.ip)} if subnet else set[str]()
    return addresses(facts) | bridge
