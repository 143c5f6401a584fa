"""Every node's container pings every other's: which pairs to ping, and the verdicts."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from fedwiz.facts import ClusterFacts
from fedwiz.model.events import Judged
from fedwiz.verify.nodes import addresses, subnet_of
from fedwiz.verify.reasons import likely_reason
from fedwiz.verify.values import Overlay, Ping, Up, Verdict


@dataclass(frozen=True, slots=True)
class PairMatrix:
    """Everything that was measured; all mappings are by host."""

    nodes: Sequence[str]
    known: ClusterFacts
    net: Overlay
    lost: Mapping[str, str]
    ups: Mapping[str, Up]
    pings: Mapping[str, Mapping[str, Ping | None]] = field(default_factory=dict)
    """By sender, then by pinged address."""

    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By receiver, then by source address."""

    failed: Mapping[str, str] = field(default_factory=dict)
    """Why a node could not ping."""

    peer_errors: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By pair: the error in the routes from one node to the other."""

    ended: Collection[str] = ()
    """Nodes whose container ended by itself before it was removed."""

    def obstacle(self, sender: str, receiver: str) -> tuple[Judged, str]:
        """Level and reason if this pair can't be pinged; `pass` if it can."""
        for host in (sender, receiver):
            if host in self.lost:
                return "fail", f"{host} could not be reached: {self.lost[host]}"
        for host in (sender, receiver):
            up = self.ups[host]
            if up.pod is None and not up.docker:
                return "skipped", (
                    f"docker does not run on {host}, and nothing could stand in for a container "
                    f"({up.error}): `systemctl start docker`, then verify again"
                )
            if up.pod is None:
                return "fail", (
                    f"{host} could not run a container ({up.error}): see `journalctl -u docker`"
                )
        for host in (sender, receiver):
            if why := self._off_network(host):
                return "fail", why
        one, other = self._subnet(sender), self._subnet(receiver)
        if one and other and one.overlaps(other):
            return "fail", (
                f"{sender} has {one} and {receiver} {other}: the same addresses on both; on one "
                "of them, stop flanneld, `rm /run/flannel/subnet.env`, start it, restart docker"
            )
        return "pass", ""

    def _off_network(self, host: str) -> str:
        """Why a node's container is not on flannel's network: it would ping itself, or nobody."""
        subnet, pod = self._subnet(host), self.ups[host].pod
        if subnet is None:
            return f"{host} has no subnet of flannel's: `systemctl restart flanneld` there"
        if pod and pod.address not in subnet:
            return (
                f"containers on {host} get {pod.address}, which is not in its subnet {subnet}: "
                "docker has not taken it; stop docker, `ip link delete docker0`, start docker"
            )
        return ""

    def _subnet(self, host: str) -> IPv4Network | None:
        facts = self.known.hosts.get(host)
        subnet = subnet_of(facts) if facts else None
        return subnet.network if subnet else None

    def address(self, host: str) -> IPv4Address | None:
        """The address of a node's container."""
        pod = self.ups[host].pod if host in self.ups else None
        return pod.address if pod else None

    def targets(self, sender: str) -> tuple[str, ...]:
        """The addresses that a node's container has to ping."""
        return tuple(
            str(self.address(peer))
            for peer in self.nodes
            if peer != sender and self.obstacle(sender, peer)[0] == "pass"
        )

    def nat_addresses(self, host: str) -> tuple[str, ...]:
        """A node's own addresses that NAT may give to packets of its containers."""
        subnet, facts = self._subnet(host), self.known.hosts.get(host)
        found = [str(subnet.network_address)] if subnet else []
        docker0 = facts.link("docker0") if facts else None
        found += [text.partition("/")[0] for text in docker0.addresses] if docker0 else []
        return tuple(dict.fromkeys([*found, *sorted(addresses(facts) if facts else ())]))

    def sources(self) -> tuple[str, ...]:
        """All addresses that a ping may come from."""
        found = [str(self.address(host)) for host in self.nodes if self.address(host)]
        return tuple(
            dict.fromkeys(found + [ip for host in self.nodes for ip in self.nat_addresses(host)])
        )

    def seen_as(self, sender: str, receiver: str) -> str:
        """The sender's address as the receiver saw it; empty if unknown."""
        counts, address = self.counts.get(receiver, {}), str(self.address(sender))
        if counts.get(address):
            return address
        others = {ip for host in self.nodes if host != sender for ip in self.nat_addresses(host)}
        unique = [ip for ip in self.nat_addresses(sender) if ip not in others]
        # The receiver's own come last: a host that masquerades whatever it forwards shows itself.
        return next((ip for ip in (*unique, *self.nat_addresses(receiver)) if counts.get(ip)), "")

    def verdicts(self) -> Iterator[Verdict]:
        """One verdict for each ordered pair."""
        for sender in self.nodes:
            for receiver in self.nodes:
                if sender != receiver:
                    yield self.judge(sender, receiver)

    def pinged(self, sender: str, receiver: str) -> bool:
        """Whether all of the pings came back."""
        if self.obstacle(sender, receiver)[0] != "pass":
            return False
        ping = self.pings.get(sender, {}).get(str(self.address(receiver)))
        return ping is not None and 0 < ping.sent <= ping.received

    def judge(self, sender: str, receiver: str) -> Verdict:
        """The verdict on one pair."""
        level, why = self.obstacle(sender, receiver)
        if level != "pass":
            return Verdict("ping", sender, receiver, level, "", why)
        target = str(self.address(receiver))
        ping = self.pings.get(sender, {}).get(target)
        ended = [host for host in (sender, receiver) if host in self.ended]
        if ended and (ping is None or not ping.received):
            return Verdict(
                "ping",
                sender,
                receiver,
                "fail",
                "",
                f"the container on {ended[0]} is gone: it ended by itself before the pings did, "
                "since a node took too long; verify again when the hosts have less to do",
            )
        if ping is None:
            why = self.failed.get(sender) or "its ping gave no figures"
            return Verdict(
                "ping",
                sender,
                receiver,
                "fail",
                "",
                f"{sender} could not ping: {why}; try it by hand, then verify again",
            )
        seen = f"{ping.received}/{ping.sent}"
        if 0 < ping.received < ping.sent:
            seen += f", {ping.lost} % lost"
        if ping.rtt:
            seen += f", {ping.rtt} ms"
        if ping.received < ping.sent or not ping.sent:
            seen += f", {ping.note}" if ping.note else ""
            why = self._why(sender, receiver, ping)
            return Verdict("ping", sender, receiver, "fail", seen, why)
        seen, why = self._seen(seen, sender, receiver)
        warnings = [why] if why else []
        warnings += [
            f"docker does not run on {host}, so a bare namespace stood in for its container: "
            "verify again when docker runs"
            for host in (sender, receiver)
            if not self.ups[host].docker
        ]
        return Verdict("ping", sender, receiver, "pass", seen, "; ".join(warnings))

    def _why(self, sender: str, receiver: str, ping: Ping) -> str:
        for pair in ((sender, receiver), (receiver, sender)):
            if pair in self.peer_errors and not ping.received:
                return f"{ping.sent} of {ping.sent} pings lost; {self.peer_errors[pair]}"
        return likely_reason(self.known, self.net, sender, receiver, ping)

    def _seen(self, seen: str, sender: str, receiver: str) -> tuple[str, str]:
        own, shown = str(self.address(sender)), self.seen_as(sender, receiver)
        if shown == own:
            return f"{seen}, seen as {own}", ""
        if shown:
            return f"{seen}, seen as {shown} (NAT)", (
                f"{receiver} sees {shown} in place of the container's own {own}, and Kubernetes "
                f"wants no NAT between pods: start flanneld on {sender} with -ip-masq, then "
                "restart docker"
            )
        return seen, (
            f"{receiver} could not tell whose address it saw: look at `iptables -S` there"
        )
