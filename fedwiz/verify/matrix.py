"""Every node's container pings every other's: what is asked, and what is right."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from fedwiz.facts import ClusterFacts
from fedwiz.model.events import Judged
from fedwiz.verify.nodes import addresses, subnet_of
from fedwiz.verify.reasons import likely
from fedwiz.verify.values import Overlay, Ping, Up, Verdict


@dataclass(frozen=True, slots=True)
class PairMatrix:
    """All that was measured; each mapping by host."""

    nodes: Sequence[str]
    known: ClusterFacts
    net: Overlay
    lost: Mapping[str, str]
    ups: Mapping[str, Up]
    pings: Mapping[str, Mapping[str, Ping | None]] = field(default_factory=dict)
    """By sender, then by the address that was pinged."""

    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By receiver, then by the address that pings came from."""

    failed: Mapping[str, str] = field(default_factory=dict)
    """Why a node's pings were not answered."""

    astray: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """What is wrong with what a node knows of another."""

    ended: Collection[str] = ()
    """Nodes whose container had ended by itself before it was taken away."""

    def obstacle(self, sender: str, receiver: str) -> tuple[Judged, str]:
        """Level and reason why this pair can't be pinged; `pass` where it can."""
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
            if why := self._astray(host):
                return "fail", why
        one, other = self._subnet(sender), self._subnet(receiver)
        if one and other and one.overlaps(other):
            return "fail", (
                f"{sender} has {one} and {receiver} {other}: the same addresses on both; on one "
                "of them, stop flanneld, `rm /run/flannel/subnet.env`, start it, restart docker"
            )
        return "pass", ""

    def _astray(self, host: str) -> str:
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
        """Of a node's container."""
        pod = self.ups[host].pod if host in self.ups else None
        return pod.address if pod else None

    def targets(self, sender: str) -> tuple[str, ...]:
        """The addresses that a node's container is to ping."""
        return tuple(
            str(self.address(peer))
            for peer in self.nodes
            if peer != sender and self.obstacle(sender, peer)[0] == "pass"
        )

    def guises(self, host: str) -> tuple[str, ...]:
        """The addresses of a node's own that its containers' packets may be seen with."""
        subnet, facts = self._subnet(host), self.known.hosts.get(host)
        found = [str(subnet.network_address)] if subnet else []
        docker0 = facts.link("docker0") if facts else None
        found += [text.partition("/")[0] for text in docker0.addresses] if docker0 else []
        return tuple(dict.fromkeys([*found, *sorted(addresses(facts) if facts else ())]))

    def sources(self) -> tuple[str, ...]:
        """All addresses that a ping may come from."""
        found = [str(self.address(host)) for host in self.nodes if self.address(host)]
        return tuple(dict.fromkeys(found + [ip for host in self.nodes for ip in self.guises(host)]))

    def seen_as(self, sender: str, receiver: str) -> str:
        """The address that the receiver saw; empty where that is not known."""
        counts, own = self.counts.get(receiver, {}), str(self.address(sender))
        if counts.get(own):
            return own
        others = {ip for host in self.nodes if host != sender for ip in self.guises(host)}
        mine = [ip for ip in self.guises(sender) if ip not in others]
        # Last its own: a host that hides whatever it forwards shows itself.
        return next((ip for ip in (*mine, *self.guises(receiver)) if counts.get(ip)), "")

    def verdicts(self) -> Iterator[Verdict]:
        """One for each ordered pair."""
        for sender in self.nodes:
            for receiver in self.nodes:
                if sender != receiver:
                    yield self.judge(sender, receiver)

    def pinged(self, sender: str, receiver: str) -> bool:
        """All of the pings came back."""
        if self.obstacle(sender, receiver)[0] != "pass":
            return False
        said = self.pings.get(sender, {}).get(str(self.address(receiver)))
        return said is not None and 0 < said.sent <= said.received

    def judge(self, sender: str, receiver: str) -> Verdict:
        """The verdict on one pair."""
        level, why = self.obstacle(sender, receiver)
        if level != "pass":
            return Verdict("ping", sender, receiver, level, "", why)
        target = str(self.address(receiver))
        said = self.pings.get(sender, {}).get(target)
        gone = [host for host in (sender, receiver) if host in self.ended]
        if gone and (said is None or not said.received):
            return Verdict(
                "ping",
                sender,
                receiver,
                "fail",
                "",
                f"the container on {gone[0]} is gone: it ended by itself before the pings did, "
                "since a node took too long; verify again when the hosts have less to do",
            )
        if said is None:
            why = self.failed.get(sender) or "its ping gave no figures"
            return Verdict(
                "ping",
                sender,
                receiver,
                "fail",
                "",
                f"{sender} could not ping: {why}; try it by hand, then verify again",
            )
        seen = f"{said.received}/{said.sent}"
        if 0 < said.received < said.sent:
            seen += f", {said.lost} % lost"
        if said.rtt:
            seen += f", {said.rtt} ms"
        if said.received < said.sent or not said.sent:
            seen += f", {said.note}" if said.note else ""
            why = self._why(sender, receiver, said)
            return Verdict("ping", sender, receiver, "fail", seen, why)
        seen, why = self._seen(seen, sender, receiver)
        warned = [why] if why else []
        warned += [
            f"docker does not run on {host}, so a bare namespace stood in for its container: "
            "verify again when docker runs"
            for host in (sender, receiver)
            if not self.ups[host].docker
        ]
        return Verdict("ping", sender, receiver, "pass", seen, "; ".join(warned))

    def _why(self, sender: str, receiver: str, said: Ping) -> str:
        for pair in ((sender, receiver), (receiver, sender)):
            if pair in self.astray and not said.received:
                return f"{said.sent} of {said.sent} pings lost; {self.astray[pair]}"
        return likely(self.known, self.net, sender, receiver, said)

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
