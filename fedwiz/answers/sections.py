"""The sections of the answers: every question of fedwiz, declared once.

A field's title is the question, its description the help text, its examples the placeholders of an
empty field. The form, `--set`, the answer file, the JSON Schema and the README's table are all
generated from these declarations.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from fedwiz.answers import rules
from fedwiz.model import addresses
from fedwiz.model.backends import BACKENDS, LEFT_OUT, Backend, Value

Number: TypeAlias = Annotated[int, Strict()]
Flag: TypeAlias = Annotated[bool, Strict()]
HostFile: TypeAlias = Annotated[str, AfterValidator(rules.empty_or(rules.host_path))]


def ask(
    title: str,
    help: str,  # noqa: A002 - a question's help
    default: Any = ...,  # noqa: ANN401 - of the field's type
    *examples: object,
    **more: Any,
) -> Any:  # noqa: ANN401 - as pydantic's Field
    """Declare a field with its question."""
    return Field(default, title=title, description=help, examples=list(examples) or None, **more)


class Section(BaseModel):
    """A table of the answer file."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Ssh(Section):
    """How fedwiz reaches the hosts."""

    user: Annotated[str, AfterValidator(rules.user)] = ask(
        "Which user logs in?", "The same on all hosts.", "root", "admin"
    )
    port: Number = ask("Which port does ssh use?", "The same on all hosts.", 22, ge=1, le=65535)
    identity: tuple[Annotated[str, AfterValidator(rules.local_path)], ...] = ask(
        "Which private keys?",
        "Empty: those of ssh_config and of the agent.",
        (),
        ["~/.ssh/id_ed25519"],
    )
    known_hosts: Annotated[str, AfterValidator(rules.local_path)] = ask(
        "Where are the known host keys?", "A file in OpenSSH's format.", "~/.ssh/known_hosts"
    )
    sudo: Literal["no", "nopasswd", "ask"] = ask(
        "How does the user become root?",
        "no: it is root.  nopasswd: sudo asks nothing.  ask: sudo's password is asked for once, "
        "or read from FEDWIZ_SUDO_PASSWORD.",
        "no",
    )
    width: Number = ask("How many hosts at once?", "At most.", 50, ge=1, le=1000)
    confirm_within: Number = ask(
        "How long may a host stay out of reach?",
        "Seconds for which a lost connection is retried; after that the host reverts a step that "
        "has cut fedwiz off.",
        180,
        ge=10,
        le=3600,
    )


class Host(Section):
    """A machine of the cluster."""

    name: Annotated[str, AfterValidator(rules.host_name)] = ask(
        "What is the host called?", "Its host name, different on every host.", ..., "fed-node1"
    )
    address: Annotated[str, AfterValidator(rules.host_address)] = ask(
        "Where is it?", "An IP address or a name, as ssh would take it.", ..., "192.168.122.77"
    )
    role: Literal["master", "node"] = ask(
        "What does it do?",
        "One master runs etcd and Kubernetes' own services; the nodes run containers.",
        "node",
    )
    label: Annotated[str, AfterValidator(rules.empty_or(rules.label))] = ask(
        "Which label does Kubernetes know it by?",
        "Optional; different on every host.",
        "",
        "fed-node1-label",
    )
    interface: Annotated[str, AfterValidator(rules.empty_or(rules.interface))] = ask(
        "Which interface carries the packets?",
        "A name or an address.  Empty: that of the default route, as flannel chooses by itself.",
        "",
        "eth1",
    )
    host_key: Annotated[str, AfterValidator(rules.empty_or(rules.host_key))] = ask(
        "What is its host key's fingerprint?",
        "Empty: known_hosts decides.",
        "",
        "SHA256:Jm2FnNyGZ2iWTMlSvEYEuwNBJCVVVCPmDCZ/HSUBNTc",
    )


