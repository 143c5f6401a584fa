"""All answers together, and the rules between them."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fedwiz.answers import rules
from fedwiz.answers.sections import (
    BackendAnswers,
    Docker,
    Etcd,
    Flannel,
    Host,
    Network,
    Ssh,
    Verify,
    Wizard,
    ask,
    several,
)
from fedwiz.model import addresses
from fedwiz.util.words import count


class Answers(BaseModel):
    """Everything the operator decided.  Frozen, comparable, hashable."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    version: Literal[1] = ask("Which format is this file?", "1 is the only one.", 1)
    name: Annotated[str, AfterValidator(rules.cluster)] = ask(
        "What is the cluster called?", "Names its runs and its lock.", ..., "fedora-lab"
    )
    ssh: Ssh = Ssh()
    host: tuple[Host, ...] = Field(json_schema_extra={"minItems": 3})
    etcd: Etcd = Etcd()
    network: Network
    backend: BackendAnswers = BackendAnswers()
    flannel: Flannel = Flannel()
    docker: Docker = Docker()
    verify: Verify = Verify()
    wizard: Wizard = Wizard()

    @field_validator("version", mode="before")
    @classmethod
    def _number(cls, version: object) -> object:
        if type(version) is not int or version != 1:  # True and 1.0 equal 1
            raise ValueError("this fedwiz reads version = 1")
        return version

    @field_validator("etcd")
    @classmethod
    def _endpoints(cls, etcd: Etcd, info: ValidationInfo) -> Etcd:
        usual = usual_endpoints(info.data.get("host", ()))
        return etcd if etcd.endpoints else etcd.model_copy(update={"endpoints": usual})

    @model_validator(mode="after")
    def _cross_checked(self) -> "Answers":
        if why := cross_checks(self.host, self.etcd, self.network):
            raise several(why)
        return self

    @property
    def master(self) -> Host:
        """The only master."""
        return next(host for host in self.host if host.role == "master")

    @property
    def nodes(self) -> tuple[Host, ...]:
        """The nodes, in the order of the file; at least two."""
        return tuple(host for host in self.host if host.role == "node")

    def named(self, name: str) -> Host:
        """The host of that name.

        Raises:
            KeyError: there is none.
        """
        for host in self.host:
            if host.name == name:
                return host
        raise KeyError(name)

    @property
    def key(self) -> str:
        """The key in etcd that holds flannel's configuration."""
        return f"{self.etcd.prefix}/config"

    def config_json(self) -> str:
        """The value of that key: compact JSON, in the order of flannel's documentation."""
        net = self.network
        config: dict[str, object] = {"Network": net.cidr, "SubnetLen": net.subnet_len}
        if net.subnet_min:
            config["SubnetMin"] = net.subnet_min
        if net.subnet_max:
            config["SubnetMax"] = net.subnet_max
        config["Backend"] = self.backend.backend.config(self.backend.options)
        return json.dumps(config, separators=(",", ":"))


def usual_endpoints(hosts: Sequence[Host]) -> tuple[str, ...]:
    """The default etcd endpoint: on the master."""
    return tuple(f"http://{host.name}:2379" for host in hosts if host.role == "master")[:1]


def host_paths(names: Sequence[object]) -> list[str]:
    """The path of each host in a refusal: `host[fed-node1]`.

    By number, `host[#2]`, if the name is missing, invalid or not unique.
    """
    paths = []
    owners = Counter(name.lower() for name in names if isinstance(name, str))
    for number, name in enumerate(names, 1):
        try:
            plain = rules.host_name(name) if isinstance(name, str) else ""
        except ValueError:
            plain = ""
        alone = owners[plain.lower()] == 1
        paths.append(f"host[{plain}]" if plain and alone else f"host[#{number}]")
    return paths


def cross_checks(
    hosts: Sequence[Host], etcd: Etcd | None = None, net: Network | None = None
) -> dict[str, str]:
    """Check answers against each other that are valid by themselves; refusals by key."""
    return {**_duplicates(hosts), **_roles(hosts), **(_network(hosts, etcd, net) if net else {})}


def _duplicates(hosts: Sequence[Host]) -> dict[str, str]:
    """Names, addresses and labels that two hosts share; flannel would confuse the hosts."""
    why = {}
    wheres = host_paths([host.name for host in hosts])
    for field in ("name", "address", "label"):
        first: dict[str, str] = {}
        for where, host in zip(wheres, hosts, strict=True):
            value = str(getattr(host, field))
            other = first.setdefault(value.lower(), where)
            if value and other != where:
                why[f"{where}.{field}"] = f"{value!r}: {other} has it too; each host needs its own"
    return why


def _roles(hosts: Sequence[Host]) -> dict[str, str]:
    masters = [host.name for host in hosts if host.role == "master"]
    nodes = len(hosts) - len(masters)
    if len(masters) != 1:
        found = f"{len(masters)} masters ({', '.join(masters)})" if masters else "no master"
        return {"host": f'{found}; exactly one host has role = "master"'}
    if nodes < 2:
        return {"host": f'{count(nodes, "node")}; two or more hosts have role = "node"'}
    return {}


def _network(hosts: Sequence[Host], etcd: Etcd | None, net: Network) -> dict[str, str]:
    """Check the containers' network against every address in use."""
    cidr = net.cidr
    if why := addresses.refuse_network(cidr, allow_public=net.allow_public):
        return {"network.cidr": f"{cidr!r}: {why}"}
    used = {f"the address of {host.name}": host.address for host in hosts}
    used |= {f"the interface of {host.name}": host.interface for host in hosts}
    if etcd:
        used |= {f"the endpoint {url}": rules.endpoint_host(url) for url in etcd.endpoints}
    known = {source: [text] for source, text in used.items() if addresses.is_address(text)}
    if clashes := addresses.overlaps(cidr, known):
        free = addresses.propose(text for texts in known.values() for text in texts)
        return {"network.cidr": f"{cidr!r}: contains {clashes[0].source}; such as {free} is free"}
    room = addresses.capacity(cidr, net.subnet_len, net.subnet_min, net.subnet_max)
    nodes = sum(host.role == "node" for host in hosts)
    if room >= nodes:
        return {}
    problem = f"{net.subnet_len}: room for {room} of {nodes} nodes"
    longer = addresses.shortest_for(cidr, nodes)
    if net.subnet_min or net.subnet_max:
        return {
            "network.subnet_len": f"{problem}; widen subnet_min and subnet_max, or leave them out"
        }
    hint = f"{longer} has room" if longer else "choose a larger network"
    return {"network.subnet_len": f"{problem}; {hint}"}