class Etcd(Section):
    """Where flannel keeps its network."""

    endpoints: tuple[Annotated[str, AfterValidator(rules.endpoint)], ...] = ask(
        "Where do the nodes reach etcd?",
        "As flanneld will use them.  Empty: http://, the master's name, and port 2379.",
        (),
        ["http://fed-master:2379"],
    )
    prefix: Annotated[str, AfterValidator(rules.prefix)] = ask(
        "Under which key?", "Without `/config`, which flannel adds.", "/coreos.com/network"
    )
    api: Literal["auto", "v2", "v3"] = ask(
        "Which of etcd's APIs?", "auto: the one that the flannel to be installed reads.", "auto"
    )
    ca_file: HostFile = ask(
        "Which CA signed etcd's certificate?", "A path on the hosts.", "", "/etc/etcd/ca.pem"
    )
    cert_file: HostFile = ask(
        "Which client certificate?",
        "A path on the hosts; together with key_file.",
        "",
        "/etc/etcd/client.pem",
    )
    key_file: HostFile = ask(
        "Which client key?",
        "A path on the hosts; together with cert_file.",
        "",
        "/etc/etcd/client-key.pem",
    )
    user: Annotated[str, AfterValidator(rules.empty_or(rules.user))] = ask(
        "Which etcd user?",
        "Empty: none.  The password is asked for, or read from FEDWIZ_ETCD_PASSWORD.",
        "",
        "flannel",
    )

    @field_validator("key_file")
    @classmethod
    def _pair(cls, key_file: str, info: ValidationInfo) -> str:
        if "cert_file" in info.data and bool(key_file) != bool(info.data["cert_file"]):
            raise ValueError("cert_file and key_file go together: give both, or none")
        return key_file


class Network(Section):
    """The containers' network."""

    cidr: str = ask(
        "Which addresses do the containers get?",
        "A private network that nothing else uses; each node gets a part of it.",
        ...,
        "10.16.0.0/16",
    )
    subnet_len: Number = ask(
        "How long is each node's prefix?",
        "24 gives a node 253 addresses, and a /16 network 255 nodes.",
        24,
    )
    subnet_min: str = ask(
        "Which is the first subnet?",
        "Empty: the network's second one, since some things go wrong with the first.",
        "",
        "10.16.1.0",
    )
    subnet_max: str = ask(
        "Which is the last subnet?", "Empty: the network's last.", "", "10.16.255.0"
    )
    allow_public: Flag = ask(
        "Are public addresses all right?", "Only where you own them.", default=False
    )

    @field_validator("cidr")
    @classmethod
    def _shape(cls, cidr: str) -> str:
        # `cross_checks` judges whether it is public: allow_public is not known yet here.
        if why := addresses.refuse_network(cidr, allow_public=True):
            raise ValueError(why)
        return cidr

    @field_validator("subnet_len")
    @classmethod
    def _length(cls, subnet_len: int, info: ValidationInfo) -> int:
        cidr = info.data.get("cidr", "")
        if cidr and (why := addresses.refuse_length(cidr, subnet_len)):
            raise ValueError(why)
        return subnet_len

    @field_validator("subnet_min", "subnet_max")
    @classmethod
    def _bound(cls, bound: str, info: ValidationInfo) -> str:
        cidr, size = info.data.get("cidr", ""), info.data.get("subnet_len")
        if bound and size and cidr:
            if why := addresses.refuse_bound(cidr, size, bound):
                raise ValueError(why)
            first = info.data.get("subnet_min")
            if first and addresses.capacity(cidr, size, first, bound) < 1:
                raise ValueError(f"it is before subnet_min, {first}; exchange the two")
        return bound


def several(why: Mapping[str, str]) -> PydanticCustomError:
    """Several refusals, or one about another key than the one being validated."""
    return PydanticCustomError("several", "refused", {"why": dict(why)})


def refuse_backend(kind: str, options: Mapping[str, object]) -> dict[str, str]:
    """What is wrong with a backend's answers, by key; empty: nothing."""
    if kind not in BACKENDS:
        reason = LEFT_OUT.get(kind.lower())
        reason_text = f"not offered, since {reason}; " if reason else ""
        return {"type": f"{rules.clip(kind)}: {reason_text}{rules.nearest(kind, BACKENDS)}"}
    backend = BACKENDS[kind]
    why = {}
    for name, value in options.items():
        option = backend.option(name)
        if option is None:
            reason_text = f"{kind} has no such option"
            why[name] = rules.unknown(name, [known.name for known in backend.options], reason_text)
        elif refusal := option.refuse(value):
            why[name] = f"{rules.clip(value)}: {refusal}"
    return why


class BackendAnswers(Section):
    """How packets get from node to node: the type, and that type's own options beside it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = ask(
        "Which backend?", "vxlan works everywhere; host-gw is faster on one link.", "vxlan"
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_defaults(cls, data: object) -> object:
        """Drop options that equal their defaults, so that equal answers compare equal."""
        if not isinstance(data, Mapping):
            return data
        values = dict(data)
        kind = values.get("type", "vxlan")
        backend = BACKENDS.get(kind) if isinstance(kind, str) else None
        for option in backend.options if backend else ():
            value = values.get(option.name)
            if type(value) is option.kind and value == option.default:
                del values[option.name]
        return values

    @model_validator(mode="after")
    def _checked(self) -> "BackendAnswers":
        if why := refuse_backend(self.type, self.model_extra or {}):
            raise several(why)
        return self

    @property
    def backend(self) -> Backend:
        """The entry of this type in `BACKENDS`."""
        return BACKENDS[self.type]

    @property
    def options(self) -> Mapping[str, Value]:
        """Every option of this type, given or default."""
        return MappingProxyType(self.backend.complete(self.model_extra or {}))


class Flannel(Section):
    """Where flannel comes from and how it runs."""

    source: Literal["dnf", "rpm", "binary"] = ask(
        "Where does flannel come from?",
        "dnf: the hosts' repositories.  rpm, binary: a file of this machine's, uploaded.",
        "dnf",
    )
    path: Annotated[str, AfterValidator(rules.empty_or(rules.local_path))] = ask(
        "Which file?", "With rpm and binary only.", "", "flannel-0.9.0-7.fc32.x86_64.rpm"
    )
    sha256: Annotated[str, AfterValidator(rules.empty_or(rules.sha256))] = ask(
        "What is its SHA-256?", "With rpm and binary only; as sha256sum prints it.", ""
    )
    options: tuple[Annotated[str, AfterValidator(rules.flannel_option)], ...] = ask(
        "Which more options does flanneld get?",
        "-ip-masq lets containers see each other's own addresses.",
        ("-ip-masq",),
    )

    @field_validator("path", "sha256")
    @classmethod
    def _file(cls, text: str, info: ValidationInfo) -> str:
        source = info.data.get("source")
        if source == "dnf" and text:
            raise ValueError('only with source = "rpm" or "binary"; leave it out')
        if source in ("rpm", "binary") and not text:
            hint = "the file" if info.field_name == "path" else "what sha256sum prints"
            raise ValueError(f'source = "{source}" needs it; give {hint}')
        return text


class Docker(Section):
    """How docker moves to the new network."""

    switch: Literal["restart", "reboot"] = ask(
        "How does docker move to the new network?",
        "restart: stop docker, remove docker0, start both.  reboot: the whole host.",
        "restart",
    )
    ready_within: Number = ask(
        "How long may flanneld take to be ready?",
        "Seconds from its start until it has a subnet; after as many docker goes back.",
        45,
        ge=5,
        le=600,
    )


class Verify(Section):
    """How the network is verified."""

    image: Annotated[str, AfterValidator(rules.image)] = ask(
        "Which image do the test containers use?",
        "Where a host has none of this name, fedwiz makes one without a registry.",
        "fedora:latest",
    )


def _section(name: str) -> str:
    if name not in ("*", *SECTIONS):
        raise ValueError(rules.nearest(name, ("*", *SECTIONS)))
    return name


class Wizard(Section):
    """What the wizard still asks."""

    ask: tuple[Annotated[str, AfterValidator(_section)], ...] = ask(
        "Which sections are asked although they are answered?",
        '["*"] stands for all.',
        (),
        ["network", "backend"],
    )


SECTIONS: Mapping[str, type[Section]] = MappingProxyType(
    {
        "ssh": Ssh,
        "host": Host,
        "etcd": Etcd,
        "network": Network,
        "backend": BackendAnswers,
        "flannel": Flannel,
        "docker": Docker,
        "verify": Verify,
        "wizard": Wizard,
    }
)
